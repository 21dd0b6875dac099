"""What a show is, and what is derived anew where it moves."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from booking_app.booking import service as booking
from booking_app.catalog import blocked_seats, show_rules, shows, venues
from booking_app.catalog.blocked_seats import BlockedSeat
from booking_app.catalog.models import Screen
from booking_app.reports import service as reports
from tests.conftest import NOON, Caller, rows
from tests.wrong import wrong

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LARGE = [
    {"label": row, "seats": 12, "category": "vip" if row == "H" else "standard"}
    for row in "ABCDEFGH"
]
SMALL = [{"label": row, "seats": 9, "accessible": [1] if row == "A" else []} for row in "AB"]
ENDS = "2030-06-03T13:44:00Z"


@pytest.fixture
def halls(app: Any) -> dict[str, int]:
    """By name: Gross of 96 seats, Klein of 18, of which A5 is out of order."""
    gross = venues.create_screen(name="Gross", rows=LARGE)
    klein = venues.create_screen(name="Klein", rows=SMALL, out_of_order=["A5"])
    return {"Gross": gross.id, "Klein": klein.id}


@pytest.fixture
def show(halls: dict[str, int], make_movie: Callable[..., int]) -> int:
    """In Gross, two days after NOON."""
    made = shows.create_show(
        movie_id=make_movie(),
        screen=halls["Gross"],
        date_time=NOON + 2 * DAY,
        price=Decimal(9),
        prices={"vip": Decimal(15)},
        now=NOON,
    )
    return int(made["id"])


@pytest.mark.parametrize("by_name", [False, True])
def test_a_moved_show_has_the_seats_of_its_new_screen(
    show: int, halls: dict[str, int], staff: Caller, alice: Caller, by_name: bool
) -> None:
    path = f"/api/shows/{show}/"
    where = {"screen_name": "klein"} if by_name else {"screen": halls["Klein"]}
    refused = staff.patch(path, where)
    assert refused.status_code == 422
    assert wrong(refused) == {"/prices": ["No seat is 'vip'; the categories are standard."]}
    assert staff.get(path).json["total_seats"] == 96
    moved = staff.patch(path, where | {"prices": {}}).json
    told = {name: moved[name] for name in ("screen", "screen_name", "total_seats", "prices")}
    assert told == {
        "screen": halls["Klein"],
        "screen_name": "Klein",
        "total_seats": 18,
        "prices": {},
    }
    assert moved["available_seats"] == 17
    rows_ = staff.get(f"{path}seats/").json["rows"]
    seats = {seat["seat_number"]: seat for row in rows_ for seat in row["seats"]}
    assert len(seats) == 18
    assert (seats["A1"]["kind"], seats["A5"]["status"]) == ("wheelchair", "blocked")
    gone = alice.post(f"{path}book/", {"seat_number": "H12"})
    assert gone.status_code == 422
    alice.post(f"{path}book/", {"seat_number": "B9"})
    day = (NOON + 2 * DAY).date()
    (sold,) = reports.sales(by="screen", since=day, until=day, now=NOON)
    assert (sold["name"], sold["seats"], sold["sold"]) == ("Klein", 18, 1)
    back = staff.patch(path, {"screen": halls["Gross"]})
    assert (back.status_code, back.json["code"]) == (409, "has_bookings")


def test_a_held_seat_keeps_a_show_where_it_is(
    show: int, halls: dict[str, int], alice: Caller
) -> None:
    booking.hold(user_id=alice.id, show_id=show, seat_number="A1", now=NOON)
    for at, moves in ((NOON + HOUR / 12, False), (NOON + HOUR, True)):
        change = {"show_id": show, "screen": halls["Klein"], "prices": {}, "now": at}
        if moves:
            assert shows.update_show(**change)["total_seats"] == 18
        else:
            with pytest.raises(show_rules.HasBookings):
                shows.update_show(**change)


def test_between_halls_with_and_without_a_plan(
    show: int, halls: dict[str, int], make_show: Callable[..., int], staff: Caller
) -> None:
    numbered = make_show(screen_name="Bar", starts_in=3 * DAY, total_seats=30)
    bar = staff.get(f"/api/shows/{numbered}/").json["screen"]
    path = f"/api/shows/{show}/"
    needed = staff.patch(path, {"screen": bar, "prices": {}})
    assert "give the number of seats" in wrong(needed)["/total_seats"][0]
    moved = staff.patch(path, {"screen": bar, "prices": {}, "total_seats": 7}).json
    assert (moved["screen_name"], moved["total_seats"]) == ("Bar", 7)
    too_much = staff.patch(path, {"screen": halls["Klein"], "total_seats": 9})
    assert "/total_seats" in wrong(too_much)
    assert staff.patch(path, {"screen": halls["Klein"]}).json["total_seats"] == 18
    elsewhere = make_show(screen_name="Foyer", starts_in=4 * DAY, total_seats=30)
    kept = staff.patch(f"/api/shows/{elsewhere}/", {"screen_name": "Bar"}).json
    assert (kept["screen_name"], kept["total_seats"]) == ("Bar", 30)


def test_a_name_in_an_edit_makes_no_screen(show: int, halls: dict[str, int], staff: Caller) -> None:
    path = f"/api/shows/{show}/"
    for name, told in (
        ("Klien", "This cinema has no screen 'Klien'; the nearest: Klein."),
        ("Xyz", "This cinema has no screen 'Xyz'; there are Gross, Klein."),
    ):
        refused = staff.patch(path, {"screen_name": name})
        assert wrong(refused)["/screen_name"] == [told]
    unknown = staff.patch(path, {"screen": 999})
    assert wrong(unknown) == {"/screen": ["There is no screen 999."]}
    both = staff.patch(path, {"screen": halls["Klein"], "screen_name": "Klein"})
    assert both.status_code == 422
    assert len(rows(Screen)) == 2


def test_what_the_house_keeps_stays_blocked_where_the_seat_exists(
    show: int, halls: dict[str, int]
) -> None:
    kept = [BlockedSeat("A1", "house", "Press"), BlockedSeat("H1", "house", "Press")]
    blocked_seats.set_blocked_seats(show_id=show, seats=kept, now=NOON)
    shows.update_show(show_id=show, screen=halls["Klein"], prices={}, now=NOON)
    after = blocked_seats.get_blocked_seats(show_id=show)
    assert after == [BlockedSeat("A1", "house", "Press"), BlockedSeat("A5", "out_of_order", None)]


def test_how_a_show_is_presented(show: int, staff: Caller) -> None:
    path = f"/api/shows/{show}/"
    facts = {
        "format": "IMAX",
        "language": "English",
        "subtitles": "Deutsch",
        "note": "With an introduction by the director.",
    }
    changed = staff.patch(path, facts).json
    assert {name: changed[name] for name in facts} == facts
    nothing = dict.fromkeys(facts)
    assert {name: staff.patch(path, nothing).json[name] for name in facts} == nothing
    long = staff.patch(path, {"format": "x" * 21})
    assert list(wrong(long)) == ["/format"]


def test_the_end_of_a_show_counts_what_is_before_and_within_the_film(
    show: int, alice: Caller, staff: Caller
) -> None:
    """Also where seats are sold: it does not move, it lasts longer."""
    booking.book(user_id=alice.id, show_id=show, seat_number="A1", now=NOON)
    assert staff.get(f"/api/shows/{show}/").json["ends_at"] == ENDS
    longer = shows.update_show(show_id=show, preshow_minutes=20, intermission_minutes=15, now=NOON)
    assert longer["ends_at"] == datetime.fromisoformat(ENDS) + timedelta(minutes=35)
    assert shows.update_show(show_id=show, preshow_minutes=0, now=NOON)["ends_at"] == (
        datetime.fromisoformat(ENDS) + timedelta(minutes=15)
    )


def test_a_show_that_would_last_into_the_next_is_refused(
    show: int, halls: dict[str, int], make_movie: Callable[..., int]
) -> None:
    at_its_end = datetime.fromisoformat(ENDS) + timedelta(minutes=5)
    later = {"movie_id": make_movie("M"), "screen": halls["Gross"], "date_time": at_its_end}
    shows.create_show(**later, now=NOON)
    shows.update_show(show_id=show, preshow_minutes=5, now=NOON)
    with pytest.raises(show_rules.ShowOverlap) as clash:
        shows.update_show(show_id=show, preshow_minutes=6, now=NOON)
    assert clash.value.facts["movie_title"] == "M"
