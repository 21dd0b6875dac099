"""The database: types, the clock, transactions, and SQL that differs between the two kinds.

Reading: `with reading() as connection`. Writing: `write_transaction(work)`.
"""

import random
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import update_wrapper
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar

import orjson
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase

from booking_app.core import engines
from booking_app.core.engines import LOCK_TIMEOUT_SECONDS, backend
from booking_app.core.outages import RETRYABLE_SQLSTATES, Busy, sqlstate, waiting

P = ParamSpec("P")
T = TypeVar("T")
# SELECTs and rows whose columns the type checker need not know
Query: TypeAlias = sa.Select[*tuple[Any, ...]]
Row: TypeAlias = sa.Row[*tuple[Any, ...]]

WRITE_ATTEMPTS = 5
BACK_OFF_SECONDS = 0.01  # before the second attempt, doubled before each further one
# Advisory locks of PostgreSQL; any numbers.
MIGRATING, LOADING, COPYING = 7_301_984, 7_301_985, 7_301_986


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

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[Any], datetime | None]:
        """Of SQLite's text, and of PostgreSQL's times: at once, since lists have many of them."""
        return _utc_of_text if dialect.name == "sqlite" else _in_utc


def _utc_of_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(f"{value}+00:00")


def _in_utc(value: datetime | None) -> datetime | None:
    return value if value is None or value.tzinfo is UTC else value.astimezone(UTC)


class _Now(sa.sql.functions.FunctionElement[datetime]):
    """`now` of the parameters, which a test passes, else the database's clock, so that hosts whose
    clocks differ agree; and so many seconds more."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, seconds: int) -> None:
        super().__init__(sa.bindparam("now", type_=UtcDateTime()), sa.literal_column(str(seconds)))


@compiles(_Now, "postgresql")
def _now_of_postgresql(element: _Now, compiler: Any, **kw: Any) -> str:
    # Not now(): that is the start of the transaction, which may have waited for a lock since.
    # Not clock_timestamp(): it changes within a statement, so no index could be used with it.
    now, seconds = (compiler.process(one, **kw) for one in element.clauses)
    present = f"coalesce({now}, statement_timestamp())"
    return present if seconds == "0" else f"{present} + make_interval(secs => {seconds})"


@compiles(_Now, "sqlite")
def _now_of_sqlite(element: _Now, compiler: Any, **kw: Any) -> str:
    now, seconds = (compiler.process(one, **kw) for one in element.clauses)
    form = "'%Y-%m-%d %H:%M:%f000'"
    if seconds == "0":
        return f"coalesce({now}, strftime({form}, 'now'))"
    return f"strftime({form}, coalesce({now}, 'now'), '{seconds} seconds')"


# The present. A statement with it takes the parameter `now`: a test's time, or None.
NOW = _Now(0)


def later(delay: timedelta) -> sa.ColumnElement[datetime]:
    """The present and so much later, in whole seconds; with the parameter `now`, as `NOW`."""
    return _Now(int(delay.total_seconds()))


class _Texts(sa.types.TypeDecorator[Sequence[str]]):
    """Several texts in one parameter: an array, on SQLite one of JSON."""

    impl = sa.String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        several = dialect.name == "postgresql"
        return dialect.type_descriptor(sa.ARRAY(sa.String) if several else sa.String())

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> Any:
        texts = list(value or ())
        return texts if dialect.name == "postgresql" else orjson.dumps(texts).decode()


class _OneOf(sa.BinaryExpression[bool]):
    """A comparison, which SQLite takes for a condition as it stands: it would compare what any
    other function answers with 1, and then use no index."""

    inherit_cache = True


@compiles(_OneOf, "postgresql")
def _one_of_on_postgresql(element: _OneOf, compiler: Any, **kw: Any) -> str:
    column, texts = (compiler.process(one, **kw) for one in (element.left, element.right))
    return f"{column} = ANY({texts})"


@compiles(_OneOf, "sqlite")
def _one_of_on_sqlite(element: _OneOf, compiler: Any, **kw: Any) -> str:
    column, texts = (compiler.process(one, **kw) for one in (element.left, element.right))
    return f"{column} IN (SELECT value FROM json_each({texts}))"  # noqa: S608 - compiled SQL


def one_of(column: Any, parameter: str) -> sa.ColumnElement[bool]:
    """Whether a column is one of the texts of that parameter, however many they are."""
    of = sa.inspect(column).expression
    return _OneOf(of, sa.bindparam(parameter, type_=_Texts()), sa.sql.operators.eq, sa.Boolean())


def fold(text: str) -> str:
    """`text` as it is compared: without regard to case, in every script, on both databases."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


