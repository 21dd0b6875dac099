"""Servers that begin their sessions otherwise, and PgBouncer: what a transaction relies on holds.

The races on these servers are the tests marked `promise`.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.core import engines
from booking_app.core.database import (
    db,
    reading,
    why_read_only,
    write_transaction,
)
from booking_app.core.exports import streaming
from booking_app.core.outages import is_unavailable, time_limit
from tests.conftest import OTHER_SERVERS, PASSWORD, Caller, make_app
from tests.postgresql import CONTRARY, POOL_SIZE, Databases, pgbouncer
from tests.promise import at_once, broken_promises
from tests.serving import ROOT, Server, free_port, pooler

ISOLATION = "default_transaction_isolation"
every_postgresql = pytest.mark.parametrize(
    "database_url", ["postgresql", *OTHER_SERVERS], indirect=True
)
behind_pgbouncer = pytest.mark.parametrize("database_url", ["pgbouncer"], indirect=True)


def book(caller: Caller, show_id: int, seat: int = 1) -> Any:
    return caller.post(f"/api/shows/{show_id}/book/", {"seat_number": seat})


# --- what a transaction sees ----------------------------------------------------------------


@every_postgresql
def test_every_transaction_has_the_settings_of_the_application(
    app: Flask, database_url: str
) -> None:
    settings = {
        "transaction_isolation": "read committed",
        "transaction_read_only": "off",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
    }
    if pooler(database_url) == "none":
        settings |= {"plan_cache_mode": "force_generic_plan", "TimeZone": "UTC"}
    query = sa.select(*(sa.func.current_setting(name).label(name) for name in settings))

    def read(connection: sa.Connection) -> dict[str, str]:
        return dict(connection.execute(query).mappings().one())

    assert write_transaction(read) == settings
    with reading() as connection:
        assert read(connection) == settings
    (streamed,) = streaming(query)
    assert streamed == settings | {
        "transaction_isolation": "repeatable read",
        "transaction_read_only": "on",
        "idle_in_transaction_session_timeout": "1min",
    }
    assert why_read_only() is None


@pytest.mark.parametrize("name", OTHER_SERVERS)
def test_sessions_of_others_begin_with_the_servers_own_settings(
    postgresql: Databases, name: str
) -> None:
    """Or the test above would show nothing."""
    with psycopg.connect(postgresql.url(name, OTHER_SERVERS[name])) as connection:
        for setting, value in OTHER_SERVERS[name].items():
            assert connection.execute(f"SHOW {setting}").fetchone() == (value,)


@pytest.mark.promise
def test_times_are_right_in_every_time_zone_of_the_server(
    alice: Caller, make_show: Callable[..., int]
) -> None:
    present = datetime.now(UTC)
    starts_at = (present + timedelta(days=2)).replace(microsecond=0)
    show = make_show(now=starts_at, starts_in=timedelta(0))
    booked = book(alice, show).json
    shown = alice.get(f"/api/shows/?date={starts_at:%Y-%m-%d}").json
    assert [datetime.fromisoformat(found["date_time"]) for found in shown] == [starts_at]
    assert abs(datetime.fromisoformat(booked["created_at"]) - present) < timedelta(minutes=1)
    held = alice.post(f"/api/shows/{show}/hold/", {"seat_number": 2}).json
    lasts = datetime.fromisoformat(held["expires_at"]) - present
    assert abs(lasts - timedelta(minutes=10)) < timedelta(minutes=1)


# --- behind PgBouncer -----------------------------------------------------------------------


@behind_pgbouncer
def test_sixteen_callers_share_five_connections(
    app: Flask,
    database_url: str,
    make_caller: Callable[..., Caller],
    make_show: Callable[..., int],
) -> None:
    """200 bookings, a look at the show and one at the account's bookings after each."""
    show = make_show(total_seats=200)
    answers: Counter[int] = Counter()
    seats = iter(range(1, 201))
    lock = threading.Lock()

    def next_seat() -> int | None:
        with lock:
            return next(seats, None)

    def buy(caller: Caller) -> None:
        while (seat := next_seat()) is not None:
            got = [
                book(caller, show, seat),
                caller.get(f"/api/shows/{show}/"),
                caller.get("/api/my-bookings/?page_size=5"),
            ]
            with lock:
                answers.update(answer.status_code for answer in got)

    callers = [make_caller(f"caller{number}") for number in range(16)]
    assert at_once(app, *(partial(buy, caller) for caller in callers)) == ["done"] * 16
    assert answers == {201: 200, 200: 400}
    assert broken_promises() == []
    # Whoever has the answers keeps no connection to the server: all are there for others.
    with ExitStack() as others:
        taken = set()
        for _ in range(POOL_SIZE):
            other = others.enter_context(psycopg.connect(database_url))
            taken.add(other.execute("SELECT pg_backend_pid()").fetchone())
        assert len(taken) == POOL_SIZE


