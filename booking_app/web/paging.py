"""Lists by the page, on the wire: the query's fields and the header."""

import marshmallow as ma
import orjson

from booking_app.core.paging import PAGE_MAX, PAGE_SIZE, PAGE_SIZE_MAX, Page
from booking_app.web.fields import StrictInteger

HEADER = {
    "X-Pagination": {
        "description": "JSON: `total` items, `total_pages`, this `page` and its `page_size`.",
        "schema": {"type": "string"},
    }
}


class PageQuery(ma.Schema):
    """The query of a list."""

    page = StrictInteger(1, PAGE_MAX, query=True, load_default=1)
    page_size = StrictInteger(1, PAGE_SIZE_MAX, query=True, load_default=PAGE_SIZE)


def page_headers(page: Page) -> dict[str, str]:
    """The `X-Pagination` header of a page."""
    facts = {
        "total": page.total,
        "total_pages": -(-page.total // page.page_size),
        "page": page.page,
        "page_size": page.page_size,
    }
    return {"X-Pagination": orjson.dumps(facts).decode()}
