"""Booking, holding and cancelling: the only place that takes and frees seats.

A seat is taken by one conditional update of its row (`_take`), so it can't have two owners;
the locks before it only keep callers from waiting for each other in a circle. The order is
the own booking, the account, the show (shared), the seats by label.

Every writing function takes `transact`, which runs its work: `idempotency.Attempt` where the
caller may send a request again, and then gives what that returns.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import Actor
from booking_app.auth.models import User
from booking_app.auth.service import SessionEnded
from booking_app.booking import best_available
from booking_app.booking.models import BOOKED, CANCELLED, EXPIRED, HELD, Booking, status_at
from booking_app.catalog.models import Movie, Show, ShowSeat, is_free
from booking_app.catalog.seating import seat_price
from booking_app.core.database import (
    Query,
    Row,
    Transact,
    UtcDateTime,
    clock,
    clock_param,
    now_params,
    reading,
    violates,
    write_transaction,
)
from booking_app.core.errors import Conflict, Forbidden, Invalid, NotFound
from booking_app.core.formats import iso
from booking_app.core.paging import Listing, Page, fetch_page, listing

# Crockford's base 32: no I, L, O or U to misread. 32**10 is 10**15: in a million bookings the
# next reference is one of theirs once in 10**9 times.
REFERENCE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
REFERENCE_LENGTH = 10
# So many seats in others' hands, and the search for the best waits rather than looks on.
LOOKS = 50


# Statements of the busy paths are built once: building one costs more than running it.
NOW = sa.bindparam("now", type_=UtcDateTime())
NAMED = ShowSeat.label.in_(sa.bindparam("labels", expanding=True))
OWN = sa.and_(
    ShowSeat.show_id == sa.bindparam("show"), NAMED, ShowSeat.booking_id == sa.bindparam("owner")
)
INSERT_BOOKING = sa.insert(Booking).returning(Booking.id)
CHANGE_BOOKING = sa.update(Booking).where(Booking.id == sa.bindparam("booking"))
LOCK_OWN = sa.select(ShowSeat.label).where(OWN).order_by(ShowSeat.label).with_for_update()
FREE_OWN = sa.update(ShowSeat).where(OWN).values(booking_id=None, held_until=None)


class SeatTaken(Conflict):
    code = "seat_taken"


class SoldOut(Conflict):
    code = "sold_out"


class NoAdjacentSeats(Conflict):
    code = "no_adjacent_seats"


class SingleGap(Conflict):
    code = "single_gap"


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


class NotYourBooking(Forbidden):
    code = "not_your_booking"


@dataclass(frozen=True)
class Terms:
    """The house's rules, from the settings."""

    max_seats: int = 10
    currency: str = "EUR"
    hold_minutes: int = 10
    hold_max_minutes: int = 30
    cancel_cutoff_minutes: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Terms":
        """Those of the settings (`config.py`)."""
        return cls(
            max_seats=settings["MAX_SEATS_PER_BOOKING"],
            currency=settings["CURRENCY"],
            hold_minutes=settings["HOLD_MINUTES"],
            hold_max_minutes=settings["HOLD_MAX_MINUTES"],
            cancel_cutoff_minutes=settings["CANCEL_CUTOFF_MINUTES"],
        )


class _LookAgain(Exception):
    """No block could be had without waiting for somebody who is about to take or leave seats."""


# --- taking seats ---------------------------------------------------------------------------


def book(
    *,
    user_id: int,
    show_id: int,
    seat_number: str | None = None,
    seat_numbers: Sequence[str] | None = None,
    quantity: int | None = None,
    category: str | None = None,
    terms: Terms = Terms(),
    transact: Transact = write_transaction,
    by: Actor | None = None,
    now: datetime | None = None,
) -> Any:
    """Book seats of a show for an account, all of them or none; the booking.

    They are named by `seat_number` or `seat_numbers`, or are the best `quantity` side by side
    (of `category`). `by` is who of the staff does it for the account. Raises NotFound, NotOnSale,
    ShowStarted, Invalid for a seat that the show does not have or too many, SeatTaken with exactly
    the seats in the way, SoldOut and NoAdjacentSeats where there is no such block, and SingleGap.
    """
    wanted = _Wanted(seat_number, seat_numbers, quantity, category, terms.max_seats)

    def work(connection: sa.Connection) -> dict[str, Any]:
        show = _show_on_sale(connection, show_id, now)
        booking = _reserve(connection, user_id, show, wanted, terms, expires_at=None)
        _record(connection, "booking.created", by, booking, now)
        return booking

    return _run(transact, wanted, work)


