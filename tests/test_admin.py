"""What staff do in the admin site: it is what the services do, in the same words."""

import csv
import io
import re
from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from booking_app.admin import tables
from booking_app.audit.models import AuditEvent
from booking_app.audit.service import OPERATOR
from booking_app.auth import accounts
from booking_app.booking.models import Booking
from booking_app.catalog import shows as show_writes
from booking_app.catalog import venues
from booking_app.catalog.models import Movie, Screen, Show, ShowSeat
from booking_app.catalog.times import instant
from booking_app.core.database import db
from tests.admin_site import Site, messages, table
from tests.conftest import NOON, PASSWORD, Caller, rows
from tests.test_statements import counted

PLAN = [{"label": "A", "seats": 4, "category": "standard", "gaps": [], "accessible": []}]
VIENNA = "Europe/Vienna"


@pytest.fixture
def site(app: Flask, staff: Caller) -> Site:
    """Logged in as staff."""
    site = Site(app)
    assert site.log_in().status_code == 303
    return site


@pytest.fixture
def screen(app: Flask) -> int:
    """A screen of four seats in Vienna."""
    cinema = venues.create_cinema(name="Gartenbau", timezone=VIENNA)["id"]
    return int(venues.create_screen(name="Saal", rows=PLAN, cinema=cinema)["id"])


def written(action: str) -> list[Any]:
    """The audit's rows of that action."""
    return [row for row in rows(AuditEvent) if row.action == action]


def told(event: Any) -> tuple[Any, ...]:
    """What an event says of who did what."""
    return (event.action, event.actor_name, event.address, event.before, event.after)


# --- the catalogue --------------------------------------------------------------------------


def test_films_are_made_changed_and_deleted_as_over_the_api(site: Site, staff: Caller) -> None:
    form = {
        "title": " Der dritte Mann ",
        "duration_minutes": "104",
        "year": "1949",
        "genres": "Crime, noir\r\n\r\nDrama",
        "description": "Wien.\r\nNacht.",
        "on_sale": "y",
    }
    answer = site.post("films/new/", form)
    assert answer.headers["Location"] == "/admin/films/"
    over_api = staff.post(
        "/api/movies/",
        {
            "title": "Der dritte Mann",
            "duration_minutes": 104,
            "year": 1949,
            "genres": ["Crime, noir", "Drama"],
            "description": "Wien.\nNacht.",
        },
    ).json
    one, two = rows(Movie)
    assert one[1:] == two[1:]
    first, second = written("movie.created")
    assert told(first)[:3] == told(second)[:3] == ("movie.created", "staff", "127.0.0.1")
    assert first.after | {"id": 0} == second.after | {"id": 0}

    page = site.get("films/edit/", id=one.id)
    assert 'value="Der dritte Mann"' in page.text
    assert "Crime, noir\nDrama</textarea>" in page.text
    assert "Edit film: Der dritte Mann</h1>" in page.text
    changed = form | {"title": "The Third Man", "year": "", "genres": ""}
    assert site.post("films/edit/", changed, {"id": one.id}).status_code == 302
    event = written("movie.changed")[-1]
    assert event.after == {"title": "The Third Man", "year": None, "genres": []}

    del changed["on_sale"]  # as a browser sends a box that is not ticked
    site.post("films/edit/", changed, {"id": one.id})
    assert staff.get(f"/api/movies/{one.id}/").json["on_sale"] is False
    site.post("films/delete/", {"id": one.id})
    assert [movie.id for movie in rows(Movie)] == [over_api["id"]]
    assert written("movie.deleted")[0].actor_name == "staff"


@pytest.mark.parametrize(
    ("form", "errors"),
    [
        ({}, ["Missing data for required field.", "Missing data for required field."]),
        (
            {"title": "F", "duration_minutes": "ninety"},
            ["Must be a whole number."],
        ),
        (
            {"title": "F", "duration_minutes": "1441", "year": "1"},
            [
                "Must be greater than or equal to 1 and less than or equal to 1440.",
                "Must be greater than or equal to 1870 and less than or equal to 2200.",
            ],
        ),
        ({"title": "a\x00b", "duration_minutes": "9"}, ["Must not contain control characters."]),
        ({"title": "F", "duration_minutes": "9", "genres": "a|b"}, ["1: Must not contain |."]),
    ],
)
def test_a_form_says_at_its_fields_what_the_api_says(
    site: Site, staff: Caller, form: dict[str, str], errors: list[str]
) -> None:
    answer = site.post("films/new/", form)
    assert answer.status_code == 422
    assert [re.sub(r"^Row 1: ", "1: ", error) for error in messages(answer)] == errors
    assert 'aria-invalid="true"' in answer.text
    assert rows(Movie) == []


