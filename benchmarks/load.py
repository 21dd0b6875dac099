"""The requests that are measured, and the load of them on a server: rounds of wrk (load.lua)."""

import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import BUYERS, READER, Data, Seats
from benchmarks.databases import Databases
from benchmarks.servers import Failure, end_of

LOAD = Path(__file__).with_name("load.lua")
# With 8 connections gunicorn's workers may get 7 and 1 of them.
CONNECTIONS, THREADS = 64, 2
WARM_UP_SECONDS = 1
REST_SECONDS = 0.3  # to answer what is still under way when wrk hangs up


@dataclass(frozen=True)
class Server:
    """A running gunicorn, and what is in its database."""

    url: str
    database_url: str
    data: Data


@dataclass(frozen=True)
class Reading:
    """GET, again and again. `path` has the show whose map is read for {show}, and for {size} the
    bytes of an answer; `asked` is an If-None-Match."""

    path: str
    caller: str | None = None
    statuses: str = "200"
    asked: str | None = None
    size: int = 0

    def path_on(self, data: Data) -> str:
        return self.path.format(show=data.show, size=self.size)

    def arguments(self, data: Data, seats: range | None) -> list[Any]:
        headers = [data.callers[self.caller]] if self.caller else []
        if self.asked:
            headers.append(f"If-None-Match: {self.asked}")
        return [self.statuses, "get", self.path_on(data), *headers]


@dataclass(frozen=True)
class Booking:
    """POST to book, each time in another show; where it is `contended`, all connections in one show
    until each of its seats was asked for `times` times, then in the next."""

    seats: str = "named"  # of `Data`
    body: str = '{"seat_number": "%d"}'
    statuses: str = "201"
    has_key: bool = False
    contended: bool = False
    times: int = 1

    def of(self, data: Data) -> Seats:
        seats: Seats = getattr(data, self.seats)
        return seats

    def arguments(self, data: Data, seats: range | None) -> list[Any]:
        shows = self.of(data).shows
        numbers = seats or range(0)
        order = "crowded" if self.contended else "spread"
        keys = secrets.token_hex(8) if self.has_key else ""
        callers = [data.callers[name] for name in BUYERS]
        where = (shows[0], len(shows), numbers.start, len(numbers), self.times)
        return [self.statuses, "book", order, *where, self.body, keys, *callers]


Request = Reading | Booking

SEAT_MAP = Reading("/api/shows/{show}/seats/")
# Each connection asks for the first seat, then for the next one.
ALL_WANT_ONE = Booking(seats="contended", statuses="201,409", contended=True, times=CONNECTIONS)
# The lines of the table.
REQUESTS: dict[str, Request] = {
    "book one named seat": Booking(),
    "the same with a key": Booking(seats="with_keys", has_key=True),
    "best 2 of 200 seats": Booking(seats="rooms", body='{"quantity": 2}'),
    "seat map, 200 seats": SEAT_MAP,
    "the same, 304": Reading(SEAT_MAP.path, statuses="304"),
    "my bookings": Reading("/api/my-bookings/", READER),
    "20 films": Reading("/api/movies/"),
    "one show": Reading("/api/shows/{show}/"),
    "64 callers, one seat": ALL_WANT_ONE,
}


def need_wrk() -> None:
    """Raises Failure where it is not installed."""
    if shutil.which("wrk") is None:
        raise Failure("wrk is missing: apt install wrk, brew install wrk or github.com/wg/wrk")


def in_turn(
    pairs: Sequence[tuple[Server, Request]], databases: Databases, rounds: int, seconds: int
) -> list[list[float]]:
    """Requests a second of each pair (columns) in each round (rows), after a warm-up."""
    for server, request in pairs:
        measure(server, request, 0, rounds, WARM_UP_SECONDS)
        databases.settle(server.database_url)
    rates = []
    for number in range(1, rounds + 1):
        rates.append(
            [measure(*pair, number, rounds, seconds).rate for pair in pairs],
        )
    return rates


@dataclass(frozen=True)
class Result:
    """How many requests in how many seconds, and within how many 50 and 99 of 100 were answered."""

    requests: int
    seconds: float
    median: float
    p99: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def measure(server: Server, request: Request, number: int, rounds: int, seconds: int) -> Result:
    """Round `number` of so many, after the warm-up, 0; raises Failure unless every request got
    one of its statuses. No round books the seats of another; one that is contended ends before its
    time where it has asked for all of them."""
    seats = request.of(server.data).share(number, rounds) if isinstance(request, Booking) else None
    is_contended = isinstance(request, Booking) and request.contended
    threads = 1 if is_contended else THREADS  # they share nothing by which they could take turns
    command = ["wrk", "-c", CONNECTIONS, "-t", threads, "-d", seconds, "-s", LOAD]
    command += ["--timeout", "10s", server.url, "--", *request.arguments(server.data, seats)]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    _, found, result = done.stdout.partition("RESULT\t")
    if done.returncode or not found:
        raise Failure(f"wrk:\n{end_of(done.stdout + done.stderr)}")
    requests, microseconds, wrong, unanswered, half, most, first = result.strip("\n").split("\t", 6)
    if int(wrong) or int(unanswered) or not int(requests):
        raise Failure(
            f"{request} at {server.url}: of {requests} requests {wrong} were not answered with "
            f"{request.statuses} and {unanswered} not at all. {first}"
        )
    time.sleep(REST_SECONDS)
    return Result(
        int(requests), int(microseconds) / 1e6, median=float(half) / 1e6, p99=float(most) / 1e6
    )
