"""The map of a show's seats: which there are, at what price, and the status of each. Pure
functions; `kept_plans` reads it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, TypeVar, cast

from booking_app.catalog.models import AVAILABLE, BLOCKED, BOOKED, HELD
from booking_app.catalog.seat_plans import Seat

Made = TypeVar("Made")

# The status of a seat, as a letter.
FREE = "a"
STATUSES = {FREE: AVAILABLE, "h": HELD, "s": BOOKED, "x": BLOCKED}


@dataclass(frozen=True, slots=True)
class MapSeat(Seat):
    """A seat of a show, apart from its status. `price_cents` is what it costs now."""

    price_cents: int
    accessible: bool
    aisle_after: bool


@dataclass(frozen=True, eq=False)
class Plan:
    """What the map of a show is drawn from, other than who owns a seat: its seats in the order of
    the room, at their prices in minor units of `currency`. It holds for one `version` of the show;
    at 0, which shows from before there were versions have, for the moment that it was read.

    `prices` are those of the categories that cost otherwise than `price_cents`. `places` are the
    seats' indexes by their `position`, as text.
    """

    show_id: int
    version: int
    price_cents: int
    prices: Mapping[str, int]
    currency: str
    seats: tuple[MapSeat, ...]
    places: Mapping[str, int]
    _made: dict[Callable[["Plan"], Any], Any] = field(default_factory=dict)

    def once(self, make: Callable[["Plan"], Made]) -> Made:
        """What that function makes of the plan: made once, and kept as long as the plan."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast(Made, self._made[make])


class SeatMap(NamedTuple):
    """A show's plan, and the status of each seat at one moment: letters of `STATUSES`."""

    plan: Plan
    letters: str

    def edition(self, release: str) -> str | None:
        """A name of all that the map says, as that release draws it; the same on every server. None
        where the version does not tell."""
        plan = self.plan
        if not plan.version:
            return None
        text = f"{release} {plan.show_id} {plan.version} {self.letters}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """The map as `seat_schemas.SeatMap` takes it."""
        statuses = [STATUSES[letter] for letter in self.letters]
        return drawn(self.plan, statuses, self.letters.count(FREE))


def drawn(plan: Plan, statuses: list[Any], available: Any) -> dict[str, Any]:
    """The map of a show: its rows from the front, with the status and price of each seat."""
    rows = []
    placed = zip(plan.seats, statuses, strict=True)
    for (block, label), row in groupby(placed, key=lambda one: (one[0].block, one[0].row_label)):
        in_row = list(row)
        rows.append(
            {
                "label": label,
                "block": block,
                "y": in_row[0][0].y,
                "seats": [
                    {
                        "seat_number": seat.label,
                        "number": seat.number,
                        "x": seat.x,
                        "status": status,
                        "category": seat.category,
                        "kind": seat.kind,
                        "price_cents": seat.price_cents,
                        "currency": plan.currency,
                        "accessible": seat.accessible,
                        "aisle_after": seat.aisle_after,
                    }
                    for seat, status in in_row
                ],
            }
        )
    return {
        "show": plan.show_id,
        "total_seats": len(plan.seats),
        "available_seats": available,
        "currency": plan.currency,
        "rows": rows,
    }


def seat_price(category: str, *, base_cents: int, prices: Mapping[str, int]) -> int:
    """The price of a seat of that category, in minor units: its own, or the base price."""
    return prices.get(category, base_cents)
