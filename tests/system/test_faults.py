"""Faults in the middle of a sale. Each test sees bookings acknowledged before, during (where one
can be) and after its fault, sees that the fault happened, and then finds all of them."""

import json
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
import redis as redis_client
import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade

from booking_app.auth import accounts
from booking_app.booking.models import Booking
from booking_app.catalog import movies, shows
from booking_app.catalog.models import ShowSeat
from booking_app.core.database import NOW, db, reading
from tests.conftest import BACKENDS, PASSWORD, ROOT, empty, make_app, open_tokens, rows
from tests.faults import Acknowledged, Buyers, Postgres, Proxy, check, end, workers
from tests.serving import REDIS_SERVER, RedisServer, Server, wait_until

pytestmark = pytest.mark.both_in_ci("postgresql")

BUYERS = 4
SEATS = 3000
# The longest that an answer takes while the database does not, and a little for this machine.
SECONDS = 6 + 2


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


@dataclass
class House:
    """A migrated database with its app, and a gunicorn that serves it."""

    app: Flask
    url: str
    server: Server


@pytest.fixture(scope="module", params=BACKENDS)
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('faults') / 'booking.db'}"
    else:
        url = request.getfixturevalue("postgres").url
    house = open_house(url)
    yield house
    close_house(house)


def open_house(url: str, **settings: str) -> House:
    app = make_app(url)
    with app.app_context():
        upgrade(str(ROOT / "migrations"))
    return House(app, url, Server(url, RATELIMIT_ENABLED="off", **settings))


def close_house(house: House) -> None:
    end(house.server)
    with house.app.app_context():
        db.engine.dispose()


only_postgresql = pytest.mark.parametrize("house", ["postgresql"], indirect=True)


@dataclass
class Sale:
    """A show of the house and the tokens of its customers."""

    house: House
    show: int
    tokens: list[str]

    def buyers(self, *servers: Server, **options: Any) -> Buyers:
        return Buyers(servers or [self.house.server], self.show, self.tokens, **options)


@pytest.fixture
def sale(house: House) -> Sale:
    return open_sale(house)


def open_sale(house: House) -> Sale:
    with house.app.app_context():
        db.engine.dispose()
        empty(db.engine)
        movie = movies.create_movie(title="The Third Man", duration_minutes=104)["id"]
        show = shows.create_show(
            movie_id=movie,
            date_time=datetime.now(UTC) + timedelta(days=2),
            screen_name="One",
            total_seats=SEATS,
        )["id"]
        names = [f"buyer{number}" for number in range(BUYERS)]
        users = [accounts.create_user(username=name, password=PASSWORD).id for name in names]
        return Sale(house, show, [open_tokens(user)["access"] for user in users])


def test_workers_are_killed(house: House, sale: Sale) -> None:
    """One after the other, each in the middle of its requests; the others go on."""
    killed = []
    with sale.buyers() as buyers:
        buyers.sell()
        for _ in range(2):
            before = workers(house.server)
            victim = before[0]
            victim.kill()
            killed.append(victim)
            buyers.sell()  # meanwhile, by the other
            wait_until(lambda before=before: len(workers(house.server)) == len(before))
        buyers.sell()
    assert not any(victim.is_running() for victim in killed)
    check(house.app, buyers, statuses={None})


@only_postgresql
def test_connections_are_terminated(house: House, sale: Sale, postgres: Postgres) -> None:
    """All of them, again and again; whoever asks next gets a new one."""
    terminate = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = 'booking' AND pid <> pg_backend_pid()"
    )
    terminated = 0
    with sale.buyers() as buyers, postgres.connect() as connection:
        buyers.sell()
        while terminated < 20:
            ((number,),) = connection.execute(terminate).fetchall()
            terminated += number
            buyers.sell(2)
        buyers.sell()
    # Who was in the midst of a statement may see it; idle connections are replaced unseen.
    assert terminated >= 20
    check(house.app, buyers)


@only_postgresql
@pytest.mark.parametrize("way", ["stop", "kill"])
def test_postgresql_is_away_for_a_while(
    house: House, sale: Sale, postgres: Postgres, way: str
) -> None:
    """Stopped as an operator does, or killed; 503 meanwhile, and nobody has to restart the app."""
    with sale.buyers() as buyers:
        buyers.sell()
        getattr(postgres, way)()
        stopped = time.monotonic()
        wait_until(lambda: buyers.answered(503, since=stopped) > BUYERS)
        assert not postgres.is_up()
        assert house.server.call("GET", "/health/")[0] == 503
        postgres.start()
        buyers.sell()
    check(house.app, buyers)


