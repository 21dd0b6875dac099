"""Lists of the admin site: their columns and filters, and how a query's parameters narrow them. The
database searches, filters, sorts and pages; a list of any length is exported as it is read.

On its pages a list has LISTED_MAX rows at most, so that counting and sorting them does not take
longer the more there are.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import Any, TypeAlias

import marshmallow as ma
import sqlalchemy as sa
from flask import Response, request
from sqlalchemy.orm import InstrumentedAttribute

from booking_app.core.database import Query, reading
from booking_app.core.exports import streaming
from booking_app.core.formats import iso
from booking_app.core.paging import PAGE_MAX, TOTAL, Page, exactly
from booking_app.core.search import Searched
from booking_app.web import csv
from booking_app.web.fields import Day, StrictInteger, Text
from booking_app.web.problems import invalid

Condition: TypeAlias = sa.ColumnElement[bool]
PAGE_SIZE = 50
LISTED_MAX = 10_000
BYTE_ORDER_MARK = "\ufeff"
SEARCH = Text(max_length=200)


@dataclass(frozen=True)
class Column:
    """`show` gives the text of a row's cell; `sort` is what the list is sorted by, if it can be,
    and `indexed` whether an index has that order, and a value for each row. A long text `wraps`."""

    name: str
    label: str
    show: Callable[[Mapping[Any, Any]], str]
    sort: Any = None
    wraps: bool = False
    indexed: bool = False


def plain(
    name: str, label: str, sort: Any = None, *, wraps: bool = False, indexed: bool = False
) -> Column:
    """A column that shows its value as it is."""
    return Column(name, label, lambda row: text_of(row[name]), sort, wraps, indexed)


def text_of(value: Any) -> str:
    """A value as it is read by a person, and by a spreadsheet."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return iso(value.replace(microsecond=0))
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {text_of(one)}" for name, one in value.items())
    return str(value)


def table_file(lines: Iterable[str], name: str) -> Response:
    """A table to be kept as a file. Spreadsheets know by its first sign that it is UTF-8."""
    return Response(
        chain([BYTE_ORDER_MARK], lines),
        mimetype=csv.MEDIA_TYPE,
        headers={"Content-Disposition": f"attachment; filename={name}.csv"},
    )


# --- filters --------------------------------------------------------------------------------

Options = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Filter:
    """Narrows a list. `condition` makes the SQL from the value that `field` reads; `options` are
    what can be chosen, where it is not typed."""

    name: str
    field: ma.fields.Field[Any]
    condition: Callable[[Any], sa.ColumnElement[bool]]
    options: Options | Callable[[], Options] | None = None
    kind: str = "text"

    @property
    def arg(self) -> str:
        """Its parameter in a query."""
        return "flt_" + re.sub(r"\W+", "_", self.name.lower()).strip("_")

    def choices(self) -> Options | None:
        return self.options() if callable(self.options) else self.options


def planned_for(value: Any) -> Any:
    """A number or a day that stands in the statement itself: with a parameter, PostgreSQL would
    plan for any value (`plan_cache_mode`), and few rows may have this one. Texts stay parameters.
    """
    if isinstance(value, str):
        return value
    return sa.bindparam(None, value, literal_execute=True)


def _is(column: Any) -> Callable[[Any], Condition]:
    """That a column has the value, or what a function makes of the value."""
    return column if callable(column) else lambda value: column == planned_for(value)


def is_one_of(name: str, column: Any, values: Sequence[str]) -> Filter:
    """One of some fixed values."""
    field = ma.fields.String(validate=ma.validate.OneOf(values))
    return Filter(name, field, _is(column), [(value, value) for value in values])


def is_true(name: str, condition: Any) -> Filter:
    """Yes or no."""
    field = ma.fields.String(validate=ma.validate.OneOf(["yes", "no"]))
    options = [("yes", "yes"), ("no", "no")]
    return Filter(
        name, field, lambda value: condition if value == "yes" else sa.not_(condition), options
    )


def has_id(name: str, column: Any, options: Callable[[], Options] | None = None) -> Filter:
    """The row of that id."""
    field = StrictInteger(1, query=True)
    return Filter(name, field, _is(column), options, "number")


def from_day(name: str, condition: Callable[[date], sa.ColumnElement[bool]]) -> Filter:
    """A day, and what the database makes of it."""
    return Filter(name, Day(), condition, kind="date")


