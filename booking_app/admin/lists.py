"""Lists of the admin site: their columns and filters, and how a query's parameters narrow them. The
database searches, filters, sorts and pages; a list of any length is exported as it is read."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from flask import Response, request
from sqlalchemy.orm import InstrumentedAttribute

from booking_app.core.database import Query, reading, streaming
from booking_app.core.formats import iso
from booking_app.core.paging import PAGE_MAX, Page, fetch_page, listing
from booking_app.core.search import Searched
from booking_app.web import csv
from booking_app.web.fields import Day, StrictInteger, Text
from booking_app.web.problems import invalid

PAGE_SIZE = 50
BYTE_ORDER_MARK = "\ufeff"
SEARCH = Text(max_length=200)


@dataclass(frozen=True)
class Column:
    """`show` gives the text of a row's cell; `sort` is what the list is sorted by, if it can be.
    A long text `wraps`."""

    name: str
    label: str
    show: Callable[[Mapping[Any, Any]], str]
    sort: Any = None
    wraps: bool = False


def plain(name: str, label: str, sort: Any = None, *, wraps: bool = False) -> Column:
    """A column that shows its value as it is."""
    return Column(name, label, lambda row: text_of(row[name]), sort, wraps)


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


def is_one_of(name: str, column: Any, values: Sequence[str]) -> Filter:
    """One of some fixed values."""
    field = ma.fields.String(validate=ma.validate.OneOf(values))
    return Filter(name, field, lambda value: column == value, [(value, value) for value in values])


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
    return Filter(name, field, lambda value: column == value, options, "number")


def from_day(name: str, condition: Callable[[date], sa.ColumnElement[bool]]) -> Filter:
    """A day, and what the database makes of it."""
    return Filter(name, Day(), condition, kind="date")


# --- lists ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A list: its SELECT, which has the column `id`, its order where none is asked for, what it is
    searched by, and its filters. `thing` is what one row is."""

    name: str
    thing: str
    query: Query
    id_column: sa.ColumnElement[int] | InstrumentedAttribute[int]
    order: Sequence[Any]
    columns: Sequence[Column]
    searched: Sequence[Searched]
    filters: Sequence[Filter] = ()
    named_by: Sequence[str] = ()

    def named(self, row: Mapping[Any, Any]) -> str:
        """What a row is called: its first column, and those of `named_by`."""
        named = [one for one in self.columns if one.name in self.named_by]
        return ", ".join(column.show(row) for column in (self.columns[0], *named))


@dataclass(frozen=True)
class Asked:
    """What a query asks of a list. `page` counts from 0, `sort` is the place of a column, `filters`
    are values by parameter; `query` is the whole list, in a total order."""

    query: Query
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

    def fetch(self) -> Page:
        """The page that is asked for."""
        with reading() as connection:
            return fetch_page(
                connection, listing(self.query), page=self.page + 1, page_size=PAGE_SIZE
            )


def asked_of(table: Table, refuse: Callable[[str, str], None]) -> Asked:
    """What the request asks; `refuse` is told, by name and message, what is left out of it since it
    is not allowed. Fields of the form that were left empty ask nothing."""
    query, filters, search = table.query, {}, None
    wanted = {name: value for name, value in request.args.items() if value}
    known = {one.arg: one for one in table.filters}
    for name in wanted:
        if name.startswith("flt_") and name not in known:
            refuse(name[:50], "There is no such filter.")
    for name, one in known.items():
        if not (value := wanted.get(name)):
            continue
        try:
            query = query.where(one.condition(one.field.deserialize(value)))
            filters[name] = value
        except (ma.ValidationError, OverflowError):  # that of the day after the last one
            refuse(one.name, f"{value[:50]} is not allowed.")
    if "search" in wanted:
        try:
            search = SEARCH.deserialize(wanted["search"])
            found = (one.like(one.pattern(search)) for one in table.searched)
            query = query.where(sa.or_(*found))
        except ma.ValidationError as error:
            refuse("search", error.messages[0])
    page = min(max(request.args.get("page", 0, type=int), 0), PAGE_MAX)
    desc = bool(request.args.get("desc", 0, type=int))
    sort = request.args.get("sort", type=int)
    sorts = {place: one.sort for place, one in enumerate(table.columns) if one.sort is not None}
    if sort in sorts:
        # Where there is no value, it comes last on both databases.
        first = (sorts[sort].desc() if desc else sorts[sort].asc()).nulls_last()
        query = query.order_by(first, table.id_column.desc())
    else:
        query, sort = query.order_by(*table.order), None
    return Asked(query, page, sort, desc, search, filters)


def export(table: Table) -> Response:
    """The list that is asked for, as CSV; raises `problems.BadRequest` where something of it is not
    allowed, since a file of another list would be believed."""

    def refuse(name: str, message: str) -> None:
        raise invalid("query", {name: [message]})

    rows = streaming(asked_of(table, refuse).query)
    cells = ([column.show(row) for column in table.columns] for row in csv.begun(rows))
    labels = [column.label for column in table.columns]
    response = table_file(csv.lines(labels, cells), table.name.lower())
    response.call_on_close(rows.close)
    return response