def test_what_the_services_refuse_is_refused_in_their_words(
    site: Site, staff: Caller, alice: Caller, show_id: int
) -> None:
    alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 10})
    show = staff.get(f"/api/shows/{show_id}/").json
    before = rows(Show), rows(Movie), rows(Screen), rows(ShowSeat)
    events = len(rows(AuditEvent))
    edit = {"price": "9.50", "on_sale": "y", "date_time": "2031-01-01T20:00", "total_seats": "10"}
    for path, form, query, method, api_path, body in (
        ("films/delete/", {"id": show["movie"]}, {}, "delete", f"movies/{show['movie']}/", None),
        ("shows/delete/", {"id": show_id}, {}, "delete", f"shows/{show_id}/", None),
        ("screens/delete/", {"id": show["screen"]}, {}, "delete", f"screens/{show['screen']}/", 0),
        ("cinemas/delete/", {"id": show["cinema"]}, {}, "delete", f"cinemas/{show['cinema']}/", 0),
        (
            "shows/edit/",
            edit,
            {"id": show_id},
            "patch",
            f"shows/{show_id}/",
            {"date_time": "2031-01-01T20:00:00Z"},
        ),
    ):
        over_api = getattr(staff, method)(f"/api/{api_path}", body or None).json
        answer = site.post(path, form, query)
        if method == "delete":
            answer = site.get(path.replace("delete/", ""))
        else:
            assert answer.status_code == over_api["status"] == 409
        assert messages(answer) == [over_api["detail"]]
    now_in = {"total_seats": "9", "price": "9.50", "on_sale": "y"}
    now_in["date_time"] = show["date_time"][:16]
    answer = site.post("shows/edit/", now_in, {"id": show_id})
    over_api = staff.patch(f"/api/shows/{show_id}/", {"total_seats": 9}).json
    assert messages(answer) == [over_api["detail"]]
    assert (rows(Show), rows(Movie), rows(Screen), rows(ShowSeat)) == before
    assert len(rows(AuditEvent)) == events


def test_a_screen_is_made_of_its_typed_plan_and_seen_before(site: Site, screen: int) -> None:
    text = 'A 3\r\nB 4 "love seat" gaps=2 accessible=1\r\n'
    picture = site.post("screens/picture/", {"rows": text})
    assert picture.status_code == 200
    assert "<svg" in picture.text
    assert picture.text.count('<g transform="translate(') > 7
    assert "love seat" in picture.text
    assert len(rows(Screen)) == 1
    wrong = site.post("screens/picture/", {"rows": "A 3\nA 2"})
    assert wrong.status_code == 200
    assert "Makes the seat A1 a second time." in wrong.text
    assert "Line 1: Give a label" in site.post("screens/picture/", {"rows": "A"}).text

    cinema = rows(Screen)[0].cinema_id
    new = {"name": "Two", "rows": text, "cinema": cinema}
    assert messages(site.post("screens/new/", new | {"cinema": ""})) == ["Choose one."]
    assert site.post("screens/new/", new).status_code == 302
    made = rows(Screen)[-1]
    expected = [
        {"label": "A", "seats": 3, "category": "standard", "gaps": [], "accessible": []},
        {"label": "B", "seats": 4, "category": "love seat", "gaps": [2], "accessible": [1]},
    ]
    assert made.rows == expected
    page = site.get("screens/edit/", id=made.id)
    assert "B 4 &#39;love seat&#39; gaps=2 accessible=1" in page.text
    assert "<svg" in page.text
    refused = site.post("screens/edit/", {"name": "Two", "rows": "A 3 gaps=3"}, {"id": made.id})
    assert messages(refused) == ["Row 1, gaps: Must be numbers from 1 to 2."]
    long = site.post("screens/picture/", {"rows": "A" * 300_000})
    assert "Line 1: Is too long." in long.text
    many_errors = site.post("screens/picture/", {"rows": "A x\n" * 5000})
    assert len(many_errors.text) < 5000
    assert rows(Screen)[-1].rows == expected


