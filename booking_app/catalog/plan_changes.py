"""A show takes the seats of another plan, where nobody has one of its seats."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from booking_app.catalog import seat_plans
from booking_app.catalog.blocked_seats import BLOCK
from booking_app.catalog.models import HOUSE, KIND, NUMBER, OUT_OF_ORDER, Show, ShowSeat, is_free
from booking_app.catalog.neighbours import partners
from booking_app.catalog.seat_plans import Seat
from booking_app.catalog.show_rules import (
    check_prices,
    forget_sums,
    insert_seats,
    lock_seats,
    new_version,
)
from booking_app.core.database import NOW, Row


class HasPlan(Protocol):
    """A screen, such as a row of `venues.lock_screen`."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def out_of_order(self) -> Collection[str]: ...


@dataclass(frozen=True, slots=True)
class Room:
    """The seats of a plan in their order, those that are out of order, and the other seat of each
    pair seat."""

    seats: Sequence[Seat]
    out_of_order: frozenset[str]
    partners: Mapping[str, str]

    @classmethod
    def of_screen(cls, screen: HasPlan) -> "Room":
        """Empty where the screen was made by the short form of a show."""
        seats = seat_plans.plan_seats(seat_plans.read_plan(screen.rows))
        return cls(seats, frozenset(screen.out_of_order), partners(seats))

    @property
    def categories(self) -> set[str]:
        return {seat.category for seat in self.seats}


@dataclass(frozen=True, slots=True)
class SeatChanges:
    """What another plan changes of a show, by the labels of seats in the order of the rooms.

    `changed` are seats that stay and have another kind, category, place or block; `unblocked` are
    lost seats that the house kept.
    """

    won: list[str]
    lost: list[str]
    changed: list[str]
    unblocked: list[str]


# A show's seats, with the columns of a plan's.
SEATS = (
    sa.select(
        ShowSeat.label,
        ShowSeat.block,
        ShowSeat.row_label,
        NUMBER,
        ShowSeat.category,
        KIND,
        ShowSeat.x,
        ShowSeat.y,
        ShowSeat.blocked,
        ShowSeat.blocked_reason,
    )
    .where(ShowSeat.show_id == sa.bindparam("show"))
    .order_by(ShowSeat.position)
)


def sold_or_held(
    connection: sa.Connection, show_ids: Collection[int], now: datetime | None
) -> dict[int, list[str]]:
    """The seats that somebody has, by show, in the order of the room; nothing of other shows.

    The shows' rows are locked alone (FOR UPDATE), so nobody takes a free seat meanwhile. Those
    with an owner are locked here: whoever confirms or cancels does not lock the show.
    """
    owned = sa.and_(ShowSeat.show_id.in_(show_ids), ShowSeat.booking_id.is_not(None))
    lock_seats(connection, owned)
    found: dict[int, list[str]] = defaultdict(list)
    taken = (
        sa.select(ShowSeat.show_id, ShowSeat.label)
        .where(owned, sa.not_(is_free(NOW)))
        .order_by(ShowSeat.show_id, ShowSeat.position)
    )
    for show_id, label in connection.execute(taken, {"now": now}):
        found[show_id].append(label)
    return dict(found)


def replace_seats(
    connection: sa.Connection,
    show_id: int,
    room: Room,
    *,
    prices: Mapping[str, int] | None = None,
    out_of_order_before: Collection[str] | None = None,
    dry_run: bool = False,
) -> SeatChanges:
    """Give a show the seats of `room`, its `total_seats` and a new version; what that changes.

    The caller has locked the rows of the show, alone, and of the screen, and `sold_or_held` knows
    no seat of the show. The room has seats. `prices` are those that the show is about to have, its
    own where None. What the house keeps stays blocked where there is a seat of that label, a pair
    as a whole. So do seats that are out of order in this show alone, if it stays in its room:
    then `out_of_order_before` are those of the screen until now.

    Raises Invalid for a price of a category that the room does not have; then nothing is written.
    """
    if prices is None:
        prices = connection.execute(sa.select(Show.prices).where(Show.id == show_id)).scalar_one()
    check_prices(prices, room.categories)
    before = connection.execute(SEATS, {"show": show_id}).all()
    blocked = _blocked(before, room, out_of_order_before)
    changes = _compared(before, room, blocked)
    if dry_run or not (changes.won or changes.lost or changes.changed):
        return changes
    connection.execute(sa.delete(ShowSeat).where(ShowSeat.show_id == show_id))
    insert_seats(connection, show_id, room.seats)
    if blocked:
        connection.execute(
            BLOCK,
            [
                {"show": show_id, "seat": label, "blocked_as": kind, "because": reason}
                for label, (kind, reason) in blocked.items()
            ],
        )
    connection.execute(
        sa.update(Show)
        .where(Show.id == show_id)
        .values(total_seats=len(room.seats), version=new_version())
    )
    forget_sums(connection, [show_id])
    return changes


Block = tuple[str, str | None]  # its kind, and what staff noted


def _blocked(
    before: Sequence[Row], room: Room, out_of_order_before: Collection[str] | None
) -> dict[str, Block]:
    """The seats of the room that are not for sale in a show which had the seats `before`."""
    was: dict[str, Block] = {
        seat.label: (seat.blocked, seat.blocked_reason)
        for seat in before
        if seat.blocked == HOUSE or (seat.blocked and out_of_order_before is not None)
    }
    labels = {seat.label for seat in room.seats}
    blocked: dict[str, Block] = {}
    for label, block in was.items():
        of_show_alone = block[0] == HOUSE or label not in (out_of_order_before or ())
        if of_show_alone and label in labels:
            blocked[label] = block
            if label in room.partners:
                blocked.setdefault(room.partners[label], block)
    broken = (OUT_OF_ORDER, None)
    for label in room.out_of_order:
        noted = was.get(label, broken)
        blocked[label] = noted if noted[0] == OUT_OF_ORDER else broken
    return blocked


def _compared(before: Sequence[Row], room: Room, blocked: Mapping[str, Block]) -> SeatChanges:
    was = {seat.label: seat for seat in before}
    is_ = {seat.label: seat for seat in room.seats}
    nothing: tuple[None, None] = (None, None)
    return SeatChanges(
        won=[label for label in is_ if label not in was],
        lost=[label for label in was if label not in is_],
        changed=[
            label
            for label, seat in is_.items()
            if label in was
            and (
                _looks(was[label]) != _looks(seat)
                or (was[label].blocked, was[label].blocked_reason) != blocked.get(label, nothing)
            )
        ],
        unblocked=[
            seat.label for seat in before if seat.blocked == HOUSE and seat.label not in is_
        ],
    )


def _looks(seat: Row | Seat) -> tuple[Any, ...]:
    return (seat.block, seat.row_label, seat.number, seat.category, seat.kind, seat.x, seat.y)