def hold(
    *,
    user_id: int,
    show_id: int,
    seat_number: str | None = None,
    seat_numbers: Sequence[str] | None = None,
    quantity: int | None = None,
    category: str | None = None,
    terms: Terms = Terms(),
    transact: Transact = write_transaction,
    now: datetime | None = None,
) -> Any:
    """Hold seats for `hold_minutes`, at most until the show starts; a booking that is held.

    Raises what `book` raises, and TooManyHolds where the account would hold more than
    `max_seats` unconfirmed seats of the show.
    """
    wanted = _Wanted(seat_number, seat_numbers, quantity, category, terms.max_seats)

    def work(connection: sa.Connection) -> dict[str, Any]:
        # The cap counts over bookings, so the account's holds come one after the other.
        connection.execute(
            sa.select(User.id).where(User.id == user_id).with_for_update(key_share=True)
        ).all()
        show = _show_on_sale(connection, show_id, now)
        _check_cap(connection, user_id, show, wanted.size, terms.max_seats)
        expires_at = min(show.now + timedelta(minutes=terms.hold_minutes), show.starts_at)
        return _reserve(connection, user_id, show, wanted, terms, expires_at=expires_at)

    return _run(transact, wanted, work)


class _Wanted:
    """What a caller asks for: named seats (`labels`) or the best `size` of them (of `category`).

    `wait` makes the search for the best wait for the seats that others have in their hands.
    """

    def __init__(
        self,
        seat_number: str | None,
        seat_numbers: Sequence[str] | None,
        quantity: int | None,
        category: str | None,
        max_seats: int,
    ) -> None:
        self.category = category
        self.wait = False
        if quantity is not None:
            self.field, self.labels, self.size = "quantity", None, quantity
        else:
            self.field = "seat_numbers" if seat_number is None else "seat_number"
            self.labels = [seat_number] if seat_number is not None else list(seat_numbers or ())
            self.size = len(self.labels)
        if not 1 <= self.size <= max_seats:
            raise Invalid(self.field, f"A booking has 1 to {max_seats} seats.")


def _run(
    transact: Transact, wanted: _Wanted, work: Callable[[sa.Connection], dict[str, Any]]
) -> Any:
    try:
        try:
            return transact(work)
        except _LookAgain:
            wanted.wait = True  # in a new transaction, with no lock held from the first look
            return transact(work)
    except sa.exc.IntegrityError as error:
        if violates(error, "fk_booking_user_id"):
            raise SessionEnded("The token's account does not exist any more.") from error
        raise


def _reserve(
    connection: sa.Connection,
    user_id: int,
    show: Row,
    wanted: _Wanted,
    terms: Terms,
    *,
    expires_at: datetime | None,
) -> dict[str, Any]:
    """Take the seats for a new booking: held until `expires_at`, or booked where that is None."""
    if show.no_single_gaps:
        # The rule is about the neighbours too, so the show's takers come one after the other.
        connection.execute(
            sa.select(Show.id).where(Show.id == show.id).with_for_update(key_share=True)
        ).all()
    if wanted.labels is None:
        seats = _lock_best_block(connection, show, wanted)
    else:
        seats = _lock_named(connection, show, wanted)
    labels = [seat.label for seat in seats]
    if show.no_single_gaps:
        _refuse_single_gaps(connection, show, labels)
    prices = {"price_cents": show.price_cents, "prices": show.prices}
    receipt = [
        {
            "seat_number": seat.label,
            "price_cents": seat_price(prices, seat.category),
            "cancelled": False,
        }
        for seat in seats
    ]
    booking: dict[str, Any] = {
        "reference": _reference(),
        "user_id": user_id,
        "show_id": show.id,
        "status": BOOKED if expires_at is None else HELD,
        "seats": receipt,
        "total_cents": _total(receipt),
        "currency": terms.currency,
        "created_at": show.now,
        "expires_at": expires_at,
    }
    booking["id"] = connection.execute(INSERT_BOOKING, booking).scalar_one()
    _take(connection, booking, show.now)
    return answer(booking)


