"""The seat map over HTTP: JSON, the picture, and asking again."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from flask.testing import FlaskClient

from booking_app.catalog import kept_plans
from tests.catalog.test_venues import AT, PLAN
from tests.conftest import NOON, Caller

pytestmark = pytest.mark.usefixtures("in_2030")

FORMS = ("seats/", "seats.svg")


@pytest.fixture
def path(staff: Caller, make_movie: Callable[..., int]) -> str:
    screen = staff.post("/api/screens/", {"name": "Saal", "rows": PLAN}).json["id"]
    body = {"screen": screen, "date_time": AT, "price": "9.50", "prices": {"premium": "12.00"}}
    show = staff.post(f"/api/movies/{make_movie()}/shows/", body).json["id"]
    return f"/api/shows/{show}/"


def statuses(seat_map: Any) -> dict[str, str]:
    return {
        seat["seat_number"]: seat["status"] for row in seat_map["rows"] for seat in row["seats"]
    }


def test_rows_seats_statuses_and_prices(client: FlaskClient, alice: Caller, path: str) -> None:
    alice.post(f"{path}book/", {"seat_numbers": ["A2", "B3"]})
    alice.post(f"{path}hold/", {"seat_number": "B1"})
    shown = client.get(f"{path}seats/").json
    assert (shown["total_seats"], shown["available_seats"]) == (10, 7)
    assert [(row["label"], row["block"], row["y"]) for row in shown["rows"]] == [
        ("A", "", 0),
        ("B", "", 1),
    ]
    assert shown["rows"][0]["seats"][0] == {
        "seat_number": "A1",
        "number": "1",
        "x": 1,
        "kind": "wheelchair",
        "status": "available",
        "category": "standard",
        "price": "9.50",
        "accessible": True,
        "aisle_after": False,
    }
    assert shown["rows"][1]["seats"][0]["price"] == "12.00"
    taken = {label: status for label, status in statuses(shown).items() if status != "available"}
    assert taken == {"A2": "booked", "B1": "held", "B3": "booked"}


def test_an_expired_hold_is_available(alice: Caller, make_show: Callable[..., int]) -> None:
    from booking_app.booking import service

    show = make_show(now=NOON, starts_in=timedelta(hours=5))
    service.hold(user_id=alice.id, show_id=show, seat_number="1", now=NOON)
    for minutes, status in ((9, "held"), (10, "available")):
        now = NOON + timedelta(minutes=minutes)
        found = kept_plans.get_seat_map(show_id=show, now=now).as_dict()
        assert statuses(found)["1"] == status


def test_the_short_form_is_one_row_without_a_label(client: FlaskClient, show_id: int) -> None:
    (row,) = client.get(f"/api/shows/{show_id}/seats/").json["rows"]
    assert row["label"] == ""
    assert [seat["seat_number"] for seat in row["seats"]] == [str(n) for n in range(1, 11)]


@pytest.mark.parametrize("form", FORMS)
def test_304_until_something_changes(
    client: FlaskClient, alice: Caller, path: str, form: str
) -> None:
    first = client.get(path + form)
    again = {"If-None-Match": first.headers["ETag"]}
    same = client.get(path + form, headers=again)
    assert same.status_code == 304
    assert same.data == b""
    assert same.headers["ETag"] == first.headers["ETag"]
    alice.post(f"{path}book/", {"seat_number": "A1"})
    changed = client.get(path + form, headers=again)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("accept", [None, "*/*", "image/svg+xml", "application/json", "nonsense"])
def test_each_address_has_one_form(client: FlaskClient, path: str, accept: str | None) -> None:
    headers = {} if accept is None else {"Accept": accept}
    for form, media_type in zip(FORMS, ("application/json", "image/svg+xml"), strict=True):
        answer = client.get(path + form, headers=headers)
        assert answer.mimetype == media_type
        assert "Vary" not in answer.headers


def test_the_picture_titles_every_seat(client: FlaskClient, alice: Caller, path: str) -> None:
    alice.post(f"{path}book/", {"seat_number": "B3"})
    picture = client.get(f"{path}seats.svg")
    root = ElementTree.fromstring(picture.text)
    titles = [title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")]
    for label in ("A1", "A4", "B6"):
        assert any(title.startswith(label) and "available" in title for title in titles), label
    assert any(title.startswith("B3") and "12.00 EUR" in title for title in titles)


def test_no_such_show_is_404_in_either_form(client: FlaskClient) -> None:
    for form in FORMS:
        assert client.get(f"/api/shows/99/{form}").status_code == 404
