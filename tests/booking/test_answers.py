"""What a booking's answer says: of its show, of each seat, until when it can be cancelled."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.booking import queries, service
from booking_app.booking.models import Booking
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.queries import BookingDetails
from booking_app.booking.schemas import Booking as BookingSchema
from booking_app.catalog import movies, shows, venues
from booking_app.core.database import begin_writing, db
from tests.conftest import NOON, Caller, present
from tests.promise import broken_promises, somebody_waits
from tests.serving import wait_until

OF_SHOW = (
    "movie_title",
    "date_time",
    "local_date_time",
    "ends_at",
    "screen_name",
    "cinema_name",
    "timezone",
)
SEATS = ("1", "2")
PLAN = [{"label": "A", "seats": 8}]


@pytest.fixture
def berlin(app: Flask) -> int:
    """The id of a screen in Berlin."""
    cinema = venues.create_cinema(name="Kino am Ufer", timezone="Europe/Berlin")["id"]
    return int(venues.create_screen(name="Saal 1", cinema=cinema, rows=PLAN).id)


@pytest.fixture
def show(berlin: int, make_movie: Callable[..., int]) -> int:
    """In Berlin, at least a week ahead."""
    at = present().replace(microsecond=0) + timedelta(days=7)
    price = Decimal(8)
    made = shows.create_show(movie_id=make_movie(), screen=berlin, date_time=at, price=price)
    return int(made["id"])


def said(answer: Any) -> dict[str, Any]:
    """What an answer says of the seats and of what they cost."""
    names = ("status", "seat_number", "seat_numbers", "cancelled_seat_numbers", "total")
    names += ("original_total",)
    seats = {seat["seat_number"]: seat["cancelled"] for seat in answer["seats"]}
    return {name: answer[name] for name in names} | {"seats": seats}


def gone(status: str) -> dict[str, Any]:
    """What it says of two seats at 9.50 that the booking has no longer."""
    return {
        "status": status,
        "seat_number": None,
        "seat_numbers": [],
        "cancelled_seat_numbers": list(SEATS),
        "seats": dict.fromkeys(SEATS, True),
        "total": "0.00",
        "original_total": "19.00",
    }


# --- its show -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date_time", "local"),
    [
        ("2030-01-31T19:00:00Z", "2030-01-31T20:00:00+01:00"),
        ("2030-07-31T22:30:00Z", "2030-08-01T00:30:00+02:00"),
        ("2030-10-27T00:30:00Z", "2030-10-27T02:30:00+02:00"),  # shown twice that night
        ("2030-10-27T01:30:00Z", "2030-10-27T02:30:00+01:00"),
    ],
)
def test_a_show_says_where_it_is_and_its_local_time(
    staff: Caller, berlin: int, make_movie: Callable[..., int], date_time: str, local: str
) -> None:
    movie = make_movie()
    body = {"screen": berlin, "date_time": date_time}
    made = staff.post(f"/api/movies/{movie}/shows/", body).json
    path = f"/api/shows/{made['id']}/"
    told = [
        made,
        staff.get(path).json,
        staff.patch(path, {"note": "x"}).json,
        *staff.get("/api/shows/").json,
        *staff.get(f"/api/movies/{movie}/shows/").json,
    ]
    assert len(told) == 5
    for one in told:
        assert (one["date_time"], one["local_date_time"]) == (date_time, local)
        assert (one["cinema_name"], one["timezone"]) == ("Kino am Ufer", "Europe/Berlin")


def test_in_utc_a_local_time_is_written_as_all_others(
    staff: Caller, make_show: Callable[..., int]
) -> None:
    show = staff.get(f"/api/shows/{make_show()}/").json
    assert show["timezone"] == "UTC"
    assert show["local_date_time"] == show["date_time"]


def test_every_answer_with_a_booking_says_which_show_it_is(
    alice: Caller, staff: Caller, show: int
) -> None:
    told = staff.get(f"/api/shows/{show}/").json
    assert told["cinema_name"] == "Kino am Ufer"
    booked = alice.post(f"/api/shows/{show}/book/", {"seat_numbers": ["A1", "A2"]})
    held = alice.post(f"/api/shows/{show}/hold/", {"seat_number": "A4"})
    of_staff = staff.post(f"/api/shows/{show}/book/", {"seat_number": "A6", "username": "alice"})
    answers = [
        booked,
        held,
        of_staff,
        alice.post(f"/api/bookings/{held.json['id']}/extend/"),
        alice.post(f"/api/bookings/{held.json['id']}/confirm/"),
        alice.post(f"/api/bookings/{booked.json['id']}/cancel/", {"seat_numbers": ["A1"]}),
        alice.post(f"/api/bookings/{booked.json['id']}/cancel/"),
        alice.get(f"/api/bookings/{booked.json['id']}/"),
        staff.get(f"/api/bookings/{booked.json['id']}/"),
    ]
    listed = [
        *alice.get("/api/my-bookings/").json,
        *staff.get("/api/bookings/").json,
        *staff.get("/api/bookings/?search=third").json,
    ]
    assert len(listed) == 9
    for one in [*(answer.json for answer in answers), *listed]:
        assert {name: one[name] for name in OF_SHOW} == {name: told[name] for name in OF_SHOW}


def test_names_are_those_that_stand_now(alice: Caller, berlin: int, show: int) -> None:
    booked = alice.post(f"/api/shows/{show}/book/", {"seat_number": "A1"}).json
    film = alice.get(f"/api/shows/{show}/").json["movie"]
    movies.update_movie(movie_id=film, title="Odd Man Out")
    venues.update_screen(screen_id=berlin, name="Saal 2")
    for now in (
        alice.get(f"/api/bookings/{booked['id']}/").json,
        *alice.get("/api/my-bookings/").json,
        alice.post(f"/api/bookings/{booked['id']}/cancel/").json,
    ):
        assert (now["movie_title"], now["screen_name"]) == ("Odd Man Out", "Saal 2")


def test_an_answer_that_is_replayed_keeps_what_it_was(
    alice: Caller, berlin: int, show: int
) -> None:
    key = {"Idempotency-Key": "k1"}
    path, body = f"/api/shows/{show}/book/", {"seat_number": "A1"}
    first = alice.post(path, body, headers=key)
    venues.update_screen(screen_id=berlin, name="Saal 2")
    alice.post(f"/api/bookings/{first.json['id']}/cancel/")
    again = alice.post(path, body, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.data == first.data
    assert (again.json["status"], again.json["screen_name"]) == ("booked", "Saal 1")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("take", [service.book, service.hold])
def test_who_waited_while_the_show_moved_is_told_the_new_screen(
    app: Flask, alice: Caller, berlin: int, show: int, take: Any
) -> None:
    """Also one that did not exist when they began to wait."""

    def buy() -> BookingDetails:
        with app.app_context():
            booking: BookingDetails = take(user_id=alice.id, show_id=show, seat_number="A1")
            return booking

    cinema = venues.get_screen(screen_id=berlin).cinema_id
    with ThreadPoolExecutor(1) as pool:
        with db.engine.connect() as connection, begin_writing(connection):
            new = venues.create_screen.within(connection, name="Saal 2", cinema=cinema, rows=PLAN)
            shows.update_show.within(connection, show_id=show, screen=new.id)
            bought = pool.submit(buy)
            wait_until(somebody_waits)
        booking = bought.result()
    assert (booking.screen_name, booking.cinema_name) == ("Saal 2", "Kino am Ufer")
    assert (booking.labels, booking.timezone) == (["A1"], "Europe/Berlin")
    assert broken_promises() == []


# --- until when it can be cancelled ---------------------------------------------------------

MINUTE = timedelta(minutes=1)
CUTOFF = BookingPolicy(cancel_cutoff_minutes=60)


@pytest.fixture
def tonight(make_show: Callable[..., int]) -> int:
    """Three hours after NOON."""
    return make_show(now=NOON, starts_in=180 * MINUTE)


@pytest.mark.parametrize(("minutes", "can"), [(0, True), (119, True), (120, False), (500, False)])
def test_what_is_booked_can_be_cancelled_until_the_cut_off(
    alice: Caller, tonight: int, minutes: int, can: bool
) -> None:
    of_alice: dict[str, Any] = {"user_id": alice.id, "policy": CUTOFF}
    booked = service.book(show_id=tonight, seat_number="1", now=NOON, **of_alice)
    assert (booked.can_cancel, booked.cancel_until) == (True, NOON + 120 * MINUTE)
    at = NOON + minutes * MINUTE
    for found in (
        queries.get_booking(booking_id=booked.id, now=at, **of_alice),
        *queries.list_bookings(page=1, page_size=5, now=at, **of_alice).items,
        *queries.list_bookings(page=1, page_size=5, after=99, now=at, **of_alice).items,
    ):
        assert (found.can_cancel, found.cancel_until) == (can, NOON + 120 * MINUTE)
    if can:
        done = service.cancel(booking_id=booked.id, now=at, **of_alice)
        assert (done.can_cancel, done.cancel_until) == (False, None)
    else:
        with pytest.raises(service.TooLate):
            service.cancel(booking_id=booked.id, now=at, **of_alice)


def test_a_hold_can_be_let_go_until_it_expires_and_then_nothing_can(
    alice: Caller, tonight: int
) -> None:
    of_alice: dict[str, Any] = {"user_id": alice.id, "policy": CUTOFF}
    late = NOON + 150 * MINUTE  # past the cut-off
    held = service.hold(show_id=tonight, seat_number="1", now=late, **of_alice)
    assert (held.can_cancel, held.cancel_until) == (True, held.expires_at)
    extended = service.extend(booking_id=held.id, now=late + MINUTE, **of_alice)
    assert (extended.can_cancel, extended.cancel_until) == (True, late + 11 * MINUTE)
    expired = queries.get_booking(booking_id=held.id, now=late + 11 * MINUTE, **of_alice)
    assert (expired.status, expired.can_cancel, expired.cancel_until) == ("expired", False, None)
    confirmed = service.confirm(booking_id=held.id, now=late + 2 * MINUTE, **of_alice)
    assert (confirmed.can_cancel, confirmed.cancel_until) == (False, NOON + 120 * MINUTE)


def test_the_cut_off_of_answers_is_that_of_the_settings(
    app: Flask, alice: Caller, show_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "CANCEL_CUTOFF_MINUTES", 90)
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).json
    held = alice.post(f"/api/shows/{show_id}/hold/", {"seat_number": 3}).json
    confirmed = alice.post(f"/api/bookings/{held['id']}/confirm/").json
    until = datetime.fromisoformat(booked["date_time"]) - timedelta(minutes=90)
    for one in (
        booked,
        confirmed,
        alice.get(f"/api/bookings/{booked['id']}/").json,
        *alice.get("/api/my-bookings/").json,
    ):
        assert datetime.fromisoformat(one["cancel_until"]) == until
        assert one["can_cancel"]


# --- its seats ------------------------------------------------------------------------------


def test_a_cancelled_booking_says_so_seat_by_seat(
    alice: Caller, staff: Caller, show_id: int
) -> None:
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": SEATS}).json
    assert said(booked) == {
        "status": "booked",
        "seat_number": None,
        "seat_numbers": list(SEATS),
        "cancelled_seat_numbers": [],
        "seats": dict.fromkeys(SEATS, False),
        "total": "19.00",
        "original_total": "19.00",
    }
    path = f"/api/bookings/{booked['id']}/"
    for one in (
        alice.post(f"{path}cancel/").json,
        alice.get(path).json,
        *alice.get("/api/my-bookings/?status=cancelled").json,
        *staff.get("/api/bookings/").json,
    ):
        assert said(one) == gone("cancelled")


def test_so_does_one_after_the_last_of_several_partial_cancels(alice: Caller, show_id: int) -> None:
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": SEATS}).json
    path = f"/api/bookings/{booked['id']}/"
    some = alice.post(f"{path}cancel/", {"seat_numbers": ["2"]}).json
    assert said(some) == {
        "status": "booked",
        "seat_number": "1",
        "seat_numbers": ["1"],
        "cancelled_seat_numbers": ["2"],
        "seats": {"1": False, "2": True},
        "total": "9.50",
        "original_total": "19.00",
    }
    last = alice.post(f"{path}cancel/", {"seat_numbers": ["1"]}).json
    for one in (last, alice.get(path).json, *alice.get("/api/my-bookings/").json):
        assert said(one) == gone("cancelled")
    assert broken_promises() == []


@pytest.mark.parametrize("let_go", [False, True])
def test_so_does_a_hold_that_expired_or_was_let_go(
    alice: Caller, tonight: int, let_go: bool
) -> None:
    of_alice: dict[str, Any] = {"user_id": alice.id}
    held = service.hold(show_id=tonight, seat_numbers=SEATS, now=NOON, **of_alice)
    if let_go:
        service.cancel(booking_id=held.id, now=NOON, **of_alice)
    at = NOON + 10 * MINUTE
    for found in (
        queries.get_booking(booking_id=held.id, now=at, **of_alice),
        *queries.list_bookings(page=1, page_size=5, now=at, **of_alice).items,
    ):
        assert said(BookingSchema().dump(found)) == gone("cancelled" if let_go else "expired")


def test_a_row_that_the_release_before_cancelled_says_it_too(alice: Caller, show_id: int) -> None:
    """That release writes the status alone, as this one still does."""
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": SEATS}).json
    with db.engine.connect() as connection, begin_writing(connection):
        connection.execute(sa.update(Booking).values(status="cancelled"))
    assert said(alice.get(f"/api/bookings/{booked['id']}/").json) == gone("cancelled")
