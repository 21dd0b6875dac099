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
    headers = {"X-Pagination": orjson.dumps(facts | {"next": following}).decode()}
    if following is not None:
        headers["Link"] = _link("next", after=following)
    return headers


def _facts(page: Page) -> dict[str, Any]:
    return {
        "total": page.total,
        "total_pages": -(-page.total // page.page_size),
        "page": page.page,
        "page_size": page.page_size,
    }


def _link(relation: str, **changed: str) -> str:
    """A link, for the header `Link`, to this list with some of its query's parameters changed; the
    place in the list, `page` or `after`, is always one of them."""
    kept = {name: value for name, value in request.args.items() if name not in ("page", "after")}
    path = f"{request.script_root}{request.path}"
    return f'<{path}?{urlencode(kept | changed)}>; rel="{relation}"'
