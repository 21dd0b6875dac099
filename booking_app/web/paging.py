"""Lists by the page and by cursor, on the wire: the query's fields and the headers."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import marshmallow as ma
import orjson
from flask import request
from marshmallow import fields

from booking_app.core.paging import PAGE_MAX, PAGE_SIZE, PAGE_SIZE_MAX, Page, Part
from booking_app.web.fields import StrictInteger

HEADER = {
    "X-Pagination": {
        "description": "JSON: `total` items, `total_pages`, this `page` and its `page_size`.",
        "schema": {"type": "string"},
    }
}
CURSOR_HEADERS = {
    "X-Pagination": {
        "description": "JSON: `page_size` and `next`, what to send as `after` for the items that "
        "follow; null at the end. Without `after` also `total` items, `total_pages` and this "
        "`page`.",
        "schema": {"type": "string"},
    },
    "Link": {
        "description": 'Where the list goes on, by cursor: `<...>; rel="next"`; none at its end.',
        "schema": {"type": "string"},
    },
}


class PageQuery(ma.Schema):
    """The query of a list."""

    page = StrictInteger(1, PAGE_MAX, query=True, load_default=1)
    page_size = StrictInteger(1, PAGE_SIZE_MAX, query=True, load_default=PAGE_SIZE)


class Cursor(fields.Field[int]):
    """Where a list goes on: text that callers get from an answer and send back as it is. Inside it
    is the id of the last item, and before that the sign `of` the list: no other list takes it.

    All that the pattern allows is taken, so that the document says exactly what is refused.
    """

    default_error_messages = {"invalid": "Must be the `next` of an earlier answer of this list."}

    def __init__(self, of: str) -> None:
        self.of = of
        self.pattern = f"{of}[0-7][0-9a-f]{{15}}"  # an id has 63 bits
        description = "The `next` of an earlier answer: the items that follow. Not with `page`."
        super().__init__(metadata={"pattern": f"^{self.pattern}$", "description": description})

    def _serialize(self, value: int | None, attr: Any, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else f"{self.of}{value:016x}"

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value):
            raise self.make_error("invalid")
        return int(value.removeprefix(self.of), 16)


class CursorQuery(PageQuery):
    """The query of a list that can be read by cursor too; its subclasses have the field `after`."""

    @ma.validates_schema(pass_original=True)
    def after_or_page(self, data: Any, original: Mapping[str, Any], **kwargs: Any) -> None:
        if "after" in original and "page" in original:
            raise ma.ValidationError("Can't come together with page.", "after")


def page_headers(page: Page) -> dict[str, str]:
    """The `X-Pagination` header of a page."""
    return {"X-Pagination": orjson.dumps(_facts(page)).decode()}


def cursor_headers(part: Part, cursor: fields.Field[int]) -> dict[str, str]:
    """The headers of a part of a list with this cursor."""
    following = cursor.serialize("next_after", part)
    facts = _facts(part) if isinstance(part, Page) else {"page_size": part.page_size}
    links = {} if following is None else {"next": {"after": following, "page": None}}
    told = orjson.dumps(facts | {"next": following}).decode()
    return {"X-Pagination": told, **link_header(links)}


def _facts(page: Page) -> dict[str, Any]:
    return {
        "total": page.total,
        "total_pages": -(-page.total // page.page_size),
        "page": page.page,
        "page_size": page.page_size,
    }


def link_header(links: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The `Link` header (RFC 8288) to this list: for each relation the parameters in which its
    query differs from the request's; None leaves a parameter out."""
    written = []
    for relation, changed in links.items():
        query = {**request.args, **changed}
        query = {name: value for name, value in query.items() if value is not None}
        path = f"{request.script_root}{request.path}"
        written.append(f'<{path}?{urlencode(query)}>; rel="{relation}"')
    return {"Link": ", ".join(written)} if written else {}
