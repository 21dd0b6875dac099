"""The audit's table, and which events it has."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from booking_app.core.database import Base, BigId, Json, UtcDateTime

ADDRESS_MAX = 45  # characters of the longest IPv6 address
REQUEST_ID_MAX = 128

OBJECT_TYPES = ("account", "session", "movie", "show", "cinema", "screen", "catalog", "booking")
LOGGED_IN = "account.logged_in"
ACTIONS = (
    "account.signed_up",
    LOGGED_IN,
    "account.log_in_refused",
    "account.password_changed",
    "account.password_refused",
    "account.changed",
    "session.ended",
    "session.refresh_token_reused",
    *(
        f"{thing}.{done}"
        for thing in ("movie", "show", "cinema", "screen")
        for done in ("created", "changed", "deleted")
    ),
    "catalog.loaded",
    # What staff do with bookings; what customers do themselves their bookings say.
    "booking.created",
    "booking.held",
    "booking.confirmed",
    "booking.extended",
    "booking.cancelled",
)


class AuditEvent(Base):
    """`before` and `after` are what the event changed, by field; passwords never stand here."""

    __tablename__ = "audit_event"
    __table_args__ = (
        sa.Index("ix_audit_event_action_id", "action", "id"),
        sa.Index("ix_audit_event_actor_id_id", "actor_id", "id"),
        sa.Index("ix_audit_event_object", "object_type", "object_id", "id"),
        sa.Index("ix_audit_event_created_at", "created_at"),
        # Where an account was logged into from, among all that strangers tried.
        sa.Index(
            "ix_audit_event_logged_in",
            "actor_id",
            "id",
            sqlite_where=sa.text(f"action = '{LOGGED_IN}'"),
            postgresql_where=sa.text(f"action = '{LOGGED_IN}'"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    action: Mapped[str] = mapped_column(sa.String(40))
    actor_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    actor_name: Mapped[str | None] = mapped_column(sa.String(150))
    address: Mapped[str | None] = mapped_column(sa.String(ADDRESS_MAX))
    request_id: Mapped[str | None] = mapped_column(sa.String(REQUEST_ID_MAX))
    object_type: Mapped[str] = mapped_column(sa.String(20))
    object_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    before: Mapped[dict[str, Any] | None] = mapped_column(Json)
    after: Mapped[dict[str, Any] | None] = mapped_column(Json)
