"""`make bench-footprint`: how soon a worker answers, and how much memory it comes to.

On SQLite and on PostgreSQL, from a wheel or on the server of BENCH_DATABASE_URL; on Linux, whose
/proc tells both. One worker serves; STARTS times it is started, and the time is from the fork of
the worker until the first film list has arrived. In the last start rounds of a second follow, in
turn of each of KINDS, and its memory is what is resident after FEW requests and after MANY.

What is beyond a limit is marked: a median start over START_SECONDS, or more than GROWTH times the
memory of FEW after MANY.
"""

import os
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.data import MAX_RATE, SEATS, Copies, Data, Seats, furnish, opened
from benchmarks.data import READERS_BOOKINGS as BOOKINGS
from benchmarks.databases import Databases, new_folder, postgresql, sqlite
from benchmarks.load import REQUESTS, Server, measure, need_wrk
from benchmarks.servers import APPLICATION, HERE, Failure, environment, fetch

START_SECONDS, GROWTH = 1.0, 1.05
STARTS = 5
FEW, MANY = 10_000, 100_000
READING = ("20 films", "one show", "seat map, 200 seats", "my bookings")
KINDS = (*READING, "book one named seat")
BOOKING_ROUNDS = 40  # then a slow machine only reads


def main() -> None:
    """Fill the databases and print the tables."""
    need_wrk()
    print("| | start, ms | slowest | after 10,000, MB | after 100,000, MB | growth | |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with new_folder() as folder:
        for kind in (sqlite, postgresql):
            with kind(folder) as databases:
                bench(databases, folder)


def bench(databases: Databases, folder: Path) -> None:
    """Measure on one kind of database, and print its line."""
    environ = environment(databases.create("app")) | {
        "WEB_CONCURRENCY": "1",
        # Else each start may compile the code anew.
        "PYTHONDONTWRITEBYTECODE": "",
    }
    log = folder / "server.log"
    data = fill(environ, log)
    databases.settle(environ["DATABASE_URL"])
    starts = []
    for number in range(1, STARTS + 1):
        with ExitStack() as stack:
            url = stack.enter_context(HERE.serve(APPLICATION, environ, log))
            fetch(f"{url}/api/movies/")
            worker = worker_of(log)
            starts.append(seconds_since_start(worker))
            if number == STARTS:
                few, many = memory(Server(url, environ["DATABASE_URL"], data), worker)
    beyond = median(starts) > START_SECONDS or many > GROWTH * few
    print(
        f"| {databases.name} | {median(starts) * 1000:.0f} | {max(starts) * 1000:.0f} "
        f"| {few / 1e6:.1f} | {many / 1e6:.1f} | {many / few:.3f} | {'beyond' if beyond else ''} |",
        flush=True,
    )


def fill(environ: dict[str, str], log: Path) -> Data:
    """A show to read, and seats for BOOKING_ROUNDS."""
    house = furnish(HERE, environ, log, SEATS)
    with opened(environ["DATABASE_URL"]) as connection:
        copies = Copies(connection)
        copies.bookings(house.reader, BOOKINGS - 1)
        shows = copies.shows(house.shows[0], MAX_RATE * (BOOKING_ROUNDS + 1) // SEATS)
    named, none = Seats(shows, SEATS), Seats(range(0), 0)
    return Data(house.callers, house.show, named, with_keys=none, contended=none, rooms=none)


def memory(server: Server, worker: int) -> tuple[int, int]:
    """The worker's resident bytes after FEW requests and after MANY."""
    answered, few, turn = 0, 0, 0
    while True:
        for kind in KINDS if turn <= BOOKING_ROUNDS else READING:
            answered += measure(server, REQUESTS[kind], turn, BOOKING_ROUNDS, 1).requests
            if not few and answered >= FEW:
                few = resident(worker)
            if answered >= MANY:
                return few, resident(worker)
        turn += 1


def worker_of(log: Path) -> int:
    """The process id of the only worker, which gunicorn's log names; raises Failure."""
    found = re.findall(r"Booting worker with pid: (\d+)", log.read_text())
    if len(found) != 1:
        raise Failure(f"not one worker but {len(found)} in {log}")
    return int(found[0])


def seconds_since_start(process: int) -> float:
    """Since it was forked, to a hundredth."""
    after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    since_boot = int(after_name[19]) / os.sysconf("SC_CLK_TCK")  # its `starttime`, see proc(5)
    return time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot


def resident(process: int) -> int:
    """Its resident bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    [kilobytes] = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) * 1024


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
