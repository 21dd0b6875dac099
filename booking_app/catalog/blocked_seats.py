"""Seats that are not for sale: kept by the house, which staff may sell, or out of order."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.catalog import neighbours
from booking_app.catalog.models import KIND, OUT_OF_ORDER, PAIR, Show, ShowSeat, is_free
from booking_app.catalog.show_rules import (
    SeatsSold,
    forget_sums,
    lock_seats,
    refuse_split_pairs,
    renew_versions,
    require_finished_upgrade,
)
from booking_app.core.database import NOW, Row, reading, writes
from booking_app.core.errors import Invalid, NotFound


@dataclass(frozen=True, slots=True)
class BlockedSeat:
    """A seat of a show that is not for sale, why (one of BLOCKS), and what staff noted."""

    label: str
    kind: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StillSold:
    """Seats of a show to come that are out of order from now on, and sold or held."""

    show_id: int
    starts_at: datetime
    labels: list[str]


SEATS = (
    sa.select(
        ShowSeat.label,
        ShowSeat.block,
        ShowSeat.row_label,
        KIND,
        ShowSeat.x,
        ShowSeat.blocked,
        ShowSeat.blocked_reason,
        is_free(NOW).label("free"),
    )
    .where(ShowSeat.show_id == sa.bindparam("show"))
    .order_by(ShowSeat.position)
)
BLOCK = (
    sa.update(ShowSeat)
    .where(ShowSeat.show_id == sa.bindparam("show"), ShowSeat.label == sa.bindparam("seat"))
    .values(blocked=sa.bindparam("blocked_as"), blocked_reason=sa.bindparam("because"))
)


def get_blocked_seats(*, show_id: int) -> list[BlockedSeat]:
    """The blocked seats of a show in the order of the room; raises NotFound."""
    with reading() as connection:
        if connection.execute(sa.select(Show.id).where(Show.id == show_id)).first() is None:
            raise NotFound("show", show_id)
        return _blocked(connection.execute(SEATS, {"show": show_id, "now": None}).all())


@writes
def set_blocked_seats(
    connection: sa.Connection,
    *,
    show_id: int,
    seats: Sequence[BlockedSeat],
    by: Actor = OPERATOR,
    now: datetime | None = None,
) -> list[BlockedSeat]:
    """Block exactly these seats of a show; the blocked seats in the order of the room.

    Raises NotFound, Invalid for a seat that the show does not have or that is named twice,
    SeatsSold for seats that are sold or held, PairSplit for one seat of a pair, and
    UpgradeUnfinished while a release may serve that would sell blocked seats.
    """
    show = sa.select(Show.id).where(Show.id == show_id).with_for_update()
    if connection.execute(show).first() is None:
        raise NotFound("show", show_id)
    lock_seats(connection, ShowSeat.show_id == show_id)
    found = connection.execute(SEATS, {"show": show_id, "now": now}).all()
    wanted = {seat.label: seat for seat in seats}
    if len(wanted) < len(seats):
        raise Invalid("seats", "Names a seat twice.", kind="repeated")
    if wanted:
        require_finished_upgrade(connection, "blocked seats")
    known = {seat.label: seat for seat in found}
    if unknown := {n: seat.label for n, seat in enumerate(seats) if seat.label not in known}:
        raise Invalid(
            "seats",
            f"The show has no seat {', '.join(sorted(unknown.values()))}.",
            within={
                (n, "seat_number"): f"The show has no seat {label}." for n, label in unknown.items()
            },
            kind="unknown_seat",
        )
    refuse_split_pairs(found, wanted)
    if sold := [seat.label for seat in found if seat.label in wanted and not seat.free]:
        raise SeatsSold(f"Sold or held: {', '.join(sold)}. They can't be blocked.", seats=sold)
    before = _blocked(found)
    free = BlockedSeat("", "")
    changes = [
        {
            "show": show_id,
            "seat": seat.label,
            "blocked_as": wanted[seat.label].kind if seat.label in wanted else None,
            "because": wanted.get(seat.label, free).reason,
        }
        for seat in found
        if seat.label in wanted or seat.blocked is not None
    ]
    if changes:
        connection.execute(BLOCK, changes)
        renew_versions(connection, Show.id == show_id)
        forget_sums(connection, [show_id])
    after = [wanted[seat.label] for seat in found if seat.label in wanted]
    audit.record(
        connection,
        "show.changed",
        by=by,
        object_id=show_id,
        before={"blocked_seats": [_audited(seat) for seat in before]},
        after={"blocked_seats": [_audited(seat) for seat in after]},
        now=now,
    )
    return after


def lock_coming_shows(
    connection: sa.Connection, screen_id: int, now: datetime | None
) -> Sequence[Row]:
    """The screen's shows to come, `(id, starts_at)` by time, their rows locked."""
    coming = sa.select(Show.id, Show.starts_at).where(
        Show.screen_id == screen_id, Show.starts_at > NOW
    )
    shows = connection.execute(coming.order_by(Show.id).with_for_update(), {"now": now}).all()
    return sorted(shows, key=lambda show: (show.starts_at, show.id))


