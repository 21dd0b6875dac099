"""The application on a host whose clock is a minute ahead, for gunicorn."""

import datetime as times
import sys
import time

AHEAD = times.timedelta(seconds=60)
_time = time.time


class Ahead(times.datetime):
    """A datetime by this host's clock."""

    @classmethod
    def now(cls, tz: times.tzinfo | None = None) -> "Ahead":
        return super().now(tz) + AHEAD


time.time = lambda: _time() + AHEAD.total_seconds()

from wsgi import app  # noqa: E402

for name, module in list(sys.modules.items()):
    # Whatever asks for the time: the application, and the libraries that make and read tokens.
    ours = name.startswith(("booking_app", "jwt", "flask_jwt_extended"))
    if ours and getattr(module, "datetime", None) is times.datetime:
        module.datetime = Ahead

__all__ = ["app"]
