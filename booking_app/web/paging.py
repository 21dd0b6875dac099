"""Lists by the page, on the wire: the query's fields and the headers."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import marshmallow as ma
import orjson
from flask import request

from booking_app.core.paging import PAGE_MAX, PAGE_SIZE, PAGE_SIZE_MAX, Page
from booking_app.web.fields import StrictInteger
from booking_app.web.prefix import at

HEADER = {
    "X-Pagination": {
        "description": "JSON: `total` items, `total_pages`, this `page` and its `page_size`.",
        "schema": {"type": "string"},
    },
    "Link": {
        "description": "The `next`, `prev`, `first` and `last` page, as far as there is one "
        "(RFC 8288): paths with the query of this request.",
        "schema": {"type": "string"},
    },
}
# A longer header makes nginx answer 502: all of them together must fit into its 4 KiB.
LINK_BYTES_MAX = 2500


class PageQuery(ma.Schema):
    """The query of a list."""

    page = StrictInteger(1, PAGE_MAX, query=True, load_default=1)
    page_size = StrictInteger(1, PAGE_SIZE_MAX, query=True, load_default=PAGE_SIZE)


def page_headers(page: Page) -> dict[str, str]:
    """The `X-Pagination` and `Link` headers of a page."""
    total_pages = -(-page.total // page.page_size)
    facts = {
        "total": page.total,
        "total_pages": total_pages,
        "page": page.page,
        "page_size": page.page_size,
    }
    last = max(total_pages, 1)
    pages = {"first": 1, "last": last}
    if page.page > 1:
        pages["prev"] = min(page.page - 1, last)
    if page.page < last:
        pages["next"] = page.page + 1
    links = {relation: {"page": number} for relation, number in pages.items()}
    return {"X-Pagination": orjson.dumps(facts).decode(), **link_header(links)}


RELATIONS = ("next", "prev", "first", "last")  # in the order of their use


def link_header(links: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The `Link` header (RFC 8288) to this list: for each relation the parameters in which its
    query differs from the request's; None leaves a parameter out. Where a query is so long that
    they don't fit, those that are used least are missing."""
    header = ""
    for relation in RELATIONS:
        if relation in links:
            query = {**request.args, **links[relation]}
            query = {name: value for name, value in query.items() if value is not None}
            link = f'<{at(request.path)}?{urlencode(query)}>; rel="{relation}"'
            longer = f"{header}, {link}" if header else link
            if len(longer) > LINK_BYTES_MAX:
                break
            header = longer
    return {"Link": header} if header else {}