# --- transactions ---------------------------------------------------------------------------


@contextmanager
def connected() -> Iterator[Connection]:
    """A connection of this thread's own; raises Down at once where the database is down."""
    engine = db.engine
    backend(engine).watch.refuse_if_down()
    with waiting(), engine.connect() as connection:
        yield connection


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection for reading: no lock; each statement sees what is committed."""
    with connected() as connection:
        backend(connection.engine).reading(connection)
        yield connection


def why_read_only() -> str | None:
    """Why the database takes no writes just now, in words; None where it does."""
    kind = backend(db.engine)
    with reading() as connection:
        reason = kind.why_read_only(connection)
    if reason is not None:
        # A session of PostgreSQL keeps what it was told when it began; a new one knows better.
        db.engine.dispose()
        with reading() as connection:
            reason = kind.why_read_only(connection)
    return reason


class AfterCommit(Exception):
    """Raised in a transaction that is to be committed all the same, such as with the audit of a
    refusal; then `error` is raised."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Undo(Exception):
    """Raised in a transaction whose writes are not wanted, such as a dry run's. It is undone, and
    its caller gets the `result`."""

    def __init__(self, result: Any) -> None:
        super().__init__(result)
        self.result = result


class WaitForLocks(Exception):
    """Raised by work that could not have what it wants without waiting: it is run again in a new
    transaction, which holds no lock yet, and there `may_wait` is true."""


def may_wait(connection: Connection) -> bool:
    """Whether the transaction may wait for what others have locked, which it must not while it
    holds locks that it took in another order than theirs."""
    return bool(connection.get_execution_options().get("may_wait", False))


class InSteps(Exception):
    """Raised by work that `is_alone` with statements and can't be: it is run in a transaction."""


def is_alone(connection: Connection) -> bool:
    """Whether each statement is a transaction by itself, which saves two round trips."""
    return bool(connection.get_execution_options().get("alone", False))


def has_writing_parts(of: Connection | sa.Engine) -> bool:
    """Whether the parts of one statement may write, as PostgreSQL's can."""
    return of.dialect.name == "postgresql"


def in_steps(connection: Connection) -> bool:
    """Whether it was found already that it can't be `alone`."""
    return bool(connection.get_execution_options().get("in_steps", False))


def write_transaction(work: Callable[[Connection], T], *, alone: bool = False) -> T:
    """Run `work` in one transaction and commit it; on any exception but AfterCommit nothing is
    written, and on Undo its result is the answer.

    `work` is run again, as a whole, when the database gave it up for a deadlock or a
    serialization failure, also one reported at COMMIT, and on WaitForLocks; after
    `WRITE_ATTEMPTS` the error goes to the caller. A connection lost during COMMIT is not retried:
    whether it was written is unknown then, and doing it twice would be worse than not answering.

    Where it may be `alone`, PostgreSQL first gets its statements without a transaction around them;
    work that can't be done so raises InSteps.
    """

    def attempt(options: Mapping[str, bool]) -> T:
        with ExitStack() as stack:
            return _Transaction(stack, options).run(work)

    is_possible = alone and has_writing_parts(db.engine)
    return _tried_again(attempt, {"alone": True} if is_possible else {})


def write_and_keep(work: Callable[[], T], keep: Callable[[Connection, T], object]) -> T:
    """Run `work`, which calls one use case, and then `keep` with its result in that use case's
    transaction; again as `write_transaction` has it. Not for a use case that raises Undo."""

    def attempt(options: Mapping[str, bool]) -> T:
        with ExitStack() as stack:
            transaction = _Transaction(stack, options)
            token = _outer.set(transaction)
            try:
                result = work()
            finally:
                _outer.reset(token)
            if transaction.connection is not None:
                keep(transaction.connection, result)
        return result

    return _tried_again(attempt, {})


