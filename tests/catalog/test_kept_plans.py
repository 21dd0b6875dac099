"""Kept plans: a map says what the tables say, whoever wrote them, at the least cost."""

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from booking_app.catalog import kept_plans, shows
from booking_app.catalog.kept_plans import KeptPlans
from booking_app.catalog.models import Show, ShowSeat
from booking_app.catalog.seat_map import STATUSES, MapSeat, Plan, SeatMap
from booking_app.catalog.seat_schemas import SEAT_MAP, seat_map_json
from booking_app.core.database import reading, write_transaction
from booking_app.core.formats import decimal_string
from tests.catalog.test_venues import AT, PLAN
from tests.conftest import NOON, Caller
from tests.system.test_statements import counted

pytestmark = pytest.mark.usefixtures("in_2030")

PREMIUM = {"premium": "12.00"}


@pytest.fixture
def screen(staff: Caller) -> int:
    return int(staff.post("/api/screens/", {"name": "Saal", "rows": PLAN}).json["id"])


@pytest.fixture
def planned(staff: Caller, screen: int, make_movie: Callable[..., int]) -> int:
    """A show of two rows, A with 4 seats and B with 6 premium ones."""
    body = {"screen": screen, "date_time": AT, "price": "9.50", "prices": PREMIUM}
    return int(staff.post(f"/api/movies/{make_movie()}/shows/", body).json["id"])


def by_the_tables(show_id: int) -> dict[str, Any]:
    """What a map must say of statuses and prices, read plainly; no hold is over."""
    with reading() as connection:
        show = connection.execute(sa.select(Show).where(Show.id == show_id)).one()
        of_show = sa.select(ShowSeat).where(ShowSeat.show_id == show_id)
        seats = connection.execute(of_show.order_by(ShowSeat.position)).all()
    told = {}
    for seat in seats:
        status = "blocked" if seat.blocked else "available"
        if seat.booking_id is not None:
            status = "booked" if seat.held_until is None else "held"
        price = show.prices.get(seat.category, show.price_cents)
        told[seat.label] = (status, decimal_string(price, show.currency))
    available = [status for status, _ in told.values()].count("available")
    return {"total": len(seats), "available": available, "currency": show.currency, "seats": told}


def by_the_map(shown: Any) -> dict[str, Any]:
    return {
        "total": shown["total_seats"],
        "available": shown["available_seats"],
        "currency": shown["currency"],
        "seats": {
            seat["seat_number"]: (seat["status"], seat["price"])
            for row in shown["rows"]
            for seat in row["seats"]
        },
    }


def write(statement: sa.Update | sa.Delete | sa.Insert) -> None:
    """As another release, or an operator, writes it: nothing of this one's knows."""
    write_transaction(lambda connection: connection.execute(statement))


