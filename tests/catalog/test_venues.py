"""Cinemas, screens, seat plans, and shows made from them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.audit.service import OPERATOR
from booking_app.catalog import venues
from booking_app.catalog.models import Cinema, Screen, Show, ShowSeat
from booking_app.core.database import begin_writing, db, write_transaction
from tests.conftest import Caller, rows
from tests.promise import somebody_waits
from tests.serving import wait_until
from tests.wrong import wrong

pytestmark = pytest.mark.usefixtures("in_2030")

PLAN = [
    {"label": "A", "seats": 4, "gaps": [2], "accessible": [1, 4]},
    {"label": "B", "seats": 6, "category": "premium"},
]


def a_seat(number: int, category: str = "standard", kind: str = "standard") -> dict[str, str]:
    return {"number": str(number), "category": category, "kind": kind}


REST = {"block": "", "offset": 0, "walkway": False, "beside": None}
FULL_PLAN = [
    {"label": "A", **REST}
    | {
        "seats": [
            *(a_seat(1, kind="wheelchair"), a_seat(2), None),
            *(a_seat(3), a_seat(4, kind="wheelchair")),
        ]
    },
    {"label": "B", **REST, "seats": [a_seat(number, "premium") for number in range(1, 7)]},
]
AT = "2030-01-31T20:00:00Z"


def test_cinemas_are_managed_by_staff(client: FlaskClient, staff: Caller, alice: Caller) -> None:
    body = {"name": "Burg Kino", "city": "Wien", "timezone": "Europe/Vienna"}
    assert alice.post("/api/cinemas/", body).status_code == 403
    made = staff.post("/api/cinemas/", body)
    assert made.status_code == 201
    cinema = made.json
    assert (
        cinema == {"id": 1, "is_default": False, "day_starts_at": "00:00", "currency": None} | body
    )
    assert client.get("/api/cinemas/1/").json == cinema
    assert client.get("/api/cinemas/").json == [cinema]
    taken = staff.post("/api/cinemas/", body | {"name": "BURG KINO"})
    assert (taken.status_code, taken.json["code"]) == (409, "name_taken")
    other = staff.post("/api/cinemas/", body | {"name": "Admiral"}).json
    assert staff.patch(f"/api/cinemas/{other['id']}/", {"name": "burg kino"}).status_code == 409
    changed = staff.patch("/api/cinemas/1/", {"name": "Burg", "city": None}).json
    assert (changed["name"], changed["city"]) == ("Burg", None)
    assert [c["name"] for c in client.get("/api/cinemas/").json] == ["Admiral", "Burg"]
    assert alice.delete("/api/cinemas/1/").status_code == 403
    assert staff.delete("/api/cinemas/1/").status_code == 204
    assert staff.delete("/api/cinemas/1/").status_code == 404
    assert staff.patch("/api/cinemas/1/", {}).status_code == 404


def test_what_is_in_use_stays(staff: Caller, show_id: int) -> None:
    """The show's cinema is the default one; it and the show's screen can't be deleted."""
    show = staff.get(f"/api/shows/{show_id}/").json
    cinema = staff.post("/api/cinemas/", {"name": "Other", "timezone": "UTC"}).json["id"]
    screen = staff.post("/api/screens/", {"name": "1", "rows": PLAN, "cinema": cinema}).json["id"]
    for path in (
        f"/api/cinemas/{show['cinema']}/",
        f"/api/screens/{show['screen']}/",
        f"/api/cinemas/{cinema}/",
    ):
        refused = staff.delete(path)
        assert (refused.status_code, refused.json["code"]) == (409, "in_use")
    assert staff.delete(f"/api/screens/{screen}/").status_code == 204
    assert staff.delete(f"/api/screens/{screen}/").status_code == 404
    assert staff.delete(f"/api/cinemas/{cinema}/").status_code == 204


