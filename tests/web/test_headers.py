"""What every answer carries: security headers, caching, CORS, request ids, the log's line."""

import logging
import re
from collections import Counter
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking_app.web.requests import MAX_BODY_BYTES
from tests.conftest import Caller, make_app
from tests.contract import document

# Nothing here depends on the database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ANSWERS = [
    ("GET", "/api/movies/", 200),
    ("GET", "/api/me/", 401),
    ("GET", "/api/nothing/", 404),
    ("DELETE", "/api/movies/", 405),
    ("POST", "/api/login/", 422),
    ("OPTIONS", "/api/movies/", 200),
    ("HEAD", "/api/movies/", 200),
    ("GET", "/", 200),
    ("GET", "/static/start.css", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/swagger/", 200),
    ("GET", "/swagger/assets/swagger-ui.css", 200),
    ("GET", "/static/swagger.js", 200),
    ("GET", "/health/", 200),
    ("GET", "/favicon.ico", 200),
]
SHOP = "https://shop.example.org"


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_security_headers_are_on_every_answer(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    with client.open(path, method=method) as answer:
        assert answer.status_code == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        scripts = re.search("script-src ([^;]*)", policy)
        assert scripts is None or scripts[1] == "'self'"
        assert answer.headers["Cache-Control"]
        assert len(answer.headers.getlist("Cache-Control")) == 1
        may_be_kept = "no-store" not in answer.headers["Cache-Control"]
        assert ("X-Request-ID" in answer.headers) == (not may_be_kept)
        assert "Strict-Transport-Security" not in answer.headers
        assert not answer.headers.getlist("Set-Cookie")


def test_a_defect_has_them_too(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**kwargs: Any) -> None:
        raise KeyError

    monkeypatch.setattr("booking_app.catalog.show_queries.list_shows", broken)
    answer = FlaskClient(client.application).get("/api/shows/")
    assert answer.status_code == 500
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_https_is_remembered_where_it_is_spoken(app: Flask, database_url: str) -> None:
    https = app.test_client().get("/health/", base_url="https://tickets.example.org")
    assert https.headers["Strict-Transport-Security"] == "max-age=31536000"
    # Said by the trusted proxy, and by nobody else.
    forwarded = {"X-Forwarded-Proto": "https"}
    behind = make_app(database_url, TRUSTED_PROXIES="1").test_client()
    assert "Strict-Transport-Security" in behind.get("/health/", headers=forwarded).headers
    alone = app.test_client().get("/health/", headers=forwarded)
    assert "Strict-Transport-Security" not in alone.headers


# --- caching --------------------------------------------------------------------------------


@pytest.fixture
def paths(alice: Caller, staff: Caller, show_id: int) -> dict[str, int]:
    booking = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).json
    show = alice.get(f"/api/shows/{show_id}/").json
    return {
        "movie_id": show["movie"],
        "show_id": show_id,
        "cinema_id": show["cinema"],
        "screen_id": show["screen"],
        "booking_id": booking["id"],
        "account_id": alice.id,
    }


# Answers that nobody may keep and that have no tag: of the account itself, and tables, which are
# sent while they are made.
UNTAGGED = {"/api/me/", "/api/reports/sales.csv", "/api/reports/shows.csv"}
# A show's tag is of what staff change of it. The available seats may differ under the same one.
SHOW = "/api/shows/{show_id}/"
# What only the caller may keep.
OWN = {"/api/my-bookings/", "/api/bookings/{booking_id}/", "/api/me/sessions/"}


