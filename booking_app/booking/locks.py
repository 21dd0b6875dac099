"""The show and the booking that a use case works on, locked.

Locks are taken in one order: the own booking, the account, the show (shared), the seats by label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from booking_app.audit.service import Actor
from booking_app.auth.models import User
from booking_app.booking.models import CANCELLED, EXPIRED, HELD, Booking
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.queries import COLUMNS, OF_SHOW, BookingDetails, details, require_own
from booking_app.catalog import show_rules
from booking_app.catalog.models import SALES_END, Cinema, Movie, Screen, Show, with_places
from booking_app.core.database import NOW
from booking_app.core.errors import Conflict, NotFound
from booking_app.core.formats import iso
from booking_app.core.statements import Statement


class NotOnSaleYet(Conflict):
    code = "not_on_sale_yet"


class SalesClosed(Conflict):
    code = "sales_closed"


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
    """A show that can be booked at `now`; its row is locked against changes by staff. Customers
    can buy until `sales_end`."""

    id: int
    movie_title: str
    starts_at: datetime
    ends_at: datetime
    screen_name: str
    cinema_name: str
    timezone: str
    sales_end: datetime
    price_cents: int
    prices: Mapping[str, int]
    currency: str
    no_single_gaps: bool
    max_seats_per_account: int | None
    now: datetime


@dataclass(frozen=True, slots=True)
class LockedBooking:
    """A booking with its row locked, and when its show's sale ends."""

    details: BookingDetails
    sales_end: datetime


SHOW_ON_SALE = (
    sa.select(
        Show.id,
        *OF_SHOW,
        Show.sales_from,
        SALES_END.label("sales_end"),
        Show.price_cents,
        Show.prices,
        Show.currency,
        Show.no_single_gaps,
        Show.max_seats_per_account,
        sa.and_(Show.on_sale, Movie.on_sale).label("on_sale"),
        NOW.label("now"),
    )
    .join(Movie, Movie.id == Show.movie_id)
    # Outer joins: see `lock_show_on_sale`.
    .outerjoin(Screen, Screen.id == Show.screen_id)
    .outerjoin(Cinema, Cinema.id == Screen.cinema_id)
    .where(Show.id == sa.bindparam("show"))
    .with_for_update(read=True, key_share=True, of=Show)
)
LOCK_SHOW_ON_SALE = Statement(SHOW_ON_SALE)
LOCK_BOOKING = Statement(
    with_places(
        sa.select(*COLUMNS, *OF_SHOW, SALES_END.label("sales_end")).join(
            Show, Show.id == Booking.show_id
        )
    )
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
    Raises what `show_on_sale` raises."""
    asked = {"show": show_id, "now": now}
    show = LOCK_SHOW_ON_SALE.first(connection, asked)
    if show is not None and show.cinema_name is None:
        # Staff moved it to another screen while its lock was waited for. PostgreSQL looks at the
        # show's row again then, but not at the new screen's.
        show = LOCK_SHOW_ON_SALE.first(connection, asked)
    return show_on_sale(show, show_id, by)


def show_on_sale(show: Any, show_id: int, by: Actor | None) -> ShowOnSale:
    """The show of a row of `SHOW_ON_SALE`, None where there is none. Raises NotFound,
    NotOnSale and, for customers, NotOnSaleYet and SalesClosed."""
    if show is None:
        raise NotFound("show", show_id)
    if not show.on_sale:
        raise NotOnSale("This show is withdrawn from sale.")
    if by is None:
        if show.sales_from is not None and show.now < show.sales_from:
            begin = iso(show.sales_from)
            raise NotOnSaleYet(f"Seats are sold from {begin} on.", sales_from=begin)
        refuse_after_sale(show.sales_end, show.now)
    return ShowOnSale(
        id=show.id,
        movie_title=show.movie_title,
        starts_at=show.starts_at,
        ends_at=show.ends_at,
        screen_name=show.screen_name,
        cinema_name=show.cinema_name,
        timezone=show.timezone,
        sales_end=show.sales_end,
        price_cents=show.price_cents,
        prices=show.prices,
        currency=show.currency,
        no_single_gaps=show.no_single_gaps,
        max_seats_per_account=show.max_seats_per_account,
        now=show.now,
    )


def refuse_after_sale(sales_end: datetime, now: datetime) -> None:
    """Raises SalesClosed."""
    if sales_end <= now:
        raise SalesClosed(f"The sale ended at {iso(sales_end)}.")


def lock_hold(
    connection: sa.Connection,
    user_id: int,
    booking_id: int,
    policy: BookingPolicy,
    by: Actor | None,
    now: datetime | None,
) -> LockedBooking:
    """As `lock_live_booking`, with the account's row locked too: whoever counts its seats (`caps`)
    sees whether the hold was kept in time. Raises NotHeld for a booking that is booked and, for
    customers, SalesClosed: staff may have ended the sale earlier than the hold."""
    locked = lock_live_booking(connection, user_id, booking_id, policy, by, now)
    if locked.details.status != HELD:
        raise NotHeld("This booking is confirmed already.")
    if by is None:
        refuse_after_sale(locked.sales_end, locked.details.now)
    lock_row(connection, User.id, locked.details.user_id)
    return locked


def lock_live_booking(
    connection: sa.Connection,
    user_id: int,
    booking_id: int,
    policy: BookingPolicy,
    by: Actor | None,
    now: datetime | None,
) -> LockedBooking:
    """The account's booking, for staff any account's, with its row locked.

    The one check of what every change needs: that it is neither cancelled nor expired.
    """
    row = LOCK_BOOKING.first(connection, {"booking": booking_id, "now": now})
    if row is None:
        raise NotFound("booking", booking_id)
    booking = details(row, policy)
    if by is None:
        require_own(booking.user_id, user_id)
    if booking.status == CANCELLED:
        raise AlreadyCancelled("This booking is cancelled already.")
    if booking.status == EXPIRED:
        raise hold_expired(booking)
    return LockedBooking(booking, row.sales_end)


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
