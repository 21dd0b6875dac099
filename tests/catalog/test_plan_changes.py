"""A changed seat plan reaches the shows to come that nobody has a seat of."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from booking_app.booking import service
from booking_app.catalog import plan_changes, venues
from booking_app.catalog.blocked_seats import BlockedSeat, set_blocked_seats
from booking_app.catalog.models import HOUSE, OUT_OF_ORDER, Show, ShowSeat
from booking_app.catalog.plan_changes import Room, SeatChanges
from booking_app.core.database import write_transaction
from booking_app.core.errors import Invalid
from tests.conftest import rows

BEFORE = [{"label": "A", "seats": 3}, {"label": "B", "seats": 3}]
AFTER = [
    {"label": "A", "seats": [{"number": str(n), "kind": "pair"} for n in (1, 2, 3, 4)]},
    {"label": "C", "seats": 2, "category": "sofa"},
]


@pytest.fixture
def hall(app: Flask) -> int:
    return venues.create_screen(name="Hall", rows=BEFORE).id


@pytest.fixture
def show(make_show: Callable[..., int], hall: int) -> int:
    return make_show(screen=hall, screen_name=None, total_seats=None)


def blocked() -> dict[str, Any]:
    found = rows(ShowSeat, ShowSeat.label, ShowSeat.blocked, ShowSeat.blocked_reason)
    return {label: (kind, reason) for label, kind, reason in found if kind}


def replace(show: int, screen: int, **options: Any) -> SeatChanges:
    def work(connection: Any) -> SeatChanges:
        room = Room.of_screen(venues.lock_screen(connection, screen))
        return plan_changes.replace_seats(connection, show, room, **options)

    return write_transaction(work)


def test_a_show_takes_the_seats_of_another_screen(show: int) -> None:
    before = rows(Show, Show.version)
    other = venues.create_screen(name="Other", rows=AFTER, out_of_order=["C1"]).id
    seats = [BlockedSeat("A1", HOUSE, "press"), BlockedSeat("B2", HOUSE)]
    set_blocked_seats(show_id=show, seats=[*seats, BlockedSeat("A3", OUT_OF_ORDER)])
    assert replace(show, other) == SeatChanges(
        won=["A4", "C1", "C2"],
        lost=["B1", "B2", "B3"],
        changed=["A1", "A2", "A3"],
        unblocked=["B2"],
    )
    found = rows(ShowSeat, ShowSeat.label, ShowSeat.kind, ShowSeat.category)
    assert [tuple(seat) for seat in found] == [
        *((f"A{n}", "pair", "standard") for n in (1, 2, 3, 4)),
        *((f"C{n}", "standard", "sofa") for n in (1, 2)),
    ]
    # The other seat of a pair is kept too; what is broken in one room is not in another.
    assert blocked() == {
        "A1": (HOUSE, "press"),
        "A2": (HOUSE, "press"),
        "C1": (OUT_OF_ORDER, None),
    }
    assert rows(Show, Show.total_seats)[0] == (6,)
    assert rows(Show, Show.version) != before


def test_in_its_own_room_a_show_keeps_what_is_out_of_order_in_it_alone(
    show: int, hall: int
) -> None:
    broken = [BlockedSeat("A1", OUT_OF_ORDER, "wet"), BlockedSeat("B1", OUT_OF_ORDER)]
    set_blocked_seats(show_id=show, seats=broken)
    venues.update_screen(screen_id=hall, rows=[{"label": "A", "seats": 3}])
    changes = replace(show, hall, out_of_order_before=["B1"])
    assert (changes.won, changes.lost, changes.changed) == ([], ["B1", "B2", "B3"], [])
    assert blocked() == {"A1": (OUT_OF_ORDER, "wet")}


def test_nothing_is_written_for_the_same_plan_nor_for_a_price_without_seats(
    show: int, hall: int
) -> None:
    before = rows(Show), rows(ShowSeat)
    assert replace(show, hall) == SeatChanges([], [], [], [])
    with pytest.raises(Invalid, match="sofa"):
        replace(show, hall, prices={"sofa": 1})
    assert (rows(Show), rows(ShowSeat)) == before


def test_sold_and_held_seats_in_the_order_of_the_room(
    alice: Any, show: int, make_show: Callable[..., int]
) -> None:
    other = make_show()
    service.book(user_id=alice.id, show_id=show, seat_number="B1")
    held = service.hold(user_id=alice.id, show_id=show, seat_numbers=["A2", "A3"])
    find = plan_changes.sold_or_held
    ids = [show, other]
    assert write_transaction(lambda connection: find(connection, ids, None)) == {
        show: ["A2", "A3", "B1"]
    }
    at = held.expires_at
    assert write_transaction(lambda connection: find(connection, ids, at)) == {show: ["B1"]}
