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
class Page(Part):
    """One page of a list, and how many items the whole list has."""

    total: int
    page: int


@dataclass(frozen=True)
class Listing:
    """The statements of a list, built once: building them costs more than running them."""

    page: Query
    count: Query


@dataclass(frozen=True)
class CursorListing(Listing):
    """Of a list with a cursor: also the statement of what comes after an id."""

    after: Query


def exactly(number: int) -> sa.ColumnElement[int]:
    """A number that stands in the statement itself, for LIMIT and OFFSET: with a parameter there,
    PostgreSQL plans for a tenth of all rows."""
    return sa.literal_column(str(number), sa.Integer)


def listing(query: Query) -> Listing:
    """The statements of `query`, which has its total order."""
    limit, offset = (sa.bindparam(name, type_=sa.BigInteger) for name in ("limit", "offset"))
    matches = query.with_only_columns(sa.literal(1), maintain_column_froms=True).order_by(None)
    count = sa.select(sa.func.count()).select_from(matches.subquery())
    total = count.scalar_subquery().label(TOTAL)
    return Listing(page=query.add_columns(total).limit(limit).offset(offset), count=count)


def newest_first(
    query: Query,
    key: InstrumentedAttribute[int],
    complete: Callable[[sa.Subquery], Query] = sa.select,
) -> CursorListing:
    """The statements of `query` ordered by `key`, its column `id`, the greatest first: by the page
    and by cursor.

    `complete` makes a SELECT with all columns of the part's rows, such as those of other tables,
    which then neither are read for the other rows nor counted.
    """
    limit = sa.bindparam("limit", type_=sa.BigInteger)
    statements = listing(query.order_by(key.desc()))
    after = query.where(key < sa.bindparam("after")).order_by(key.desc()).limit(limit)

    def completed(part: Query) -> Query:
        rows = part.subquery()
        return complete(rows).order_by(rows.c.id.desc())

    return CursorListing(completed(statements.page), statements.count, completed(after))


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
    window = {"limit": page_size, "offset": (page - 1) * page_size}
    items = connection.execute(statements.page, {**params, **window}).mappings().all()
    if items:
        total = items[0][TOTAL]
    else:
        total = connection.execute(statements.count, params).scalar_one() if page > 1 else 0
    return Page(items=items, total=total, page=page, page_size=page_size)


def fetch_part(
    connection: sa.Connection,
    statements: CursorListing,
    params: Mapping[str, Any],
    *,
    page: int,
    page_size: int,
    after: int | None,
) -> Part:
    """What comes `after` that id, or that page where it is None.

    One statement. By cursor nothing is counted, so that the end of a long list costs no more than
    its beginning.
    """
    if after is None:
        found = fetch_page(connection, statements, params, page=page, page_size=page_size)
        more = found.items and page * page_size < found.total
        return replace(found, next_after=found.items[-1]["id"] if more else None)
    one_more = {"after": after, "limit": page_size + 1}
    rows = connection.execute(statements.after, {**params, **one_more}).mappings().all()
    items = rows[:page_size]
    more = len(rows) > page_size
    return Part(items=items, page_size=page_size, next_after=items[-1]["id"] if more else None)
