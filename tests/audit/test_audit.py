"""The audit: what is written down, by whom it can be read, and that nothing changes it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import booking_app
from booking_app.audit import service as audit
from booking_app.audit.models import ACTIONS, LOGGED_IN, AuditEvent
from booking_app.catalog import catalog_file
from booking_app.core.database import db, write_transaction
from tests.at_time import set_ahead
from tests.conftest import NOON, PASSWORD, Caller, bearer, rows

ALICE = {"username": "alice", "password": PASSWORD}
PLAN = [{"label": "A", "seats": 5}]


def events(staff: Caller, query: str = "") -> list[dict[str, Any]]:
    """Oldest first, without those that making callers left."""
    found = staff.get(f"/api/audit/?page_size=100{query}").json
    return [event for event in reversed(found) if event["address"] is not None]


@pytest.mark.usefixtures("in_2030")
def test_every_change_by_staff_is_written_down_with_before_and_after(
    staff: Caller, alice: Caller, make_show: Callable[..., int]
) -> None:
    def made(path: str, body: dict[str, Any]) -> Any:
        answer = staff.post(path, body, headers={"X-Request-ID": f"add-{path}"})
        assert answer.status_code == 201
        return answer.json

    movie = made("/api/movies/", {"title": "Film", "duration_minutes": 90})
    cinema = made("/api/cinemas/", {"name": "Roxy", "timezone": "UTC"})
    screen = made("/api/screens/", {"name": "1", "rows": PLAN, "cinema": cinema["id"]})
    when = {"screen": screen["id"], "date_time": "2030-01-31T20:00:00Z", "price": "9.50"}
    show = made(f"/api/movies/{movie['id']}/shows/", when)
    ids = {"movie": movie["id"], "cinema": cinema["id"], "screen": screen["id"], "show": show["id"]}
    paths = {name: f"/api/{name}s/{ids[name]}/" for name in ids} | {
        "account": f"/api/accounts/{alice.id}/"
    }
    ids["account"] = alice.id
    changes = {
        "movie": ({"title": "Film 2"}, {"title": "Film"}, {"title": "Film 2"}),
        "cinema": ({"city": "Wien"}, {"city": None}, {"city": "Wien"}),
        "screen": ({"name": "2"}, {"name": "1"}, {"name": "2"}),
        "show": ({"price": "12.00"}, {"price_cents": 950}, {"price_cents": 1200}),
        "account": ({"is_staff": True}, {"is_staff": False}, {"is_staff": True}),
    }
    for name, (body, before, after) in changes.items():
        assert staff.patch(paths[name], body).status_code == 200
        assert staff.patch(paths[name], body).status_code == 200  # which changes nothing
        (event,) = events(staff, f"&action={name}.changed")
        assert (event["before"], event["after"]) == (before, after)
        assert (event["object_type"], event["object"]) == (name, ids[name])
        assert (event["actor"], event["actor_name"]) == (staff.id, "staff")
        assert event["address"] == "127.0.0.1"
    for name in ("show", "screen", "movie", "cinema"):
        (event,) = events(staff, f"&action={name}.created")
        assert event["before"] is None
        assert event["after"]["id"] == ids[name]
        assert event["request_id"].startswith("add-/api/")
        assert staff.delete(paths[name]).status_code == 204
        (event,) = events(staff, f"&action={name}.deleted")
        assert event["after"] is None
        assert event["before"]["id"] == ids[name]


def test_a_show_withdrawn_while_its_film_is_too(staff: Caller, show_id: int) -> None:
    """What is written down is the show's own, not what is answered for both."""
    movie = staff.get(f"/api/shows/{show_id}/").json["movie"]
    staff.patch(f"/api/movies/{movie}/", {"on_sale": False})
    staff.patch(f"/api/shows/{show_id}/", {"on_sale": False})
    (event,) = events(staff, "&action=show.changed")
    assert (event["before"], event["after"]) == ({"on_sale": True}, {"on_sale": False})


@pytest.mark.usefixtures("in_2030")
def test_what_a_show_in_the_short_form_makes_on_its_way_is_written_down_too(
    staff: Caller, make_movie: Callable[..., int]
) -> None:
    film = make_movie()
    show = {"screen_name": "New", "date_time": "2030-01-31T20:00:00Z", "total_seats": 5}
    assert staff.post(f"/api/movies/{film}/shows/", show).status_code == 201
    assert [event["action"] for event in events(staff)] == [
        "cinema.created",
        "screen.created",
        "show.created",
    ]
    show |= {"date_time": "2030-02-01T20:00:00Z"}
    assert staff.post(f"/api/movies/{film}/shows/", show).status_code == 201
    assert [event["action"] for event in events(staff)][3:] == ["show.created"]


def test_shows_that_go_with_their_film_are_written_down_one_by_one(
    staff: Caller, make_movie: Callable[..., int], make_show: Callable[..., int]
) -> None:
    movie = make_movie()
    shows = [make_show(movie_id=movie, starts_in=timedelta(days=n)) for n in (2, 3)]
    staff.delete(f"/api/movies/{movie}/")
    gone = events(staff, "&action=show.deleted")
    assert [event["object"] for event in gone] == shows
    assert all(event["before"]["movie_id"] == movie for event in gone)


