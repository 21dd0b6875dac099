"""Booking, holding, confirming, extending and cancelling.

Locks are taken in one order: the own booking, the account, the show (shared), the seats by label.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import Actor
from booking_app.auth.accounts import SessionEnded
from booking_app.auth.models import User
from booking_app.booking import seats
from booking_app.booking.models import BOOKED, CANCELLED, EXPIRED, HELD, Booking
from booking_app.booking.policy import DEFAULT_POLICY, BookingPolicy
from booking_app.booking.queries import (
    COLUMNS,
    BookedSeat,
    BookingDetails,
    details,
    receipt,
    require_own,
    stored_receipt,
)
from booking_app.booking.seats import SeatRequest
from booking_app.catalog.models import Movie, Show
from booking_app.catalog.seat_map import seat_price
from booking_app.core.database import NOW, Row, refusing, writes
from booking_app.core.errors import Conflict, Invalid, NotFound
from booking_app.core.formats import iso

# Crockford's base 32: no I, L, O or U to misread. 32**10 is 10**15: in a million bookings the
# next reference is one of theirs once in 10**9 times.
REFERENCE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
REFERENCE_LENGTH = 10


class TooManyHolds(Conflict):
    code = "too_many_holds"


class ShowStarted(Conflict):
    code = "show_started"


class NotOnSale(Conflict):
    code = "not_on_sale"


class HoldExpired(Conflict):
    code = "hold_expired"


class HoldLimit(Conflict):
    code = "hold_limit"


class NotHeld(Conflict):
    code = "not_held"


class AlreadyCancelled(Conflict):
    code = "already_cancelled"


class TooLate(Conflict):
    code = "too_late"


@dataclass(frozen=True, slots=True)
class ShowOnSale:
    """A show that can be booked at `now`; its row is locked against changes by staff."""

    id: int
    starts_at: datetime
    price_cents: int
    prices: Mapping[str, int]
    no_single_gaps: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class LockedBooking:
    """A booking with its row locked, when its show starts, and the present."""

    details: BookingDetails
    starts_at: datetime
    now: datetime


# Statements of the busy paths are built once: building one costs more than running it.
LOCK_SHOW_ON_SALE = (
    sa.select(
        Show.id,
        Show.starts_at,
        Show.price_cents,
        Show.prices,
        Show.no_single_gaps,
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
INSERT_BOOKING = sa.insert(Booking).returning(Booking.id)
CHANGE_BOOKING = sa.update(Booking).where(Booking.id == sa.bindparam("booking"))
HELD_BY_ACCOUNT = sa.select(Booking.seats).where(
    Booking.user_id == sa.bindparam("user"),
    Booking.show_id == sa.bindparam("show"),
    Booking.status == HELD,
    Booking.expires_at > NOW,
)


# --- taking seats ---------------------------------------------------------------------------


@writes
def book(
    connection: sa.Connection,
    *,
    user_id: int,
    show_id: int,
    seat_number: str | None = None,
    seat_numbers: Sequence[str] | None = None,
    quantity: int | None = None,
    category: str | None = None,
    policy: BookingPolicy = DEFAULT_POLICY,
    by: Actor | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Book seats of a show for an account, all of them or none.

    They are named by `seat_number` or `seat_numbers`, or are the best `quantity` side by side
    (of `category`). `by` is who of the staff does it for the account. Raises NotFound, NotOnSale,
    ShowStarted, Invalid for a seat that the show does not have or too many, SeatTaken with exactly
    the seats in the way, SoldOut and NoAdjacentSeats where there is no such block, and SingleGap.
    """
    wanted = _seat_request(seat_number, seat_numbers, quantity, category, policy.max_seats)
    show = _lock_show_on_sale(connection, show_id, now)
    booking = _make_booking(connection, user_id, show, wanted, policy, expires_at=None)
    _record(connection, "booking.created", by, booking, booking.labels, now)
    return booking


@writes
def hold(
    connection: sa.Connection,
    *,
    user_id: int,
    show_id: int,
    seat_number: str | None = None,
    seat_numbers: Sequence[str] | None = None,
    quantity: int | None = None,
    category: str | None = None,
    policy: BookingPolicy = DEFAULT_POLICY,
    now: datetime | None = None,
) -> BookingDetails:
    """Hold seats for `hold_minutes`, at most until the show starts.

    Raises what `book` raises, and TooManyHolds where the account would hold more than
    `max_seats` unconfirmed seats of the show.
    """
    wanted = _seat_request(seat_number, seat_numbers, quantity, category, policy.max_seats)
    # The cap counts over bookings, so the account's holds come one after the other.
    _lock_row(connection, User.id, user_id)
    show = _lock_show_on_sale(connection, show_id, now)
    _refuse_too_many_holds(connection, user_id, show, wanted.quantity, policy.max_seats)
    expires_at = min(show.now + timedelta(minutes=policy.hold_minutes), show.starts_at)
    return _make_booking(connection, user_id, show, wanted, policy, expires_at=expires_at)