def test_screens_and_their_plans(client: FlaskClient, staff: Caller, alice: Caller) -> None:
    body = {"name": "Saal 1", "rows": PLAN}
    assert alice.post("/api/screens/", body).status_code == 403
    made = staff.post("/api/screens/", body)
    assert made.status_code == 201
    screen = made.json
    assert (screen["rows"], screen["total_seats"]) == (FULL_PLAN, 10)
    assert client.get(f"/api/cinemas/{screen['cinema']}/").json["is_default"]
    assert client.get(f"/api/screens/{screen['id']}/").json == screen
    assert client.get(f"/api/screens/?cinema={screen['cinema']}").json == [screen]
    assert client.get("/api/screens/?cinema=99").json == []
    assert staff.post("/api/screens/", body | {"name": "SAAL 1"}).json["code"] == "name_taken"
    renamed = staff.patch(f"/api/screens/{screen['id']}/", {"name": "Saal 2"}).json
    assert renamed == screen | {
        "name": "Saal 2",
        "still_sold": [],
        "shows_changed": [],
        "shows_kept": [],
    }
    assert staff.get("/api/screens/99/").status_code == 404
    assert staff.patch("/api/screens/99/", {"name": "x"}).status_code == 404


@pytest.mark.parametrize(
    ("plan", "row", "field"),
    [
        ([PLAN[0], PLAN[0]], "1", "seats/0"),
        ([{"label": "A", "seats": 5}, {"label": "B", "seats": 5, "gaps": [5]}], "1", "gaps"),
        ([{"label": "A", "seats": 5, "accessible": [6]}], "0", "accessible"),
        ([{"label": "A", "seats": 3000}, {"label": "B", "seats": 2001}], "1", "seats"),
    ],
)
def test_a_plan_that_cannot_be_is_422_and_says_which_row(
    staff: Caller, plan: Any, row: str, field: str
) -> None:
    refused = staff.post("/api/screens/", {"name": "1", "rows": plan})
    assert refused.status_code == 422
    assert list(wrong(refused)) == [f"/rows/{row}/{field}"]
    assert rows(Screen) == []


@pytest.fixture
def screen_id(staff: Caller) -> int:
    return int(staff.post("/api/screens/", {"name": "Saal", "rows": PLAN}).json["id"])


@pytest.fixture
def planned(staff: Caller, screen_id: int, make_movie: Callable[..., int]) -> dict[str, Any]:
    """A show on the screen, premium seats at a price of their own."""
    body = {"screen": screen_id, "date_time": AT, "price": "9.50", "prices": {"premium": "12.00"}}
    made = staff.post(f"/api/movies/{make_movie()}/shows/", body)
    assert made.status_code == 201, made.text
    show: dict[str, Any] = made.json
    return show


def test_a_show_copies_the_plan_and_keeps_it(
    staff: Caller, screen_id: int, planned: dict[str, Any]
) -> None:
    assert (planned["total_seats"], planned["prices"]) == (10, {"premium": "12.00"})
    before = rows(ShowSeat)
    assert [seat.label for seat in before] == [
        *("A1", "A2", "A3", "A4"),
        *("B1", "B2", "B3", "B4", "B5", "B6"),
    ]
    staff.patch(f"/api/screens/{screen_id}/", {"rows": [{"label": "Z", "seats": 1}]})
    assert rows(ShowSeat) == before


def test_each_seat_at_its_price_and_later_prices_touch_no_booking(
    staff: Caller, alice: Caller, planned: dict[str, Any]
) -> None:
    path = f"/api/shows/{planned['id']}/"
    booked = alice.post(f"{path}book/", {"seat_numbers": ["B1", "A4"]}).json
    assert booked["total"] == "21.50"
    assert booked["seats"] == [
        {"seat_number": "A4", "price": "9.50", "cancelled": False},
        {"seat_number": "B1", "price": "12.00", "cancelled": False},
    ]
    changed = staff.patch(path, {"price": "1.00", "prices": {"standard": "0.10"}}).json
    assert changed["prices"] == {"standard": "0.10"}
    assert alice.get(f"/api/bookings/{booked['id']}/").json == booked
    three = alice.post(f"{path}book/", {"seat_numbers": ["A1", "A2", "A3"]}).json
    assert three["total"] == "0.30"
    assert alice.post(f"{path}book/", {"seat_number": "B2"}).json["total"] == "1.00"


