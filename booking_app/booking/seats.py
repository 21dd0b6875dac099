"""Seats and their owners: the only place that gives a seat of a show an owner, or takes it away.

A seat is taken by one conditional update of its row (`take`), so it can't have two owners; the
locks before it only keep callers from waiting for each other in a circle. Seats are locked by
label.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from booking_app.booking import seat_choice, seat_parties
from booking_app.booking.models import Booking
from booking_app.booking.queries import BookedSeat, BookingDetails
from booking_app.catalog.kept_plans import read_plan
from booking_app.catalog.models import (
    COMPANION,
    HOUSE,
    KIND,
    PAIR,
    STANDARD,
    ShowSeat,
    is_free,
)
from booking_app.catalog.seat_map import FREE, Plan
from booking_app.catalog.show_rules import refuse_split_pairs
from booking_app.core.database import NOW, WaitForLocks, may_wait, one_of
from booking_app.core.errors import Conflict, Invalid, Path
from booking_app.core.statements import Statement

# After this many locked seats, wait for locks instead of trying further blocks.
LOCKED_SEATS_MAX = 50


class SeatTaken(Conflict):
    code = "seat_taken"


class SoldOut(Conflict):
    code = "sold_out"


class NoAdjacentSeats(Conflict):
    code = "no_adjacent_seats"


class SingleGap(Conflict):
    code = "single_gap"


class CompanionOnly(Conflict):
    code = "companion_only"


@dataclass(frozen=True)
class SeatRequest:
    """Which seats a caller asks for: those of these `labels`, or else the best `quantity` side by
    side (of `category`, `accessible` of them wheelchair places; in several blocks where there is no
    other way, if `split`). `field` is the name of that in the caller's words."""

    field: str
    quantity: int
    labels: tuple[str, ...] | None = None
    category: str | None = None
    accessible: int = 0
    split: bool = False

    def check_quantity(self, most: int) -> None:
        """Raises Invalid for none or too many seats."""
        if not 1 <= self.quantity <= most:
            raise Invalid(self.field, f"A booking has 1 to {most} seats.")


@dataclass(frozen=True, slots=True)
class Sale:
    """For whom seats of a show are taken, and when. Staff may take what the house keeps. From
    `companions_released` on, companion seats are seats like others."""

    show_id: int
    user_id: int
    is_staff: bool
    companions_released: bool
    now: datetime

    @property
    def lifts(self) -> str | None:
        """The kind of block that taking a named seat lifts."""
        return HOUSE if self.is_staff else None


# Statements of the busy paths are built once: building one costs more than running it.
NAMED = one_of(ShowSeat.label, "labels")
OF_SHOW = ShowSeat.show_id == sa.bindparam("show")
OF_BOOKING = sa.and_(OF_SHOW, NAMED, ShowSeat.booking_id == sa.bindparam("owner"))
LOCK_OF_BOOKING = Statement(
    sa.select(ShowSeat.label, KIND).where(OF_BOOKING).order_by(ShowSeat.label).with_for_update()
)
# By the clock as it is once the seats are locked: the hold may have ended while waiting.
SET_HELD_UNTIL = Statement(
    sa.update(ShowSeat)
    .where(OF_BOOKING, ShowSeat.held_until > NOW)
    .values(held_until=sa.bindparam("until", type_=ShowSeat.held_until.type))
)
RELEASE = Statement(sa.update(ShowSeat).where(OF_BOOKING).values(booking_id=None, held_until=None))
LOCK_ALL = Statement(
    sa.select(ShowSeat.label).where(OF_SHOW).order_by(ShowSeat.label).with_for_update()
)
# Whether a seat may be taken, by staff also one that the house keeps.
MAY_BE_TAKEN = sa.and_(
    is_free(NOW),
    sa.or_(
        ShowSeat.blocked.is_(None),
        # Never NULL, which is neither true nor false: nobody lifts a block by naming none.
        sa.func.coalesce(ShowSeat.blocked == sa.bindparam("lifts", type_=sa.String), sa.false()),
    ),
)
OWN_WHEELCHAIR_PLACES = Statement(
    sa.select(ShowSeat.label)
    .join(Booking, Booking.id == ShowSeat.booking_id)
    .where(
        OF_SHOW,
        ShowSeat.accessible,
        sa.not_(is_free(NOW)),
        Booking.user_id == sa.bindparam("user"),
    )
)


# --- choosing and locking -------------------------------------------------------------------


def lock_seats(connection: sa.Connection, sale: Sale, wanted: SeatRequest) -> list[Any]:
    """The free seats that are asked for, locked, in the order of the room: rows with `label`,
    `category`, `blocked` and `blocked_reason`.

    Raises Invalid for a seat or category that the show does not have, SeatTaken with exactly the
    seats in the way, PairSplit and CompanionOnly for seats that can't be taken without others, and
    SoldOut and NoAdjacentSeats where there is no such block.
    """
    if wanted.labels is None:
        return _lock_best_block(connection, sale, wanted)
    seats = _lock(connection, sale, wanted.labels)
    refuse_unknown(wanted, seats)
    refuse_taken(seats)
    kinds = {seat.kind for seat in seats}
    if PAIR in kinds or (COMPANION in kinds and not sale.companions_released):
        _refuse_parted(connection, sale, wanted.labels)
    return seats


