"""Every error has one form, whoever raises it, and a code that the table has."""

import logging
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.catalog import show_queries
from booking_app.core.database import db
from booking_app.core.engines import backend
from booking_app.core.errors import DomainError
from booking_app.web import problems
from tests.conftest import Caller, make_app
from tests.contract import declared_codes, document

JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("method", "path", "request_", "status", "code"),
    [
        ("POST", "/api/login/", {"data": b"{", "headers": JSON}, 400, "malformed_body"),
        ("POST", "/api/login/", {"data": b"\xff", "headers": JSON}, 400, "malformed_body"),
        ("POST", "/api/login/", {"data": b"[" * 10_000, "headers": JSON}, 400, "malformed_body"),
        ("POST", "/api/login/", {"data": b'{"a": NaN}', "headers": JSON}, 400, "malformed_body"),
        (
            "POST",
            "/api/login/",
            {"data": b'{"a":"\\ud800"}', "headers": JSON},
            400,
            "malformed_body",
        ),
        ("GET", "/api/me/", {}, 401, "not_authenticated"),
        ("GET", "/api/nothing/", {}, 404, "not_found"),
        ("GET", "/nothing", {}, 404, "not_found"),
        ("GET", "/api//movies/", {}, 404, "not_found"),
        # The client would take the first part for a host.
        (
            "GET",
            "/",
            {"environ_overrides": {"PATH_INFO": "//api//movies/"}},
            404,
            "not_found",
        ),
        ("GET", "/api/movies/1/", {}, 404, "not_found"),
        ("DELETE", "/api/movies/", {}, 405, "method_not_allowed"),
        ("PUT", "/api/shows/1/book/", {}, 405, "method_not_allowed"),
        ("POST", "/health/", {}, 405, "method_not_allowed"),
        ("POST", "/api/login/", {"data": b" " * (MIB + 1), "headers": JSON}, 413, "body_too_large"),
        ("POST", "/api/login/", {"data": b"{}"}, 415, "unsupported_media_type"),
        ("POST", "/api/login/", {"data": {"username": "a"}}, 415, "unsupported_media_type"),
        (
            "POST",
            "/api/bookings/1/cancel/",
            {"data": b'{"seat_numbers": []}', "content_type": "application/x-www-form-urlencoded"},
            415,
            "unsupported_media_type",
        ),
        ("POST", "/api/login/", {"data": b"null", "headers": JSON}, 422, "validation_failed"),
        ("POST", "/api/login/", {"data": b"[]", "headers": JSON}, 422, "validation_failed"),
        ("POST", "/api/login/", {}, 422, "validation_failed"),
        ("GET", "/api/movies/?nothing=1", {}, 422, "validation_failed"),
    ],
)
def test_every_status_has_the_one_form(
    client: FlaskClient, method: str, path: str, request_: Any, status: int, code: str
) -> None:
    answer = client.open(path, method=method, **request_)  # the client checks the form
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient) -> None:
    answer = client.delete("/api/movies/")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_unreadable_json_is_told_where(client: FlaskClient) -> None:
    answer = client.post("/api/login/", data=b'{"a": 1,\n"b" 2}', headers=JSON)
    assert "line 2, column 5" in answer.json["detail"]


def test_a_slash_at_the_end_may_be_left_out_and_nothing_redirects(client: FlaskClient) -> None:
    for path in ("/api/movies", "/api/movies/", "/health", "/swagger"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "id_", ["0", "-1", "01", "1.0", "x", "٣", "9223372036854775808", "9" * 40, "1%00", "%F0%9F"]
)
def test_an_id_that_no_row_can_have_is_404(client: FlaskClient, alice: Caller, id_: str) -> None:
    for path in (f"/api/movies/{id_}/", f"/api/shows/{id_}/", f"/api/movies/{id_}/shows/"):
        assert client.get(path).status_code == 404
    assert alice.post(f"/api/shows/{id_}/book/", {"seat_number": 1}).status_code == 404
    assert alice.get(f"/api/bookings/{id_}/").status_code == 404