@pytest.mark.usefixtures("in_2030")
def test_what_is_taken_away_from_a_form_is_not_silently_kept(
    site: Site, screen: int, make_movie: Callable[..., int]
) -> None:
    before = rows(Screen)
    for form in (
        {"name": "", "rows": "A 4"},
        {"name": "Saal", "rows": ""},
        {"name": "", "rows": ""},
    ):
        answer = site.post("screens/edit/", form, {"id": screen})
        assert answer.status_code == 422
        assert set(messages(answer)) == {"Missing data for required field."}
    assert rows(Screen) == before
    movie = make_movie()
    when = {"movie": movie, "screen": screen, "price": "9.50", "date_time": "2030-07-01T20:00"}
    site.post("shows/new/", when)
    assert len(table(site.get("shows/"))) == 1
    answer = site.post("shows/edit/", {"price": "9.50", "date_time": ""}, {"id": 1})
    assert messages(answer) == ["Missing data for required field."]
    answer = site.post("screens/new/", {"name": "New", "rows": "A 4", "cinema": "abc"})
    assert messages(answer) == ["Choose one."]
    assert len(rows(Screen)) == 1


def test_a_screen_without_a_plan_keeps_its_name_editable(site: Site, make_show: Any) -> None:
    """One that was made by the short form of a show."""
    make_show()
    only = rows(Screen)[0]
    assert (
        site.post("screens/edit/", {"name": "New", "rows": ""}, {"id": only.id}).status_code == 302
    )
    assert (rows(Screen)[0].name, rows(Screen)[0].rows) == ("New", [])


@pytest.mark.usefixtures("in_2030")
def test_a_show_begins_by_the_clocks_of_its_cinema(
    site: Site, staff: Caller, screen: int, make_movie: Callable[..., int]
) -> None:
    form = {
        "movie": str(make_movie()),
        "screen": str(screen),
        "date_time": "2030-07-01T20:00",
        "price": "9.50",
        "prices": "standard: 12.50\n",
        "on_sale": "y",
    }
    assert site.post("shows/new/", form).status_code == 302
    (show,) = staff.get("/api/shows/").json
    assert show["date_time"] == "2030-07-01T18:00:00Z"
    assert (show["price"], show["prices"]) == ("9.50", {"standard": "12.50"})
    page = site.get("shows/edit/", id=show["id"])
    assert 'value="2030-07-01T20:00"' in page.text
    assert table(site.get("shows/"))[0][:6] == [
        "The Third Man",
        "Gartenbau",
        "Saal",
        "2030-07-01 20:00 CEST",
        "4",
        "9.50",
    ]

    again = site.post("shows/new/", form | {"date_time": "2030-07-01T21:00"})
    assert again.status_code == 409
    assert messages(again) == [
        f"Show {show['id']} is on Saal from 2030-07-01 20:00 CEST to 2030-07-01 21:44 CEST."
    ]
    for wrong, error in (
        ({"date_time": "2031-03-30T02:30"}, "There is no 02:30 on 2031-03-30"),
        ({"date_time": "tomorrow"}, "Must be a day and a time"),
        ({"date_time": "٢٠٣٠-01-01T00:00"}, "Must be a day and a time"),
        ({"date_time": "2031-1-1T1:1"}, "Must be a day and a time"),
        ({"date_time": "9999-12-31T23:59"}, "Must lie within the next ten years."),
        ({"date_time": "0001-01-01T00:00"}, "Is too far away."),
        ({"price": ""}, "Give an amount, such as 9.50; what is free costs 0."),
        ({"date_time": "2000-01-01T20:00"}, "Must lie ahead"),
        ({"date_time": ""}, "Missing data"),
        ({"movie": ""}, "Choose one."),
        ({"movie": "9" * 18}, "There is no film"),
        ({"screen": ""}, "Choose one."),
        ({"screen": "9" * 18}, "There is no screen"),
        ({"prices": "vip: 3"}, "No seat is &#39;vip&#39;"),
        ({"prices": "vip"}, "Give a category and its price"),
        ({"prices": "vip: 1\nstandard: 2\nvip: 3"}, "There are two prices of vip."),
        ({"prices": "9999-99-99T99:99:99Z: 5"}, "9999-99-99T99:99:99Z"),
        ({"prices": "standard: x"}, "standard: Must be a decimal string"),
        ({"price": "1e3"}, "Must be a decimal string"),
    ):
        answer = site.post("shows/new/", form | {"date_time": "2030-07-02T20:00"} | wrong)
        assert answer.status_code in (404, 422), wrong
        assert error in answer.text, wrong
    assert len(rows(Show)) == 1


