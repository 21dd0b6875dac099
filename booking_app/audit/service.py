"""Who did what, and when: a row for each event of an account and each change by staff.

Rows are written in the transaction of what they tell, and by nothing else; nothing changes
or deletes them. They refer to no other table, so they outlive what they tell of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from booking_app.audit.models import AuditEvent
from booking_app.core.database import NOW, reading
from booking_app.core.paging import CursorListing, Part, fetch_part, newest_first

EVENT = tuple(sa.inspect(AuditEvent).columns)


@dataclass(frozen=True)
class Actor:
    """Who does something, in which request and from where. All None: a command at the server."""

    user_id: int | None = None
    username: str | None = None
    address: str | None = None
    request_id: str | None = None


OPERATOR = Actor()


INSERT_EVENT = sa.insert(AuditEvent).values(created_at=NOW)


def record(
    connection: sa.Connection,
    action: str,
    *,
    by: Actor,
    object_id: int | None,
    before: Mapping[Any, Any] | None = None,
    after: Mapping[Any, Any] | None = None,
    now: datetime | None = None,
) -> None:
    """Write down that `by` did `action` (one of `ACTIONS`) to the object of that id.

    Of what stands in both `before` and `after` only what differs is kept; where that is
    nothing, nothing happened and nothing is written.
    """
    if before is not None and after is not None:
        changed = [name for name in after if before[name] != after[name]]
        if not changed:
            return
        before = {name: before[name] for name in changed}
        after = {name: after[name] for name in changed}
    values: dict[str, Any] = {
        "action": action,
        "actor_id": by.user_id,
        "actor_name": by.username,
        "address": by.address,
        "request_id": by.request_id,
        "object_type": action.partition(".")[0],
        "object_id": object_id,
        "before": None if before is None else dict(before),
        "after": None if after is None else dict(after),
    }
    connection.execute(INSERT_EVENT, values | {"now": now})


@cache
def _event_list(filters: frozenset[str]) -> CursorListing:
    conditions = {
        "action": AuditEvent.action == sa.bindparam("action"),
        "actor": AuditEvent.actor_id == sa.bindparam("actor"),
        "object_type": AuditEvent.object_type == sa.bindparam("object_type"),
        "object": AuditEvent.object_id == sa.bindparam("object"),
        "since": AuditEvent.created_at >= sa.bindparam("since"),
        "until": AuditEvent.created_at < sa.bindparam("until"),
    }
    query = sa.select(*EVENT).where(*(conditions[name] for name in sorted(filters)))
    return newest_first(query, AuditEvent.id)


def list_events(
    *,
    page: int,
    page_size: int,
    after: int | None = None,
    action: str | None = None,
    actor: int | None = None,
    object_type: str | None = None,
    object: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Part:
    """Events, newest first: a page, or those before the one with the id `after`. `actor` is an
    account's id; `until` itself is left out."""
    filters = {
        "action": action,
        "actor": actor,
        "object_type": object_type,
        "object": object,
        "since": since,
        "until": until,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    with reading() as connection:
        statements = _event_list(frozenset(given))
        return fetch_part(
            connection, statements, given, page=page, page_size=page_size, after=after
        )
