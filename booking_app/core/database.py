"""The database: types, transactions, and everything that differs between SQLite and PostgreSQL.

Reading: `with reading() as connection`. Writing: `write_transaction(work)`.
"""

import sqlite3
import threading
import unicodedata
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import orjson
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection, Dialect, Engine, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase

try:
    import fcntl
except ImportError:  # Windows: SQLite's own busy handler is the only queue
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
# SELECTs and rows whose columns the type checker need not know
Query: TypeAlias = sa.Select[*tuple[Any, ...]]
Row: TypeAlias = sa.Row[*tuple[Any, ...]]

WRITE_ATTEMPTS = 5
LOCK_TIMEOUT_SECONDS = 5
# Of `take_turns`; any numbers.
MIGRATING, LOADING = 7_301_984, 7_301_985
# serialization_failure, deadlock_detected: nothing was written, and trying again can succeed.
RETRYABLE_SQLSTATES = ("40001", "40P01")
LOCK_NOT_AVAILABLE = "55P03"
UNAVAILABLE_SQLSTATES = (
    *RETRYABLE_SQLSTATES,
    LOCK_NOT_AVAILABLE,
    "53300",  # too_many_connections
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now
    "25P03",  # idle_in_transaction_session_timeout
)


class Base(DeclarativeBase):
    """All tables. The naming convention gives every constraint the same name on both databases."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)

# What runs the work of a writing service: `write_transaction`, or one that does more with it.
Transact: TypeAlias = Callable[[Callable[[Connection], dict[str, Any]]], Any]

# SQLite numbers rows by itself only where the key is exactly INTEGER.
BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# The same order of text on both databases: by code point. Used for folded keys.
KeyText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
# None is the database's NULL, not JSON's.
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An instant. Aware datetimes go in and come out, always in UTC.

    PostgreSQL keeps TIMESTAMPTZ; SQLite keeps text of one width
    (`2026-11-23 18:45:59.000000`), so that comparing the text compares the time.
    """

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without an offset: {value!r}")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None or value.tzinfo is UTC else _in_utc(value)


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _DatabaseNow(sa.sql.functions.FunctionElement[datetime]):
    """The database's clock, so that hosts whose clocks differ agree, and so many seconds more."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, seconds: int) -> None:
        super().__init__(sa.literal(seconds))


@compiles(_DatabaseNow, "postgresql")
def _now_postgresql(element: _DatabaseNow, compiler: Any, **kw: Any) -> str:
    # Not now(): that is the start of the transaction, which may have waited for a lock since.
    # Not clock_timestamp(): it changes within a statement, so no index could be used with it.
    seconds = compiler.process(element.clauses, **kw)
    return f"statement_timestamp() + make_interval(secs => {seconds})"


@compiles(_DatabaseNow, "sqlite")
def _now_sqlite(element: _DatabaseNow, compiler: Any, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {seconds} || ' seconds')"


def clock(now: datetime | None, plus: timedelta = timedelta(0)) -> sa.ColumnElement[datetime]:
    """The present, or a time after it, as SQL: from `now` where a test passes one, else from
    the database's clock."""
    if now is None:
        return _DatabaseNow(int(plus.total_seconds()))
    return sa.literal(now + plus, UtcDateTime())


def clock_param(given: bool) -> sa.ColumnElement[datetime]:
    """As `clock`, for a statement that is built once: where the time is `given` by a test it
    comes with the parameters (`now_params`)."""
    return sa.bindparam("now", type_=UtcDateTime()) if given else clock(None)


def now_params(now: datetime | None) -> dict[str, datetime]:
    """The parameter of `clock_param(now is not None)`."""
    return {} if now is None else {"now": now}


def like_pattern(text: str) -> str:
    """A pattern that finds `text` anywhere, for `LIKE :pattern ESCAPE '/'`."""
    for special in "/%_":
        text = text.replace(special, f"/{special}")
    return f"%{text}%"


