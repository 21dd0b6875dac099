"""Retries that are safe: a request with an Idempotency-Key is carried out once.

The answer is written in the transaction of the work itself, so there is no moment at which one is
done and the other is not. There is no look-up before the work: a duplicate fails at the key's
row (or is refused, its first having taken the seats) and is then given the first answer.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import Any

import sqlalchemy as sa

from booking_app.core.database import NOW, later, reading, upsert, write_and_keep
from booking_app.core.errors import Conflict, DomainError, Unauthenticated
from booking_app.core.outages import is_lock_timeout
from booking_app.core.statements import Statement
from booking_app.idempotency.models import IdempotencyKey

KEPT_FOR = timedelta(hours=24)
CLEANED_AT_ONCE = 5


class IdempotencyInProgress(Conflict):
    code = "idempotency_in_progress"


class IdempotencyKeyReused(DomainError):
    code = "idempotency_key_reused"


@dataclass(frozen=True)
class StoredAnswer:
    """An answer as it was sent: the JSON text of its body, and its own headers."""

    status: int
    body: str
    location: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False


class _Duplicate(Exception):
    """The key has an answer already; what this transaction did is undone."""


@dataclass(frozen=True)
class Attempt:
    """A request that its caller may send again. `key` is the caller's."""

    user_id: int
    key: str
    request: "Fingerprints"
    now: datetime | None = None

    def run(self, work: Callable[[], StoredAnswer]) -> StoredAnswer:
        """Answer the request by `work`, which runs one use case; for a key that was answered, give
        that answer again.

        A second request with a key whose first is in progress waits for it, at the key's row or
        at the seats. Raises what the use case raises, IdempotencyKeyReused where the key came with
        another request, and IdempotencyInProgress where the wait was too long.
        """

        def keep(connection: sa.Connection, answer: StoredAnswer) -> None:
            _keep(connection, self, answer)

        try:
            return write_and_keep(work, keep)
        except Unauthenticated:  # whose session is over gets no answer from before either
            raise
        except (_Duplicate, DomainError) as error:
            kept = _kept(self)
            if kept is None and isinstance(error, _Duplicate):
                # The stored key expired in between.
                return write_and_keep(work, keep)
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


@dataclass(frozen=True)
class Fingerprints:
    """What a request with a key is known by (`IdempotencyKey`); a slash at the end of its path does
    not count.

    Each is made when it is asked for, after the view has read the body: one that is refused, such
    as of 1 MiB of `1e308`, would cost far more here than there.
    """

    method: str
    path: str
    body: bytes

    @cached_property
    def of_bytes(self) -> str:
        return self._of(self.body)

    @cached_property
    def of_meaning(self) -> str:
        return self._of(meaning(self.body))

    def _of(self, body: bytes) -> str:
        place = f"{self.method} {self.path.rstrip('/')}\n".encode()
        return hashlib.sha256(place + body).hexdigest()


def meaning(body: bytes) -> bytes:
    """What a JSON body means, in one form: white space and the order of names don't count, nor how
    a number is written (1, 1.0 and 1e0), nor whether an empty body is left out, `null` or `{}`.
    What is not JSON means itself."""
    try:
        value = json.loads(body or b"{}", parse_float=_number)
        return json.dumps({} if value is None else value, sort_keys=True).encode()
    except (ValueError, RecursionError):
        return body


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


OVER = IdempotencyKey.expires_at <= NOW
COLUMNS = sa.inspect(IdempotencyKey).columns


@cache
def _keep_statement(insert: Any) -> Statement:
    """The statement that writes an answer, unless the key has one that holds, with the `insert` of
    `upsert`."""
    values: dict[str, Any] = {one.name: sa.bindparam(one.name, type_=one.type) for one in COLUMNS}
    made = insert(IdempotencyKey).values(values | {"expires_at": later(KEPT_FOR)})
    renewed = {name: made.excluded[name] for name in values if name not in ("user_id", "key")}
    return Statement(
        made.on_conflict_do_update(
            index_elements=["user_id", "key"], set_=renewed, where=OVER
        ).returning(IdempotencyKey.key)
    )


OF_USER = IdempotencyKey.user_id == sa.bindparam("user")
CLEAN = Statement(
    sa.delete(IdempotencyKey).where(
        OF_USER,
        IdempotencyKey.key.in_(
            sa.select(IdempotencyKey.key)
            .where(OF_USER, OVER)
            .limit(sa.literal_column(str(CLEANED_AT_ONCE)))
            .with_for_update(skip_locked=True)
        ),
    )
)
KEPT = Statement(
    sa.select(
        IdempotencyKey.fingerprint,
        IdempotencyKey.meaning,
        IdempotencyKey.status,
        IdempotencyKey.body,
        IdempotencyKey.location,
        IdempotencyKey.headers,
    ).where(OF_USER, IdempotencyKey.key == sa.bindparam("wanted"), IdempotencyKey.expires_at > NOW)
)


def _keep(connection: sa.Connection, attempt: Attempt, answer: StoredAnswer) -> None:
    """Write the answer beside the work, and take a few of the caller's old ones away."""
    values = {
        "user_id": attempt.user_id,
        "key": attempt.key,
        "fingerprint": attempt.request.of_bytes,
        "meaning": attempt.request.of_meaning,
        "status": answer.status,
        "body": answer.body,
        "location": answer.location,
        "headers": dict(answer.headers),
        "now": attempt.now,
    }
    if _keep_statement(upsert(connection)).first(connection, values) is None:
        raise _Duplicate
    CLEAN.count(connection, {"user": attempt.user_id, "now": attempt.now})


def _kept(attempt: Attempt) -> StoredAnswer | None:
    """The answer that the key has; raises IdempotencyKeyReused where it is of another request."""
    with reading() as connection:
        asked = {"user": attempt.user_id, "wanted": attempt.key, "now": attempt.now}
        row = KEPT.first(connection, asked)
    if row is None:
        return None
    request = attempt.request
    if row.fingerprint != request.of_bytes and row.meaning != request.of_meaning:
        raise IdempotencyKeyReused(
            "This Idempotency-Key came with another request before; make a new key for each."
        )
    return StoredAnswer(row.status, row.body, row.location, row.headers or {}, replayed=True)
