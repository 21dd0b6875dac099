"""Reports as pages, and whatever else is sent to any page."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from booking_app.catalog.blocked_seats import BlockedSeat, set_blocked_seats
from booking_app.catalog.models import OUT_OF_ORDER
from tests.admin.pages import titles
from tests.admin_site import Site, messages, table
from tests.conftest import PASSWORD, Caller

# --- reports --------------------------------------------------------------------------------


def block(show_id: int, *labels: str) -> None:
    seats = [BlockedSeat(label, OUT_OF_ORDER) for label in labels]
    set_blocked_seats(show_id=show_id, seats=seats)


def test_the_coming_shows_with_their_occupancy(site: Site, alice: Caller, show_id: int) -> None:
    alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["1", "2"]})
    alice.post(f"/api/shows/{show_id}/hold/", {"seat_number": 3})
    block(show_id, "9", "10")
    (row,) = table(site.get())
    assert row[4:] == ["10", "2", "2", "1", "25.0 %", "€19.00"]
    assert site.get("", page="0").status_code == 422
    assert site.get("", page="9").status_code == 200


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize("by", ["day", "movie", "screen", "category"])
def test_sales_are_a_table_plots_and_a_file(
    site: Site, staff: Caller, alice: Caller, make_show: Callable[..., int], by: str
) -> None:
    show = make_show()
    alice.post(f"/api/shows/{show}/book/", {"seat_numbers": ["1", "2", "3"]})
    block(show, "4")
    period = {"since": "2030-01-01", "until": "2030-01-06", "by": by}
    page = site.get("sales/", **period)
    assert page.status_code == 200
    (row,) = table(page)
    assert row[1:] == ["1", "10", "1", "3", "33.3 %", "€28.50"]
    assert page.text.count("<figure ") == 2
    assert "28.50</title>" in page.text
    assert "33.3 %</title>" in page.text
    link = re.search(r'href="(/admin/sales/export/csv/[^"]*)"', page.text)
    assert link is not None
    over_api = staff.get("/api/reports/sales.csv", query_string=period)
    assert site.get(link[1].replace("&amp;", "&")).text == "\ufeff" + over_api.text


@pytest.mark.usefixtures("in_2030")
def test_where_all_seats_are_blocked_nothing_is_occupied(
    site: Site, make_show: Callable[..., int]
) -> None:
    show = make_show()
    block(show, *(str(number) for number in range(1, 11)))
    page = site.get("sales/", since="2030-01-01", until="2030-01-06", by="day")
    assert table(page)[0][1:] == ["1", "10", "10", "0", "0.0 %", "€0.00"]


@pytest.mark.usefixtures("in_2030")
def test_the_highest_takings_come_first_and_every_day_has_its_place(
    site: Site, alice: Caller, make_movie: Callable[..., int], make_show: Callable[..., int]
) -> None:
    for number, title in enumerate(("Poor", "Rich", "Middling")):
        show = make_show(movie_id=make_movie(title), starts_in=timedelta(days=1 + 2 * number))
        seats = [str(seat) for seat in range(1, {"Poor": 1, "Rich": 5, "Middling": 3}[title] + 1)]
        alice.post(f"/api/shows/{show}/book/", {"seat_numbers": seats})
    period = {"since": "2030-01-01", "until": "2030-01-07"}
    page = site.get("sales/", by="movie", **period)
    assert re.findall(r"<title>(\w+): €[0-9.]+</title>", page.text) == ["Rich", "Middling", "Poor"]
    assert titles(page) == ["Middling", "Poor", "Rich"]
    days = site.get("sales/", by="day", **period)
    assert len(re.findall(r"<title>[-0-9]+: €[0-9.]+</title>", days.text)) == 7
    assert len(table(days)) == 3
    empty = site.get("sales/", by="day", since="2000-01-01", until="2000-01-31")
    assert "No shows in this period." in empty.text


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize(
    ("timezone", "since", "until"),
    [("UTC", "2029-12-02", "2030-01-08"), ("Pacific/Pago_Pago", "2029-12-01", "2030-01-07")],
)
def test_the_usual_period_is_of_the_databases_day(
    app: Flask,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    timezone: str,
    since: str,
    until: str,
) -> None:
    """In the default cinema's time zone, thirty days back and a week ahead."""
    monkeypatch.setitem(app.config, "TIMEZONE", timezone)
    page = site.get("sales/").text
    assert re.findall(r'name="(?:since|until)"[^>]* value="([^"]*)"', page) == [since, until]


def test_a_period_that_cannot_be_is_said_at_its_field(site: Site) -> None:
    for query, error in (
        ({"since": "2030-02-01", "until": "2030-01-01"}, "Must not be before since."),
        ({"since": "2030-01-01", "until": "2032-01-01"}, "A report is of at most 366 days."),
        ({"since": "x", "until": "2030-01-01"}, "Must be a day such as 2030-01-31."),
        ({"since": ""}, "Missing data for required field."),
        ({"by": "x"}, "Must be one of"),
        ({"cinema": "x"}, "Must be a whole number."),
    ):
        period = {"since": "2030-01-01", "until": "2030-01-02", "by": "day"}
        answer = site.get("sales/", **period | query)
        assert answer.status_code == 422, query
        assert any(error in message for message in messages(answer)), query
    assert site.get("sales/").status_code == 200
    assert site.get("sales/", by="screen").status_code == 200
    assert site.get("sales/export/csv/", since="x").status_code == 422


FORMS = (
    "films/new/",
    "films/edit/?id=1",
    "cinemas/new/",
    "cinemas/edit/?id=1",
    "screens/new/",
    "screens/edit/?id=1",
    "shows/new/",
    "shows/edit/?id=1",
    "shows/many/",
    "shows/1/seats/",
    "bookings/1/",
    "accounts/edit/?id=2",
)
QUERIES = (
    "",
    "sales/",
    "films/",
    "shows/",
    "bookings/",
    "accounts/",
    "audit/",
    "bookings/export/csv/",
)
ANYTHING = st.one_of(
    st.text(max_size=30),
    st.integers().map(str),
    st.dates().map(str),
    st.datetimes().map(lambda moment: f"{moment:%Y-%m-%dT%H:%M}"),
    st.sampled_from(["1", "y", "", "9.50", "vip: 1", "20:00, 9:00", "A 5\nB 1 | 2..6", "A 5000"]),
)


def test_whatever_is_sent_is_answered_and_never_a_defect(
    site: Site, app: Flask, alice: Caller, make_show: Callable[..., int]
) -> None:
    """Any text in any field of any form, and in any parameter of any list."""
    alice.post(f"/api/shows/{make_show()}/book/", {"seat_number": 1})
    named = {
        path: set(re.findall(r'name="(\w+)"', site.get(path).text)) - {"csrf_token", "seen"}
        for path in (*FORMS, *QUERIES)
    }
    named["bookings/export/csv/"] = named["bookings/"]
    for names in named.values():
        names |= {"check", "make", "checked", "whole", "page", "sort", "url", "id", "block", "free"}

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def send(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from([*FORMS, *QUERIES]))
        fields = st.dictionaries(st.sampled_from(sorted(named[path])), ANYTHING)
        sent = data.draw(fields)
        answer = site.get(path, **sent) if path in QUERIES else site.post(path, sent)
        assert answer.status_code < 500, (path, sent)

    send()


def test_no_password_and_no_token_is_in_the_pages(site: Site, alice: Caller) -> None:
    for path in ("accounts/", f"accounts/edit/?id={alice.id}", "audit/", "accounts/export/csv/"):
        text = site.get(path).text
        assert "argon2" not in text
        assert PASSWORD not in text
