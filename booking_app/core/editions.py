"""Editions: names of what a thing is, so that nobody changes what they have not seen.

An edition is a digest of the columns that staff can change, and of the others that stand in the
answer. It is computed from the stored values alone, so that every writer, the release before too,
makes a new one with each change, and all servers name the same values alike.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from booking_app.core.errors import Conflict

EDITION_LENGTH = 32  # hexadecimal digits: 128 bits

_encode = json.JSONEncoder(sort_keys=True, default=str).encode


class ChangedMeanwhile(Conflict):
    code = "changed_meanwhile"


@dataclass(frozen=True, slots=True)
class IfMatch:
    """What a change is meant for: a thing that is one of these editions. None: whatever it is."""

    editions: frozenset[str] | None

    def allows(self, edition: str) -> bool:
        """Whether the change is meant for this edition too."""
        return self.editions is None or edition in self.editions


def edition_of(columns: Iterable[Any], row: Mapping[Any, Any]) -> str:
    """The edition of a row, by these columns of it."""
    return digest({column.key: row[column.key] for column in columns})


def digest(values: Any) -> str:
    """The edition of a thing that is these values; equal ones, on either database, are alike."""
    return hashlib.sha256(_encode(values).encode()).hexdigest()[:EDITION_LENGTH]


def require(if_match: IfMatch | None, edition: str, what: str) -> None:
    """Raises ChangedMeanwhile where the change is not meant for this edition. The caller has locked
    the row that the edition was computed from."""
    if if_match is not None and not if_match.allows(edition):
        raise ChangedMeanwhile(
            f"The {what} was changed meanwhile, and nothing was written. Read it again, and send "
            "the change with its new ETag."
        )
