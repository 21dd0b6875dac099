"""The show and the booking that a use case works on, locked.

Locks are taken in one order: the own booking, the account, the show (shared), the seats by label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from booking_app.audit.service import Actor
from booking_app.auth.models import User
from booking_app.booking.models import CANCELLED, EXPIRED, HELD, Booking
from booking_app.booking.queries import COLUMNS, BookingDetails, details, require_own
from booking_app.catalog import show_rules
from booking_app.catalog.models import Movie, Show
from booking_app.core.database import NOW, Row
from booking_app.core.errors import Conflict, NotFound
from booking_app.core.formats import iso


class ShowStarted(Conflict):
    code = "show_started"


class NotOnSale(Conflict):
    code = "not_on_sale"


class HoldExpired(Conflict):
    code = "hold_expired"


class NotHeld(Conflict):
    code = "not_held"


class AlreadyCancelled(Conflict):
    code = "already_cancelled"


@dataclass(frozen=True, slots=True)
class ShowOnSale:
    """A show that can be booked at `now`; its row is locked against changes by staff."""

    id: int
    starts_at: datetime
    price_cents: int
    prices: Mapping[str, int]
    no_single_gaps: bool
    max_seats_per_account: int | None
    now: datetime


@dataclass(frozen=True, slots=True)
class LockedBooking:
    """A booking with its row locked, when its show starts, and the present."""

    details: BookingDetails
    starts_at: datetime
    now: datetime


LOCK_SHOW_ON_SALE = (
    sa.select(
        Show.id,
        Show.starts_at,
        Show.price_cents,
        Show.prices,
        Show.no_single_gaps,
        Show.max_seats_per_account,
        sa.and_(Show.on_sale, Movie.on_sale).label("on_sale"),
        NOW.label("now"),
    )
    .join(Movie, Movie.id == Show.movie_id)
    .where(Show.id == sa.bindparam("show"))
    .with_for_update(read=True, key_share=True, of=Show)
)
LOCK_BOOKING = (
    sa.select(*COLUMNS, Show.starts_at, NOW.label("now"))
    .join(Show, Show.id == Booking.show_id)
    .where(Booking.id == sa.bindparam("booking"))
    .with_for_update(of=Booking)
)


def lock_row(
    connection: sa.Connection, key: sa.orm.InstrumentedAttribute[int], row_id: int
) -> None:
    connection.execute(sa.select(key).where(key == row_id).with_for_update(key_share=True)).all()


def lock_show_on_sale(
    connection: sa.Connection, show_id: int, by: Actor | None, now: datetime | None
) -> ShowOnSale:
    """The show, its row locked shared so that staff can't move it meanwhile, and the present.
    Raises NotFound, NotOnSale and, for customers, ShowStarted."""
    show = connection.execute(LOCK_SHOW_ON_SALE, {"show": show_id, "now": now}).first()
    if show is None:
        raise NotFound("show", show_id)
    if not show.on_sale:
        raise NotOnSale("This show is withdrawn from sale.")
    if show.starts_at <= show.now and by is None:
        raise ShowStarted(f"The show began at {iso(show.starts_at)}.")
    return ShowOnSale(
        id=show.id,
        starts_at=show.starts_at,
        price_cents=show.price_cents,
        prices=show.prices,
        no_single_gaps=show.no_single_gaps,
        max_seats_per_account=show.max_seats_per_account,
        now=show.now,
    )


def lock_hold(
    connection: sa.Connection,
    user_id: int,
    booking_id: int,
    by: Actor | None,
    now: datetime | None,
) -> LockedBooking:
    """As `lock_live_booking`, with the account's row locked too: whoever counts its seats (`caps`)
    sees whether the hold was kept in time. Raises NotHeld for a booking that is booked."""
    locked = lock_live_booking(connection, user_id, booking_id, by, now)
    if locked.details.status != HELD:
        raise NotHeld("This booking is confirmed already.")
    lock_row(connection, User.id, locked.details.user_id)
    return locked


def lock_live_booking(
    connection: sa.Connection,
    user_id: int,
    booking_id: int,
    by: Actor | None,
    now: datetime | None,
) -> LockedBooking:
    """The account's booking, for staff any account's, with its row locked.

    The one check of what every change needs: that it is neither cancelled nor expired.
    """
    row: Row | None = connection.execute(LOCK_BOOKING, {"booking": booking_id, "now": now}).first()
    if row is None:
        raise NotFound("booking", booking_id)
    booking = details(row)
    if by is None:
        require_own(booking.user_id, user_id)
    if booking.status == CANCELLED:
        raise AlreadyCancelled("This booking is cancelled already.")
    if booking.status == EXPIRED:
        raise hold_expired(booking)
    return LockedBooking(booking, row.starts_at, row.now)


def hold_expired(booking: BookingDetails) -> HoldExpired:
    when = f" at {iso(booking.expires_at)}" if booking.expires_at else ""
    return HoldExpired(f"The hold ended{when}; its seats are free for others. Choose again.")


def forget_sums(
    connection: sa.Connection, show_id: int, starts_at: datetime, now: datetime
) -> None:
    """Let reports add up a show anew whose seats change owners after it began."""
    if starts_at <= now:
        lock_row(connection, Show.id, show_id)
        show_rules.forget_sums(connection, [show_id])
