"""Headers and forms that are too large, and what refused bodies count for."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking_app.admin.access import FIELDS_MAX
from booking_app.auth.models import PASSWORD_MAX, USERNAME_MAX
from booking_app.catalog.models import Movie
from booking_app.web import limits
from booking_app.web.requests import ANONYMOUS_BODY_BYTES, MAX_BODY_BYTES, HeaderLimit
from tests.admin_site import Site
from tests.conftest import PASSWORD, Caller, make_app, rows
from tests.web.test_bodies import JSON, Upload, chunked, names, on_sqlite, sized
from tests.web.test_rate_limits import LIMITED, REFUSED, Clock, log_in, lower

FORM = {"content_type": "application/x-www-form-urlencoded"}
ALICE = {"username": "alice", "password": PASSWORD}
ADDRESS = {"X-Forwarded-For": "192.0.2.1"}

# --- headers --------------------------------------------------------------------------------

PATHS = [
    "/api/movies/",
    "/api/me/",
    "/api/shows/1/seats/",
    "/swagger/",
    "/admin/login/",
    "/health/",
]


@on_sqlite
@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("If-None-Match", "*,"),
        ("Accept", "a/b;q=0.1,"),
        ("Authorization", "a,"),
        ("Cookie", "a=\\377;"),
        ("X-Unknown", "x"),
    ],
)
def test_a_header_of_more_than_8_kib_is_refused_on_every_path(
    app: Flask, name: str, part: str
) -> None:
    # Not the client of the API's contract: no call declares what comes before all of them.
    client = FlaskClient(app, app.response_class, use_cookies=False)
    for path in PATHS:
        headers = {name: part * (8500 // len(part))}
        answer = client.get(path, headers=headers)
        assert answer.status_code == 400, path
        assert f"A header may have at most 8 KiB, all its lines together: {name}." in answer.text
        answer = client.get(path, headers={name: part * (8000 // len(part))})
        assert answer.status_code < 500
        assert answer.status_code != 400


def test_nothing_takes_a_large_header_apart() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        return []

    short = {"HTTP_HOST": "here", "HTTP_X_FORWARDED_FOR": "192.0.2.1", "PATH_INFO": "/" * 8000}
    large = {"HTTP_COOKIE": "x" * 20_000, "HTTP_ACCEPT": "x" * 20_000}
    HeaderLimit(app)({**short, **large}, None)
    assert {name: seen[name] for name in short} == short
    assert not set(large) & set(seen)


def test_a_large_header_counts_for_its_address(
    counting: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(monkeypatch, "all", 2)
    plain = FlaskClient(counting.application, counting.application.response_class)
    headers = ADDRESS | {"X-Unknown": "x" * 8500}
    assert [plain.get("/", headers=headers).status_code for _ in range(3)] == [400, 400, 429]
    assert plain.get("/", headers={"X-Forwarded-For": "192.0.2.2"}).status_code == 200


# --- the admin site -------------------------------------------------------------------------


def test_a_form_of_a_stranger_has_16_kib_at_most(app: Flask) -> None:
    site = Site(app)
    site.get("login/")
    for path in ("login/", "films/new/", "nothing/"):
        for sent in (sized, chunked):
            upload = Upload(MAX_BODY_BYTES, f"csrf_token={site.token}&title=Film".encode())
            answer = site._open(path, method="POST", **(sent(upload) | FORM))
            assert answer.status_code == 413
            assert "at most 16 KiB" in answer.text
            assert "log in and paste it" in answer.text
            assert upload.taken <= ANONYMOUS_BODY_BYTES + 1
    largest = {"username": "\U0001f3ac" * USERNAME_MAX, "password": "\U0001f3ac" * PASSWORD_MAX}
    assert site.post("login/", largest).status_code == 401


def test_a_form_of_staff_has_1_mib_and_a_field_for_each_seat_at_most(
    app: Flask, staff: Caller
) -> None:
    site = Site(app)
    site.log_in()
    film = {"duration_minutes": "90", "title": "Film"}
    assert site.post("films/new/", film | {"x": "x" * 900_000}).status_code == 302
    for sent in (sized, chunked):
        start = f"csrf_token={site.token}&duration_minutes=90&title=Film&x=".encode()
        upload = Upload(MAX_BODY_BYTES + 1, start)
        assert site._open("films/new/", method="POST", **(sent(upload) | FORM)).status_code == 413
    many = film | dict.fromkeys((f"f{number}" for number in range(FIELDS_MAX - 3)), "")
    assert site.post("films/new/", many).status_code == 302
    answer = site.post("films/new/", many | {"more": ""})
    assert answer.status_code == 413
    assert f"at most {FIELDS_MAX} fields" in answer.text
    assert len(rows(Movie)) == 2


# --- what counts ----------------------------------------------------------------------------


@pytest.fixture
def counting(app: Flask, database_url: str, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client of an app that counts, from nothing on, and believes one proxy."""
    Clock(monkeypatch)
    settings = {"RATELIMIT_ENABLED": "on", "TRUSTED_PROXIES": "1", "WEB_CONCURRENCY": "1"}
    return make_app(database_url, **settings).test_client()


