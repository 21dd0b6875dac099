"""How the databases carry out what callers send all day: no statement goes through a table that
grows with the years."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from benchmarks.growth_data import CUSTOMER, House, furnish
from benchmarks.growth_requests import PAGES, WRITES, Place, Request, reads
from booking_app.core.database import db
from tests.conftest import PASSWORD, present
from tests.plans import explained

# So many that PostgreSQL prefers an index where there is one: it plans by what the tables have.
HOUSE = House(past=200, accounts=3000)
# Shows are a hundredth of the bookings: here too few for an index to be worth while.
GROWING = {
    "audit_event",
    "booking",
    "idempotency_key",
    "show_seat",
    "user_account",
    "user_session",
}
CUSTOMERS = [
    *reads(
        "",
        "/api/movies/",
        "/api/movies/?search=film&now_showing=true",
        "/api/movies/1/",
        "/api/movies/1/shows/",
        "/api/shows/?date={tomorrow}&page_size=5",
        "/api/shows/{coming}/",
        "/api/shows/{coming}/seats/",
    ),
    *reads("customer", "/api/me/", "/api/me/sessions/", "/api/bookings/1/"),
    *reads(
        "customer",
        "/api/my-bookings/",
        "/api/my-bookings/?status=booked",
        "/api/my-bookings/?reference={reference}",
    ),
]
STAFF = [
    *reads(
        "staff",
        "/api/bookings/?after={cursor}",
        "/api/bookings/?reference={reference}",
        "/api/bookings/?show={past}",
        "/api/bookings/?user={customer}",
        "/api/audit/?actor={customer}",
        "/api/accounts/2/",
    ),
    *(
        page
        for page in PAGES
        if re.fullmatch(
            r"/admin/bookings/\?(flt_status=[ceh]\w+|flt_(show|account)_id=.*)", page.name
        )
    ),
]


@pytest.fixture(scope="module")
def place(migrated_app: Flask) -> Iterator[Place]:
    """A house with 20,900 bookings, its tables analysed."""
    from tests.conftest import empty

    with migrated_app.app_context():
        empty(db.engine)
        now = present()
        furnish(HOUSE, password=PASSWORD, now=now)
        with db.engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("VACUUM ANALYZE")
        yield Place(migrated_app, HOUSE, PASSWORD, now.date())


@contextmanager
def noted() -> Iterator[list[tuple[str, Any]]]:
    """The statements sent within, and their parameters."""
    sent: list[tuple[str, Any]] = []

    def note(conn: object, cursor: object, statement: str, parameters: Any, *rest: object) -> None:
        if re.match("SELECT|INSERT|UPDATE|DELETE|WITH", statement):
            sent.append((statement, parameters))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


def scans(statement: str, parameters: Any) -> list[str]:
    """The steps of its plan that read the whole of a table that grows."""
    postgresql = db.engine.dialect.name == "postgresql"
    steps = [str(row[-1]) for row in explained(statement, parameters)]
    pattern = r"Seq Scan on (\w+)" if postgresql else r"^SCAN (\w+)(?! USING)"
    found = ((step, re.search(pattern, step.strip())) for step in steps)
    return [step for step, one in found if one and one[1] in GROWING]


@pytest.mark.parametrize("request_", [*CUSTOMERS, *STAFF, *WRITES], ids=lambda one: one.name)
def test_nothing_goes_through_a_table_that_grows(place: Place, request_: Request) -> None:
    work = request_.prepare(place)
    with noted() as sent:
        work()
    assert sent
    for statement, parameters in sent:
        found = scans(statement, parameters)
        if statement.startswith("INSERT INTO booking "):
            # SQLite would look for seats of that booking if it were already in debt for such.
            found = [step for step in found if step != "SCAN show_seat"]
        assert not found, statement


def test_a_statement_without_an_index_would_be_found(place: Place) -> None:
    without = "SELECT id FROM booking WHERE total_cents = 1"
    assert scans(without, ())
    assert not scans(f"SELECT id FROM booking WHERE user_id = {CUSTOMER}", ())
