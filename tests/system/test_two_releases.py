"""The release before and this one serve the same database, as they do while one is rolled out."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, current_app
from flask_migrate import upgrade

from booking_app.auth.models import User
from booking_app.booking.models import Booking
from booking_app.catalog.models import Show
from booking_app.core.database import db
from tests.conftest import PASSWORD, rows
from tests.migrating import migrations_with
from tests.promise import broken_promises
from tests.release_before import TODAY, Buyer, Release, release_before
from tests.serving import Server

pytestmark = pytest.mark.both_in_ci("postgresql")

DAY = timedelta(days=1)
RACED_SEATS = 20
GROUPS = ("day", "movie", "screen", "category")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return release_before(tmp_path_factory.mktemp("before"))


def contradictions() -> list[str]:
    """Whatever is wrong in the tables."""
    found = broken_promises()
    if "check-integrity" in current_app.cli.commands:
        checked = current_app.test_cli_runner().invoke(args=["check-integrity"])
        if checked.exit_code:
            found.append(checked.output)
    return found


@dataclass
class House:
    """A film and its shows, made through the API; the token of its staff."""

    staff: str
    film: int

    def show(self, server: Server, screen_name: str, total_seats: int) -> int:
        body = {
            "screen_name": screen_name,
            "total_seats": total_seats,
            "price": "9.50",
            "date_time": (datetime.now(UTC) + 2 * DAY).isoformat(),
        }
        path = f"/api/movies/{self.film}/shows/"
        status, show = server.call("POST", path, body, self.staff)
        assert status == 201, show
        return int(show["id"])

    def sales(self, server: Server, by: str) -> list[dict[str, Any]]:
        """The report of every show, past and to come."""
        since, until = (datetime.now(UTC) + days for days in (-9 * DAY, 9 * DAY))
        path = f"/api/reports/sales/?by={by}&since={since.date()}&until={until.date()}"
        status, report = server.call("GET", path, token=self.staff)
        assert status == 200, report
        return list(report)


def open_house(server: Server) -> House:
    staff = server.log_in("boss", PASSWORD)
    with db.engine.connect() as connection:
        connection.execute(sa.update(User).where(User.username == "boss").values(is_staff=True))
    film = {"title": "The Third Man", "duration_minutes": 104}
    status, made = server.call("POST", "/api/movies/", film, staff)
    assert status == 201, made
    return House(staff, made["id"])


@contextmanager
def buying(buyer: Buyer, server: Server, show: int) -> Iterator[Counter[int]]:
    """Meanwhile the buyer books seats and cancels them again; how often each status was answered
    so far."""
    answers: Counter[int] = Counter()
    enough = threading.Event()

    def buy() -> None:
        while not enough.is_set():
            status, booking = buyer.ask(server, f"/api/shows/{show}/book/", {"quantity": 2})
            answers[status] += 1
            if status == 201:
                buyer.ask(server, f"/api/bookings/{booking['id']}/cancel/")

    thread = threading.Thread(target=buy)
    thread.start()
    try:
        yield answers
    finally:
        enough.set()
        thread.join()


def race(servers: tuple[Server, Server], show: int, failures: list[str]) -> Counter[str]:
    """Two buyers at each server ask for the same seat at once, for one seat after the other. Who
    gets it goes on at the other server. How many got each seat."""
    together = threading.Barrier(4, timeout=60)
    winners: Counter[str] = Counter()

    def buy(buyer: Buyer, own: Server, other: Server) -> None:
        for seat in range(1, RACED_SEATS + 1):
            label, kind = str(seat), ("book", "hold")[seat % 2]
            path, body, key = f"/api/shows/{show}/{kind}/", {"seat_number": label}, f"key-{label}"
            together.wait()
            status, booking = buyer.ask(own, path, body, key)
            together.wait()
            if status != 201:
                continue
            winners[label] += 1
            if seat % 4 in (2, 3):
                buyer.ask(other, f"/api/bookings/{booking['id']}/cancel/")
            elif kind == "hold":
                buyer.ask(other, f"/api/bookings/{booking['id']}/confirm/")
            elif (again := buyer.ask(other, path, body, key)) != (201, booking):
                failures.append(f"{label} was answered {booking}, then {again}")

    def run(*arguments: Any) -> None:
        try:
            buy(*arguments)
        except Exception as error:
            failures.append(repr(error))
            together.abort()

    first, second = servers
    threads = [
        threading.Thread(target=run, args=(Buyer(own, f"racer{n}", failures), own, other))
        for n, (own, other) in enumerate([(first, second), (second, first)] * 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return winners


def takings(report: list[dict[str, Any]]) -> int:
    """The sum of a report, in cents."""
    return sum(round(float(row["takings"]) * 100) for row in report)


def paid() -> int:
    """The sum of what is booked, in cents."""
    return sum(row.total_cents for row in rows(Booking) if row.status == "booked")


def end(show: int) -> None:
    """Let the show be over: reports keep its sums."""
    starts_at = datetime.now(UTC) - 3 * DAY
    over = {"starts_at": starts_at, "ends_at": starts_at + DAY, "local_date": starts_at.date()}
    with db.engine.connect() as connection:
        connection.execute(sa.update(Show).where(Show.id == show).values(over))


def test_two_releases_sell_side_by_side(
    before: Release, fresh_url: str, fresh_app: Flask, tmp_path: Path
) -> None:
    """The release before goes on selling while the schema is upgraded, and then beside this one."""
    failures: list[str] = []
    before.flask(fresh_url, "db", "upgrade")
    with before.serving(fresh_url, tmp_path / "before.log") as old:
        house = open_house(old)
        over, early, raced = (house.show(old, name, 30) for name in ("Over", "Early", "Raced"))
        guest = Buyer(old, "guest", failures)
        guest.ask(old, f"/api/shows/{over}/book/", {"seat_numbers": ["1", "2"]})
        held = guest.ask(old, f"/api/shows/{early}/hold/", {"seat_number": "30"})[1]
        end(over)
        assert takings(house.sales(old, "day")) == paid() == 1900

        with buying(guest, old, early) as answers:
            sold = answers[201]
            TODAY.flask(fresh_url, "db", "upgrade")
            assert answers[201] > sold, "nothing was sold during the upgrade"

        with TODAY.serving(fresh_url, tmp_path / "today.log") as new:
            assert guest.ask(new, f"/api/bookings/{held['id']}/confirm/")[0] == 200
            with buying(guest, old, early):
                winners = race((old, new), raced, failures)
            assert failures == []
            assert winners == {str(seat): 1 for seat in range(1, RACED_SEATS + 1)}
            assert contradictions() == []
            for by in GROUPS:
                shown, shown_before = house.sales(new, by), house.sales(old, by)
                assert takings(shown) == takings(shown_before) == paid()
                for row, row_before in zip(shown, shown_before, strict=True):
                    assert {name: row[name] for name in row_before} == row_before


def test_what_the_release_before_changes_is_not_overwritten(
    before: Release, fresh_url: str, fresh_app: Flask, tmp_path: Path
) -> None:
    """It knows no editions: they are made of what it stores."""
    TODAY.flask(fresh_url, "db", "upgrade")
    client = fresh_app.test_client()
    with before.serving(fresh_url, tmp_path / "before.log") as old:
        house = open_house(old)
        shown = client.get(f"/api/shows/{house.show(old, 'One', 5)}/").json
        guest = old.call("POST", "/api/signup/", {"username": "guest", "password": PASSWORD})[1]
        for path, change in (
            (f"/api/movies/{house.film}/", {"year": 1949}),
            (f"/api/cinemas/{shown['cinema']}/", {"city": "Wien"}),
            (f"/api/screens/{shown['screen']}/", {"name": "Two"}),
            (f"/api/shows/{shown['id']}/", {"price": "8.00"}),
            (f"/api/accounts/{guest['id']}/", {"is_disabled": True}),
        ):
            token = {"Authorization": f"Bearer {house.staff}"}
            seen = client.get(path, headers=token).headers["ETag"]
            assert old.call("PATCH", path, change, house.staff)[0] == 200
            stale = client.patch(path, json=change, headers={**token, "If-Match": seen})
            assert (stale.status_code, stale.json["code"]) == (412, "changed_meanwhile")


def test_what_the_release_before_changes_shows_in_kept_seat_maps(
    before: Release, fresh_url: str, fresh_app: Flask, tmp_path: Path
) -> None:
    """A worker of this release has the show's plan from before each change."""
    TODAY.flask(fresh_url, "db", "upgrade")
    with (
        before.serving(fresh_url, tmp_path / "before.log") as old,
        TODAY.serving(fresh_url, tmp_path / "today.log") as new,
    ):
        house = open_house(old)
        show = house.show(old, "One", 6)
        path, screen = f"/api/shows/{show}/", {"name": "Two"}
        screen["rows"] = [{"label": "A", "seats": 5, "gaps": [2]}]
        planned = old.call("POST", "/api/screens/", screen, house.staff)[1]["id"]
        for method, where, body in (
            ("POST", f"{path}book/", {"seat_number": "1"}),
            ("POST", f"{path}hold/", {"seat_number": "2"}),
            ("POST", "/api/bookings/2/confirm/", None),
            ("POST", "/api/bookings/2/cancel/", None),
            ("PUT", f"{path}blocked-seats/", {"seats": [{"seat_number": "3", "kind": "house"}]}),
            ("POST", f"{path}book/", {"seat_number": "3"}),
            ("PUT", f"{path}blocked-seats/", {"seats": [{"seat_number": "6", "kind": "house"}]}),
            ("PUT", f"{path}blocked-seats/", {"seats": []}),
            ("PATCH", path, {"price": "8.00"}),
            ("PATCH", "/api/shows/", {"ids": [show], "changes": {"price": "7.00"}}),
            ("PATCH", path, {"total_seats": 8}),
            ("PATCH", path, {"total_seats": 4}),
            ("POST", "/api/bookings/1/cancel/", None),
            ("POST", "/api/bookings/3/cancel/", None),
            ("PATCH", path, {"screen": planned}),
            ("PATCH", path, {"prices": {"standard": "6.00"}}),
            ("PATCH", f"/api/screens/{planned}/", {"out_of_order": ["A3"]}),
        ):
            kept = new.call("GET", f"{path}seats/")
            status, made = old.call(method, where, body, house.staff)
            assert status < 300, (where, made)
            shown = new.call("GET", f"{path}seats/")
            assert shown == old.call("GET", f"{path}seats/") != kept, (where, body)


def test_a_schema_that_the_release_before_can_not_use_is_noticed(
    before: Release, fresh_url: str, fresh_app: Flask, tmp_path: Path
) -> None:
    """The test above can fail: here a column that only a later release fills."""
    upgrade(
        migrations_with(
            tmp_path,
            """
            column = sa.Column("channel", sa.String(10), nullable=False, server_default="web")
            with op.batch_alter_table("booking") as batch:
                batch.add_column(column)
            with op.batch_alter_table("booking") as batch:
                batch.alter_column("channel", server_default=None)
            """,
        )
    )
    failures: list[str] = []
    with before.serving(fresh_url, tmp_path / "before.log") as old:
        show = open_house(old).show(old, "One", 5)
        Buyer(old, "guest", failures).ask(old, f"/api/shows/{show}/book/", {"seat_number": "1"})
    (failure,) = failures
    assert failure.startswith(f"/api/shows/{show}/book/: 500")
