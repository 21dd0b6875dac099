"""Bookings as they are read and answered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from booking_app.auth.accounts import SessionEnded
from booking_app.auth.models import Session, User
from booking_app.auth.sessions import OF_OPEN_SESSION
from booking_app.booking.models import BOOKED, HELD, Booking, status_at
from booking_app.booking.policy import DEFAULT_POLICY, BookingPolicy
from booking_app.booking.references import normalized
from booking_app.booking.searches import found_bookings, search_params
from booking_app.catalog.models import (
    IS_UPCOMING,
    Cinema,
    Movie,
    Screen,
    Show,
    with_places,
)
from booking_app.core.database import NOW, Query, reading
from booking_app.core.errors import Forbidden, NotFound
from booking_app.core.paging import CursorListing, Part, fetch_part, newest_first
from booking_app.core.statements import Statement


class NotYourBooking(Forbidden):
    code = "not_your_booking"


# Neither of the two is frozen, which makes them take four times as long to make.
@dataclass(slots=True)
class BookedSeat:
    """A line of a booking's receipt: a seat at the price when it was booked. `cancelled`: the
    booking does not have it any longer."""

    label: str
    price_cents: int
    cancelled: bool = False


@dataclass(slots=True)
class BookingDetails:
    """A booking as its row says, at `now`, with what its show is at present.

    `seats` is its receipt, in the order of the room. Customers may cancel what is booked until
    `cancel_cutoff` before the start.
    """

    id: int
    reference: str
    user_id: int
    show_id: int
    status: str
    seats: tuple[BookedSeat, ...]
    currency: str
    created_at: datetime
    expires_at: datetime | None
    movie_title: str
    starts_at: datetime
    ends_at: datetime
    screen_name: str
    cinema_name: str
    timezone: str
    now: datetime
    cancel_cutoff: timedelta

    @property
    def labels(self) -> list[str]:
        """The seats that it has."""
        return [seat.label for seat in self.seats if not seat.cancelled]

    @property
    def priced_seats(self) -> list[dict[str, Any]]:
        """All its seats, each with the currency of its price."""
        return [
            {
                "label": seat.label,
                "price_cents": seat.price_cents,
                "currency": self.currency,
                "cancelled": seat.cancelled,
            }
            for seat in self.seats
        ]

    @property
    def only_label(self) -> str | None:
        """The seat, where it is exactly one."""
        labels = self.labels
        return labels[0] if len(labels) == 1 else None

    @property
    def cancelled_labels(self) -> list[str]:
        """The seats that it has no longer."""
        return [seat.label for seat in self.seats if seat.cancelled]

    @property
    def total_cents(self) -> int:
        """The price of the seats that it has."""
        return sum(seat.price_cents for seat in self.seats if not seat.cancelled)

    @property
    def original_total_cents(self) -> int:
        """The price of all its seats."""
        return sum(seat.price_cents for seat in self.seats)

    @property
    def cancel_until(self) -> datetime | None:
        """When cancelling ends for customers: a hold is let go until it expires."""
        if self.status == BOOKED:
            return self.starts_at - self.cancel_cutoff
        return self.expires_at if self.status == HELD else None

    @property
    def can_cancel(self) -> bool:
        """Whether its customer may cancel it now."""
        return self.cancel_until is not None and self.now < self.cancel_until


# With the parameter `now`.
COLUMNS = (
    Booking.id,
    Booking.reference,
    Booking.user_id,
    Booking.show_id,
    status_at(NOW).label("status"),
    Booking.seats,
    Booking.currency,
    Booking.created_at,
    Booking.expires_at,
    NOW.label("now"),
)
# What a booking tells of its show, of a SELECT that is joined by `with_places`.
OF_SHOW = (
    Movie.title.label("movie_title"),
    Show.starts_at,
    Show.ends_at,
    Screen.name.label("screen_name"),
    Cinema.name.label("cinema_name"),
    Cinema.timezone,
)
ONE_BOOKING = Statement(
    with_places(sa.select(*COLUMNS, *OF_SHOW).join(Show, Show.id == Booking.show_id)).where(
        Booking.id == sa.bindparam("booking")
    )
)


def details(row: Any, policy: BookingPolicy) -> BookingDetails:
    """The booking of a row that has `COLUMNS` and `OF_SHOW`."""
    return BookingDetails(
        id=row.id,
        reference=row.reference,
        user_id=row.user_id,
        show_id=row.show_id,
        status=row.status,
        seats=receipt(row.seats, row.status),
        currency=row.currency,
        created_at=row.created_at,
        expires_at=row.expires_at,
        movie_title=row.movie_title,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        screen_name=row.screen_name,
        cinema_name=row.cinema_name,
        timezone=row.timezone,
        now=row.now,
        cancel_cutoff=policy.cancel_cutoff,
    )


def receipt(stored: Iterable[Mapping[str, Any]], status: str) -> tuple[BookedSeat, ...]:
    """The lines of a receipt that `booking.seats` keeps, of a booking with that status. Kept is of
    each seat whether it was given back by itself; a booking that is cancelled or expired has none.
    """
    over = status not in (HELD, BOOKED)
    return tuple(
        BookedSeat(line["seat_number"], line["price_cents"], over or line["cancelled"])
        for line in stored
    )


def stored_receipt(seats: Sequence[BookedSeat]) -> list[dict[str, Any]]:
    """What `booking.seats` keeps of a receipt."""
    return [
        {"seat_number": seat.label, "price_cents": seat.price_cents, "cancelled": seat.cancelled}
        for seat in seats
    ]


def get_booking(
    *,
    user_id: int,
    booking_id: int,
    policy: BookingPolicy = DEFAULT_POLICY,
    now: datetime | None = None,
) -> BookingDetails:
    """One of the account's bookings; raises NotFound and NotYourBooking."""
    booking = get_any_booking(booking_id=booking_id, policy=policy, now=now)
    require_own(booking.user_id, user_id)
    return booking


