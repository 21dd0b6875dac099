"""Lists by the page, and by a cursor: their statements, and what of a list a service returns.

A cursor says after which row a list goes on. Unlike a page it stays where it is while rows are
added: no row comes twice, none is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from booking_app.core.database import Query
from booking_app.core.statements import Statement

PAGE_SIZE, PAGE_SIZE_MAX = 20, 100
TOTAL = "items_in_all"
PAGE_MAX = 2**31  # times PAGE_SIZE_MAX it still is an OFFSET that the databases take


P = TypeVar("P", bound="Part")


@dataclass(frozen=True, kw_only=True)
class Part:
    """At most `page_size` items of a list. Of one with a cursor `next_after` is the id after which
    it goes on; None at its end."""

    items: Sequence[Any]
    page_size: int
    next_after: int | None = None

    def map(self: P, convert: Callable[[Any], Any]) -> P:
        """The same with each item converted."""
        return replace(self, items=[convert(item) for item in self.items])


@dataclass(frozen=True, kw_only=True)
class Numbered(Part):
    """One page of a list."""

    page: int


@dataclass(frozen=True, kw_only=True)
class Page(Numbered):
    """And how many items the whole list has."""

    total: int


@dataclass(frozen=True)
class Listing:
    """The statements of a list, built once: building them costs more than running them. The rows of
    a `Statement` are named tuples, those of a SELECT mappings."""

    page: Query | Statement
    count: Query


@dataclass(frozen=True)
class CursorListing:
    """Those of a list with a cursor: a page, and what comes after an id. `count` is None where the
    list is not counted."""

    page: Statement
    after: Statement
    count: Query | None


LIMIT, OFFSET = (sa.bindparam(name, type_=sa.BigInteger) for name in ("limit", "offset"))


def exactly(number: int) -> sa.ColumnElement[int]:
    """A number that stands in the statement itself, for LIMIT and OFFSET: with a parameter there,
    PostgreSQL plans for a tenth of all rows."""
    return sa.literal_column(str(number), sa.Integer)


def listing(query: Query) -> Listing:
    """The statements of `query`, which has its total order, to be run once."""
    return Listing(*_counted(query))


def kept_listing(query: Query, complete: Callable[[sa.Subquery], Query] | None = None) -> Listing:
    """As `listing`, to be run again and again. `complete` makes a SELECT, in the same order, of the
    page's rows with further columns, which then are not computed for other rows."""
    page, count = _counted(query)
    if complete is not None:
        rows = page.subquery()
        page = complete(rows).add_columns(rows.c[TOTAL])
    return Listing(Statement(page), count)


def _counted(query: Query) -> tuple[Query, Query]:
    """A page of `query`, each row with how many there are in all; and how many there are."""
    matches = query.with_only_columns(sa.literal(1), maintain_column_froms=True).order_by(None)
    count = sa.select(sa.func.count()).select_from(matches.subquery())
    total = count.scalar_subquery().label(TOTAL)
    return query.add_columns(total).limit(LIMIT).offset(OFFSET), count


def newest_first(
    query: Query,
    key: InstrumentedAttribute[int],
    complete: Callable[[sa.Subquery], Query] = sa.select,
    *,
    is_counted: bool = True,
) -> CursorListing:
    """The statements of `query` ordered by `key`, its column `id`, the greatest first: by the page
    and by cursor.

    `complete` makes a SELECT with all columns of the part's rows, such as those of other tables,
    which then neither are read for the other rows nor counted. Without `is_counted` nothing is.
    """
    ordered = query.order_by(key.desc())
    page, count = _counted(ordered) if is_counted else (ordered.limit(LIMIT).offset(OFFSET), None)
    after = ordered.where(key < sa.bindparam("after")).limit(LIMIT)

    def completed(part: Query) -> Statement:
        rows = part.subquery()
        return Statement(complete(rows).order_by(rows.c.id.desc()))

    return CursorListing(completed(page), completed(after), count)


def fetch_page(
    connection: sa.Connection,
    statements: Listing,
    params: Mapping[str, Any] | None = None,
    *,
    page: int,
    page_size: int,
) -> Page:
    """That page of the list with these parameters.

    One statement, since each row tells the total; a second where the page has no row to tell.
    """
    params = params or {}
    window = {**params, "limit": page_size, "offset": (page - 1) * page_size}
    items: Sequence[Any]
    if isinstance(statements.page, Statement):
        items = statements.page.all(connection, window)
    else:
        items = connection.execute(statements.page, window).mappings().all()
    total = _total(connection, items, statements.count, params, page)
    return Page(items=items, total=total, page=page, page_size=page_size)


def _total(
    connection: sa.Connection,
    items: Sequence[Any],
    count: Query,
    params: Mapping[str, Any],
    page: int,
) -> int:
    """How many items the list has of which these are a page."""
    if items:
        first = items[0]
        total: int = getattr(first, TOTAL) if isinstance(first, tuple) else first[TOTAL]
        return total
    return connection.execute(count, params).scalar_one() if page > 1 else 0


def fetch_part(
    connection: sa.Connection,
    statements: CursorListing,
    params: Mapping[str, Any],
    *,
    page: int,
    page_size: int,
    after: int | None,
    seen: Callable[[list[Any]], list[Any]] = list,
) -> Part:
    """What comes `after` that id, or that page where it is None: a `Page` of a list that is
    counted, else a `Numbered` one. Its items are named tuples.

    One statement. By cursor nothing is counted, so that the end of a long list costs no more than
    its beginning. One row more is read, which tells whether the list goes on. `seen` makes of the
    statement's rows those of the list.
    """
    values = {**params, "limit": page_size + 1}
    if after is None:
        values["offset"] = (page - 1) * page_size
        rows = seen(statements.page.all(connection, values))
    else:
        values["after"] = after
        rows = seen(statements.after.all(connection, values))
    items = rows[:page_size]
    following = items[-1].id if len(rows) > page_size else None
    if after is not None:
        return Part(items=items, page_size=page_size, next_after=following)
    part = Numbered(items=items, page_size=page_size, next_after=following, page=page)
    if statements.count is None:
        return part
    total = _total(connection, items, statements.count, params, page)
    return Page(**vars(part), total=total)