# --- lists ----------------------------------------------------------------------------------


def has_text(*searched: Searched) -> Callable[[str], Condition]:
    """A search: the rows in which one of the columns has the text."""
    return lambda text: sa.or_(*(one.like(one.pattern(text)) for one in searched))


@dataclass(frozen=True)
class Key:
    """What rows are sorted by; where it may have no value (`gaps`), those come last on both
    databases."""

    column: Any
    desc: bool
    gaps: bool = False

    def of(self, column: Any) -> Any:
        """The ORDER BY of a column that has it."""
        ordered = column.desc() if self.desc else column.asc()
        return ordered.nulls_last() if self.gaps else ordered


@dataclass(frozen=True)
class Table:
    """A list: its SELECT, which has the column `id`, what it is sorted by where nothing is asked
    for (`desc`: backwards), how it is searched, and its filters. `thing` is what one row is.

    Of a list that may be long, filters are conditions on `found`, a SELECT of the ids from its own
    table alone. `places` joins what is listed, with the columns `carried`, to the tables of its
    other columns. `find` is a search that gives up after LISTED_MAX matches: a table of ids.
    """

    name: str
    thing: str
    query: Query
    id_column: sa.ColumnElement[int] | InstrumentedAttribute[int]
    order: Sequence[Any]
    columns: Sequence[Column]
    search: Callable[[str], Condition]
    filters: Sequence[Filter] = ()
    desc: bool = False
    named_by: Sequence[str] = ()
    found: Query | None = None
    carried: Sequence[Any] = ()
    places: Callable[[Any], Any] = lambda listed: listed
    find: Callable[[str], Any] | None = None

    @property
    def keys(self) -> list[Key]:
        """The order where none is asked for."""
        return [Key(column, self.desc) for column in self.order]

    def named(self, row: Mapping[Any, Any]) -> str:
        """What a row is called: its first column, and those of `named_by`."""
        named = [one for one in self.columns if one.name in self.named_by]
        return ", ".join(column.show(row) for column in (self.columns[0], *named))


@dataclass(frozen=True, kw_only=True)
class ListPage(Page):
    """`more`: there are more than LISTED_MAX, so that not all are listed; `total` are those that
    are."""

    more: bool


@dataclass(frozen=True)
class Asked:
    """What a query asks of a list. `page` counts from 0, `sort` is the place of a column, `filters`
    are values by parameter; `conditions` are what they say, `keys` give a total order."""

    table: Table
    conditions: Sequence[Condition]
    keys: Sequence[Key]
    page: int
    sort: int | None
    desc: bool
    search: str | None
    filters: Mapping[str, str]

    def args(self, **changed: Any) -> dict[str, Any]:
        """The parameters of a link that asks the same but for what is changed; None is left out."""
        page, desc = self.page or None, 1 if self.desc else None
        args = {"page": page, "sort": self.sort, "desc": desc, "search": self.search}
        return {**args, **self.filters, **changed}

    @property
    def whole(self) -> Query:
        """The whole list."""
        found = self.table.query.where(*self.conditions)
        if self.search is not None:
            found = found.where(self.table.search(self.search))
        return found.order_by(*_order(self.keys))

    def fetch(self) -> ListPage:
        """The page that is asked for, in one statement: it finds the ids of what is listed, counts
        them, and reads only the page's rows from all the tables."""
        table, begin = self.table, self.page * PAGE_SIZE
        listed, order = self._listed()
        count = sa.select(sa.func.count()).select_from(listed)
        ids = order.limit(exactly(PAGE_SIZE)).offset(exactly(begin))
        page = table.query.where(table.id_column.in_(ids)).order_by(*_order(self.keys))
        page = page.add_columns(count.scalar_subquery().label(TOTAL))
        with reading() as connection:
            rows = connection.execute(page).mappings().all() if begin < LISTED_MAX else []
            total = rows[0][TOTAL] if rows else 0
            if not rows and self.page:
                total = connection.execute(count).scalar_one()
        return ListPage(
            items=rows,
            total=min(total, LISTED_MAX),
            more=total > LISTED_MAX,
            page=self.page + 1,
            page_size=PAGE_SIZE,
        )

    def _listed(self) -> tuple[sa.CTE, Query]:
        """What is listed, and one more where there are more; and its ids in the order that is asked
        for. Where no index has that order, what is listed is the same as without it."""
        table, keys = self.table, self.keys
        indexed = self.sort is None or table.found is None or table.columns[self.sort].indexed
        by = keys if indexed else table.keys
        found, told = self._found(), [key.column.label(f"by_{n}") for n, key in enumerate(by)]
        # Whether its own table has what the list is sorted by.
        own = indexed or _tables(keys[0].column) == _tables(table.id_column)
        if not own:
            told += table.carried
        elif not indexed:
            told += [key.column.label(f"key_{n}") for n, key in enumerate(keys)]
        found = found.add_columns(*told)
        if self.search is None:
            listed = found.order_by(*_order(by))
        else:
            # OFFSET 0: find first, then sort. PostgreSQL would go through the whole table in the
            # order of the list, since it expects to find enough soon.
            rows = found.offset(exactly(0)).subquery("found")
            listed = sa.select(rows).order_by(*(k.of(rows.c[f"by_{n}"]) for n, k in enumerate(by)))
        first = listed.limit(exactly(LISTED_MAX + 1)).cte("listed")
        ids = sa.select(first.c.id)
        if own:
            name = "by" if indexed else "key"
            order = [key.of(first.c[f"{name}_{n}"]) for n, key in enumerate(keys)]
        else:
            ids = ids.select_from(table.places(first))
            order = [keys[0].of(keys[0].column), keys[1].of(first.c.id)]
        return first, ids.order_by(*order)

    def _found(self) -> Query:
        """The ids of the rows that are asked for."""
        table = self.table
        if table.found is None:
            found = table.query.with_only_columns(table.id_column, maintain_column_froms=True)
        else:
            found = table.found
        if self.search is None:
            return found.where(*self.conditions)
        if table.find is None:
            return found.where(*self.conditions, table.search(self.search))
        matches = table.find(self.search)
        return found.join(matches, matches.c.id == table.id_column).where(*self.conditions)


