"""Bookings are found by what people know of them: reference, show, whether it is upcoming."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from booking_app.booking import queries, service
from booking_app.booking.models import Booking
from booking_app.catalog import shows
from booking_app.core.database import begin_writing, db
from tests.conftest import NOON, Caller, present

HOUR = timedelta(hours=1)


def call_it(booking_id: int, reference: str) -> None:
    """Give a booking this reference."""
    change = sa.update(Booking).where(Booking.id == booking_id).values(reference=reference)
    with db.engine.connect() as connection, begin_writing(connection):
        connection.execute(change)


def looks_like(reference: str) -> str:
    """The reference as somebody types it who takes 0 for O and 1 for I."""
    typed = reference.lower().replace("0", "o").replace("1", "i")
    return f" {typed[:4]}-{typed[4:7]} {typed[7:]} "


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200
    return [booking["id"] for booking in answer.json]


@pytest.fixture
def four(alice: Caller, bob: Caller, make_show: Callable[..., int]) -> list[dict[str, Any]]:
    """Two of alice's, then two of bob's; on two shows. Their references have what is misread."""
    on = [make_show(), make_show(starts_in=timedelta(days=5))]
    made = [
        caller.post(f"/api/shows/{show}/book/", {"seat_number": seat}).json["id"]
        for seat, caller in ((1, alice), (2, bob))
        for show in on
    ]
    references = ("0111010A0B", "1010A0B0C0", "0101010101", "ZZZZ0ZZZZ1")
    for one, reference in zip(made, references, strict=True):
        call_it(one, reference)
    return [
        caller.get(f"/api/bookings/{one}/").json
        for one, caller in zip(made, (alice, alice, bob, bob), strict=True)
    ]


def test_own_bookings_are_found_by_their_reference_however_it_is_typed(
    alice: Caller, four: list[dict[str, Any]]
) -> None:
    mine, other, of_bob, _ = four
    for reference in (mine["reference"], looks_like(mine["reference"])):
        assert ids(alice.get(f"/api/my-bookings/?reference={quote(reference)}")) == [mine["id"]]
    assert ids(alice.get(f"/api/my-bookings/?reference={of_bob['reference']}")) == []
    part = other["reference"][:6]
    assert ids(alice.get(f"/api/my-bookings/?reference={part}")) == []  # all of it, or none
    assert ids(alice.get("/api/my-bookings/?reference=---")) == []


def test_staff_find_them_by_a_part_too(staff: Caller, four: list[dict[str, Any]]) -> None:
    for one in four:
        typed = looks_like(one["reference"])
        assert ids(staff.get(f"/api/bookings/?reference={quote(typed)}")) == [one["id"]]
        assert ids(staff.get(f"/api/bookings/?search={quote(typed)}")) == [one["id"]]
    assert ids(staff.get("/api/bookings/?search=zzzz-o")) == [four[3]["id"]]
    # Nothing but signs is a part of none, not of each.
    assert ids(staff.get("/api/bookings/?search=-")) == []
    # What is searched for otherwise is compared as it was typed.
    assert ids(staff.get("/api/bookings/?search=bob")) == [four[3]["id"], four[2]["id"]]
    assert ids(staff.get("/api/bookings/?search=third man")) == [one["id"] for one in four[::-1]]


def test_own_bookings_are_narrowed_by_show_and_all_filters_together(
    alice: Caller, four: list[dict[str, Any]]
) -> None:
    first, second = four[0], four[1]
    assert ids(alice.get("/api/my-bookings/")) == [second["id"], first["id"]]
    assert ids(alice.get(f"/api/my-bookings/?show={first['show']}")) == [first["id"]]
    together = f"show={first['show']}&upcoming=true&status=booked"
    for reference, found in ((first["reference"], [first["id"]]), (second["reference"], [])):
        path = f"/api/my-bookings/?{together}&reference={reference}"
        assert ids(alice.get(path)) == found


@pytest.mark.parametrize("at", [-1, 0, 1, 3])
def test_upcoming_is_what_it_is_in_the_lists_of_shows(
    alice: Caller, make_show: Callable[..., int], at: int
) -> None:
    """Hours after the start of the first; the second begins later, the third is sold for longer."""
    made = [
        make_show(now=NOON, starts_in=timedelta(0)),
        make_show(now=NOON, starts_in=2 * HOUR),
        make_show(now=NOON, starts_in=timedelta(0)),
    ]
    shows.update_show(show_id=made[2], sales_until=NOON + HOUR, now=NOON - HOUR)
    for show in made:
        service.book(user_id=alice.id, show_id=show, seat_number="1", now=NOON - HOUR)
    still = {-1: made, 0: made[1:], 1: made[1:2], 3: []}[at]

    def found(upcoming: bool | None) -> list[int]:
        part = queries.list_bookings(
            user_id=alice.id, upcoming=upcoming, page=1, page_size=9, now=NOON + at * HOUR
        )
        return sorted(booking.show_id for booking in part.items)

    assert found(True) == sorted(still)
    assert found(False) == sorted(set(made) - set(still))
    assert found(None) == sorted(made)


def test_upcoming_in_a_query(alice: Caller, staff: Caller, make_show: Callable[..., int]) -> None:
    coming, begun = make_show(), make_show(starts_in=-HOUR)
    one = alice.post(f"/api/shows/{coming}/book/", {"seat_number": 1}).json["id"]
    earlier = present() - 2 * HOUR
    other = service.book(user_id=alice.id, show_id=begun, seat_number="1", now=earlier).id
    for path in ("/api/my-bookings/", "/api/bookings/"):
        get = alice.get if path == "/api/my-bookings/" else staff.get
        assert ids(get(f"{path}?upcoming=true")) == [one]
        assert ids(get(f"{path}?upcoming=false")) == [other]
