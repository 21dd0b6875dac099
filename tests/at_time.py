"""The application at another time: `wsgi.py` with a database whose clock is ahead of the machine's.

`CLOCK_AHEAD` says by how many seconds. From there the time goes on as it does. Tokens are signed
and checked by the machine's clock and stay with it.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from flask import Flask

from booking_app import create_app
from booking_app.core.database import db


def seconds_until(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()


def set_ahead(engine: sa.Engine, seconds: float) -> Callable[[], None]:
    """From now on the clock of the engine's database is ahead by so many seconds, until what is
    returned is called."""
    clocks = {
        "sqlite": ("'now'", f"strftime('%Y-%m-%d %H:%M:%f', 'now', '{seconds:+f} seconds')"),
        "postgresql": (
            "statement_timestamp()",
            f"(statement_timestamp() + interval '{seconds:f} s')",
        ),
    }
    clock, other = clocks[engine.dialect.name]

    def ask_other(
        connection: sa.Connection, cursor: Any, statement: str, params: Any, *rest: Any
    ) -> tuple[str, Any]:
        return statement.replace(clock, other), params

    sa.event.listen(engine, "before_cursor_execute", ask_other, retval=True)
    return lambda: sa.event.remove(engine, "before_cursor_execute", ask_other)


def make_app() -> Flask:
    """What gunicorn and `flask` serve."""
    app = create_app()
    with app.app_context():
        set_ahead(db.engine, float(os.environ["CLOCK_AHEAD"]))
    return app
