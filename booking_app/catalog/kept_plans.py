"""Reading seat maps. Each worker keeps the plans of shows, so that a map takes one row: the show's
version, and which of its seats are not available.

A plan is kept for the version that stood in the same snapshot, and used where the row of the moment
has that version: it can't be stale, whichever server or release changed the show, as each change
of a plan or price comes with a new version in its transaction.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from sys import intern
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from booking_app.catalog.models import PLANNED_SEAT, Show, ShowSeat, is_for_sale, is_free
from booking_app.catalog.seat_map import FREE, MapSeat, Plan, SeatMap, seat_price
from booking_app.catalog.seat_plans import places
from booking_app.core.database import NOW, reading
from booking_app.core.errors import NotFound
from booking_app.core.statements import Statement, constant

KEPT_SEATS = 30_000  # at some 500 bytes each

OF_SHOW = Show.id == sa.bindparam("show")


# A letter of `seat_map.STATUSES`.
LETTER = sa.case(
    (
        sa.not_(is_free(NOW)),
        sa.case((ShowSeat.held_until.is_(None), constant("s")), else_=constant("h")),
    ),
    (ShowSeat.blocked.is_not(None), constant("x")),
    else_=constant(FREE),
).label("letter")
COMMA: Any = constant(",")
# "h12,s13": the letter and the position of each seat that is not available, in any order.
TAKEN = (
    sa.select(sa.func.aggregate_strings(LETTER.concat(sa.cast(ShowSeat.position, sa.Text)), COMMA))
    .where(ShowSeat.show_id == Show.id, sa.not_(is_for_sale(NOW)))
    .scalar_subquery()
    .label("taken")
)
# With the parameters `show` and `now`.
LOOK = Statement(sa.select(Show.version, Show.total_seats, TAKEN).where(OF_SHOW))
# One statement, so that the seats are those of the version. In the order of the room.
WHOLE_MAP = Statement(
    sa.select(
        Show.version,
        Show.price_cents,
        Show.prices,
        Show.currency,
        *PLANNED_SEAT,
        ShowSeat.accessible,
        ShowSeat.aisle_after,
        ShowSeat.position,
        LETTER,
    )
    .join(ShowSeat, ShowSeat.show_id == Show.id)
    .where(OF_SHOW)
    .order_by(ShowSeat.position)
)


class KeptPlans:
    """The plans of the shows that were asked for last, of at most so many seats together."""

    def __init__(self, seats_max: int) -> None:
        self._seats_max = seats_max
        self._plans: OrderedDict[int, Plan] = OrderedDict()
        self._seats = 0
        self._lock = Lock()

    def find(self, show_id: int, version: int) -> Plan | None:
        with self._lock:
            plan = self._plans.get(show_id)
            if plan is None or plan.version != version:
                return None
            self._plans.move_to_end(show_id)
            return plan

    def keep(self, plan: Plan) -> None:
        with self._lock:
            self._drop(plan.show_id)
            self._plans[plan.show_id] = plan
            self._seats += len(plan.seats)
            while self._seats > self._seats_max:
                self._drop(next(iter(self._plans)))

    def _drop(self, show_id: int) -> None:
        plan = self._plans.pop(show_id, None)
        if plan is not None:
            self._seats -= len(plan.seats)


kept = KeptPlans(KEPT_SEATS)


def get_seat_map(*, show_id: int, now: datetime | None = None) -> SeatMap:
    """The seats of a show; raises NotFound."""
    with reading() as connection:
        return read_plan(connection, show_id, now)


def read_plan(connection: Connection, show_id: int, now: datetime | None) -> SeatMap:
    """The plan of a show and a letter for each of its seats, both of one moment: by one statement
    where the plan is kept, else by two. Raises NotFound.

    Not for a transaction that has changed the plan and not yet the version: if it were undone, its
    plan would be kept under a version that still holds.
    """
    params = {"show": show_id, "now": now}
    row = LOOK.first(connection, params)
    if row is None:
        raise NotFound("show", show_id)
    plan = kept.find(show_id, row.version)
    if plan is not None and len(plan.places) == row.total_seats:
        letters = _letters(plan, row.taken)
        if letters is not None:
            return SeatMap(plan, letters)
    seats = WHOLE_MAP.all(connection, params)
    if not seats:  # deleted in between
        raise NotFound("show", show_id)
    plan = _plan(show_id, seats)
    # Of version 0 are shows from before there were versions: another show may get its number.
    if plan.version:
        kept.keep(plan)
    return SeatMap(plan, "".join(seat.letter for seat in seats))


def _letters(plan: Plan, taken: str | None) -> str | None:
    """The letter of each seat; None where a seat is taken that the plan does not have."""
    letters = [FREE] * len(plan.seats)
    if taken is not None:
        index = plan.places
        for one in taken.split(","):
            place = index.get(one[1:])
            if place is None:
                return None
            letters[place] = one[0]
    return "".join(letters)


def _plan(show_id: int, seats: Sequence[Any]) -> Plan:
    """The plan of the rows of `WHOLE_MAP`. Texts that many seats share are kept once."""
    show = seats[0]
    return Plan(
        show_id=show_id,
        version=show.version,
        price_cents=show.price_cents,
        prices=show.prices,
        currency=show.currency,
        seats=tuple(
            MapSeat(
                label=seat.label,
                block=seat.block,
                row_label=intern(seat.row_label),
                number=intern(seat.number),
                category=intern(seat.category),
                kind=intern(seat.kind),
                x=x,
                y=y,
                price_cents=seat_price(
                    seat.category, base_cents=show.price_cents, prices=show.prices
                ),
                accessible=seat.accessible,
                aisle_after=seat.aisle_after,
            )
            for seat, (x, y) in zip(seats, places(seats), strict=True)
        ),
        places={str(seat.position): index for index, seat in enumerate(seats)},
    )
