"""Sessions: opened by a log-in, refreshed, ended; on every worker, and against races."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from booking_app.audit.models import AuditEvent
from booking_app.audit.service import OPERATOR
from booking_app.auth import accounts, own_account, passwords, sessions
from booking_app.auth.models import Session, User
from booking_app.core.database import db
from tests.conftest import NOON, PASSWORD, Caller, bearer, rows
from tests.serving import Server

NEW_PASSWORD = "staple-battery-horse"
ALICE = {"username": "alice", "password": PASSWORD}


@pytest.fixture
def log_in(client: FlaskClient) -> Callable[[], dict[str, str]]:
    """Log alice in, as often as wanted."""
    client.post("/api/signup/", json=ALICE)

    def log_in(password: str = PASSWORD, **headers: str) -> dict[str, str]:
        answer = client.post("/api/login/", json=ALICE | {"password": password}, headers=headers)
        assert answer.status_code == 200
        tokens: dict[str, str] = answer.json
        return tokens

    return log_in


def log_into(username: str, password: str, **kwargs: Any) -> sessions.OpenSession:
    """What a log-in over the API does."""
    terms = {"lasts": timedelta(days=7), "user_agent": "", "by": OPERATOR, **kwargs}
    return sessions.log_in(username=username, password=password, **terms)


def me(client: FlaskClient, tokens: dict[str, str]) -> int:
    answer = client.get("/api/me/", headers=bearer(tokens))
    assert answer.status_code == 200 or answer.json["code"] == "invalid_token"
    return int(answer.status_code)


def refresh(client: FlaskClient, tokens: dict[str, str]) -> Any:
    return client.post("/api/token/refresh/", json={"refresh": tokens["refresh"]})


def actions() -> list[str]:
    return [action for (action,) in rows(AuditEvent, AuditEvent.action)]


def test_a_refresh_token_is_good_once_and_the_new_pair_works(
    client: FlaskClient, log_in: Callable[..., Any]
) -> None:
    first = log_in()
    second = refresh(client, first).json
    third = refresh(client, second).json
    assert len({first["refresh"], second["refresh"], third["refresh"]}) == 3
    for tokens in (first, second, third):  # the access tokens are of one session, which lives
        assert me(client, tokens) == 200
    assert len(rows(Session)) == 1


@pytest.mark.parametrize("by", ["access", "refresh"])
def test_logging_out_ends_this_session_and_no_other(
    client: FlaskClient, log_in: Callable[..., Any], by: str
) -> None:
    tokens, other = log_in(), log_in()
    if by == "access":
        answer = client.post("/api/logout/", headers=bearer(tokens))
    else:
        answer = client.post("/api/logout/", json={"refresh": tokens["refresh"]})
    assert (answer.status_code, answer.data) == (204, b"")
    assert me(client, tokens) == 401
    assert refresh(client, tokens).status_code == 401
    assert me(client, other) == refresh(client, other).status_code == 200
    for again in ({"headers": bearer(tokens)}, {"json": {"refresh": tokens["refresh"]}}):
        assert client.post("/api/logout/", **again).status_code == 401


def test_a_spent_refresh_token_can_still_log_out(
    client: FlaskClient, log_in: Callable[..., Any]
) -> None:
    spent = log_in()
    current = refresh(client, spent).json
    answer = client.post("/api/logout/", json={"refresh": spent["refresh"]})
    assert answer.status_code == 204
    assert me(client, current) == 401


def test_logging_out_needs_a_token(client: FlaskClient, log_in: Callable[..., Any]) -> None:
    tokens = log_in()
    for kwargs, code in [
        ({}, "not_authenticated"),
        ({"json": {"refresh": tokens["access"]}}, "invalid_token"),
        ({"headers": {"Authorization": f"Bearer {tokens['refresh']}"}}, "invalid_token"),
        ({"json": {"refresh": "x"}, "headers": bearer(tokens)}, "invalid_token"),
    ]:
        answer = client.post("/api/logout/", **kwargs)
        assert (answer.status_code, answer.json["code"]) == (401, code)
    assert me(client, tokens) == 200


def test_a_new_password_ends_every_other_session(
    client: FlaskClient, log_in: Callable[..., Any]
) -> None:
    tokens, other = log_in(), log_in()
    body = {"old_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert client.put("/api/me/password/", json=body, headers=bearer(tokens)).status_code == 204
    assert me(client, other) == 401
    assert refresh(client, other).status_code == 401
    assert me(client, tokens) == 200
    assert refresh(client, tokens).status_code == 200
    refused = client.post("/api/login/", json=ALICE)
    assert refused.json["code"] == "invalid_credentials"
    assert me(client, log_in(NEW_PASSWORD)) == 200


def test_a_wrong_old_password_changes_nothing(
    client: FlaskClient, log_in: Callable[..., Any]
) -> None:
    tokens, other = log_in(), log_in()
    before = rows(User)
    for old, new, status, code in [
        ("wrong-password", NEW_PASSWORD, 403, "wrong_password"),
        (PASSWORD, "short", 422, "validation_failed"),
        (PASSWORD, "ALICE", 422, "validation_failed"),
    ]:
        body = {"old_password": old, "new_password": new}
        answer = client.put("/api/me/password/", json=body, headers=bearer(tokens))
        assert (answer.status_code, answer.json["code"]) == (status, code)
    assert rows(User) == before
    assert me(client, other) == 200
    assert actions().count("account.password_refused") == 1


def test_sessions_are_listed_and_ended_one_by_one(
    client: FlaskClient, log_in: Callable[..., Any], bob: Caller
) -> None:
    long_agent = "Kiosk/1.0 \x7f" + "x" * 300
    old, tokens = log_in(**{"User-Agent": long_agent}), log_in(**{"User-Agent": "Phone/2"})
    new, listed = client.get("/api/me/sessions/", headers=bearer(tokens)).json
    assert (new["user_agent"], new["address"], new["current"]) == ("Phone/2", "127.0.0.1", True)
    assert (listed["user_agent"], listed["current"]) == ("Kiosk/1.0 " + "x" * 190, False)
    assert listed["created_at"] == listed["refreshed_at"] < listed["expires_at"]
    refresh(client, old)
    _, listed = client.get("/api/me/sessions/", headers=bearer(tokens)).json
    assert listed["refreshed_at"] > listed["created_at"]
    # Not another's, and what is not there looks the same.
    assert bob.delete(f"/api/me/sessions/{listed['id']}/").status_code == 404
    assert me(client, old) == 200
    path = f"/api/me/sessions/{listed['id']}/"
    assert client.delete(path, headers=bearer(tokens)).status_code == 204
    assert me(client, old) == 401
    assert client.delete(path, headers=bearer(tokens)).status_code == 404
    assert [s["id"] for s in client.get("/api/me/sessions/", headers=bearer(tokens)).json] == [
        new["id"]
    ]
    own = f"/api/me/sessions/{new['id']}/"
    assert client.delete(own, headers=bearer(tokens)).status_code == 204
    assert me(client, tokens) == 401


def test_refresh_tokens_are_kept_as_hashes_alone(
    client: FlaskClient, log_in: Callable[..., Any]
) -> None:
    tokens = log_in()
    kept = str(rows(Session))
    assert tokens["refresh"] not in kept
    ((kept_hash,),) = rows(Session, Session.refresh_hash)
    assert len(kept_hash) == 64
    assert all(part not in kept for part in tokens["refresh"].split("."))


def test_a_disabled_account_is_out_at_once_and_stays_out(
    client: FlaskClient, log_in: Callable[..., Any], staff: Caller
) -> None:
    tokens = log_in()
    path = f"/api/accounts/{staff.get('/api/accounts/?search=alice').json[0]['id']}/"
    assert staff.patch(path, {"is_disabled": True}).json["is_disabled"] is True
    assert me(client, tokens) == 401
    assert refresh(client, tokens).status_code == 401
    refused = client.post("/api/login/", json=ALICE)
    assert (refused.status_code, refused.json["code"]) == (403, "account_disabled")
    # Only the password's owner learns that.
    wrong = client.post("/api/login/", json=ALICE | {"password": "wrong-password"})
    assert wrong.json["code"] == "invalid_credentials"
    assert staff.patch(path, {"is_disabled": False}).status_code == 200
    assert me(client, tokens) == 401  # what was ended stays ended
    assert me(client, log_in()) == 200


def test_a_deleted_account_is_out_at_once(client: FlaskClient, log_in: Callable[..., Any]) -> None:
    tokens = log_in()
    with db.engine.begin() as connection:
        connection.execute(sa.delete(User))
    assert me(client, tokens) == 401
    assert refresh(client, tokens).status_code == 401


def test_expired_sessions_are_not_listed_and_go_with_the_next_log_in(app: Flask) -> None:
    accounts.create_user(username="alice", password=PASSWORD)
    lasts = timedelta(days=7)
    opened = log_into(**ALICE, lasts=lasts, now=NOON)

    def listed(now: Any) -> int:
        return sessions.list_sessions(
            user_id=opened.user_id, session_id=opened.id, page=1, page_size=20, now=now
        ).total

    own = {"session_id": opened.id, "user_id": opened.user_id}
    last, over = NOON + lasts - timedelta(seconds=1), NOON + lasts
    assert listed(last) == 1
    assert listed(over) == 0
    assert sessions.find_session(**own, now=last) is not None
    assert sessions.find_session(**own, now=over) is None
    log_into(**ALICE, lasts=lasts, now=over)
    assert len(rows(Session)) == 1


# --- races ----------------------------------------------------------------------------------


class Slow(PasswordHasher):
    """Lets something happen between the look at a password and the session that it opens."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.meanwhile: Callable[[], None] | None = meanwhile

    def verify(self, password_hash: Any, password: Any) -> Any:
        found = super().verify(password_hash, password)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return found