def fold(text: str) -> str:
    """`text` as it is compared: without regard to case, in every script, on both databases."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


# --- transactions ---------------------------------------------------------------------------


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection for reading: no transaction, no lock; each statement sees what is committed."""
    with db.engine.connect() as connection:
        yield connection


STREAMED_ROWS = 1000
STREAM_IDLE_SECONDS = 60


def streaming(query: Query) -> Generator[sa.RowMapping, None, None]:
    """The rows of `query` as they are read, of which there may be more than the memory holds, all
    as they are at one moment. PostgreSQL gives them so within a transaction only, and ends that
    where nobody takes them for a minute."""
    with db.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("BEGIN")
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(
                f"SET LOCAL idle_in_transaction_session_timeout = '{STREAM_IDLE_SECONDS}s'"
            )
        streamed = connection.execution_options(yield_per=STREAMED_ROWS)
        with streamed.execute(query) as result:
            yield from result.mappings()


def write_transaction(work: Callable[[Connection], T]) -> T:
    """Run `work` in one transaction and commit it; on any exception nothing is written.

    `work` is run again, as a whole, when the database gave it up for a deadlock or a
    serialization failure, also one reported at COMMIT; after `WRITE_ATTEMPTS` the error goes
    to the caller. A connection lost during COMMIT is not retried: whether it was written is
    unknown then, and doing it twice would be worse than not answering.
    """
    for attempts_left in reversed(range(WRITE_ATTEMPTS)):
        try:
            with db.engine.connect() as connection, _writer_turn(), begin_writing(connection):
                return work(connection)
        except DBAPIError as error:
            if not attempts_left or sqlstate(error) not in RETRYABLE_SQLSTATES:
                raise
    raise AssertionError("unreachable")


@contextmanager
def begin_writing(connection: Connection) -> Iterator[None]:
    """One transaction on `connection`, committed at the end. SQLite takes the write lock before
    the first read: one taken later fails at once with "database is locked"."""
    with connection.begin():
        connection.exec_driver_sql(
            "BEGIN IMMEDIATE" if connection.dialect.name == "sqlite" else "BEGIN"
        )
        yield


@dataclass(frozen=True)
class _WriterQueue:
    """SQLite has one writer at a time. Its busy handler sleeps and tries again, which under
    load makes some wait very long; a lock in front of it wakes the next at once. Threads of
    this process queue for `thread`, and the first of them for the file lock, which the
    system takes back when a process dies."""

    path: Path
    thread: threading.Lock


@contextmanager
def _writer_turn() -> Iterator[None]:
    queue: _WriterQueue | None = getattr(db.engine, "writer_queue", None)
    if queue is None:
        yield
        return
    if not queue.thread.acquire(timeout=LOCK_TIMEOUT_SECONDS):
        raise PoolTimeout("another thread has been writing for too long")
    try:
        with queue.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    finally:
        queue.thread.release()


def take_turns(connection: Connection, lock: int) -> None:
    """Until this transaction ends, be the only one in the database that took this lock: however
    long that takes, unlike with rows. On SQLite a writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")


def insert_or_ignore(
    connection: Connection, table: type[Base], *, index: Sequence[str], **values: Any
) -> bool:
    """Insert the row unless one with the same values of the unique `index` is there; whether."""
    statement = upsert(connection)(table).values(**values)
    statement = statement.on_conflict_do_nothing(index_elements=index).returning(sa.literal(1))
    return connection.execute(statement).first() is not None


def upsert(connection: Connection) -> Any:
    """The `insert()` of this database that has ON CONFLICT, in the same form on both."""
    return sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert


# --- what errors mean -----------------------------------------------------------------------


def sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's five-character code; None on SQLite and where the connection was lost."""
    return getattr(error.orig, "sqlstate", None)


def _sqlite_code(error: DBAPIError) -> int:
    """SQLite's primary result code; 0 on PostgreSQL."""
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF


