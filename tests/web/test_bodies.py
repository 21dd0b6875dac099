"""Bodies: how much of them is read, of whom, and that nothing is done for the rest."""

import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking_app.auth.models import EMAIL_MAX, PASSWORD_MAX, USERNAME_MAX, User
from booking_app.booking.models import Booking
from booking_app.idempotency.models import IdempotencyKey
from booking_app.web.requests import ANONYMOUS_BODY_BYTES, CONTAINERS_MAX, MAX_BODY_BYTES
from booking_app.web.validation import ERRORS_SHOWN
from tests.conftest import Caller, open_tokens, rows
from tests.contract import document
from tests.serving import Server
from tests.wrong import wrong

JSON = {"content_type": "application/json"}
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Upload:
    """A body of this size, made while it is read; `taken` is how much of it was."""

    def __init__(self, size: int, start: bytes = b"{}") -> None:
        self.size = size
        self.start = start
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        left = self.size - self.taken
        size = left if size < 0 else min(size, left)
        piece = self.start[self.taken : self.taken + size].ljust(size)
        self.taken += size
        return piece


def sized(upload: Upload) -> dict[str, Any]:
    """A body whose length is said."""
    environ = {"wsgi.input": upload, "CONTENT_LENGTH": str(upload.size)}
    return {"environ_overrides": environ, **JSON}


