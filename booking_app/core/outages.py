"""Outages of the database: which errors mean one, how long a request waits, when it is down.

`time_limit` bounds the waiting of what runs within it. A `Watch`, one for each engine, ends the
uses of connections that take longer, and finds out in the background when the database is down
and when it is back.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from weakref import WeakSet

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

log = logging.getLogger(__name__)

# --- which errors mean an outage ------------------------------------------------------------

# "cached plan must not change result type" (feature_not_supported): a column was made longer. A
# connection that has prepared a statement with it fails each time.
STALE_PLAN = "0A000"
# serialization_failure, deadlock_detected: nothing was written, and trying again can succeed.
RETRYABLE_SQLSTATES = ("40001", "40P01", STALE_PLAN)
LOCK_NOT_AVAILABLE = "55P03"
# connection exception, insufficient resources, operator intervention, system error
OUTAGE_CLASSES = ("08", "53", "57", "58")
# read_only_sql_transaction (a standby, or an operator who stops writes),
# idle_in_transaction_session_timeout
OUTAGE_SQLSTATES = ("25006", "25P03", STALE_PLAN)
# A new connection would find the same.
SAME_FOR_ALL = ("53", "57014", "58")

# The connection is as good as before: somebody else is in the way, or the time is over.
SQLITE_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
SQLITE_OUTAGES = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
)


class Unavailable(Exception):
    """The database can't be used just now; the text says why."""


class Down(Unavailable):
    """The database is known to be down; the log says since when and why."""


class Busy(Unavailable):
    """Somebody else's transaction was in the way for too long."""


def sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's five-character code; None on SQLite and where the connection was lost."""
    return getattr(error.orig, "sqlstate", None)


def _sqlite_code(error: DBAPIError) -> int:
    """SQLite's primary result code; 0 on PostgreSQL."""
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF


def is_unavailable(error: BaseException | None) -> bool:
    """Whether `error` means that the database can't be used, or is too busy, just now."""
    if isinstance(error, PoolTimeout | Unavailable):
        return True
    return isinstance(error, DBAPIError) and (
        is_lock_timeout(error)
        or sqlstate(error) in RETRYABLE_SQLSTATES
        or _sqlite_code(error) == sqlite3.SQLITE_INTERRUPT
        or is_outage(error)
    )


def is_outage(error: DBAPIError) -> bool:
    """Whether the connection that `error` came from must not be used any more."""
    code = sqlstate(error)
    if code is not None:
        return code.startswith(OUTAGE_CLASSES) or code in OUTAGE_SQLSTATES
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error) in SQLITE_OUTAGES
    # psycopg: a connection that was refused or lost has no SQLSTATE
    return error.connection_invalidated or isinstance(error, OperationalError)


def is_for_all(error: DBAPIError) -> bool:
    """Whether an outage that this connection met concerns all connections that are open: a server
    that is gone does, a disk that is full can't be helped by new ones."""
    code = sqlstate(error)
    full = _sqlite_code(error) == sqlite3.SQLITE_FULL
    return not (full or (code or "").startswith(SAME_FOR_ALL))


def is_lock_timeout(error: BaseException) -> bool:
    """Whether `error` means that somebody else's transaction was in the way for too long."""
    if isinstance(error, PoolTimeout | Busy):
        return True
    return isinstance(error, DBAPIError) and (
        sqlstate(error) == LOCK_NOT_AVAILABLE or _sqlite_code(error) in SQLITE_BUSY
    )


# --- how long a request waits ---------------------------------------------------------------


@dataclass(slots=True)
class _Allowance:
    """How many seconds may still be spent on waiting; `since`: the wait that is going on."""

    granted: float
    is_probe: bool = False
    since: float | None = None

    @property
    def left(self) -> float:
        if self.since is None:
            return self.granted
        return self.granted - (time.monotonic() - self.since)


