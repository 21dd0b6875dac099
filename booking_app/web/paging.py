"""Lists by the page and by cursor, on the wire: the query's fields and the headers."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import marshmallow as ma
import orjson
from flask import request
from marshmallow import fields

from booking_app.core.paging import PAGE_MAX, PAGE_SIZE, PAGE_SIZE_MAX, Numbered, Page, Part
from booking_app.web.fields import StrictInteger
from booking_app.web.prefix import at


def _described(pagination: str, link: str) -> dict[str, Any]:
    """What the document says of a list's headers."""
    told = {"X-Pagination": f"JSON: {pagination}", "Link": f"The {link}"}
    return {name: {"description": it, "schema": {"type": "string"}} for name, it in told.items()}


HEADER = _described(
    "`total` items, `total_pages`, this `page` and its `page_size`.",
    "`next`, `prev`, `first` and `last` page, as far as there is one (RFC 8288): paths with the "
    "query of this request.",
)
# A longer header makes nginx answer 502: all of them together must fit into its 4 KiB.
LINK_BYTES_MAX = 2500
CURSOR_HEADERS = _described(
    "`page_size` and `next`, what to send as `after` for the items that follow; null at the end. "
    "Without `after` also `total` items, `total_pages` and this `page`.",
    "`next` part, by cursor; without `after` also the `prev`, `first` and `last` page (RFC 8288).",
)
# Of a list that is not counted.
UNCOUNTED_HEADERS = _described(
    "`page_size` and `next`, what to send as `after` for the items that follow; null at the end. "
    "Without `after` also this `page`. The list is not counted.",
    "`next` part, by cursor; without `after` also the `prev` and `first` page (RFC 8288).",
)


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
    """The `X-Pagination` and `Link` headers of a page."""
    told = orjson.dumps(_facts(page)).decode()
    return {"X-Pagination": told, **link_header(_page_links(page))}


def cursor_headers(part: Part, cursor: fields.Field[int]) -> dict[str, str]:
    """The headers of a part of a list with this cursor."""
    following = cursor.serialize("next_after", part)
    facts: dict[str, Any] = {"page_size": part.page_size}
    links: dict[str, dict[str, Any]] = {}
    if isinstance(part, Page):
        facts, links = _facts(part), _page_links(part)
        links.pop("next", None)
    elif isinstance(part, Numbered):
        facts = {"page": part.page, "page_size": part.page_size}
        links = {"first": {"page": 1}}
        if part.page > 1:
            links["prev"] = {"page": part.page - 1}
    if following is not None:
        links["next"] = {"after": following, "page": None}
    told = orjson.dumps(facts | {"next": following}).decode()
    return {"X-Pagination": told, **link_header(links)}


def _facts(page: Page) -> dict[str, int]:
    return {
        "total": page.total,
        "total_pages": _pages(page),
        "page": page.page,
        "page_size": page.page_size,
    }


def _pages(page: Page) -> int:
    return -(-page.total // page.page_size)


def _page_links(page: Page) -> dict[str, dict[str, Any]]:
    last = max(_pages(page), 1)
    pages = {"first": 1, "last": last}
    if page.page > 1:
        pages["prev"] = min(page.page - 1, last)
    if page.page < last:
        pages["next"] = page.page + 1
    return {relation: {"page": number} for relation, number in pages.items()}


RELATIONS = ("next", "prev", "first", "last")  # in the order of their use


def link_header(links: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The `Link` header (RFC 8288) to this list: for each relation the parameters in which its
    query differs from the request's; None leaves a parameter out. Where a query is so long that
    they don't fit, those that are used least are missing."""
    header = ""
    path = at(request.path)
    own = {name: urlencode({name: value}) for name, value in request.args.items()}
    for relation in RELATIONS:
        if relation in links:
            # Numbers and cursors stand in a query as they are.
            other = {
                name: None if value is None else f"{name}={value}"
                for name, value in links[relation].items()
            }
            query = "&".join(filter(None, {**own, **other}.values()))
            link = f'<{path}?{query}>; rel="{relation}"'
            longer = f"{header}, {link}" if header else link
            if len(longer) > LINK_BYTES_MAX:
                break
            header = longer
    return {"Link": header} if header else {}
