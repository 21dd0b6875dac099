"""The document declares exactly what occurs: each code of each call is provoked here once.

That nothing else occurs is seen to by the client of all tests (`tests/contract.py`) and by the
fuzzer; this is the other half. A code that is declared and not provoked fails.
"""

import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask_jwt_extended import create_access_token, create_refresh_token

from booking_app.booking import service as booking
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.queries import get_any_booking
from booking_app.catalog import shows
from booking_app.core.database import db
from booking_app.web import limits
from booking_app.web.requests import MAX_BODY_BYTES
from tests.conftest import PASSWORD, Caller, bearer, make_app, open_tokens, present
from tests.contract import declared_codes, document
from tests.migrating import release_before_may_serve
from tests.system.test_server import writers_wait_in_vain

# The stricter of the two: what it takes the other takes too.
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

MISSING = 999
ROWS = [{"label": "A", "seats": 5}]
SOON = "2030-01-31T20:00:00Z"
SIGNUP = {"username": "new", "password": PASSWORD}
SHOW = {"screen_name": "New", "date_time": SOON, "total_seats": 5}
HOUR = timedelta(hours=1)
PERIOD = {"since": "2030-01-01", "until": "2030-01-31"}
# Bodies with which nothing but what is provoked is wrong.
BODIES: dict[tuple[str, str], Any] = {
    ("post", "/api/signup/"): SIGNUP,
    ("post", "/api/login/"): SIGNUP,
    ("put", "/api/me/password/"): {"old_password": PASSWORD, "new_password": "staple-battery"},
    ("post", "/api/movies/"): {"title": "New", "duration_minutes": 90},
    ("post", "/api/movies/{movie_id}/shows/"): SHOW,
    ("patch", "/api/shows/"): {"ids": [1], "changes": {"price": "1.00"}},
    ("post", "/api/cinemas/"): {"name": "New", "timezone": "UTC"},
    ("post", "/api/screens/"): {"name": "New", "rows": ROWS},
    ("post", "/api/shows/{show_id}/book/"): {"quantity": 1},
    ("post", "/api/shows/{show_id}/hold/"): {"quantity": 1},
    ("put", "/api/shows/{show_id}/blocked-seats/"): {"seats": []},
}

Seen = dict[tuple[str, str], set[str]]


@dataclass
class World:
    """The callers, and what each call answered so far."""

    app: Flask
    alice: Caller
    bob: Caller
    staff: Caller
    make_show: Callable[..., int]
    make_movie: Callable[..., int]
    seen: Seen

    def call(
        self, method: str, template: str, *ids: int, by: Caller | None = None, **kwargs: Any
    ) -> Any:
        """One call; what it answered is noted: the problem's code, or the status."""
        path = template
        for number in ids:
            path = re.sub(r"\{\w+\}", str(number), path, count=1)
        headers = {**(by.headers if by else {}), **kwargs.pop("headers", {})}
        answer = self.app.test_client().open(path, method=method, headers=headers, **kwargs)
        told = answer.json["code"] if answer.status_code >= 400 else str(answer.status_code)
        self.seen[method, template].add(told)
        return answer

    def hall(self) -> int:
        """A show with a wheelchair place A1, a companion seat A2 and a pair A3, A4."""
        kinds = ("wheelchair", "companion", "pair", "pair")
        seats = [{"number": number, "kind": kind} for number, kind in enumerate(kinds, start=1)]
        body = {"name": uuid4().hex, "rows": [{"label": "A", "seats": seats}]}
        screen = self.staff.post("/api/screens/", body).json["id"]
        planned = {"screen": screen, "date_time": SOON}
        return int(self.staff.post(f"/api/movies/{self.make_movie()}/shows/", planned).json["id"])

    def past_show(self) -> int:
        """One that began an hour ago."""
        return self.make_show(starts_in=-HOUR)


@pytest.fixture
def world(
    app: Flask,
    alice: Caller,
    bob: Caller,
    staff: Caller,
    make_show: Callable[..., int],
    make_movie: Callable[..., int],
) -> World:
    return World(app, alice, bob, staff, make_show, make_movie, defaultdict(set))