_allowance: ContextVar[_Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def time_limit(seconds: float | None, *, is_probe: bool = False) -> Iterator[None]:
    """Within, nobody waits for the database for longer than that, all waits together; a
    connection that is taken under None is exempt. A probe has its time also while the database is
    down."""
    before = _allowance.get()
    _allowance.set(None if seconds is None else _Allowance(seconds, is_probe))
    try:
        yield
    finally:
        _allowance.set(before)


def set_time_limit(seconds: float | None) -> None:
    """As `time_limit`, until it is set again."""
    _allowance.set(None if seconds is None else _Allowance(seconds))


def has_time_limit() -> bool:
    """Whether waiting is bounded here, as it is in requests."""
    return _allowance.get() is not None


def seconds_left(most: float) -> float:
    """How long one may wait now, at most `most`. Raises Unavailable where the time is over."""
    allowance = _allowance.get()
    if allowance is None:
        return most
    if allowance.left <= 0:
        raise Unavailable("the time for this request is over")
    return min(allowance.left, most)


@contextmanager
def waiting() -> Iterator[None]:
    """What is done within counts as waiting for the database; what a request computes does not.
    Raises Unavailable where the time is over."""
    allowance = _allowance.get()
    if allowance is None:
        yield
        return
    if allowance.left <= 0:
        raise Unavailable("the time for this request is over")
    is_outermost = allowance.since is None
    if is_outermost:
        allowance.since = time.monotonic()
    try:
        yield
    finally:
        if is_outermost:
            allowance.granted, allowance.since = allowance.left, None


# --- who is answered at once ----------------------------------------------------------------

TICK_SECONDS = 0.2  # how often the watch looks
PATIENCE_SECONDS = 1.0  # a use that takes longer makes it look whether the database is there
PROBE_SECONDS = 1.5  # the longest that a look takes, once connected
IDLE_SECONDS = 10.0  # after which its thread ends
PAUSE_SECONDS = 0.3  # between two looks while it is down


_watches: WeakSet["Watch"] = WeakSet()


def _reset_all() -> None:
    for watch in list(_watches):
        watch.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)


@dataclass(slots=True)
class _Use:
    started: float
    ends_at: float
    end: Callable[[], None]
    is_probe: bool
    ended: bool = False


class Watch:
    """The uses of an engine's connections that have a time limit.

    One thread for each process ends what takes too long. `probe` raises where the database can't
    be reached; None where there is no server to reach. While it can't, `refuse_if_down` raises at
    once, and another thread looks again and again.
    """

    def __init__(self, probe: Callable[[], None] | None = None) -> None:
        self._probe = probe
        self.reset()
        _watches.add(self)

    def reset(self) -> None:
        """Begin anew: threads and the uses of connections don't outlive a fork."""
        self._uses: dict[int, _Use] = {}
        self._is_running = False
        self._is_down = False
        self._reached = 0.0
        self._starting = threading.Lock()
        self._probing = threading.Lock()

    def begin(self, key: int, end: Callable[[], None]) -> None:
        """A use begins, unless it is exempt; `end` makes what it waits for fail."""
        allowance = _allowance.get()
        if allowance is None:
            return
        now = time.monotonic()
        self._uses[key] = _Use(now, now + allowance.left, end, allowance.is_probe)
        if not self._is_running:
            self._start()

    def finish(self, key: int) -> None:
        """The use is over."""
        self._uses.pop(key, None)

    def refuse_if_down(self) -> None:
        """Raises Down where the database is known to be down."""
        if self._is_down:
            raise Down("the database is down")

    def suspect(self) -> None:
        """Look in the background whether the database is there, unless somebody just did."""
        recently = time.monotonic() - self._reached < PATIENCE_SECONDS
        if self._probe and not recently and self._probing.acquire(blocking=False):
            threading.Thread(target=self._look, args=(self._probe,), daemon=True).start()

    def _start(self) -> None:
        with self._starting:
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="database-watch", daemon=True).start()

    def _run(self) -> None:
        busy = time.monotonic()
        while self._is_running:
            time.sleep(TICK_SECONDS)
            now = time.monotonic()
            if self._uses:
                busy = now
            elif now - busy > IDLE_SECONDS:
                self._is_running = False
                # A use that began just before did not start another thread.
                self._is_running = bool(self._uses)
            for use in list(self._uses.values()):
                self._look_at(use, now)

    def _look_at(self, use: _Use, now: float) -> None:
        waits_long = now - use.started > PATIENCE_SECONDS
        in_vain = self._is_down and waits_long and not use.is_probe
        if not use.ended and (now > use.ends_at or in_vain):
            use.ended = True
            with suppress(Exception):  # of a connection that has just been closed
                use.end()
        elif waits_long:
            self.suspect()

    def _look(self, probe: Callable[[], None]) -> None:
        try:
            while not self._is_reached(probe):
                time.sleep(PAUSE_SECONDS)
        finally:
            self._probing.release()

    def _is_reached(self, probe: Callable[[], None]) -> bool:
        try:
            probe()
        except Exception as error:
            if not self._is_down:
                log.warning("the database is down: %s", " ".join(str(error).split()))
            self._is_down = True
            return False
        if self._is_down:
            log.warning("the database is back")
        self._reached, self._is_down = time.monotonic(), False
        return True
