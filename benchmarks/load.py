"""The endpoints that are measured, and the load that is put on them: rounds of wrk (load.lua)."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import BUYERS, READER, SEATS, Data
from benchmarks.databases import Databases
from benchmarks.servers import Failure, end_of, fetch

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
class Endpoint:
    """One line of the table. One that `books` does so in `data.show` for a single request; under
    load the seats are those of `data.shows_to_book` (load.lua)."""

    name: str
    template: str
    caller: str | None = None
    books: bool = False

    def path(self, data: Data) -> str:
        return self.template.format(show=data.show)

    def body(self, seat: int) -> dict[str, str] | None:
        return {"seat_number": str(seat)} if self.books else None

    def header(self, data: Data) -> str | None:
        return data.callers[self.caller] if self.caller else None


ENDPOINTS = (
    Endpoint("book one free seat", "/api/shows/{show}/book/", BUYERS[0], books=True),
    Endpoint("list films", "/api/movies/"),
    Endpoint("seat availability", "/api/shows/{show}/"),
    Endpoint("seat map", "/api/shows/{show}/seats/"),
    Endpoint("my bookings", "/api/my-bookings/", READER),
)


def answer(server: Server, endpoint: Endpoint, seat: int) -> Any:
    """The answer to a single request; raises Failure."""
    data = server.data
    return fetch(server.url + endpoint.path(data), endpoint.body(seat), endpoint.header(data))


def in_turn(
    servers: Sequence[Server], endpoint: Endpoint, databases: Databases, rounds: int, seconds: int
) -> list[list[float]]:
    """Requests a second of each server (columns) in each round (rows), after a warm-up."""
    share = SEATS // (rounds + 1)  # of each show's seats, for each round and the warm-up
    for server in servers:
        _measure(server, endpoint, range(1, share + 1), WARM_UP_SECONDS)
        databases.settle(server.database_url)
    rates = []
    for number in range(1, rounds + 1):
        seats = range(number * share + 1, (number + 1) * share + 1)
        rates.append([_measure(server, endpoint, seats, seconds) for server in servers])
    return rates


def _measure(server: Server, endpoint: Endpoint, seats: range, seconds: int) -> float:
    """Requests a second; raises Failure unless every one was answered with 2xx.

    `seats` are those of each show to book that nobody has booked yet.
    """
    data = server.data
    command: list[Any] = ["wrk", "-c", CONNECTIONS, "-t", THREADS, "-d", seconds, "-s", LOAD]
    command += ["--timeout", "10s"]
    if endpoint.books:
        numbers = (data.shows_to_book[0], len(data.shows_to_book), seats[0], len(seats))
        callers = [data.callers[name] for name in BUYERS]
        command += [server.url, "--", *numbers, *callers]
    else:
        header = endpoint.header(data)
        command += [*(["-H", header] if header else []), server.url + endpoint.path(data)]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    _, found, result = done.stdout.partition("RESULT\t")
    if done.returncode or not found:
        raise Failure(f"wrk:\n{end_of(done.stdout + done.stderr)}")
    requests, microseconds, wrong, unanswered, first = result.strip("\n").split("\t", 4)
    if int(wrong) or int(unanswered) or not int(requests):
        raise Failure(
            f"{endpoint.name} at {server.url}: of {requests} requests {wrong} were not answered "
            f"with 2xx and {unanswered} not at all. {first}"
        )
    time.sleep(REST_SECONDS)
    return int(requests) / int(microseconds) * 1e6
