"""Idempotency-Key: sent again, a request is answered as before and done once."""

import hashlib
import http.client
import json
import os
import signal
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.audit.models import AuditEvent
from booking_app.booking import service
from booking_app.booking.models import Booking
from booking_app.catalog.models import Cinema, Movie, Screen, Show
from booking_app.core.database import db
from booking_app.idempotency.models import IdempotencyKey
from booking_app.idempotency.retriable import _sent, _stored
from booking_app.idempotency.service import (
    Attempt,
    Fingerprints,
    IdempotencyKeyReused,
    StoredAnswer,
    meaning,
)
from tests.conftest import NOON, PASSWORD, Caller, rows
from tests.promise import broken_promises
from tests.serving import Server, wait_until
from tests.system.test_server import writers_wait_in_vain
from tests.system.test_statements import counted

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def same(first: Any, second: Any) -> bool:
    """Whether two answers are the same byte for byte, the second marked as a replay."""
    return (
        first.status_code == second.status_code
        and first.data == second.data
        and first.headers.get("Location") == second.headers.get("Location")
        and "Idempotent-Replayed" not in first.headers
        and second.headers["Idempotent-Replayed"] == "true"
    )


def test_every_writing_call_gives_its_first_answer_again(alice: Caller, show_id: int) -> None:
    path = f"/api/shows/{show_id}"
    numbers = count()

    def twice(where: str, body: Any = None) -> Any:
        key = {"Idempotency-Key": f"call-{next(numbers)}"}
        first = alice.post(where, body, headers=key)
        assert first.status_code in (200, 201), first.text
        before = rows(Booking)
        for _ in range(2):
            assert same(first, alice.post(where, body, headers=key)), where
        assert rows(Booking) == before
        return first.json["id"]

    booked = twice(f"{path}/book/", {"seat_number": 1})
    twice(f"{path}/book/", {"quantity": 2})
    held = twice(f"{path}/hold/", {"seat_numbers": ["9", "10"]})
    twice(f"/api/bookings/{held}/extend/")
    twice(f"/api/bookings/{held}/confirm/")
    twice(f"/api/bookings/{held}/cancel/", {"seat_numbers": ["9"]})
    twice(f"/api/bookings/{booked}/cancel/")
    assert broken_promises() == []


def test_the_answer_is_the_first_one_whatever_has_happened_since(
    alice: Caller, bob: Caller, show_id: int
) -> None:
    path = f"/api/shows/{show_id}/book/"
    first = alice.post(path, {"seat_number": 1}, headers=KEY)
    alice.post(f"/api/bookings/{first.json['id']}/cancel/")
    assert bob.post(path, {"seat_number": 1}).status_code == 201
    again = alice.post(path, {"seat_number": 1}, headers=KEY)
    assert same(first, again)
    assert again.json["status"] == "booked"  # as it was answered


def test_a_key_is_for_one_request_of_one_caller(alice: Caller, bob: Caller, show_id: int) -> None:
    book, hold = f"/api/shows/{show_id}/book/", f"/api/shows/{show_id}/hold/"
    assert alice.post(book, {"seat_number": 1}, headers=KEY).status_code == 201
    for path, body in ((book, {"seat_number": 2}), (hold, {"seat_number": 1})):
        refused = alice.post(path, body, headers=KEY)
        assert (refused.status_code, refused.json["code"]) == (422, "idempotency_key_reused")
    assert bob.post(book, {"seat_number": 2}, headers=KEY).status_code == 201
    assert alice.post(book[:-1], {"seat_number": 1}, headers=KEY).status_code == 201  # no slash
    assert len(rows(Booking)) == 2


def test_a_refusal_is_not_kept(alice: Caller, bob: Caller, show_id: int) -> None:
    path = f"/api/shows/{show_id}/book/"
    his = bob.post(path, {"seat_number": 1}).json
    assert alice.post(path, {"seat_number": 1}, headers=KEY).status_code == 409
    assert rows(IdempotencyKey) == []
    bob.post(f"/api/bookings/{his['id']}/cancel/")
    assert alice.post(path, {"seat_number": 1}, headers=KEY).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "ключ", "a\x7fb"])
