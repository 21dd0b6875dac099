"""Reading many tables as they are at one moment, while others write: for checks of the data."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from booking_app.core.database import db, reading

# Whoever reads may stop for a while, as a pager does; its snapshot keeps PostgreSQL from cleaning
# up what was changed since, so not for ever.
IDLE_LIMIT = "5min"
# SQLite stops at 100 lines unless it is told otherwise.
ALL_LINES = 2**31 - 1


@contextmanager
def snapshot() -> Iterator[Connection]:
    """A connection for reading, on which every statement sees the tables as they are now. It takes
    no lock that a writer would wait for, and its statements may take long."""
    with db.engine.connect() as connection, connection.begin():
        # Neither database takes the snapshot at BEGIN: the first statement after it does.
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            be_patient(connection)
        else:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
        yield connection


def be_patient(connection: Connection) -> None:
    """Let the statements of this transaction of PostgreSQL's, and the pauses between them, take
    long."""
    connection.exec_driver_sql(
        "SELECT set_config('statement_timeout', '0', true),"
        f" set_config('idle_in_transaction_session_timeout', '{IDLE_LIMIT}', true)"
    )


def file_faults() -> Iterator[str]:
    """Each fault that the database finds in its own file: a page that can't be read, an index that
    misses a row. Only SQLite looks; PostgreSQL leaves that to a program of its own, pg_amcheck."""
    with reading() as connection:
        if connection.dialect.name == "sqlite":
            for (fault,) in connection.exec_driver_sql(f"PRAGMA integrity_check({ALL_LINES})"):
                if fault != "ok":
                    yield fault
