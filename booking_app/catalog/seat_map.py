"""The map of a show's seats: which there are, which can be booked, and at what price."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from booking_app.catalog.models import (
    AVAILABLE,
    BLOCKED,
    BOOKED,
    HELD,
    PLANNED_SEAT,
    Show,
    ShowSeat,
    is_free,
)
from booking_app.catalog.seat_plans import places
from booking_app.core.database import NOW, Row, reading
from booking_app.core.errors import NotFound

SHOW = sa.select(Show.id, Show.price_cents, Show.prices, Show.currency).where(
    Show.id == sa.bindparam("show")
)
# In the order of the room; with the parameter `now`.
SEATS = (
    sa.select(
        *PLANNED_SEAT,
        ShowSeat.accessible,
        ShowSeat.aisle_after,
        is_free(NOW).label("free"),
        ShowSeat.held_until.is_not(None).label("held"),
        ShowSeat.blocked.is_not(None).label("blocked"),
    )
    .where(ShowSeat.show_id == sa.bindparam("show"))
    .order_by(ShowSeat.position)
)


def get_seat_map(*, show_id: int, now: datetime | None = None) -> dict[str, Any]:
    """The seats of a show as `seat_map` gives them; raises NotFound."""
    with reading() as connection:
        show = connection.execute(SHOW, {"show": show_id}).first()
        if show is None:
            raise NotFound("show", show_id)
        seats = connection.execute(SEATS, {"show": show_id, "now": now}).all()
    return seat_map(show, seats)


def seat_map(show: Row, seats: Sequence[Row]) -> dict[str, Any]:
    """The map of a show: its rows from the front with the status and price of each seat.

    `show` has `id`, `price_cents`, `prices` and `currency`; `seats` are in the order of the room,
    with `free`, `held` (whether the owner only holds it) and `blocked` beside the columns of
    `ShowSeat`.
    """
    rows = []
    statuses = [_status(seat) for seat in seats]
    placed = zip(seats, places(seats), statuses, strict=True)
    for (block, label), row in groupby(placed, key=lambda one: (one[0].block, one[0].row_label)):
        in_row = list(row)
        rows.append(
            {
                "label": label,
                "block": block,
                "y": in_row[0][1][1],
                "seats": [
                    {
                        "seat_number": seat.label,
                        "number": seat.number,
                        "x": x,
                        "status": status,
                        "category": seat.category,
                        "kind": seat.kind,
                        "price_cents": seat_price(
                            seat.category, base_cents=show.price_cents, prices=show.prices
                        ),
                        "currency": show.currency,
                        "accessible": seat.accessible,
                        "aisle_after": seat.aisle_after,
                    }
                    for seat, (x, _), status in in_row
                ],
            }
        )
    return {
        "show": show.id,
        "total_seats": len(seats),
        "available_seats": statuses.count(AVAILABLE),
        "currency": show.currency,
        "rows": rows,
    }


def _status(seat: Row) -> str:
    if not seat.free:
        return HELD if seat.held else BOOKED
    return BLOCKED if seat.blocked else AVAILABLE


def seat_price(category: str, *, base_cents: int, prices: Mapping[str, int]) -> int:
    """The price of a seat of that category, in minor units: its own, or the base price."""
    return prices.get(category, base_cents)
