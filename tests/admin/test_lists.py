"""Lists: searched, filtered, sorted, paged and exported."""

import csv
import io
import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from booking_app.admin import tables
from booking_app.audit.models import AuditEvent
from booking_app.auth import accounts
from booking_app.catalog.models import Movie
from booking_app.core.database import db
from tests.admin.pages import titles
from tests.admin_site import Site, messages, table
from tests.conftest import PASSWORD, Caller, rows
from tests.system.test_statements import counted

# --- lists ----------------------------------------------------------------------------------


def test_lists_are_searched_filtered_sorted_and_paged_by_the_database(
    site: Site, make_movie: Callable[..., int]
) -> None:
    for number in range(60):
        make_movie(f"Film {number:02}", duration_minutes=200 - number, on_sale=number % 2 == 0)
    make_movie("100% ÄRGER", duration_minutes=5)
    assert titles(site.get("films/"))[:2] == ["100% ÄRGER", "Film 00"]
    second = site.get("films/", page=1)
    assert len(table(second)) == 11
    assert "Page 2 of 2" in second.text
    assert titles(site.get("films/", search="ärger")) == ["100% ÄRGER"]
    assert titles(site.get("films/", search="00% arg")) == ["100% ÄRGER"]
    assert titles(site.get("films/", search="%")) == ["100% ÄRGER"]
    assert titles(site.get("films/", search="_")) == []
    assert titles(site.get("films/", sort=2))[:2] == ["100% ÄRGER", "Film 59"]
    assert titles(site.get("films/", sort=2, desc=1))[:2] == ["Film 00", "Film 01"]
    off = site.get("films/", flt_on_sale="no", sort=2, search="film 1")
    assert titles(off) == ["Film 19", "Film 17", "Film 15", "Film 13", "Film 11"]
    assert '<label for="flt_on_sale">On sale</label>' in off.text
    assert '<option value="no" selected>' in off.text
    wrong = site.get("films/", flt_on_sale="maybe", search="film 1")
    assert messages(wrong) == ["On sale: maybe is not allowed."]
    assert 'href="/admin/films/export/csv/?search=film+1"' in wrong.text  # the list that is shown
    # Whatever leads on from it keeps what was asked for.
    links = re.findall(r'href="(/admin/films/\?[^"]*sort=0[^"]*)"', off.text)
    assert all("search=film+1" in link and "flt_on_sale=no" in link for link in links)
    assert links
    with counted() as statements:
        site.get("films/", search="film", sort=2)
    assert len([one for one in statements if "FROM movie" in one]) == 1
    assert len(statements) <= 2  # and the session


@pytest.mark.parametrize(
    "query",
    [
        {"page": "99999999999999999999999999"},
        {"page": "-1"},
        {"page": "x"},
        {"sort": "99"},
        {"sort": "-1"},
        {"sort": "4"},
        {"search": "\x00"},
        {"search": "a" * 1000},
        {"flt_status": "nonsense"},
        {"flt_show_id": "99999999999999999999"},
        {"flt_show_id": "٣"},
        {"flt_shows_from": "2030-02-30"},
        {"flt_nothing": "1"},
        {"page_size": "100000"},
        {"endpoint": "x", "export_type": "x", "_method": "POST", "_external": "1"},
        {"flt_shows_to": "9999-12-31", "flt_shows_from": "0001-01-01"},
    ],
)
def test_a_query_that_cannot_be_is_no_defect(
    site: Site, alice: Caller, show_id: int, query: dict[str, str]
) -> None:
    alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1})
    assert site.get("bookings/", **query).status_code == 200
    wrong = (
        set(query) & {"search", "flt_status", "flt_show_id", "flt_nothing", "flt0_0"}
        or "2030-02-30" in query.values()
    )
    # A file of another list than was asked for would be believed.
    assert site.get("bookings/export/csv/", **query).status_code == (422 if wrong else 200)
    assert site.get("audit/", flt_to_utc="9999-12-31").status_code == 200


@pytest.mark.usefixtures("in_2030")
def test_bookings_are_found_by_what_a_customer_can_say(
    site: Site, alice: Caller, bob: Caller, make_show: Callable[..., int]
) -> None:
    shows = [make_show(movie_id=None, starts_in=timedelta(days=days)) for days in (1, 3)]
    first = alice.post(f"/api/shows/{shows[0]}/book/", {"seat_number": 1}).json
    second = bob.post(f"/api/shows/{shows[1]}/hold/", {"seat_numbers": ["4", "5"]}).json
    by_reference = site.get("bookings/", search=first["reference"].lower())
    assert titles(by_reference) == [first["reference"]]
    assert titles(site.get("bookings/", search="BOB")) == [second["reference"]]
    assert titles(site.get("bookings/", flt_status="held")) == [second["reference"]]
    assert titles(site.get("bookings/", flt_show_id=shows[0])) == [first["reference"]]
    assert titles(site.get("bookings/", flt_account_id=bob.id)) == [second["reference"]]
    day = "2030-01-03"
    assert titles(site.get("bookings/", flt_shows_to=day)) == [first["reference"]]
    assert titles(site.get("bookings/", flt_shows_from=day)) == [second["reference"]]
    assert titles(site.get("bookings/")) == [second["reference"], first["reference"]]
    for column, _ in enumerate(tables.BOOKINGS.columns):
        assert len(table(site.get("bookings/", sort=column, desc=column % 2))) == 2


