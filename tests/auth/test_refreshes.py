"""Refresh tokens: spent once, the same next one for 30 s, and then taken for stolen."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.audit.models import AuditEvent
from booking_app.audit.service import OPERATOR
from booking_app.auth import accounts, refreshes, sessions
from booking_app.auth.models import Session
from booking_app.auth.refreshes import SAME_NEXT_FOR, SPENT_REMEMBERED
from booking_app.core.database import db, writes
from tests.at_time import set_ahead
from tests.conftest import NOON, PASSWORD, bearer, make_app, rows
from tests.serving import Server

ALICE = {"username": "alice", "password": PASSWORD}
KEY, NEW_KEY = "k" * 40, "n" * 40
LASTS = timedelta(days=7)
SECOND = timedelta(seconds=1)
Tokens = dict[str, Any]


@pytest.fixture
def log_in(client: FlaskClient) -> Callable[[], Tokens]:
    client.post("/api/signup/", json=ALICE)
    return lambda: client.post("/api/login/", json=ALICE).json


def refresh(client: FlaskClient, tokens: Tokens) -> Any:
    return client.post("/api/token/refresh/", json={"refresh": tokens["refresh"]})


def reuses() -> int:
    actions = [action for (action,) in rows(AuditEvent, AuditEvent.action)]
    return actions.count("session.refresh_token_reused")


@pytest.fixture
def opened(app: Flask) -> sessions.OpenSession:
    """A session that was opened at noon."""
    alice = accounts.create_user(**ALICE)
    return writes(sessions.open_session)(user_id=alice.id, lasts=LASTS, now=NOON)


def spend(
    session: sessions.OpenSession, now: datetime, keys: tuple[str, ...] = (KEY,)
) -> sessions.OpenSession:
    return refreshes.refresh_session(
        session_id=session.id,
        user_id=session.user_id,
        refresh_id=session.refresh_id,
        keys=keys,
        lasts=LASTS,
        user_agent="",
        by=OPERATOR,
        now=now,
    )


def is_theft(session: sessions.OpenSession, now: datetime, keys: tuple[str, ...] = (KEY,)) -> bool:
    """Whether spending it ends the session, and is written down."""
    before = reuses()
    with pytest.raises(accounts.SessionEnded):
        spend(session, now, keys)
    return rows(Session) == [] and reuses() == before + 1


# --- over the API ---------------------------------------------------------------------------


def test_for_30_seconds_a_spent_token_gets_the_same_next_one(
    client: FlaskClient, log_in: Callable[[], Tokens]
) -> None:
    first = log_in()
    second, again = refresh(client, first).json, refresh(client, first).json
    assert again["refresh"] == second["refresh"] != first["refresh"]
    take_back = set_ahead(db.engine, 28)
    last = refresh(client, first).json
    take_back()
    assert last["refresh"] == second["refresh"]
    for tokens in (first, second, again, last):
        assert client.get("/api/me/", headers=bearer(tokens)).status_code == 200
    third = refresh(client, again)
    assert third.status_code == 200
    assert third.json["refresh"] != again["refresh"]
    assert len(rows(Session)) == 1
    assert reuses() == 0


def test_later_a_spent_token_is_taken_for_theft_and_ends_its_session_alone(
    client: FlaskClient, log_in: Callable[[], Tokens]
) -> None:
    stolen, other = log_in(), log_in()
    current = refresh(client, stolen).json
    take_back = set_ahead(db.engine, 31)
    refused = refresh(client, stolen)
    take_back()
    assert (refused.status_code, refused.json["code"]) == (401, "invalid_token")
    for tokens in (stolen, current):
        assert client.get("/api/me/", headers=bearer(tokens)).status_code == 401
        assert refresh(client, tokens).status_code == 401
    assert client.get("/api/me/", headers=bearer(other)).status_code == 200
    assert refresh(client, other).status_code == 200
    assert reuses() == 1  # written down although it was refused


def test_the_answer_says_what_the_tokens_are(
    client: FlaskClient, log_in: Callable[[], Tokens], database_url: str
) -> None:
    first = log_in()
    for tokens in (first, refresh(client, first).json):
        assert list(tokens) == ["access", "refresh", "expires_in", "token_type"]
        assert (tokens["expires_in"], tokens["token_type"]) == (900, "Bearer")
        claims = jwt.decode(tokens["access"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 900
    short = make_app(database_url, ACCESS_TOKEN_MINUTES="1").test_client()
    assert short.post("/api/login/", json=ALICE).json["expires_in"] == 60


def test_the_token_ends_with_its_session(client: FlaskClient, log_in: Callable[[], Tokens]) -> None:
    first = log_in()
    for tokens in (first, refresh(client, first).json):
        claims = jwt.decode(tokens["refresh"], options={"verify_signature": False})
        ((expires_at,),) = rows(Session, Session.expires_at)
        assert claims["exp"] == int(expires_at.timestamp())


# --- the time -------------------------------------------------------------------------------


def test_the_30_seconds_begin_when_the_token_is_spent_and_are_not_prolonged(
    opened: sessions.OpenSession,
) -> None:
    spent_at = NOON + timedelta(hours=1)
    following = spend(opened, spent_at)
    before = rows(Session)
    for later in (timedelta(), 15 * SECOND, SAME_NEXT_FOR - SECOND):
        assert spend(opened, spent_at + later) == following
    assert rows(Session) == before
    assert is_theft(opened, spent_at + SAME_NEXT_FOR)


def test_each_of_several_quick_refreshes_has_its_own_30_seconds(
    opened: sessions.OpenSession,
) -> None:
    """One tab may be a step ahead of the other."""
    second = spend(opened, NOON)
    third = spend(second, NOON + 20 * SECOND)
    assert spend(opened, NOON + 29 * SECOND) == second
    assert spend(second, NOON + 49 * SECOND) == third
    fourth = spend(third, NOON + 49 * SECOND)
    assert fourth.refresh_id not in {opened.refresh_id, second.refresh_id, third.refresh_id}
    assert is_theft(opened, NOON + 49 * SECOND)


def test_no_more_spent_tokens_are_remembered_than_it_needs(opened: sessions.OpenSession) -> None:
    chain = [opened]
    for _ in range(SPENT_REMEMBERED + 5):
        chain.append(spend(chain[-1], NOON))
    ((remembered,),) = rows(Session, Session.spent_refreshes)
    assert len(remembered) == SPENT_REMEMBERED
    for one, following in pairwise(chain[-SPENT_REMEMBERED - 1 :]):
        assert spend(one, NOON) == following
    spend(chain[-1], NOON + timedelta(minutes=1))
    ((remembered,),) = rows(Session, Session.spent_refreshes)
    assert len(remembered) == 1


def test_a_session_that_is_over_cannot_be_refreshed_and_nobody_is_called_a_thief(
    opened: sessions.OpenSession,
) -> None:
    middle = NOON + LASTS / 2
    renewed = spend(opened, middle)
    with pytest.raises(accounts.SessionEnded):
        spend(renewed, middle + LASTS)
    assert rows(Session) == []
    assert reuses() == 0


# --- what is stored, and the keys -----------------------------------------------------------


def test_nothing_that_opens_a_session_is_stored(opened: sessions.OpenSession) -> None:
    following = spend(opened, NOON)
    kept = str(rows(Session)) + str(rows(AuditEvent))
    assert opened.refresh_id not in kept
    assert following.refresh_id not in kept
    # And what is stored, with the key, gives no token: the secret that was spent is needed.
    ((refresh_hash, spent),) = rows(Session, Session.refresh_hash, Session.spent_refreshes)
    for known in (refresh_hash, spent[0]["hash"]):
        guess = refreshes._next_id(KEY, opened.id, known)
        assert sessions.hash_refresh_id(guess) not in kept


def test_the_next_token_depends_on_the_key_the_session_and_the_token() -> None:
    made = {
        refreshes._next_id(key, session, token)
        for key in (KEY, NEW_KEY)
        for session in (1, 11)
        for token in ("1\n2", "2")
    }
    assert len(made) == 8


def test_servers_with_the_new_key_and_with_the_old_give_the_same_token(
    opened: sessions.OpenSession,
) -> None:
    """While the key is changed, each server knows both."""
    old, new = (KEY, NEW_KEY), (NEW_KEY, KEY)
    second = spend(opened, NOON, old)
    assert spend(opened, NOON, new) == second
    third = spend(second, NOON, new)
    assert spend(second, NOON, old) == third
    assert spend(opened, NOON, new) == second
    assert is_theft(opened, NOON, ("x" * 40,))  # a server that can't know what was given


def test_over_the_api_a_new_key_gives_the_same_next_secret(
    app: Flask, log_in: Callable[[], Tokens], database_url: str
) -> None:
    first = log_in()
    before = make_app(database_url, SECRET_KEY=KEY, SECRET_KEY_PREVIOUS=NEW_KEY).test_client()
    after = make_app(database_url, SECRET_KEY=NEW_KEY, SECRET_KEY_PREVIOUS=KEY).test_client()
    given = [refresh(client, first).json for client in (before, after, before)]
    secrets = {
        jwt.decode(tokens["refresh"], options={"verify_signature": False})["jti"]
        for tokens in given
    }
    assert len(secrets) == 1
    assert refresh(after, given[0]).status_code == 200
    assert refresh(before, given[1]).status_code == 200


def test_the_release_before_neither_breaks_nor_opens_it(opened: sessions.OpenSession) -> None:
    """It writes the hash of a random next token and knows nothing of the spent ones."""

    def refresh_as_before(secret: str, now: datetime) -> None:
        values = {"refresh_hash": sessions.hash_refresh_id(secret), "refreshed_at": now}
        with db.engine.begin() as connection:
            connection.execute(sa.update(Session).values(values))

    second = spend(opened, NOON)
    refresh_as_before("random", NOON + SECOND)
    by_it = sessions.OpenSession(opened.id, opened.user_id, "random", opened.expires_at)
    third = spend(by_it, NOON + 2 * SECOND)
    assert spend(by_it, NOON + 2 * SECOND) == third
    # The release before spent this one, so nobody here knows what followed it.
    assert is_theft(second, NOON + 3 * SECOND)


# --- races ----------------------------------------------------------------------------------


def at_once(app: Flask, tokens: Tokens, count: int) -> list[Any]:
    start = threading.Barrier(count)

    def send() -> Any:
        client = app.test_client()
        start.wait()
        return refresh(client, tokens)

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(send) for _ in range(count)]]


@pytest.mark.promise
def test_those_who_spend_a_token_at_once_get_the_same_next_one(
    app: Flask, client: FlaskClient, log_in: Callable[[], Tokens]
) -> None:
    for _ in range(5):
        answers = at_once(app, log_in(), 4)
        assert {answer.status_code for answer in answers} == {200}, [a.text for a in answers]
        assert len({answer.json["refresh"] for answer in answers}) == 1
        for answer in answers:
            assert client.get("/api/me/", headers=bearer(answer.json)).status_code == 200
        assert len({refresh(client, answer.json).json["refresh"] for answer in answers}) == 1


@pytest.mark.promise
def test_without_the_30_seconds_one_wins_and_the_session_ends(
    app: Flask,
    client: FlaskClient,
    log_in: Callable[[], Tokens],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the tests above do race."""
    monkeypatch.setattr(refreshes, "SAME_NEXT_FOR", timedelta())
    for _ in range(3):
        answers = at_once(app, log_in(), 2)
        assert sorted(answer.status_code for answer in answers) == [200, 401]
        won = next(answer.json for answer in answers if answer.status_code == 200)
        assert client.get("/api/me/", headers=bearer(won)).status_code == 401


@pytest.fixture
def servers(app: Flask, database_url: str) -> Iterator[list[Server]]:
    """Two of two workers each, on one database."""
    servers = [Server(database_url, RATELIMIT_ENABLED="off") for _ in range(2)]
    yield servers
    for server in servers:
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()


@pytest.mark.both_in_ci("postgresql")
def test_several_processes_give_the_same_next_token(servers: list[Server]) -> None:
    first, second = servers
    first.call("POST", "/api/signup/", ALICE)
    for _ in range(5):
        _, tokens = first.call("POST", "/api/login/", ALICE)
        body = {"refresh": tokens["refresh"]}
        start = threading.Barrier(8)

        def send(number: int, body: Any = body, start: threading.Barrier = start) -> Any:
            start.wait()
            return servers[number % 2].call("POST", "/api/token/refresh/", body)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, range(8)))
        assert {status for status, _ in answers} == {200}, answers
        (secret,) = {answer["refresh"] for _, answer in answers}
        assert second.call("POST", "/api/token/refresh/", {"refresh": secret})[0] == 200
        for _, answer in answers:
            assert second.call("GET", "/api/me/", token=answer["access"])[0] == 200
