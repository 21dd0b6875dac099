"""What HTTP and its neighbours say of requests: codings, media types, encodings, `Host`, and the
ways in which clients write nothing, whole numbers and times."""

import gzip
import http.client
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import Caller
from tests.serving import ROOT, Server

# Nothing here depends on the database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

JSON = "application/json"
FILM = {"title": "New", "duration_minutes": 90}


# --- bodies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip", "deflate"])
def test_a_body_in_a_coding_is_415_and_says_what_is_taken(staff: Caller, coding: str) -> None:
    packed = gzip.compress(json.dumps(FILM).encode())
    headers = {"Content-Encoding": coding}
    answer = staff.post("/api/movies/", data=packed, content_type=JSON, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")
    assert answer.headers["Accept-Encoding"] == "identity"
    assert staff.get("/api/movies/").json == []


def test_a_body_as_it_is_may_say_so(staff: Caller) -> None:
    headers = {"Content-Encoding": "identity"}
    assert staff.post("/api/movies/", FILM, headers=headers).status_code == 201


@pytest.mark.parametrize(
    "label", ["application/json-patch+json", "application/merge-patch+json", "text/plain"]
)
def test_another_format_is_415_and_says_what_is_taken(
    staff: Caller, make_movie: Any, label: str
) -> None:
    path = f"/api/movies/{make_movie('Old')}/"
    patched = staff.patch(path, data=b'{"title": "New"}', content_type=label)
    assert (patched.status_code, patched.headers["Accept-Patch"]) == (415, JSON)
    posted = staff.post("/api/movies/", data=json.dumps(FILM), content_type=label)
    assert (posted.status_code, posted.headers["Accept"]) == (415, JSON)
    assert "Accept-Patch" not in posted.headers
    assert [film["title"] for film in staff.get("/api/movies/").json] == ["Old"]


def test_json_may_name_its_charset(staff: Caller) -> None:
    label = "Application/JSON; charset=utf-8"
    answer = staff.post("/api/movies/", data=json.dumps(FILM), content_type=label)
    assert answer.status_code == 201


@pytest.mark.parametrize("body", [None, b"", b"null", b" null\n", b"{}"])
def test_null_is_no_body_where_none_is_needed(alice: Caller, show_id: int, body: Any) -> None:
    """Some clients write it for none."""

    def call(path: str) -> int:
        sent = {} if body is None else {"data": body, "content_type": JSON}
        return int(alice.post(path, **sent).status_code)

    alice.post(f"/api/shows/{show_id}/hold/", {"quantity": 2})
    statuses = [call(f"/api/bookings/1/{action}/") for action in ("extend", "confirm", "cancel")]
    assert statuses == [200, 200, 200]
    assert alice.get("/api/bookings/1/").json["status"] == "cancelled"
    assert call("/api/logout/") == 204


@pytest.mark.parametrize("action", ["confirm", "extend"])
def test_confirm_and_extend_have_no_body(
    app: Flask, client: FlaskClient, alice: Caller, show_id: int, action: str
) -> None:
    paths = client.get("/openapi.json").json["paths"]
    assert "requestBody" not in paths[f"/api/bookings/{{booking_id}}/{action}/"]["post"]
    alice.post(f"/api/shows/{show_id}/hold/", {"quantity": 2})
    for body in ({"seat_numbers": ["1"]}, [], 0):
        answer = alice.post(f"/api/bookings/1/{action}/", body)
        assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert alice.get("/api/bookings/1/").json["status"] == "held"
    # Who it is comes first.
    assert client.post(f"/api/bookings/1/{action}/", json={"x": 1}).status_code == 401


def test_null_is_no_film(staff: Caller) -> None:
    answer = staff.post("/api/movies/", data=b"null", content_type=JSON)
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert "title" in answer.text


@pytest.mark.parametrize("body", [[], "x", 5, True, [{}]])
@pytest.mark.parametrize("method", ["post", "patch"])
def test_what_is_no_object_is_told_so_in_words(
    staff: Caller, make_movie: Any, method: str, body: Any
) -> None:
    path = {"post": "/api/movies/", "patch": f"/api/movies/{make_movie()}/"}[method]
    answer = getattr(staff, method)(path, body)
    assert answer.status_code == 422
    assert "Must be an object" in answer.json["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/screens/", {"name": "x", "rows": [[]]}),
        ("/api/screens/", {"name": "x", "rows": ["A"]}),
        ("/api/movies/1/shows/", {"prices": []}),
    ],
)
def test_within_a_body_too(staff: Caller, path: str, body: Any) -> None:
    answer = staff.post(path, body)
    assert answer.status_code == 422
    assert "Must be an object" in answer.text


# --- the head -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query", ["search=%FF", "search=caf%E9", "%FF=1", "search=%C3", "a=%ED%A0%80"]
)
def test_a_query_that_is_no_utf8_is_400(client: FlaskClient, query: str) -> None:
    for path in ("/api/movies/", "/api/", "/admin/login/", "/swagger/"):
        # The admin site answers with a page, which the client of the contract does not know.
        answer = FlaskClient(client.application).get(path, query_string=query)
        assert answer.status_code == 400, path
    answer = client.get("/api/movies/", query_string=query)
    assert answer.json["code"] == "bad_request"
    assert "UTF-8" in answer.json["detail"]