def move_out_of_order(
    connection: sa.Connection,
    *,
    screen_id: int,
    out_of_order: Collection[str],
    removed: Collection[str],
    now: datetime | None,
) -> list[StillSold]:
    """Block what is `out_of_order` in the screen's shows to come where it is free, and free the
    `removed` seats; what is sold or held. The screen's row and those of its shows are locked."""
    shows = lock_coming_shows(connection, screen_id, now)  # also one that was made meanwhile
    named = sa.and_(
        ShowSeat.show_id.in_([show.id for show in shows]),
        ShowSeat.label.in_([*out_of_order, *removed]),
    )
    lock_seats(connection, named)
    seats = (
        sa.select(
            ShowSeat.show_id,
            ShowSeat.label,
            KIND,
            ShowSeat.blocked,
            is_free(NOW).label("free"),
        )
        .where(named)
        .order_by(ShowSeat.position)
    )
    in_use: dict[int, list[str]] = defaultdict(list)
    changes: list[Mapping[str, Any]] = []
    of_pairs: dict[int, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for seat in connection.execute(seats, {"now": now}):
        is_removed, is_blocked = seat.label in removed, seat.blocked == OUT_OF_ORDER
        if not (is_removed or seat.free):
            in_use[seat.show_id].append(seat.label)
        elif is_removed == is_blocked:  # else it is as it should be
            change = {
                "show": seat.show_id,
                "seat": seat.label,
                "blocked_as": None if is_removed else OUT_OF_ORDER,
                "because": None,
            }
            changes.append(change)
            if seat.kind == PAIR:
                of_pairs[seat.show_id][seat.label] = change
    changes += _for_partners(connection, of_pairs, now)
    if changes:
        connection.execute(BLOCK, changes)
        renew_versions(connection, Show.id.in_({change["show"] for change in changes}))
    return [
        StillSold(show.id, show.starts_at, in_use[show.id]) for show in shows if show.id in in_use
    ]


def _for_partners(
    connection: sa.Connection,
    changes: Mapping[int, Mapping[str, Mapping[str, Any]]],
    now: datetime | None,
) -> list[Mapping[str, Any]]:
    """For changes of pair seats, by show and label, the same ones of the other seats: a show may
    have pairs that the screen's plan has no more."""
    more: list[Mapping[str, Any]] = []
    for show_id, own in changes.items():
        room = connection.execute(SEATS, {"show": show_id, "now": now}).all()
        for label, other in neighbours.partners(room).items():
            if label in own and other not in own:
                more.append({**own[label], "seat": other})
    return more


def _blocked(seats: Sequence[Row]) -> list[BlockedSeat]:
    return [
        BlockedSeat(seat.label, seat.blocked, seat.blocked_reason)
        for seat in seats
        if seat.blocked is not None
    ]


def _audited(seat: BlockedSeat) -> dict[str, str | None]:
    return {"seat_number": seat.label, "kind": seat.kind, "reason": seat.reason}
