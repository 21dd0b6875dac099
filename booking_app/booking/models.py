"""The bookings' tables."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from booking_app.core.database import Base, BigId, Json, UtcDateTime

HELD, BOOKED, CANCELLED, EXPIRED = "held", "booked", "cancelled", "expired"


class Booking(Base):
    """What a customer was promised. Who owns a seat is said by `show_seat` alone.

    `seats` is the receipt: a list of `{"seat_number", "price_cents", "cancelled"}` in the
    order of the seats, kept when seats are given back. It is shown, never searched.
    """

    __tablename__ = "booking"
    __table_args__ = (
        sa.UniqueConstraint("reference"),
        sa.CheckConstraint(f"status IN ('{HELD}', '{BOOKED}', '{CANCELLED}')", name="status"),
        sa.CheckConstraint("total_cents >= 0", name="total"),
        sa.Index("ix_booking_user_id_id", "user_id", "id"),
        sa.Index("ix_booking_show_id", "show_id"),
        # How many seats of a show an account holds: few bookings are held at a time.
        sa.Index(
            "ix_booking_held",
            "user_id",
            "show_id",
            sqlite_where=sa.text("status = 'held'"),
            postgresql_where=sa.text("status = 'held'"),
        ),
        # Few bookings are not booked, and staff look for them among all.
        sa.Index(
            "ix_booking_not_booked",
            "status",
            "id",
            "expires_at",
            sqlite_where=sa.text("status <> 'booked'"),
            postgresql_where=sa.text("status <> 'booked'"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    reference: Mapped[str] = mapped_column(sa.String(12))
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    show_id: Mapped[int] = mapped_column(sa.ForeignKey("show.id"))
    status: Mapped[str] = mapped_column(sa.String(10))
    seats: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    total_cents: Mapped[int] = mapped_column(sa.Integer)
    currency: Mapped[str] = mapped_column(sa.String(3))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


def status_at(now: sa.ColumnElement[datetime]) -> sa.ColumnElement[str]:
    """A booking's status at `now`: nothing writes `expired`, a hold whose time is over is it."""
    over = sa.and_(Booking.status == HELD, Booking.expires_at <= now)
    return sa.case((over, EXPIRED), else_=Booking.status)