def _tables(column: Any) -> Sequence[Any]:
    return sa.select(column).columns_clause_froms


def _order(keys: Sequence[Key]) -> list[Any]:
    return [key.of(key.column) for key in keys]


def asked_of(table: Table, refuse: Callable[[str, str], None]) -> Asked:
    """What the request asks; `refuse` is told, by name and message, what is left out of it since it
    is not allowed. Fields of the form that were left empty ask nothing."""
    conditions, filters, search = [], {}, None
    wanted = {name: value for name, value in request.args.items() if value}
    known = {one.arg: one for one in table.filters}
    for name in wanted:
        if name.startswith("flt_") and name not in known:
            refuse(name[:50], "There is no such filter.")
    for name, one in known.items():
        if not (value := wanted.get(name)):
            continue
        try:
            conditions.append(one.condition(one.field.deserialize(value)))
            filters[name] = value
        except (ma.ValidationError, OverflowError):  # that of the day after the last one
            refuse(one.name, f"{value[:50]} is not allowed.")
    if "search" in wanted:
        try:
            search = SEARCH.deserialize(wanted["search"])
        except ma.ValidationError as error:
            refuse("search", error.messages[0])
    page = min(max(request.args.get("page", 0, type=int), 0), PAGE_MAX)
    desc = bool(request.args.get("desc", 0, type=int))
    sort = request.args.get("sort", type=int)
    sorts = {place: one.sort for place, one in enumerate(table.columns) if one.sort is not None}
    if sort in sorts:
        gaps = not table.columns[sort].indexed
        keys = [Key(sorts[sort], desc, gaps), Key(table.id_column, desc=True)]
    else:
        keys, sort = table.keys, None
    return Asked(table, conditions, keys, page, sort, desc, search, filters)


def export(table: Table) -> Response:
    """The list that is asked for, as CSV; raises `problems.BadRequest` where something of it is not
    allowed, since a file of another list would be believed."""

    def refuse(name: str, message: str) -> None:
        raise invalid("query", {name: [message]})

    rows = streaming(asked_of(table, refuse).whole)
    cells = ([column.show(row) for column in table.columns] for row in csv.begun(rows))
    labels = [column.label for column in table.columns]
    response = table_file(csv.lines(labels, cells), table.name.lower())
    response.call_on_close(rows.close)
    return response
