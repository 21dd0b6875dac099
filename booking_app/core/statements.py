"""Statements of the busy paths: compiled once, and run on the driver's own cursor.

SQLAlchemy takes some 60 microseconds to run a statement and make rows of what it answers; the
driver takes 10. What else it does for a statement is done here too: types go in and out as the
columns say, listeners to `before_cursor_execute` are told, and errors come as its own, by its own
handling, which gives up connections that are lost.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from psycopg import RawCursor
from sqlalchemy.engine import Connection, Dialect, ExecutionContext

# Execution options: of a connection, the SQL that begins a transaction, where each statement has to
# be one by itself; of a statement, an error that `failing` raises.
WHOLE, FAILED = "whole_transaction", "failed"

Element: TypeAlias = sa.Select[*tuple[Any, ...]] | sa.Insert | sa.Update | sa.Delete
Convert: TypeAlias = Callable[[Any], Any]


def constant(text: str) -> sa.ColumnElement[str]:
    """A text within the SQL, without a quote in it: one parameter less to send."""
    return sa.literal_column(f"'{text}'", sa.Text)


class Statement:
    """A statement of SQLAlchemy's Core, to be run again and again. Its parameters are given by name
    at each run; one with `expanding` is not possible (`database.one_of`)."""

    def __init__(self, element: Element) -> None:
        self.element = element
        self._forms: dict[str, _Form] = {}

    def all(self, connection: Connection, params: Mapping[str, Any]) -> list[Any]:
        """Its rows, as named tuples."""
        form = self._form(connection)
        rows = self._run(connection, form, params).fetchall()
        return [form.row(values) for values in rows]

    def first(self, connection: Connection, params: Mapping[str, Any]) -> Any:
        """Its first row, as a named tuple; None where there is none."""
        form = self._form(connection)
        values = self._run(connection, form, params).fetchone()
        return None if values is None else form.row(values)

    def count(self, connection: Connection, params: Mapping[str, Any]) -> int:
        """How many rows it changed."""
        return int(self._run(connection, self._form(connection), params).rowcount)

    def _form(self, connection: Connection) -> "_Form":
        dialect = connection.dialect
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _Form(self.element, dialect)
        return form

    def _run(self, connection: Connection, form: "_Form", params: Mapping[str, Any]) -> Any:
        driver: Any = connection.connection.driver_connection
        sql, values = form.sql, form.values(params)
        whole = connection.get_execution_options().get(WHOLE)
        try:
            # Else psycopg takes the SQL apart for its parameters, long ones at each call.
            cursor = RawCursor(driver) if form.is_raw else driver.cursor()
            for listener in connection.dispatch.before_cursor_execute:
                sql, values = listener(connection, cursor, sql, values, None, False)
            if whole:
                driver.execute(whole)
            cursor.execute(sql, values)
            if whole:
                driver.execute("COMMIT")
        except connection.dialect.loaded_dbapi.Error as error:
            connection.exec_driver_sql(sql, execution_options={FAILED: error})
            raise
        return cursor


class _Form:
    """A statement in the SQL of one database, with how its values go in and come out."""

    def __init__(self, element: Element, dialect: Dialect) -> None:
        self.is_raw = dialect.name == "postgresql"
        # In the server's own form, $1 and so on; SQLite has only the one.
        kind: Any = type(dialect)
        written = kind(paramstyle="numeric_dollar") if self.is_raw else dialect
        compiled = element.compile(dialect=written)
        self.sql = str(compiled)
        self._order: Sequence[str] = compiled.positiontup or ()
        self._fixed = compiled.params
        # By name: a parameter that stands in several places may be as many bindparams.
        self._into = {
            name: convert
            for bind, name in compiled.bind_names.items()
            if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect))
        }
        columns = list(getattr(element, "exported_columns", ()))
        self._make = namedtuple("Row", [column.key for column in columns])  # type: ignore[misc]
        self._out = [
            (place, convert)
            for place, column in enumerate(columns)
            if (convert := column.type.dialect_impl(dialect).result_processor(dialect, None))
        ]

    def values(self, params: Mapping[str, Any]) -> Any:
        """The parameters as the driver takes them."""
        values = {**self._fixed, **params}
        for name, convert in self._into.items():
            values[name] = convert(values[name])
        return [values[name] for name in self._order]

    def row(self, values: Sequence[Any]) -> Any:
        """A row as the columns' types have it."""
        if self._out:
            values = list(values)
            for place, convert in self._out:
                values[place] = convert(values[place])
        return self._make(*values)


def failing(*args: Any) -> bool:
    """A listener to `do_execute`, for each engine: raises the error of the execution option FAILED,
    so that SQLAlchemy handles it as one of its own."""
    context: ExecutionContext = args[-1]
    error = context.execution_options.get(FAILED)
    if error is not None:
        raise error
    return False
