"""`make bench`: the speed of the endpoints, on SQLite and PostgreSQL.

A rate alone says more about the machine than about the code. So two servers are measured in turn,
in one run, and what counts is the ratio of their rates: the application against a floor
(`against_floor.py`) or, with `--against`, against another checkout (`against_checkout.py`).

PostgreSQL is started from a wheel, or is the server of BENCH_DATABASE_URL, on which two
databases are made and dropped. WEB_CONCURRENCY and WEB_THREADS count as for `make run`.
"""

import argparse
import os
import platform
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import config
from benchmarks import against_checkout, against_floor
from benchmarks.databases import new_folder, postgresql, sqlite
from benchmarks.in_process import best_of_a_room
from benchmarks.load import CONNECTIONS, REQUESTS, need_wrk
from benchmarks.servers import Checkout, Failure, environment


def main() -> int:
    """Run the benchmark; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--rounds", type=int, default=8, help="for each server (8)")
    parser.add_argument("--seconds", type=int, default=1, help="of each round (1)")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="PATH",
        help="another checkout, with the `.venv` that `make .venv/run` makes there, in place of "
        "the floor",
    )
    parser.add_argument(
        "--line", choices=REQUESTS, action="append", help="measure only this line, or these"
    )
    options = parser.parse_args()
    if min(options.rounds, options.seconds) < 1:
        parser.error("a run has at least one round of one second")
    before = None
    if options.against:
        before = Checkout.at(options.against.resolve())
        if not Path(before.python).exists():
            parser.error(f"there is no {before.python}: run `make .venv/run` there")
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _interrupt)
    settings = config.load(environment("sqlite:///booking.db"))
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores; gunicorn: "
        f"{settings['WEB_CONCURRENCY']} workers of {settings['WEB_THREADS']} threads; wrk: "
        f"{CONNECTIONS} connections, {options.rounds} rounds of {options.seconds} s for each "
        "server, in turn."
    )
    try:
        need_wrk()
        _bench(before, options.rounds, options.seconds, options.line or list(REQUESTS))
    except Failure as failure:
        return _complain(f"FAILED: {failure}")
    except KeyboardInterrupt:
        return _complain("Interrupted.")
    return 0


def _bench(before: Checkout | None, rounds: int, seconds: int, lines: list[str]) -> None:
    print((against_checkout if before else against_floor).LEGEND)
    for open_databases in (sqlite, postgresql):
        with ExitStack() as stack:
            folder = stack.enter_context(new_folder())
            databases = stack.enter_context(open_databases(folder))
            print(f"\n{databases.name}")
            if before:
                against_checkout.bench(before, databases, folder, rounds, seconds, lines)
            else:
                against_floor.bench(databases, folder, rounds, seconds, lines)
    if not before:
        print(f"\nBest two of 1,000 free seats, without a database: {best_of_a_room():.1f} ms")


def _complain(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def _interrupt(*_: object) -> NoReturn:
    """End the run. It then cleans up, which a second Ctrl-C does not stop."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