def _reference() -> str:
    # Of 32 letters each is five bits of a random byte.
    return "".join(REFERENCE_ALPHABET[byte % 32] for byte in secrets.token_bytes(REFERENCE_LENGTH))


@cache
def _show_query(timed: bool) -> Query:
    return (
        sa.select(
            Show.id,
            Show.starts_at,
            Show.price_cents,
            Show.prices,
            Show.no_single_gaps,
            sa.and_(Show.on_sale, Movie.on_sale).label("on_sale"),
            clock_param(timed).label("now"),
        )
        .join(Movie, Movie.id == Show.movie_id)
        .where(Show.id == sa.bindparam("show"))
        .with_for_update(read=True, key_share=True, of=Show)
    )


def _show_on_sale(connection: sa.Connection, show_id: int, now: datetime | None) -> Row:
    """The show, its row held shared so that staff can't move it meanwhile, and the present."""
    params = {"show": show_id, **now_params(now)}
    show = connection.execute(_show_query(now is not None), params).first()
    if show is None:
        raise NotFound("show", show_id)
    if not show.on_sale:
        raise NotOnSale("This show is withdrawn from sale.")
    if show.starts_at <= show.now:
        raise ShowStarted(f"The show began at {iso(show.starts_at)}.")
    return show


def _check_cap(
    connection: sa.Connection, user_id: int, show: Row, more: int, max_seats: int
) -> None:
    """Raises TooManyHolds. The account's row is locked."""
    receipts = connection.execute(
        sa.select(Booking.seats).where(
            Booking.user_id == user_id,
            Booking.show_id == show.id,
            Booking.status == HELD,
            Booking.expires_at > clock(show.now),
        )
    ).scalars()
    held = sum(len(live_labels(receipt)) for receipt in receipts)
    if held + more > max_seats:
        raise TooManyHolds(
            f"You hold {held} seats of this show; with {more} more it would be over "
            f"{max_seats}. Confirm or cancel a hold first.",
            held=held,
            most=max_seats,
        )


def _lock_named(connection: sa.Connection, show: Row, wanted: _Wanted) -> list[Row]:
    """The named seats, locked; raises Invalid for one that does not exist, and SeatTaken."""
    labels = wanted.labels or []
    seats = _lock_seats(connection, show, labels)
    if unknown := set(labels) - {seat.label for seat in seats}:
        named = ", ".join(sorted(unknown))
        raise Invalid(wanted.field, f"The show has no seat {named}; its seats are in the seat map.")
    if taken := [seat.label for seat in seats if not seat.free]:
        raise _seat_taken(taken)
    return seats


def _lock_best_block(connection: sa.Connection, show: Row, wanted: _Wanted) -> list[Row]:
    """The best block of seats that can be had, locked.

    Blocks that somebody else has locked are passed over; only where no other is left are all
    seats of the show waited for (`wanted.wait`), and then the answer is certain.
    """
    if wanted.wait:
        connection.execute(
            sa.select(ShowSeat.label)
            .where(ShowSeat.show_id == show.id)
            .order_by(ShowSeat.label)
            .with_for_update()
        ).all()
    room = _room(connection, show)
    passed_over: set[str] = set()
    for labels in best_available.best_blocks(room, wanted.size, wanted.category):
        if passed_over.isdisjoint(labels):
            seats = _lock_seats(connection, show, labels, skip_locked=True)
            free = {seat.label for seat in seats if seat.free}
            if len(free) == len(labels):
                return seats
            passed_over |= set(labels) - free
        if len(passed_over) > LOOKS and not wanted.wait:
            break
    if passed_over:
        raise _LookAgain
    raise _no_block(room, wanted)


def _no_block(room: Sequence[best_available.Seat], wanted: _Wanted) -> Conflict | Invalid:
    if wanted.category is not None and all(seat.category != wanted.category for seat in room):
        known = ", ".join(sorted({seat.category for seat in room}))
        return Invalid("category", f"The show has no seats of this category; it has: {known}.")
    largest = best_available.largest_block(room, wanted.category)
    if largest == 0:
        return SoldOut("No seat is left.")
    return NoAdjacentSeats(
        f"No {wanted.size} seats side by side are left; the most is {largest}.",
        largest_block=largest,
    )


