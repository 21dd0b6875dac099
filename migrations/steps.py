"""What migrations share, so that others go on selling meanwhile: short locks and batches.

The rules for a change of the tables stand in docs/internals.md, "Changing tables".
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from alembic import op

from booking_app.core.database import MIGRATING, begin_writing

try:
    import fcntl
except ImportError:  # Windows: there nobody upgrades one file twice at once
    fcntl = None

T = TypeVar("T")

# Whoever asks for a lock on a table after a waiting ALTER TABLE waits behind it, readers too. So a
# migration waits for less time than the application does (LOCK_TIMEOUT_SECONDS), and for more than
# the second after which PostgreSQL ends an autovacuum that is in the way (deadlock_timeout).
LOCK_SECONDS = 2.0
# Between two tries: those who waited behind the migration have their turn.
PAUSE_SECONDS = 1.0
TURN_SECONDS = 0.2  # between two tries to be the only upgrade
TRIES = 10
# lock_not_available, deadlock_detected
GAVE_UP_SQLSTATES = ("55P03", "40P01")

# Who has locks on the tables that the statement names; whoever began first comes first.
HOLDERS = sa.text(
    """
    SELECT a.pid, a.application_name, a.state, a.query,
           extract(epoch FROM clock_timestamp() - a.xact_start)::INTEGER AS seconds
    FROM pg_locks AS l
    JOIN pg_stat_activity AS a ON a.pid = l.pid
    JOIN pg_class AS c ON c.oid = l.relation
    WHERE l.granted AND l.locktype = 'relation' AND a.datname = current_database()
      AND l.pid <> pg_backend_pid() AND c.relkind = 'r'
      AND :statement ~ ('\\m' || c.relname || '\\M')
    ORDER BY a.xact_start LIMIT 1
    """
)


# --- in migrations --------------------------------------------------------------------------


def in_batches(
    table: str, work: Callable[[sa.Connection, int, int], object], *, rows: int = 20
) -> None:
    """Call `work(connection, after, upto)` for one range of the table's ids after the other
    (`after < id <= upto`, so many rows), each in a transaction of its own.

    An upgrade that is broken off begins again with the first range: `work` must do nothing where
    it was done. Between two batches it rests for as long as the last one took, so that on SQLite,
    which has one writer at a time, others find the lock free.
    """
    ids = sa.table(table, sa.column("id")).c.id
    with outside_transaction() as connection:

        def batch() -> int | None:
            range_ = sa.select(ids).where(ids > after).order_by(ids).limit(rows).subquery()
            upto = connection.execute(sa.select(sa.func.max(range_.c.id))).scalar()
            if upto is not None:
                work(connection, after, upto)
            return upto

        upto: int | None = 0
        while upto is not None:
            after = upto
            began = time.monotonic()
            upto = run(connection, batch)
            time.sleep(time.monotonic() - began)


@contextmanager
def outside_transaction() -> Iterator[sa.Connection]:
    """Whatever is done within is committed by itself: batches, an index made CONCURRENTLY.

    It must come before everything else in its migration. Where an upgrade is broken off, the whole
    migration is run again, and so it must be possible to do all of this twice.
    """
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        changed = connection.execute(sa.select(sa.func.txid_current_if_assigned())).scalar()
        if changed is not None:
            raise RuntimeError(
                "Put what is done outside of the transaction first in a migration of its own: "
                "what stands before it would stay where the upgrade is broken off, and be done "
                "twice."
            )
    connection.commit()
    yield connection
    connection.commit()
    begin(connection)


def require_release(release: str | None) -> None:
    """Say that only this release and later ones may serve the database from now on ("1.4.0");
    None: whichever can. For a migration that takes away what earlier releases use."""
    if release is not None and not re.fullmatch(r"\d+\.\d+\.\d+", release):
        raise ValueError(f"a release is three numbers such as 1.4.0, not {release!r}")
    columns = (sa.column("id", sa.Integer), sa.column("least_release", sa.String))
    requirement = sa.table("schema_requirement", *columns)
    op.execute(sa.delete(requirement))
    op.execute(sa.insert(requirement).values(id=1, least_release=release))


def is_unused() -> bool:
    """Whether nobody has used the database: it has no account, film or cinema."""
    used = (
        sa.exists(sa.select(sa.text("1")).select_from(sa.table(name)))
        for name in ("user_account", "movie", "cinema")
    )
    return not op.get_bind().execute(sa.select(sa.or_(*used))).scalar_one()


def refuse_downgrade(what: str, count: sa.Select[int]) -> None:
    """SystemExit with one line where there are rows that the schema before has no place for."""
    rows = op.get_bind().execute(count).scalar_one()
    if rows:
        raise SystemExit(f"Can't go back: {rows} {what}, which the release before can't keep.")


# --- around them (env.py) -------------------------------------------------------------------


@contextmanager
def alone(engine: sa.Engine) -> Iterator[None]:
    """Be the only upgrade of this database, also between its transactions, however long it takes
    to become that.

    The lock is freed by a crash. PostgreSQL's is of a transaction rather than of a session: one
    that a pooler such as PgBouncer hands to somebody else after each transaction would keep it. It
    is tried again and again: who waits for it in a statement has a snapshot meanwhile, which an
    index that is made CONCURRENTLY waits for in turn.
    """
    if engine.dialect.name == "sqlite":
        with Path(f"{engine.url.database}.upgrade-lock").open("ab") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with engine.connect() as connection:
        while True:
            with begin_writing(connection):
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
                # Without parameters: what is sent with them keeps its snapshot until the next.
                asked = f"SELECT pg_try_advisory_xact_lock({MIGRATING})"
                if connection.exec_driver_sql(asked).scalar():
                    yield
                    return
            time.sleep(TURN_SECONDS)


def begin(connection: sa.Connection) -> None:
    """Begin a transaction that waits LOCK_SECONDS for a lock at most."""
    milliseconds = round(LOCK_SECONDS * 1000)
    connection.begin()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {milliseconds}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("BEGIN ISOLATION LEVEL READ COMMITTED")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")


def run(connection: sa.Connection, work: Callable[[], T]) -> T:
    """Call `work` in a transaction, again and again until it had all its locks in time, and commit;
    SystemExit, saying who is in the way, after TRIES."""
    for tries_left in reversed(range(TRIES)):
        try:
            begin(connection)
            done = work()
            connection.commit()
            return done
        except sa.exc.OperationalError as error:
            connection.rollback()
            if not _is_lock_timeout(error):
                raise
            if not tries_left:
                raise SystemExit(_in_the_way(connection, error)) from error
            time.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _is_lock_timeout(error: sa.exc.OperationalError) -> bool:
    busy = int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF == sqlite3.SQLITE_BUSY
    return busy or getattr(error.orig, "sqlstate", None) in GAVE_UP_SQLSTATES


def _in_the_way(connection: sa.Connection, error: sa.exc.OperationalError) -> str:
    """One line for the operator."""
    told = (
        f"The upgrade stopped after {TRIES} tries: `{_short(str(error.statement))}` had to wait "
        f"for more than {LOCK_SECONDS:g} s"
    )
    done = "What was done until then stays; run the upgrade again for the rest."
    if connection.dialect.name == "sqlite":
        return f"{told}, and another process was writing to the database all the time. {done}"
    holder = connection.execute(HOLDERS, {"statement": error.statement}).first()
    if holder is None:
        return f"{told}, and others had the locks each time. {done}"
    name = f"{holder.application_name}, " if holder.application_name else ""
    return (
        f"{told}, and process {holder.pid} of PostgreSQL ({name}{holder.state}, in a transaction "
        f"for {holder.seconds} s) was in the way with `{_short(holder.query)}`. "
        f"Let it finish or end it: SELECT pg_terminate_backend({holder.pid}). {done}"
    )


def _short(statement: str) -> str:
    line = " ".join(statement.split())
    return line if len(line) <= 100 else f"{line[:100]}..."
