"""Booking and cancelling: the only place that takes and frees seats.

A seat is taken by one conditional update of its row (`_take`), so it can't have two owners;
the locks before it only keep callers from waiting for each other in a circle. The order is
the own booking, the show (shared), the seats by label.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from booking_app.auth.service import UnknownAccount
from booking_app.booking.models import BOOKED, CANCELLED, Booking, status_at
from booking_app.catalog.models import Movie, Show, ShowSeat, is_free
from booking_app.database import Row, clock, reading, violates, write_transaction
from booking_app.errors import Conflict, Forbidden, Invalid, NotFound
from booking_app.fields import iso
from booking_app.paging import Page, fetch_page

# Crockford's base 32: no I, L, O or U to misread. 32**10 is 10**15: in a million bookings the
# next reference is one of theirs once in 10**9 times.
REFERENCE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
REFERENCE_LENGTH = 10


class SeatTaken(Conflict):
    code = "seat_taken"


class ShowStarted(Conflict):
    code = "show_started"


class NotOnSale(Conflict):
    code = "not_on_sale"


class AlreadyCancelled(Conflict):
    code = "already_cancelled"


class TooLate(Conflict):
    code = "too_late"


class NotYourBooking(Forbidden):
    code = "not_your_booking"


def book(
    *,
    user_id: int,
    show_id: int,
    seat_number: str | None = None,
    seat_numbers: Sequence[str] | None = None,
    max_seats: int = 10,
    currency: str = "EUR",
    now: datetime | None = None,
) -> dict[str, Any]:
    """Book seats of a show for an account: all of them or none. One of the two ways to name them.

    Raises NotFound, NotOnSale, ShowStarted, Invalid for a seat that the show does not have or
    too many of them, and SeatTaken with exactly the seats in the way.
    """
    field = "seat_numbers" if seat_number is None else "seat_number"
    labels = list(seat_numbers or ()) if seat_number is None else [seat_number]
    if not 1 <= len(labels) <= max_seats:
        raise Invalid(field, f"A booking has 1 to {max_seats} seats.")

    def work(connection: sa.Connection) -> dict[str, Any]:
        show = _show_on_sale(connection, show_id, now)
        seats = _lock_seats(connection, show_id, labels, show.now)
        if unknown := set(labels) - {seat.label for seat in seats}:
            named = ", ".join(sorted(unknown))
            raise Invalid(field, f"The show has no seat {named}; its seats are in the seat map.")
        if taken := [seat.label for seat in seats if not seat.free]:
            raise _seat_taken(taken)
        receipt = [
            {"seat_number": seat.label, "price_cents": show.price_cents, "cancelled": False}
            for seat in seats
        ]
        booking = _insert_booking(
            connection,
            user_id=user_id,
            show_id=show_id,
            seats=receipt,
            currency=currency,
            created_at=show.now,
        )
        _take(connection, booking["id"], show_id, labels, show.now)
        return answer(booking)

    try:
        return write_transaction(work)
    except sa.exc.IntegrityError as error:
        if violates(error, "fk_booking_user_id"):
            raise UnknownAccount("The token's account does not exist any more.") from error
        raise


def cancel(
    *,
    user_id: int,
    booking_id: int,
    cutoff_minutes: int = 0,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Cancel a booking; its seats are free at once.

    Raises NotFound, NotYourBooking, AlreadyCancelled, and TooLate from `cutoff_minutes` before
    the show starts.
    """

    def work(connection: sa.Connection) -> dict[str, Any]:
        row = _lock_booking(connection, user_id, booking_id, now)
        if row["status"] == CANCELLED:
            raise AlreadyCancelled("This booking is cancelled already.")
        closes_at = row["starts_at"] - timedelta(minutes=cutoff_minutes)
        if row["now"] >= closes_at:
            raise TooLate(f"Cancelling closed at {iso(closes_at)}.")
        _free(connection, booking_id, row["show_id"], live_labels(row["seats"]))
        changes = {"status": CANCELLED}
        connection.execute(sa.update(Booking).where(Booking.id == booking_id).values(changes))
        return answer({**row, **changes})

    return write_transaction(work)


def get_booking(*, user_id: int, booking_id: int, now: datetime | None = None) -> dict[str, Any]:
    """One of the account's bookings; raises NotFound and NotYourBooking."""
    query = sa.select(*_columns(now)).where(Booking.id == booking_id)
    with reading() as connection:
        row = connection.execute(query).mappings().first()
    return answer(_own(row, user_id, booking_id))


def list_bookings(
    *,
    user_id: int,
    page: int,
    page_size: int,
    status: str | None = None,
    now: datetime | None = None,
) -> Page:
    """The account's bookings, newest first."""
    query = sa.select(*_columns(now)).where(Booking.user_id == user_id).order_by(Booking.id.desc())
    if status is not None:
        query = query.where(status_at(clock(now)) == status)
    with reading() as connection:
        bookings = fetch_page(connection, query, page=page, page_size=page_size)
    return bookings.map(answer)


