"""`make bench-crowd`: 64 connections that all want the first free of 500 seats, with 1, 2 and 4
workers.

On SQLite and on PostgreSQL, from a wheel or on the server of BENCH_DATABASE_URL. Each number of
workers serves, in turn and beside the floor:

- `named`: all connections ask for the first seat of one show, then for the second, until all 500
  are sold. A caller who names a seat and finds it sold has been answered too, so what is compared
  is answers a second: with those of 64 connections that book seats which nobody else wants.
- `best`: the server chooses the seat (`{"quantity": 1}`), so nobody need lose: 64 connections sell
  one show after the other. Bookings a second, again beside those in shows that nobody shares. The
  floor can't choose.

The rates without contention are taken before and after, and the mean of them counts. The table in
the database tells what was sold, and the run fails where that is not each seat once, or where an
answer is neither 201 nor 409. What is beyond a limit is marked: less than CONTENDED of the rate
without contention, or a p99 over TAIL times the median.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import sqlalchemy as sa

from benchmarks.data import MAX_RATE, Copies, Data, Seats, add_floor_table, furnish, opened
from benchmarks.databases import Databases, new_folder, postgresql, sqlite
from benchmarks.load import ALL_WANT_ONE, Booking, Result, Server, measure, need_wrk
from benchmarks.servers import APPLICATION, FLOOR, HERE, Failure, environment

CONTENDED, TAIL = 0.8, 10
WORKERS = (1, 2, 4)
SEATS = 500
ROUND_SECONDS = 4  # without contention
MOST_SECONDS = 900  # until all is sold
ROUNDS = 3 * len(WORKERS)  # a warm-up and two measured, without contention
SHOWS_AT_ONCE = 4  # of `best`: one is sold in less than a second

NAMED = Booking()
BEST = Booking(seats="rooms", body='{"quantity": 1}')
ALL_WANT_THE_BEST = replace(BEST, seats="contended", statuses="201,409", contended=True)

SOLD = sa.text("""
    SELECT (SELECT count(*) FROM show_seat
            WHERE show_id BETWEEN :first AND :last AND booking_id IS NOT NULL),
           (SELECT count(*) FROM booking WHERE show_id BETWEEN :first AND :last),
           (SELECT count(DISTINCT booking_id) FROM show_seat
            WHERE show_id BETWEEN :first AND :last)""")


@dataclass(frozen=True)
class Line:
    """How a server sold: requests a second alone and in the crowd."""

    alone: float
    crowded: float
    answers: Result

    @property
    def share(self) -> float:
        return self.crowded / self.alone

    @property
    def tail(self) -> float:
        return self.answers.p99 / self.answers.median


def main() -> None:
    """Fill the databases and print the tables."""
    need_wrk()
    with new_folder() as folder:
        for kind in (sqlite, postgresql):
            with kind(folder) as databases:
                print(f"\n## {databases.name}\n", flush=True)
                bench(databases, folder)


def bench(databases: Databases, folder: Path) -> None:
    """Measure on one kind of database, and print the table."""
    environ = environment(databases.create("app"))
    data, crowds = fill(environ, folder / "fill.log")
    databases.settle(environ["DATABASE_URL"])
    copied = databases.copy(environ["DATABASE_URL"], "floor")
    add_floor_table(copied)
    sides = {APPLICATION: environ, FLOOR: environ | {"DATABASE_URL": copied}}
    print("| | workers | alone, 1/s | crowd, 1/s | share | p50, ms | p99, ms | p99/p50 | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for turn, workers in enumerate(WORKERS):
        for target, variables in sides.items():
            side = "app" if target == APPLICATION else "floor"
            with HERE.serve(
                target, variables | {"WEB_CONCURRENCY": str(workers)}, folder / f"{side}.log"
            ) as url:
                server = Server(url, variables["DATABASE_URL"], data)
                line = sell(server, databases, turn, NAMED, ALL_WANT_ONE, crowds.named(turn))
                print_line(f"{side}, named", workers, line)
                if side == "app":
                    shows = crowds.best(turn)
                    line = sell(server, databases, turn, BEST, ALL_WANT_THE_BEST, shows)
                    print_line("app, best", workers, line)


@dataclass(frozen=True)
class Crowds:
    """The shows in which all connections meet."""

    first: int

    def named(self, turn: int) -> range:
        return range(self.first + turn, self.first + turn + 1)

    def best(self, turn: int) -> range:
        first = self.first + len(WORKERS) + turn * SHOWS_AT_ONCE
        return range(first, first + SHOWS_AT_ONCE)


def fill(environ: dict[str, str], log: Path) -> tuple[Data, Crowds]:
    """Shows of SEATS seats, enough for all rounds."""
    house = furnish(HERE, environ, log, SEATS)
    in_a_round = SEATS // (ROUNDS + 1) // 2 * 2  # of a show
    with opened(environ["DATABASE_URL"]) as connection:
        copies = Copies(connection)
        named, rooms = (
            Seats(copies.shows(house.shows[0], MAX_RATE * ROUND_SECONDS // in_a_round), SEATS)
            for _ in range(2)
        )
        crowds = copies.shows(house.shows[0], len(WORKERS) * (1 + SHOWS_AT_ONCE))
    none = Seats(range(0), 0)
    data = Data(house.callers, house.show, named=named, with_keys=none, contended=none, rooms=rooms)
    return data, Crowds(crowds.start)


def sell(
    server: Server,
    databases: Databases,
    turn: int,
    alone: Booking,
    crowded: Booking,
    shows: range,
) -> Line:
    """Sell without contention, then these shows to a crowd, then without again. Raises Failure
    unless each seat of the shows is then sold once."""
    first = 3 * turn
    measure(server, alone, first, ROUNDS, ROUND_SECONDS)
    databases.settle(server.database_url)
    before = measure(server, alone, first + 1, ROUNDS, ROUND_SECONDS)
    contended = replace(server, data=replace(server.data, contended=Seats(shows, SEATS)))
    answers = measure(contended, crowded, 0, 0, MOST_SECONDS)
    after = measure(server, alone, first + 2, ROUNDS, ROUND_SECONDS)
    check_sold_once(server.database_url, shows)
    asked = len(shows) * SEATS * crowded.times
    # The last requests lose: they are sent until wrk has heard that it is over.
    rate = answers.rate if crowded.times > 1 else asked / answers.seconds
    return Line(mean((before.rate, after.rate)), rate, answers)


def check_sold_once(database_url: str, shows: range) -> None:
    """Raises Failure."""
    with opened(database_url) as connection:
        counts = connection.execute(SOLD, {"first": shows[0], "last": shows[-1]}).one()
    if set(counts) != {len(shows) * SEATS}:
        raise Failure(
            f"of {len(shows) * SEATS} seats {counts[0]} are sold, to {counts[2]} of {counts[1]} "
            f"bookings, after at most {MOST_SECONDS} s"
        )


def print_line(name: str, workers: int, line: Line) -> None:
    beyond = line.share < CONTENDED or line.tail > TAIL
    p50, p99 = line.answers.median * 1000, line.answers.p99 * 1000
    print(
        f"| {name} | {workers} | {line.alone:.0f} | {line.crowded:.0f} | {line.share:.2f} "
        f"| {p50:.1f} | {p99:.1f} | {line.tail:.1f} | {'beyond' if beyond else ''} |",
        flush=True,
    )


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
