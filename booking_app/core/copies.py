"""Copies every row of one database into another one, of the same kind or the other, and compares
them. The source is read in one snapshot; the target is written in one transaction."""

from collections.abc import Callable, Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, StatementError

from booking_app.core import engines
from booking_app.core.database import COPYING, Base, Query, Row, db, reading, writes
from booking_app.core.outages import is_unavailable
from booking_app.core.schema import (
    VERSION,
    SchemaRequirement,
    is_newer,
    lengthen_texts,
    needed_revision,
    present_revision,
    schema_problem,
)
from booking_app.core.snapshots import be_patient

ROWS_AT_ONCE = 500
STREAMED = {"yield_per": ROWS_AT_ONCE}
# Migrations write rows into these.
WRITTEN_BY_MIGRATIONS = (VERSION.name, SchemaRequirement.__tablename__)
INTEGER_MAX = 2**31 - 1


class NotCopied(Exception):
    """Why one database can't be copied into the other, in a sentence without its full stop."""


# --- refusals -------------------------------------------------------------------------------


def refuse_source(source: Connection, *, release: str) -> None:
    """Raise NotCopied where the schema of the source is not the one of this `release`."""
    if problem := schema_problem(source, release=release):
        raise NotCopied(problem.rstrip("."))
    _refuse_newer(source, "the source")


def prepare_target(source: Connection) -> None:
    """Raise NotCopied where the present application's database is the source, is of a later
    release, or has rows. On SQLite make its file if there is none. Then the migrations can run."""
    engines.make_file(db.engine)
    with reading() as target:
        if _is_same(source, target):
            raise NotCopied("The target is the database that DATABASE_URL names")
        _refuse_newer(target, "the target")
        _refuse_rows(target)


def _refuse_newer(connection: Connection, which: str) -> None:
    present = present_revision(connection)
    if is_newer(present):
        raise NotCopied(
            f"The schema of {which} is {present}, and this release knows those up to "
            f"{needed_revision()}: copy with the release that made it"
        )


def _is_same(source: Connection, target: Connection) -> bool:
    """Whether both are connected to one database, whatever the addresses say."""
    if source.dialect.name != target.dialect.name:
        return False
    if source.dialect.name == "sqlite":
        return Path(str(source.engine.url.database)).samefile(str(target.engine.url.database))
    # PostgreSQL keeps these locks by database. The source has it until its transaction ends.
    source.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(COPYING)))
    return not target.execute(sa.select(sa.func.pg_try_advisory_xact_lock(COPYING))).scalar_one()


def _refuse_rows(target: Connection) -> None:
    """Raise NotCopied unless every table is empty, whichever migrations the target has had."""
    names = sa.inspect(target).get_table_names()
    if names and VERSION.name not in names:
        raise NotCopied(f"The target has tables of something else, such as {min(names)}")
    for name in sorted(set(names) - set(WRITTEN_BY_MIGRATIONS)):
        rows = sa.select(sa.literal(1)).select_from(sa.table(name)).limit(1)
        if target.execute(rows).first():
            raise NotCopied(f"The target is not empty: {name} has rows. Name an empty database")


# --- the copy -------------------------------------------------------------------------------


@writes
def fill(target: Connection, *, source: Connection, copied: Callable[[str, int], None]) -> None:
    """Copy every row of `source` into the present application's database, which has this release's
    schema and no rows. Tell each table and the number of its rows by `copied`.

    Raises NotCopied where the target has rows, where it can't hold a row, and where a row is not
    read back as it was; then nothing is written.
    """
    tables = Base.metadata.sorted_tables
    if target.dialect.name == "postgresql":
        be_patient(target)
        quote = target.dialect.identifier_preparer.quote
        names = ", ".join(quote(table.name) for table in tables)
        target.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
    _refuse_rows(target)
    # The source says which releases may serve the copy: its rows are what they can or can't read.
    target.execute(sa.delete(SchemaRequirement))
    lengthen_texts(target)
    for table in tables:
        copied(table.name, _copy(table, source, target))
    for table in tables:
        if table.autoincrement_column is not None:
            _set_last_id(target, table, _last_id(source, table))


def _copy(table: sa.Table, source: Connection, target: Connection) -> int:
    """Copy the rows of a table, and compare each with what was written; give their number."""
    rows = _rows(table, source)
    while some := list(islice(rows, ROWS_AT_ONCE)):
        _insert(table, target, some)
    if target.dialect.name == "postgresql":  # until then it plans for a table without rows
        target.exec_driver_sql(f"ANALYZE {target.dialect.identifier_preparer.quote(table.name)}")
    number = 0
    for row, written in zip_longest(_rows(table, source), _rows(table, target)):
        if row is None or written is None:
            raise NotCopied(f"{table.name}: the target has other rows than those written")
        if wrong := _differing(row, written):
            raise NotCopied(f"{_name(table, row)}: the target keeps another {', '.join(wrong)}")
        number += 1
    return number


