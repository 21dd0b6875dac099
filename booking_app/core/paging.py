"""Lists by the page: their statements, and the page that a service returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from booking_app.core.database import Query

PAGE_SIZE, PAGE_SIZE_MAX = 20, 100
PAGE_MAX = 2**31  # times PAGE_SIZE_MAX it still is an OFFSET that the databases take


@dataclass(frozen=True)
class Page:
    """One page of a list, and how many items the whole list has."""

    items: Sequence[Any]
    total: int
    page: int
    page_size: int

    def map(self, convert: Callable[[Any], Any]) -> "Page":
        """The page with each item converted."""
        return replace(self, items=[convert(item) for item in self.items])


@dataclass(frozen=True)
class Listing:
    """The two statements of a list, built once: building them costs more than running them."""

    page: Query
    count: Query


def listing(query: Query) -> Listing:
    """The statements of `query`, which has its total order."""
    limit, offset = (sa.bindparam(name, type_=sa.BigInteger) for name in ("limit", "offset"))
    matches = query.with_only_columns(sa.literal(1), maintain_column_froms=True).order_by(None)
    count = sa.select(sa.func.count()).select_from(matches.subquery())
    total = count.scalar_subquery().label("items_in_all")
    return Listing(page=query.add_columns(total).limit(limit).offset(offset), count=count)


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
        total = items[0]["items_in_all"]
    else:
        total = connection.execute(statements.count, params).scalar_one() if page > 1 else 0
    return Page(items=items, total=total, page=page, page_size=page_size)