def test_an_id_beyond_64_bits_is_404_for_every_method_of_its_path(staff: Caller) -> None:
    for digits in (18, 19, 20, 40):
        path = f"/api/movies/{'9' * digits}/"
        assert staff.get(path).status_code == 404
        assert staff.patch(path, {}).status_code == 404
        assert staff.delete(path).status_code == 404
        assert staff.post(f"{path}shows/", {}).status_code == (422 if digits == 18 else 404)


def test_the_largest_id_is_404_too(alice: Caller) -> None:
    largest = 2**63 - 1
    assert alice.get(f"/api/movies/{largest}/").status_code == 404
    assert alice.post(f"/api/shows/{largest}/book/", {"seat_number": 1}).status_code == 404
    assert alice.post(f"/api/bookings/{largest}/cancel/").status_code == 404


def test_a_defect_is_500_and_logged_under_the_request_id(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**kwargs: Any) -> None:
        raise KeyError("a secret of the database")

    monkeypatch.setattr(show_queries, "list_shows", broken)
    with caplog.at_level(logging.ERROR):
        # A 500 is declared nowhere, so this goes past the client that checks it.
        answer = FlaskClient(client.application).get("/api/shows/")
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert answer.json["request_id"] in caplog.text
    assert "a secret of the database" in caplog.text


def test_a_database_that_is_away_is_503_with_retry_after(tmp_path: Any) -> None:
    folder = tmp_path / "folder that vanishes"
    folder.mkdir()
    for url in ("postgresql://nobody@127.0.0.1:1/none", f"sqlite:///{folder}/x.db"):
        app = make_app(url)
        if url.startswith("sqlite"):
            shutil.rmtree(folder)
        answer = app.test_client().get("/api/movies/")
        assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
        assert answer.headers["Retry-After"] == "1"


def test_a_lock_that_is_never_given_up_is_503(
    app: Flask, alice: Caller, show_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hung writer: the others get an answer, and nothing is written."""
    if db.engine.dialect.name == "postgresql":
        blocker = db.engine.connect()
        blocker.exec_driver_sql("BEGIN")
        blocker.exec_driver_sql("SELECT 1 FROM show_seat FOR UPDATE")
        sa.event.listen(db.engine, "begin", _short_lock_timeout)
    else:
        monkeypatch.setattr("booking_app.core.engines.LOCK_TIMEOUT_SECONDS", 0.1)
        queue = backend(db.engine).queue  # type: ignore[attr-defined]
        queue.thread.acquire()
    answer = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1})
    if db.engine.dialect.name == "postgresql":
        sa.event.remove(db.engine, "begin", _short_lock_timeout)
        blocker.exec_driver_sql("ROLLBACK")
        blocker.close()
        db.engine.dispose()  # the connections keep what was set
    else:
        queue.thread.release()
    assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
    assert alice.get("/api/my-bookings/").json == []


def _short_lock_timeout(connection: sa.Connection) -> None:
    connection.exec_driver_sql("SET lock_timeout = '100ms'")


def test_every_domain_error_has_its_row_in_the_table() -> None:
    def leaves(cls: type) -> list[type]:
        return [cls] + [leaf for sub in cls.__subclasses__() for leaf in leaves(sub)]

    codes = {cls.code for cls in leaves(DomainError) if hasattr(cls, "code")}
    assert codes <= set(problems.CODES)


def test_every_code_is_declared_by_some_endpoint(app: Flask) -> None:
    declared = {
        code
        for path in document(app)["paths"].values()
        for operation in path.values()
        if "responses" in operation
        for code in declared_codes(operation)
    }
    # These can be answered where no operation is: unknown paths, wrong methods, a defect.
    elsewhere = {"bad_request", "method_not_allowed", "internal_error", "not_ready"}
    assert declared == set(problems.CODES) - elsewhere


def test_errors_carry_the_request_id_of_the_answer(
    client: FlaskClient, make_movie: Callable[..., int]
) -> None:
    first, second = client.get("/api/nothing/"), client.get("/api/nothing/")
    assert first.json["request_id"] == first.headers["X-Request-ID"]
    assert first.json["request_id"] != second.json["request_id"]
    assert client.get("/api/movies/").headers["X-Request-ID"]
