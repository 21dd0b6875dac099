"""Large rooms take a short time, also where there is nothing to find and when they are refused."""

import time

import pytest

from booking_app.booking.seat_choice import Seat
from booking_app.booking.seat_parties import best_party
from booking_app.catalog.seat_plans import PlanError, read_plan

ROWS, SEATS = 200, 25
PROCESSOR_SECONDS = 5  # each takes a tenth of a second


def large_room(kind: str, step: int) -> list[Seat]:
    """A wheelchair place and eight free seats in each `step` rows."""
    return [
        Seat(
            label=f"{row}-{number}",
            block="",
            row_label=str(row),
            free=number <= 8 and row % step == 0,
            category="standard",
            kind="wheelchair" if number == 0 else kind,
            x=2 * number,
            y=row,
        )
        for row in range(ROWS)
        for number in range(SEATS)
    ]


@pytest.mark.parametrize(("kind", "step"), [("standard", 2), ("pair", 1)])
def test_a_party_that_cannot_be_seated_is_refused_soon(kind: str, step: int) -> None:
    room = large_room(kind, step)
    began = time.process_time()
    assert best_party(room, 10, accessible=1) is None
    assert time.process_time() - began < PROCESSOR_SECONDS


def test_a_plan_with_too_many_seats_is_refused_soon() -> None:
    rows = [{"label": f"R{row}", "seats": 5000} for row in range(200)]
    began = time.process_time()
    with pytest.raises(PlanError, match="at most 5000 seats") as error:
        read_plan(rows)
    assert error.value.row == 1
    assert time.process_time() - began < PROCESSOR_SECONDS / 5
