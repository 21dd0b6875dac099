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
from sqlalchemy.orm import Mapped, mapped_column

from booking_app.database import Base, BigId, Json, UtcDateTime, clock_param, reading
from booking_app.paging import Listing, Page, fetch_page, listing

OBJECT_TYPES = ("account", "session", "movie", "show", "cinema", "screen", "catalog")
ACTIONS = (
    "account.signed_up",
    "account.logged_in",
    "account.log_in_refused",
    "account.password_changed",
    "account.password_refused",
    "account.changed",
    "session.ended",
    "session.stolen",
    *(
        f"{thing}.{done}"
        for thing in ("movie", "show", "cinema", "screen")
        for done in ("created", "changed", "deleted")
    ),
    "catalog.loaded",
)


@dataclass(frozen=True)
class Actor:
    """Who does something, in which request and from where. Nobody: a command of the operator's."""

    user_id: int | None = None
    username: str | None = None
    address: str | None = None
    request_id: str | None = None


OPERATOR = Actor()


class AuditEvent(Base):
    """`before` and `after` are what the event changed, by field; passwords never stand here."""

    __tablename__ = "audit_event"
    __table_args__ = (
        sa.Index("ix_audit_event_action_id", "action", "id"),
        sa.Index("ix_audit_event_actor_id_id", "actor_id", "id"),
        sa.Index("ix_audit_event_object", "object_type", "object_id", "id"),
        sa.Index("ix_audit_event_created_at", "created_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    action: Mapped[str] = mapped_column(sa.String(40))
    actor_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    actor_name: Mapped[str | None] = mapped_column(sa.String(150))
    address: Mapped[str | None] = mapped_column(sa.String(45))
    request_id: Mapped[str | None] = mapped_column(sa.String(128))
    object_type: Mapped[str] = mapped_column(sa.String(20))
    object_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    before: Mapped[dict[str, Any] | None] = mapped_column(Json)
    after: Mapped[dict[str, Any] | None] = mapped_column(Json)


EVENT = tuple(sa.inspect(AuditEvent).columns)


@cache
def _insert(timed: bool) -> sa.Insert:
    return sa.insert(AuditEvent).values(created_at=clock_param(timed))


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
    if now is not None:
        values["now"] = now
    connection.execute(_insert(now is not None), values)


@cache
def _event_list(filters: frozenset[str]) -> Listing:
    conditions = {
        "action": AuditEvent.action == sa.bindparam("action"),
        "actor": AuditEvent.actor_id == sa.bindparam("actor"),
        "object_type": AuditEvent.object_type == sa.bindparam("object_type"),
        "object": AuditEvent.object_id == sa.bindparam("object"),
        "since": AuditEvent.created_at >= sa.bindparam("since"),
        "until": AuditEvent.created_at < sa.bindparam("until"),
    }
    query = sa.select(*EVENT).where(*(conditions[name] for name in sorted(filters)))
    return listing(query.order_by(AuditEvent.id.desc()))


def list_events(*, page: int, page_size: int, **filters: Any) -> Page:
    """Events, newest first. `filters`: action, actor (an account's id), object_type, object (its
    id), since and until (instants; until itself is left out)."""
    given = {name: value for name, value in filters.items() if value is not None}
    with reading() as connection:
        statements = _event_list(frozenset(given))
        return fetch_page(connection, statements, given, page=page, page_size=page_size)
