"""Idempotency-Key: sent again, a request is answered as before and done once."""

import http.client
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from flask import Flask

from booking_app.booking import service
from booking_app.booking.idempotency import (
    Attempt,
    IdempotencyKeyReused,
    StoredAnswer,
)
from booking_app.booking.models import Booking, IdempotencyKey
from booking_app.booking.queries import BookingDetails
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


def attempt(
    caller: Caller, key: str, minutes: float = 0, fingerprint: str = "f"
) -> Attempt[BookingDetails]:
    def render(booking: BookingDetails) -> StoredAnswer:
        return StoredAnswer(201, json.dumps({"id": booking.id}), None)

    return Attempt(caller.id, render, key, fingerprint, NOON + timedelta(minutes=minutes))


def test_keys_are_kept_for_24_hours_and_then_cleaned_up(
    alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(now=NOON, starts_in=timedelta(days=5), total_seats=30)

    def book(seat: int, key: str, minutes: float) -> Any:
        return attempt(alice, key, minutes, str(seat)).run(
            service.book,
            user_id=alice.id,
            show_id=show,
            seat_number=str(seat),
            now=NOON + timedelta(minutes=minutes),
        )

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


def test_at_most_two_statements_more_and_none_without_a_key(alice: Caller, show_id: int) -> None:
    path = f"/api/shows/{show_id}/book/"
    alice.post(path, {"seat_number": 10}, headers={"Idempotency-Key": "first"})
    with counted() as without:
        alice.post(path, {"seat_number": 1})
    with counted() as with_key:
        alice.post(path, {"seat_number": 2}, headers=KEY)
    assert not any("idempotency" in statement for statement in without)
    assert len(with_key) <= len(without) + 2


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
