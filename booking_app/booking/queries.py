"""Bookings as they are read and answered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from booking_app.auth.models import User
from booking_app.booking.models import Booking, status_at
from booking_app.catalog.models import FILM_SEARCHED, Movie, Show
from booking_app.core.database import NOW, Row, Searched, reading
from booking_app.core.errors import Forbidden, NotFound
from booking_app.core.paging import Listing, Page, fetch_page, listing


class NotYourBooking(Forbidden):
    code = "not_your_booking"


@dataclass(frozen=True, slots=True)
class BookedSeat:
    """A line of a booking's receipt: a seat at the price when it was booked. `cancelled`: it was
    given back by itself."""

    label: str
    price_cents: int
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class BookingDetails:
    """A booking as its row says. `seats` is its receipt, in the order of the room."""

    id: int
    reference: str
    user_id: int
    show_id: int
    status: str
    seats: tuple[BookedSeat, ...]
    currency: str
    created_at: datetime
    expires_at: datetime | None

    @property
    def labels(self) -> list[str]:
        """The seats that were not given back one by one."""
        return [seat.label for seat in self.seats if not seat.cancelled]

    @property
    def priced_seats(self) -> list[dict[str, Any]]:
        """Its seats, each with the currency of its price."""
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
        """The seats that were given back one by one."""
        return [seat.label for seat in self.seats if seat.cancelled]

    @property
    def total_cents(self) -> int:
        """The price of the seats that were not given back."""
        return sum(seat.price_cents for seat in self.seats if not seat.cancelled)


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
)
# A search for bookings looks into these.
SEARCHED = (
    Searched(sa.func.lower(Booking.reference)),
    Searched(User.username_key),
    Searched(sa.func.lower(User.email)),
    FILM_SEARCHED,
)
ONE_BOOKING = sa.select(*COLUMNS).where(Booking.id == sa.bindparam("booking"))


def details(row: Row | Mapping[Any, Any]) -> BookingDetails:
    """The booking of a row that has `COLUMNS`."""
    booking = row if isinstance(row, Mapping) else row._mapping
    return BookingDetails(
        id=booking["id"],
        reference=booking["reference"],
        user_id=booking["user_id"],
        show_id=booking["show_id"],
        status=booking["status"],
        seats=receipt(booking["seats"]),
        currency=booking["currency"],
        created_at=booking["created_at"],
        expires_at=booking["expires_at"],
    )


def receipt(stored: Iterable[Mapping[str, Any]]) -> tuple[BookedSeat, ...]:
    """The lines of a receipt as `booking.seats` keeps them."""
    return tuple(
        BookedSeat(line["seat_number"], line["price_cents"], line["cancelled"]) for line in stored
    )


def live_labels(stored: Iterable[Mapping[str, Any]]) -> list[str]:
    """The seats of a receipt as `booking.seats` keeps it that were not given back."""
    return [seat.label for seat in receipt(stored) if not seat.cancelled]


def stored_receipt(seats: Sequence[BookedSeat]) -> list[dict[str, Any]]:
    """What `booking.seats` keeps of a receipt."""
    return [
        {"seat_number": seat.label, "price_cents": seat.price_cents, "cancelled": seat.cancelled}
        for seat in seats
    ]


def get_booking(*, user_id: int, booking_id: int, now: datetime | None = None) -> BookingDetails:
    """One of the account's bookings; raises NotFound and NotYourBooking."""
    booking = get_any_booking(booking_id=booking_id, now=now)
    require_own(booking.user_id, user_id)
    return booking


def get_any_booking(*, booking_id: int, now: datetime | None = None) -> BookingDetails:
    """A booking of whichever account, for staff; raises NotFound."""
    with reading() as connection:
        row = connection.execute(ONE_BOOKING, {"booking": booking_id, "now": now}).first()
    if row is None:
        raise NotFound("booking", booking_id)
    return details(row)


def require_own(owner_id: int, user_id: int) -> None:
    """Raises NotYourBooking unless the account owns the booking."""
    if owner_id != user_id:
        raise NotYourBooking("This booking is another account's.")


@cache
def _booking_list(by_status: bool) -> Listing:
    query = sa.select(*COLUMNS).where(Booking.user_id == sa.bindparam("user"))
    if by_status:
        query = query.where(status_at(NOW) == sa.bindparam("status"))
    return listing(query.order_by(Booking.id.desc()))


def list_bookings(
    *,
    user_id: int,
    page: int,
    page_size: int,
    status: str | None = None,
    now: datetime | None = None,
) -> Page:
    """The account's bookings, newest first."""
    params: dict[str, Any] = {"user": user_id, "now": now}
    if status is not None:
        params["status"] = status
    statements = _booking_list(status is not None)
    with reading() as connection:
        bookings = fetch_page(connection, statements, params, page=page, page_size=page_size)
    return bookings.map(details)


@cache
def _all_bookings(filters: frozenset[str], searching: bool) -> Listing:
    """The list of everybody's bookings with those filters, built once for each set of them.
    Searching, it has a parameter for each of `SEARCHED`: `search_0` and so on."""
    query = sa.select(*COLUMNS)
    if searching:
        patterns = (one.like(sa.bindparam(f"search_{n}")) for n, one in enumerate(SEARCHED))
        query = (
            query.join(User, User.id == Booking.user_id)
            .join(Show, Show.id == Booking.show_id)
            .join(Movie, Movie.id == Show.movie_id)
            .where(sa.or_(*patterns))
        )
    conditions = {
        "show": Booking.show_id == sa.bindparam("show"),
        "user": Booking.user_id == sa.bindparam("user"),
        "status": status_at(NOW) == sa.bindparam("status"),
        "reference": Booking.reference == sa.bindparam("reference"),
    }
    for name in filters:
        query = query.where(conditions[name])
    return listing(query.order_by(Booking.id.desc()))


def list_all_bookings(
    *,
    page: int,
    page_size: int,
    show: int | None = None,
    user: int | None = None,
    status: str | None = None,
    reference: str | None = None,
    search: str | None = None,
    now: datetime | None = None,
) -> Page:
    """Everybody's bookings, newest first, for staff. `search` is a part of the reference, the user
    name, the e-mail or the film's titles, in any case."""
    filters = {
        "show": show,
        "user": user,
        "status": status,
        "reference": None if reference is None else reference.upper(),
    }
    given = {name: value for name, value in filters.items() if value is not None}
    params = {**given, "now": now}
    if search is not None:
        params |= {f"search_{n}": one.pattern(search) for n, one in enumerate(SEARCHED)}
    statements = _all_bookings(frozenset(given), search is not None)
    with reading() as connection:
        bookings = fetch_page(connection, statements, params, page=page, page_size=page_size)
    return bookings.map(details)