class _Transaction:
    """A transaction that begins with the first use case that is run in it, and is committed when
    the stack is closed. `options` are those of its connection: `may_wait`, `alone`, `in_steps`.
    """

    def __init__(self, stack: ExitStack, options: Mapping[str, bool]) -> None:
        self.stack, self.options = stack, options
        self.connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`; on AfterCommit all is committed, and its error raised."""
        if self.connection is None:
            connection = self.stack.enter_context(connected())
            kind = backend(db.engine)
            if self.options.get("alone"):
                kind.reading(connection)
            else:
                self.stack.enter_context(kind.turn())
                self.stack.enter_context(begin_writing(connection))
            if self.options:
                connection.execution_options(**self.options)
            self.connection = connection
        try:
            return work(self.connection)
        except AfterCommit as kept:
            refusal = kept.error
        self.connection = None
        self.stack.close()
        raise refusal


# The transaction that the use cases of this thread join; None where each has its own.
_outer: ContextVar[_Transaction | None] = ContextVar("outer transaction", default=None)


def _tried_again(attempt: Callable[[Mapping[str, bool]], T], options: Mapping[str, bool]) -> T:
    """The result of `attempt`, made again as `write_transaction` has it; it is told the options of
    its connection, first these."""
    for number in range(WRITE_ATTEMPTS):
        try:
            return attempt(options)
        except InSteps:
            options = {"in_steps": True}
            continue
        except WaitForLocks:
            options = {"in_steps": True, "may_wait": True}
            continue
        except Undo as undone:
            result: T = undone.result
            return result
        except DBAPIError as error:
            if number + 1 == WRITE_ATTEMPTS or sqlstate(error) not in RETRYABLE_SQLSTATES:
                raise
        # Those that ran into each other try again at different moments.
        time.sleep(random.uniform(0, BACK_OFF_SECONDS * 2**number))  # noqa: S311 - no secret
    raise Busy("others were in the way each time")


class UseCase(Generic[P, T]):
    """A function that takes a connection first, as `writes` makes of it a use case."""

    def __init__(
        self, function: Callable[Concatenate[Connection, P], T], *, alone: bool = False
    ) -> None:
        self._function, self._alone = function, alone
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in a transaction of its own (`write_transaction`), or in that of
        `write_and_keep`."""

        def work(connection: Connection) -> T:
            return self._function(connection, *args, **kwargs)

        outer = _outer.get()
        if outer is not None:
            return outer.run(work)
        return write_transaction(work, alone=self._alone)

    def within(self, connection: Connection, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in the caller's transaction. Who began that tries again where it must be."""
        return self._function(connection.execution_options(may_wait=True), *args, **kwargs)


def writes(function: Callable[Concatenate[Connection, P], T]) -> UseCase[P, T]:
    """Decorator: the function runs in one transaction, as a whole again where it must be tried
    again. It is called without the connection, or by `within` in another's transaction."""
    return UseCase(function)


def writes_alone(function: Callable[Concatenate[Connection, P], T]) -> UseCase[P, T]:
    """Decorator: as `writes`, but it may be `alone` (`write_transaction`)."""
    return UseCase(function, alone=True)


@contextmanager
def begin_writing(connection: Connection) -> Iterator[None]:
    """One transaction on `connection`, committed at the end."""
    kind = backend(db.engine)
    with connection.begin():
        kind.begin(connection)
        yield
        kind.before_commit(connection)


def take_turns(connection: Connection, lock: int) -> None:
    """Until this transaction ends, be the only one in the database that took this lock: however
    long that takes, unlike with rows. On SQLite a writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")


def insert_or_ignore(connection: Connection, table: type[Base], **values: Any) -> bool:
    """Insert the row unless a unique constraint, whichever, is in the way; returns whether."""
    statement = upsert(connection)(table).values(**values)
    statement = statement.on_conflict_do_nothing().returning(sa.literal(1))
    return connection.execute(statement).first() is not None


def upsert(connection: Connection) -> Any:
    """The `insert()` of this database that has ON CONFLICT, in the same form on both."""
    return sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert


# --- set-up -------------------------------------------------------------------------------------


def init_app(app: Flask) -> None:
    """Bind `db` to the database of the app's settings and set up its engine."""
    url, pooler = app.config["DATABASE_URL"], app.config["DATABASE_POOLER"]
    app.config.update(
        SQLALCHEMY_DATABASE_URI=url,
        SQLALCHEMY_ENGINE_OPTIONS=engines.engine_options(url, app.config["WEB_THREADS"], pooler),
    )
    db.init_app(app)
    with app.app_context():
        engines.set_up(db.engine, instance=Path(app.instance_path), pooler=pooler)
