"""Searching for a part of a text: patterns of LIKE."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from booking_app.core.database import fold


def like_pattern(text: str) -> str:
    """A pattern that finds `text` anywhere, for `LIKE :pattern ESCAPE '/'`."""
    for special in "/%_":
        text = text.replace(special, f"/{special}")
    return f"%{text}%"


@dataclass(frozen=True)
class Searched:
    """A column that a search looks into, and how it holds what is searched for."""

    column: Any
    key: Callable[[str], str] = fold

    def pattern(self, text: str) -> str:
        """What the column is LIKE where it has `text`."""
        return like_pattern(self.key(text))

    def like(self, pattern: Any) -> sa.ColumnElement[bool]:
        """Whether the column is like a pattern, or a parameter with one."""
        condition: sa.ColumnElement[bool] = self.column.like(pattern, escape="/")
        return condition
