"""The domain's errors. They know nothing of HTTP: `problems.py` gives each its status.

Each concrete error stands at the top of the service that raises it and names its `code`;
every code has its row in `problems.CODES`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

Path = tuple[str | int, ...]


class DomainError(Exception):
    """A request that can't be carried out. `facts` are the values that help the caller."""

    code: ClassVar[str]

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class Unauthenticated(DomainError):
    """Nobody we know."""


class Forbidden(DomainError):
    """Known, but not allowed."""


class Conflict(DomainError):
    """The request is in itself right, but the present state is against it."""


class NotFound(DomainError):
    """No such thing."""

    code = "not_found"

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f"There is no {what} {key}.")


class Invalid(DomainError):
    """A value that only the data can show to be wrong; `field` is its name in `place`, the body or
    the query. `kind` is the word by which programs know what is wrong with it.

    `within` are the values within it that are wrong, each by its path: `{(3, "gaps"): "..."}`.
    """

    code = "validation_failed"

    def __init__(
        self,
        field: str,
        message: str,
        *,
        within: Mapping[Path, str] | None = None,
        kind: str = "invalid",
        place: str = "body",
    ) -> None:
        super().__init__(f"{field}: {message}")
        self.place = place
        self.kind = kind
        inner = {(): message} if within is None else within
        self.errors = {(field, *path): told for path, told in inner.items()}
