"""How long a request may wait for the database: `SECONDS`, then it is answered with 503.

Exempt are what runs outside a request (the `flask` commands, migrations) and, by
`exports.streaming`, the rows of an export.
"""

from flask import Flask

from booking_app.core.outages import set_time_limit

SECONDS = 5.5  # so that an answer takes less than 6


def init_app(app: Flask) -> None:
    """Bound every request."""
    app.before_request(lambda: set_time_limit(SECONDS))
    app.teardown_request(lambda error: set_time_limit(None))
