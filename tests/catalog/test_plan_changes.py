"""A changed seat plan reaches the shows to come that nobody has a seat of."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.audit.models import AuditEvent
from booking_app.booking import service
from booking_app.booking.models import Booking
from booking_app.catalog import plan_changes, screen_locks, venues
from booking_app.catalog.blocked_seats import BlockedSeat, set_blocked_seats
from booking_app.catalog.models import HOUSE, OUT_OF_ORDER, Screen, Show, ShowSeat
from booking_app.catalog.plan_changes import Room, SeatChanges
from booking_app.core.database import write_transaction
from booking_app.core.errors import Invalid
from tests.conftest import Caller, rows
from tests.promise import at_once, broken_promises
from tests.wrong import wrong

BEFORE = [{"label": "A", "seats": 3}, {"label": "B", "seats": 3}]
AFTER = [
    {"label": "A", "seats": [{"number": str(n), "kind": "pair"} for n in (1, 2, 3, 4)]},
    {"label": "C", "seats": 2, "category": "sofa"},
]
OTHER = [{"label": "A", "seats": 2}, {"label": "C", "seats": 4}]


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
        room = Room.of_screen(screen_locks.lock_screen(connection, screen))
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
        redrawn=False,
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
    assert replace(show, hall) == SeatChanges([], [], [], [], redrawn=False)
    with pytest.raises(Invalid, match="sofa"):
        replace(show, hall, prices={"sofa": 1})
    assert (rows(Show), rows(ShowSeat)) == before


def test_seats_that_only_stand_elsewhere_are_told_as_that(show: int, hall: int) -> None:
    moved = [BEFORE[0], BEFORE[1] | {"offset": 2}]
    screen = venues.update_screen(screen_id=hall, rows=moved, apply_to_unsold_shows=True)
    (changed,) = screen.shows_changed
    assert changed.seats == SeatChanges([], [], [], [], redrawn=True)
    assert [seat.x for seat in rows(ShowSeat)] == [0, 2, 4, 2, 4, 6]


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


# --- over the API ---------------------------------------------------------------------------


def test_a_plan_goes_to_shows_that_nobody_has_a_seat_of(
    staff: Caller, alice: Caller, hall: int, make_show: Callable[..., int]
) -> None:
    def show(days: int, **terms: Any) -> int:
        ahead = timedelta(days=days)
        place = {"screen": hall, "screen_name": None, "total_seats": None}
        return make_show(starts_in=ahead, **place, **terms)

    sold, held, over, unsold, priced = show(1), show(2), show(-1), show(4), show(5)
    service.book(user_id=alice.id, show_id=sold, seat_numbers=["B1", "A3"])
    service.hold(user_id=alice.id, show_id=held, seat_number="A1")
    gone = service.book(user_id=alice.id, show_id=unsold, seat_number="B1")
    service.cancel(user_id=alice.id, booking_id=gone.id)
    write_transaction(
        lambda connection: connection.execute(
            sa.update(Show).where(Show.id == priced).values(prices={"standard": 1, "box": 2})
        )
    )
    set_blocked_seats(show_id=unsold, seats=[BlockedSeat("B2", HOUSE)])
    body = {"rows": AFTER, "apply_to_unsold_shows": True}
    before = rows(Show), rows(ShowSeat), rows(Screen), rows(AuditEvent)

    looked = staff.patch(f"/api/screens/{hall}/", body | {"dry_run": True}).json
    assert (rows(Show), rows(ShowSeat), rows(Screen), rows(AuditEvent)) == before
    done = staff.patch(f"/api/screens/{hall}/", body).json
    assert looked == done

    (changed,) = done["shows_changed"]
    del changed["date_time"]
    assert changed == {
        "show": unsold,
        "movie_title": "The Third Man",
        "seats_won": 3,
        "won_seat_numbers": ["A4", "C1", "C2"],
        "seats_lost": 3,
        "lost_seat_numbers": ["B1", "B2", "B3"],
        "seats_changed": 3,
        "unblocked_seat_numbers": ["B2"],
    }
    assert [
        (kept["show"], kept["code"], kept["taken_seat_numbers"], kept["seats_taken"])
        for kept in done["shows_kept"]
    ] == [
        (sold, "has_bookings", ["A3", "B1"], 2),
        (held, "has_bookings", ["A1"], 1),
        (priced, "price_without_seats", [], 0),
    ]
    assert "box" in done["shows_kept"][2]["detail"]
    seats = dict(rows(Show, Show.id, Show.total_seats))
    assert seats == {sold: 6, held: 6, over: 6, unsold: 6, priced: 6}
    labels = rows(ShowSeat, ShowSeat.show_id, ShowSeat.label)
    assert {show for show, label in labels if label.startswith("C")} == {unsold}
    events = {event.object_id: event for event in rows(AuditEvent) if event.object_type == "show"}
    assert events[unsold].after["seat_plan"] == {
        "won": 3,
        "lost": 3,
        "changed": 3,
        "unblocked": ["B2"],
    }
    assert broken_promises() == []
    # Again, with the plan as it is: what has it by now is not named.
    again = staff.patch(f"/api/screens/{hall}/", {"apply_to_unsold_shows": True}).json
    assert again["shows_changed"] == []
    assert [kept["show"] for kept in again["shows_kept"]] == [sold, held, priced]


def test_shows_of_the_short_form_have_no_plan_to_take(staff: Caller, show_id: int) -> None:
    (screen,) = (row.id for row in rows(Screen))
    answer = staff.patch(f"/api/screens/{screen}/", {"apply_to_unsold_shows": True})
    assert answer.status_code == 422
    assert list(wrong(answer)) == ["/apply_to_unsold_shows"]
    plan = {"rows": BEFORE, "apply_to_unsold_shows": True}
    (changed,) = staff.patch(f"/api/screens/{screen}/", plan).json["shows_changed"]
    assert (changed["show"], changed["seats_lost"], changed["seats_won"]) == (show_id, 10, 6)


def test_seats_that_break_with_the_new_plan(
    staff: Caller, alice: Caller, hall: int, make_show: Callable[..., int]
) -> None:
    """The shows that keep their seats have them blocked as always; the others by their plan."""
    place = {"screen": hall, "screen_name": None, "total_seats": None}
    sold, unsold = (make_show(starts_in=timedelta(days=n), **place) for n in (1, 2))
    service.book(user_id=alice.id, show_id=sold, seat_number="A1")
    body = {"rows": AFTER[:1], "out_of_order": ["A1", "A2"], "apply_to_unsold_shows": True}
    done = staff.patch(f"/api/screens/{hall}/", body).json
    assert [still["show"] for still in done["still_sold"]] == [sold]
    found = rows(ShowSeat, ShowSeat.show_id, ShowSeat.label, ShowSeat.blocked)
    assert [(show, label) for show, label, kind in found if kind] == [
        (sold, "A2"),
        (unsold, "A1"),
        (unsold, "A2"),
    ]


def test_so_many_seats_at_once_and_no_more(
    staff: Caller, hall: int, make_show: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"screen": hall, "screen_name": None, "total_seats": None}
    first, second = (make_show(starts_in=timedelta(days=n), **place) for n in (1, 2))
    monkeypatch.setattr(plan_changes, "SEATS_AT_ONCE", 11)
    body = {"rows": AFTER, "apply_to_unsold_shows": True}
    for changed, kept in ([first], [second]), ([second], []), ([], []):
        done = staff.patch(f"/api/screens/{hall}/", body).json
        assert [one["show"] for one in done["shows_changed"]] == changed
        assert [one["show"] for one in done["shows_kept"]] == kept
        assert all(one["code"] == "too_many_seats_at_once" for one in done["shows_kept"])


# --- while seats are sold -------------------------------------------------------------------


def sell_while_the_plan_changes(
    app: Flask, hall: int, shows: list[int], buyers: list[int]
) -> tuple[int, list[BaseException]]:
    """How many bookings were made, and what stopped others, beside seats that are not there."""
    unexpected: list[BaseException] = []
    made: list[int] = []

    def buy(buyer: int) -> None:
        for show in shows:
            try:
                label = f"A{1 + buyers.index(buyer)}"
                if buyer % 2:
                    booking = service.book(user_id=buyer, show_id=show, seat_number=label)
                else:
                    booking = service.hold(user_id=buyer, show_id=show, seat_number=label)
                    service.confirm(user_id=buyer, booking_id=booking.id)
                made.append(booking.id)
            except Invalid:  # the plan has no such seat just then
                pass
            except BaseException as error:
                unexpected.append(error)

    def change() -> None:
        for rows_ in (OTHER, BEFORE) * 4:
            venues.update_screen(screen_id=hall, rows=rows_, apply_to_unsold_shows=True)

    works = [change, *(partial(buy, buyer) for buyer in buyers)]
    assert set(at_once(app, *works)) == {"done"}
    return len(made), unexpected


@pytest.mark.promise
@pytest.mark.parametrize("guarded", [True, False])
def test_no_booking_is_lost_to_a_plan_that_is_applied_meanwhile(
    app: Flask,
    hall: int,
    make_caller: Callable[..., Caller],
    make_show: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    guarded: bool,
) -> None:
    """And, the negative control, without the look at who has seats they are."""
    if not guarded:
        monkeypatch.setattr(plan_changes, "sold_or_held", lambda *_: {})
    place = {"screen": hall, "screen_name": None, "total_seats": None}
    shows = [make_show(starts_in=timedelta(days=n), **place) for n in range(1, 7)]
    buyers = [make_caller(f"buyer{n}").id for n in range(4)]
    made, unexpected = sell_while_the_plan_changes(app, hall, shows, buyers)
    assert made == len([one for one in rows(Booking) if one.status == "booked"])
    if guarded:
        assert unexpected == []
        assert broken_promises() == []
    else:
        venues.update_screen(screen_id=hall, rows=AFTER[1:], apply_to_unsold_shows=True)
        assert broken_promises() != []
