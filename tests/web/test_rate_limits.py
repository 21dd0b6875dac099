"""Limits: what is counted, by whom, and with or without Redis."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from booking_app.audit.models import AuditEvent
from booking_app.audit.service import OPERATOR
from booking_app.auth import access, accounts, passwords, sessions
from booking_app.auth.models import Session, User
from booking_app.core.database import db
from booking_app.web import limits
from tests.conftest import PASSWORD, Caller, make_app, rows
from tests.serving import REDIS_SERVER, RedisServer, Server, wait_until

# The counters stand in no database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ALICE = {"username": "alice", "password": PASSWORD}
WRONG = ALICE | {"password": "wrong-password"}


class Clock:
    """The limiter's clock, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_900_000_000.0
        monkeypatch.setattr("limits.storage.memory.time", self)
        monkeypatch.setattr("booking_app.web.limits.time", self)

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def make_client(app: Flask, database_url: str, clock: Clock) -> Callable[..., FlaskClient]:
    """A client of an app that counts, from nothing on, and believes one proxy."""

    def make(**settings: str) -> FlaskClient:
        settings = {"WEB_CONCURRENCY": "1", "TRUSTED_PROXIES": "1", **settings}
        return make_app(database_url, RATELIMIT_ENABLED="on", **settings).test_client()

    return make


@pytest.fixture
def limited(make_client: Callable[..., FlaskClient]) -> FlaskClient:
    return make_client()


def lower(monkeypatch: pytest.MonkeyPatch, name: str, amount: int) -> None:
    rule = replace(limits.RULES[name], amount=amount)
    monkeypatch.setitem(limits.RULES, name, rule)


def log_in(
    client: FlaskClient, body: dict[str, str] = WRONG, address: str = "192.0.2.1"
) -> tuple[int, str]:
    answer = client.post("/api/login/", json=body, headers={"X-Forwarded-For": address})
    return answer.status_code, answer.json.get("code", "")


REFUSED, LIMITED = (401, "invalid_credentials"), (429, "rate_limited")


# --- log-in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_ten_log_ins_a_minute_for_one_name_known_or_not(
    limited: FlaskClient, clock: Clock, name: str
) -> None:
    accounts.create_user(**ALICE)
    body = {"username": name, "password": "wrong-password"}
    # However it is spelled, it is one name.
    spelled = [body | {"username": name.upper()}, body | {"username": f" {name} "}] * 5
    assert [log_in(limited, body) for body in spelled] == [REFUSED] * 10
    before = rows(AuditEvent)
    clock.now += 20
    answer = limited.post("/api/login/", json=body, headers={"X-Forwarded-For": "192.0.2.1"})
    assert (answer.status_code, answer.json["code"]) == LIMITED
    assert 39 <= int(answer.headers["Retry-After"]) <= 41
    assert answer.headers["Retry-After"] in answer.json["detail"]
    assert rows(AuditEvent) == before  # nothing was hashed or written
    clock.now += 41
    assert log_in(limited, body) == REFUSED


def test_a_name_is_guarded_against_many_addresses(limited: FlaskClient, clock: Clock) -> None:
    accounts.create_user(**ALICE)
    answers = [log_in(limited, address=f"198.51.100.{n}") for n in range(50)]
    assert answers == [REFUSED] * 10 + [LIMITED] * 40
    assert log_in(limited, WRONG | {"username": "bob"}, "198.51.100.1") == REFUSED


def test_the_owner_gets_in_where_it_has_been_and_no_one_is_locked_out_for_good(
    limited: FlaskClient, clock: Clock
) -> None:
    accounts.create_user(**ALICE)
    home = "203.0.113.9"
    assert log_in(limited, ALICE, home) == (200, "")
    for minute in range(3):
        for n in range(30):  # without a pause, from everywhere
            log_in(limited, address=f"198.51.100.{minute * 30 + n}")
        assert log_in(limited, ALICE, "203.0.113.10") == LIMITED
        assert log_in(limited, ALICE, home) == (200, "")
        clock.now += 61
    assert log_in(limited, ALICE, "203.0.113.10") == (200, "")
    # Also after a log-out, which ends the session there.
    for n in range(11):
        log_in(limited, address=f"198.51.100.{n}")
    session = sessions.log_in(**ALICE, lasts=timedelta(days=7), user_agent="", by=OPERATOR)
    sessions.log_out(session_id=session.id, user_id=session.user_id, by=OPERATOR)
    with db.engine.connect() as connection:
        connection.execute(sa.delete(Session))
    assert log_in(limited, ALICE, home) == (200, "")
    # The exception is for the account's own addresses: a guesser there is slowed all the same.
    assert [log_in(limited, address=home) for _ in range(11)] == [REFUSED] * 10 + [LIMITED]


