"""Accounts: names, passwords, tokens."""

import re
from datetime import timedelta

import pytest
from argon2 import PasswordHasher, Type
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import create_access_token, create_refresh_token
from hypothesis import given
from hypothesis import strategies as st

from booking_app.audit.service import OPERATOR
from booking_app.auth import accounts, passwords, sessions
from booking_app.auth.models import User
from booking_app.core.database import fold
from booking_app.core.errors import Invalid
from tests.conftest import PASSWORD, ROOT, Caller, make_app, rows
from tests.wrong import wrong


def sign_up(client: FlaskClient, username: str = "alice", password: str = PASSWORD):
    return client.post("/api/signup/", json={"username": username, "password": password})


def log_in(client: FlaskClient, username: str = "alice", password: str = PASSWORD):
    return client.post("/api/login/", json={"username": username, "password": password})


def test_sign_up_log_in_and_see_the_account(client: FlaskClient) -> None:
    body = {"username": "alice", "password": PASSWORD, "email": "alice@example.org"}
    answer = client.post("/api/signup/", json=body)
    assert answer.status_code == 201
    assert answer.json["username"] == "alice"
    assert answer.json["email"] == "alice@example.org"
    assert answer.json["is_staff"] is False
    tokens = log_in(client).json
    me = client.get("/api/me/", headers={"Authorization": f"Bearer {tokens['access']}"})
    assert me.json == answer.json


def test_passwords_are_kept_as_argon2id_hashes_with_the_librarys_parameters(app: Flask) -> None:
    accounts.create_user(username="alice", password=PASSWORD)
    ((stored,),) = rows(User, User.password_hash)
    assert stored.startswith("$argon2id$")
    assert PasswordHasher().type is Type.ID
    assert PasswordHasher().memory_cost >= 19 * 1024  # OWASP's least, in KiB


@pytest.mark.parametrize(
    ("first", "second"),
    [("alice", "ALICE"), ("straße", "STRASSE"), ("éric", "ÉRIC"), ("Σίσυφος", "ΣΊΣΥΦΟΣ")],
)
def test_names_are_unique_without_regard_to_case(
    client: FlaskClient, first: str, second: str
) -> None:
    assert sign_up(client, first).status_code == 201
    refused = sign_up(client, second)
    assert (refused.status_code, refused.json["code"]) == (409, "username_taken")
    assert log_in(client, second).status_code == 200
    assert len(rows(User)) == 1


@pytest.mark.parametrize("name", ["a", "a@b.example", "x+y-z_1", "Ωmega", "名前", "a" * 150])
def test_names_that_are_allowed(client: FlaskClient, name: str) -> None:
    assert sign_up(client, name).status_code == 201


@pytest.mark.parametrize("name", ["", "  ", "a b", "a/b", "a\u200bb", "<b>", "a" * 151, "ﷺ" * 20])
def test_names_that_are_refused(client: FlaskClient, name: str) -> None:
    answer = sign_up(client, name)
    assert answer.status_code == 422
    assert list(wrong(answer)) == ["/username"]
    assert rows(User) == []


@pytest.mark.parametrize(
    "password",
    ["short12", "alice-alice", "ALICE-alice", "password123", "QWERTYUIOP", "x" * 129, ""],
)
def test_passwords_that_are_refused(client: FlaskClient, password: str) -> None:
    answer = sign_up(client, "alice-alice", password)
    assert answer.status_code == 422
    assert list(wrong(answer)) == ["/password"]
    assert password not in answer.json["detail"] or not password
    assert rows(User) == []


@given(st.text(max_size=200))
def test_a_name_is_kept_as_it_is_compared_or_refused(name: str) -> None:
    try:
        kept = accounts.checked_username(name)
    except Invalid:
        return
    assert accounts.checked_username(kept) == kept
    assert fold(kept) == fold(fold(kept))
    assert len(kept) <= 150


def test_an_unknown_name_and_a_wrong_password_are_answered_alike(client: FlaskClient) -> None:
    sign_up(client)
    wrong = log_in(client, password="wrong-password")
    unknown = log_in(client, username="nobody")
    assert wrong.status_code == unknown.status_code == 401
    bodies = [answer.json | {"request_id": ""} for answer in (wrong, unknown)]
    assert bodies[0] == bodies[1]
    assert wrong.json["code"] == "invalid_credentials"