@pytest.mark.parametrize("condition", [True, False], ids=["as it is", "without its condition"])
def test_a_password_change_during_a_log_in_leaves_no_session_with_the_old_password(
    client: FlaskClient,
    log_in: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    condition: bool,
) -> None:
    """Where the log-in does not look at the password again as it opens the session, it does."""
    tokens = log_in()
    body = {"old_password": PASSWORD, "new_password": NEW_PASSWORD}

    def change() -> None:
        answer = client.put("/api/me/password/", json=body, headers=bearer(tokens))
        assert answer.status_code == 204

    if not condition:
        monkeypatch.setattr(sessions, "unchanged", lambda account: User.id == account.id)
    monkeypatch.setattr(passwords, "hasher", Slow(change))
    late = client.post("/api/login/", json=ALICE)
    if condition:
        assert (late.status_code, late.json["code"]) == (401, "invalid_credentials")
        assert len(rows(Session)) == 1
    else:
        assert me(client, late.json) == 200


def test_disabling_during_a_log_in_leaves_no_session(
    client: FlaskClient,
    log_in: Callable[..., Any],
    staff: Caller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = staff.get("/api/accounts/?search=alice").json[0]["id"]

    def disable() -> None:
        answer = staff.patch(f"/api/accounts/{account}/", {"is_disabled": True})
        assert answer.status_code == 200

    monkeypatch.setattr(passwords, "hasher", Slow(disable))
    late = client.post("/api/login/", json=ALICE)
    assert (late.status_code, late.json["code"]) == (403, "account_disabled")
    assert [row.user_id for row in rows(Session)] == [staff.id]


@pytest.mark.promise
def test_log_ins_race_a_password_change(app: Flask, log_in: Callable[..., Any]) -> None:
    """However they fall together: what was opened with the old password is gone."""
    old, new = PASSWORD, NEW_PASSWORD
    (account,) = rows(User)
    for _ in range(10):
        own = log_into("alice", old)
        start = threading.Barrier(5)

        def enter(old: str = old, start: threading.Barrier = start) -> None:
            with app.app_context():
                start.wait()
                with suppress(sessions.InvalidCredentials):
                    log_into("alice", old)

        with ThreadPoolExecutor(4) as pool:
            entered = [pool.submit(enter) for _ in range(4)]
            start.wait()
            own_account.change_password(
                user_id=account.id,
                session_id=own.id,
                old_password=old,
                new_password=new,
                by=OPERATOR,
            )
            for future in entered:
                future.result()
        assert {row.id for row in rows(Session)} == {own.id}
        old, new = new, old


@pytest.mark.promise
def test_two_who_take_each_others_role_leave_one_member_of_staff(
    app: Flask, make_caller: Callable[..., Caller]
) -> None:
    for number in range(10):
        pair = [make_caller(f"staff{number}{who}", is_staff=True) for who in "ab"]
        start = threading.Barrier(2)

        def demote(
            caller: Caller, other: Caller, start: threading.Barrier = start
        ) -> tuple[int, str]:
            start.wait()
            answer = app.test_client().patch(
                f"/api/accounts/{other.id}/", json={"is_staff": False}, headers=caller.headers
            )
            return answer.status_code, answer.json.get("code", "")

        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(demote, *pair), pool.submit(demote, *reversed(pair))]
            answers = sorted(future.result() for future in futures)
        assert answers == [(200, ""), (403, "staff_only")]


# --- workers --------------------------------------------------------------------------------


@pytest.fixture
def server(app: Flask, database_url: str) -> Iterator[Server]:
    server = Server(database_url, RATELIMIT_ENABLED="off")
    yield server
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


@pytest.mark.both_in_ci("postgresql")
def test_a_log_out_counts_on_every_worker_from_the_next_request_on(server: Server) -> None:
    server.call("POST", "/api/signup/", ALICE)
    _, tokens = server.call("POST", "/api/login/", ALICE)
    _, other = server.call("POST", "/api/login/", ALICE)
    # Each of these connections may be another worker's; together they warm all of them.
    assert {server.call("GET", "/api/me/", token=tokens["access"])[0] for _ in range(40)} == {200}
    assert server.call("POST", "/api/logout/", token=tokens["access"])[0] == 204
    assert {server.call("GET", "/api/me/", token=tokens["access"])[0] for _ in range(40)} == {401}
    assert server.call("POST", "/api/token/refresh/", {"refresh": tokens["refresh"]})[0] == 401
    assert {server.call("GET", "/api/me/", token=other["access"])[0] for _ in range(40)} == {200}