def test_events_of_an_account(client: FlaskClient, staff: Caller) -> None:
    alice = client.post("/api/signup/", json=ALICE).json["id"]
    first = client.post("/api/login/", json=ALICE).json
    client.post("/api/login/", json=ALICE | {"password": "wrong-password"})
    client.post("/api/login/", json={"username": "my-password", "password": "alice"})
    other = client.post("/api/login/", json=ALICE).json
    wrong = {"old_password": "wrong-password", "new_password": "staple-battery-horse"}
    client.put("/api/me/password/", json=wrong, headers=bearer(first))
    client.put("/api/me/password/", json=wrong | {"old_password": PASSWORD}, headers=bearer(first))
    client.post("/api/token/refresh/", json={"refresh": first["refresh"]})
    take_back = set_ahead(db.engine, 31)
    client.post("/api/token/refresh/", json={"refresh": first["refresh"]})
    take_back()
    again = ALICE | {"password": "staple-battery-horse"}
    for logout in ("access", "refresh"):
        tokens = client.post("/api/login/", json=again).json
        if logout == "access":
            client.post("/api/logout/", headers=bearer(tokens))
        else:
            client.post("/api/logout/", json={"refresh": tokens["refresh"]})
    told = [
        (event["action"], event["actor"], event["object"])
        for event in events(staff)
        if event["object_type"] in ("account", "session")
    ]
    one, last = 2, 5  # sessions: staff has the first; alice's second ended with the password
    assert told == [
        ("account.signed_up", None, alice),
        ("account.logged_in", alice, alice),
        ("account.log_in_refused", None, alice),
        ("account.log_in_refused", None, None),
        ("account.logged_in", alice, alice),
        ("account.password_refused", alice, alice),
        ("account.password_changed", alice, alice),
        ("session.refresh_token_reused", None, one),
        ("account.logged_in", alice, alice),
        ("session.ended", alice, last - 1),
        ("account.logged_in", alice, alice),
        ("session.ended", alice, last),
    ]
    ended = [event for event in events(staff) if event["action"] == "session.ended"]
    assert [event["actor_name"] for event in ended] == ["alice", "alice"]
    by_action = {event["action"]: event for event in events(staff)}
    assert by_action["session.refresh_token_reused"]["before"] == {"user_id": alice}
    assert by_action["account.logged_in"]["after"] == {"session": last}
    everything = str(rows(AuditEvent))
    assert "my-password" not in everything  # typed into the wrong field, as people do
    for token in (pair[kind] for pair in (first, other) for kind in ("access", "refresh")):
        assert token not in everything


def test_what_is_refused_leaves_no_row_and_what_is_undone_neither(
    staff: Caller, alice: Caller, show_id: int
) -> None:
    alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1})
    before = len(rows(AuditEvent))
    assert staff.delete(f"/api/shows/{show_id}/").status_code == 409
    assert (
        staff.patch(f"/api/shows/{show_id}/", {"total_seats": 5, "price": "x"}).status_code == 422
    )
    assert alice.post("/api/movies/", {"title": "x", "duration_minutes": 1}).status_code == 403
    assert len(rows(AuditEvent)) == before


def test_it_is_read_with_filters_and_by_the_page(app: Flask, staff: Caller, alice: Caller) -> None:
    def write(action: str, object_id: int, hours: int, user: int) -> None:
        by = audit.Actor(user, "x", "192.0.2.1", "r")
        write_transaction(
            lambda connection: audit.record(
                connection,
                action,
                by=by,
                object_id=object_id,
                after={},
                now=NOON + timedelta(hours=hours),
            )
        )

    for n in range(5):
        write("movie.created", n + 1, n, alice.id)
    write("show.deleted", 1, 5, staff.id)

    def found(query: str) -> list[tuple[str, int]]:
        return [(event["action"], event["object"]) for event in events(staff, query)]

    assert found("&action=show.deleted") == [("show.deleted", 1)]
    assert len(found(f"&actor={alice.id}")) == 5
    assert found("&object_type=movie&object=2") == [("movie.created", 2)]
    assert found("&object=1&since=2030-01-01T00:00:00Z") == [
        ("movie.created", 1),
        ("show.deleted", 1),
    ]
    window = "&since=2030-06-01T14:00:00%2B01:00&until=2030-06-01T15:00:00Z"
    assert found(window) == [("movie.created", 2), ("movie.created", 3)]
    page = staff.get("/api/audit/?object_type=movie&page_size=2&page=2")
    assert [event["object"] for event in page.json] == [3, 2]  # newest first
    assert '"total":5' in page.headers["X-Pagination"]


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_changes_it_over_the_api(staff: Caller, method: str) -> None:
    assert getattr(staff, method)("/api/audit/", {}).status_code == 405
    assert getattr(staff, method)("/api/audit/1/", {}).status_code == 404


def test_what_the_operator_does_at_the_command_line(app: Flask, staff: Caller) -> None:
    runner = app.test_cli_runner()
    made = ["create-superuser", "--username", "boss", "--password", PASSWORD]
    assert runner.invoke(args=made).exit_code == 0
    catalog_file.load_catalog(movies=[{"title": "x", "duration_minutes": 5}], timezone="UTC")
    catalog_file.load_catalog(movies=[{"title": "x", "duration_minutes": 5}], timezone="UTC")
    boss, loaded = rows(AuditEvent)[-2:]
    assert (boss.action, boss.actor_id, boss.after) == (
        "account.signed_up",
        None,
        {"username": "boss", "is_staff": True},
    )
    assert (loaded.action, loaded.after) == (
        "catalog.loaded",
        {"cinemas": 0, "screens": 0, "movies": 1, "shows": 0},
    )


def test_every_action_is_one_that_happens(app: Flask) -> None:
    """Held against the sources: no action is listed that nothing records."""
    sources = "".join(
        path.read_text()
        for path in (Path(booking_app.__file__).parent).rglob("*.py")
        if path.parts[-2:] != ("audit", "models.py")
    )
    missing = [action for action in ACTIONS if f'"{action}"' not in sources]
    assert missing == [LOGGED_IN]
    assert " LOGGED_IN," in sources
