"""Booking, holding, confirming, extending and cancelling.

Locks are taken in one order: the own booking, the account, the show (shared), the seats by label.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.auth.accounts import SessionEnded
from booking_app.auth.models import User
from booking_app.booking import caps, seats
from booking_app.booking.locks import (
    ShowOnSale,
    forget_sums,
    hold_expired,
    lock_hold,
    lock_live_booking,
    lock_row,
    lock_show_on_sale,
)
from booking_app.booking.models import BOOKED, CANCELLED, HELD, Booking
from booking_app.booking.policy import DEFAULT_POLICY, BookingPolicy
from booking_app.booking.queries import (
    BookedSeat,
    BookingDetails,
    stored_receipt,
)
from booking_app.booking.seats import Sale, SeatRequest
from booking_app.catalog.models import Show
from booking_app.catalog.seat_map import seat_price
from booking_app.catalog.show_rules import renew_versions
from booking_app.core.database import Row, WaitForLocks, may_wait, refusing, writes
from booking_app.core.errors import Conflict, Invalid
from booking_app.core.formats import decimal_string, iso

# Crockford's base 32: no I, L, O or U to misread. 32**10 is 10**15: in a million bookings the
# next reference is one of theirs once in 10**9 times.
REFERENCE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
REFERENCE_LENGTH = 10
TOTAL_MAX = 2**31 - 1  # minor units


class HoldLimit(Conflict):
    code = "hold_limit"


class TooLate(Conflict):
    code = "too_late"


# Statements of the busy paths are built once: building one costs more than running it.
INSERT_BOOKING = sa.insert(Booking).returning(Booking.id)
CHANGE_BOOKING = sa.update(Booking).where(Booking.id == sa.bindparam("booking"))


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
    accessible: int = 0,
    split: bool = False,
    over_cap: bool = False,
    policy: BookingPolicy = DEFAULT_POLICY,
    by: Actor | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Book seats of a show for an account, all of them or none.

    They are named by `seat_number` or `seat_numbers`, or are the best `quantity` side by side (of
    `category`, `accessible` of them wheelchair places, in several blocks if need be and `split`).
    `by` is who of the staff does it for the account, who may also exceed the show's cap
    (`over_cap`). Raises NotFound, NotOnSale, NotOnSaleYet, SalesClosed, TooManySeats, Invalid for a
    seat that the show does not have or too many, SeatTaken with exactly the seats in the way,
    PairSplit, CompanionOnly, SoldOut and NoAdjacentSeats where there is no such block, and
    SingleGap.
    """
    most = policy.most_seats(is_staff=by is not None)
    wanted = _seat_request(
        seat_number, seat_numbers, quantity, category, most, accessible=accessible, split=split
    )
    if may_wait(connection):
        lock_row(connection, User.id, user_id)
    show = lock_show_on_sale(connection, show_id, by, now)
    if not over_cap and not _is_own(by, user_id):
        if show.max_seats_per_account is not None and not may_wait(connection):
            raise WaitForLocks  # for the account, which is locked before the show
        _refuse_too_many_seats(connection, user_id, show, wanted.quantity)
    booking = _make_booking(connection, user_id, show, wanted, policy, by, expires_at=None)
    _record(connection, "booking.created", by, booking, booking.labels, now, over_cap=over_cap)
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
    accessible: int = 0,
    split: bool = False,
    over_cap: bool = False,
    policy: BookingPolicy = DEFAULT_POLICY,
    by: Actor | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Hold seats for `hold_minutes`; for customers at most until the sale ends.

    Raises what `book` raises, and TooManyHolds where the account would hold more unconfirmed
    seats of the show than a booking may have.
    """
    most = policy.most_seats(is_staff=by is not None)
    wanted = _seat_request(
        seat_number, seat_numbers, quantity, category, most, accessible=accessible, split=split
    )
    lock_row(connection, User.id, user_id)
    show = lock_show_on_sale(connection, show_id, by, now)
    caps.refuse_too_many_holds(
        connection,
        user_id=user_id,
        show_id=show.id,
        more=wanted.quantity,
        most=most,
        now=show.now,
    )
    if not over_cap and not _is_own(by, user_id):
        _refuse_too_many_seats(connection, user_id, show, wanted.quantity)
    expires_at = show.now + timedelta(minutes=policy.hold_minutes)
    if by is None:
        expires_at = min(expires_at, show.sales_end)
    booking = _make_booking(connection, user_id, show, wanted, policy, by, expires_at=expires_at)
    _record(connection, "booking.held", by, booking, booking.labels, now, over_cap=over_cap)
    return booking


def _seat_request(
    seat_number: str | None,
    seat_numbers: Sequence[str] | None,
    quantity: int | None,
    category: str | None,
    most: int,
    *,
    accessible: int,
    split: bool,
) -> SeatRequest:
    """What a caller asks for; raises Invalid for none or too many seats."""
    if quantity is not None:
        wanted = SeatRequest("quantity", quantity, None, category, accessible, split)
    elif seat_number is not None:
        wanted = SeatRequest("seat_number", 1, (seat_number,))
    else:
        labels = tuple(seat_numbers or ())
        wanted = SeatRequest("seat_numbers", len(labels), labels)
    if not 1 <= wanted.quantity <= most:
        raise Invalid(wanted.field, f"A booking has 1 to {most} seats.")
    return wanted


def _make_booking(
    connection: sa.Connection,
    user_id: int,
    show: ShowOnSale,
    wanted: SeatRequest,
    policy: BookingPolicy,
    by: Actor | None,
    *,
    expires_at: datetime | None,
) -> BookingDetails:
    """Take the seats for a new booking: held until `expires_at`, or booked where that is None."""
    released = timedelta(minutes=policy.companion_release_minutes)
    sale = Sale(
        show_id=show.id,
        user_id=user_id,
        is_staff=by is not None,
        companions_released=show.now >= show.starts_at - released,
        now=show.now,
    )
    if show.no_single_gaps or by is not None:
        # The rule is about the neighbours too, so the show's takers come one after the other; and
        # who lifts a block changes the show's version.
        lock_row(connection, Show.id, show.id)
    locked = seats.lock_seats(connection, sale, wanted)
    if show.no_single_gaps and not wanted.split:  # whose blocks are chosen to leave none, if any
        seats.refuse_single_gaps(connection, sale, [seat.label for seat in locked])
    if lifted := [seat for seat in locked if seat.blocked]:
        _lift_blocks(connection, show.id, lifted, by)
    forget_sums(connection, show.id, show.starts_at, show.now)
    lines = tuple(
        BookedSeat(
            seat.label,
            seat_price(seat.category, base_cents=show.price_cents, prices=show.prices),
        )
        for seat in locked
    )
    total = sum(line.price_cents for line in lines)
    if total > TOTAL_MAX:
        most = f"{decimal_string(TOTAL_MAX, show.currency)} {show.currency}"
        raise Invalid(wanted.field, f"These seats cost more than {most}; book fewer at once.")
    values: dict[str, Any] = {
        "reference": _reference(),
        "user_id": user_id,
        "show_id": show.id,
        "status": BOOKED if expires_at is None else HELD,
        "seats": stored_receipt(lines),
        "total_cents": total,
        "currency": show.currency,
        "created_at": show.now,
        "expires_at": expires_at,
    }
    with refusing(fk_booking_user_id=SessionEnded("The token's account does not exist any more.")):
        booking_id = connection.execute(INSERT_BOOKING, values).scalar_one()
    seats.take(connection, sale=sale, booking_id=booking_id, seats=lines, held_until=expires_at)
    return BookingDetails(
        id=booking_id,
        reference=values["reference"],
        user_id=user_id,
        show_id=show.id,
        status=values["status"],
        seats=lines,
        currency=show.currency,
        created_at=show.now,
        expires_at=expires_at,
    )


def _lift_blocks(
    connection: sa.Connection, show_id: int, lifted: Sequence[Row], by: Actor | None
) -> None:
    """Write down which blocks taking the seats lifts, and give the show a new version."""
    renew_versions(connection, Show.id == show_id)
    before = [
        {"seat_number": seat.label, "kind": seat.blocked, "reason": seat.blocked_reason}
        for seat in lifted
    ]
    audit.record(
        connection,
        "show.changed",
        by=by or OPERATOR,
        object_id=show_id,
        before={"blocked_seats": before},
        after={"blocked_seats": []},
    )


def _reference() -> str:
    # A letter of 32 is five bits of a random byte.
    return "".join(REFERENCE_ALPHABET[byte % 32] for byte in secrets.token_bytes(REFERENCE_LENGTH))


def _is_own(by: Actor | None, user_id: int) -> bool:
    """Whether one of the staff takes seats for their own account, which no cap binds."""
    return by is not None and by.user_id == user_id


def _refuse_too_many_seats(
    connection: sa.Connection, user_id: int, show: ShowOnSale, more: int
) -> None:
    """Raises TooManySeats by the show's own cap. The account's row is locked where it has one."""
    if show.max_seats_per_account is not None:
        caps.refuse_too_many_seats(
            connection,
            user_id=user_id,
            show_id=show.id,
            more=more,
            most=show.max_seats_per_account,
            now=show.now,
        )


# --- a booking that is made -----------------------------------------------------------------


@writes
def confirm(
    connection: sa.Connection,
    *,
    user_id: int,
    booking_id: int,
    by: Actor | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Turn a hold into a booking. `by` is who of the staff does it, whoever's it is.

    Raises NotFound, NotYourBooking, AlreadyCancelled, NotHeld where it is booked already,
    HoldExpired, whether or not somebody has taken the seats since, and for customers SalesClosed.
    """
    locked = lock_hold(connection, user_id, booking_id, by, now)
    booking = locked.details
    forget_sums(connection, booking.show_id, locked.starts_at, locked.now)
    if not seats.set_held_until(connection, booking, None, now):
        raise hold_expired(booking)
    _change(connection, booking, status=BOOKED, expires_at=None)
    _record(connection, "booking.confirmed", by, booking, booking.labels, now)
    return replace(booking, status=BOOKED, expires_at=None)


