"""Lists that have grown long: a page counts, sorts and shows LISTED_MAX rows at most."""

import re
from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from booking_app.admin.lists import LISTED_MAX, PAGE_SIZE
from booking_app.audit.models import AuditEvent
from booking_app.booking.models import Booking
from booking_app.booking.searches import NEWEST
from booking_app.core.database import begin_writing, db
from tests.admin.pages import titles
from tests.admin_site import Site, table
from tests.conftest import NOON, Caller
from tests.system.test_statements import counted

MORE = LISTED_MAX + 2 * PAGE_SIZE


def status(page: str) -> str:
    found = re.search(r'<p role="status">(.*?)</p>', page, re.S)
    assert found is not None
    return " ".join(found[1].split())


def test_of_a_long_list_the_first_rows_are_listed(site: Site) -> None:
    event = {"created_at": NOON, "actor_name": None, "object_type": "account"}
    rows = [event | {"action": f"a{number:05}"} for number in range(MORE)]
    with db.engine.connect() as connection, begin_writing(connection):
        connection.execute(sa.delete(AuditEvent))
        connection.execute(sa.insert(AuditEvent), rows)
    with counted() as statements:
        first = site.get("audit/")
    assert len([one for one in statements if "FROM audit_event" in one]) == 1
    said = "Audit: more than 10,000. Listed are the first 10,000"
    assert status(first.text) == f"{said}; search or filter to see others."
    assert f"Page 1 of {LISTED_MAX // PAGE_SIZE}" in first.text
    ids = [int(row[-1]) for row in table(first)]
    newest = ids[0]
    assert ids == [newest - number for number in range(PAGE_SIZE)]
    last = table(site.get("audit/", page=LISTED_MAX // PAGE_SIZE - 1))
    assert int(last[-1][-1]) == newest - LISTED_MAX + 1
    beyond = site.get("audit/", page=LISTED_MAX // PAGE_SIZE)
    assert "There are 200 pages" in beyond.text
    assert "<table>" not in beyond.text
    # An index has this order, so it is of them all; of another, only what is listed is sorted.
    oldest = site.get("audit/", sort=0)
    assert [int(row[-1]) for row in table(oldest)][:1] == [newest - MORE + 1]
    assert status(oldest.text) == f"{said}; search or filter to see others."
    by_action = site.get("audit/", sort=1)
    assert status(by_action.text) == f"{said}, sorted by Action; search or filter to see others."
    assert table(by_action)[0][1] == f"a{MORE - LISTED_MAX - 1:05}"
    assert site.get("audit/export/csv/").text.count("\r\n") == MORE + 1  # all of them


def test_bookings_are_found_by_the_beginning_of_the_reference_however_many_there_are(
    site: Site, staff: Caller, alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(starts_in=timedelta(days=1))
    old, new = (alice.post(f"/api/shows/{show}/book/", {"seat_number": n}).json for n in (1, 2))
    with db.engine.connect() as connection, begin_writing(connection):
        for booking, key, reference in ((old, 1, "0A1B0C1D0E"), (new, NEWEST + 2, "1A1B0C1D0E")):
            made = sa.select(*sa.inspect(Booking).columns).where(Booking.id == booking["id"])
            row = dict(connection.execute(made).mappings().one())
            connection.execute(
                sa.insert(Booking).values(row | {"id": key + 10, "reference": reference})
            )
    for typed, found in (
        ("0a1b-0c1d-0e", ["0A1B0C1D0E"]),
        ("oa1b", ["0A1B0C1D0E"]),
        ("1A1B", ["1A1B0C1D0E"]),
        ("B0C1D", ["1A1B0C1D0E"]),  # any part of a new one
    ):
        assert titles(site.get("bookings/", search=typed)) == found, typed
        answer = staff.get(f"/api/bookings/?search={typed}").json
        assert [booking["reference"] for booking in answer] == found, typed


def test_statuses_are_told_apart(site: Site, alice: Caller, show_id: int) -> None:
    booked, held, cancelled, expired = (
        alice.post(f"/api/shows/{show_id}/{action}/", {"seat_number": n}).json
        for n, action in enumerate(("book", "hold", "book", "hold"), 1)
    )
    alice.post(f"/api/bookings/{cancelled['id']}/cancel/")
    with db.engine.connect() as connection, begin_writing(connection):
        over = sa.update(Booking).where(Booking.id == expired["id"])
        connection.execute(over.values(expires_at=NOON - timedelta(days=20_000)))
    for name, booking in (
        ("booked", booked),
        ("held", held),
        ("cancelled", cancelled),
        ("expired", expired),
    ):
        for more in ({}, {"sort": 2}, {"sort": 8, "search": "alice"}):
            page = site.get("bookings/", flt_status=name, **more)
            assert titles(page) == [booking["reference"]], (name, more)