def test_a_log_in_that_succeeds_counts_for_nothing(limited: FlaskClient) -> None:
    accounts.create_user(**ALICE)
    for _ in range(12):
        assert log_in(limited, ALICE) == (200, "")
    for _ in range(9):
        assert log_in(limited) == REFUSED
    assert log_in(limited, ALICE) == (200, "")
    assert [log_in(limited) for _ in range(11)] == [REFUSED] * 10 + [LIMITED]


def test_an_address_is_limited_whatever_names_it_tries(
    limited: FlaskClient, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def attempts(number: int) -> list[tuple[int, str]]:
        return [
            log_in(limited, {"username": f"name{clock.now}-{n}", "password": "wrong-password"})
            for n in range(number)
        ]

    lower(monkeypatch, "log_in", 20)
    lower(monkeypatch, "log_in_failures", 30)  # an hour, of those that were refused
    assert attempts(21) == [REFUSED] * 20 + [LIMITED]
    clock.now += 61
    assert attempts(11) == [REFUSED] * 10 + [LIMITED]
    clock.now += 61
    assert attempts(1) == [LIMITED]
    assert log_in(limited, address="192.0.2.2") == REFUSED
    clock.now += 3600
    assert attempts(1) == [REFUSED]


def test_what_cannot_be_read_counts_for_no_name(limited: FlaskClient) -> None:
    json = {"Content-Type": "application/json"}
    for body in (b'{"username": "alice"}', b'{"username": "alice", "password": 5}', b"{", b"[]"):
        for _ in range(5):
            answer = limited.post("/api/login/", data=body, headers=json)
            assert answer.status_code in (400, 422)
    assert log_in(limited) == REFUSED


def test_an_address_that_is_refused_uses_up_no_name(
    limited: FlaskClient, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    lower(monkeypatch, "log_in_failures", 5)
    for n in range(5):
        log_in(limited, {"username": f"name{n}", "password": "wrong-password"}, "192.0.2.66")
    clock.now += 61  # its minute is over, its hour is not
    assert {log_in(limited, address="192.0.2.66") for _ in range(20)} == {LIMITED}
    assert log_in(limited, address="192.0.2.1") == REFUSED


@pytest.mark.parametrize(("workers", "each"), [(1, 10), (2, 5), (4, 3), (8, 2), (16, 2)])
def test_without_redis_the_workers_share_the_log_ins_out(
    make_client: Callable[..., FlaskClient], workers: int, each: int
) -> None:
    client = make_client(WEB_CONCURRENCY=str(workers))
    answers = [log_in(client) for _ in range(each + 1)]
    assert answers == [REFUSED] * each + [LIMITED]


# --- the others -----------------------------------------------------------------------------


def test_the_owner_s_network_of_ipv6_is_known_as_one(limited: FlaskClient) -> None:
    """Addresses within it change all the time."""
    accounts.create_user(**ALICE)
    assert log_in(limited, ALICE, "2001:db8:1:2::1") == (200, "")
    for n in range(11):
        log_in(limited, address=f"198.51.100.{n}")
    assert log_in(limited, ALICE, "2001:db8:1:2:aaaa::77") == (200, "")
    assert log_in(limited, ALICE, "2001:db8:9:9::1") == LIMITED


def test_a_database_that_is_away_for_a_moment_resets_no_count(
    limited: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [log_in(limited) for _ in range(11)] == [REFUSED] * 10 + [LIMITED]

    def away(**_: Any) -> Any:
        raise sa.exc.TimeoutError("no connection is free")

    with monkeypatch.context() as patched:
        patched.setattr(access, "known_addresses", away)
        assert log_in(limited) == LIMITED
    assert log_in(limited) == LIMITED


def test_sign_ups_by_address_and_by_name(
    limited: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(monkeypatch, "sign_up", 5)

    def sign_up(name: str, address: str) -> int:
        answer = limited.post(
            "/api/signup/",
            json={"username": name, "password": PASSWORD},
            headers={"X-Forwarded-For": address},
        )
        return answer.status_code

    assert [sign_up(f"a{n}", "192.0.2.1") for n in range(6)] == [201] * 5 + [429]
    by_name = [sign_up("same", f"198.51.100.{n}") for n in range(11)]
    assert by_name == [201, *[409] * 9, 429]
    assert len(rows(User)) == 6


def test_refreshes_by_address(limited: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    lower(monkeypatch, "refresh", 2)
    answers = [limited.post("/api/token/refresh/", json={"refresh": "x"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]


def test_guesses_at_the_old_password_by_account(
    limited: FlaskClient, alice: Caller, bob: Caller
) -> None:
    body = {"old_password": "wrong-password", "new_password": "staple-battery-horse"}

    def guess(caller: Caller) -> int:
        answer = limited.put("/api/me/password/", json=body, headers=caller.headers)
        return int(answer.status_code)

    def guess_for_an_address(caller: Caller) -> int:
        wrong = {"email": "new@example.org", "password": "wrong-password"}
        return int(limited.patch("/api/me/", json=wrong, headers=caller.headers).status_code)

    guesses = [guess(alice) for _ in range(6)] + [guess_for_an_address(alice) for _ in range(4)]
    assert guesses == [403] * 10
    assert guess(alice) == guess_for_an_address(alice) == 429
    assert guess(bob) == 403


def test_booking_writes_by_account_all_kinds_together(
    limited: FlaskClient,
    alice: Caller,
    bob: Caller,
    show_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lower(monkeypatch, "booking", 5)

    def call(caller: Caller, path: str, **json: Any) -> int:
        return int(limited.post(path, json=json, headers=caller.headers).status_code)

    book, hold = f"/api/shows/{show_id}/book/", f"/api/shows/{show_id}/hold/"
    assert call(alice, book, seat_number=1) == 201
    assert call(alice, hold, seat_number=2) == 201
    assert call(alice, "/api/bookings/2/extend/") == 200
    assert call(alice, "/api/bookings/2/confirm/") == 200
    assert call(alice, "/api/bookings/2/cancel/") == 200
    assert call(alice, book, seat_number=4) == 429
    assert call(alice, "/api/bookings/1/cancel/") == 429
    assert call(bob, book, seat_number=3) == 201
    # Reading goes on, and nobody else's token counts for alice.
    assert limited.get("/api/my-bookings/", headers=alice.headers).status_code == 200


def test_a_generous_default_for_all_calls_together_by_address(
    limited: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limits.RULES["all"].amount >= 1000
    lower(monkeypatch, "all", 4)
    paths = ["/api/movies/", "/openapi.json", "/api/nothing/", "/api/me/", "/api/movies/"]
    headers = {"X-Forwarded-For": "192.0.2.1"}
    statuses = [limited.get(path, headers=headers).status_code for path in paths]
    assert statuses == [200, 200, 404, 401, 429]
    # Whoever watches over the server is never told that it is too busy to say.
    for path in ("/livez", "/readyz", "/health/"):
        assert {limited.get(path, headers=headers).status_code for _ in range(9)} == {200}
    other = limited.get("/api/movies/", headers={"X-Forwarded-For": "192.0.2.2"})
    assert other.status_code == 200


def test_nothing_is_limited_where_it_is_off(app: Flask, database_url: str) -> None:
    client = make_app(database_url, RATELIMIT_ENABLED="off").test_client()
    assert {log_in(client) for _ in range(30)} == {REFUSED}


# --- whose address it is --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "forwarded", "seen"),
    [
        ("0", "192.0.2.7", "127.0.0.1"),  # said by anybody
        ("1", "192.0.2.7", "192.0.2.7"),
        ("1", "192.0.2.66, 192.0.2.7", "192.0.2.7"),  # only what the proxy itself added
        ("2", "192.0.2.66, 192.0.2.7, 10.0.0.1", "192.0.2.7"),
        ("2", "192.0.2.7", "127.0.0.1"),  # not by way of both
        ("1", "", "127.0.0.1"),
        ("1", "2001:DB8:0::1", "2001:db8::1"),
        ("1", "unknown", "unknown"),
        ("1", "192.0.2.7:55123", "192.0.2.7"),
        ("1", "[2001:db8::1]:443", "2001:db8::1"),
        ("1", "::ffff:192.0.2.7", "192.0.2.7"),
        ("1", "fe80::1%" + "x" * 60, "fe80::1%" + "x" * 37),
        ("1", "x" * 300, "x" * 45),
    ],
)
def test_the_address_is_what_the_trusted_proxies_say(
    app: Flask, database_url: str, proxies: str, forwarded: str, seen: str
) -> None:
    client = make_app(database_url, TRUSTED_PROXIES=proxies).test_client()
    client.post("/api/login/", json=WRONG, headers={"X-Forwarded-For": forwarded})
    ((address,),) = rows(AuditEvent, AuditEvent.address)
    assert address == seen


def test_a_network_of_ipv6_counts_as_one(
    limited: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(monkeypatch, "log_in", 2)
    addresses = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::3", "2001:db8:1:3::1"]
    assert [log_in(limited, address=a) for a in addresses] == [REFUSED, REFUSED, LIMITED, REFUSED]


# --- several workers ------------------------------------------------------------------------


def attempts(server: Server, number: int) -> Counter[int]:
    """So many wrong passwords for one name, as fast as possible, on connections of their own."""
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(server.call, "POST", "/api/login/", WRONG) for _ in range(number)]
        return Counter(call.result()[0] for call in calls)


def stop(server: Server) -> None:
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def test_without_redis_ten_a_minute_for_one_name_holds_roughly(
    app: Flask, database_url: str
) -> None:
    server = Server(database_url, WEB_CONCURRENCY="2")
    try:
        answers = attempts(server, 60)
    finally:
        stop(server)
    assert set(answers) == {401, 429}
    assert 5 <= answers[401] <= 10  # five for each of the two workers


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis of the test's own."""
    if REDIS_SERVER is None:
        pytest.skip("no redis-server on this machine: apt-get install redis-server")
    with RedisServer(tmp_path) as url:
        yield url


def test_with_redis_all_workers_and_hosts_count_together(
    app: Flask, database_url: str, redis_url: str
) -> None:
    servers = [Server(database_url, REDIS_URL=redis_url, WEB_CONCURRENCY=n) for n in "12"]
    try:
        with ThreadPoolExecutor(2) as pool:
            answers = sum(pool.map(attempts, servers, [30, 30]), Counter[int]())
    finally:
        for server in servers:
            stop(server)
    assert answers == {401: 10, 429: 50}


def test_a_redis_that_is_away_does_not_stop_the_sale(
    app: Flask, database_url: str, alice: Caller, show_id: int, tmp_path: Path
) -> None:
    """Without it each worker counts for itself; when it is back, it counts again."""
    if REDIS_SERVER is None:
        pytest.skip("no redis-server on this machine: apt-get install redis-server")
    first = RedisServer(tmp_path)
    with first as url:
        client = make_app(
            database_url, RATELIMIT_ENABLED="on", REDIS_URL=url, WEB_CONCURRENCY="1"
        ).test_client()
        assert log_in(client) == REFUSED
    path = f"/api/shows/{show_id}/book/"
    booked = client.post(path, json={"seat_number": 1}, headers=alice.headers)
    assert booked.status_code == 201
    assert [log_in(client) for _ in range(11)] == [REFUSED] * 10 + [LIMITED]
    with RedisServer(tmp_path, first.port), redis.Redis(port=first.port) as connection:
        wait_until(lambda: counts_in(connection, client))


def counts_in(connection: "redis.Redis", client: FlaskClient) -> bool:
    client.get("/api/movies/")
    return bool(connection.keys("*"))


@pytest.mark.parametrize(("password", "answer"), [(PASSWORD, (200, "")), ("wrong-one", REFUSED)])
def test_a_redis_that_goes_away_during_a_log_in_changes_no_answer(
    app: Flask,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    password: str,
    answer: tuple[int, str],
) -> None:
    """After the call was counted, and before its count is set back or its failure counted."""
    if REDIS_SERVER is None:
        pytest.skip("no redis-server on this machine: apt-get install redis-server")
    accounts.create_user(**ALICE)
    server = RedisServer(tmp_path)
    with server as url:
        client = make_app(database_url, RATELIMIT_ENABLED="on", REDIS_URL=url).test_client()

        class Deadly(PasswordHasher):
            def verify(self, hash: Any, password: Any) -> Any:
                server.process.kill()
                server.process.wait()
                return super().verify(hash, password)

        monkeypatch.setattr(passwords, "hasher", Deadly(time_cost=1, memory_cost=8, parallelism=1))
        assert log_in(client, ALICE | {"password": password}) == answer
