"""Booking, holding, confirming, extending and cancelling.

Locks are taken in one order: the own booking, the account, the show (shared), the seats by label.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.auth.models import User
from booking_app.auth.sessions import Caller, lock_caller
from booking_app.booking import at_once, caps, seats
from booking_app.booking.at_once import Order
from booking_app.booking.expectations import NOTHING_EXPECTED, Expected
from booking_app.booking.locks import (
    ShowOnSale,
    forget_sums,
    hold_expired,
    lock_hold,
    lock_live_booking,
    lock_row,
    lock_show_on_sale,
)
from booking_app.booking.models import BOOKED, CANCELLED, Booking
from booking_app.booking.policy import DEFAULT_POLICY, BookingPolicy
from booking_app.booking.queries import BookingDetails, stored_receipt
from booking_app.booking.receipts import Receipt, new_reference
from booking_app.booking.seats import Sale, SeatRequest
from booking_app.catalog.models import Show
from booking_app.catalog.show_rules import renew_versions
from booking_app.core.database import (
    InSteps,
    WaitForLocks,
    in_steps,
    is_alone,
    may_wait,
    writes,
    writes_alone,
)
from booking_app.core.errors import Conflict, Invalid
from booking_app.core.formats import iso


class HoldLimit(Conflict):
    code = "hold_limit"


class TooLate(Conflict):
    code = "too_late"


CHANGE_BOOKING = sa.update(Booking).where(Booking.id == sa.bindparam("booking"))


# --- taking seats ---------------------------------------------------------------------------


@writes_alone
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
    expected: Expected = NOTHING_EXPECTED,
    policy: BookingPolicy = DEFAULT_POLICY,
    by: Actor | None = None,
    caller: Caller | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Book seats of a show for an account, all of them or none.

    They are named by `seat_number` or `seat_numbers`, or are the best `quantity` side by side (of
    `category`, `accessible` of them wheelchair places, in several blocks if need be and `split`).
    `by` is who of the staff does it for the account, who may also exceed the show's cap
    (`over_cap`); `caller` is the account's own session, by which it may turn out to be staff. Where
    it is not as `expected`, nothing is taken. Raises SessionEnded, NotFound, NotOnSale,
    NotOnSaleYet, SalesClosed, TooManySeats, Invalid for a seat that the show does not have or too
    many, SeatTaken with exactly the seats in the way, PairSplit, CompanionOnly, SoldOut and
    NoAdjacentSeats where there is no such block, and SingleGap.
    """
    wanted = _seat_request(
        seat_number, seat_numbers, quantity, category, accessible=accessible, split=split
    )
    most = policy.most_seats(is_staff=False)
    if by is None and 1 <= wanted.quantity <= most and not in_steps(connection):
        order = Order(user_id, show_id, wanted, expected, caller, now)
        booking = at_once.book(connection, order, policy)
        if booking is not None:
            return booking
    if is_alone(connection):
        raise InSteps
    if caller is not None:
        by = lock_caller(connection, caller, now)
    wanted.check_quantity(policy.most_seats(is_staff=by is not None))
    if may_wait(connection):
        lock_row(connection, User.id, user_id)
    show = lock_show_on_sale(connection, show_id, by, now)
    expected.check_time(show)
    if not over_cap and not _is_own(by, user_id):
        if show.max_seats_per_account is not None and not may_wait(connection):
            raise WaitForLocks  # for the account, which is locked before the show
        _refuse_too_many_seats(connection, user_id, show, wanted.quantity)
    booking = _make_booking(
        connection, user_id, show, wanted, policy, by, expected, expires_at=None
    )
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
    expected: Expected = NOTHING_EXPECTED,
    policy: BookingPolicy = DEFAULT_POLICY,
    by: Actor | None = None,
    caller: Caller | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Hold seats for `hold_minutes`; for customers at most until the sale ends.

    Raises what `book` raises, and TooManyHolds where the account would hold more unconfirmed
    seats of the show than a booking may have.
    """
    if caller is not None:
        by = lock_caller(connection, caller, now)
    most = policy.most_seats(is_staff=by is not None)
    wanted = _seat_request(
        seat_number, seat_numbers, quantity, category, accessible=accessible, split=split
    )
    wanted.check_quantity(most)
    lock_row(connection, User.id, user_id)
    show = lock_show_on_sale(connection, show_id, by, now)
    expected.check_time(show)
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
    booking = _make_booking(
        connection, user_id, show, wanted, policy, by, expected, expires_at=expires_at
    )
    _record(connection, "booking.held", by, booking, booking.labels, now, over_cap=over_cap)
    return booking


def _seat_request(
    seat_number: str | None,
    seat_numbers: Sequence[str] | None,
    quantity: int | None,
    category: str | None,
    *,
    accessible: int,
    split: bool,
) -> SeatRequest:
    """What a caller asks for."""
    if quantity is not None:
        return SeatRequest("quantity", quantity, None, category, accessible, split)
    if seat_number is not None:
        return SeatRequest("seat_number", 1, (seat_number,))
    labels = tuple(seat_numbers or ())
    return SeatRequest("seat_numbers", len(labels), labels)


def _make_booking(
    connection: sa.Connection,
    user_id: int,
    show: ShowOnSale,
    wanted: SeatRequest,
    policy: BookingPolicy,
    by: Actor | None,
    expected: Expected,
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
    receipt = Receipt.of(
        locked, show, user_id=user_id, reference=new_reference(), expires_at=expires_at
    )
    receipt.check_total(wanted, expected)
    booking_id = receipt.insert(connection)
    seats.take(
        connection, sale=sale, booking_id=booking_id, seats=receipt.lines, held_until=expires_at
    )
    return receipt.details(booking_id, policy)


def _lift_blocks(
    connection: sa.Connection, show_id: int, lifted: Sequence[Any], by: Actor | None
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
    policy: BookingPolicy = DEFAULT_POLICY,
    by: Actor | None = None,
    caller: Caller | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Turn a hold into a booking. `by` is who of the staff does it, whoever's it is.

    Raises NotFound, NotYourBooking, AlreadyCancelled, NotHeld where it is booked already,
    HoldExpired, whether or not somebody has taken the seats since, and for customers SalesClosed.
    """
    if caller is not None:
        by = lock_caller(connection, caller, now)
    locked = lock_hold(connection, user_id, booking_id, policy, by, now)
    booking = locked.details
    forget_sums(connection, booking.show_id, booking.starts_at, booking.now)
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
    caller: Caller | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Hold for `hold_minutes` from now, at most `hold_max_minutes` from when the hold was made,
    and, where a customer asks, at most until the sale ends.

    Raises what `confirm` raises, and HoldLimit where that would not be longer.
    """
    if caller is not None:
        by = lock_caller(connection, caller, now)
    locked = lock_hold(connection, user_id, booking_id, policy, by, now)
    booking = locked.details
    expires_at = min(
        booking.now + timedelta(minutes=policy.hold_minutes),
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
    caller: Caller | None = None,
    now: datetime | None = None,
) -> BookingDetails:
    """Cancel a booking or some of its seats, or let go of a hold; they are free at once.

    Cancelling its last seats cancels the booking. `by` is who of the staff does it, whoever's it
    is, and whenever. Raises NotFound, NotYourBooking, AlreadyCancelled, HoldExpired, Invalid for a
    seat that the booking does not have, PairSplit, and for customers TooLate from
    `cancel_cutoff_minutes` before the show starts.
    """
    if caller is not None:
        by = lock_caller(connection, caller, now)
    locked = lock_live_booking(connection, user_id, booking_id, policy, by, now)
    booking = locked.details
    if booking.cancel_until is not None and not booking.can_cancel and by is None:
        raise TooLate(f"Cancelling closed at {iso(booking.cancel_until)}.")
    wanted = booking.labels if seat_numbers is None else seat_numbers
    if unknown := {n: label for n, label in enumerate(wanted) if label not in booking.labels}:
        raise Invalid(
            "seat_numbers",
            f"Not in this booking: {', '.join(sorted(unknown.values()))}.",
            within={(n,): f"The booking has no seat {label}." for n, label in unknown.items()},
            kind="unknown_seat",
        )
    cancelled = [label for label in booking.labels if label in wanted]
    forget_sums(connection, booking.show_id, booking.starts_at, booking.now)
    seats.release(connection, booking, cancelled, booking.now)
    _record(connection, "booking.cancelled", by, booking, cancelled, now)
    lines = tuple(
        replace(seat, cancelled=seat.cancelled or seat.label in cancelled) for seat in booking.seats
    )
    rest = replace(booking, seats=lines)
    if not rest.labels:
        # Its receipt and total stay in the row: they are those that the last seats had.
        _change(connection, booking, status=CANCELLED, expires_at=None)
        return replace(rest, status=CANCELLED, expires_at=None)
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
