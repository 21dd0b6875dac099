"""What the database would do for a statement that the application sent."""

from collections.abc import Mapping
from typing import Any

from psycopg import RawCursor

from booking_app.core.database import db


def explained(statement: str, params: Any, options: str = "") -> list[Any]:
    """The rows of EXPLAIN with those options, on SQLite of EXPLAIN QUERY PLAN, for a statement in
    either of the forms that the application sends: with named parameters, or $1 and so on."""
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            explain = f"EXPLAIN QUERY PLAN {statement}"
            return list(connection.exec_driver_sql(explain, tuple(params)))
        explain = f"EXPLAIN {options} {statement}"
        if isinstance(params, Mapping):
            return list(connection.exec_driver_sql(explain, params))
        driver: Any = connection.connection.driver_connection
        return RawCursor(driver).execute(explain, params).fetchall()
