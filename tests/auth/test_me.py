"""One's own account: its name, its e-mail address, and how many sessions it has."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.audit.models import AuditEvent
from booking_app.audit.service import OPERATOR
from booking_app.auth import accounts, own_account, passwords, sessions
from booking_app.auth.models import Session, User
from booking_app.core.database import db, writes
from tests.auth.test_sessions import NEW_PASSWORD, Slow
from tests.conftest import NOON, PASSWORD, Caller, open_tokens, rows

ME = "/api/me/"
NEW = "new@example.org"
ALICE = {"username": "alice", "password": PASSWORD}


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def told(*actions: str) -> list[Any]:
    """What the audit says of these actions."""
    query = (AuditEvent.action, AuditEvent.actor_id, AuditEvent.before, AuditEvent.after)
    return [tuple(row) for row in rows(AuditEvent, *query) if row.action in actions]


def test_a_name_is_set_shown_and_taken_away(alice: Caller, staff: Caller, bob: Caller) -> None:
    assert alice.get(ME).json["name"] is None
    changed = alice.patch(ME, {"name": "  Alice Liddell, Αλίκη "})
    assert changed.status_code == 200
    assert changed.json == alice.get(ME).json
    assert changed.json["name"] == "Alice Liddell, Αλίκη"
    assert changed.json["username"] == "alice"  # which it logs in with, as before
    assert staff.get(f"/api/accounts/{alice.id}/").json["name"] == "Alice Liddell, Αλίκη"
    assert bob.get(ME).json["name"] is None
    assert alice.patch(ME, {}).json == alice.patch(ME).json == changed.json
    assert alice.patch(ME, {"name": None}).json["name"] is None
    names = ({"name": None}, {"name": "Alice Liddell, Αλίκη"})
    assert told("account.changed") == [
        ("account.changed", alice.id, *names),
        ("account.changed", alice.id, *reversed(names)),
    ]


def test_a_new_address_takes_the_password(alice: Caller) -> None:
    before = rows(User)
    missing = alice.patch(ME, {"email": NEW, "name": "A"})
    assert refused(missing) == (422, "validation_failed")
    (error,) = missing.json["errors"]
    assert (error["pointer"], error["code"]) == ("/password", "required")
    wrong = alice.patch(ME, {"email": NEW, "name": "A", "password": "wrong-password"})
    assert refused(wrong) == (403, "wrong_password")
    assert rows(User) == before
    assert len(told("account.password_refused")) == 1
    right = alice.patch(ME, {"email": NEW, "name": "A", "password": PASSWORD})
    assert (right.status_code, right.json["email"], right.json["name"]) == (200, NEW, "A")
    # The one it has is not new; to have none is.
    assert alice.patch(ME, {"email": NEW}).status_code == 200
    assert refused(alice.patch(ME, {"email": None})) == (422, "validation_failed")
    gone = alice.patch(ME, {"email": None, "password": PASSWORD})
    assert (gone.status_code, gone.json["email"]) == (200, None)


@pytest.mark.parametrize("password", [{}, {"password": "wrong-password"}, {"password": PASSWORD}])
def test_a_malformed_address_is_422_before_anything_else(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, password: dict[str, str]
) -> None:
    def look(*args: Any) -> bool:
        raise AssertionError("nobody looks at the password")

    monkeypatch.setattr(own_account, "matches", look)
    answer = alice.patch(ME, {"email": "nobody@nowhere", **password})
    assert refused(answer) == (422, "validation_failed")
    assert "email" in str(answer.json["errors"])
    assert told("account.password_refused") == []


def test_an_address_is_kept_in_its_normal_form(alice: Caller) -> None:
    for sent, kept in [
        ("Alice@EXAMPLE.org", "Alice@example.org"),
        ("alice@bücher.example.org", "alice@bücher.example.org"),
        ("δοκιμή@παράδειγμα.gr", "δοκιμή@παράδειγμα.gr"),
    ]:
        answer = alice.patch(ME, {"email": sent, "password": PASSWORD})
        assert (answer.status_code, answer.json.get("email")) == (200, kept)


def test_an_old_address_stays_and_is_no_obstacle(alice: Caller) -> None:
    with db.engine.begin() as connection:
        connection.execute(sa.update(User).values(email="alice@intranet"))
    assert alice.patch(ME, {"name": "Alice"}).json["email"] == "alice@intranet"


@pytest.mark.parametrize("condition", [True, False], ids=["as it is", "without its condition"])
def test_a_password_changed_meanwhile_is_a_wrong_one(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, condition: bool
) -> None:
    def change() -> None:
        body = {"old_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert alice.put("/api/me/password/", body).status_code == 204

    if not condition:
        monkeypatch.setattr(own_account, "unchanged", lambda account: User.id == account.id)
    monkeypatch.setattr(passwords, "hasher", Slow(change))
    answer = alice.patch(ME, {"email": NEW, "password": PASSWORD})
    assert answer.status_code == (403 if condition else 200)
    assert alice.get(ME).json["email"] == (None if condition else NEW)


# --- sessions -------------------------------------------------------------------------------


def log_in(hours: float = 0) -> sessions.OpenSession:
    terms: dict[str, Any] = {"lasts": timedelta(days=7), "user_agent": "", "by": OPERATOR}
    return sessions.log_in(**ALICE, now=NOON + timedelta(hours=hours), **terms)


def test_of_more_than_fifty_open_sessions_the_oldest_goes(app: Flask) -> None:
    accounts.create_user(**ALICE)
    bob = accounts.create_user(username="bob", password=PASSWORD)
    others = writes(sessions.open_session)(user_id=bob.id, lasts=timedelta(days=7), now=NOON)
    opened = [log_in(number / 100).id for number in range(52)]
    assert [row.id for row in rows(Session)] == [others.id, *opened[2:]]


def test_sessions_that_are_over_do_not_count(app: Flask) -> None:
    accounts.create_user(**ALICE)
    oldest = log_in().id
    for _ in range(49):
        log_in()
    with db.engine.begin() as connection:
        late = sa.update(Session).where(Session.id == oldest)
        connection.execute(late.values(expires_at=NOON + timedelta(days=30)))
    log_in(8 * 24)  # the others are over by then
    assert oldest in {row.id for row in rows(Session)}


def test_the_api_ends_the_tokens_of_the_oldest(client: FlaskClient, alice: Caller) -> None:
    for _ in range(49):
        open_tokens(alice.id)
    assert alice.get(ME).status_code == 200
    assert client.post("/api/login/", json=ALICE).status_code == 200
    assert alice.get(ME).status_code == 401


def race(app: Flask) -> int:
    """How many sessions there are after six have logged in at once, where there were 49."""
    start = threading.Barrier(6)

    def enter() -> None:
        with app.app_context():
            start.wait()
            log_in()

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(enter) for _ in range(6)]:
            future.result()
    return len(rows(Session))


@pytest.fixture
def forty_nine(app: Flask) -> int:
    """Sessions of alice; her id."""
    alice = accounts.create_user(**ALICE)
    for _ in range(49):
        log_in()
    return alice.id


@pytest.mark.promise
def test_of_those_who_log_in_at_once_none_makes_it_more(app: Flask, forty_nine: int) -> None:
    for _ in range(3):
        assert race(app) == 50


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_without_the_lock_they_do(
    app: Flask, forty_nine: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite a writer is alone anyway."""

    def unlocked(connection: sa.Connection, account: Any, **kwargs: Any) -> None:
        return None

    monkeypatch.setattr(sessions, "_find_refusal", unlocked)
    found: Callable[[], bool] = lambda: race(app) > 50  # noqa: E731
    assert any(found() for _ in range(20))