def test_every_change_shows_at_once(
    client: FlaskClient, alice: Caller, staff: Caller, screen: int, planned: int
) -> None:
    """Each write of the API that changes a map, one after the other."""
    show = f"/api/shows/{planned}/"
    seen: set[str] = set()

    def check(what: str) -> None:
        answer = client.get(f"{show}seats/")
        assert by_the_map(answer.json) == by_the_tables(planned), what
        assert answer.headers["ETag"] not in seen, what
        seen.add(answer.headers["ETag"])
        again = client.get(f"{show}seats/", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304, what

    def done(caller: Caller, method: str, path: str, body: Any = None) -> Any:
        answer = getattr(caller, method)(path, body)
        assert answer.status_code < 300, (path, body, answer.json)
        check(f"{method} {path} {body}")
        return answer.json

    def block(kind: str, *labels: str) -> None:
        body = {"seats": [{"seat_number": label, "kind": kind} for label in labels]}
        done(staff, "put", f"{show}blocked-seats/", body)

    check("nothing yet")
    done(alice, "post", f"{show}book/", {"seat_number": "A2"})
    held = done(alice, "post", f"{show}hold/", {"seat_numbers": ["B1", "B2"]})["id"]
    done(alice, "post", f"/api/bookings/{held}/confirm/")
    done(alice, "post", f"/api/bookings/{held}/cancel/", {"seat_numbers": ["B2"]})
    block("house", "B5", "B6")
    block("out_of_order", "B5")
    block("house", "B4")
    done(staff, "post", f"{show}book/", {"seat_number": "B4", "username": "alice"})
    done(staff, "patch", show, {"price": "8.00"})
    done(staff, "patch", show, {"prices": {"premium": "13.00"}})
    done(staff, "patch", "/api/shows/", {"ids": [planned], "changes": {"price": "7.00"}})
    for booking in alice.get("/api/my-bookings/?status=booked").json:
        done(alice, "post", f"/api/bookings/{booking['id']}/cancel/")
    done(staff, "patch", f"/api/screens/{screen}/", {"out_of_order": ["A3"]})
    body = {"rows": [*PLAN, {"label": "C", "seats": 3}], "apply_to_unsold_shows": True}
    done(staff, "patch", f"/api/screens/{screen}/", body)
    other = [{"label": "A", "seats": 4}, {"label": "B", "seats": 9, "category": "premium"}]
    moved = staff.post("/api/screens/", {"name": "Studio", "rows": other}).json["id"]
    done(staff, "patch", show, {"screen": moved})
    assert client.get(f"{show}seats/").json["total_seats"] == 13


def test_seats_are_added_and_taken_away(client: FlaskClient, staff: Caller, show_id: int) -> None:
    for total in (10, 12, 9, 10):
        staff.patch(f"/api/shows/{show_id}/", {"total_seats": total})
        shown = by_the_map(client.get(f"/api/shows/{show_id}/seats/").json)
        assert shown == by_the_tables(show_id)
        assert shown["total"] == total


def test_a_show_that_gets_the_number_of_a_deleted_one(
    client: FlaskClient, staff: Caller, make_show: Callable[..., int]
) -> None:
    """As SQLite gives it."""
    first = make_show(total_seats=3)
    client.get(f"/api/shows/{first}/seats/")
    staff.delete(f"/api/shows/{first}/")
    assert client.get(f"/api/shows/{first}/seats/").status_code == 404
    second = make_show(total_seats=3, price=Decimal(4))
    shown = by_the_map(client.get(f"/api/shows/{second}/seats/").json)
    assert shown == by_the_tables(second)


def test_a_hold_is_over_by_the_clock_alone(alice: Caller, make_show: Callable[..., int]) -> None:
    from booking_app.booking import service

    show = make_show(now=NOON, starts_in=timedelta(hours=5))
    free = kept_plans.get_seat_map(show_id=show, now=NOON)
    service.hold(user_id=alice.id, show_id=show, seat_number="1", now=NOON)
    held = kept_plans.get_seat_map(show_id=show, now=NOON + timedelta(minutes=9))
    over = kept_plans.get_seat_map(show_id=show, now=NOON + timedelta(minutes=10))
    assert (free.letters, held.letters, over.letters) == ("a" * 10, "h" + "a" * 9, "a" * 10)
    assert free.plan is held.plan is over.plan
    assert free.edition("1") == over.edition("1") != held.edition("1")


def test_what_changes_without_a_version_is_read_again(
    client: FlaskClient, alice: Caller, show_id: int
) -> None:
    """No release does that. Seats that the plan does not have tell it all the same."""
    path = f"/api/shows/{show_id}/seats/"
    client.get(path)
    of_show = ShowSeat.show_id == show_id
    write(sa.delete(ShowSeat).where(of_show, ShowSeat.label == "10"))
    write(sa.update(Show).where(Show.id == show_id).values(total_seats=9))
    assert by_the_map(client.get(path).json) == by_the_tables(show_id)
    alice.post(f"/api/shows/{show_id}/book/", {"seat_number": "9"})
    write(sa.update(ShowSeat).where(of_show, ShowSeat.label == "9").values(position=20))
    assert by_the_map(client.get(path).json) == by_the_tables(show_id)


def test_a_show_from_before_there_were_versions(client: FlaskClient, show_id: int) -> None:
    path = f"/api/shows/{show_id}/seats/"
    this = sa.update(Show).where(Show.id == show_id)
    write(this.values(version=0))
    before = client.get(path)
    write(this.values(price_cents=1))
    after = client.get(path)
    assert by_the_map(after.json) == by_the_tables(show_id)
    assert after.headers["ETag"] != before.headers["ETag"]
    again = client.get(path, headers={"If-None-Match": after.headers["ETag"]})
    assert again.status_code == 304


def test_no_answer_mixes_two_versions_or_is_late(app: Flask, planned: int) -> None:
    """Readers ask while the prices rise: all seats of an answer have the price of one moment, and
    it is no lower than what was committed before they asked."""
    committed, failures, seen = 0, [], set()

    def read() -> None:
        with app.app_context():
            while committed < 40:
                least = committed
                shown = kept_plans.get_seat_map(show_id=planned).as_dict()
                prices = {seat["price_cents"] for row in shown["rows"] for seat in row["seats"]}
                if len(prices) > 1 or min(prices) < least:
                    failures.append((least, prices))
                seen.update(prices)

    shows.update_show(show_id=planned, prices={})
    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for price in range(1, 41):
        shows.update_show(show_id=planned, price=Decimal(price) / 100)
        committed = price
    for reader in readers:
        reader.join()
    assert failures == []
    assert len(seen) > 1, "nobody read meanwhile"


# --- what it costs --------------------------------------------------------------------------


@pytest.mark.parametrize("total_seats", [1, 2000])
@pytest.mark.parametrize("form", ["seats/", "seats.svg"])
def test_one_statement_where_the_plan_is_kept_and_two_where_not(
    client: FlaskClient, staff: Caller, make_show: Callable[..., int], total_seats: int, form: str
) -> None:
    show = make_show(total_seats=total_seats)
    etag = ""
    for price, statements in (("1.00", 2), (None, 1), ("2.00", 2), (None, 1)):
        if price is not None:
            staff.patch(f"/api/shows/{show}/", {"price": price})
        with counted() as sent:
            answer = client.get(f"/api/shows/{show}/{form}", headers={"If-None-Match": etag})
        assert len(sent) == statements
        assert answer.status_code == (200 if price else 304)
        etag = answer.headers["ETag"]


def test_the_tag_is_of_all_that_the_map_says_and_of_the_release(
    app: Flask, client: FlaskClient, show_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/api/shows/{show_id}/seats/"
    before = client.get(path).headers["ETag"]
    assert not before.startswith("W/")
    monkeypatch.setitem(app.config, "API_VERSION", "9.9.9")
    assert client.get(path).headers["ETag"] != before

    def tag(show: int, version: int, letters: str) -> str | None:
        return SeatMap(a_plan(show, version, len(letters)), letters).edition("1")

    tags = [tag(*facts) for facts in ((1, 1, "aa"), (1, 1, "ah"), (1, 2, "aa"), (11, 1, "aa"))]
    assert len(set(tags)) == 4
    assert tag(1, 1, "aa") == tags[0] == "be1ff13472f56bd3df4e431b09ecbbf7", "on every server"


def a_plan(show_id: int, version: int, seats: int) -> Plan:
    room = tuple(
        MapSeat(str(n), "", "", str(n), "standard", "standard", n, 0, 950, False, False)
        for n in range(seats)
    )
    places = {str(n): n for n in range(seats)}
    return Plan(show_id, version, 950, {}, "EUR", room, places)


def test_the_plans_that_were_asked_for_last_are_kept() -> None:
    plans = KeptPlans(seats_max=10)
    for show in (1, 2):
        plans.keep(a_plan(show, 7, 4))
    assert plans.find(1, 7) is not None  # so 2 was asked for before it
    plans.keep(a_plan(3, 7, 4))
    assert [show for show in (1, 2, 3) if plans.find(show, 7)] == [1, 3]
    plans.keep(a_plan(3, 8, 5))  # in place of the other version
    assert plans.find(3, 7) is None
    assert [show for show in (1, 3) if plans.find(show, 7) or plans.find(show, 8)] == [1, 3]
    plans.keep(a_plan(4, 7, 11))  # larger than all that may be kept
    assert [show for show in (1, 3, 4) if plans.find(show, 7) or plans.find(show, 8)] == []
    plans.keep(a_plan(5, 7, 10))
    assert plans.find(5, 7) is not None


# --- what is written ------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ['"', "\\", "\0", '\\"', '"status":"held"', "é", "座", "\U0001f3ac", "</script>", "\x1f,"]
)
SEATS = st.builds(
    MapSeat,
    label=TEXT,
    block=TEXT,
    row_label=TEXT,
    number=TEXT,
    category=TEXT,
    kind=TEXT,
    x=st.integers(0, 400),
    y=st.integers(0, 90),
    price_cents=st.integers(0, 10**8),
    accessible=st.booleans(),
    aisle_after=st.booleans(),
)


@given(
    st.lists(st.tuples(SEATS, st.sampled_from(sorted(STATUSES))), max_size=20),
    st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_the_joined_json_is_that_of_the_whole_map(
    room: list[tuple[MapSeat, str]], currency: str
) -> None:
    seats = tuple(seat for seat, _ in room)
    letters = "".join(letter for _, letter in room)
    plan = Plan(7, 1, 0, {}, currency, seats, {})
    whole = orjson.dumps(SEAT_MAP.dump(SeatMap(plan, letters).as_dict()))
    for _ in range(2):  # made, and kept
        assert seat_map_json(plan, letters) == whole


def test_the_bytes_of_a_map(client: FlaskClient, make_show: Callable[..., int]) -> None:
    """What callers have seen since 1.3.0."""
    show = make_show(total_seats=1)
    assert client.get(f"/api/shows/{show}/seats/").text == (
        f'{{"show":{show},"total_seats":1,"available_seats":1,"currency":"EUR","rows":[{{"label":"",'
        '"block":"","y":0,"seats":[{"seat_number":"1","number":"1","x":0,"status":"available",'
        '"category":"standard","kind":"standard","price":"9.50","accessible":false,'
        '"aisle_after":false}]}]}'
    )
