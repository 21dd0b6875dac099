"""Retries that are safe: a request with an Idempotency-Key is carried out once.

The answer is written in the transaction of the work itself, so there is no moment at which one is
done and the other is not. There is no look-up before the work: a duplicate fails at the key's
row (or is refused, its first having taken the seats) and is then given the first answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, ParamSpec, TypeVar

import sqlalchemy as sa

from booking_app.booking.models import IdempotencyKey
from booking_app.core.database import NOW, UseCase, later, reading, upsert
from booking_app.core.errors import Conflict, DomainError
from booking_app.core.outages import is_lock_timeout

P = ParamSpec("P")
T = TypeVar("T")

KEPT_FOR = timedelta(hours=24)
CLEANED_AT_ONCE = 5


class IdempotencyInProgress(Conflict):
    code = "idempotency_in_progress"


class IdempotencyKeyReused(DomainError):
    code = "idempotency_key_reused"


@dataclass(frozen=True)
class StoredAnswer:
    """An answer as it was sent: the JSON text of its body."""

    status: int
    body: str
    location: str | None
    replayed: bool = False


class _Duplicate(Exception):
    """The key has an answer already; what this transaction did is undone."""


@dataclass(frozen=True)
class Attempt(Generic[T]):
    """A request that its caller may send again.

    `render` makes the answer of what the use case returns. `key` is the caller's, None where there
    is none; `fingerprint` is of the request's method, path and body.
    """

    user_id: int
    render: Callable[[T], StoredAnswer]
    key: str | None = None
    fingerprint: str = ""
    now: datetime | None = None

    def run(self, use_case: UseCase[P, T], *args: P.args, **kwargs: P.kwargs) -> StoredAnswer:
        """Run the use case and answer; for a key that was answered, give that answer again.

        A second request with a key whose first is in progress waits for it, at the key's row or
        at the seats. Raises what the use case raises, IdempotencyKeyReused where the key came with
        another request, and IdempotencyInProgress where the wait was too long.
        """
        if self.key is None:
            return self.render(use_case(*args, **kwargs))

        def keep(connection: sa.Connection, result: T) -> StoredAnswer:
            answer = self.render(result)
            _keep(connection, self, answer)
            return answer

        try:
            return use_case.followed_by(keep, *args, **kwargs)
        except (_Duplicate, DomainError) as error:
            kept = _kept(self)
            if kept is None and isinstance(error, _Duplicate):
                # The stored key expired in between.
                return use_case.followed_by(keep, *args, **kwargs)
            if kept is None:
                raise
            return kept
        except Exception as error:
            if not is_lock_timeout(error):
                raise
            kept = _kept(self)
            if kept is None:
                raise IdempotencyInProgress(
                    "Another request, the first with this key or somebody else's, was in the way "
                    "for too long; ask again with the same key."
                ) from error
            return kept


def _keep(connection: sa.Connection, attempt: Attempt[Any], answer: StoredAnswer) -> None:
    """Write the answer beside the work, and take a few of the caller's old ones away."""
    values = {
        "fingerprint": attempt.fingerprint,
        "status": answer.status,
        "body": answer.body,
        "location": answer.location,
        "expires_at": later(KEPT_FOR),
    }
    over = IdempotencyKey.expires_at <= NOW
    insert = upsert(connection)(IdempotencyKey).values(
        user_id=attempt.user_id, key=attempt.key, **values
    )
    written = connection.execute(
        insert.on_conflict_do_update(
            index_elements=["user_id", "key"], set_=values, where=over
        ).returning(IdempotencyKey.key),
        {"now": attempt.now},
    ).first()
    if written is None:
        raise _Duplicate
    old = (
        sa.select(IdempotencyKey.key)
        .where(IdempotencyKey.user_id == attempt.user_id, over)
        .limit(CLEANED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    connection.execute(
        sa.delete(IdempotencyKey).where(
            IdempotencyKey.user_id == attempt.user_id, IdempotencyKey.key.in_(old)
        ),
        {"now": attempt.now},
    )


def _kept(attempt: Attempt[Any]) -> StoredAnswer | None:
    """The answer that the key has; raises IdempotencyKeyReused where it is of another request."""
    with reading() as connection:
        row = connection.execute(
            sa.select(
                IdempotencyKey.fingerprint,
                IdempotencyKey.status,
                IdempotencyKey.body,
                IdempotencyKey.location,
            ).where(
                IdempotencyKey.user_id == attempt.user_id,
                IdempotencyKey.key == attempt.key,
                IdempotencyKey.expires_at > NOW,
            ),
            {"now": attempt.now},
        ).first()
    if row is None:
        return None
    if row.fingerprint != attempt.fingerprint:
        raise IdempotencyKeyReused(
            "This Idempotency-Key came with another request before; make a new key for each."
        )
    return replace(StoredAnswer(row.status, row.body, row.location), replayed=True)