UNREAD: list[tuple[str, dict[str, Any]]] = [
    ("body_too_large", {"data": b" " * (ANONYMOUS_BODY_BYTES + 1), **JSON}),
    ("malformed_body", {"data": b"{", **JSON}),
    ("malformed_body", {"environ_overrides": {"CONTENT_LENGTH": "9"}, **JSON}),
    ("unsupported_media_type", {"data": b"{}"}),
    ("validation_failed", {"data": json.dumps(names(30)), **JSON}),
]


@on_sqlite
@pytest.mark.parametrize(("code", "body"), UNREAD, ids=[code for code, _ in UNREAD])
def test_bodies_of_strangers_refused_unread_count_for_their_address(
    counting: FlaskClient,
    alice: Caller,
    show_id: int,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    body: dict[str, Any],
) -> None:
    lower(monkeypatch, "refused_body", 3)
    public = ("/api/signup/", "/api/login/", "/api/token/refresh/", "/api/logout/")
    for path in public[1:]:
        answer = counting.post(path, headers=ADDRESS, **body)
        assert answer.json["code"] == code, path
    for path in public:
        upload = Upload(100)
        answer = counting.post(path, headers=ADDRESS, **sized(upload))
        assert (answer.status_code, answer.json["code"]) == LIMITED
        assert int(answer.headers["Retry-After"]) > 50
        assert "refused unread" in answer.json["detail"]
        assert upload.taken == 0
    # Neither another address nor what is called with a token has to wait,
    assert log_in(counting, address="192.0.2.2") == REFUSED
    seat = {"seat_number": "1"}
    book = f"/api/shows/{show_id}/book/"
    booked = counting.post(book, json=seat, headers=alice.headers | ADDRESS)
    assert booked.status_code == 201
    # and in a minute it is over.
    Clock(monkeypatch).now += 61
    assert log_in(counting) == REFUSED


@on_sqlite
def test_no_stranger_s_refused_bodies_use_up_a_name(
    counting: FlaskClient, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = json.dumps(ALICE).ljust(ANONYMOUS_BODY_BYTES + 1)
    for _ in range(limits.RULES["refused_body"].amount):
        answer = counting.post("/api/login/", data=large, headers=ADDRESS, **JSON)
        assert answer.status_code == 413
    assert log_in(counting, ALICE) == LIMITED
    attempts = [log_in(counting, address="192.0.2.2") for _ in range(11)]
    assert attempts == [REFUSED] * 10 + [LIMITED]


@on_sqlite
def test_a_value_that_is_wrong_is_no_unread_body(
    counting: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(monkeypatch, "refused_body", 1)
    wrong = [counting.post("/api/signup/", json={"username": 5}) for _ in range(5)]
    assert {answer.status_code for answer in wrong} == {422}


@on_sqlite
def test_large_bodies_that_are_refused_count_for_the_account_of_the_token(
    counting: FlaskClient,
    alice: Caller,
    bob: Caller,
    show_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lower(monkeypatch, "refused_body", 4)
    book = f"/api/shows/{show_id}/book/"
    bodies = ["{", json.dumps(names(30)), '{"quantity": "x"}', '{"seat_number": 1, "quantity": 1}']
    for body in bodies:
        data = body.ljust(ANONYMOUS_BODY_BYTES + 1)
        answer = counting.post(book, data=data, headers=alice.headers, **JSON)
        assert answer.status_code in (400, 422)
    upload = Upload(ANONYMOUS_BODY_BYTES + 1)
    answer = counting.post(book, headers=alice.headers, **sized(upload))
    assert (answer.status_code, answer.json["code"]) == LIMITED
    assert upload.taken == 0
    seat = json.dumps({"seat_number": 1})
    assert counting.post(book, data=seat, headers=alice.headers, **JSON).status_code == 201
    data = json.dumps({"seat_number": 2}).ljust(ANONYMOUS_BODY_BYTES + 1)
    assert counting.post(book, data=data, headers=bob.headers, **JSON).status_code == 201


@on_sqlite
def test_forms_of_strangers_that_are_refused_count_for_their_address(
    counting: FlaskClient, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(monkeypatch, "refused_body", 2)
    site = Site(counting.application, headers=ADDRESS)
    logged_in = Site(counting.application, headers=ADDRESS)
    assert logged_in.log_in().status_code == 303
    site.get("login/")
    assert site.post("login/", {"username": "x" * ANONYMOUS_BODY_BYTES}).status_code == 413
    assert site.post("login/", {"csrf_token": "x"}).status_code == 400
    assert site.log_in().status_code == 429
    film = {"title": "Film", "duration_minutes": "90"}
    assert logged_in.post("films/new/", film).status_code == 302


@on_sqlite
def test_bodies_are_read_where_the_counters_are_away(app: Flask, database_url: str) -> None:
    settings = {"RATELIMIT_ENABLED": "on", "REDIS_URL": "redis://127.0.0.1:1/0"}
    client = make_app(database_url, **settings).test_client()
    amount = limits.RULES["refused_body"].amount
    answers = [client.post("/api/login/", data=b"{", **JSON) for _ in range(amount + 1)]
    # By the worker's own counters then.
    assert [answer.status_code for answer in answers] == [400] * amount + [429]
