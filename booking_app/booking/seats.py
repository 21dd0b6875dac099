"""Seats and their owners: the only place that gives a seat of a show an owner, or takes it away.

A seat is taken by one conditional update of its row (`take`), so it can't have two owners; the
locks before it only keep callers from waiting for each other in a circle. Seats are locked by
label.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from booking_app.booking import seat_choice
from booking_app.booking.queries import BookedSeat, BookingDetails
from booking_app.catalog.models import KIND, ShowSeat, is_free
from booking_app.catalog.seat_plans import places
from booking_app.core.database import NOW, Query, Row, WaitForLocks, may_wait
from booking_app.core.errors import Conflict, Invalid

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


@dataclass(frozen=True)
class SeatRequest:
    """Which seats a caller asks for: those of these `labels`, or else the best `quantity` side by
    side (of `category`). `field` is the name of that in the caller's words."""

    field: str
    quantity: int
    labels: tuple[str, ...] | None = None
    category: str | None = None


# Statements of the busy paths are built once: building one costs more than running it.
NAMED = ShowSeat.label.in_(sa.bindparam("labels", expanding=True))
OF_SHOW = ShowSeat.show_id == sa.bindparam("show")
OF_BOOKING = sa.and_(OF_SHOW, NAMED, ShowSeat.booking_id == sa.bindparam("owner"))
LOCK_OF_BOOKING = (
    sa.select(ShowSeat.label).where(OF_BOOKING).order_by(ShowSeat.label).with_for_update()
)
# By the clock as it is once the seats are locked: the hold may have ended while waiting.
SET_HELD_UNTIL = (
    sa.update(ShowSeat)
    .where(OF_BOOKING, ShowSeat.held_until > NOW)
    .values(held_until=sa.bindparam("until"))
)
RELEASE = sa.update(ShowSeat).where(OF_BOOKING).values(booking_id=None, held_until=None)
LOCK_ALL = sa.select(ShowSeat.label).where(OF_SHOW).order_by(ShowSeat.label).with_for_update()
ROOM = (
    sa.select(
        ShowSeat.label,
        ShowSeat.block,
        ShowSeat.row_label,
        is_free(NOW).label("free"),
        ShowSeat.category,
        KIND,
        ShowSeat.x,
        ShowSeat.y,
        ShowSeat.aisle_after,
    )
    .where(OF_SHOW)
    .order_by(ShowSeat.position)
)


# --- choosing and locking -------------------------------------------------------------------


def lock_seats(
    connection: sa.Connection, show_id: int, wanted: SeatRequest, now: datetime
) -> list[Row]:
    """The free seats that are asked for, locked, in the order of the room: rows with `label` and
    `category`.

    Raises Invalid for a seat or category that the show does not have, SeatTaken with exactly the
    seats in the way, and SoldOut and NoAdjacentSeats where there is no such block.
    """
    if wanted.labels is None:
        return _lock_best_block(connection, show_id, wanted, now)
    seats = _lock(connection, show_id, wanted.labels, now)
    if unknown := set(wanted.labels) - {seat.label for seat in seats}:
        named = ", ".join(sorted(unknown))
        raise Invalid(wanted.field, f"The show has no seat {named}; its seats are in the seat map.")
    if taken := [seat.label for seat in seats if not seat.free]:
        raise _seat_taken(taken)
    return seats


def _lock_best_block(
    connection: sa.Connection, show_id: int, wanted: SeatRequest, now: datetime
) -> list[Row]:
    """The best block of seats that can be had, locked.

    Blocks that somebody else has locked are passed over. Only where no other is left, all seats
    of the show are waited for, in a transaction that has none of them yet; then the answer is
    certain.
    """
    if may_wait(connection):
        connection.execute(LOCK_ALL, {"show": show_id}).all()
    room = read_room(connection, show_id, now)
    passed_over: set[str] = set()
    for labels in seat_choice.best_blocks(room, wanted.quantity, category=wanted.category):
        if passed_over.isdisjoint(labels):
            seats = _lock(connection, show_id, labels, now, skip_locked=True)
            free = {seat.label for seat in seats if seat.free}
            if len(free) == len(labels):
                return seats
            passed_over |= set(labels) - free
        if len(passed_over) > LOCKED_SEATS_MAX and not may_wait(connection):
            break
    if passed_over:
        raise WaitForLocks
    raise _no_block(room, wanted)


def _no_block(room: Sequence[seat_choice.Seat], wanted: SeatRequest) -> Conflict | Invalid:
    if wanted.category is not None and all(seat.category != wanted.category for seat in room):
        known = ", ".join(sorted({seat.category for seat in room}))
        return Invalid("category", f"The show has no seats of this category; it has: {known}.")
    largest = seat_choice.largest_block(room, category=wanted.category)
    if largest == 0:
        return SoldOut("No seat is left.")
    return NoAdjacentSeats(
        f"No {wanted.quantity} seats side by side are left; the most is {largest}.",
        largest_block=largest,
    )