def operations(app: Flask) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for template, methods in document(app)["paths"].items():
        for method, operation in methods.items():
            if "responses" in operation:
                yield method, template, operation


def declared(operation: dict[str, Any]) -> set[str]:
    """The codes and the statuses below 400 of an operation."""
    statuses = {status for status in operation["responses"] if status[0] in "23"}
    return statuses | declared_codes(operation)


def test_every_code_that_is_declared_occurs(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts(world)
    films_and_shows(world)
    cinemas_and_screens(world)
    clocks(world)
    blocked_seats(world)
    taking_seats(world)
    holds(world)
    retries(world, monkeypatch)
    successes(world)
    tags(world)
    everywhere(world)
    limited(world, database_url, monkeypatch)
    no_database(world)
    never = {
        f"{method} {template}": missing
        for method, template, operation in operations(world.app)
        if (missing := declared(operation) - world.seen[method, template])
    }
    assert never == {}


def accounts(world: World) -> None:
    call, staff, bob = world.call, world.staff, world.bob
    call("post", "/api/signup/", json=SIGNUP)
    call("post", "/api/signup/", json=SIGNUP)
    call("post", "/api/login/", json=SIGNUP | {"password": "wrong-password"})
    tokens = call("post", "/api/login/", json=SIGNUP).json
    call("post", "/api/token/refresh/", json={"refresh": tokens["refresh"]})
    call("post", "/api/logout/", headers=bearer(tokens))
    with world.app.app_context():
        claims = {"sid": 1}
        late = {"additional_claims": claims, "expires_delta": -HOUR}
        expired = create_refresh_token("1", **late)
    for template in ("/api/token/refresh/", "/api/logout/"):
        call("post", template)
        for token in ("x", expired):
            call("post", template, json={"refresh": token})
    wrong = {"old_password": "wrong-password", "new_password": "staple-battery-horse"}
    call("put", "/api/me/password/", by=bob, json=wrong)
    call("put", "/api/me/password/", by=bob, json=wrong | {"old_password": PASSWORD})
    call("patch", "/api/me/", by=bob, json={"name": "Bob"})
    call("patch", "/api/me/", by=bob, json={"email": "b@example.org", "password": "wrong"})
    call("delete", "/api/me/sessions/{session_id}/", MISSING, by=bob)
    (session,) = call("get", "/api/me/sessions/", by=bob).json
    call("delete", "/api/me/sessions/{session_id}/", session["id"], by=bob)
    bob.headers = bearer(open_tokens(bob.id))
    new = call("get", "/api/accounts/", by=staff, query_string={"search": "new"}).json[0]["id"]
    account = "/api/accounts/{account_id}/"
    for number in (new, MISSING):
        call("get", account, number, by=staff)
        call("patch", account, number, by=staff, json={"is_disabled": True})
    call("patch", account, staff.id, by=staff, json={"is_staff": False})
    call("post", "/api/login/", json=SIGNUP)
    call("get", "/api/audit/", by=staff)
    for report in ("sales/", "sales.csv"):
        call("get", f"/api/reports/{report}", by=staff, query_string=PERIOD)
    for report in ("shows/", "shows.csv"):
        call("get", f"/api/reports/{report}", by=staff)


def films_and_shows(world: World) -> None:
    call, staff, alice = world.call, world.staff, world.alice
    movie, show = "/api/movies/{movie_id}/", "/api/shows/{show_id}/"
    film = world.make_movie("Long", 60)
    shows = [
        world.make_show(movie_id=film, screen_name="Same", starts_in=timedelta(days=2, hours=n))
        for n in (0, 2)
    ]
    call("patch", movie, film, by=staff, json={"duration_minutes": 300})
    times = [call("get", show, number).json["date_time"] for number in shows]
    clash = {"screen_name": "Same", "date_time": times[0], "total_seats": 5}
    call("post", f"{movie}shows/", film, by=staff, json=clash)
    call("patch", show, shows[1], by=staff, json={"date_time": times[0]})
    alice.post(f"/api/shows/{shows[0]}/book/", {"seat_number": "9"})
    call("patch", show, shows[0], by=staff, json={"date_time": SOON})
    call("patch", show, shows[0], by=staff, json={"total_seats": 5})
    for ids in shows, [MISSING]:
        call("patch", "/api/shows/", by=staff, json={"ids": ids, "changes": {"note": "Here"}})
    staff.post("/api/movies/", {"title": "Named", "duration_minutes": 60, "external_id": "tt1"})
    taken = {"external_id": "tt1"}
    call("post", "/api/movies/", by=staff, json={"title": "T", "duration_minutes": 1} | taken)
    call("patch", movie, film, by=staff, json=taken)
    with release_before_may_serve():
        late = {"preshow_minutes": 5}
        body = {"screen_name": "Late", "date_time": SOON, "total_seats": 5}
        call("post", f"{movie}shows/", film, by=staff, json=body | late)
        call("patch", show, shows[1], by=staff, json=late)
    call("delete", show, shows[0], by=staff)
    call("delete", movie, film, by=staff)
    for template in (movie, f"{movie}shows/", show, f"{show}seats/", f"{show}seats.svg"):
        call("get", template, MISSING)
    for template in (movie, show):
        call("patch", template, MISSING, by=staff, json={})
        call("delete", template, MISSING, by=staff)
    call("post", f"{movie}shows/", MISSING, by=staff, json=SHOW)


def cinemas_and_screens(world: World) -> None:
    call, staff = world.call, world.staff
    for name, body in (
        ("cinema", {"name": "Roxy", "timezone": "UTC"}),
        ("screen", {"name": "Saal", "rows": ROWS}),
    ):
        template = f"/api/{name}s/{{{name}_id}}/"
        made = call("post", f"/api/{name}s/", by=staff, json=body).json
        other = call("post", f"/api/{name}s/", by=staff, json=body | {"name": "Other"}).json
        if name == "screen":
            pairs = [{"number": number, "kind": "pair"} for number in (1, 2)]
            parted = {"rows": [{"label": "A", "seats": pairs}], "out_of_order": ["A1"]}
            call("post", "/api/screens/", by=staff, json=body | {"name": "Parted"} | parted)
            call("patch", template, other["id"], by=staff, json=parted)
            listed = body | {"name": "Listed", "rows": [{"label": "A", "seats": [2, 1]}]}
            with release_before_may_serve():
                call("post", "/api/screens/", by=staff, json=listed)
                call("patch", template, other["id"], by=staff, json={"rows": listed["rows"]})
        call("post", f"/api/{name}s/", by=staff, json=body)
        call("patch", template, other["id"], by=staff, json={"name": body["name"]})
        call("get", template, MISSING)
        call("patch", template, MISSING, by=staff, json={})
        call("delete", template, MISSING, by=staff)
        call("delete", template, other["id"], by=staff)
        if name == "cinema":
            in_roxy = {"name": "1", "rows": ROWS, "cinema": made["id"]}
            staff.post("/api/screens/", in_roxy)
        else:
            film = world.make_movie()
            planned = {"screen": made["id"], "date_time": SOON}
            staff.post(f"/api/movies/{film}/shows/", planned)
        call("delete", template, made["id"], by=staff)


def clocks(world: World) -> None:
    call, staff = world.call, world.staff
    late = {"name": "Late", "timezone": "UTC", "day_starts_at": "06:00"}
    with release_before_may_serve():
        call("post", "/api/cinemas/", by=staff, json=late)
        made = staff.post("/api/cinemas/", late | {"day_starts_at": "00:00"}).json["id"]
        call("patch", "/api/cinemas/{cinema_id}/", made, by=staff, json=late)
    hall = staff.post("/api/screens/", {"name": "1", "rows": ROWS, "cinema": made}).json["id"]
    film = world.make_movie("Short", 60)
    place = {"movie_id": film, "screen": hall, "screen_name": None, "total_seats": None}
    _, coming = (world.make_show(**place, starts_in=n * HOUR) for n in (-0.5, 1.25))
    call("patch", "/api/cinemas/{cinema_id}/", made, by=staff, json={"currency": "CHF"})
    earlier = {"timezone": "Etc/GMT-1"}  # one hour ahead of UTC
    call("patch", "/api/cinemas/{cinema_id}/", made, by=staff, json=earlier)
    world.alice.post(f"/api/shows/{coming}/book/", {"seat_number": "A1"})
    call("patch", "/api/cinemas/{cinema_id}/", made, by=staff, json=earlier)


def blocked_seats(world: World) -> None:
    call, staff = world.call, world.staff
    template = "/api/shows/{show_id}/blocked-seats/"
    show = world.hall()
    world.alice.post(f"/api/shows/{show}/book/", {"seat_number": "A1"})

    def body(*labels: str) -> dict[str, Any]:
        return {"seats": [{"seat_number": label, "kind": "house"} for label in labels]}

    call("put", template, show, by=staff, json=body("A1"))
    call("put", template, show, by=staff, json=body("A3"))
    with release_before_may_serve():
        call("put", template, show, by=staff, json=body("A2"))
    call("put", template, show, by=staff, json=body("A2"))
    call("get", template, show, by=staff)
    call("put", template, MISSING, by=staff, json=body("A2"))
    call("get", template, MISSING, by=staff)


def taking_seats(world: World) -> None:
    call, alice = world.call, world.alice
    withdrawn = world.make_show()
    shows.update_show(show_id=withdrawn, on_sale=False)
    gaps = world.make_show(no_single_gaps=True)
    for way in ("book", "hold"):
        template = f"/api/shows/{{show_id}}/{way}/"
        narrow, single = world.make_show(total_seats=3), world.make_show(total_seats=1)
        for unseen in ({"expected_total": "1"}, {"expected_date_time": "2020-01-01T00:00:00Z"}):
            call("post", template, narrow, by=alice, json={"seat_number": "2"} | unseen)
        call("post", template, narrow, by=alice, json={"seat_number": "2"})
        call("post", template, narrow, by=alice, json={"seat_number": "2"})
        call("post", template, narrow, by=alice, json={"quantity": 2})
        call("post", template, single, by=alice, json={"quantity": 1})
        call("post", template, single, by=alice, json={"quantity": 1})
        call("post", template, gaps, by=alice, json={"seat_number": "2"})
        call("post", template, withdrawn, by=alice, json={"quantity": 1})
        call("post", template, world.past_show(), by=alice, json={"quantity": 1})
        call("post", template, MISSING, by=alice, json={"quantity": 1})
        paired = world.hall()
        call("post", template, paired, by=alice, json={"seat_number": "A3"})
        call("post", template, paired, by=alice, json={"seat_number": "A2"})
        not_yet = world.make_show(sales_from=present() + HOUR)
        call("post", template, not_yet, by=alice, json={"quantity": 1})
        capped = world.make_show(total_seats=5)
        shows.update_show(show_id=capped, max_seats_per_account=1)
        call("post", template, capped, by=alice, json={"quantity": 2})
        disabled = {"quantity": 1, "username": "new"}
        call("post", template, capped, by=alice, json=disabled)
        call("post", template, capped, by=world.staff, json=disabled)
    show = world.make_show(total_seats=20)
    hold = "/api/shows/{show_id}/hold/"
    call("post", hold, show, by=alice, json={"quantity": 10})
    call("post", hold, show, by=alice, json={"quantity": 1})


def holds(world: World) -> None:
    call, alice, bob = world.call, world.alice, world.bob
    actions = ("confirm", "extend", "cancel")
    templates = {action: f"/api/bookings/{{booking_id}}/{action}/" for action in actions}
    one = "/api/bookings/{booking_id}/"

    def held(at: timedelta = timedelta(0), minutes: int = 10) -> int:
        made = booking.hold(
            user_id=alice.id,
            show_id=world.make_show(),
            quantity=1,
            policy=BookingPolicy(hold_minutes=minutes),
            now=present() + at,
        )
        return int(made.id)

    mine, expired = held(), held(-HOUR)
    for action in actions:
        call("post", templates[action], mine, by=bob)
        call("post", templates[action], expired, by=alice)
        call("post", templates[action], MISSING, by=alice)
    call("post", templates["extend"], mine, by=alice)
    call("post", templates["extend"], held(-HOUR / 6, minutes=30), by=alice)
    call("get", one, mine, by=bob)
    call("get", one, MISSING, by=bob)
    call("get", one, mine, by=alice)
    call("post", templates["confirm"], mine, by=alice)
    call("post", templates["confirm"], mine, by=alice)
    call("post", templates["extend"], mine, by=alice)
    call("post", templates["cancel"], mine, by=alice)
    closed = held()
    shows.update_show(show_id=get_any_booking(booking_id=closed).show_id, sales_until=present())
    for action in ("confirm", "extend"):
        call("post", templates[action], closed, by=alice)
    for action in actions:
        call("post", templates[action], mine, by=alice)
    pair = booking.book(user_id=alice.id, show_id=world.hall(), seat_numbers=["A3", "A4"])
    call("post", templates["cancel"], pair.id, by=alice, json={"seat_numbers": ["A3"]})
    show = world.past_show()
    sold = booking.book(user_id=alice.id, show_id=show, quantity=1, now=present() - 2 * HOUR)
    call("post", templates["cancel"], sold.id, by=alice)


def retries(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call, alice, staff = world.call, world.alice, world.staff
    show = world.make_show()
    body = {"quantity": 1}
    calls = [(f"/api/shows/{{show_id}}/{way}/", show, body) for way in ("book", "hold")]
    for action in ("confirm", "extend", "cancel"):
        held = alice.post(f"/api/shows/{show}/hold/", body).json["id"]
        calls.append((f"/api/bookings/{{booking_id}}/{action}/", held, {}))
    made: list[tuple[str, list[int], str]] = [
        ("/api/movies/", [], "title"),
        ("/api/movies/{movie_id}/shows/", [world.make_movie()], "screen_name"),
        ("/api/cinemas/", [], "name"),
        ("/api/screens/", [], "name"),
    ]
    with writers_wait_in_vain(monkeypatch):
        for template, number, json in calls:
            key = {"Idempotency-Key": f"late{template}"}
            call("post", template, number, by=alice, json=json, headers=key)
        with db.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("LOCK TABLE idempotency_key IN EXCLUSIVE MODE")
            for template, ids, _ in made:
                key = {"Idempotency-Key": f"late{template}"}
                call("post", template, *ids, by=staff, json=BODIES["post", template], headers=key)
            connection.exec_driver_sql("ROLLBACK")
    for template, ids, name in made:
        key = {"Idempotency-Key": template}
        for value in (f"Once {template}", f"Twice {template}"):
            body = BODIES["post", template] | {name: value}
            call("post", template, *ids, by=staff, json=body, headers=key)
    for template, number, json in calls:
        key = {"Idempotency-Key": template}
        call("post", template, number, by=alice, json=json, headers=key)
        other = json | ({"quantity": 2} if "quantity" in json else {})
        # Another body where there can be one, else another path.
        place = number if other != json else MISSING
        call("post", template, place, by=alice, json=other, headers=key)


def successes(world: World) -> None:
    """What was not seen to succeed yet."""
    call, staff, alice = world.call, world.staff, world.alice
    ids = one_of_each(world)
    show = ids["show_id"]
    call("post", "/api/movies/", by=staff, json=BODIES["post", "/api/movies/"])
    call("post", "/api/movies/{movie_id}/shows/", ids["movie_id"], by=staff, json=SHOW)
    call("patch", "/api/movies/{movie_id}/", ids["movie_id"], by=staff, json={})
    call("patch", "/api/shows/{show_id}/", show, by=staff, json={})
    call("patch", "/api/cinemas/{cinema_id}/", ids["cinema_id"], by=staff, json={})
    call("patch", "/api/screens/{screen_id}/", ids["screen_id"], by=staff, json={})
    call("get", "/api/my-bookings/", by=alice)
    call("get", "/api/bookings/", by=staff)
    call("get", "/api/me/", by=alice)
    call("delete", "/api/shows/{show_id}/", world.make_show(), by=staff)
    call("delete", "/api/movies/{movie_id}/", world.make_movie("Unused"), by=staff)


def one_of_each(world: World) -> dict[str, int]:
    """Ids, by the parameters of paths."""
    show = world.make_show()
    shown = world.staff.get(f"/api/shows/{show}/").json
    ids = {f"{name}_id": shown[name] for name in ("movie", "cinema", "screen")}
    booking_id = world.alice.post(f"/api/shows/{show}/book/", {"quantity": 1}).json["id"]
    return ids | {"show_id": show, "booking_id": booking_id, "account_id": world.alice.id}


def tags(world: World) -> None:
    """What the caller has already; and changes of what is no more as the caller has seen it."""
    call, staff = world.call, world.staff
    ids = one_of_each(world)
    for method, template, operation in operations(world.app):
        numbers = [ids[name] for name in re.findall(r"\{(\w+)\}", template) if name in ids]
        if method == "get" and "304" in operation["responses"]:
            query = {"query_string": PERIOD} if template == "/api/reports/sales/" else {}
            caller = staff if "security" in operation else None
            tag = call(method, template, *numbers, by=caller, **query).headers["ETag"]
            known = {"If-None-Match": tag}
            call(method, template, *numbers, by=caller, headers=known, **query)
        if "412" in operation["responses"]:
            body = BODIES.get((method, template), {})
            if template == "/api/shows/":
                body = body | {"ids": [ids["show_id"]]}
            for tag in ('"stale"', "unquoted"):
                seen = {"If-Match": tag}
                call(method, template, *numbers, by=staff, json=body, headers=seen)


def everywhere(world: World) -> None:
    """What every call, or every one of its kind, can answer."""
    call, staff = world.call, world.staff
    with world.app.app_context():
        late = create_access_token("1", additional_claims={"sid": 1}, expires_delta=-HOUR)
    for method, template, operation in operations(world.app):
        json = {"content_type": "application/json", "by": staff}
        call(method, template, MISSING, by=staff, query_string={"nothing": "1"})
        call(method, template, MISSING, by=staff, query_string="nothing=%FF")
        if method != "get":
            call(method, template, MISSING, data=b" " * (MAX_BODY_BYTES + 1), **json)
            call(method, template, MISSING, data=b"x", by=staff, content_type="text/plain")
            # Cut off on its way.
            cut = {"CONTENT_LENGTH": "9", "wsgi.input": io.BytesIO(b"{")}
            call(method, template, MISSING, environ_overrides=cut, **json)
        if operation["security"]:
            body = {"json": BODIES.get((method, template))} if method != "get" else {}
            call(method, template, MISSING, **body)
            for token in ("x", late):
                call(method, template, MISSING, headers=bearer({"access": token}), **body)
            if "staff_only" in declared(operation):
                call(method, template, MISSING, by=world.bob, **body)


def limited(world: World, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(limits.RULES, "all", replace(limits.RULES["all"], amount=1))
    counting = replace(world, app=make_app(database_url, RATELIMIT_ENABLED="on"))
    counting.app.test_client().get("/openapi.json")
    for method, template, _ in operations(world.app):
        counting.call(method, template, MISSING)


def no_database(world: World) -> None:
    away = replace(world, app=make_app("postgresql://nobody@127.0.0.1:1/none"))
    with away.app.app_context():
        refresh = create_refresh_token("1", additional_claims={"sid": 1})
    for method, template, _ in operations(world.app):
        is_refresh = template == "/api/token/refresh/"
        body = {"refresh": refresh} if is_refresh else BODIES.get((method, template))
        away.call(method, template, MISSING, by=world.staff, **({"json": body} if body else {}))
