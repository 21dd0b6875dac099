"""The domain's errors. They know nothing of HTTP: `problems.py` gives each its status.

Each concrete error stands at the top of the service that raises it and names its `code`;
every code has its row in `problems.CODES`.
"""

from typing import Any, ClassVar


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
    """A value that only the data can show to be wrong; `field` is its name in `place`, the body.

    `inner` says where within it, as marshmallow does: `{3: {"gaps": ["..."]}}`.
    """

    code = "validation_failed"

    def __init__(self, field: str, message: str, inner: Any = None, *, place: str = "json") -> None:
        errors = {place: {field: [message] if inner is None else inner}}
        super().__init__(f"{field}: {message}", errors=errors)
