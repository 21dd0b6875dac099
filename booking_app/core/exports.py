"""Reading rows that may be more than the memory holds, as they are at one moment."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from booking_app.core.database import Query, connected, db
from booking_app.core.engines import backend
from booking_app.core.outages import time_limit

STREAMED_ROWS = 1000
STREAM_IDLE_SECONDS = 60


@contextmanager
def exporting() -> Iterator[Connection]:
    """A connection for rows that are sent as they are read: every statement sees the tables as they
    are at one moment. PostgreSQL ends its transaction where nobody takes a row for a minute. Exempt
    from the time limit of the request."""
    with ExitStack() as stack:
        with time_limit(None):
            connection = stack.enter_context(connected())
        stack.enter_context(connection.begin())
        if connection.dialect.name == "postgresql":
            backend(db.engine).begin(connection)
            connection.exec_driver_sql(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                f" SET LOCAL idle_in_transaction_session_timeout = '{STREAM_IDLE_SECONDS}s'"
            )
        else:
            connection.exec_driver_sql("BEGIN")  # a reader: without the lock that `begin` takes
        yield connection


def streamed(
    connection: Connection, query: Query, params: Mapping[str, Any] | None = None
) -> sa.MappingResult:
    """The rows of `query`, of which there may be more than the memory holds, as they are read;
    `connection` is of `exporting`."""
    options = {"yield_per": STREAMED_ROWS}
    return connection.execute(query, params or {}, execution_options=options).mappings()


def streaming(query: Query) -> Generator[sa.RowMapping, None, None]:
    """The rows of `query` as they are at one moment, read as they are taken."""
    with exporting() as connection, streamed(connection, query) as rows:
        yield from rows