def refuse_single_gaps(
    connection: sa.Connection, show_id: int, labels: Sequence[str], now: datetime
) -> None:
    """Raises SingleGap where taking the seats would leave one alone. The show's row is locked."""
    alone = seat_choice.single_gaps(read_room(connection, show_id, now), set(labels))
    if alone:
        raise SingleGap(
            f"This would leave {', '.join(alone)} alone; choose seats that leave no single one.",
            seats=alone,
        )


def read_room(connection: sa.Connection, show_id: int, now: datetime) -> list[seat_choice.Seat]:
    """All seats of the show, in the order of the room."""
    seats = connection.execute(ROOM, {"show": show_id, "now": now}).all()
    return [
        seat_choice.Seat(
            label=seat.label,
            block=seat.block,
            row_label=seat.row_label,
            free=seat.free,
            category=seat.category,
            kind=seat.kind,
            x=x,
            y=y,
        )
        for seat, (x, y) in zip(seats, places(seats), strict=True)
    ]


@cache
def _lock_statement(skip_locked: bool) -> Query:
    return (
        sa.select(
            ShowSeat.label,
            ShowSeat.position,
            ShowSeat.category,
            is_free(NOW).label("free"),
        )
        .where(OF_SHOW, NAMED)
        .order_by(ShowSeat.label)
        .with_for_update(skip_locked=skip_locked)
    )


def _lock(
    connection: sa.Connection,
    show_id: int,
    labels: Sequence[str],
    now: datetime,
    *,
    skip_locked: bool = False,
) -> list[Row]:
    """Those of the seats that exist, locked by label, and returned in the order of the room."""
    params = {"show": show_id, "labels": labels, "now": now}
    rows = connection.execute(_lock_statement(skip_locked), params)
    return sorted(rows, key=lambda seat: seat.position)


# --- owners ---------------------------------------------------------------------------------


def take(
    connection: sa.Connection,
    *,
    show_id: int,
    booking_id: int,
    seats: Sequence[BookedSeat],
    held_until: datetime | None,
    now: datetime,
) -> None:
    """Make the booking the owner of the seats, each where it is free, and at its price.

    This condition is what keeps a seat from having two owners; it would also without a lock.
    Raises SeatTaken.
    """
    by_price: dict[int, list[str]] = defaultdict(list)
    for seat in seats:
        by_price[seat.price_cents].append(seat.label)
    labels = [seat.label for seat in seats]
    params: dict[str, Any] = {
        "show": show_id,
        "labels": labels,
        "now": now,
        "owner": booking_id,
        "until": held_until,
    }
    for number, (price_cents, at_price) in enumerate(by_price.items()):
        params[f"price_{number}"] = price_cents
        if len(by_price) > 1:
            params[f"labels_{number}"] = at_price
    if connection.execute(_take_statement(len(by_price)), params).rowcount != len(labels):
        raise _seat_taken(labels)


@cache
def _take_statement(prices: int) -> sa.Update:
    """The update that takes seats of so many prices."""
    price: sa.ColumnElement[int] = sa.bindparam("price_0", type_=sa.Integer)
    if prices > 1:
        price = sa.case(
            *(
                (
                    ShowSeat.label.in_(sa.bindparam(f"labels_{number}", expanding=True)),
                    sa.bindparam(f"price_{number}", type_=sa.Integer),
                )
                for number in range(prices)
            )
        )
    return (
        sa.update(ShowSeat)
        .where(OF_SHOW, NAMED, is_free(NOW))
        .values(
            booking_id=sa.bindparam("owner"), held_until=sa.bindparam("until"), price_cents=price
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
    own = _lock_own(connection, booking, booking.labels)
    params = {**own, "until": held_until, "now": now}
    return connection.execute(SET_HELD_UNTIL, params).rowcount == len(booking.labels)


def release(connection: sa.Connection, booking: BookingDetails, labels: Sequence[str]) -> None:
    """Free those seats where they still are the booking's."""
    connection.execute(RELEASE, _lock_own(connection, booking, labels))


def _lock_own(
    connection: sa.Connection, booking: BookingDetails, labels: Sequence[str]
) -> dict[str, Any]:
    """Lock those seats of the booking by label; the parameters of `OF_BOOKING`."""
    own = {"show": booking.show_id, "labels": labels, "owner": booking.id}
    connection.execute(LOCK_OF_BOOKING, own).all()
    return own


def _seat_taken(labels: Sequence[str]) -> SeatTaken:
    return SeatTaken(
        f"Taken: {', '.join(labels)}. Choose others; the seat map shows which are available.",
        seats=list(labels),
    )