@pytest.mark.usefixtures("in_2030")
def test_shows_accounts_and_events_are_filtered_too(
    site: Site, staff: Caller, make_show: Callable[..., int], make_movie: Callable[..., int]
) -> None:
    films = [make_movie("One"), make_movie("Two", on_sale=False), make_movie("Three")]
    make_show(movie_id=films[0], starts_in=timedelta(days=-2))
    make_show(movie_id=films[1])
    assert titles(site.get("shows/", flt_to_come="yes")) == ["Two"]
    assert titles(site.get("shows/", flt_to_come="no")) == ["One"]
    by_film = site.get("shows/", flt_film=films[1])
    assert titles(by_film) == ["Two"]
    # Withdrawn films can be chosen too, and what is chosen is shown.
    assert f'<option value="{films[1]}" selected>Two</option>' in by_film.text
    accounts.create_user(username="zoe", password=PASSWORD, email="someone@example.org")
    assert titles(site.get("accounts/", search="SOMEONE@")) == ["zoe"]
    today = date(2030, 1, 1)
    some = len(table(site.get("audit/")))
    assert some > 0
    for query, found in (
        ({"flt_from_utc": today + timedelta(days=1)}, 0),
        ({"flt_to_utc": today - timedelta(days=1)}, 0),
        ({"flt_from_utc": today - timedelta(days=1), "flt_to_utc": today}, some),
        ({"search": "STAFF"}, len([e for e in rows(AuditEvent) if e.actor_id == staff.id])),
    ):
        assert len(table(site.get("audit/", **query))) == found, query


def test_rows_that_are_alike_have_an_order_too(site: Site, make_movie: Callable[..., int]) -> None:
    """The newest first, on every page; what has no value comes last."""
    for number in range(4):
        make_movie(f"Film {number}", year=1949 if number < 3 else None)
    for desc in ("", "1"):
        found = titles(site.get("films/", sort=1, desc=desc))
        assert found == ["Film 2", "Film 1", "Film 0", "Film 3"]
    link = re.search(
        r'href="(/admin/films/export/csv/[^"]*)"', site.get("films/", page=0, sort=1).text
    )
    assert link is not None
    assert link[1] == "/admin/films/export/csv/?sort=1"


def test_every_list_can_be_sorted_searched_and_exported(
    site: Site, alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show()
    alice.post(f"/api/shows/{show}/book/", {"seat_number": 1})
    lists = {
        "films": tables.MOVIES,
        "cinemas": tables.CINEMAS,
        "screens": tables.SCREENS,
        "shows": tables.SHOWS,
        "bookings": tables.BOOKINGS,
        "accounts": tables.ACCOUNTS,
        "audit": tables.AUDIT,
    }
    for name, listed in lists.items():
        for column in range(len(listed.columns)):
            assert site.get(f"{name}/", sort=column, desc=1).status_code == 200
        assert site.get(f"{name}/", search="zzz").status_code == 200
        answer = site.get(f"{name}/export/csv/", sort=0)
        assert answer.headers["Content-Disposition"] == f"attachment; filename={name}.csv"
        exported = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        assert exported[0] == [column.label for column in listed.columns]
        assert len(exported) > 1
        page = table(site.get(f"{name}/", sort=0))
        assert [line[0] for line in exported[1:]] == [row[0] for row in page]


def test_an_export_is_the_filtered_list_and_no_spreadsheet_takes_it_for_formulas(
    site: Site, make_movie: Callable[..., int]
) -> None:
    titles_ = ["=1+1", "+1", "-1", "@SUM(A1)", "Plain, with a comma", "x;=cmd|'/C'!A0; @y", "＝1"]
    for title in titles_:
        make_movie(title)
    make_movie("Withdrawn", on_sale=False)
    answer = site.get("films/export/csv/", flt_on_sale="yes")
    assert answer.mimetype == "text/csv"
    exported = [line[0] for line in csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))][1:]
    assert exported == [
        "'+1",
        "'-1",
        "'＝1",
        "'=1+1",
        "Plain, with a comma",
        "'@SUM(A1)",
        "x;'=cmd|'/C'!A0;' @y",
    ]


def test_an_export_of_any_length_is_streamed(site: Site, make_movie: Callable[..., int]) -> None:
    """More rows than are read at a time; the memory holds the lines of one read."""
    with db.engine.connect() as connection:
        movie = {
            "title": "F",
            "title_key": "f",
            "duration_minutes": 90,
            "genres": [],
            "genres_key": "|",
            "on_sale": True,
            "is_demo": False,
        }
        connection.execute(sa.insert(Movie), [movie] * 2500)
    with counted() as statements:
        answer = site.get("films/export/csv/")
    assert answer.is_streamed
    assert answer.text.count("\r\n") == 2501
    assert len([one for one in statements if "FROM movie" in one]) == 1


def test_the_first_page_of_many_bookings_costs_two_statements(
    site: Site, alice: Caller, show_id: int
) -> None:
    alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1})
    with counted() as statements:
        site.get("bookings/", search="alice", flt_status="booked")
    assert len([one for one in statements if "FROM booking" in one]) == 1
    # The session, the films and the cinemas that can be chosen
    assert len(statements) <= 4


def test_the_pages_of_a_show_ask_for_each_thing_once(site: Site, show_id: int) -> None:
    for path, most in ((f"shows/edit/?id={show_id}", 4), (f"shows/{show_id}/seats/", 7)):
        with counted() as statements:
            assert site.get(path).status_code == 200
        assert len(statements) <= most, statements
