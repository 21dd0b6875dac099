"""`make bench-reports`: the reports and the pages of the admin site on a year of bookings.

On PostgreSQL, from a wheel or on the server of BENCH_DATABASE_URL. The time is that of the whole
request inside the process, and stands beside that of a floor: one statement by the bare driver that
adds up the same seats.
"""

import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import sqlalchemy as sa
from flask.testing import FlaskClient
from flask_migrate import upgrade

import config
from benchmarks.databases import postgresql
from benchmarks.servers import ROOT
from booking_app import create_app
from booking_app.auth import access, accounts, sessions
from booking_app.catalog import movies, venues
from booking_app.core.database import db, write_transaction

ROUNDS = 9
SCREENS, SHOWS_A_DAY, DAYS_BACK, DAYS_AHEAD = 5, 4, 365, 14
SEATS, SOLD_OF_TEN = 210, 6.5
PASSWORD = secrets.token_urlsafe(12)

# Each show at 10, 13, 16 and 19 o'clock in UTC; each booking of one seat.
FILL = """
INSERT INTO show (movie_id, screen_id, starts_at, ends_at, local_date, price_cents, prices,
                  no_single_gaps, total_seats, on_sale)
SELECT 1 + (day + slot + %(back)s) % %(films)s, screen, moment,
       moment + interval '100 minutes', moment::date, 950, '{}', FALSE, %(seats)s, TRUE
FROM generate_series(-%(back)s, %(ahead)s) AS day, generate_series(1, %(screens)s) AS screen,
     generate_series(0, %(slots)s - 1) AS slot,
     LATERAL (SELECT current_date::timestamptz + make_interval(days => day, hours => 10 + 3 * slot)
              AS moment) AS at;
CREATE TEMPORARY TABLE sold AS
SELECT row_number() OVER (ORDER BY show.id, seat) AS id, show.id AS show_id, seat,
       950 + 300 * (seat / 180) AS price
FROM show, generate_series(1, %(seats)s) AS seat
WHERE (seat * 7 + show.id * 3) % 20 < 2 * %(sold)s;
INSERT INTO booking (id, reference, user_id, show_id, status, seats, total_cents, currency,
                     created_at)
SELECT id, 'B' || id, 1 + id % %(users)s, show_id, 'booked',
       jsonb_build_array(jsonb_build_object('seat_number', seat::text, 'price_cents', price,
                                            'cancelled', FALSE)), price, 'EUR', now()
FROM sold;
INSERT INTO show_seat (show_id, label, position, number, x, y, category, booking_id,
                       price_cents)
SELECT show.id, n::text, n, n::text, 2 * (n - 1), 0,
       CASE WHEN n < 180 THEN 'standard' ELSE 'vip' END, sold.id, sold.price
FROM show CROSS JOIN generate_series(1, %(seats)s) AS n
LEFT JOIN sold ON sold.show_id = show.id AND sold.seat = n;
"""

FLOOR = """
SELECT local_date, count(*), count(booking_id), sum(show_seat.price_cents) FROM show_seat
JOIN show ON show.id = show_id WHERE local_date BETWEEN %s AND %s GROUP BY local_date
"""