@writes
def extend(
    connection: sa.Connection,
    *,
    user_id: int,
    booking_id: int,
    policy: BookingPolicy = DEFAULT_POLICY,
    by: Actor | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Hold for `hold_minutes` from now, at most `hold_max_minutes` from when the hold was made,
    and, where a customer asks, at most until the sale ends.

    Raises what `confirm` raises, and HoldLimit where that would not be longer.
    """
    locked = lock_hold(connection, user_id, booking_id, by, now)
    booking = locked.details
    expires_at = min(
        locked.now + timedelta(minutes=policy.hold_minutes),
        booking.created_at + timedelta(minutes=policy.hold_max_minutes),
    )
    if by is None:
        expires_at = min(expires_at, locked.sales_end)
    if booking.expires_at is not None and expires_at <= booking.expires_at:
        raise HoldLimit(f"This hold can't be made longer; it ends at {iso(booking.expires_at)}.")
    if not seats.set_held_until(connection, booking, expires_at, now):
        raise hold_expired(booking)
    _change(connection, booking, expires_at=expires_at)
    _record(connection, "booking.extended", by, booking, booking.labels, now)
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

    Cancelling its last seats cancels the booking. `by` is who of the staff does it, whoever's it
    is, and whenever. Raises NotFound, NotYourBooking, AlreadyCancelled, HoldExpired, Invalid for a
    seat that the booking does not have, PairSplit, and for customers TooLate from
    `cancel_cutoff_minutes` before the show starts.
    """
    locked = lock_live_booking(connection, user_id, booking_id, by, now)
    booking = locked.details
    closes_at = locked.starts_at - timedelta(minutes=policy.cancel_cutoff_minutes)
    if booking.status == BOOKED and locked.now >= closes_at and by is None:
        raise TooLate(f"Cancelling closed at {iso(closes_at)}.")
    wanted = booking.labels if seat_numbers is None else seat_numbers
    if unknown := {n: label for n, label in enumerate(wanted) if label not in booking.labels}:
        raise Invalid(
            "seat_numbers",
            f"Not in this booking: {', '.join(sorted(unknown.values()))}.",
            within={(n,): f"The booking has no seat {label}." for n, label in unknown.items()},
            kind="unknown_seat",
        )
    cancelled = [label for label in booking.labels if label in wanted]
    forget_sums(connection, booking.show_id, locked.starts_at, locked.now)
    seats.release(connection, booking, cancelled, locked.now)
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
    *,
    over_cap: bool = False,
) -> None:
    """Write down what staff did for a customer; what customers do themselves their bookings say."""
    if by is not None:
        after: dict[str, Any] = {
            "user_id": booking.user_id,
            "show_id": booking.show_id,
            "seat_numbers": list(labels),
        }
        if over_cap:
            after["over_cap"] = True
        audit.record(connection, action, by=by, object_id=booking.id, after=after, now=now)


def _change(connection: sa.Connection, booking: BookingDetails, **columns: Any) -> None:
    connection.execute(CHANGE_BOOKING, {"booking": booking.id, **columns})