def refuse_unknown(wanted: SeatRequest, found: Sequence[Any]) -> None:
    """Raises Invalid where not all of the named seats were found."""
    known = {seat.label for seat in found}
    labels = wanted.labels or ()
    if unknown := {n: label for n, label in enumerate(labels) if label not in known}:
        named = ", ".join(sorted(unknown.values()))
        told: dict[Path, str] = {
            (n,): f"The show has no seat {label}." for n, label in unknown.items()
        }
        raise Invalid(
            wanted.field,
            f"The show has no seat {named}; its seats are in the seat map.",
            within=told if wanted.field == "seat_numbers" else None,
            kind="unknown_seat",
        )


def refuse_taken(seats: Sequence[Any]) -> None:
    """Raises SeatTaken with those that are not free."""
    if taken := [seat.label for seat in seats if not seat.free]:
        raise _seat_taken(taken)


def _refuse_parted(connection: sa.Connection, sale: Sale, labels: Sequence[str]) -> None:
    """Raises PairSplit and CompanionOnly for seats that can't be taken without others."""
    room = read_room(connection, sale)
    refuse_split_pairs(room, labels)
    params = {"show": sale.show_id, "user": sale.user_id, "now": sale.now}
    own = [seat.label for seat in OWN_WHEELCHAIR_PLACES.all(connection, params)]
    if alone := seat_choice.companions_without_wheelchair(room, labels, own):
        raise CompanionOnly(
            f"{', '.join(alone)}: companion seats go with a wheelchair place beside them. Take one "
            "with them, or choose other seats.",
            seats=alone,
        )


def _lock_best_block(connection: sa.Connection, sale: Sale, wanted: SeatRequest) -> list[Any]:
    """The best block of seats that can be had, locked.

    Blocks that somebody else has locked are passed over. Only where no other is left, all seats
    of the show are waited for, in a transaction that has none of them yet; then the answer is
    certain.
    """
    if may_wait(connection):
        LOCK_ALL.all(connection, {"show": sale.show_id})
    room = read_room(connection, sale)
    passed_over: set[str] = set()
    for labels in _choices(room, wanted, passed_over):
        if passed_over.isdisjoint(labels):
            seats = _lock(connection, replace(sale, is_staff=False), labels, skip_locked=True)
            free = {seat.label for seat in seats if seat.free}
            if len(free) == len(labels):
                return seats
            passed_over |= set(labels) - free
        if len(passed_over) > LOCKED_SEATS_MAX and not may_wait(connection):
            break
    if passed_over:
        raise WaitForLocks
    raise _no_block(room, wanted)


def _choices(
    room: Sequence[seat_choice.Seat], wanted: SeatRequest, passed_over: set[str]
) -> Iterator[list[str]]:
    """The seats to try, best first. A party is split only where no block is left, and then over
    the seats that were not `passed_over` meanwhile."""
    blocks = blocks_of(room, wanted)
    yield from blocks
    while wanted.split and not blocks:
        left = [replace(seat, free=seat.free and seat.label not in passed_over) for seat in room]
        party = seat_parties.best_party(
            left, wanted.quantity, category=wanted.category, accessible=wanted.accessible
        )
        if party is None:
            return
        yield party


def blocks_of(room: Sequence[seat_choice.Seat], wanted: SeatRequest) -> list[list[str]]:
    """The single blocks of what is asked for, best first."""
    return seat_choice.best_blocks(
        room, wanted.quantity, category=wanted.category, accessible=wanted.accessible
    )


def _no_block(room: Sequence[seat_choice.Seat], wanted: SeatRequest) -> Conflict | Invalid:
    if wanted.category is not None and all(seat.category != wanted.category for seat in room):
        known = ", ".join(sorted({seat.category for seat in room}))
        return Invalid("category", f"The show has no seats of this category; it has: {known}.")
    if not any(seat.free for seat in room):
        return SoldOut("No seat is left.")
    largest = seat_choice.largest_block(
        room, category=wanted.category, accessible=wanted.accessible
    )
    what = f"No {wanted.quantity} seats side by side"
    if wanted.accessible:
        what += f", {wanted.accessible} of them wheelchair places,"
    most = f"the most is {largest}" if largest else "ask for others, or choose in the seat map"
    return NoAdjacentSeats(f"{what} are left; {most}.", largest_block=largest)


def refuse_single_gaps(connection: sa.Connection, sale: Sale, labels: Sequence[str]) -> None:
    """Raises SingleGap where taking the seats would leave one alone. The show's row is locked."""
    alone = seat_choice.single_gaps(read_room(connection, sale), set(labels))
    if alone:
        raise SingleGap(
            f"This would leave {', '.join(alone)} alone; choose seats that leave no single one.",
            seats=alone,
        )


def read_room(connection: sa.Connection, sale: Sale) -> list[seat_choice.Seat]:
    """All seats of the show, in the order of the room."""
    plan, letters = read_plan(connection, sale.show_id, sale.now)
    return room_of(plan, letters, released=COMPANION if sale.companions_released else None)


