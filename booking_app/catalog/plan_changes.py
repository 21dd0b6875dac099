"""Shows take the seats of another plan, where nobody has one of their seats."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import Actor
from booking_app.catalog import seat_plans
from booking_app.catalog.blocked_seats import BLOCK, lock_coming_shows
from booking_app.catalog.models import (
    HOUSE,
    LABELS_TOLD,
    NO_CATEGORY,
    OUT_OF_ORDER,
    PLANNED_SEAT,
    SOLD,
    TOO_MANY,
    Movie,
    Show,
    ShowSeat,
    is_free,
)
from booking_app.catalog.neighbours import partners
from booking_app.catalog.seat_plans import PlanRow, Seat
from booking_app.catalog.show_rules import (
    check_prices,
    forget_sums,
    insert_seats,
    lock_seats,
    new_version,
)
from booking_app.core.database import NOW, Row
from booking_app.core.errors import Invalid

# So that nobody else waits long for them to be written.
SEATS_AT_ONCE = 100_000


class HasPlan(Protocol):
    """A screen, such as a row of `screen_locks.lock_screen`."""

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
        return cls.of_plan(seat_plans.read_plan(screen.rows), screen.out_of_order)

    @classmethod
    def of_plan(cls, plan: Sequence[PlanRow], out_of_order: Collection[str]) -> "Room":
        seats = seat_plans.plan_seats(plan)
        return cls(seats, frozenset(out_of_order), partners(seats))

    @property
    def categories(self) -> set[str]:
        return {seat.category for seat in self.seats}


@dataclass(frozen=True, slots=True)
class SeatChanges:
    """What another plan changes of a show, by the labels of seats in the order of the rooms.

    `changed` are seats that stay and have another kind, category or block; `unblocked` are lost
    seats that the house kept. `redrawn` is whether others stand elsewhere in the room.
    """

    won: list[str]
    lost: list[str]
    changed: list[str]
    unblocked: list[str]
    redrawn: bool

    def __bool__(self) -> bool:
        return bool(self.won or self.lost or self.changed or self.redrawn)


@dataclass(frozen=True, slots=True)
class ChangedShow:
    """A show to come that takes a plan."""

    show_id: int
    starts_at: datetime
    movie_title: str
    seats: SeatChanges

    @property
    def seats_won(self) -> int:
        return len(self.seats.won)

    @property
    def seats_lost(self) -> int:
        return len(self.seats.lost)

    @property
    def seats_changed(self) -> int:
        return len(self.seats.changed)

    @property
    def first_won(self) -> list[str]:
        return self.seats.won[:LABELS_TOLD]

    @property
    def first_lost(self) -> list[str]:
        return self.seats.lost[:LABELS_TOLD]

    @property
    def unblocked(self) -> list[str]:
        return self.seats.unblocked


@dataclass(frozen=True, slots=True)
class KeptShow:
    """A show to come that keeps the seats it has: `code` and `detail` say why, and `taken` are its
    seats that are sold or held."""

    show_id: int
    starts_at: datetime
    movie_title: str
    code: str
    detail: str
    taken: list[str]

    @property
    def seats_taken(self) -> int:
        return len(self.taken)

    @property
    def first_taken(self) -> list[str]:
        return self.taken[:LABELS_TOLD]


@dataclass(frozen=True, slots=True)
class AppliedPlan:
    """The shows to come that a plan is new to, by time: those that take it, and the others."""

    changed: list[ChangedShow]
    kept: list[KeptShow]


Block = tuple[str, str | None]  # its kind, and what staff noted
UNBLOCKED = (None, None)

# A show's seats, with the columns of a plan's.
SEATS = (
    sa.select(
        *PLANNED_SEAT,
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
    changes, blocked = _compared(connection, show_id, room, out_of_order_before)
    if changes:
        _write_seats(connection, show_id, room, blocked)
    return changes


def _write_seats(
    connection: sa.Connection, show_id: int, room: Room, blocked: Mapping[str, Block]
) -> None:
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


def apply_plan(
    connection: sa.Connection,
    *,
    screen_id: int,
    room: Room,
    out_of_order_before: Collection[str],
    by: Actor,
    now: datetime | None,
    dry_run: bool,
) -> AppliedPlan:
    """Give the screen's shows to come the seats of its plan, `room`, where nobody has a seat of
    them. The rows of the shows, and then the screen's, are locked.

    Raises Invalid where the screen has no plan.
    """
    if not room.seats:
        raise Invalid("apply_to_unsold_shows", "This screen has no seat plan; give it one.")
    coming = lock_coming_shows(connection, screen_id, now)  # also one that was made meanwhile
    show_ids = [show.id for show in coming]
    taken = sold_or_held(connection, show_ids, now)
    query = sa.select(Show.id, Show.prices, Show.total_seats, Movie.title).join(Movie)
    found = {show.id: show for show in connection.execute(query.where(Show.id.in_(show_ids)))}
    applied = AppliedPlan([], [])
    written = 0
    for show_id, starts_at in coming:
        show = found[show_id]
        changes, blocked = _compared(connection, show_id, room, out_of_order_before)
        if written + len(room.seats) > SEATS_AT_ONCE:
            why = TOO_MANY, f"At most {SEATS_AT_ONCE} seats change at once. Apply the plan again."
        elif not changes:
            continue
        elif seats := taken.get(show_id):
            why = SOLD, f"{len(seats)} sold or held: {', '.join(_at_most(seats))}."
        elif lacking := sorted(set(show.prices) - room.categories):
            why = (
                NO_CATEGORY,
                f"It has a price for {', '.join(lacking)}; the plan has no such seat.",
            )
        else:
            if not dry_run:
                _write_seats(connection, show_id, room, blocked)
            written += len(room.seats)
            applied.changed.append(ChangedShow(show_id, starts_at, show.title, changes))
            _record(connection, show, changes, len(room.seats), by)
            continue
        kept = KeptShow(show_id, starts_at, show.title, *why, taken.get(show_id, []))
        applied.kept.append(kept)
    return applied


def _record(
    connection: sa.Connection, show: Row, changes: SeatChanges, total_seats: int, by: Actor
) -> None:
    kept = {
        "won": len(changes.won),
        "lost": len(changes.lost),
        "changed": len(changes.changed),
        "unblocked": changes.unblocked,
    }
    audit.record(
        connection,
        "show.changed",
        by=by,
        object_id=show.id,
        before={"total_seats": show.total_seats, "seat_plan": None},
        after={"total_seats": total_seats, "seat_plan": kept},
    )


def _at_most(labels: Sequence[str]) -> list[str]:
    more = len(labels) - LABELS_TOLD
    return [*labels[:LABELS_TOLD], *([f"{more} more"] if more > 0 else [])]


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


def _compared(
    connection: sa.Connection,
    show_id: int,
    room: Room,
    out_of_order_before: Collection[str] | None,
) -> tuple[SeatChanges, Mapping[str, Block]]:
    """What the seats of the room change of the show, and which of them are not for sale."""
    before = connection.execute(SEATS, {"show": show_id}).all()
    blocked = _blocked(before, room, out_of_order_before)
    was = {seat.label: seat for seat in before}
    is_ = {seat.label: seat for seat in room.seats}
    stay = [label for label in is_ if label in was]
    changes = SeatChanges(
        won=[label for label in is_ if label not in was],
        lost=[label for label in was if label not in is_],
        changed=[
            label
            for label in stay
            if _sold_as(was[label]) != _sold_as(is_[label])
            or (was[label].blocked, was[label].blocked_reason) != blocked.get(label, UNBLOCKED)
        ],
        unblocked=[
            seat.label for seat in before if seat.blocked == HOUSE and seat.label not in is_
        ],
        redrawn=any(_stands(was[label]) != _stands(is_[label]) for label in stay),
    )
    return changes, blocked


def _sold_as(seat: Row | Seat) -> tuple[Any, ...]:
    return seat.category, seat.kind


def _stands(seat: Row | Seat) -> tuple[Any, ...]:
    return seat.block, seat.row_label, seat.number, seat.x, seat.y