def main() -> None:
    """Fill a database and print the table."""
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    folder.chmod(0o755)  # as root, PostgreSQL runs as another user
    try:
        with postgresql(folder) as databases:
            url = databases.create("reports")
            environ = {"DATABASE_URL": url, "SECRET_KEY": secrets.token_hex(32)}
            app = create_app(config.load(os.environ | environ | {"RATELIMIT_ENABLED": "0"}))
            with app.app_context():
                upgrade(str(ROOT / "migrations"))
                bookings = fill(url)
                opened = write_transaction(open_session)
                headers = {"Authorization": f"Bearer {access.tokens(opened)['access']}"}
            databases.settle(url)
            print(f"{databases.name}: {bookings:,} bookings\n")
            with psycopg.connect(url, autocommit=True) as connection:
                bench(app.test_client(), headers, connection)
            with app.app_context():
                db.engine.dispose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fill(url: str) -> int:
    """A year of shows and two weeks to come, about two of three seats sold; how many bookings."""
    venues.create_cinema(name="Palace", timezone="UTC")
    for number in range(1, SCREENS + 1):
        plan = [{"label": "A", "seats": SEATS}]
        venues.create_screen(name=f"Screen {number}", rows=plan, cinema=1)
    films = 40
    for number in range(films):
        movies.create_movie(title=f"Film {number}", duration_minutes=100)
    users = 500
    accounts.create_user(username="staff", password=PASSWORD, is_staff=True)
    values: dict[str, Any] = {"films": films, "seats": SEATS, "back": DAYS_BACK}
    values |= {"ahead": DAYS_AHEAD, "screens": SCREENS, "slots": SHOWS_A_DAY}
    values |= {"sold": SOLD_OF_TEN, "users": users}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO user_account (username, username_key, password_hash, is_staff,"
            " is_disabled, created_at) SELECT 'buyer' || n, 'buyer' || n, '', FALSE, FALSE, now()"
            " FROM generate_series(2, %s) AS n",
            [users],
        )
        statements = re.sub(r"%\((\w+)\)s", lambda found: str(values[found[1]]), FILL)
        connection.execute(statements)
        found = connection.execute("SELECT count(*) FROM booking").fetchone()
    return int(found[0]) if found else 0


def milliseconds(work: Callable[[], Any]) -> tuple[float, float]:
    """The first time, and the median of the next ones."""
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return times[0], median(times[1:])


def open_session(connection: sa.Connection) -> sessions.OpenSession:
    return sessions.open_session(connection, user_id=1, lasts=timedelta(days=1))


def bench(
    client: FlaskClient, headers: dict[str, str], connection: psycopg.Connection[Any]
) -> None:
    """Measure each report, and print it beside the floor of its period."""
    today = datetime.now(UTC).date()
    print("| what | first, ms | then, ms | floor, ms |\n| --- | --- | --- | --- |")
    for name, days in (("week", 7), ("month", 30), ("year", 365)):
        since = today - timedelta(days)
        _, floor = milliseconds(lambda s=since: _floor(connection, s, today))
        for by in ("day", "movie", "screen", "category"):
            path = f"/api/reports/sales/?by={by}&since={since}&until={today}"
            line(f"sales of a {name} by {by}", lambda p=path: _get(client, p, headers), floor)
    coming = "/api/reports/shows/?page_size=100"
    line("100 coming shows", lambda: _get(client, coming, headers))
    log_in(client)
    for name, path in (
        ("coming shows", ""),
        ("sales of a month, with plots", "sales/"),
        ("bookings", "bookings/"),
        ("bookings, a page far behind", "bookings/?page=15000"),
        ("bookings by status, sorted by customer", "bookings/?flt_status=booked&sort=1"),
        ("bookings, a search", "bookings/?search=buyer17"),
        ("shows", "shows/"),
        ("a seat map", "shows/7400/seats/"),
    ):
        line(f"admin: {name}", lambda p=path: _get(client, f"/admin/{p}", {}))


def line(name: str, work: Callable[[], Any], floor: float | None = None) -> None:
    first, then = milliseconds(work)
    print(f"| {name} | {first:.0f} | {then:.0f} | {'' if floor is None else f'{floor:.0f}'} |")


def log_in(client: FlaskClient) -> None:
    page = _get(client, "/admin/login/", {})
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    form = {"username": "staff", "password": PASSWORD, "csrf_token": found[1]}
    assert client.post("/admin/login/", data=form).status_code == 303


def _get(client: FlaskClient, path: str, headers: dict[str, str]) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
    return answer.text


def _floor(connection: psycopg.Connection[Any], since: date, until: date) -> None:
    connection.execute(FLOOR, [since, until]).fetchall()


if __name__ == "__main__":
    main()