def test_saving_a_show_anew_does_not_move_it(
    site: Site, alice: Caller, make_show: Callable[..., int]
) -> None:
    """Its time may have seconds, which the form does not show; with seats sold it can't move."""
    show = make_show(starts_in=timedelta(days=2, seconds=7))
    alice.post(f"/api/shows/{show}/book/", {"seat_number": 1})
    page = site.get("shows/edit/", id=show)
    local = re.search(r'value="(20[^"]*T[^"]*)"', page.text)
    assert local is not None
    form = {"date_time": local[1], "price": "11.00", "on_sale": "y", "no_single_gaps": "y"}
    starts = rows(Show)[0].starts_at
    assert site.post("shows/edit/", form, {"id": show}).status_code == 302
    assert (rows(Show)[0].starts_at, rows(Show)[0].price_cents) == (starts, 1100)


def test_a_form_that_is_out_of_date_overwrites_nothing_unasked(
    site: Site, staff: Caller, alice: Caller, make_movie: Callable[..., int]
) -> None:
    movie = make_movie()
    form = {"title": "Mine", "duration_minutes": "90"}
    for path, key, changed, typed in (
        ("films/edit/", movie, (f"/api/movies/{movie}/", {"year": 1949}), form),
        ("accounts/edit/", alice.id, (f"/api/accounts/{alice.id}/", {"is_disabled": True}), {}),
    ):
        page = site.get(path, id=key)
        seen = re.search(r'name="seen" value="(\w+)"', page.text)
        assert seen is not None
        assert staff.patch(*changed).status_code == 200  # a colleague
        events = len(rows(AuditEvent))
        answer = site.post(path, {**typed, "seen": seen[1]}, {"id": key})
        assert answer.status_code == 409
        assert messages(answer) == [
            "Somebody changed this meanwhile. Save again to overwrite that."
        ]
        assert len(rows(AuditEvent)) == events
        now = re.search(r'name="seen" value="(\w+)"', answer.text)
        assert now is not None
        assert site.post(path, {**typed, "seen": now[1]}, {"id": key}).status_code == 302
        assert len(rows(AuditEvent)) == events + 1


def test_a_show_of_a_withdrawn_film_stays_as_it_is(site: Site, staff: Caller, show_id: int) -> None:
    """Its own flag is shown, not whether its film is on sale too."""
    show = staff.get(f"/api/shows/{show_id}/").json
    staff.patch(f"/api/movies/{show['movie']}/", {"on_sale": False})
    assert 'name="on_sale" type="checkbox" value="y"' in site.get("shows/edit/", id=show_id).text
    form = {"date_time": show["date_time"][:16], "price": "8.00", "on_sale": "y"}
    assert site.post("shows/edit/", form, {"id": show_id}).status_code == 302
    assert rows(Show)[0].on_sale is True
    staff.patch(f"/api/shows/{show_id}/", {"on_sale": False})
    assert re.search(r'<input[^>]*name="on_sale"[^>]*>', site.get("shows/edit/", id=show_id).text)
    assert (
        "checked"
        not in re.findall(
            r'<input[^>]*name="on_sale"[^>]*>', site.get("shows/edit/", id=show_id).text
        )[0]
    )