def answer(booking: Any) -> dict[str, Any]:
    """The booking with what follows from its receipt."""
    seat_numbers = live_labels(booking["seats"])
    return {
        **booking,
        "seat_numbers": seat_numbers,
        "seat_number": seat_numbers[0] if len(seat_numbers) == 1 else None,
        "cancelled_seat_numbers": [
            seat["seat_number"] for seat in booking["seats"] if seat["cancelled"]
        ],
    }


def live_labels(receipt: Sequence[dict[str, Any]]) -> list[str]:
    """The seats that were not given back one by one."""
    return [seat["seat_number"] for seat in receipt if not seat["cancelled"]]


def _columns(now: datetime | None) -> tuple[Any, ...]:
    return (
        Booking.id,
        Booking.reference,
        Booking.user_id,
        Booking.show_id,
        status_at(clock(now)).label("status"),
        Booking.seats,
        Booking.total_cents,
        Booking.currency,
        Booking.created_at,
        Booking.expires_at,
    )


def _own(row: sa.RowMapping | None, user_id: int, booking_id: int) -> sa.RowMapping:
    if row is None:
        raise NotFound("booking", booking_id)
    if row["user_id"] != user_id:
        raise NotYourBooking("This booking is another account's.")
    return row


def _show_on_sale(connection: sa.Connection, show_id: int, now: datetime | None) -> Row:
    """The show, its row held shared so that staff can't move it meanwhile, and the present."""
    show = connection.execute(
        sa.select(
            Show.starts_at,
            Show.price_cents,
            sa.and_(Show.on_sale, Movie.on_sale).label("on_sale"),
            clock(now).label("now"),
        )
        .join(Movie, Movie.id == Show.movie_id)
        .where(Show.id == show_id)
        .with_for_update(read=True, key_share=True, of=Show)
    ).first()
    if show is None:
        raise NotFound("show", show_id)
    if not show.on_sale:
        raise NotOnSale("This show is withdrawn from sale.")
    if show.starts_at <= show.now:
        raise ShowStarted(f"The show began at {iso(show.starts_at)}.")
    return show


def _lock_seats(
    connection: sa.Connection, show_id: int, labels: Sequence[str], now: datetime
) -> list[Row]:
    """Those of the seats that exist, locked by label, and returned in the order of the room."""
    rows = connection.execute(
        sa.select(ShowSeat.label, ShowSeat.position, is_free(clock(now)).label("free"))
        .where(ShowSeat.show_id == show_id, ShowSeat.label.in_(labels))
        .order_by(ShowSeat.label)
        .with_for_update()
    )
    return sorted(rows, key=lambda seat: seat.position)


def _insert_booking(
    connection: sa.Connection,
    *,
    user_id: int,
    show_id: int,
    seats: list[dict[str, Any]],
    currency: str,
    created_at: datetime,
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "reference": "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(REFERENCE_LENGTH)),
        "user_id": user_id,
        "show_id": show_id,
        "status": BOOKED,
        "seats": seats,
        "total_cents": sum(seat["price_cents"] for seat in seats),
        "currency": currency,
        "created_at": created_at,
        "expires_at": None,
    }
    insert = sa.insert(Booking).values(**values).returning(Booking.id)
    return {"id": connection.execute(insert).scalar_one(), **values}


def _take(
    connection: sa.Connection, booking_id: int, show_id: int, labels: Sequence[str], now: datetime
) -> None:
    """Make the booking the owner of the seats, each where it is free.

    This condition is what keeps a seat from having two owners; it would also without a lock.
    """
    taken = connection.execute(
        sa.update(ShowSeat)
        .where(ShowSeat.show_id == show_id, ShowSeat.label.in_(labels), is_free(clock(now)))
        .values(booking_id=booking_id, held_until=None)
    )
    if taken.rowcount != len(labels):
        raise _seat_taken(labels)


def _free(connection: sa.Connection, booking_id: int, show_id: int, labels: Sequence[str]) -> None:
    """Free those seats of the booking. The booking's row is locked, so they are still its own."""
    own = sa.and_(
        ShowSeat.show_id == show_id,
        ShowSeat.label.in_(labels),
        ShowSeat.booking_id == booking_id,
    )
    in_order = sa.select(ShowSeat.label).where(own).order_by(ShowSeat.label).with_for_update()
    connection.execute(in_order).all()
    connection.execute(sa.update(ShowSeat).where(own).values(booking_id=None, held_until=None))


def _lock_booking(
    connection: sa.Connection, user_id: int, booking_id: int, now: datetime | None
) -> sa.RowMapping:
    """The account's booking with its row locked, its show's `starts_at` and the present `now`."""
    row = (
        connection.execute(
            sa.select(*_columns(now), Show.starts_at, clock(now).label("now"))
            .join(Show, Show.id == Booking.show_id)
            .where(Booking.id == booking_id)
            .with_for_update(of=Booking)
        )
        .mappings()
        .first()
    )
    return _own(row, user_id, booking_id)


def _seat_taken(labels: Sequence[str]) -> SeatTaken:
    return SeatTaken(
        f"Taken: {', '.join(labels)}. Choose others; the seat map shows which are available.",
        seats=list(labels),
    )