def _rows(table: sa.Table, connection: Connection) -> Iterator[Row]:
    """All rows, as they are read, in the order of their keys, which is one for both databases."""
    row: Row | None = None
    try:
        with connection.execute(_in_order(table, connection), execution_options=STREAMED) as result:
            for row in result:
                yield row
    except (ValueError, DBAPIError) as error:
        if is_unavailable(error):
            raise
        place = f"after {_name(table, row)}" if row else f"{table.name}, at the beginning"
        raise NotCopied(f"{place}: a row can't be read: {_reason(error)}") from error


def _in_order(table: sa.Table, connection: Connection) -> Query:
    def key(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        is_text = isinstance(column.type, sa.String) and connection.dialect.name == "postgresql"
        return sa.collate(column, "C") if is_text else column

    return sa.select(table).order_by(*map(key, table.primary_key))


def _insert(table: sa.Table, target: Connection, rows: list[Row]) -> None:
    """Insert the rows. Where the database refuses one of them, find it and raise NotCopied."""
    try:
        with target.begin_nested():
            target.execute(sa.insert(table), [dict(row._mapping) for row in rows])
    except StatementError as error:
        if is_unavailable(error):
            raise
        if len(rows) == 1:
            why = _unfit(table, rows[0]) or f"the target refuses it: {_reason(error)}"
            raise NotCopied(f"{_name(table, rows[0])}: {why}") from error
        for row in rows:
            _insert(table, target, [row])


def _unfit(table: sa.Table, row: Row) -> str | None:
    """Which value SQLite keeps and PostgreSQL doesn't."""
    for column, value in zip(table.columns, row, strict=True):
        if _has_nul(value):
            return f"{column.name} has the character NUL, which PostgreSQL can't keep"
        length = getattr(column.type, "length", None)
        if isinstance(value, str) and length and len(value) > length:
            return f"{column.name} has {len(value)} characters, and PostgreSQL keeps {length}"
        if isinstance(value, int) and abs(value) > INTEGER_MAX and type(column.type) is sa.Integer:
            return f"{column.name} is {value}, and PostgreSQL keeps {INTEGER_MAX} at most"
    return None


def _has_nul(value: object) -> bool:
    """Whether a text, or one within the JSON, has it."""
    if isinstance(value, dict):
        return any(map(_has_nul, (*value.keys(), *value.values())))
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def _differing(row: Row, written: Row) -> list[str]:
    """The columns whose values are not the same, nor of the same type."""
    return [
        str(name)
        for name, one, other in zip(row._mapping, row, written, strict=True)
        if type(one) is not type(other) or one != other or _json(one) != _json(other)
    ]


def _json(value: object) -> bytes | None:
    """JSON as text, in which 1 is neither 1.0 nor true; None for what is no JSON."""
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return None


def _name(table: sa.Table, row: Row) -> str:
    """As check-integrity names it: `show_seat 7/A5`."""
    key = (str(row._mapping[column.name]) for column in table.primary_key)
    return f"{table.name} {'/'.join(key)}"


def _reason(error: Exception) -> str:
    """In one line, and without the row, which may have secrets."""
    reason = getattr(error, "orig", None) or error
    told = getattr(getattr(reason, "diag", None), "message_primary", None)
    return " ".join(str(told or reason).split())


# --- ids ------------------------------------------------------------------------------------


def _last_id(connection: Connection, table: sa.Table) -> int:
    """The highest id that was given, also to a row that was deleted, as far as the database knows.
    Read after the rows: PostgreSQL's sequences are not part of a snapshot."""
    given = 0
    if connection.dialect.name == "postgresql":
        sequence = sa.text(_sequence(connection, table))
        query = sa.select(sa.text("last_value"), sa.text("is_called")).select_from(sequence)
        value, is_called = connection.execute(query).one()
        given = value if is_called else value - 1
    elif _keeps_last_id(table):
        sequences = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
        query = sa.select(sequences.c.seq).where(sequences.c.name == table.name)
        given = connection.execute(query).scalar() or 0
    highest: int | None = connection.execute(sa.select(sa.func.max(table.c.id))).scalar()
    return max(given, highest or 0)


def _set_last_id(connection: Connection, table: sa.Table, last: int) -> None:
    """Let the next row have the id after `last`."""
    if connection.dialect.name == "postgresql":
        set_value = sa.func.setval(_sequence(connection, table), last + 1, False)
        connection.execute(sa.select(set_value))
    elif _keeps_last_id(table):
        delete = "DELETE FROM sqlite_sequence WHERE name = ?"
        connection.exec_driver_sql(delete, (table.name,))
        if last:
            insert = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)"
            connection.exec_driver_sql(insert, (table.name, last))


def _sequence(connection: Connection, table: sa.Table) -> str:
    """The name of the sequence of PostgreSQL's, as it stands in statements."""
    name = connection.dialect.identifier_preparer.quote(table.name)
    sequence = sa.select(sa.func.pg_get_serial_sequence(name, "id"))
    return str(connection.execute(sequence).scalar_one())


def _keeps_last_id(table: sa.Table) -> bool:
    """Whether SQLite gives no id of the table twice. Of others it knows the rows alone."""
    return bool(table.dialect_options["sqlite"]["autoincrement"])
