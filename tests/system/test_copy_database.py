"""`flask copy-database`: from SQLite to PostgreSQL, back, and between two of a kind."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from flask import Flask, current_app
from flask_migrate import upgrade

from booking_app.audit.models import AuditEvent
from booking_app.auth import accounts
from booking_app.auth.models import User
from booking_app.booking import service
from booking_app.booking.models import Booking
from booking_app.catalog import movies, venues
from booking_app.catalog.models import Movie, Show, ShowSeat
from booking_app.cli import bound_to, copy_database
from booking_app.core import copies, engines
from booking_app.core.database import db, reading
from booking_app.core.schema import may_serve, needed_revision
from booking_app.core.snapshots import snapshot
from booking_app.idempotency.models import IdempotencyKey
from booking_app.reports import integrity
from tests import migrating
from tests.conftest import PASSWORD, Caller, rows
from tests.migrating import MIGRATIONS
from tests.postgresql import Databases

only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True, scope="session")


@pytest.fixture
def target_url(database_url: str, postgresql: Databases, tmp_path: Path) -> Iterator[str]:
    """Nothing yet, of the other kind than the database of the application."""
    if not database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'target.db'}"
        return
    address = postgresql.address
    name = f"{postgresql.prefix}_target"
    root = address.render_as_string(hide_password=False)
    with psycopg.connect(root, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield address.set(database=name).render_as_string(hide_password=False)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sold(
    make_caller: Callable[..., Caller], make_show: Callable[..., int], show_id: int
) -> Callable[[], Any]:
    """Bookings, holds, an audit and answers kept for safe retries. Books another seat if called."""
    alice, staff = make_caller("alice"), make_caller("staff", is_staff=True)
    book, key = f"/api/shows/{show_id}/book/", {"Idempotency-Key": "k"}
    assert alice.post(book, {"seat_numbers": ["1", "2"]}, headers=key).status_code == 201
    held = alice.post(f"/api/shows/{show_id}/hold/", {"seat_number": "3"})
    given_back = alice.post(book, {"seat_numbers": ["4", "5"]}).json["id"]
    cancel = f"/api/bookings/{given_back}/cancel/"
    assert alice.post(cancel, {"seat_numbers": ["5"]}).status_code == 200
    assert (held.status_code, held.json["status"]) == (201, "held")
    of_staff = {"seat_number": "6", "username": "alice"}
    assert staff.post(book, of_staff).status_code == 201
    price = staff.patch(f"/api/shows/{make_show()}/", {"price": "12.50", "no_single_gaps": True})
    assert price.status_code == 200
    assert all(map(rows, (Booking, AuditEvent, IdempotencyKey)))
    return lambda: service.book(user_id=alice.id, show_id=show_id, quantity=1)


def copy(url: str) -> Result:
    """Copy the present database."""
    return CliRunner().invoke(copy_database, [url])


def refusal(url: str) -> str:
    """The last line of a copy that must be refused."""
    result = copy(url)
    assert result.exit_code == 1, result.output
    line = str(result.output).splitlines()[-1]
    assert line.startswith("Error: ")
    return line


def everything() -> dict[str, set[tuple[Any, ...]]]:
    """Every row of the present database, as the models read it."""
    with reading() as connection:
        return {
            table.name: {
                tuple(f"{type(value).__name__} {value!r}" for value in map(in_order, row))
                for row in connection.execute(sa.select(table))
            }
            for table in db.metadata.sorted_tables
        }


def in_order(value: Any) -> Any:
    """JSON with its names in one order: JSONB has one of its own."""
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in sorted(value)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


def change(statement: str) -> None:
    with db.engine.connect() as connection:
        connection.exec_driver_sql(statement)


def test_there_and_back(sold: Callable[[], Any], target_url: str, fresh_url: str) -> None:
    change(f"UPDATE show SET version = {2**63 - 1}, local_date = '2030-06-01' WHERE id = 1")
    before = everything()
    there = copy(target_url)
    assert there.exit_code == 0, there.output
    lines = there.output.splitlines()
    assert {"booking: 4 rows", "show_seat: 20 rows", "schema_requirement: 1 row"} <= set(lines)
    assert lines[-2:] == [
        f"Copied {sum(map(len, before.values()))} rows, and compared each with its copy.",
        "checked 2 shows, 20 seats, 4 bookings: all agree.",
    ]
    with bound_to(target_url):
        assert everything() == before
        (version, day), _ = rows(Show, Show.version, Show.local_date)
        assert (version, day) == (2**63 - 1, date(2030, 6, 1))
        back = copy(fresh_url)
        assert back.exit_code == 0, back.output
    with bound_to(fresh_url):
        assert everything() == before


def test_every_column(fresh_app: Flask, target_url: str) -> None:
    """Rows that have a value in each, which the check finds at odds with each other."""
    upgrade(MIGRATIONS)
    migrating.fill(migrating.FILLED[needed_revision()]())
    before = everything()
    result = copy(target_url)
    assert result.exit_code == 1
    assert "show 1: the sums kept of category 'vip'" in result.output
    assert "these disagreements too" in result.output
    with bound_to(target_url):
        assert everything() == before


def test_between_two_of_a_kind(sold: Callable[[], Any], fresh_url: str) -> None:
    before = everything()
    assert copy(fresh_url).exit_code == 0
    with bound_to(fresh_url):
        assert everything() == before


def test_new_rows_get_new_ids(
    sold: Callable[[], Any], make_caller: Callable[..., Caller], target_url: str
) -> None:
    gone = make_caller("gone").id
    change(f"DELETE FROM user_session WHERE user_id = {gone}")
    change(f"DELETE FROM user_account WHERE id = {gone}")
    highest = rows(Movie, Movie.id)[-1].id
    assert copy(target_url).exit_code == 0
    booking = sold()
    with bound_to(target_url):
        assert accounts.create_user(username="new", password=PASSWORD).id == gone + 1
        assert movies.create_movie(title="New", duration_minutes=90)["id"] == highest + 1
        assert sold().id == booking.id


def test_tables_that_never_had_a_row_begin_with_1(fresh_app: Flask, target_url: str) -> None:
    upgrade(MIGRATIONS)
    assert copy(target_url).exit_code == 0
    with bound_to(target_url):
        assert accounts.create_user(username="new", password=PASSWORD).id == 1


def test_what_is_written_after_the_start_is_not_copied(
    sold: Callable[[], Any], target_url: str
) -> None:
    """Between any two tables somebody books."""
    source = current_app._get_current_object()  # type: ignore[attr-defined]
    before = everything()

    def book(table: str, number: int) -> None:
        if table in ("user_account", "show", "booking"):
            with source.app_context():
                sold()

    copy_into(target_url, copied=book)
    assert len(everything()["booking"]) == len(before["booking"]) + 3
    with bound_to(target_url):
        assert everything() == before
        assert list(integrity.disagreements(integrity.Counts())) == []


def copy_into(url: str, *, copied: Callable[[str, int], None]) -> None:
    with snapshot() as source, bound_to(url):
        copies.prepare_target(source)
        upgrade(MIGRATIONS)
        copies.fill(source=source, copied=copied)


def test_an_interrupted_copy_leaves_nothing(sold: Callable[[], Any], target_url: str) -> None:
    def interrupt(table: str, number: int) -> None:
        if table == "show_seat":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_into(target_url, copied=interrupt)
    with bound_to(target_url):
        assert not any(map(rows, (User, Show, ShowSeat, Booking, AuditEvent)))
    assert copy(target_url).exit_code == 0


# --- which releases may serve the copy ------------------------------------------------------


def test_the_release_before_may_serve_the_copy_of_what_it_may_serve(
    app: Flask, target_url: str
) -> None:
    with migrating.release_before_may_serve():
        assert copy(target_url).exit_code == 0
    with bound_to(target_url), reading() as connection:
        assert may_serve(connection, "1.2.0")


def test_it_must_not_serve_another_copy(app: Flask, target_url: str) -> None:
    assert copy(target_url).exit_code == 0
    with bound_to(target_url), reading() as connection:
        assert not may_serve(connection, "1.2.0")


@only_sqlite
def test_an_empty_target_whose_upgrade_is_not_finished_has_room_for_long_texts(
    make_show: Callable[..., int], target_url: str
) -> None:
    plan = [{"label": "Balcony left", "seats": 2}]
    hall = venues.create_screen(name="Hall", rows=plan)
    make_show(screen=hall.id, screen_name=None, total_seats=None)
    with bound_to(target_url):
        upgrade(MIGRATIONS)
        change(
            "ALTER TABLE show_seat ALTER label TYPE VARCHAR(10), ALTER row_label TYPE VARCHAR(5)"
        )
    before = everything()
    assert copy(target_url).exit_code == 0
    with bound_to(target_url):
        assert everything() == before


# --- refusals -------------------------------------------------------------------------------


def test_a_target_with_data(sold: Callable[[], Any], target_url: str) -> None:
    with bound_to(target_url):
        engines.make_file(db.engine)
        upgrade(MIGRATIONS)
        movies.create_movie(title="Mine", duration_minutes=90)
        before = everything()
    assert "not empty: audit_event has rows" in refusal(target_url)
    with bound_to(target_url):
        assert everything() == before


def test_a_target_with_tables_of_something_else(app: Flask, target_url: str) -> None:
    with bound_to(target_url):
        engines.make_file(db.engine)
        change("CREATE TABLE ledger (id INTEGER)")
    assert "tables of something else, such as ledger" in refusal(target_url)


def test_a_target_of_an_earlier_release_is_upgraded(app: Flask, target_url: str) -> None:
    with bound_to(target_url):
        engines.make_file(db.engine)
        upgrade(MIGRATIONS, revision="0010")
    assert copy(target_url).exit_code == 0


def test_a_target_of_a_later_release(app: Flask, target_url: str) -> None:
    with bound_to(target_url):
        engines.make_file(db.engine)
        upgrade(MIGRATIONS)
        change("UPDATE alembic_version SET version_num = '9999'")
    assert "The schema of the target is 9999" in refusal(target_url)


def test_the_source_as_target(app: Flask, database_url: str, tmp_path: Path) -> None:
    """Also by another name."""
    if database_url.startswith("sqlite"):
        other = tmp_path / "link.db"
        other.symlink_to(str(sa.make_url(database_url).database))
        same = f"sqlite:///{other}"
    else:
        same = f"{database_url}{'&' if '?' in database_url else '?'}application_name=other"
    for url in (database_url, same):
        assert "The target is the database that DATABASE_URL names" in refusal(url)


def test_a_source_of_an_earlier_release(fresh_app: Flask, target_url: str) -> None:
    upgrade(MIGRATIONS, revision="0010")
    assert "run `flask --app wsgi db upgrade` with this release" in refusal(target_url)


def test_a_source_of_a_later_release(fresh_app: Flask, target_url: str) -> None:
    upgrade(MIGRATIONS)
    change("UPDATE alembic_version SET version_num = '9999'")
    assert "The schema of the source is 9999" in refusal(target_url)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://here/booking", "URL is not allowed; allowed: sqlite:///FILE or postgresql://"),
        (
            "sqlite:////nowhere/at/all.db",
            "URL: the database can't be reached: /nowhere/at: No such file",
        ),
        ("postgresql://127.0.0.1:1/booking", "Not finished: connection failed"),
    ],
)
@only_sqlite
def test_a_target_that_cannot_be_reached(app: Flask, url: str, told: str) -> None:
    assert told in refusal(url)


@pytest.mark.parametrize(
    ("change_it", "told"),
    [
        (
            "UPDATE movie SET director = 'A' || char(0) WHERE id = 1",
            "movie 1: director has the character NUL, which PostgreSQL can't keep",
        ),
        (
            """UPDATE audit_event SET after = '{"a": ["\\u0000"]}' WHERE id = 2""",
            "audit_event 2: after has the character NUL, which PostgreSQL can't keep",
        ),
        (
            f"UPDATE movie SET age_rating = '{'x' * 21}'",
            "movie 1: age_rating has 21 characters, and PostgreSQL keeps 20",
        ),
        (
            f"UPDATE show_seat SET price_cents = {2**31} WHERE show_id = 1 AND label = '7'",
            "show_seat 1/7: price_cents is 2147483648, and PostgreSQL keeps 2147483647 at most",
        ),
        ("UPDATE show SET prices = '{' WHERE id = 2", "show 1: a row can't be read"),
        (
            "UPDATE movie SET year = 'MCMXLIX'",
            "movie 1: the target refuses it: invalid input syntax",
        ),
        ("UPDATE movie SET director = 'A' || char(9)", None),
        # PostgreSQL cuts these off without a word.
        (
            f"UPDATE movie SET age_rating = 'x{' ' * 20}'",
            "movie 1: the target keeps another age_rating",
        ),
    ],
)
@only_sqlite
def test_what_sqlite_keeps_and_postgresql_does_not(
    sold: Callable[[], Any], target_url: str, change_it: str, told: str | None
) -> None:
    change(change_it)
    if told is None:
        assert copy(target_url).exit_code == 0
        return
    line = refusal(target_url)
    assert told in line
    assert line.endswith(". Nothing was copied.")
    with bound_to(target_url):
        assert not any(map(rows, (User, Movie, Show, ShowSeat, AuditEvent)))