def _refuse_single_gaps(connection: sa.Connection, show: Row, labels: Sequence[str]) -> None:
    """The one check of the rule, for whatever takes seats. The show's row is locked."""
    alone = best_available.single_gaps(_room(connection, show), set(labels))
    if alone:
        raise SingleGap(
            f"This would leave {', '.join(alone)} alone; choose seats that leave no single one.",
            seats=alone,
        )


def _room(connection: sa.Connection, show: Row) -> list[best_available.Seat]:
    rows = connection.execute(
        sa.select(
            ShowSeat.label,
            ShowSeat.row_label,
            is_free(clock(show.now)).label("free"),
            ShowSeat.category,
            ShowSeat.accessible,
            ShowSeat.aisle_after,
        )
        .where(ShowSeat.show_id == show.id)
        .order_by(ShowSeat.position)
    )
    return [best_available.Seat(*row) for row in rows]


@cache
def _seats_query(skip_locked: bool) -> Query:
    return (
        sa.select(
            ShowSeat.label,
            ShowSeat.position,
            ShowSeat.category,
            is_free(NOW).label("free"),
        )
        .where(ShowSeat.show_id == sa.bindparam("show"), NAMED)
        .order_by(ShowSeat.label)
        .with_for_update(skip_locked=skip_locked)
    )


def _lock_seats(
    connection: sa.Connection, show: Row, labels: Sequence[str], *, skip_locked: bool = False
) -> list[Row]:
    """Those of the seats that exist, locked by label, and returned in the order of the room."""
    params = {"show": show.id, "labels": labels, "now": show.now}
    rows = connection.execute(_seats_query(skip_locked), params)
    return sorted(rows, key=lambda seat: seat.position)


def _take(connection: sa.Connection, booking: dict[str, Any], now: datetime) -> None:
    """Make the booking the owner of its seats, each where it is free, and at its price.

    This condition is what keeps a seat from having two owners; it would also without a lock.
    """
    by_price = defaultdict(list)
    for seat in booking["seats"]:
        by_price[seat["price_cents"]].append(seat["seat_number"])
    for price_cents, labels in by_price.items():
        params = {
            "show": booking["show_id"],
            "labels": labels,
            "now": now,
            "owner": booking["id"],
            "until": booking["expires_at"],
            "price": price_cents,
        }
        if connection.execute(_take_statement(), params).rowcount != len(labels):
            raise _seat_taken(labels)


@cache
def _take_statement() -> sa.Update:
    return (
        sa.update(ShowSeat)
        .where(ShowSeat.show_id == sa.bindparam("show"), NAMED, is_free(NOW))
        .values(
            booking_id=sa.bindparam("owner"),
            held_until=sa.bindparam("until"),
            price_cents=sa.bindparam("price"),
        )
    )


def _seat_taken(labels: Sequence[str]) -> SeatTaken:
    return SeatTaken(
        f"Taken: {', '.join(labels)}. Choose others; the seat map shows which are available.",
        seats=list(labels),
    )


# --- a booking that is made -----------------------------------------------------------------


def confirm(
    *,
    user_id: int,
    booking_id: int,
    transact: Transact = write_transaction,
    now: datetime | None = None,
) -> Any:
    """Turn a hold into a booking.

    Raises NotFound, NotYourBooking, AlreadyCancelled, NotHeld where it is booked already, and
    HoldExpired, whether or not somebody has taken the seats since.
    """

    def work(connection: sa.Connection) -> dict[str, Any]:
        booking = _lock_held(connection, user_id, booking_id, now)
        _set_held_until(connection, booking, None, now)
        return _change(connection, booking, status=BOOKED, expires_at=None)

    return transact(work)


def extend(
    *,
    user_id: int,
    booking_id: int,
    terms: Terms = Terms(),
    transact: Transact = write_transaction,
    now: datetime | None = None,
) -> Any:
    """Hold for `hold_minutes` from now, at most `hold_max_minutes` from when the hold was made,
    and at most until the show starts.

    Raises what `confirm` raises, and HoldLimit where that would not be longer.
    """

    def work(connection: sa.Connection) -> dict[str, Any]:
        booking = _lock_held(connection, user_id, booking_id, now)
        limit = min(
            booking["created_at"] + timedelta(minutes=terms.hold_max_minutes),
            booking["starts_at"],
        )
        expires_at = min(booking["now"] + timedelta(minutes=terms.hold_minutes), limit)
        if expires_at <= booking["expires_at"]:
            raise HoldLimit(
                f"This hold can't be made longer; it ends at {iso(booking['expires_at'])}."
            )
        _set_held_until(connection, booking, expires_at, now)
        return _change(connection, booking, expires_at=expires_at)

    return transact(work)