def test_a_show_moves_to_screens_that_are_there_only(
    site: Site, staff: Caller, show_id: int
) -> None:
    show = staff.get(f"/api/shows/{show_id}/").json
    staff.post("/api/screens/", {"name": "Two", "rows": PLAN})
    form = {"date_time": show["date_time"][:16], "price": "8.00", "on_sale": "y"}
    answer = site.post("shows/edit/", {**form, "screen_name": "Three"}, {"id": show_id})
    assert messages(answer) == ["There is no such screen in this cinema."]
    assert len(rows(Screen)) == 2
    site.post("shows/edit/", {**form, "screen_name": "Two"}, {"id": show_id})
    assert staff.get(f"/api/shows/{show_id}/").json["screen_name"] == "Two"


# --- many shows -----------------------------------------------------------------------------


def many(movie: int, screen: int, **more: Any) -> dict[str, Any]:
    """Friday to Sunday, at two times."""
    return {
        "movie": str(movie),
        "screen": str(screen),
        "first_day": "2030-06-03",
        "last_day": "2030-06-09",
        "weekdays": ["4", "5", "6"],
        "times": "20:15, 17:00",
        "price": "9.50",
        "on_sale": "y",
        **more,
    }


@pytest.mark.usefixtures("in_2030")
def test_many_shows_are_made_at_once(
    site: Site, staff: Caller, screen: int, make_movie: Callable[..., int]
) -> None:
    form = many(make_movie(), screen)
    looked = site.post("shows/many/", form | {"check": "1"})
    assert looked.status_code == 200
    planned = [
        [f"2030-06-0{day} {hour} CEST", "nothing"]
        for day in (7, 8, 9)
        for hour in ("17:00", "20:15")
    ]
    assert table(looked) == planned
    assert "Make them all" in looked.text
    assert rows(Show) == []
    assert written("show.created") == []

    checked = checked_in(looked)
    # What was not listed is not made, whatever button is pressed: neither another plan,
    for changed in ({"times": "21:00"}, {"price": "9.51"}, {"on_sale": ""}, {"checked": "x"}):
        form_now = {**form, "checked": checked, "make": "1", **changed}
        assert site.post("shows/many/", form_now).status_code == 200
    # nor what was in the way when it was listed, and is not any more.
    at = instant(date(2030, 6, 7), time(16, 0), VIENNA)
    other = show_writes.create_show(movie_id=int(form["movie"]), screen=screen, date_time=at)["id"]
    some = checked_in(site.post("shows/many/", form | {"check": "1"}))
    show_writes.delete_show(show_id=other)
    again = site.post("shows/many/", form | {"make": "1", "checked": some})
    assert again.status_code == 200
    assert checked_in(again) == checked
    assert rows(Show) == []
    answer = site.post("shows/many/", form | {"make": "1", "checked": checked})
    assert answer.headers["Location"] == "/admin/shows/"
    assert messages(site.get("shows/")) == ["6 shows made."]
    shows = staff.get("/api/shows/").json
    assert [show["date_time"][5:16] for show in shows] == [
        f"06-0{day}T{hour}" for day in (7, 8, 9) for hour in ("15:00", "18:15")
    ]
    events = written("show.created")[1:]
    assert [event.object_id for event in events] == [show["id"] for show in shows]
    assert {event.actor_name for event in events} == {"staff"}
    assert len(rows(ShowSeat)) == 6 * 4


@pytest.mark.usefixtures("in_2030")
def test_clashes_are_listed_before_anything_is_written(
    site: Site, staff: Caller, screen: int, make_movie: Callable[..., int]
) -> None:
    film = make_movie()
    at = instant(date(2030, 6, 8), time(21, 0), VIENNA)
    other = show_writes.create_show(movie_id=film, screen=screen, date_time=at)
    # The third of the day would run into the second, as well as into what is there.
    form = many(film, screen, times="17:00, 20:15, 21:00")
    answer = site.post("shows/many/", form | {"check": "1"})
    checked = checked_in(answer)
    assert answer.status_code == 200
    in_the_way = {row[0]: row[1] for row in table(answer) if row[1] != "nothing"}
    clash = f"Show {other['id']} is on Saal from 2030-06-08 21:00 CEST to 2030-06-08 22:44 CEST."
    assert in_the_way == {
        "2030-06-07 21:00 CEST": "Overlaps the one at 2030-06-07 20:15 CEST.",
        "2030-06-08 20:15 CEST": clash,
        "2030-06-08 21:00 CEST": clash,
        "2030-06-09 21:00 CEST": "Overlaps the one at 2030-06-09 20:15 CEST.",
    }
    assert "Shows: 9; with something in the way: 4" in answer.text
    assert len(rows(Show)) == 1
    assert len(written("show.created")) == 1
    assert "Make the other 5" in answer.text
    answer = site.post("shows/many/", form | {"make": "1", "checked": checked})
    assert answer.status_code == 303
    assert len(rows(Show)) == 6