def room_of(plan: Plan, letters: str, *, released: str | None = None) -> list[seat_choice.Seat]:
    """The seats of a plan, free by their letters; those of the kind `released` are like others."""
    return [
        seat_choice.Seat(
            label=seat.label,
            block=seat.block,
            row_label=seat.row_label,
            free=letter == FREE,
            category=seat.category,
            kind=STANDARD if seat.kind == released else seat.kind,
            x=seat.x,
            y=seat.y,
        )
        for seat, letter in zip(plan.seats, letters, strict=True)
    ]


@cache
def _lock_statement(skip_locked: bool) -> Statement:
    return Statement(
        sa.select(
            ShowSeat.label,
            ShowSeat.position,
            ShowSeat.category,
            KIND,
            ShowSeat.blocked,
            ShowSeat.blocked_reason,
            MAY_BE_TAKEN.label("free"),
        )
        .where(OF_SHOW, NAMED)
        .order_by(ShowSeat.label)
        .with_for_update(skip_locked=skip_locked)
    )


def _lock(
    connection: sa.Connection, sale: Sale, labels: Sequence[str], *, skip_locked: bool = False
) -> list[Any]:
    """Those of the seats that exist, locked by label, and returned in the order of the room."""
    params = {"show": sale.show_id, "labels": labels, "now": sale.now, "lifts": sale.lifts}
    rows = _lock_statement(skip_locked).all(connection, params)
    return sorted(rows, key=lambda seat: seat.position)


# --- owners ---------------------------------------------------------------------------------


def take(
    connection: sa.Connection,
    *,
    sale: Sale,
    booking_id: int,
    seats: Sequence[BookedSeat],
    held_until: datetime | None,
) -> None:
    """Make the booking the owner of the seats, each where it may be taken, and at its price; a
    block that staff may lift is lifted.

    This condition is what keeps a seat from having two owners; it would also without a lock.
    Raises SeatTaken.
    """
    by_price: dict[int, list[str]] = defaultdict(list)
    for seat in seats:
        by_price[seat.price_cents].append(seat.label)
    labels = [seat.label for seat in seats]
    params: dict[str, Any] = {
        "show": sale.show_id,
        "labels": labels,
        "now": sale.now,
        "lifts": sale.lifts,
        "owner": booking_id,
        "until": held_until,
    }
    for number, (price_cents, at_price) in enumerate(by_price.items()):
        params[f"price_{number}"] = price_cents
        if len(by_price) > 1:
            params[f"labels_{number}"] = at_price
    if _take_statement(len(by_price)).count(connection, params) != len(labels):
        raise _seat_taken(labels)


@cache
def _take_statement(prices: int) -> Statement:
    """The update that takes seats of so many prices."""
    price: sa.ColumnElement[int] = sa.bindparam("price_0", type_=sa.Integer)
    if prices > 1:
        price = sa.case(
            *(
                (
                    one_of(ShowSeat.label, f"labels_{number}"),
                    sa.bindparam(f"price_{number}", type_=sa.Integer),
                )
                for number in range(prices)
            )
        )
    return Statement(
        sa.update(ShowSeat)
        .where(OF_SHOW, NAMED, MAY_BE_TAKEN)
        .values(
            booking_id=sa.bindparam("owner"),
            held_until=sa.bindparam("until", type_=ShowSeat.held_until.type),
            price_cents=price,
            blocked=None,
            blocked_reason=None,
        )
    )


def set_held_until(
    connection: sa.Connection,
    booking: BookingDetails,
    held_until: datetime | None,
    now: datetime | None,
) -> bool:
    """Set the end of the hold on the booking's seats (None: booked), each where it still is this
    hold's; whether all were.

    The condition on the seat's own row decides against somebody who takes it over: PostgreSQL
    looks at that row again after a wait, but not at the booking's.
    """
    own = _own(booking, booking.labels)
    LOCK_OF_BOOKING.all(connection, own)
    params = {**own, "until": held_until, "now": now}
    return SET_HELD_UNTIL.count(connection, params) == len(booking.labels)


def release(
    connection: sa.Connection, booking: BookingDetails, labels: Sequence[str], now: datetime
) -> None:
    """Free those seats where they still are the booking's. Raises PairSplit for one seat of a pair
    without the other."""
    own = _own(booking, labels)
    kinds = {seat.kind for seat in LOCK_OF_BOOKING.all(connection, own)}
    if PAIR in kinds and len(labels) < len(booking.labels):
        sale = Sale(booking.show_id, booking.user_id, False, True, now)
        refuse_split_pairs(read_room(connection, sale), labels, among=booking.labels)
    RELEASE.count(connection, own)


def _own(booking: BookingDetails, labels: Sequence[str]) -> dict[str, Any]:
    """The parameters of `OF_BOOKING`."""
    return {"show": booking.show_id, "labels": labels, "owner": booking.id}


def _seat_taken(labels: Sequence[str]) -> SeatTaken:
    return SeatTaken(
        f"Taken: {', '.join(labels)}. Choose others; the seat map shows which are available.",
        seats=list(labels),
    )