def _seat_request(
    seat_number: str | None,
    seat_numbers: Sequence[str] | None,
    quantity: int | None,
    category: str | None,
    max_seats: int,
) -> SeatRequest:
    """What a caller asks for; raises Invalid for none or too many seats."""
    if quantity is not None:
        wanted = SeatRequest("quantity", quantity, category=category)
    elif seat_number is not None:
        wanted = SeatRequest("seat_number", 1, (seat_number,))
    else:
        labels = tuple(seat_numbers or ())
        wanted = SeatRequest("seat_numbers", len(labels), labels)
    if not 1 <= wanted.quantity <= max_seats:
        raise Invalid(wanted.field, f"A booking has 1 to {max_seats} seats.")
    return wanted


def _make_booking(
    connection: sa.Connection,
    user_id: int,
    show: ShowOnSale,
    wanted: SeatRequest,
    policy: BookingPolicy,
    *,
    expires_at: datetime | None,
) -> BookingDetails:
    """Take the seats for a new booking: held until `expires_at`, or booked where that is None."""
    if show.no_single_gaps:
        # The rule is about the neighbours too, so the show's takers come one after the other.
        _lock_row(connection, Show.id, show.id)
    locked = seats.lock_seats(connection, show.id, wanted, show.now)
    if show.no_single_gaps:
        labels = [seat.label for seat in locked]
        seats.refuse_single_gaps(connection, show.id, labels, show.now)
    lines = tuple(
        BookedSeat(
            seat.label,
            seat_price(seat.category, base_cents=show.price_cents, prices=show.prices),
        )
        for seat in locked
    )
    values: dict[str, Any] = {
        "reference": _reference(),
        "user_id": user_id,
        "show_id": show.id,
        "status": BOOKED if expires_at is None else HELD,
        "seats": stored_receipt(lines),
        "total_cents": sum(line.price_cents for line in lines),
        "currency": policy.currency,
        "created_at": show.now,
        "expires_at": expires_at,
    }
    with refusing(fk_booking_user_id=SessionEnded("The token's account does not exist any more.")):
        booking_id = connection.execute(INSERT_BOOKING, values).scalar_one()
    seats.take(
        connection,
        show_id=show.id,
        booking_id=booking_id,
        seats=lines,
        held_until=expires_at,
        now=show.now,
    )
    return BookingDetails(
        id=booking_id,
        reference=values["reference"],
        user_id=user_id,
        show_id=show.id,
        status=values["status"],
        seats=lines,
        currency=policy.currency,
        created_at=show.now,
        expires_at=expires_at,
    )


def _reference() -> str:
    # A letter of 32 is five bits of a random byte.
    return "".join(REFERENCE_ALPHABET[byte % 32] for byte in secrets.token_bytes(REFERENCE_LENGTH))


def _lock_row(
    connection: sa.Connection, key: sa.orm.InstrumentedAttribute[int], row_id: int
) -> None:
    connection.execute(sa.select(key).where(key == row_id).with_for_update(key_share=True)).all()


def _lock_show_on_sale(connection: sa.Connection, show_id: int, now: datetime | None) -> ShowOnSale:
    """The show, its row locked shared so that staff can't move it meanwhile, and the present.
    Raises NotFound, NotOnSale and ShowStarted."""
    show = connection.execute(LOCK_SHOW_ON_SALE, {"show": show_id, "now": now}).first()
    if show is None:
        raise NotFound("show", show_id)
    if not show.on_sale:
        raise NotOnSale("This show is withdrawn from sale.")
    if show.starts_at <= show.now:
        raise ShowStarted(f"The show began at {iso(show.starts_at)}.")
    return ShowOnSale(
        show.id, show.starts_at, show.price_cents, show.prices, show.no_single_gaps, show.now
    )


def _refuse_too_many_holds(
    connection: sa.Connection, user_id: int, show: ShowOnSale, more: int, max_seats: int
) -> None:
    """Raises TooManyHolds. The account's row is locked."""
    params = {"user": user_id, "show": show.id, "now": show.now}
    receipts = connection.execute(HELD_BY_ACCOUNT, params).scalars()
    held = sum(not seat.cancelled for stored in receipts for seat in receipt(stored))
    if held + more > max_seats:
        raise TooManyHolds(
            f"You hold {held} seats of this show; with {more} more it would be over "
            f"{max_seats}. Confirm or cancel a hold first.",
            held=held,
            most=max_seats,
        )


# --- a booking that is made -----------------------------------------------------------------


@writes
def confirm(
    connection: sa.Connection, *, user_id: int, booking_id: int, now: datetime | None = None
) -> BookingDetails:
    """Turn a hold into a booking.

    Raises NotFound, NotYourBooking, AlreadyCancelled, NotHeld where it is booked already, and
    HoldExpired, whether or not somebody has taken the seats since.
    """
    booking = _lock_hold(connection, user_id, booking_id, now).details
    if not seats.set_held_until(connection, booking, None, now):
        raise _hold_expired(booking)
    _change(connection, booking, status=BOOKED, expires_at=None)
    return replace(booking, status=BOOKED, expires_at=None)


