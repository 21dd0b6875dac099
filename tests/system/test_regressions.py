"""Defects that were found by hand, each with the test that failed before it was mended."""

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.booking import service
from booking_app.booking.models import Booking
from booking_app.catalog import shows
from booking_app.catalog.models import Screen, Show, ShowSeat
from booking_app.core.database import write_transaction
from tests.conftest import NOON, PASSWORD, Caller, make_app, rows
from tests.promise import at_once, broken_promises
from tests.serving import Server
from tests.system.test_statements import counted


@pytest.mark.promise
def test_a_hold_confirmed_at_its_end_keeps_its_seat_from_staff(
    app: Flask,
    alice: Caller,
    make_show: Callable[..., int],
    rounds: Callable[[int, int], int],
) -> None:
    """Staff see the hold ended, the customer confirms just before: one of the two is refused."""
    show = make_show(now=NOON, starts_in=timedelta(hours=5), total_seats=9)
    ends = NOON + timedelta(minutes=10)
    mine = service.hold(user_id=alice.id, show_id=show, seat_number="9", now=NOON).id
    before = rows(Show)

    def confirm() -> None:
        just_before = ends - timedelta(microseconds=1)
        service.confirm(user_id=alice.id, booking_id=mine, now=just_before)

    def shrink() -> None:
        shows.update_show(show_id=show, total_seats=8, now=ends)

    def as_before(connection: sa.Connection) -> None:
        connection.execute(sa.update(Booking).values(status="held", expires_at=ends))
        same = {"total_seats": 9, "version": before[0].version}
        connection.execute(sa.update(Show).values(same))
        connection.execute(sa.delete(ShowSeat).where(ShowSeat.label == "9"))
        nine = {"show_id": show, "label": "9", "position": 9, "price_cents": 950}
        connection.execute(sa.insert(ShowSeat).values(**nine, booking_id=mine, held_until=ends))

    for _ in range(rounds(150, 20)):
        confirmed, changed = at_once(app, confirm, shrink)
        assert broken_promises(ends) == []
        if confirmed == "done":
            assert changed == "seats_sold"
            assert rows(Show) == before
        else:
            assert (confirmed, changed) == ("hold_expired", "done")
        write_transaction(as_before)


@pytest.mark.promise
def test_two_changes_of_a_show_at_once_both_find_it(
    app: Flask, make_show: Callable[..., int], rounds: Callable[[int, int], int]
) -> None:
    halls = ["One", "Two"]
    for hall in halls:
        make_show(screen_name=hall, starts_in=timedelta(days=9))
    show = make_show()
    for number in range(rounds(25, 10)):
        outcomes = at_once(
            app,
            lambda number=number: shows.update_show(show_id=show, screen_name=halls[number % 2]),
            lambda: shows.update_show(show_id=show, price=Decimal(1)),
        )
        assert outcomes == ["done", "done"]


