"""Lists of the admin site: what Flask-Admin shows of a SELECT. Searching, filtering, sorting and
paging are the database's work; a list of any length is exported as it is read."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, islice
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from flask import Response, flash, request
from flask_admin.model.base import BaseModelView, ViewArgs
from flask_admin.model.filters import BaseFilter
from sqlalchemy.orm import InstrumentedAttribute

from booking_app.core.database import Base, Query, fold, like_pattern, reading, streaming
from booking_app.core.formats import iso
from booking_app.core.paging import PAGE_MAX, fetch_page, listing
from booking_app.web import csv
from booking_app.web.fields import Day, Text, Whole
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


class Filter(BaseFilter):
    """Narrows a list. `condition` makes the SQL from the value that `field` reads."""

    def __init__(
        self,
        name: str,
        field: ma.fields.Field[Any],
        condition: Callable[[Any], sa.ColumnElement[bool]],
        options: Sequence[tuple[str, str]] | Callable[[], Sequence[tuple[str, str]]] | None = None,
        data_type: str = "text",
    ) -> None:
        super().__init__(name, data_type=data_type)
        self.choices = options  # not the library's: it would ask for them at the start
        self.field = field
        self.condition = condition

    def clean(self, value: str) -> Any:
        try:
            cleaned = self.field.deserialize(value)
            self.condition(cleaned)
        except ma.ValidationError as error:
            raise ValueError(error.messages) from error
        except OverflowError as error:  # of the day after the last one
            raise ValueError(value) from error
        return cleaned

    def apply(self, query: Query, value: str) -> Query:
        return query.where(self.condition(self.clean(value)))

    def operation(self) -> str:
        return ""


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


def has_id(
    name: str,
    column: Any,
    options: Callable[[], Sequence[tuple[str, str]]] | None = None,
) -> Filter:
    """The row of that id."""
    field = Whole(1, query=True)
    return Filter(name, field, lambda value: column == value, options, "number")


def from_day(name: str, condition: Callable[[date], sa.ColumnElement[bool]]) -> Filter:
    """A day, and what the database makes of it."""
    return Filter(name, Day(), condition, data_type="date")


# --- lists ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A list: its model and SELECT, which has the column `id`, its order where none is asked for,
    the folded columns that it is searched by, and its filters."""

    model: type[Base]
    query: Query
    id_column: sa.ColumnElement[int] | InstrumentedAttribute[int]
    order: Sequence[Any]
    columns: Sequence[Column]
    searched: Sequence[Any] = ()
    filters: Sequence[Filter] = ()
    named_by: Sequence[str] = ()

    def named(self, row: Mapping[Any, Any]) -> str:
        """What a row is called: its first column, and those of `named_by`."""
        columns = [self.columns[0], *map(self.column, self.named_by)]
        return ", ".join(column.show(row) for column in columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


class ListView(BaseModelView):
    """A view of Flask-Admin that reads its list as `table` says.

    What begins with an underscore is the library's own, and may change with it: its version is
    pinned, and each is covered by a test.
    """

    table: Table
    page_size = PAGE_SIZE
    can_export = True

    def __init__(self, name: str) -> None:
        self.column_filters = self.table.filters
        path = name.lower()
        super().__init__(self.table.model, name, endpoint=f"admin_{path}", url=path)

    def get_pk_value(self, model: Mapping[Any, Any]) -> int:
        return int(model["id"])

    def scaffold_list_columns(self) -> list[str]:
        return [column.name for column in self.table.columns]

    def get_column_name(self, field: str) -> str:
        return self.table.column(field).label

    def scaffold_sortable_columns(self) -> dict[str, Any]:
        return {one.name: one.name for one in self.table.columns if one.sort is not None}

    def _get_field_value(self, model: Mapping[Any, Any], name: str) -> str:
        return self.table.column(name).show(model)

    def init_search(self) -> bool:
        return bool(self.table.searched)

    def get_filter_arg(self, index: int, flt: Filter) -> str:
        return re.sub(r"\W+", "_", flt.name.lower()).strip("_")

    def get_list(
        self,
        page: int | None,
        sort_field: str | None,
        sort_desc: bool,
        search: str | None,
        filters: Sequence[tuple[int, str, str]] | None,
        page_size: int | None = None,
    ) -> tuple[int, Sequence[Any]]:
        query = self.narrowed(sort_field, sort_desc, search, filters)
        with reading() as connection:
            found = fetch_page(
                connection, listing(query), page=(page or 0) + 1, page_size=page_size or PAGE_SIZE
            )
        return found.total, found.items

    def narrowed(
        self,
        sort_field: str | None,
        sort_desc: bool,
        search: str | None,
        filters: Sequence[tuple[int, str, str]] | None,
    ) -> Query:
        """The whole list that is asked for, in a total order."""
        query = self.table.query
        if search:
            pattern = like_pattern(fold(search))
            query = query.where(
                sa.or_(*(key.like(pattern, escape="/") for key in self.table.searched))
            )
        for index, _, value in filters or ():
            query = self._filters[index].apply(query, value)
        sort = self.table.column(sort_field).sort if sort_field else None
        if sort is None:
            return query.order_by(*self.table.order)
        # Where there is no value, it comes last on both databases.
        first = (sort.desc() if sort_desc else sort.asc()).nulls_last()
        return query.order_by(first, self.table.id_column.desc())

    def _get_list_extra_args(self) -> ViewArgs:
        args: ViewArgs = super()._get_list_extra_args()
        args.page = min(max(args.page, 0), PAGE_MAX)
        args.extra_args = {}  # what nobody knows has no place in the links either
        if args.search:
            try:
                args.search = SEARCH.deserialize(args.search)
            except ma.ValidationError as error:
                self._refuse("search", error.messages[0])
                args.search = None
        return args

    def _get_list_filter_args(self) -> list[Any]:
        """As the library reads them, but fields of the form that were left empty are none."""
        known = {f"flt_{arg}": found for arg, found in (self._filter_args or {}).items()}
        wanted = {name: value for name, value in request.args.items() if value}
        for name in wanted:
            if name.startswith("flt_") and name not in known:
                self._refuse(name[:50], "There is no such filter.")
        found = []
        for name, (index, one) in known.items():
            if name not in wanted:
                continue
            if one.validate(wanted[name]):
                found.append((index, one.name, wanted[name]))
            else:
                self._refuse(one.name, f"{wanted[name][:50]} is not allowed.")
        return found

    def _refuse(self, name: str, message: str) -> None:
        """A page says so and shows the list without it; a file would only be the wrong one."""
        if request.endpoint == f"{self.endpoint}.export":
            raise invalid("query", {name: [message]})
        flash(f"{name}: {message}", "error")

    def shown_filters(self, active: Sequence[tuple[int, str, str]]) -> list[dict[str, Any]]:
        """The filters, for a form: `arg`, `label`, `options`, `type` and the present `value`."""
        values = {index: value for index, _, value in active or ()}
        return [
            {
                "arg": arg,
                "label": one.name,
                "options": one.choices() if callable(one.choices) else one.choices,
                "type": one.data_type,
                "value": values.get(index),
            }
            for arg, (index, one) in (self._filter_args or {}).items()
        ]

    def export_url(self) -> str:
        """Where the list that is asked for is had as CSV."""
        known = ("search", "sort", "desc")
        args = {
            name: value
            for name, value in request.args.items()
            if name in known or name.startswith("flt_")
        }
        return str(self.get_url(".export", export_type="csv", **args))

    def _get_filters(self, filters: Sequence[tuple[int, str, str]] | None) -> dict[str, str]:
        args = {index: arg for arg, (index, _) in (self._filter_args or {}).items()}
        return {f"flt_{args[index]}": value for index, _, value in filters or ()}

    def _export_csv(self, return_url: str) -> Response:
        args = self._get_list_extra_args()
        sort = self._get_column_by_idx(args.sort)
        query = self.narrowed(sort and sort[0], bool(args.sort_desc), args.search, args.filters)
        rows = streaming(query)
        begun = chain(list(islice(rows, 1)), rows)  # what fails at once still makes an error
        cells = ([column.show(row) for column in self.table.columns] for row in begun)
        labels = [column.label for column in self.table.columns]
        response = table_file(csv.lines(labels, cells), self.name.lower())
        response.call_on_close(rows.close)
        return response