@writes
def extend(
    connection: sa.Connection,
    *,
    user_id: int,
    booking_id: int,
    policy: BookingPolicy = DEFAULT_POLICY,
    now: datetime | None = None,
) -> BookingDetails:
    """Hold for `hold_minutes` from now, at most `hold_max_minutes` from when the hold was made,
    and at most until the show starts.

    Raises what `confirm` raises, and HoldLimit where that would not be longer.
    """
    locked = _lock_hold(connection, user_id, booking_id, now)
    booking = locked.details
    expires_at = min(
        locked.now + timedelta(minutes=policy.hold_minutes),
        booking.created_at + timedelta(minutes=policy.hold_max_minutes),
        locked.starts_at,
    )
    if booking.expires_at is not None and expires_at <= booking.expires_at:
        raise HoldLimit(f"This hold can't be made longer; it ends at {iso(booking.expires_at)}.")
    if not seats.set_held_until(connection, booking, expires_at, now):
        raise _hold_expired(booking)
    _change(connection, booking, expires_at=expires_at)
    return replace(booking, expires_at=expires_at)


@writes
def cancel(
    connection: sa.Connection,
    *,
    user_id: int,
    booking_id: int,
    seat_numbers: Sequence[str] | None = None,
    policy: BookingPolicy = DEFAULT_POLICY,
    by: Actor | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Cancel a booking or some of its seats, or let go of a hold; they are free at once.

    Cancelling its last seats cancels the booking. `by` is who of the staff does it for the
    account. Raises NotFound, NotYourBooking, AlreadyCancelled, HoldExpired, Invalid for a seat that
    the booking does not have, and TooLate from `cancel_cutoff_minutes` before the show starts.
    """
    locked = _lock_live_booking(connection, user_id, booking_id, now)
    booking = locked.details
    closes_at = locked.starts_at - timedelta(minutes=policy.cancel_cutoff_minutes)
    if booking.status == BOOKED and locked.now >= closes_at:
        raise TooLate(f"Cancelling closed at {iso(closes_at)}.")
    wanted = set(booking.labels if seat_numbers is None else seat_numbers)
    if unknown := wanted - set(booking.labels):
        raise Invalid("seat_numbers", f"Not in this booking: {', '.join(sorted(unknown))}.")
    cancelled = [label for label in booking.labels if label in wanted]
    seats.release(connection, booking, cancelled)
    _record(connection, "booking.cancelled", by, booking, cancelled, now)
    if cancelled == booking.labels:
        _change(connection, booking, status=CANCELLED, expires_at=None)
        return replace(booking, status=CANCELLED, expires_at=None)
    lines = tuple(
        replace(seat, cancelled=seat.cancelled or seat.label in cancelled) for seat in booking.seats
    )
    rest = replace(booking, seats=lines)
    _change(connection, rest, seats=stored_receipt(lines), total_cents=rest.total_cents)
    return rest


def _record(
    connection: sa.Connection,
    action: str,
    by: Actor | None,
    booking: BookingDetails,
    labels: Sequence[str],
    now: datetime | None,
) -> None:
    """Write down what staff did for a customer; what customers do themselves their bookings say."""
    if by is not None:
        after = {
            "user_id": booking.user_id,
            "show_id": booking.show_id,
            "seat_numbers": list(labels),
        }
        audit.record(connection, action, by=by, object_id=booking.id, after=after, now=now)


def _lock_hold(
    connection: sa.Connection, user_id: int, booking_id: int, now: datetime | None
) -> LockedBooking:
    """As `_lock_live_booking`; raises NotHeld for a booking that is booked."""
    locked = _lock_live_booking(connection, user_id, booking_id, now)
    if locked.details.status != HELD:
        raise NotHeld("This booking is confirmed already.")
    return locked


def _lock_live_booking(
    connection: sa.Connection, user_id: int, booking_id: int, now: datetime | None
) -> LockedBooking:
    """The account's booking with its row locked.

    The one check of what every change needs: that it is neither cancelled nor expired.
    """
    row: Row | None = connection.execute(LOCK_BOOKING, {"booking": booking_id, "now": now}).first()
    if row is None:
        raise NotFound("booking", booking_id)
    booking = details(row)
    require_own(booking.user_id, user_id)
    if booking.status == CANCELLED:
        raise AlreadyCancelled("This booking is cancelled already.")
    if booking.status == EXPIRED:
        raise _hold_expired(booking)
    return LockedBooking(booking, row.starts_at, row.now)


def _change(connection: sa.Connection, booking: BookingDetails, **columns: Any) -> None:
    connection.execute(CHANGE_BOOKING, {"booking": booking.id, **columns})


def _hold_expired(booking: BookingDetails) -> HoldExpired:
    when = f" at {iso(booking.expires_at)}" if booking.expires_at else ""
    return HoldExpired(f"The hold ended{when}; its seats are free for others. Choose again.")