def cancel(
    *,
    user_id: int,
    booking_id: int,
    seat_numbers: Sequence[str] | None = None,
    terms: Terms = Terms(),
    transact: Transact = write_transaction,
    by: Actor | None = None,
    now: datetime | None = None,
) -> Any:
    """Cancel a booking or some of its seats, or let go of a hold; they are free at once.

    Cancelling its last seats cancels the booking. `by` is who of the staff does it for the
    account. Raises NotFound, NotYourBooking, AlreadyCancelled, HoldExpired, Invalid for a seat that
    the booking does not have, and TooLate from `cancel_cutoff_minutes` before the show starts.
    """

    def work(connection: sa.Connection) -> dict[str, Any]:
        booking = _lock_live(connection, user_id, booking_id, now)
        closes_at = booking["starts_at"] - timedelta(minutes=terms.cancel_cutoff_minutes)
        if booking["status"] == BOOKED and booking["now"] >= closes_at:
            raise TooLate(f"Cancelling closed at {iso(closes_at)}.")
        live = live_labels(booking["seats"])
        gone = live if seat_numbers is None else list(seat_numbers)
        if unknown := set(gone) - set(live):
            raise Invalid("seat_numbers", f"Not in this booking: {', '.join(sorted(unknown))}.")
        _free(connection, booking, gone)
        _record(connection, "booking.cancelled", by, booking | {"seat_numbers": gone}, now)
        if len(gone) == len(live):
            return _change(connection, booking, status=CANCELLED, expires_at=None)
        receipt = [
            seat | {"cancelled": seat["cancelled"] or seat["seat_number"] in gone}
            for seat in booking["seats"]
        ]
        return _change(connection, booking, seats=receipt, total_cents=_total(receipt))

    return transact(work)


def _record(
    connection: sa.Connection,
    action: str,
    by: Actor | None,
    booking: Mapping[str, Any],
    now: datetime | None,
) -> None:
    """Write down what staff did for a customer; what customers do themselves their bookings say."""
    if by is not None:
        after = {name: booking[name] for name in ("user_id", "show_id", "seat_numbers")}
        audit.record(connection, action, by=by, object_id=booking["id"], after=after, now=now)


def _lock_held(
    connection: sa.Connection, user_id: int, booking_id: int, now: datetime | None
) -> dict[str, Any]:
    booking = _lock_live(connection, user_id, booking_id, now)
    if booking["status"] != HELD:
        raise NotHeld("This booking is confirmed already.")
    return booking


@cache
def _live_query(timed: bool) -> Query:
    return (
        sa.select(*_columns(timed), Show.starts_at, clock_param(timed).label("now"))
        .join(Show, Show.id == Booking.show_id)
        .where(Booking.id == sa.bindparam("booking"))
        .with_for_update(of=Booking)
    )


def _lock_live(
    connection: sa.Connection, user_id: int, booking_id: int, now: datetime | None
) -> dict[str, Any]:
    """The account's booking with its row locked, its show's `starts_at` and the present `now`.

    The one check of what every change needs: that it is neither cancelled nor expired.
    """
    params = {"booking": booking_id, **now_params(now)}
    row = connection.execute(_live_query(now is not None), params).mappings().first()
    booking = _found(row, booking_id)
    _require_own(booking, user_id)
    if booking["status"] == CANCELLED:
        raise AlreadyCancelled("This booking is cancelled already.")
    if booking["status"] == EXPIRED:
        raise _hold_expired(booking["expires_at"])
    return booking


def _set_held_until(
    connection: sa.Connection,
    booking: dict[str, Any],
    held_until: datetime | None,
    now: datetime | None,
) -> None:
    """Set the end of the hold on its seats (None: booked), each where it still is this hold's.

    The condition on the seat's own row decides against somebody who takes it over: PostgreSQL
    looks at that row again after a wait, but not at the booking's.
    """
    labels = live_labels(booking["seats"])
    own = _lock_own(connection, booking, labels)
    params = {**own, "until": held_until, **now_params(now)}
    if connection.execute(_hold_statement(now is not None), params).rowcount != len(labels):
        raise _hold_expired(booking["expires_at"])