def test_a_key_that_cannot_be_is_422(alice: Caller, show_id: int, key: str) -> None:
    headers = {"Idempotency-Key": key.encode().decode("latin-1")}
    refused = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}, headers=headers)
    assert refused.status_code == 422
    (error,) = refused.json["errors"]
    assert error.pop("detail") == "Must be 1 to 255 visible ASCII characters."
    assert error == {"in": "header", "name": "Idempotency-Key", "code": "invalid_format"}
    assert rows(Booking) == []


def attempt(caller: Caller, key: str, minutes: float = 0, body: str = "") -> Attempt:
    request = Fingerprints("POST", "/", body.encode())
    return Attempt(caller.id, key, request, NOON + timedelta(minutes=minutes))


def test_keys_are_kept_for_24_hours_and_then_cleaned_up(
    alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(now=NOON, starts_in=timedelta(days=5), total_seats=30)

    def book(seat: int, key: str, minutes: float) -> Any:
        def answer() -> StoredAnswer:
            booking = service.book(
                user_id=alice.id,
                show_id=show,
                seat_number=str(seat),
                now=NOON + timedelta(minutes=minutes),
            )
            return StoredAnswer(201, json.dumps({"id": booking.id}))

        return attempt(alice, key, minutes, str(seat)).run(answer)

    for number in range(1, 9):
        book(number, f"key-{number}", 0)
    day = 24 * 60
    assert book(1, "key-1", day - 1).replayed
    with pytest.raises(IdempotencyKeyReused):
        book(2, "key-1", day - 1)
    # A day later the key is as good as new, for another request too.
    fresh = book(11, "key-1", day)
    assert not fresh.replayed
    assert len(rows(IdempotencyKey)) < 8  # and a few of the old ones are gone
    book(12, "key-x", day)
    assert {row.key for row in rows(IdempotencyKey)} == {"key-1", "key-x"}


def test_a_replay_has_the_headers_of_the_first_answer(alice: Caller, show_id: int) -> None:
    def answer() -> StoredAnswer:
        service.book(user_id=alice.id, show_id=show_id, seat_number="1")
        return StoredAnswer(201, "{}", "/api/x/1/", {"ETag": '"7"'})

    first = attempt(alice, "key").run(answer)
    again = attempt(alice, "key").run(answer)
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.status, again.location, again.headers) == (201, "/api/x/1/", {"ETag": '"7"'})
    with alice.client.application.test_request_context():
        sent = _sent(again)
        assert _stored(sent) == StoredAnswer(
            201, "{}", "/api/x/1/", {"ETag": '"7"', "Idempotent-Replayed": "true"}
        )


def test_at_most_two_statements_more_and_none_without_a_key(alice: Caller, show_id: int) -> None:
    path = f"/api/shows/{show_id}/book/"
    alice.post(path, {"seat_number": 10}, headers={"Idempotency-Key": "first"})
    with counted() as without:
        alice.post(path, {"seat_number": 1})
    with counted() as with_key:
        alice.post(path, {"seat_number": 2}, headers=KEY)
    assert not any("idempotency" in statement for statement in without)
    assert len(with_key) <= len(without) + 2


# --- what staff make ------------------------------------------------------------------------


SOON = "2030-01-31T20:00:00Z"
ROWS = [{"label": "A", "seats": 5}]
MADE = [
    (Movie, "/api/movies/", {"title": "Stalker", "duration_minutes": 162}),
    (Cinema, "/api/cinemas/", {"name": "Burg Kino", "timezone": "Europe/Vienna"}),
    (Screen, "/api/screens/", {"name": "Saal 1", "rows": ROWS}),
    (
        Show,
        "/api/movies/{movie}/shows/",
        {"screen_name": "S", "date_time": SOON, "total_seats": 5, "price": "9.50"},
    ),
]


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize(("table", "path", "body"), MADE, ids=[path for _, path, _ in MADE])
def test_what_staff_make_is_made_once(
    staff: Caller, make_movie: Callable[..., int], table: Any, path: str, body: dict[str, Any]
) -> None:
    path = path.format(movie=make_movie())
    first = staff.post(path, body, headers=KEY)
    assert first.status_code == 201, first.text
    made, written = rows(table), rows(AuditEvent)
    again = staff.post(path, dict(reversed(body.items())), headers=KEY)
    assert same(first, again)
    assert again.headers.get("ETag") == first.headers.get("ETag")
    assert (rows(table), rows(AuditEvent)) == (made, written)
    changed = {name: "10.00" for name in ("title", "name", "price") if name in body}
    other = staff.post(path, body | changed, headers=KEY)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert rows(table) == made