def checked_in(answer: Any) -> str:
    """What the page was made of."""
    found = re.search(r'name="checked" value="(\w+)"', answer.text)
    assert found is not None
    return found[1]


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"times": ""}, "Give a time, such as 20:15."),
        ({"times": "25:00"}, "Must be a time of day such as 14:00."),
        ({"first_day": ""}, "Must be a day such as 2030-01-31."),
        ({"first_day": "x"}, "Must be a day such as 2030-01-31."),
        ({"last_day": "2030-06-02"}, "Must not be before the first day, nor a year after it."),
        ({"last_day": "2031-06-05"}, "Must not be before the first day, nor a year after it."),
        ({"last_day": "2030-06-04"}, "None of these days lies between the first and the last."),
        ({"weekdays": []}, "None of these days lies between the first and the last."),
        ({"weekdays": ["9"]}, "None of these days lies between the first and the last."),
        (
            {"first_day": "2031-03-30", "last_day": "2031-03-30", "times": "02:30"},
            "There is no 02:30 on 2031-03-30 in Europe/Vienna: the clocks go forward.",
        ),
        (
            {"last_day": "2030-09-30", "times": ",".join(f"{h:02}:00" for h in range(24))},
            "At most 200 shows can be made at once.",
        ),
        ({"price": "-1"}, "Must be a decimal string"),
        ({"price": ""}, "Give an amount, such as 9.50; what is free costs 0."),
        ({"first_day": "٢٠٣٠-06-03"}, "Must be a day such as 2030-01-31."),
        ({"movie": ""}, "Choose one."),
        ({"screen": "77"}, "There is no screen 77."),
        ({"prices": "vip: 1"}, "No seat is"),
        ({"first_day": "9999-12-30", "last_day": "9999-12-31"}, ""),  # said of each show
        ({"screen": "abc"}, "Choose one."),
    ],
)
def test_many_shows_that_cannot_be_are_none(
    site: Site,
    screen: int,
    make_movie: Callable[..., int],
    wrong: dict[str, Any],
    error: str,
) -> None:
    form = many(make_movie(), screen) | wrong
    answer = site.post("shows/many/", form | {"check": "1"})
    if answer.status_code == 200:
        form["checked"] = checked_in(answer)
    else:
        assert answer.status_code == 422
    answer = site.post("shows/many/", form | {"make": "1"})
    if error:
        assert any(error in message for message in messages(answer))
    assert rows(Show) == []


def test_shows_made_at_once_are_all_there_or_none(
    app: Flask, screen: int, make_movie: Callable[..., int]
) -> None:
    """Also the seats and the audit, and whatever the order in which they are named."""
    times = [NOON + timedelta(days=day) for day in (3, 1, 2)]
    values: dict[str, Any] = {"movie_id": make_movie(), "screen": screen, "now": NOON}
    planned = show_writes.create_shows(date_times=[*times, NOON - timedelta(1)], **values)
    assert [one.error is None for one in planned] == [True, True, True, False]
    assert (rows(Show), rows(ShowSeat), written("show.created")) == ([], [], [])
    assert all(one.error is None for one in show_writes.create_shows(date_times=times, **values))
    assert len(rows(Show)) == 3