def test_what_a_planned_show_refuses(
    staff: Caller, screen_id: int, planned: dict[str, Any]
) -> None:
    bare = staff.post(
        f"/api/movies/{planned['movie']}/shows/",
        {"screen_name": "Bare", "total_seats": 5, "date_time": AT},
    ).json["screen"]
    shows = f"/api/movies/{planned['movie']}/shows/"
    later = "2030-02-01T20:00:00Z"
    for body, field in (
        ({"screen": 999, "date_time": later}, "screen"),
        ({"screen": bare, "date_time": later}, "screen"),
        ({"screen": screen_id, "date_time": later, "prices": {"vip": "1.00"}}, "prices"),
        ({"screen": screen_id, "date_time": later, "screen_name": "x"}, "screen_name"),
        ({"screen": screen_id, "date_time": later, "total_seats": 5}, "total_seats"),
        ({"date_time": later, "total_seats": 5}, "screen_name"),
    ):
        refused = staff.post(shows, body)
        assert refused.status_code == 422, body
        assert list(wrong(refused)) == [f"/{field}"]
    path = f"/api/shows/{planned['id']}/"
    for body, field in (({"total_seats": 5}, "total_seats"), ({"prices": {"x": "1.00"}}, "prices")):
        assert list(wrong(staff.patch(path, body))) == [f"/{field}"]
    clash = staff.post(shows, {"screen": screen_id, "date_time": AT})
    assert (clash.status_code, clash.json["code"]) == (409, "show_overlap")


def test_a_cinema_of_staffs_own_may_have_the_default_ones_name(
    staff: Caller, make_movie: Callable[..., int]
) -> None:
    staff.post("/api/cinemas/", {"name": "Main Cinema", "timezone": "Europe/Vienna"})
    body = {"screen_name": "1", "total_seats": 1, "date_time": AT}
    made = staff.post(f"/api/movies/{make_movie()}/shows/", body)
    assert made.status_code == 201
    assert staff.get("/api/cinemas/1/").json["is_default"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_default_cinema_that_is_just_being_made_is_waited_for(app: Flask) -> None:
    """Whichever of its two unique columns is in the way."""

    def default() -> int:
        with app.app_context():
            return write_transaction(lambda c: venues.default_cinema(c, "UTC", OPERATOR))

    other = {"name": "Other", "name_key": "other", "timezone": "UTC", "is_default": True}
    with ThreadPoolExecutor(1) as pool:
        with db.engine.connect() as connection, begin_writing(connection):
            connection.execute(sa.insert(Cinema).values(**other))
            made = pool.submit(default)
            wait_until(somebody_waits)
        ((cinema,),) = rows(Cinema, Cinema.id)
        assert made.result() == cinema


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_screen_is_not_locked_before_its_shows(app: Flask, planned: dict[str, Any]) -> None:
    """Whoever moves a show has its row, and then waits for the screen's."""
    screen: int = planned["screen"]

    def save() -> None:
        with app.app_context():
            venues.update_screen(screen_id=screen, out_of_order=["A1"])

    show = sa.select(Show.id).where(Show.id == planned["id"]).with_for_update()
    with ThreadPoolExecutor(1) as pool:
        with db.engine.connect() as connection, begin_writing(connection):
            connection.execute(show)
            saved = pool.submit(save)
            wait_until(somebody_waits)
            at_once = sa.select(Screen.id).where(Screen.id == screen).with_for_update(nowait=True)
            connection.execute(at_once)
        saved.result()
    assert [seat.label for seat in rows(ShowSeat) if seat.blocked] == ["A1"]