def chunked(upload: Upload) -> dict[str, Any]:
    """What gunicorn makes of a chunked body."""
    environ = {"wsgi.input": upload, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    return {"environ_overrides": environ | {"HTTP_TRANSFER_ENCODING": "chunked"}, **JSON}


both_ways = pytest.mark.parametrize("sent", [sized, chunked])
Sent = Callable[[Upload], dict[str, Any]]


def calls(app: Flask) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every call that may have a body: method, path, and what the document says of it."""
    for template, methods in document(app)["paths"].items():
        path = template.replace("{", "{0[").replace("}", "]}")
        path = path.format(dict.fromkeys(names_in(template), 999))
        for method in sorted(set(methods) & {"post", "put", "patch", "delete"}):
            yield method.upper(), path, methods[method]


def names_in(template: str) -> list[str]:
    return [part[1:-1] for part in template.split("/") if part[:1] == "{"]


def needs_token(operation: dict[str, Any]) -> bool:
    return operation["security"] == [{"bearer": []}]


# --- chunked, by a real server --------------------------------------------------------------


@pytest.fixture(scope="module")
def server(migrated_app: Flask, database_url: str) -> Iterator[Server]:
    server = Server(database_url, WEB_CONCURRENCY="1", RATELIMIT_ENABLED="off")
    yield server
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def send(
    server: Server, method: str, path: str, chunks: list[bytes], **headers: str
) -> tuple[int, Any, Any]:
    """One chunked request: the status, the JSON and the headers."""
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, iter(chunks), headers, encode_chunked=True)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null"), answer.headers
    finally:
        connection.close()


@pytest.mark.both_in_ci("sqlite")
def test_a_chunked_body_over_the_limit_is_no_part_of_it(
    server: Server, alice: Caller, show_id: int
) -> None:
    """Its first MiB would be a whole body."""
    book = f"/api/shows/{show_id}/book/"
    headers = {**alice.headers, "Idempotency_Key": "one"}
    first = b'{"seat_number": "1"}'.ljust(MAX_BODY_BYTES)
    for rest in (b" ", b', "seat_number": "2"}', b" " * MAX_BODY_BYTES):
        status, answer, _ = send(server, "POST", book, [first, rest], **headers)
        assert (status, answer["code"]) == (413, "body_too_large")
        assert answer["detail"] == "The body may have at most 1 MiB."
    assert rows(Booking) == rows(IdempotencyKey) == []

    status, booked, _ = send(server, "POST", book, [first[:9], first[9:]], **headers)
    assert (status, booked["seat_numbers"]) == (201, ["1"])
    _, again, answered = send(server, "POST", book, [first], **headers)
    assert (again, answered["Idempotent-Replayed"]) == (booked, "true")
    status, answer, _ = send(server, "POST", book, [first[:16], b'"2"}'], **headers)
    assert (status, answer["code"]) == (422, "idempotency_key_reused")
    assert len(rows(Booking)) == 1


@pytest.mark.both_in_ci("sqlite")
def test_a_chunked_body_that_breaks_off_or_has_no_label_does_nothing(
    server: Server, alice: Caller, show_id: int
) -> None:
    book, token = f"/api/shows/{show_id}/book/", alice.headers["Authorization"]
    whole = b'14\r\n{"seat_number": "1"}\r\n'
    for cut in (whole, whole[:-2], b"15" + whole[2:-2], whole + b"0\r\n", whole + b"x\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            head = f"POST {book} HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n"
            head += f"Content-Type: application/json\r\nAuthorization: {token}\r\n"
            connection.sendall(f"{head}\r\n".encode() + cut)
            connection.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, json.loads(answer.read())["code"]) == (400, "malformed_body")
    unlabelled = {**alice.headers, "Content_Type": ""}
    status, answer, _ = send(server, "POST", book, [b'{"seat_number": "1"}'], **unlabelled)
    assert (status, answer["code"]) == (415, "unsupported_media_type")
    assert rows(Booking) == []


@pytest.mark.both_in_ci("sqlite")
def test_a_chunked_body_is_as_good_as_any_on_every_call(
    app: Flask, server: Server, staff: Caller
) -> None:
    seen = 0
    token = staff.headers["Authorization"].removeprefix("Bearer ")
    for method, path, operation in calls(app):
        by_token = needs_token(operation)
        headers = staff.headers if by_token else {}
        for body in ({}, {"nothing": "x" * 40}):
            data = json.dumps(body).encode()
            status, answer, _ = send(server, method, path, [data[:1], data[1:]], **headers)
            as_any = server.call(method, path, body, token if by_token else None)
            told = [one and (one.get("code"), one.get("detail")) for one in (answer, as_any[1])]
            assert (status, told[0]) == (as_any[0], told[1]), (method, path)
        seen += 1
    assert seen > 20


# --- how much, and of whom ------------------------------------------------------------------


@both_ways
def test_a_stranger_sends_16_kib_at_most(app: Flask, client: FlaskClient, sent: Sent) -> None:
    for method, path, operation in calls(app):
        upload = Upload(10 * MAX_BODY_BYTES)
        answer = client.open(path, method=method, **sent(upload))
        assert (answer.status_code, answer.json["code"]) == (413, "body_too_large"), path
        assert "16 KiB" in answer.json["detail"]
        assert ("Without a token" in answer.json["detail"]) == needs_token(operation)
        # All that was read of it, to see that there is more.
        assert upload.taken == (0 if sent is sized else ANONYMOUS_BODY_BYTES + 1)
    assert len(rows(User)) == 0


@both_ways
def test_of_a_token_that_is_not_good_nothing_large_is_read(
    app: Flask, alice: Caller, client: FlaskClient, sent: Sent
) -> None:
    refresh = open_tokens(alice.id)["refresh"]
    ended = dict(alice.headers)
    assert alice.post("/api/logout/").status_code == 204
    for headers in ({"Authorization": "Bearer x"}, {"Authorization": f"Bearer {refresh}"}, ended):
        for method, path, operation in calls(app):
            if needs_token(operation):
                upload = Upload(MAX_BODY_BYTES)
                answer = client.open(path, method=method, headers=headers, **sent(upload))
                assert (answer.status_code, answer.json["code"]) == (401, "invalid_token"), path
                assert upload.taken == 0


def test_a_token_makes_no_larger_body_good_where_none_is_needed(staff: Caller) -> None:
    for path in ("/api/signup/", "/api/login/", "/api/token/refresh/", "/api/logout/"):
        upload = Upload(ANONYMOUS_BODY_BYTES + 1)
        assert staff.post(path, **sized(upload)).status_code == 413
        assert upload.taken == 0
    assert staff.get("/api/me/").status_code == 200


@both_ways
def test_a_caller_with_a_token_sends_1_mib(staff: Caller, sent: Sent) -> None:
    film = b'{"title": "Film", "duration_minutes": 90}'
    answer = staff.post("/api/movies/", **sent(Upload(MAX_BODY_BYTES + 1, film)))
    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")
    assert staff.get("/api/movies/").json == []
    assert staff.post("/api/movies/", **sent(Upload(MAX_BODY_BYTES, film))).status_code == 201


def test_the_largest_sign_up_is_within_what_a_stranger_may_send(client: FlaskClient) -> None:
    """Each character beyond the basic plane, and written as 12."""
    body = {
        "username": "\U00010400" * USERNAME_MAX,
        "password": "\U0001f3ac\U0001f39f" * (PASSWORD_MAX // 2),
        "email": f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * (EMAIL_MAX - 205)}.example.org",
    }
    data = json.dumps(body, indent=4).ljust(ANONYMOUS_BODY_BYTES)
    assert len(data) == ANONYMOUS_BODY_BYTES
    assert client.post("/api/signup/", data=data, **JSON).status_code == 201
    assert client.post("/api/signup/", data=f"{data} ", **JSON).status_code == 413


# --- refused by count -----------------------------------------------------------------------


def one_error(answer: Any) -> tuple[str, str]:
    """The place and the words of the only error of an answer, which is short."""
    assert answer.status_code == 422, answer.text
    assert len(answer.data) < 1000
    (error,) = answer.json["errors"]
    assert error["code"] == "too_many"
    return error["pointer"], error["detail"]


def names(count: int) -> dict[str, int]:
    return {f"n{number}": 1 for number in range(count)}


@on_sqlite
def test_far_too_many_names_are_one_error_on_every_call(app: Flask, staff: Caller) -> None:
    schemas = document(app)["components"]["schemas"]
    seen = 0
    for method, path, operation in calls(app):
        if "requestBody" not in operation:
            continue
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        possible = len(schemas[reference.rpartition("/")[2]].get("properties", ()))
        many = 5_000 if needs_token(operation) else 1_500
        body = json.dumps(names(many), separators=(",", ":"))
        answer = staff.client.open(path, method=method, data=body, headers=staff.headers, **JSON)
        told = f"Has {many} names; at most {possible} are possible here."
        assert one_error(answer) == ("", told), (method, path)
        seen += 1
    assert seen > 15


def test_as_many_unknown_names_as_are_shown_are_told_each(client: FlaskClient) -> None:
    answer = client.post("/api/signup/", json=names(ERRORS_SHOWN + 3))
    assert len(wrong(answer)) == ERRORS_SHOWN
    answer = client.post("/api/signup/", json=names(ERRORS_SHOWN + 4))
    assert one_error(answer)[0] == ""


ROW = {"label": "A", "seats": 5}


@on_sqlite
@pytest.mark.parametrize(
    ("path", "body", "place", "told"),
    [
        (
            "/api/screens/",
            {"name": "x", "rows": [ROW, names(30), names(30)]},
            "/rows/1",
            "Has 30 names; at most 9 are possible here.",
        ),
        (
            "/api/screens/",
            {"name": "x", "rows": [ROW | {"gaps": ["x"] * 5001}]},
            "/rows/0/gaps",
            "Must have at most 5000 items.",
        ),
        ("/api/screens/", {"rows": ["x"] * 201}, "/rows", "Must have at most 200 items."),
        (
            "/api/movies/999/shows/",
            {"prices": names(51)},
            "/prices",
            "Has 51 names; at most 50 are possible here.",
        ),
        (
            "/api/shows/999/book/",
            {"seat_numbers": [[]] * 101},
            "/seat_numbers",
            "Must have at most 100 items.",
        ),
        (
            "/api/shows/999/book/",
            {"seat_number": [[]] * (CONTAINERS_MAX - 1)},
            "",
            f"Has {CONTAINERS_MAX + 1} lists and objects; at most {CONTAINERS_MAX} are read.",
        ),
    ],
)
def test_more_than_there_can_be_is_one_error_at_its_place(
    staff: Caller, path: str, body: Any, place: str, told: str
) -> None:
    assert one_error(staff.post(path, body)) == (place, told)


@on_sqlite
def test_an_error_repeats_no_long_name(client: FlaskClient) -> None:
    answer = client.post("/api/signup/", json={"x" * 16_000: 1})
    assert len(answer.data) < 1000
    assert f"/{'x' * 100}..." in wrong(answer)
    answer = client.get(f"/api/movies/?{'%01' * 2600}=1")
    assert answer.status_code == 422
    assert len(answer.data) < 2000


@on_sqlite
def test_thousands_of_query_parameters_are_a_short_answer(client: FlaskClient) -> None:
    answer = client.get("/api/movies/?" + "&".join(names(1_200)))
    assert len(wrong(answer)) == ERRORS_SHOWN
    assert len(answer.data) < 2000