def test_looking_writes_no_seats_and_a_house_full_is_bounded(
    site: Site, make_movie: Callable[..., int], screen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = many(make_movie(), screen, check="1")
    with counted() as statements:
        assert site.post("shows/many/", form).status_code == 200
    assert not [one for one in statements if "INSERT INTO show_seat" in one]
    monkeypatch.setattr(show_writes, "SEATS_AT_ONCE", 23)
    answer = site.post("shows/many/", form)
    assert answer.status_code == 422
    assert messages(answer) == ["These shows have 24 seats in all; at most 23 can be made at once."]


# --- seats and bookings ---------------------------------------------------------------------


def test_staff_book_for_a_customer_from_the_map(
    site: Site, staff: Caller, alice: Caller, bob: Caller, show_id: int
) -> None:
    theirs = bob.post(f"/api/shows/{show_id}/book/", {"seat_number": 2}).json
    page = site.get(f"shows/{show_id}/seats/")
    assert page.text.count('type="checkbox"') == 9
    assert f'href="/admin/bookings/{theirs["id"]}/"' in page.text

    assert "2, standard, 9.50 EUR, booked, by bob" in page.text
    form = {"username": " ALICE ", "seat_numbers": ["3", "4"]}
    answer = site.post(f"shows/{show_id}/seats/", form)
    (booking,) = alice.get("/api/my-bookings/").json
    assert answer.headers["Location"] == f"/admin/bookings/{booking['id']}/"
    assert (booking["seat_numbers"], booking["total"]) == (["3", "4"], "19.00")
    (event,) = written("booking.created")
    assert told(event) == (
        "booking.created",
        "staff",
        "127.0.0.1",
        None,
        {"user_id": alice.id, "show_id": show_id, "seat_numbers": ["3", "4"]},
    )
    assert event.object_id == booking["id"]

    for wrong, status, error in (
        ({"seat_numbers": ["2", "5"]}, 409, "2"),
        ({"seat_numbers": []}, 422, "Choose a seat."),
        ({"seat_numbers": ["99"]}, 422, "The show has no seat 99"),
        ({"seat_numbers": [str(n) for n in range(1, 12)]}, 422, "1 to 10 seats"),
        ({"username": "nobody"}, 422, "There is no account"),
        ({"username": ""}, 422, "Missing data for required field."),
        ({"username": "a\x00b"}, 422, "Must not contain control characters."),
        ({"username": "a" * 5000}, 422, "Must have at most 150 characters."),
    ):
        answer = site.post(f"shows/{show_id}/seats/", form | {"seat_numbers": ["5"]} | wrong)
        assert answer.status_code == status, wrong
        assert any(error in message for message in messages(answer)), wrong
    accounts.update_account(user_id=alice.id, is_disabled=True, by=OPERATOR)
    answer = site.post(f"shows/{show_id}/seats/", form | {"seat_numbers": ["5"]})
    assert (answer.status_code, messages(answer)) == (403, ["The account 'alice' is disabled."])
    assert len(rows(Booking)) == 2
    assert len(written("booking.created")) == 1


def test_a_refused_booking_leaves_the_chosen_seats_chosen(
    site: Site, alice: Caller, show_id: int
) -> None:
    answer = site.post(
        f"shows/{show_id}/seats/", {"username": "nobody", "seat_numbers": ["5", "7"]}
    )
    assert re.findall(r'value="(\d+)"[^>]*checked', answer.text) == ["5", "7"]
    assert 'value="nobody"' in answer.text


def test_staff_cancel_for_a_customer(
    site: Site, alice: Caller, make_show: Callable[..., int], show_id: int
) -> None:
    made = alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["1", "2", "3"]}).json
    path = f"bookings/{made['id']}/"
    assert site.get(path).text.count('type="checkbox"') == 3
    assert site.post(path, {"seat_numbers": ["2"]}).status_code == 303
    assert messages(site.get(path)) == ["Cancelled."]
    assert alice.get(f"/api/bookings/{made['id']}/").json["cancelled_seat_numbers"] == ["2"]
    assert site.post(path).status_code == 422  # nothing chosen is not everything
    assert site.post(path, {"whole": "1"}).status_code == 303
    assert messages(site.get(path)) == ["Cancelled."]
    assert alice.get(f"/api/bookings/{made['id']}/").json["status"] == "cancelled"
    answer = site.post(path, {"seat_numbers": ["1"]})
    assert (answer.status_code, messages(answer)) == (409, ["This booking is cancelled already."])
    assert [event.after["seat_numbers"] for event in written("booking.cancelled")] == [
        ["2"],
        ["1", "3"],
    ]
    assert all(event.actor_name == "staff" for event in written("booking.cancelled"))
    assert site.get("bookings/999/").status_code == 404