def test_who_may_keep_an_answer_and_who_has_it_already(
    app: Flask, client: FlaskClient, alice: Caller, staff: Caller, paths: dict[str, int]
) -> None:
    """Whoever is not asked for a token is answered like everybody else, and all may keep that."""
    seen: Counter[str] = Counter()
    for template, methods in document(app)["paths"].items():
        if "get" not in methods or template == SHOW:
            continue
        path = template.format(**paths)
        if template.startswith("/api/reports/sales"):
            path += "?since=2030-01-01&until=2030-01-31"
        operation = methods["get"]
        caller: Any = client
        if operation["security"]:
            caller = staff if "staff_only" in str(operation["responses"]) else alice
        answer = caller.get(path)
        if template in UNTAGGED:
            assert answer.headers["Cache-Control"] == "no-store", path
            assert "ETag" not in answer.headers
            continue
        kept = answer.headers["Cache-Control"]
        if template in OWN:
            assert kept == "private, no-cache", path
            assert "Authorization" in answer.vary
        elif operation["security"]:
            assert kept == "no-store", path
        else:
            assert kept.startswith("public, max-age=0"), path
        assert re.fullmatch(r'"[0-9a-f]+"', answer.headers["ETag"])
        again = caller.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary"):
            assert again.headers.get(name) == answer.headers.get(name)
        assert caller.get(path, headers={"If-None-Match": '"x"'}).status_code == 200
        for answered in (answer, again):  # in a kept one they would be another caller's
            assert ("X-Request-ID" in answered.headers) == bool(operation["security"])
        seen[kept.partition(",")[0]] += 1
    assert seen["public"] >= 10
    assert seen["private"] == len(OWN)
    assert seen["no-store"] >= 5