def test_a_query_in_utf8_is_read(client: FlaskClient, make_movie: Any) -> None:
    make_movie("Café")
    for query in ("search=caf%C3%A9", "search=café"):
        (film,) = client.get("/api/movies/", query_string=query).json
        assert film["title"] == "Café"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_the_scheme_of_a_token_is_in_any_case(alice: Caller, scheme: str) -> None:
    token = alice.headers["Authorization"].removeprefix("Bearer ")
    headers = {"Authorization": f"{scheme} {token}"}
    assert alice.get("/api/me/", headers=headers).json["username"] == "alice"


@pytest.mark.parametrize("host", ["a,b", "a b", "a/b", "x@y", "a:b", "[::1", "\xe4"])
def test_a_host_that_can_be_none_is_400(client: FlaskClient, host: str) -> None:
    answer = client.get("/api/movies/", environ_overrides={"HTTP_HOST": host})
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


@pytest.mark.parametrize("host", ["", "a", "tickets.example.org:8000", "[::1]:80", "xn--e1a.x_y"])
def test_a_host_is_taken(client: FlaskClient, host: str) -> None:
    answer = client.get("/api/movies/", environ_overrides={"HTTP_HOST": host})
    assert answer.status_code == 200


# --- by a real server -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(migrated_app: Flask, database_url: str) -> Iterator[Server]:
    server = Server(database_url, WEB_CONCURRENCY="1", RATELIMIT_ENABLED="off")
    yield server
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def raw(server: Server, head: bytes) -> tuple[int, str, bytes]:
    """What these bytes are answered: status, media type and body."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head + b"\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.headers.get_content_type(), answer.read()


@pytest.mark.both_in_ci("sqlite")
def test_http_1_1_needs_a_host_and_1_0_does_not(server: Server) -> None:
    status, _, body = raw(server, b"GET /api/movies/ HTTP/1.1\r\n")
    assert (status, json.loads(body)["code"]) == (400, "bad_request")
    assert "Host" in json.loads(body)["detail"]
    assert raw(server, b"GET /api/movies/ HTTP/1.0\r\n")[0] == 200
    assert raw(server, b"GET /api/movies/ HTTP/1.1\r\nHost: x\r\n")[0] == 200


GET, HOST = b"GET /api/movies/ HTTP/1.1\r\n", b"Host: x\r\n"
POST = b"POST /api/login/ HTTP/1.1\r\nHost: x\r\n"
# As docs/api.md names them.
GUNICORNS_OWN = {
    "a request line of more than 8,190 bytes": b"GET /?" + b"x" * 8190 + b" HTTP/1.1\r\n" + HOST,
    "a header line of more than 8,190 bytes": GET + HOST + b"X: " + b"x" * 8190 + b"\r\n",
    "more than 100 header lines": GET + HOST + b"".join(b"X%d: 1\r\n" % n for n in range(101)),
    "a request line that can't be read": b"GET  /api/movies/\r\n",
    "a method that can't be one": b"g(t /api/movies/ HTTP/1.1\r\n" + HOST,
    "an HTTP version that is not 1.0 or 1.1": b"GET /api/movies/ HTTP/3.0\r\n" + HOST,
    "a header that can't be read": GET + HOST + b"X y: 1\r\n",
    "a folded header": GET + HOST + b"X: 1\r\n 2\r\n",
    "two `Host` lines": GET + HOST + HOST,
    "a wrong `Content-Length`": POST + b"Content-Length: -1\r\n",
    "two ways of saying how long the body is": POST
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    "an `Expect` other than `100-continue`": GET + HOST + b"Expect: x\r\n",
    "a `Transfer-Encoding` that it does not know": POST + b"Transfer-Encoding: x\r\n",
}


@pytest.mark.both_in_ci("sqlite")
def test_what_gunicorn_itself_refuses_is_what_the_docs_list(server: Server) -> None:
    guide = (ROOT / "docs" / "api.md").read_text()
    table = re.search(r"<!-- gunicorn -->\n(.*?)<!-- /gunicorn -->", guide, re.DOTALL)
    assert table
    listed = dict(re.findall(r"^\| (.*?) \| (\d+) \|$", table[1], re.MULTILINE))
    seen = {}
    for what, head in GUNICORNS_OWN.items():
        status, media_type, body = raw(server, head)
        assert media_type == "text/html", what
        assert b"problem" not in body
        seen[what] = str(status)
    assert listed == seen


# --- numbers and times ----------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "read"), [("2017.0", 2017), ("2.017e3", 2017), ("2017", 2017)])
def test_a_number_without_a_fraction_is_whole(staff: Caller, sent: str, read: int) -> None:
    body = f'{{"title": "New", "duration_minutes": 90.0, "year": {sent}}}'
    made = staff.post("/api/movies/", data=body, content_type=JSON).json
    assert (made["year"], made["duration_minutes"]) == (read, 90)


@pytest.mark.parametrize("sent", ["2017.5", "1e400", "1e300", "-1e300", '"2017.0"', "2017.0000001"])
def test_another_is_not(staff: Caller, sent: str) -> None:
    body = f'{{"title": "New", "duration_minutes": 90, "year": {sent}}}'
    answer = staff.post("/api/movies/", data=body, content_type=JSON)
    assert answer.status_code in (400, 422)  # orjson reads no number beyond the doubles
    assert staff.get("/api/movies/").json == []
