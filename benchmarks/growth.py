"""`make bench-growth`: what each request costs in a house that has just opened, and after a million
bookings (`growth_data`, `growth_requests`).

On SQLite and on PostgreSQL, from a wheel or on the server of BENCH_DATABASE_URL. The times are
medians of whole requests inside the process, in milliseconds, by turns of the small house and the
large one. What is beyond its limit is marked:

- an endpoint may take GROWTH times as long in the large house as in the small one;
- a page of the admin site may take PAGE_MS in the large one;
- a report of a year may take FIRST_REPORT_MS where nothing was added up before, then REPORT_MS.

Exports are left out: they have a line for each row. With arguments, only the requests that one of
them is a part of.
"""

import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import sqlalchemy as sa

import config
from benchmarks.databases import Databases, postgresql, sqlite
from benchmarks.growth_data import LARGE, SMALL, House, fill
from benchmarks.growth_requests import ENDPOINTS, PAGES, WRITES, Place, Request, Work
from booking_app import create_app
from booking_app.catalog.models import ShowSum
from booking_app.core.database import db

GROWTH, PAGE_MS, FIRST_REPORT_MS, REPORT_MS = 1.25, 150, 1000, 50
WARM_UP, ROUNDS, LEAST_ROUNDS = 6, 41, 5  # psycopg prepares what was sent five times
SECONDS = 5.0  # for the rounds of one request, where they take long
FIRST_REPORTS = 3
YEAR = timedelta(days=365)
REPORTS_BY = ("day", "movie", "screen", "category")
# A report of a year is held against this statement, which adds up the same seats.
SAME_SEATS = sa.text("""
SELECT local_date, count(*), count(booking_id), sum(show_seat.price_cents) FROM show_seat
JOIN show ON show.id = show_id WHERE local_date BETWEEN :since AND :until GROUP BY local_date
""").bindparams(sa.bindparam("since", type_=sa.Date()), sa.bindparam("until", type_=sa.Date()))


def main(wanted: list[str]) -> None:
    """Fill the databases and print the tables."""

    def chosen(requests: Iterable[Request]) -> list[Request]:
        return [one for one in requests if not wanted or any(part in one.name for part in wanted)]

    folder = Path(tempfile.mkdtemp(prefix="bench"))
    folder.chmod(0o755)  # as root, PostgreSQL runs as another user
    try:
        for kind in (sqlite, postgresql):
            with (
                kind(folder) as databases,
                furnished(databases, SMALL) as small,
                furnished(databases, LARGE) as large,
            ):
                print(f"\n## {databases.name}\n")
                if not wanted:
                    print_reports(large)
                print_growth("endpoint", chosen([*ENDPOINTS, *WRITES]), small, large, grows=True)
                print_growth("page of the admin site", chosen(PAGES), small, large, grows=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def furnished(databases: Databases, house: House) -> Iterator[Place]:
    """The application on a new database of the house."""
    url = databases.create(f"growth{house.bookings}")
    environ = {"DATABASE_URL": url, "SECRET_KEY": secrets.token_hex(32), "RATELIMIT_ENABLED": "0"}
    app = create_app(config.load(os.environ | environ | {"ACCESS_TOKEN_MINUTES": "1440"}))
    now, password = datetime.now(UTC), secrets.token_urlsafe(12)
    try:
        fill(app, house, password=password, now=now)
        databases.settle(url)
        print(f"filled: {house.bookings:,} bookings", file=sys.stderr)
        yield Place(app, house, password, now.date())
    finally:
        with app.app_context():
            db.engine.dispose()


def print_growth(
    what: str, requests: list[Request], small: Place, large: Place, *, grows: bool
) -> None:
    """Measure the requests in both houses and print the table."""
    print(f"| {what} | small, ms | large, ms | growth | |\n| --- | --- | --- | --- | --- |")
    beyond = 0
    for one in requests:
        before, after = (median(times) for times in _by_turns(one, small, large))
        too_much = after > GROWTH * before if grows else after > PAGE_MS
        beyond += too_much
        mark = "beyond" if too_much else ""
        growth = f"{before:.2f} | {after:.2f} | {after / before:.2f}"
        print(f"| {one.name} | {growth} | {mark} |", flush=True)
    print(f"\n{beyond} of {len(requests)} beyond the limit.\n")


def _by_turns(one: Request, *places: Place) -> list[list[float]]:
    """The times of the request in each of the places."""
    times: list[list[float]] = [[] for _ in places]
    for _ in range(WARM_UP):
        for place in places:
            one.prepare(place)()
    began = time.monotonic()
    while len(times[0]) < LEAST_ROUNDS or (
        len(times[0]) < ROUNDS and time.monotonic() - began < SECONDS
    ):
        for taken, place in zip(times, places, strict=True):
            taken.append(milliseconds(one.prepare(place)))
    return times


def milliseconds(work: Work) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def print_reports(place: Place) -> None:
    """Measure the reports of a year, first where nothing was added up before."""
    period = {"since": place.today - YEAR, "until": place.today}
    asked = "&".join(f"{name}={day}" for name, day in period.items())
    print("| a year's report | first, ms | then, ms | |\n| --- | --- | --- | --- |")
    for by in REPORTS_BY:
        path = f"/api/reports/sales/?by={by}&{asked}"
        firsts, thens = [], []
        for _ in range(FIRST_REPORTS):
            with place.app.app_context(), db.engine.connect() as connection:
                connection.execute(sa.delete(ShowSum))
            firsts.append(milliseconds(lambda path=path: place.call(path, by="staff")))
            thens += [
                milliseconds(lambda path=path: place.call(path, by="staff")) for _ in range(7)
            ]
        first, then = median(firsts), median(thens)
        mark = "beyond" if first > FIRST_REPORT_MS or then > REPORT_MS else ""
        print(f"| by {by} | {first:.0f} | {then:.1f} | {mark} |", flush=True)
    with place.app.app_context(), db.engine.connect() as connection:
        same = [
            milliseconds(lambda: connection.execute(SAME_SEATS, period).all())
            for _ in range(FIRST_REPORTS)
        ]
    print(f"| the same seats added up by one statement | {median(same):.0f} | | |\n")


if __name__ == "__main__":
    main(sys.argv[1:])