@behind_pgbouncer
def test_settings_do_not_stay_in_a_connection_that_others_get(
    app: Flask, database_url: str, alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(total_seats=50)
    for _ in range(3):
        seats = (partial(book, alice, show, seat) for seat in range(1, 17))
        at_once(app, *seats, *[partial(alice.get, "/api/movies/")] * 8)
    expected = {**CONTRARY, ISOLATION: "serializable", "transaction_isolation": "serializable"}
    with ExitStack() as others:
        processes = set()
        for _ in range(POOL_SIZE):
            # Each is in a transaction, and so on a connection of its own.
            other = others.enter_context(psycopg.connect(database_url))
            processes.add(other.execute("SELECT pg_backend_pid()").fetchone())
            for name in ("lock_timeout", "idle_in_transaction_session_timeout", ISOLATION):
                assert other.execute(f"SHOW {name}").fetchone() == (expected[name],)
        assert len(processes) == POOL_SIZE


@contextmanager
def locked(what: str) -> Iterator[None]:
    with db.engine.connect() as blocker:
        blocker.exec_driver_sql(f"BEGIN; {what}")
        yield
        blocker.exec_driver_sql("ROLLBACK")


@behind_pgbouncer
def test_waiting_for_a_lock_ends_behind_pgbouncer_too(
    alice: Caller, show_id: int, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the server: it does not go on waiting for somebody who has gone."""
    monkeypatch.setitem(engines.TRANSACTION, "lock_timeout", "200ms")
    impatient = Caller(
        alice.id, alice.username, make_app(database_url).test_client(), alice.headers
    )
    began = time.monotonic()
    with locked("SELECT 1 FROM show_seat FOR UPDATE"):
        refused = book(impatient, show_id)
    with locked("LOCK TABLE movie"):
        hidden = impatient.get("/api/movies/")
    assert time.monotonic() - began < 2 * engines.LOCK_TIMEOUT_SECONDS
    for answer in (refused, hidden):
        assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
    assert book(impatient, show_id).status_code == 201
    assert impatient.get("/api/movies/").status_code == 200
    with impatient.client.application.app_context():
        db.engine.dispose()


@behind_pgbouncer
def test_a_read_that_fails_leaves_its_connection_as_it_was(app: Flask) -> None:
    """Its transaction began in the same round trip."""
    for _ in range(2 * POOL_SIZE):
        with pytest.raises(sa.exc.DataError) as failed, reading() as connection:
            connection.execute(sa.text("SELECT 1 / :nothing"), {"nothing": 0})
        assert getattr(failed.value.orig, "sqlstate", None) == "22012"
        with reading() as connection:
            assert [connection.scalar(sa.text("SELECT 1")) for _ in range(2)] == [1, 1]
    with pytest.raises(sa.exc.DBAPIError) as lost, reading() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    assert is_unavailable(lost.value)
    with reading() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1


@behind_pgbouncer
def test_readers_use_a_connection_of_the_server_only_while_they_ask(app: Flask) -> None:
    """So more of them than PgBouncer has connections can be reading."""
    with ExitStack() as stack, time_limit(5):
        for _ in range(POOL_SIZE + 1):
            connection = stack.enter_context(reading())
            assert connection.scalar(sa.text("SELECT 1")) == 1


@contextmanager
def whole_pool(database_url: str) -> Iterator[None]:
    """All connections that PgBouncer has to the server are others'."""
    with ExitStack() as stack:
        for _ in range(POOL_SIZE):
            other = stack.enter_context(psycopg.connect(database_url))
            other.execute("SELECT 1")  # in a transaction
        yield


@behind_pgbouncer
def test_a_pool_that_is_in_use_is_no_outage(
    app: Flask, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look whether the database is there waits in PgBouncer's queue with all others."""
    monkeypatch.setattr("booking_app.core.outages.PROBE_SECONDS", 0.05)
    watch = engines.backend(db.engine).watch
    with whole_pool(database_url):
        watch.suspect()
        with pytest.raises(sa.exc.DBAPIError), time_limit(0.6), reading() as connection:
            connection.scalar(sa.text("SELECT 1"))
        watch.refuse_if_down()
    with reading() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1


@behind_pgbouncer
def test_gunicorn_serves_behind_pgbouncer(app: Flask, database_url: str, show_id: int) -> None:
    server = Server(database_url)
    try:
        token = server.log_in("alice", PASSWORD)
        path = f"/api/shows/{show_id}/book/"
        statuses = [
            server.call("POST", path, {"seat_number": seat}, token)[0] for seat in range(1, 9)
        ]
        assert statuses == [201] * 8
        assert len(server.call("GET", "/api/my-bookings/", token=token)[1]) == 8
    finally:
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()


# --- at the start ---------------------------------------------------------------------------

UPGRADE = ["-m", "flask", "--app", "wsgi", "db", "upgrade"]


def run(command: list[str], database_url: str, **settings: str) -> tuple[int, str]:
    """The status of a Python program and what it printed."""
    environment = os.environ | {"DATABASE_URL": database_url, "SECRET_KEY": "k" * 40}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment | {"PORT": str(free_port()), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("settings", [{}, {"ignore_startup_parameters": "options"}], ids=str)
def test_a_pooler_that_was_not_named_is_named_in_one_line(
    postgresql_url: str, settings: dict[str, str]
) -> None:
    """Also where it was told to ignore the settings that it refuses otherwise."""
    with pgbouncer(postgresql_url, **settings) as database_url:
        for command in (["-m", "gunicorn", "wsgi:app"], UPGRADE):
            status, output = run(command, database_url)
            assert status == 1, output
            assert output.splitlines()[-1] == (
                "DATABASE_URL: PgBouncer or its like stands in front of PostgreSQL; "
                "set DATABASE_POOLER=transaction"
            )
            assert "Traceback" not in output


def test_two_upgrades_at_once_through_pgbouncer(postgresql: Databases) -> None:
    """One waits for the other: their lock ends with the transaction, not with a session."""
    database_url = postgresql.pooled_url("fresh", CONTRARY)
    with ThreadPoolExecutor(2) as pool:
        upgrade = partial(run, UPGRADE, database_url, DATABASE_POOLER="transaction")
        upgrades = [pool.submit(upgrade) for _ in range(2)]
    assert [upgrade.result()[0] for upgrade in upgrades] == [0, 0], upgrades[0].result()
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM movie").fetchone() == (0,)