def test_an_unknown_name_costs_a_hash_too(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same time means the same work: one verification, whether the name is known or not."""
    accounts.create_user(username="alice", password=PASSWORD)
    verified = []

    class Counting(PasswordHasher):
        def verify(self, hashed: str, password: str) -> bool:
            verified.append(hashed.rsplit("$", 2)[0])
            return super().verify(hashed, password)

    monkeypatch.setattr(passwords, "hasher", Counting(time_cost=1, memory_cost=8, parallelism=1))
    passwords.nobodys_hash.cache_clear()
    for username in ("alice", "nobody"):
        with pytest.raises(sessions.InvalidCredentials):
            sessions.log_in(
                username=username,
                password="wrong-password",
                lasts=timedelta(days=7),
                user_agent="",
                by=OPERATOR,
            )
    assert len(verified) == 2
    assert verified[0] == verified[1]  # the same algorithm and parameters


@pytest.mark.parametrize("place", ["body", "header"])
def test_a_refresh_token_gets_the_next_pair(client: FlaskClient, place: str) -> None:
    sign_up(client)
    refresh = log_in(client).json["refresh"]
    if place == "body":
        answer = client.post("/api/token/refresh/", json={"refresh": refresh})
    else:
        answer = client.post("/api/token/refresh", headers={"Authorization": f"Bearer {refresh}"})
    assert answer.status_code == 200
    me = client.get("/api/me/", headers={"Authorization": f"Bearer {answer.json['access']}"})
    assert me.json["username"] == "alice"


def test_refreshing_needs_a_refresh_token(client: FlaskClient, alice: Caller) -> None:
    access = alice.headers["Authorization"].split()[1]
    old = create_refresh_token("1", expires_delta=timedelta(minutes=-1))
    gone = create_refresh_token("999")
    for body, headers, code in [
        ({}, {}, "not_authenticated"),
        ({"refresh": access}, {}, "invalid_token"),
        ({}, alice.headers, "invalid_token"),
        ({"refresh": "x.y.z"}, {}, "invalid_token"),
        ({"refresh": old}, {}, "token_expired"),
        ({}, {"Authorization": f"Bearer {old}"}, "token_expired"),
        ({"refresh": gone}, {}, "invalid_token"),
    ]:
        answer = client.post("/api/token/refresh/", json=body, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (401, code)


def test_a_token_that_was_good_expires_all_the_same(
    app: Flask, client: FlaskClient, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good tokens are remembered; their end is not forgotten with that."""

    def call(minutes: int) -> tuple[int, str | None]:
        lasts = timedelta(minutes=minutes)
        token = create_access_token(
            str(alice.id), additional_claims={"sid": 1}, expires_delta=lasts
        )
        tokens.setdefault(minutes, token)
        answer = client.get("/api/me/", headers={"Authorization": f"Bearer {tokens[minutes]}"})
        return answer.status_code, answer.json.get("code")

    tokens: dict[int, str] = {}
    expired = (401, "token_expired")
    assert [call(-1), call(-1)] == [expired, expired]
    monkeypatch.setitem(app.config, "JWT_DECODE_LEEWAY", 3600)
    assert [call(-2), call(-2)] == [(200, None), (200, None)]
    monkeypatch.setitem(app.config, "JWT_DECODE_LEEWAY", 10)
    assert call(-2) == expired


def test_a_remembered_token_is_good_for_its_own_key_only(alice: Caller, database_url: str) -> None:
    assert alice.get("/api/me/").status_code == 200
    other = make_app(database_url, SECRET_KEY="o" * 40)
    refused = other.test_client().get("/api/me/", headers=alice.headers)
    assert (refused.status_code, refused.json["code"]) == (401, "invalid_token")


def test_an_account_that_is_gone_is_401(client: FlaskClient, show_id: int) -> None:
    headers = {"Authorization": f"Bearer {create_access_token('999')}"}
    assert client.get("/api/me/", headers=headers).json["code"] == "invalid_token"
    booked = client.post(f"/api/shows/{show_id}/book/", json={"seat_number": 1}, headers=headers)
    assert (booked.status_code, booked.json["code"]) == (401, "invalid_token")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "not_authenticated"),
        ("Bearer", "invalid_token"),
        ("Bearer ", "invalid_token"),
        ("Basic YTpi", "not_authenticated"),
        ("Bearer x", "invalid_token"),
        ("Bearer x.y.z", "invalid_token"),
        ("Bearer a b", "invalid_token"),
        ("Bearer \xff.\xff.\xff", "invalid_token"),
    ],
)
def test_a_missing_or_malformed_token_is_401(
    client: FlaskClient, header: str | None, code: str
) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = client.get("/api/me/", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (401, code)


def test_nobody_makes_oneself_staff(client: FlaskClient, alice: Caller) -> None:
    body = {"username": "eve", "password": PASSWORD}
    for extra in ({"is_staff": True}, {"id": 1}, {"is_disabled": False}):
        assert client.post("/api/signup/", json=body | extra).status_code == 422
    assert client.post("/api/signup/", json=body).json["is_staff"] is False
    for path in (f"/api/accounts/{alice.id}/", "/api/me/"):
        assert alice.patch(path, {"is_staff": True}).status_code in (403, 405)
    assert not any(is_staff for (is_staff,) in rows(User, User.is_staff))


def test_the_application_has_no_http_client() -> None:
    """No call can make the server ask another host. Redis is where the operator says."""
    clients = r"\b(requests|urllib\.request|urllib3|http\.client|httpx|aiohttp|socket)\b"
    for path in (ROOT / "booking_app").rglob("*.py"):
        if path.name == "engines.py":  # it ends the waits of the database's own connections
            continue
        found = re.findall(rf"^\s*(?:import|from) {clients}", path.read_text(), re.MULTILINE)
        assert found == [], path