def test_clients_go_before_their_answer(house: House, sale: Sale) -> None:
    """They send a call, hang up, and ask again with the same key, at once or once it is done: one
    booking, and its reference."""
    token, *sale.tokens = sale.tokens
    told = []
    path = f"/api/shows/{sale.show}/book/"

    def reference_of(seat: str) -> str | None:
        with house.app.app_context():
            owner = sa.select(ShowSeat.booking_id).where(ShowSeat.label == seat).scalar_subquery()
            with reading() as connection:
                query = sa.select(Booking.reference).where(Booking.id == owner)
                return connection.execute(query).scalar()

    with sale.buyers() as buyers:
        buyers.sell()
        for number in range(20):
            seat, key = str(SEATS - number), {"Idempotency-Key": uuid.uuid4().hex}
            body = {"seat_number": seat}
            send_and_hang_up(house.server, path, body, {"Authorization": f"Bearer {token}", **key})
            if number % 2:
                wait_until(lambda seat=seat: reference_of(seat) is not None)
            first = reference_of(seat)
            status, booking = house.server.call("POST", path, body, token, headers=key)
            assert (status, booking["seat_number"]) == (201, seat)
            assert booking["reference"] == first or first is None
            told.append(Acknowledged(time.monotonic(), booking["reference"], seat))
        buyers.sell()
    check(house.app, buyers, others=told)


def send_and_hang_up(server: Server, path: str, body: Any, headers: dict[str, str]) -> None:
    """A whole request on a connection that is closed at once."""
    content = json.dumps(body).encode()
    headers |= {"Host": "localhost", "Content-Type": "application/json"}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""])
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + content)