def test_a_new_price_has_nothing_to_do_with_screens(
    staff: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show()
    before = rows(Screen)
    with counted() as statements:
        assert staff.patch(f"/api/shows/{show}/", {"price": "7.00"}).status_code == 200
    assert not any("INTO screen" in statement for statement in statements)
    assert rows(Screen) == before


@pytest.mark.promise
def test_a_screen_renamed_and_looked_for_at_once(
    app: Flask,
    make_movie: Callable[..., int],
    staff: Caller,
    rounds: Callable[[int, int], int],
) -> None:
    """The one that is looked for is found, or made anew under its old name."""
    movie = make_movie()
    for number in range(rounds(15, 8)):
        made = shows.create_show(
            movie_id=movie,
            screen_name=f"Old {number}",
            date_time=NOON + timedelta(days=number),
            total_seats=1,
            now=NOON - timedelta(days=1),
        )
        from booking_app.catalog import venues

        outcomes = at_once(
            app,
            lambda made=made, n=number: venues.update_screen(
                screen_id=made["screen_id"], name=f"New {n}"
            ),
            lambda n=number: shows.create_show(
                movie_id=movie,
                screen_name=f"Old {n}",
                date_time=NOON + timedelta(days=100 + n),
                total_seats=1,
                now=NOON - timedelta(days=1),
            ),
        )
        assert outcomes == ["done", "done"]


# --- bodies ---------------------------------------------------------------------------------


@pytest.fixture
def server(app: Flask, database_url: str) -> Iterator[Server]:
    server = Server(database_url, WEB_CONCURRENCY="1")
    yield server
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def raw(server: Server, request: str) -> bytes:
    """Send just that and end there; the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.mark.both_in_ci("sqlite")
def test_a_body_that_is_cut_short_or_broken_is_400_and_does_nothing(
    server: Server, show_id: int
) -> None:
    """A cancel of one seat, cut off after its headers, must not be a cancel of all."""
    token = server.log_in("alice", PASSWORD)
    path = f"/api/shows/{show_id}/book/"
    booking = server.call("POST", path, {"seat_numbers": ["1", "2"]}, token)[1]["id"]
    head = (
        f"POST /api/bookings/{booking}/cancel/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    )
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n"
    for request in (
        f"{head}Content-Length: 23\r\n\r\n",
        f"{head}Content-Length: 23\r\n\r\n{{}}",
        f"{head}Content-Length: 3\r\n\r\n   ",
        f"{chunked}zz\r\n",
        f"{chunked}2\r\n{{}}XX0\r\n\r\n",
    ):
        answer = raw(server, request)
        assert b" 400 " in answer.split(b"\r\n")[0], (request, answer)
        assert b'"code":"malformed_body"' in answer
    assert [row.status for row in rows(Booking)] == ["booked"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/movies/", {"title": "x", "duration_minutes": 1, "genres": [1] * 200_000}),
        ("/api/shows/1/book/", {"seat_numbers": [[]] * 200_000}),
        ("/api/signup/", {f"key{n}": 1 for n in range(1_000)}),
        ("/api/login/", {"username": " " * 15_000 + "a", "password": "x"}),
    ],
)
def test_a_small_body_makes_no_large_answer(staff: Caller, path: str, body: dict[str, Any]) -> None:
    refused = staff.post(path, body)
    assert refused.status_code == 422
    assert len(refused.data) < 10_000


@pytest.mark.parametrize(
    "date_time",
    [
        "2030-01-01T22:00:00+00:00\x00",
        "2030-01-01T18:00:00 Z",
        "2030-01-01T10Z",
        "2030-01-01T1900Z",
        "2030-01-01T10:00:00+05:30:15",
    ],
)
def test_a_time_has_one_form(staff: Caller, show_id: int, date_time: str) -> None:
    assert staff.patch(f"/api/shows/{show_id}/", {"date_time": date_time}).status_code == 422


@pytest.mark.parametrize("title", ["\u200b", "\u202e\u2060", " \ufeff "])
def test_a_text_that_shows_nothing_is_blank(staff: Caller, title: str) -> None:
    assert staff.post("/api/movies/", {"title": title, "duration_minutes": 1}).status_code == 422


def test_a_genre_holds_no_bar_of_any_width(staff: Caller) -> None:
    body = {"title": "x", "duration_minutes": 1, "genres": ["Dra\uff5cma"]}
    assert staff.post("/api/movies/", body).status_code == 422


@pytest.mark.parametrize("name", ["हिन्दी", "é", "e\u0301ric"])
def test_names_may_have_the_marks_of_their_script(client: FlaskClient, name: str) -> None:
    body = {"username": name, "password": PASSWORD}
    assert client.post("/api/signup/", json=body).status_code == 201


@pytest.mark.parametrize("name", ["..", "@", "-+-"])
def test_a_name_has_a_letter_or_digit(client: FlaskClient, name: str) -> None:
    body = {"username": name, "password": PASSWORD}
    assert client.post("/api/signup/", json=body).status_code == 422


# --- HTTP -----------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["If-Match", "If-Unmodified-Since", "Range"])
def test_the_seat_map_knows_no_condition_but_if_none_match(
    client: FlaskClient, show_id: int, header: str
) -> None:
    answer = client.get(f"/api/shows/{show_id}/seats/", headers={header: '"x"'})
    assert answer.status_code == 200


def test_a_wrong_method_is_405_without_the_last_slash_too(client: FlaskClient) -> None:
    for path in ("/api/signup", "/api/signup/", "/api/shows/1/book", "/api/shows/1/book/"):
        answer = client.get(path)
        assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
        assert "POST" in answer.headers["Allow"]


def test_what_was_sent_does_not_stand_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A database without tables: the error of the sign-up has the account among its values."""
    (tmp_path / "empty.db").touch()
    app = make_app(f"sqlite:///{tmp_path}/empty.db")
    with caplog.at_level(logging.DEBUG):
        answer = FlaskClient(app).post(
            "/api/signup/",
            json={"username": "leak", "password": PASSWORD, "email": "leak@example.org"},
        )
    assert answer.status_code == 500
    assert "no such table" in caplog.text
    assert "argon2id" not in caplog.text
    assert "leak@example.org" not in caplog.text