def is_unavailable(error: Exception) -> bool:
    """Whether `error` means that the database can't be reached or is too busy just now."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or sqlstate(error) in UNAVAILABLE_SQLSTATES:
        return True
    if isinstance(error.orig, sqlite3.OperationalError):
        busy = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN)
        return _sqlite_code(error) in busy
    # psycopg: a connection that was refused or lost has no SQLSTATE
    return isinstance(error, OperationalError) and sqlstate(error) is None


def is_lock_timeout(error: Exception) -> bool:
    """Whether `error` means that somebody else's transaction was in the way for too long."""
    if isinstance(error, PoolTimeout):
        return True
    return isinstance(error, DBAPIError) and (
        sqlstate(error) == LOCK_NOT_AVAILABLE or _sqlite_code(error) == sqlite3.SQLITE_BUSY
    )


def violates(error: IntegrityError, constraint: str) -> bool:
    """Whether `error` is the violation of the constraint of that name.

    PostgreSQL names it; SQLite names only the columns of a unique one, and nothing of a
    foreign key, so there any violated foreign key is taken for the one asked about.
    """
    diagnosis = getattr(error.orig, "diag", None)
    if diagnosis is not None:
        return bool(diagnosis.constraint_name == constraint)
    message = str(error.orig)
    if constraint.startswith("fk_"):
        return message == "FOREIGN KEY constraint failed"
    return message == f"UNIQUE constraint failed: {_unique_columns()[constraint]}"


def _unique_columns() -> dict[str, str]:
    """How SQLite names the columns of each unique constraint."""
    return {
        str(unique.name): ", ".join(f"{table.name}.{column.name}" for column in unique.columns)
        for table in db.metadata.tables.values()
        for unique in table.constraints
        if isinstance(unique, sa.UniqueConstraint)
    }


# --- engines --------------------------------------------------------------------------------


def engine_options(database_url: str, threads: int) -> dict[str, Any]:
    """Keyword arguments of `create_engine` for `database_url` in a process of so many threads."""
    options: dict[str, Any] = {
        # The drivers begin no transaction by themselves: `begin_writing` does. SQLite's would
        # begin only at the first write, after two bookings have both read "free";
        # psycopg's would cost every read two round trips.
        "isolation_level": "AUTOCOMMIT",
        "pool_size": threads,
        "max_overflow": 0,
        "pool_timeout": LOCK_TIMEOUT_SECONDS,
        "hide_parameters": True,  # what was asked for has no place in the log
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
    }
    if make_url(database_url).get_backend_name() == "sqlite":
        return options | {"connect_args": {"timeout": LOCK_TIMEOUT_SECONDS}}
    session = {
        # One hung worker can't keep its seats from everyone else.
        "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
        "idle_in_transaction_session_timeout": "15s",
        # One plan for each prepared statement; planning = ANY($1) anew each time cost half of
        # the backend's CPU for a booking.
        "plan_cache_mode": "force_generic_plan",
        "timezone": "UTC",
    }
    return options | {
        "connect_args": {
            "connect_timeout": LOCK_TIMEOUT_SECONDS,
            "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
        },
        # Plans cached while a table was small are given up with the connection.
        "pool_recycle": 600,
    }


def init_app(app: Flask) -> None:
    """Bind `db` to the app and set up its engine."""
    db.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            _set_up_sqlite(db.engine, Path(app.instance_path))


def _set_up_sqlite(engine: Engine, instance: Path) -> None:
    path = Path(str(engine.url.database))
    if path.parent == instance:  # any other folder is the operator's to make, or a slip of the pen
        instance.mkdir(exist_ok=True)
    if fcntl is not None:
        queue = _WriterQueue(path.with_name(path.name + ".writer-lock"), threading.Lock())
        engine.writer_queue = queue  # type: ignore[attr-defined]

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")