@cache
def _hold_statement(timed: bool) -> sa.Update:
    # By the clock as it is once the seats are locked: the hold may have ended while waiting.
    return (
        sa.update(ShowSeat)
        .where(OWN, ShowSeat.held_until > clock_param(timed))
        .values(held_until=sa.bindparam("until"))
    )


def _free(connection: sa.Connection, booking: dict[str, Any], labels: Sequence[str]) -> None:
    """Free those seats where they still are the booking's."""
    connection.execute(FREE_OWN, _lock_own(connection, booking, labels))


def _lock_own(
    connection: sa.Connection, booking: dict[str, Any], labels: Sequence[str]
) -> dict[str, Any]:
    """Lock those seats of the booking by label; the parameters of `OWN`."""
    own = {"show": booking["show_id"], "labels": labels, "owner": booking["id"]}
    connection.execute(LOCK_OWN, own).all()
    return own


def _change(connection: sa.Connection, booking: dict[str, Any], **changes: Any) -> dict[str, Any]:
    connection.execute(CHANGE_BOOKING, {"booking": booking["id"], **changes})
    return answer(booking | changes)


def _hold_expired(expires_at: datetime | None) -> HoldExpired:
    when = f" at {iso(expires_at)}" if expires_at else ""
    return HoldExpired(f"The hold ended{when}; its seats are free for others. Choose again.")


# --- reading --------------------------------------------------------------------------------


@cache
def _one_booking(timed: bool) -> Query:
    return sa.select(*_columns(timed)).where(Booking.id == sa.bindparam("booking"))


def get_booking(*, user_id: int, booking_id: int, now: datetime | None = None) -> dict[str, Any]:
    """One of the account's bookings; raises NotFound and NotYourBooking."""
    booking = find_booking(booking_id=booking_id, now=now)
    _require_own(booking, user_id)
    return booking


def find_booking(*, booking_id: int, now: datetime | None = None) -> dict[str, Any]:
    """A booking of whichever account, for staff; raises NotFound."""
    params = {"booking": booking_id, **now_params(now)}
    with reading() as connection:
        row = connection.execute(_one_booking(now is not None), params).mappings().first()
    return answer(_found(row, booking_id))


@cache
def _booking_list(by_status: bool, timed: bool) -> Listing:
    query = sa.select(*_columns(timed)).where(Booking.user_id == sa.bindparam("user"))
    if by_status:
        query = query.where(status_at(clock_param(timed)) == sa.bindparam("status"))
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
    params = {"user": user_id, **now_params(now)}
    if status is not None:
        params["status"] = status
    statements = _booking_list(status is not None, now is not None)
    with reading() as connection:
        bookings = fetch_page(connection, statements, params, page=page, page_size=page_size)
    return bookings.map(lambda row: answer(dict(row)))


def answer(booking: dict[str, Any]) -> dict[str, Any]:
    """The booking with what follows from its receipt."""
    seat_numbers = live_labels(booking["seats"])
    return booking | {
        "seat_numbers": seat_numbers,
        "seat_number": seat_numbers[0] if len(seat_numbers) == 1 else None,
        "cancelled_seat_numbers": [
            seat["seat_number"] for seat in booking["seats"] if seat["cancelled"]
        ],
    }


def live_labels(receipt: Sequence[dict[str, Any]]) -> list[str]:
    """The seats that were not given back one by one."""
    return [seat["seat_number"] for seat in receipt if not seat["cancelled"]]


def _total(receipt: Sequence[dict[str, Any]]) -> int:
    return sum(seat["price_cents"] for seat in receipt if not seat["cancelled"])


def _columns(timed: bool) -> tuple[Any, ...]:
    return (
        Booking.id,
        Booking.reference,
        Booking.user_id,
        Booking.show_id,
        status_at(clock_param(timed)).label("status"),
        Booking.seats,
        Booking.total_cents,
        Booking.currency,
        Booking.created_at,
        Booking.expires_at,
    )


def _found(row: sa.RowMapping | None, booking_id: int) -> dict[str, Any]:
    if row is None:
        raise NotFound("booking", booking_id)
    return dict(row)


def _require_own(booking: Mapping[str, Any], user_id: int) -> None:
    if booking["user_id"] != user_id:
        raise NotYourBooking("This booking is another account's.")
