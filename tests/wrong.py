"""What a refusal says is wrong."""

from typing import Any


def wrong(answer: Any) -> dict[str, list[str]]:
    """The sentences of a 422 by where they belong: a pointer into the body, or the name of a query
    parameter or header."""
    found: dict[str, list[str]] = {}
    for error in answer.json["errors"]:
        where = error["pointer"] if "pointer" in error else f"{error['in']} {error['name']}"
        found.setdefault(where, []).append(error["detail"])
    return found
