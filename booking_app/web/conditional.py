"""Conditional requests (RFC 9110, section 13): the `If-Match` of a change, and the tags of answers.

A single thing's tag is its edition (`core.editions`), which the services compare; other answers
have a tag of their content (`headers.tagged`).
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import request

from booking_app.core.editions import IfMatch
from booking_app.web.openapi import Blueprint, View
from booking_app.web.problems import BadRequest

ANY = "*"
# RFC 9110, sections 8.8.3 and 5.6.1: entity tags, also weak ones, between commas; a list may have
# empty elements, and none at all.
TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
TAGS = rf"[ \t]*(?:{TAG}[ \t]*)?(?:,[ \t]*(?:{TAG}[ \t]*)?)*"
IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "required": False,
    "description": "The `ETag` of what you have seen, or several: changed only while it is that; "
    "`*`: whatever it is.",
    "schema": {"type": "string", "pattern": rf"^(?:[ \t]*\*[ \t]*|{TAGS})$"},
    "example": ANY,
}


def if_match(view: View) -> View:
    """Decorator: the call takes `If-Match`, which the view gets as `if_match`: what its change is
    meant for, None where the caller doesn't say."""

    @wraps(view)
    def conditional(*args: Any, **kwargs: Any) -> Any:
        return view(*args, if_match=read_if_match(), **kwargs)

    documented: View = Blueprint.doc(parameters=[IF_MATCH])(conditional)
    return Blueprint.problems("bad_request", "changed_meanwhile")(documented)


def read_if_match() -> IfMatch | None:
    """What the request's `If-Match` allows; None where there is none.

    A weak tag in it matches nothing (RFC 9110, 13.1.1). Raises BadRequest for one that can't be
    read: to pass over it would overwrite what the caller wanted to keep.
    """
    sent = request.headers.get("If-Match")
    if sent is None:
        return None
    if sent.strip(" \t") == ANY:
        return IfMatch(None)
    if not re.fullmatch(TAGS, sent):
        raise BadRequest(
            "bad_request", 'If-Match must be *, or ETags in their quotes: "abc", "def".'
        )
    tags = re.findall(TAG, sent)
    return IfMatch(frozenset(tag.strip('"') for tag in tags if not tag.startswith("W/")))


def edition(compute: Callable[[Any], str]) -> Callable[[View], View]:
    """Decorator, under `response`: the answer's `ETag` is the edition that `compute` gives of what
    the view returns."""

    def decorator(view: View) -> View:
        @wraps(view)
        def tagged(*args: Any, **kwargs: Any) -> Any:
            answer = view(*args, **kwargs)
            item, headers = answer if type(answer) is tuple else (answer, {})
            return item, {**headers, "ETag": f'"{compute(item)}"'}

        tagged.has_edition = True  # type: ignore[attr-defined]
        return tagged  # type: ignore[return-value]

    return decorator