def get_any_booking(
    *, booking_id: int, policy: BookingPolicy = DEFAULT_POLICY, now: datetime | None = None
) -> BookingDetails:
    """A booking of whichever account, for staff; raises NotFound."""
    with reading() as connection:
        row = ONE_BOOKING.first(connection, {"booking": booking_id, "now": now})
    if row is None:
        raise NotFound("booking", booking_id)
    return details(row, policy)


def require_own(owner_id: int, user_id: int) -> None:
    """Raises NotYourBooking unless the account owns the booking."""
    if owner_id != user_id:
        raise NotYourBooking("This booking is another account's.")


@cache
def _bookings(
    filters: frozenset[str], *, searching: bool, is_counted: bool, has_session: bool
) -> CursorListing:
    """The list of bookings with those filters, built once for each set of them."""
    query = sa.select(*COLUMNS)
    if "upcoming" in filters:
        query = query.join(Show, Show.id == Booking.show_id)
    if searching:
        # A join, since for an IN both databases may try each booking.
        found = found_bookings().subquery("found")
        query = query.join(found, found.c.id == Booking.id)
    conditions = {
        "show": Booking.show_id == sa.bindparam("show"),
        "user": Booking.user_id == sa.bindparam("user"),
        "status": status_at(NOW) == sa.bindparam("status"),
        "reference": Booking.reference == sa.bindparam("reference"),
        "upcoming": sa.bindparam("upcoming", type_=sa.Boolean) == IS_UPCOMING,
    }
    for name in filters:
        query = query.where(conditions[name])
    complete = _of_open_session if has_session else _with_shows
    return newest_first(query, Booking.id, complete, is_counted=is_counted)


def _with_shows(part: sa.Subquery) -> Query:
    """Rows of bookings with what each tells of its show."""
    query = sa.select(part, *OF_SHOW).select_from(part)
    return with_places(query.join(Show, Show.id == part.c.show_id))


def _of_open_session(part: sa.Subquery) -> Query:
    """As `_with_shows`, while the session is open: a row without a booking where there is none to
    tell, and no row at all where the session is over."""
    opened = sa.join(User, Session, OF_OPEN_SESSION)
    shows = opened.outerjoin(part, sa.true()).outerjoin(Show, Show.id == part.c.show_id)
    screens = shows.outerjoin(Movie, Movie.id == Show.movie_id).outerjoin(
        Screen, Screen.id == Show.screen_id
    )
    places = screens.outerjoin(Cinema, Cinema.id == Screen.cinema_id)
    return sa.select(part, *OF_SHOW).select_from(places)


def _told(rows: list[Any]) -> list[Any]:
    """Those of the rows of `_of_open_session` that have a booking. Raises SessionEnded."""
    if not rows:
        raise SessionEnded
    return [] if rows[0].id is None else rows


def list_bookings(*, user_id: int, **asked: Any) -> Part:
    """The account's bookings, as `list_all_bookings`, but not counted: that took longer the more
    there were, and their owner pages through them by cursor. Raises SessionEnded where the account
    asks by its `session_id`, and that session is over."""
    return list_all_bookings(user=user_id, is_counted=False, **asked)


def list_all_bookings(
    *,
    page: int,
    page_size: int,
    after: int | None = None,
    show: int | None = None,
    user: int | None = None,
    status: str | None = None,
    reference: str | None = None,
    upcoming: bool | None = None,
    search: str | None = None,
    session_id: int | None = None,
    is_counted: bool = True,
    policy: BookingPolicy = DEFAULT_POLICY,
    now: datetime | None = None,
) -> Part:
    """Everybody's bookings, newest first: a page, or those older than the one with the id `after`.

    `reference` is one as it was typed; `search` is how it begins (of the newest bookings, any
    part of it), or a part of the user name, the e-mail or the film's titles, in any case;
    `upcoming` is whether the show is (`IS_UPCOMING`).
    """
    filters = {
        "show": show,
        "user": user,
        "status": status,
        "reference": None if reference is None else normalized(reference),
        "upcoming": upcoming,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    params = {**given, "now": now, "session": session_id}
    if search is not None:
        params |= search_params(search)
    has_session = session_id is not None
    statements = _bookings(
        frozenset(given),
        searching=search is not None,
        is_counted=is_counted,
        has_session=has_session,
    )
    with reading() as connection:
        part = fetch_part(
            connection,
            statements,
            params,
            page=page,
            page_size=page_size,
            after=after,
            seen=_told if has_session else list,
        )
    return part.map(lambda row: details(row, policy))