def test_every_post_with_a_token_that_makes_something_takes_a_key(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").json
    without = set()
    for path, operations in document["paths"].items():
        post = operations.get("post", {})
        names = [parameter.get("name") for parameter in post.get("parameters", ())]
        if "Idempotency-Key" not in names and post.get("security") == [{"bearer": []}]:
            without.add(path)
    assert without == set()


def test_what_is_refused_keeps_nothing_and_may_be_asked_again(staff: Caller, bob: Caller) -> None:
    film = {"title": "Stalker", "duration_minutes": 162, "external_id": "x"}
    first = staff.post("/api/movies/", film).json
    refused = staff.post("/api/movies/", film, headers=KEY)
    assert (refused.status_code, refused.json["code"]) == (409, "external_id_taken")
    assert bob.post("/api/movies/", film, headers=KEY).status_code == 403
    assert staff.post("/api/movies/", {}, headers=KEY).status_code == 422
    assert rows(IdempotencyKey) == []
    staff.delete(f"/api/movies/{first['id']}/")
    assert staff.post("/api/movies/", film, headers=KEY).status_code == 201


# --- what a body means ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"quantity":2,"accessible":0}',
        b'{ "quantity" :\t2,\n"accessible":0 }\r\n',
        b'{"accessible": 0, "quantity": 2}',
        b'{"\\u0071uantity": 2, "accessible": 0}',
    ],
)
def test_white_space_order_and_spelling_do_not_count(
    alice: Caller, show_id: int, body: bytes
) -> None:
    path = f"/api/shows/{show_id}/book/"
    first = alice.post(path, {"quantity": 2, "accessible": 0}, headers=KEY)
    again = alice.post(path, data=body, content_type="application/json", headers=KEY)
    assert same(first, again)
    assert len(rows(Booking)) == 1


def test_an_empty_body_is_an_empty_object(alice: Caller, show_id: int) -> None:
    held = alice.post(f"/api/shows/{show_id}/hold/", {"quantity": 1}).json["id"]
    path = f"/api/bookings/{held}/cancel/"
    first = alice.post(path, headers=KEY)
    assert first.status_code == 200
    assert same(first, alice.post(path, {}, headers=KEY))


@pytest.mark.parametrize("number", ["1.0", "1e0", "10E-1", "1.00000"])
def test_it_does_not_count_how_a_number_is_written(number: str) -> None:
    assert meaning(b'{"a": [1]}') == meaning(f'{{"a": [{number}]}}'.encode())


def test_bodies_that_mean_something_else_differ() -> None:
    bodies = [
        *(b"{}", b'{"a": 1}', b'{"a": "1"}', b'{"a": 1.5}', b'{"a": true}', b'{"a": null}'),
        *(b'{"a": [1, 2]}', b'{"a": [2, 1]}', b'{"a": {}}', b'{"b": 1}', b'{"a": " 1"}'),
        *(b'{"a": 9007199254740993}', b'{"a": 9007199254740992}', b"[", b"{", b"\xff"),
        b"[" * 100_000,
    ]
    made = {Fingerprints("POST", "/", body).of_meaning for body in bodies}
    assert len(made) == len(bodies)
    places = [("POST", "/a"), ("POST", "/b"), ("PUT", "/a")]
    assert len({Fingerprints(*place, b"{}").of_meaning for place in places}) == 3


