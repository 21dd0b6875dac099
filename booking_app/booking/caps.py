"""How many seats of a show one account may have. The account's row is locked: the caps count over
its bookings, so those come one after the other."""

from datetime import datetime

import sqlalchemy as sa

from booking_app.booking.models import BOOKED, HELD, Booking
from booking_app.booking.queries import receipt
from booking_app.core.database import NOW, Query
from booking_app.core.errors import Conflict


class TooManyHolds(Conflict):
    code = "too_many_holds"


class TooManySeats(Conflict):
    code = "too_many_seats"


HELD_NOW = sa.and_(Booking.status == HELD, Booking.expires_at > NOW)
OF_ACCOUNT = sa.select(Booking.seats, Booking.status).where(
    Booking.user_id == sa.bindparam("user"), Booking.show_id == sa.bindparam("show")
)
HELD_BY_ACCOUNT = OF_ACCOUNT.where(HELD_NOW)
HAD_BY_ACCOUNT = OF_ACCOUNT.where(sa.or_(Booking.status == BOOKED, HELD_NOW))


def refuse_too_many_holds(
    connection: sa.Connection, *, user_id: int, show_id: int, more: int, most: int, now: datetime
) -> None:
    """Raises TooManyHolds where the account would hold more than `most` seats of the show."""
    held = _count(connection, HELD_BY_ACCOUNT, user_id, show_id, now)
    if held + more > most:
        raise TooManyHolds(
            f"The account holds {held} seats of this show; with {more} more it would be over "
            f"{most}. Confirm or cancel a hold first.",
            held=held,
            most=most,
        )


def refuse_too_many_seats(
    connection: sa.Connection, *, user_id: int, show_id: int, more: int, most: int, now: datetime
) -> None:
    """Raises TooManySeats where the account would have more than `most` seats of the show, held and
    booked."""
    held = _count(connection, HAD_BY_ACCOUNT, user_id, show_id, now)
    if held + more > most:
        raise TooManySeats(
            f"An account has at most {most} of this show's seats; this one has {held} and can't "
            f"have {more} more.",
            held=held,
            most=most,
        )


def _count(
    connection: sa.Connection,
    receipts: Query,
    user_id: int,
    show_id: int,
    now: datetime,
) -> int:
    params = {"user": user_id, "show": show_id, "now": now}
    return sum(
        not seat.cancelled
        for stored, status in connection.execute(receipts, params)
        for seat in receipt(stored, status)
    )
