"""`RateLimit` and `RateLimit-Policy`: what is left, of the limits that a call counts for."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking_app.auth import accounts
from booking_app.web import limits
from tests.conftest import PASSWORD, Caller, make_app
from tests.contract import document
from tests.serving import REDIS_SERVER, RedisServer
from tests.web.test_rate_limits import Clock

# The counters stand in no database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ALICE = {"username": "alice", "password": PASSWORD}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def limited(app: Flask, database_url: str, clock: Clock) -> FlaskClient:
    counting = {"RATELIMIT_ENABLED": "on", "WEB_CONCURRENCY": "1"}
    return make_app(database_url, **counting).test_client()


def policies(answer: Any) -> dict[str, tuple[int, int]]:
    """The amount and the seconds of each policy."""
    found = answer.headers["RateLimit-Policy"].split(", ")
    items = [re.fullmatch(r'"([a-z_]+)";q=(\d+);w=(\d+)', item) for item in found]
    return {item[1]: (int(item[2]), int(item[3])) for item in items if item}


def left(answer: Any) -> tuple[str, int, int]:
    """The policy that is nearest, how many calls it leaves, and for how many seconds."""
    found = re.fullmatch(r'"([a-z_]+)";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    assert found
    return found[1], int(found[2]), int(found[3])


def test_an_answer_tells_the_tightest_limit_that_it_was_counted_for(
    limited: FlaskClient, clock: Clock, alice: Caller
) -> None:
    me = limited.get("/api/me/", headers=alice.headers)
    assert policies(me) == {"all": (6000, 60)}
    assert left(me) == ("all", 5999, 60)
    clock.now += 20
    wrong = ALICE | {"password": "wrong-password"}
    refused = limited.post("/api/login/", json=wrong)
    assert policies(refused) == {
        "all": (6000, 60),
        "log_in": (60, 60),
        "log_in_name": (10, 60),
        "log_in_failures": (100, 3600),
    }
    assert left(refused) == ("log_in_name", 9, 60)
    clock.now += 15.5
    assert left(limited.post("/api/login/", json=wrong)) == ("log_in_name", 8, 45)
    clock.now += 45
    assert left(limited.post("/api/login/", json=wrong)) == ("log_in_name", 9, 60)


def test_what_did_not_count_is_not_told(limited: FlaskClient) -> None:
    """A log-in that succeeds is no failure, and resets the count of its name."""
    accounts.create_user(**ALICE)
    answer = limited.post("/api/login/", json=ALICE)
    assert answer.status_code == 200
    assert set(policies(answer)) == {"all", "log_in"}
    assert left(answer)[:2] == ("log_in", 59)


def test_over_the_limit_nothing_is_left(
    limited: FlaskClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = replace(limits.RULES["log_in"], amount=2)
    monkeypatch.setitem(limits.RULES, "log_in", rule)
    wrong = ALICE | {"password": "wrong-password"}
    answers = []
    for _ in range(4):
        answers.append(limited.post("/api/login/", json=wrong))
        clock.now += 10
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert [left(answer)[:2] for answer in answers] == [
        ("log_in", 1),
        ("log_in", 0),
        ("log_in", 0),
        ("log_in", 0),
    ]
    refused = answers[-1]
    assert left(refused)[2] == int(refused.headers["Retry-After"]) == 30


def test_failures_and_refused_bodies_that_are_used_up_say_so(
    limited: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("log_in_failures", "refused_body"):
        monkeypatch.setitem(limits.RULES, name, replace(limits.RULES[name], amount=1))
    wrong = ALICE | {"password": "wrong-password"}
    assert left(limited.post("/api/login/", json=wrong)) == ("log_in_failures", 0, 3600)
    refused = limited.post("/api/login/", json=wrong)
    assert (refused.status_code, left(refused)[:2]) == (429, ("log_in_failures", 0))
    bodies = [limited.post("/api/signup/", data=b"{}") for _ in range(2)]
    assert [body.status_code for body in bodies] == [415, 429]
    assert [left(body)[:2] for body in bodies] == [("refused_body", 0)] * 2


def test_calls_of_an_account_count_for_it(
    limited: FlaskClient, alice: Caller, bob: Caller, show_id: int
) -> None:
    def book(caller: Caller) -> tuple[str, int, int]:
        path = f"/api/shows/{show_id}/book/"
        return left(limited.post(path, json={"quantity": 1}, headers=caller.headers))

    assert [book(one)[:2] for one in (alice, alice, bob)] == [
        ("booking", 299),
        ("booking", 298),
        ("booking", 299),
    ]


def test_an_answer_that_may_be_kept_has_the_policy_alone(limited: FlaskClient) -> None:
    """What is left would be another caller's."""
    for path in ("/api/movies/", "/api/", "/openapi.json"):
        answer = limited.get(path)
        again = limited.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304
        for one in (answer, again):
            assert policies(one) == {"all": (6000, 60)}
            assert "RateLimit" not in one.headers


def test_what_is_not_counted_has_none_of_it(limited: FlaskClient, client: FlaskClient) -> None:
    for answer in (limited.get("/livez"), client.get("/api/nothing/")):
        assert "RateLimit" not in answer.headers
        assert "RateLimit-Policy" not in answer.headers


def test_they_are_declared_everywhere(app: Flask) -> None:
    for methods in document(app)["paths"].values():
        for method, operation in methods.items():
            if method != "parameters":
                for response in operation["responses"].values():
                    assert {"RateLimit", "RateLimit-Policy"} <= set(response["headers"])


def test_with_redis_it_is_what_all_count_together(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    if REDIS_SERVER is None:
        pytest.skip("no redis-server on this machine: apt-get install redis-server")
    with RedisServer(tmp_path) as url:
        settings = {"RATELIMIT_ENABLED": "on", "REDIS_URL": url}
        clients = [make_app(database_url, **settings).test_client() for _ in range(2)]
        told = [left(client.get("/api/me/")) for client in (*clients, clients[0])]
    assert [(name, number) for name, number, _ in told] == [
        ("all", 5999),
        ("all", 5998),
        ("all", 5997),
    ]
    assert all(50 < seconds <= 60 for *_, seconds in told)
