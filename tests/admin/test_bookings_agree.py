"""The API, the admin site's list, page and file, and the reports say the same of each booking."""

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from booking_app.admin import tables
from booking_app.booking import service
from booking_app.reports import service as reports
from tests.admin.pages import titles
from tests.admin_site import Site, messages, table
from tests.booking.test_finding import call_it
from tests.conftest import Caller, present

HOUR = timedelta(hours=1)


@pytest.fixture
def every_kind(alice: Caller, make_show: Callable[..., int]) -> list[int]:
    """The ids of a booking with all seats, one with some, two without any, a hold that holds and
    one that expired; on one show."""
    show = make_show(total_seats=20)
    ids = []

    def take(what: str, *labels: str) -> int:
        taken = alice.post(f"/api/shows/{show}/{what}/", {"seat_numbers": labels})
        ids.append(taken.json["id"])
        return ids[-1]

    take("book", "1", "2")
    some, last, whole = take("book", "3", "4"), take("book", "5", "6"), take("book", "7", "8")
    take("hold", "9", "10")
    for one, seats in ((some, ["3"]), (last, ["5"]), (last, ["6"]), (whole, None)):
        body = {} if seats is None else {"seat_numbers": seats}
        assert alice.post(f"/api/bookings/{one}/cancel/", body).status_code == 200
    expired = service.hold(
        user_id=alice.id, show_id=show, seat_numbers=["11", "12"], now=present() - HOUR
    )
    return [*ids, expired.id]


def told(booking: dict[str, Any]) -> list[str]:
    """What the admin's list says of a booking of the API."""
    seats = (", ".join(booking[name]) for name in ("seat_numbers", "cancelled_seat_numbers"))
    return [
        booking["reference"],
        *seats,
        booking["total"],
        booking["original_total"],
        booking["status"],
    ]


NAMES = ["Reference", "Seats", "Cancelled seats", "Total", "Original total", "Status"]


def test_all_say_the_same_of_every_kind_of_booking(
    site: Site, staff: Caller, every_kind: list[int]
) -> None:
    bookings = staff.get("/api/bookings/").json
    by_id = {one["id"]: one for one in bookings}
    totals = [by_id[one]["total"] for one in every_kind]
    assert totals == ["19.00", "9.50", "0.00", "0.00", "19.00", "0.00"]
    assert {by_id[one]["original_total"] for one in every_kind} == {"19.00"}
    statuses = [by_id[one]["status"] for one in every_kind]
    assert statuses == ["booked", "booked", "cancelled", "cancelled", "held", "expired"]

    labels = [column.label for column in tables.BOOKINGS.columns]
    places = [labels.index(name) for name in NAMES]
    listed = [[row[place] for place in places] for row in table(site.get("bookings/"))]
    assert listed == [told(one) for one in bookings]
    file = site.get("bookings/export/csv/").text.removeprefix("\ufeff")
    rows = csv.DictReader(io.StringIO(file))
    assert [[row[name] for name in NAMES] for row in rows] == [told(one) for one in bookings]

    sold = [one for one in bookings if one["status"] == "booked"]
    coming = reports.coming_shows(page=1, page_size=9).items[0]
    assert coming["sold"] == sum(len(one["seat_numbers"]) for one in sold) == 3
    assert coming["takings_cents"] == sum(round(float(one["total"]) * 100) for one in sold)
    assert coming["held"] == len(by_id[every_kind[4]]["seat_numbers"])


def test_the_page_of_a_booking_says_so_too(
    site: Site, staff: Caller, every_kind: list[int]
) -> None:
    states = [
        ["booked", "booked"],
        ["cancelled", "booked"],
        ["cancelled", "cancelled"],
        ["cancelled", "cancelled"],
        ["held", "held"],
        ["expired", "expired"],
    ]
    for one, state in zip(every_kind, states, strict=True):
        booking = staff.get(f"/api/bookings/{one}/").json
        page = site.get(f"bookings/{one}/")
        assert [row[-1] for row in table(page)] == state
        total = re.search(r"<dt>Total</dt><dd>(.*?)</dd>", page.text)
        assert total is not None
        amounts = re.findall(r"[0-9]+\.[0-9]{2}", total[1])
        wanted = [booking["total"], booking["original_total"]]
        assert amounts == (wanted if wanted[0] != wanted[1] else wanted[:1])
        assert booking["movie_title"] in page.text


def test_the_list_is_sorted_by_the_totals_that_it_shows(site: Site, every_kind: list[int]) -> None:
    labels = [column.label for column in tables.BOOKINGS.columns]
    place = labels.index("Total")
    for desc in (0, 1):
        rows = table(site.get("bookings/", sort=place, desc=desc))
        totals = [float(row[place]) for row in rows]
        assert totals == sorted(totals, reverse=bool(desc))
        assert len(totals) == 6


def test_a_booking_that_was_cancelled_meanwhile_is_not_cancelled_again(
    site: Site, every_kind: list[int]
) -> None:
    for one, why in ((every_kind[3], "cancelled already"), (every_kind[5], "The hold ended")):
        answer = site.post(f"bookings/{one}/", {"whole": "1"})
        assert answer.status_code == 409
        assert why in messages(answer)[0]


def test_references_are_found_however_they_are_typed(site: Site, every_kind: list[int]) -> None:
    call_it(every_kind[0], "0A1B0C1D0E")
    for typed in ("oaib-ocid-oe", "OALB OC", "lb\N{EN DASH}0c", "0A1B0C1D0E"):
        assert titles(site.get("bookings/", search=typed)) == ["0A1B0C1D0E"]
    assert titles(site.get("bookings/", search="--")) == []