def test_what_customers_do_themselves_is_not_in_the_audit(alice: Caller, show_id: int) -> None:
    made = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).json
    alice.post(f"/api/bookings/{made['id']}/cancel/")
    assert [row for row in rows(AuditEvent) if row.object_type == "booking"] == []


# --- accounts -------------------------------------------------------------------------------


def test_accounts_are_disabled_and_made_staff_but_never_ones_own(
    site: Site, staff: Caller, alice: Caller
) -> None:
    assert site.post("accounts/edit/", {"is_staff": "y"}, {"id": alice.id}).status_code == 302
    assert accounts.get_account(user_id=alice.id).is_staff
    site.post("accounts/edit/", {"is_disabled": "y"}, {"id": alice.id})
    account = accounts.get_account(user_id=alice.id)
    assert (account.is_staff, account.is_disabled) == (False, True)
    assert alice.get("/api/me/").status_code == 401
    assert len(written("account.changed")) == 2
    assert messages(site.get("accounts/")) == ["Record was successfully saved."] * 2
    answer = site.post("accounts/edit/", {}, {"id": staff.id})
    assert answer.status_code == 409
    assert messages(answer) == ["Another member of staff must change your account."]
    assert accounts.get_account(user_id=staff.id).is_staff


# --- lists ----------------------------------------------------------------------------------


def titles(answer: Any) -> list[str]:
    return [row[0] for row in table(answer)]


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
    assert titles(site.get("films/", search="0%")) == ["100% ÄRGER"]
    assert titles(site.get("films/", search="1_0")) == []
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
        "'@SUM(A1)",
        "Plain, with a comma",
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
    for path, most in ((f"shows/edit/?id={show_id}", 4), (f"shows/{show_id}/seats/", 6)):
        with counted() as statements:
            assert site.get(path).status_code == 200
        assert len(statements) <= most, statements


# --- reports --------------------------------------------------------------------------------


def test_the_coming_shows_with_their_occupancy(site: Site, alice: Caller, show_id: int) -> None:
    alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["1", "2"]})
    alice.post(f"/api/shows/{show_id}/hold/", {"seat_number": 3})
    (row,) = table(site.get())
    assert row[4:] == ["10", "2", "1", "20.0 %", "19.00"]
    assert site.get("", page="0").status_code == 422
    assert site.get("", page="9").status_code == 200


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize("by", ["day", "movie", "screen", "category"])
def test_sales_are_a_table_plots_and_a_file(
    site: Site, staff: Caller, alice: Caller, make_show: Callable[..., int], by: str
) -> None:
    show = make_show()
    alice.post(f"/api/shows/{show}/book/", {"seat_numbers": ["1", "2", "3"]})
    period = {"since": "2030-01-01", "until": "2030-01-06", "by": by}
    page = site.get("sales/", **period)
    assert page.status_code == 200
    (row,) = table(page)
    assert row[1:] == ["1", "10", "3", "30.0 %", "28.50"]
    assert page.text.count("<figure ") == 2
    assert "28.50</title>" in page.text
    assert "30.0 %</title>" in page.text
    link = re.search(r'href="(/admin/sales/export/csv/[^"]*)"', page.text)
    assert link is not None
    over_api = staff.get("/api/reports/sales/", query_string=period, headers={"Accept": "text/csv"})
    assert site.get(link[1].replace("&amp;", "&")).text == "\ufeff" + over_api.text


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
    assert re.findall(r"<title>(\w+): [0-9.]+</title>", page.text) == ["Rich", "Middling", "Poor"]
    assert titles(page) == ["Middling", "Poor", "Rich"]
    days = site.get("sales/", by="day", **period)
    assert len(re.findall(r"<title>[-0-9]+: [0-9.]+</title>", days.text)) == 7
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
    st.sampled_from(["1", "y", "", "9.50", "vip: 1", "20:00, 9:00", "A 5\nB 6 gaps=1", "A 5000"]),
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
        names |= {"check", "make", "checked", "whole", "page", "sort", "url", "id"}

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
