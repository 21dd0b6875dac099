"""Clocks on the pages: shows over the day on which they change, and cinemas."""

import re
from collections.abc import Callable

import pytest

from booking_app.catalog import venues
from booking_app.catalog.models import Cinema, Show
from tests.admin.test_many_shows_and_seats import checked_in, many
from tests.admin_site import Site, messages, table
from tests.conftest import Caller, rows

pytestmark = pytest.mark.usefixtures("in_2030")


def test_a_time_that_does_not_exist_is_one_thing_in_the_way(
    site: Site, screen: int, make_movie: Callable[..., int]
) -> None:
    """In the night to Sunday, 31 March, the clocks of Vienna go from 02:00 to 03:00."""
    days = {"first_day": "2030-03-30", "last_day": "2030-04-01", "weekdays": ["5", "6", "0"]}
    form = many(make_movie(), screen, **days, times="02:30, 20:15")
    looked = site.post("shows/many/", form | {"check": "1"})
    error = (
        "There is no 02:30 on 2030-03-31 in Europe/Vienna: the clocks go forward from 02:00 to "
        "03:00."
    )
    assert table(looked) == [
        ["2030-03-31 02:30", error],
        ["2030-03-30 02:30 CET", "nothing"],
        ["2030-03-30 20:15 CET", "nothing"],
        ["2030-03-31 20:15 CEST", "nothing"],
        ["2030-04-01 02:30 CEST", "nothing"],
        ["2030-04-01 20:15 CEST", "nothing"],
    ]
    assert "Shows: 6; with something in the way: 1" in looked.text
    assert "Make the other 5" in looked.text
    made = site.post("shows/many/", form | {"make": "1", "checked": checked_in(looked)})
    assert made.status_code == 303
    assert [f"{show.starts_at:%d %H:%M}" for show in rows(Show)] == [
        *("30 01:30", "30 19:15", "31 18:15", "01 00:30", "01 18:15")
    ]


def test_where_no_time_exists_there_is_nothing_to_make(
    site: Site, screen: int, make_movie: Callable[..., int]
) -> None:
    days = {"first_day": "2030-03-31", "last_day": "2030-03-31"}
    form = many(make_movie(), screen, **days, times="02:00, 02:59")
    looked = site.post("shows/many/", form | {"check": "1"})
    assert (looked.status_code, len(table(looked))) == (200, 2)
    assert 'name="make"' not in looked.text


def test_of_a_time_that_is_shown_twice_the_first_is_made(
    site: Site, screen: int, make_movie: Callable[..., int]
) -> None:
    days = {"first_day": "2030-10-27", "last_day": "2030-10-27"}
    form = many(make_movie(), screen, **days, times="02:30")
    assert table(site.post("shows/many/", form | {"check": "1"})) == [
        ["2030-10-27 02:30 CEST", "nothing"]
    ]
    one = {**form, "date_time": "2030-10-27T02:30+01:00"}  # unless an offset says otherwise
    assert site.post("shows/new/", one).status_code == 302
    assert f"{rows(Show)[0].starts_at:%d %H:%M}" == "27 01:30"


def test_the_days_of_many_shows_are_business_days(
    site: Site, screen: int, make_movie: Callable[..., int]
) -> None:
    """The show at 01:45 of Friday is in the night to Saturday, and the lists say Friday."""
    cinema = rows(Cinema)[0].id
    venues.update_cinema(cinema_id=cinema, day_starts_at="06:00")
    days = {"first_day": "2030-06-07", "last_day": "2030-06-07"}
    form = many(make_movie(), screen, **days, times="20:15, 01:45")
    looked = site.post("shows/many/", form | {"check": "1"})
    assert [row[0] for row in table(looked)] == ["2030-06-07 20:15 CEST", "2030-06-08 01:45 CEST"]
    site.post("shows/many/", form | {"make": "1", "checked": checked_in(looked)})
    assert {str(show.local_date) for show in rows(Show)} == {"2030-06-07"}
    # Both are in the list of that day, and none in that of the next.
    assert len(table(site.get("shows/", flt_from="2030-06-07", flt_to="2030-06-07"))) == 2
    assert table(site.get("shows/", flt_from="2030-06-08", flt_to="2030-06-08")) == []


def test_a_cinema_and_its_clocks(site: Site, staff: Caller) -> None:
    form = {"name": "Nacht", "timezone": "Europe/Vienna", "day_starts_at": "06:00"}
    assert site.post("cinemas/new/", form).status_code == 302
    (cinema,) = rows(Cinema)
    assert cinema.day_starts_at == "06:00"
    assert 'value="06:00"' in site.get("cinemas/edit/", id=cinema.id).text
    path = f"cinemas/edit/?id={cinema.id}"
    assert site.post(path, form | {"day_starts_at": ""}).status_code == 422
    wrong = site.post(path, form | {"day_starts_at": "18:00"})
    assert messages(wrong) == ["Must be a time of day from 00:00 to 12:00, such as 06:00."]
    assert site.post(path, form | {"day_starts_at": "05:00"}).status_code == 302
    assert rows(Cinema)[0].day_starts_at == "05:00"
    assert 'value="00:00"' in site.get("cinemas/new/").text


def test_a_time_zone_that_cannot_change_says_which_show_is_sold(
    site: Site, staff: Caller, alice: Caller, screen: int, make_movie: Callable[..., int]
) -> None:
    body = {"screen": screen, "date_time": "2030-06-02T17:00:00Z"}
    show = staff.post(f"/api/movies/{make_movie()}/shows/", body).json["id"]
    alice.post(f"/api/shows/{show}/book/", {"seat_number": "A1"})
    (cinema,) = rows(Cinema)
    form = {"name": cinema.name, "timezone": "Europe/Kyiv", "day_starts_at": "00:00"}
    refused = site.post(f"cinemas/edit/?id={cinema.id}", form)
    assert refused.status_code == 409
    link = f'<a href="/admin/shows/{show}/seats/">show {show}</a>'
    (message,) = messages(refused)
    assert f"{link} at 2030-06-02 19:00 CEST" in message


def test_a_running_time_that_is_too_long_links_to_the_shows(
    site: Site, staff: Caller, screen: int, make_movie: Callable[..., int]
) -> None:
    film = make_movie(duration_minutes=60)
    first, second = (
        staff.post(
            f"/api/movies/{film}/shows/", {"screen": screen, "date_time": f"2030-06-02T{at}:00:00Z"}
        ).json["id"]
        for at in (17, 18)
    )
    form = {"title": "Film", "duration_minutes": "61", "on_sale": "y"}
    refused = site.post(f"films/edit/?id={film}", form)
    assert refused.status_code == 409
    (message,) = messages(refused)
    # Its times are by the clocks of the cinema, though the form is of a film.
    for show, at in ((first, "19:00"), (second, "20:00")):
        link = f'<a href="/admin/shows/{show}/seats/">show {show}</a>'
        assert re.search(f"{link} (at|begins at) 2030-06-02 {at} CEST", message)
