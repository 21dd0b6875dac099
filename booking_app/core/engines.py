"""Engines for SQLite and PostgreSQL: how connections are made, watched and given up, and how their
transactions begin. Nothing that a transaction relies on is left to a server's defaults."""

import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from weakref import WeakKeyDictionary

import orjson
from psycopg import Connection as PostgresConnection
from psycopg import Cursor as PostgresCursor
from sqlalchemy import event
from sqlalchemy.engine import (
    URL,
    Connection,
    Engine,
    ExceptionContext,
    ExecutionContext,
    make_url,
)
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from booking_app.core import sqlite_files
from booking_app.core.outages import (
    PROBE_SECONDS,
    Busy,
    Unavailable,
    Watch,
    has_time_limit,
    is_for_all,
    is_outage,
    seconds_left,
    time_limit,
)
from booking_app.core.statements import WHOLE, failing

try:
    import fcntl
except ImportError:  # Windows: SQLite's own busy handler is the only queue
    fcntl = None  # type: ignore[assignment]

LOCK_TIMEOUT_SECONDS = 5
CONNECT_TIMEOUT_SECONDS = 2  # for each address; the driver takes no less
# A connection whose peer is gone is found out while it is idle, and when it is used.
TCP = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,  # milliseconds
}
# One hung worker can't keep its seats from everyone else.
TRANSACTION = {
    "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
    "idle_in_transaction_session_timeout": "15s",
}
SESSION = TRANSACTION | {
    # Of single statements; a transaction names its own.
    "default_transaction_isolation": "read\\ committed",
    # One plan for each prepared statement; planning = ANY($1) anew each time cost half of
    # the backend's CPU for a booking.
    "plan_cache_mode": "force_generic_plan",
    "timezone": "UTC",
}


Ending: TypeAlias = Callable[[], None]


class Backend(Protocol):
    """What differs between the databases in how transactions run."""

    watch: Watch

    def reading(self, connection: Connection) -> None:
        """Begin what reads need beyond a connection in autocommit."""

    def turn(self) -> Any:
        """A context manager: the wait until this thread may write."""

    def begin(self, connection: Connection) -> None:
        """Begin a transaction that writes."""

    def before_commit(self, connection: Connection) -> None:
        """Raises Unavailable where what is committed now would be lost."""

    def why_read_only(self, connection: Connection) -> str | None:
        """Why a write would be refused, in words; None where it would not."""


def engine_options(database_url: str, threads: int, pooler: str = "none") -> dict[str, Any]:
    """Keyword arguments of `create_engine` for `database_url` in a process of so many threads."""
    options: dict[str, Any] = {
        # The drivers begin no transaction by themselves: `begin_writing` does. SQLite's would
        # begin only at the first write, after two bookings have both read "free";
        # psycopg's would cost every read two round trips.
        "isolation_level": "AUTOCOMMIT",
        "pool_size": threads,
        "max_overflow": 1,  # for a look whether the database is there
        "pool_timeout": LOCK_TIMEOUT_SECONDS,
        "hide_parameters": True,  # what was asked for has no place in the log
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
    }
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        return options | {"connect_args": {"timeout": LOCK_TIMEOUT_SECONDS}}
    # Plans cached while a table was small are given up with the connection.
    return options | {"connect_args": _postgresql_arguments(url, pooler), "pool_recycle": 600}


def _postgresql_arguments(url: URL, pooler: str) -> dict[str, Any]:
    """What the address says itself stays."""
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **TCP}
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    if pooler == "transaction":
        # The next transaction may get another connection to the server, without them.
        return arguments | {"prepare_threshold": None}
    own = str(url.query.get("options", ""))
    settings = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    return arguments | {"options": f"{own} {settings}".strip()}


_backends: WeakKeyDictionary[Engine, Backend] = WeakKeyDictionary()


def backend(engine: Engine) -> Backend:
    """The backend of an engine that was set up."""
    return _backends[engine]


def set_up(engine: Engine, *, instance: Path, pooler: str = "none") -> None:
    """Prepare an engine for use; `instance` is the folder that may be made for a SQLite file."""
    if engine.dialect.name == "sqlite":
        path = Path(str(engine.url.database))
        if path.parent == instance:  # any other folder is the operator's to make, or a typo
            instance.mkdir(exist_ok=True)
        sqlite_files.hold_in_use(path)
        _backends[engine] = SQLite(engine, path)
    else:
        _backends[engine] = PostgreSQL(engine, pooler)


def make_file(engine: Engine) -> None:
    """Make the file of a SQLite engine where there is none, for the migrations to fill; its folder
    must be there. Raises Unavailable."""
    if engine.dialect.name == "sqlite":
        path = Path(str(engine.url.database))
        try:
            path.touch()
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}") from error