def test_somebody_else_holds_a_lock(house: House, sale: Sale) -> None:
    """On PostgreSQL a seat's, on SQLite that of all writers; who needs it waits and is served."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with sale.buyers() as buyers:
        buyers.sell()
        with house.app.app_context(), db.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                before = len(rows(Booking))
                wait_until(lambda: buyers.longest_wait() > 1)
                assert len(rows(Booking)) == before
            else:
                with buyers.lock:  # no seat is chosen meanwhile
                    seat = str(int(next(buyers.seats)) + 1)
                    connection.exec_driver_sql("BEGIN")
                    lock = f"SELECT 1 FROM show_seat WHERE label = '{seat}' FOR UPDATE"
                    connection.exec_driver_sql(lock)
                wait_until(lambda: connection.exec_driver_sql(waiting).scalar_one() > 0)
                buyers.sell()
            connection.exec_driver_sql("ROLLBACK")
        buyers.sell()
    check(house.app, buyers)


@only_postgresql
def test_postgresql_is_suspended(house: House, sale: Sale, postgres: Postgres) -> None:
    """Its processes stop where they are: nothing is refused, nothing answers."""
    with sale.buyers() as buyers:
        buyers.sell()
        postgres.suspend()
        try:
            no_answer(buyers, house.server)
            assert psutil.Process(postgres.process.pid).status() == psutil.STATUS_STOPPED
        finally:
            postgres.resume()
        buyers.sell()
    check(house.app, buyers, within=SECONDS)


@only_postgresql
def test_postgresql_is_cut_off(house: House, sale: Sale, postgres: Postgres) -> None:
    """Packets vanish in both directions. What was connected stays silent also when new connections
    get through again."""
    proxy = Proxy(postgres.port)
    url = house.url.replace(str(postgres.port), str(proxy.port))
    server = Server(url, RATELIMIT_ENABLED="off")
    try:
        with sale.buyers(server) as buyers:
            buyers.sell()
            proxy.cut()
            no_answer(buyers, server)
            assert proxy.swallowed
            proxy.pass_on()
            buyers.sell()
    finally:
        end(server)
        proxy.close()
    check(house.app, buyers, within=SECONDS)


def no_answer(buyers: Buyers, server: Server) -> None:
    """While the database does not answer, everybody gets 503, and in time; health checks too."""
    since = time.monotonic()
    wait_until(lambda: buyers.answered(503, since=since) >= BUYERS)
    asked = time.monotonic()
    assert server.call("GET", "/health/")[0] == 503
    assert time.monotonic() - asked < SECONDS


@only_postgresql
def test_postgresql_is_read_only(house: House, sale: Sale, postgres: Postgres) -> None:
    """As a replica is, or a server whose disk ran full: nobody books, everybody may look."""
    with sale.buyers() as buyers:
        buyers.sell()
        set_read_only(postgres, "on")
        since = time.monotonic()
        wait_until(lambda: buyers.answered(503, since=since) > BUYERS)
        assert house.server.call("GET", f"/api/shows/{sale.show}/seats/")[0] == 200
        set_read_only(postgres, "off")
        buyers.sell()
    check(house.app, buyers)


def set_read_only(postgres: Postgres, setting: str) -> None:
    """For every transaction that begins from now on."""
    with postgres.connect() as connection:
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {setting}")
        connection.execute("SELECT pg_reload_conf()")

    def is_set() -> bool:
        with postgres.connect() as connection:
            return connection.execute("SHOW transaction_read_only").fetchone() == (setting,)

    wait_until(is_set)


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_redis_hangs_and_is_gone(house: House, sale: Sale, tmp_path: Path) -> None:
    """It only counts; the sale goes on without it."""
    if REDIS_SERVER is None:
        pytest.skip("no redis-server on this machine: apt-get install redis-server")
    log = tmp_path / "log"
    redis = RedisServer(tmp_path)
    with redis as url, redis_client.Redis.from_url(url) as connection:
        server = Server(house.url, log, RATELIMIT_ENABLED="on", REDIS_URL=url)
        try:
            with sale.buyers(server, pause=0.05) as buyers:
                for fault in (signal.SIGSTOP, signal.SIGKILL):
                    connection.flushall()
                    wait_until(lambda: connection.dbsize() > 0)
                    buyers.sell()
                    unanswered = log.read_text().count("Redis does not answer")
                    redis.process.send_signal(fault)
                    wait_until(
                        lambda count=unanswered: (
                            log.read_text().count("Redis does not answer") > count
                        )
                    )
                    buyers.sell()
                    redis.process.send_signal(signal.SIGCONT)
                buyers.sell()
        finally:
            end(server)
    check(house.app, buyers)


@only_postgresql
def test_the_clock_of_one_host_is_a_minute_ahead(house: House, sale: Sale) -> None:
    """For shows and holds the database's clock counts. Tokens of a host that is more than ten
    seconds ahead are refused by the others, 401, until their time has come."""
    ahead = Server(house.url, module="tests.clock_ahead:app", RATELIMIT_ENABLED="off")
    path = f"/api/shows/{sale.show}"
    try:
        assert clock_of(ahead) - clock_of(house.server) > timedelta(seconds=50)
        with sale.buyers(house.server, ahead) as buyers:
            buyers.sell()
            with house.app.app_context(), reading() as connection:
                before = connection.execute(sa.select(NOW), {"now": None}).scalar_one()
                _, hold = ahead.call(
                    "POST", f"{path}/hold/", {"seat_number": str(SEATS)}, sale.tokens[0]
                )
                after = connection.execute(sa.select(NOW), {"now": None}).scalar_one()
            made, ends = (
                datetime.fromisoformat(hold[name]) for name in ("created_at", "expires_at")
            )
            assert before <= made <= after
            assert ends - made == timedelta(minutes=10)
            confirm = f"/api/bookings/{hold['id']}/confirm/"
            assert house.server.call("POST", confirm, token=sale.tokens[0])[0] == 200
            token = ahead.log_in("traveller", PASSWORD)
            assert ahead.call("GET", "/api/me/", token=token)[0] == 200
            assert house.server.call("GET", "/api/me/", token=token)[0] == 401
            buyers.sell()
    finally:
        end(ahead)
    told = [Acknowledged(time.monotonic(), hold["reference"], str(SEATS))]
    check(house.app, buyers, others=told)


def clock_of(server: Server) -> datetime:
    """By the header of an answer."""
    with urlopen(f"http://127.0.0.1:{server.port}/health/") as answer:
        return parsedate_to_datetime(answer.headers["Date"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_the_disk_is_full(small_disk: Path) -> None:
    """SQLite can write nothing: 503 until there is room again."""
    house = open_house(f"sqlite:///{small_disk / 'booking.db'}")
    try:
        sale = open_sale(house)
        with sale.buyers() as buyers:
            buyers.sell()
            with (small_disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
                while ballast.write(bytes(1024)):
                    pass
            full = time.monotonic()
            wait_until(lambda: buyers.answered(503, since=full) > BUYERS)
            assert house.server.call("GET", f"/api/shows/{sale.show}/")[0] == 200
            (small_disk / "ballast").unlink()
            buyers.sell()
        check(house.app, buyers)
    finally:
        close_house(house)