def test_what_is_left_of_a_show_is_never_hidden_by_its_tag(
    client: FlaskClient, alice: Caller, show_id: int
) -> None:
    """A cache that kept the answer could find the tag the same, and answer 304 by itself."""
    path = f"/api/shows/{show_id}/"
    before = client.get(path)
    alice.post(f"{path}book/", {"seat_number": 1})
    after = client.get(path, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.json["available_seats"] == before.json["available_seats"] - 1
    assert after.headers["ETag"] == before.headers["ETag"]
    assert after.headers["Cache-Control"] == "no-store"


def test_a_change_has_another_tag_and_shared_caches_never_keep_what_is_on_sale(
    client: FlaskClient, alice: Caller, staff: Caller, paths: dict[str, int]
) -> None:
    seats, movie = f"/api/shows/{paths['show_id']}/seats/", f"/api/movies/{paths['movie_id']}/"
    before = {path: client.get(path).headers for path in (seats, movie)}
    assert "s-maxage" not in before[seats]["Cache-Control"]
    assert before[movie]["Cache-Control"].endswith("s-maxage=60")
    alice.post(f"/api/shows/{paths['show_id']}/book/", {"seat_number": 2})
    staff.patch(movie, {"director": "Carol Reed"})
    for path, headers in before.items():
        answer = client.get(path, headers={"If-None-Match": headers["ETag"]})
        assert answer.status_code == 200


def test_a_list_that_grew_has_another_tag_even_where_its_page_has_not(
    client: FlaskClient, staff: Caller
) -> None:
    """The number of items is in a header, which a 304 would leave as it was."""
    tags = set()
    for title in ("A", "B"):
        staff.post("/api/movies/", {"title": title, "duration_minutes": 90})
        tags.add(client.get("/api/movies/?page_size=1").headers["ETag"])
    assert len(tags) == 2


def test_a_refusal_of_a_public_list_is_not_kept(client: FlaskClient) -> None:
    for path in ("/api/movies/999/", "/api/movies/?page=x"):
        assert client.get(path).headers["Cache-Control"] == "no-store"


# --- CORS -----------------------------------------------------------------------------------


def test_no_other_origin_may_read_unless_it_is_named(
    client: FlaskClient, app: Flask, database_url: str
) -> None:
    def allowed(client: FlaskClient, origin: str, path: str = "/api/movies/") -> str | None:
        answer = client.get(path, headers={"Origin": origin})
        assert answer.headers.get("Access-Control-Allow-Credentials") is None
        return answer.headers.get("Access-Control-Allow-Origin")

    assert allowed(client, SHOP) is None
    origins = f"{SHOP}, http://localhost:3000"
    open_ = make_app(database_url, CORS_ORIGINS=origins).test_client()
    assert allowed(open_, SHOP) == SHOP
    assert allowed(open_, "http://localhost:3000") == "http://localhost:3000"
    for other in ("https://evil.example", f"{SHOP}.evil.example", "null", "http://localhost:3001"):
        assert allowed(open_, other) is None
    assert allowed(open_, SHOP, "/api/me/") == SHOP  # errors too, or a page could not read them
    # So that a cache keeps the answers apart, also where there is one origin, or a refused one.
    single = make_app(database_url, CORS_ORIGINS=SHOP).test_client()
    for origin in (SHOP, "https://evil.example"):
        for one in (open_, single):
            answer = one.get("/api/movies/", headers={"Origin": origin})
            assert "Origin" in answer.headers["Vary"]
    assert "Origin" in single.get("/api/movies/").headers["Vary"]
    kept = open_.get("/api/movies/", headers={"Origin": SHOP})
    exposed = set(kept.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"X-Pagination", "Link", "X-Request-ID", "Retry-After", "Location"} <= exposed
    assert {"RateLimit", "RateLimit-Policy", "ETag", "Idempotent-Replayed"} <= exposed


def test_every_page_may_read_the_document_and_ask_whether_it_has_changed(
    app: Flask, client: FlaskClient, database_url: str
) -> None:
    for one in (client, make_app(database_url, CORS_ORIGINS=SHOP).test_client()):
        sent = {"Origin": "https://tools.example"}
        answer = one.get("/openapi.json", headers=sent)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"].split(", ")
        tag = {"If-None-Match": answer.headers["ETag"]}
        again = one.get("/openapi.json", headers=sent | tag)
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["Access-Control-Allow-Origin"] == "*"
        assert again.headers["ETag"] == answer.headers["ETag"]
        asks = {"Access-Control-Request-Method": "GET"}
        asks |= {"Access-Control-Request-Headers": "if-none-match"}
        before = one.options("/openapi.json", headers=sent | asks)
        assert before.headers["Access-Control-Allow-Origin"] == "*"
        assert "if-none-match" in before.headers["Access-Control-Allow-Headers"].lower()
        assert "Access-Control-Allow-Origin" not in one.get("/api/movies/", headers=sent).headers


def test_a_page_of_a_named_origin_asks_first(database_url: str, app: Flask) -> None:
    client = make_app(database_url, CORS_ORIGINS=SHOP).test_client()
    asks = {
        "Origin": SHOP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, idempotency-key, if-none-match",
    }
    answer = client.options("/api/shows/1/book/", headers=asks)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    names = answer.headers["Access-Control-Allow-Headers"].lower()
    assert all(name in names for name in ("authorization", "idempotency-key", "if-none-match"))


# --- request ids and the log ----------------------------------------------------------------


@pytest.mark.parametrize("sent", ["a", "1-67891233-abcdef0", "Root=1-2", "x" * 128])
def test_a_well_formed_request_id_is_taken_over(client: FlaskClient, sent: str) -> None:
    answer = client.get("/api/nothing/", headers={"X-Request-ID": sent})
    assert answer.headers["X-Request-ID"] == answer.json["request_id"] == sent


@pytest.mark.parametrize("sent", ["", " ", "a b", "x" * 129, "<b>", "ä", '"', "a,b"])
def test_another_is_not(client: FlaskClient, sent: str) -> None:
    answer = client.get("/api/nothing/", headers={"X-Request-ID": sent})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_every_request_has_its_line_in_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "booking_app.access"):
        client.get("/api/movies/?search=secret-query", headers={"X-Request-ID": "abc"})
        client.get("/api/x%0Aforged%20line/")
    first, second = [record.getMessage() for record in caplog.records if "access" in record.name]
    assert re.fullmatch(r"127\.0\.0\.1 GET /api/movies/ 200 \d+\.\d ms abc", first)
    assert "\n" not in second
    assert "GET /api/x%0Aforged%20line/ 404" in second


# --- bodies ---------------------------------------------------------------------------------


def test_only_json_and_only_so_much_of_it_on_every_call_with_a_body(
    app: Flask, client: FlaskClient, staff: Caller, paths: dict[str, int]
) -> None:
    """Also where the body is optional, or none is expected."""
    seen = 0
    paths |= {"session_id": 1}
    for template, methods in document(app)["paths"].items():
        for method in set(methods) & {"post", "put", "patch", "delete"}:
            path = template.format(**paths)
            large = client.open(
                path,
                method=method.upper(),
                data=b" " * (MAX_BODY_BYTES + 1),
                headers=staff.headers,
                content_type="application/json",
            )
            assert large.status_code == 413, path
            for label in ("text/plain", "application/x-www-form-urlencoded", "text/json", ""):
                answer = client.open(
                    path,
                    method=method.upper(),
                    data=b"{}",
                    headers=staff.headers,
                    content_type=label,
                )
                assert answer.status_code == 415, (path, label)
            seen += 1
    assert seen >= 20