class _Watched:
    """A backend whose connections are watched while they are in use."""

    def __init__(self, engine: Engine, watch: Watch) -> None:
        self.watch = watch
        event.listen(engine, "connect", self.connected)
        event.listen(engine, "checkout", self.checked_out)
        event.listen(engine, "checkin", self.checked_in)
        event.listen(engine, "invalidate", self.given_up)
        event.listen(engine, "detach", self.checked_in)
        event.listen(engine, "handle_error", self.failed)
        event.listen(engine, "do_execute", failing)

    def connected(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        """Set up a new connection."""
        raise NotImplementedError

    def check(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        """Raises DisconnectionError where the connection is of no use any more."""
        raise NotImplementedError

    def ending(self, connection: Any, entry: ConnectionPoolEntry) -> Ending:
        """A function that makes fail what the connection waits for, for another thread."""
        raise NotImplementedError

    def checked_out(self, connection: Any, entry: ConnectionPoolEntry, proxy: object) -> None:
        self.check(connection, entry)
        self.watch.begin(id(entry), self.ending(connection, entry))

    def checked_in(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        self.watch.finish(id(entry))

    def given_up(self, connection: Any, entry: ConnectionPoolEntry, error: object) -> None:
        self.watch.finish(id(entry))

    def failed(self, context: ExceptionContext) -> None:
        """Give up the connection of an outage at once, so that no other request meets it."""
        error = context.sqlalchemy_exception
        if isinstance(error, DBAPIError) and is_outage(error):
            context.is_disconnect = True
            context.invalidate_pool_on_disconnect = is_for_all(error)
            if has_time_limit():  # a command says itself what it met
                self.watch.suspect()


# --- PostgreSQL -----------------------------------------------------------------------------


class PostgreSQL(_Watched):
    """`pooler` is "transaction" where PgBouncer stands in front in that mode."""

    def __init__(self, engine: Engine, pooler: str) -> None:
        self.has_pooler = pooler == "transaction"
        # A pooler lets the look wait with all others, however well the server is.
        patience = LOCK_TIMEOUT_SECONDS if self.has_pooler else PROBE_SECONDS

        def probe() -> None:
            with time_limit(patience, is_probe=True), engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")

        super().__init__(engine, Watch(probe))
        event.listen(engine, "close", self.closed)
        event.listen(engine, "detach", self.closed)
        self.beginning = "BEGIN ISOLATION LEVEL READ COMMITTED"
        if self.has_pooler:
            settings = (f"SET LOCAL {name} = '{value}'" for name, value in TRANSACTION.items())
            self.beginning = "; ".join((self.beginning, *settings))  # one round trip
            event.listen(engine, "do_execute", self.executing)

    def connected(self, connection: PostgresConnection, entry: ConnectionPoolEntry) -> None:
        # The same socket by another descriptor: libpq may close its own at any moment.
        entry.info["socket"] = socket.fromfd(
            connection.fileno(), socket.AF_INET, socket.SOCK_STREAM
        )

    def closed(self, connection: PostgresConnection, entry: ConnectionPoolEntry) -> None:
        """Or the server would wait for the connection's end."""
        if "socket" in entry.info:
            entry.info.pop("socket").close()

    def check(self, connection: PostgresConnection, entry: ConnectionPoolEntry) -> None:
        # Between two uses a server says nothing unless it ends the connection. Before the first
        # use the bytes may be of the handshake.
        if entry.info.setdefault("uses", 0):
            try:
                entry.info["socket"].recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                pass
            except OSError as error:
                raise DisconnectionError from error
            else:
                raise DisconnectionError("the server ended the connection")
        entry.info["uses"] += 1

    def ending(self, connection: PostgresConnection, entry: ConnectionPoolEntry) -> Ending:
        own: socket.socket = entry.info["socket"]

        def shut_down() -> None:
            with suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)

        return shut_down

    def reading(self, connection: Connection) -> None:
        if self.has_pooler:
            connection.execution_options(**{WHOLE: self.beginning})

    def executing(
        self, cursor: PostgresCursor, statement: str, parameters: Any, context: ExecutionContext
    ) -> bool:
        """Execute a statement that reads in a transaction of its own, so that a connection of the
        pooler's is in use for no longer than that; whether it was one.

        The transaction is not sent in one go (psycopg's pipeline): under load PgBouncer 1.18 then
        kept connections for clients that had their answers.
        """
        beginning = context.execution_options.get(WHOLE)
        if beginning is None:
            return False
        cursor.connection.execute(beginning)
        cursor.execute(statement, parameters)
        cursor.connection.execute("COMMIT")
        return True

    def turn(self) -> Any:
        return nullcontext()

    def begin(self, connection: Connection) -> None:
        connection.exec_driver_sql(self.beginning)

    def before_commit(self, connection: Connection) -> None:
        pass

    def why_read_only(self, connection: Connection) -> str | None:
        query = "SELECT current_setting('transaction_read_only') = 'on', pg_is_in_recovery()"
        read_only, standby = connection.exec_driver_sql(query).one()
        if standby:
            return "The database is a standby."
        return (
            "The database takes no writes (default_transaction_read_only)." if read_only else None
        )


# --- SQLite ---------------------------------------------------------------------------------


FREE_BYTES = 1024 * 1024  # less is a full disk: some bookings need it
TURN_POLL_SECONDS = 0.0005  # a commit takes longer; a try costs some microseconds


@dataclass(frozen=True)
class WriterQueue:
    """SQLite has one writer at a time. Its busy handler sleeps ever longer, which under load makes
    some wait very long; a lock in front of it is tried again soon. Threads of this process queue
    for `thread`, and the first of them for the file lock, which the system takes back when a
    process dies. flock has no time limit of its own, so it is never waited for, only tried."""

    path: Path
    thread: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn. Raises Busy, and Unavailable where the lock file can't be used."""
        wait = seconds_left(LOCK_TIMEOUT_SECONDS)
        ends_at = time.monotonic() + wait
        if not self.thread.acquire(timeout=wait):
            raise Busy("another thread has been writing for too long")
        try:
            try:
                file = self.path.open("ab")
            except OSError as error:
                raise Unavailable(f"{self.path}: {error.strerror}") from error
            with file:
                while not self._is_locked(file.fileno()):
                    if time.monotonic() > ends_at:
                        raise Busy("another process has been writing for too long")
                    time.sleep(TURN_POLL_SECONDS)
                yield
        finally:
            self.thread.release()

    @staticmethod
    def _is_locked(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise Unavailable(f"the writers' lock: {error.strerror}") from error
        return True


class SQLite(_Watched):
    """A file, which must stay the same one: what is written into a file that was deleted or
    renamed is lost to all others."""

    def __init__(self, engine: Engine, path: Path) -> None:
        super().__init__(engine, Watch())
        event.listen(engine, "do_connect", self.connecting)
        self.path = path
        self.queue = WriterQueue(path.with_name(path.name + ".writer-lock"))

    def connecting(self, *args: object) -> None:
        """The driver would make a new, empty file; only migrating may."""
        if not self.path.exists():
            raise Unavailable(f"there is no file {self.path}; `flask db upgrade` makes one")

    def connected(self, connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = self._file()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")

    def check(self, connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        if entry.info["file"] != self._file():
            raise DisconnectionError(f"{self.path} is another file now")

    def given_up(self, connection: Any, entry: ConnectionPoolEntry, error: object) -> None:
        """Free the write lock: closing alone leaves it taken until the last cursor is gone, which
        the error's traceback may keep."""
        super().given_up(connection, entry, error)
        with suppress(sqlite3.Error):
            connection.rollback()

    def ending(self, connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> Ending:
        return connection.interrupt

    def reading(self, connection: Connection) -> None:
        pass

    def turn(self) -> Any:
        return nullcontext() if fcntl is None else self.queue.turn()

    def begin(self, connection: Connection) -> None:
        """Take the write lock before the first read: one taken later fails at once with "database
        is locked"."""
        left = seconds_left(LOCK_TIMEOUT_SECONDS)
        driver: Any = connection.connection.driver_connection
        driver.execute(f"PRAGMA busy_timeout = {int(left * 1000)}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def before_commit(self, connection: Connection) -> None:
        if connection.connection.info["file"][:2] != self._file()[:2]:
            connection.invalidate()
            raise Unavailable(f"{self.path} is not the file any more that is written to")

    def why_read_only(self, connection: Connection) -> str | None:
        for path in (self.path, self.path.parent, self.queue.path):
            if path.exists() and not os.access(path, os.W_OK):
                return f"{path} can't be written."
        if shutil.disk_usage(self.path.parent).free < FREE_BYTES:
            return f"The disk of {self.path} is full."
        return None

    def _file(self) -> tuple[int, ...]:
        """Which file it is, by device and inode, and who may write it; empty where it is gone."""
        try:
            status = self.path.stat()
        except OSError:
            return ()
        return status.st_dev, status.st_ino, status.st_mode, status.st_uid