def test_a_body_that_is_refused_is_not_taken_apart_for_its_meaning(
    alice: Caller, show_id: int
) -> None:
    """Written out, each of its numbers has 309 digits: 54 MB."""
    body = b"[" + b",".join([b"1e308"] * 170_000) + b"]"
    tracemalloc.start()
    try:
        refused = alice.post(
            f"/api/shows/{show_id}/book/", data=body, content_type="application/json", headers=KEY
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.status_code == 422
    assert peak < 30_000_000


# --- the release before ---------------------------------------------------------------------


def test_answers_kept_by_the_release_before_stay_good(alice: Caller, show_id: int) -> None:
    """It knows a request by its bytes alone."""
    path, body = f"/api/shows/{show_id}/book/", {"seat_number": 1}
    first = alice.post(path, body, headers=KEY)
    with db.engine.begin() as connection:
        connection.execute(sa.update(IdempotencyKey).values(meaning=None, headers=None))
    assert same(first, alice.post(path, body, headers=KEY))
    other = alice.post(path, {"seat_number": 2}, headers=KEY)
    assert other.json["code"] == "idempotency_key_reused"


def test_the_release_before_finds_what_it_compares(alice: Caller, show_id: int) -> None:
    path = f"/api/shows/{show_id}/book"
    answer = alice.post(f"{path}/", {"seat_number": 1}, headers=KEY)
    (row,) = rows(IdempotencyKey)
    sent = f"POST {path}\n".encode() + b'{"seat_number": 1}'
    assert row.fingerprint == hashlib.sha256(sent).hexdigest()
    assert (row.status, row.body, row.location) == (
        201,
        answer.text,
        f"/api/bookings/{answer.json['id']}/",
    )


# --- at once --------------------------------------------------------------------------------


@pytest.mark.promise
def test_eight_of_staff_at_once_make_one(app: Flask, staff: Caller) -> None:
    for number in range(3):
        start = threading.Barrier(8)
        body = {"name": f"Saal {number}", "rows": ROWS}

        def send(body: Any = body, start: threading.Barrier = start) -> Any:
            headers = staff.headers | {"Idempotency-Key": body["name"].replace(" ", "-")}
            client = app.test_client()
            start.wait()
            return client.post("/api/screens/", json=body, headers=headers)

        with ThreadPoolExecutor(8) as pool:
            answers = [future.result() for future in [pool.submit(send) for _ in range(8)]]
        assert {answer.status_code for answer in answers} == {201}, [a.text for a in answers]
        assert len({answer.data for answer in answers}) == 1
        assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
        assert len(rows(Screen)) == number + 1


@pytest.mark.promise
@pytest.mark.parametrize("body", [{"seat_number": "1"}, {"quantity": 2}])
def test_eight_at_once_are_one(
    app: Flask, alice: Caller, make_show: Callable[..., int], body: dict[str, Any]
) -> None:
    for _ in range(3):
        show = make_show(total_seats=30)
        barrier = threading.Barrier(8)
        answers: list[Any] = []

        def send(show=show, barrier=barrier, answers=answers) -> None:
            client = app.test_client()
            barrier.wait()
            headers = alice.headers | {"Idempotency-Key": f"show-{show}"}
            answers.append(client.post(f"/api/shows/{show}/book/", json=body, headers=headers))

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status_code for answer in answers} == {201}, [a.text for a in answers]
        assert len({answer.data for answer in answers}) == 1
        assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
        assert len([row for row in rows(Booking) if row.show_id == show]) == 1
    assert broken_promises() == []


def test_a_first_that_never_ends_is_409_with_retry_after(
    app: Flask, alice: Caller, show_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writers_wait_in_vain(monkeypatch):
        answer = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}, headers=KEY)
    assert (answer.status_code, answer.json["code"]) == (409, "idempotency_in_progress")
    assert answer.headers["Retry-After"] == "1"
    again = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}, headers=KEY)
    assert again.status_code == 201


@pytest.fixture
def server(app: Flask, database_url: str) -> Iterator[Server]:
    server = Server(database_url)
    yield server
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


@pytest.mark.both_in_ci("postgresql")
def test_a_connection_killed_after_the_commit_and_tried_again(server: Server, show_id: int) -> None:
    """The caller never sees the first answer; with the same key the second try is that answer."""
    token = server.log_in("alice", PASSWORD)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} | KEY
    path, body = f"/api/shows/{show_id}/book/", '{"seat_number": 1}'
    lost = http.client.HTTPConnection("127.0.0.1", server.port)
    lost.request("POST", path, body, headers)
    wait_until(lambda: len(rows(Booking)) == 1)
    lost.sock.close()
    lost.close()
    again = http.client.HTTPConnection("127.0.0.1", server.port)
    again.request("POST", path, body, headers)
    answer = again.getresponse()
    booking = json.loads(answer.read())
    again.close()
    assert (answer.status, answer.headers["Idempotent-Replayed"]) == (201, "true")
    ((reference,),) = rows(Booking, Booking.reference)
    assert booking["reference"] == reference
    assert broken_promises() == []
