"""Defects of shows that were found, each by its right behaviour."""

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from flask import Flask

from booking_app.catalog import (
    catalog_export,
    file_schemas,
    movies,
    show_queries,
    show_rules,
    shows,
    venues,
    week_copies,
)
from booking_app.catalog.models import Screen
from booking_app.core.database import writes
from booking_app.core.errors import Invalid
from tests.conftest import NOON, rows

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DAY = NOON + timedelta(days=1)
ROWS = [{"label": "A", "seats": 4}]


@pytest.fixture
def hall(app: Flask) -> dict[str, int]:
    cinema = venues.create_cinema(name="Kino", timezone="UTC")["id"]
    return {"cinema": cinema, "screen": venues.create_screen(name="1", rows=ROWS, cinema=cinema).id}


def put(hall: dict[str, int], movie_id: int, at: datetime, **terms: object) -> int:
    made = shows.create_show(
        movie_id=movie_id, screen=hall["screen"], date_time=at, now=NOON, **terms
    )
    return int(made["id"])


def test_a_week_of_shows_with_external_ids_can_be_copied(
    hall: dict[str, int], make_movie: Callable[..., int]
) -> None:
    put(hall, make_movie(), DAY, external_id="s1", price=Decimal("9.50"))
    (copy,) = week_copies.copy_week(
        cinema_id=hall["cinema"],
        first_day=DAY.date(),
        to_first_day=DAY.date() + timedelta(days=7),
        now=NOON,
    )
    assert copy.error is None
    copied = show_queries.list_shows(page=1, page_size=9, now=NOON).items[1]
    assert (copied.starts_at, copied.price_cents) == (DAY + timedelta(days=7), 950)


def test_a_copy_stays_in_its_hall_also_where_that_has_no_plan(
    hall: dict[str, int], make_show: Callable[..., int]
) -> None:
    """It went to the default cinema, and made a hall there."""
    show = make_show(now=NOON, starts_in=timedelta(days=1))
    bare = writes(venues.insert_screen)(hall["cinema"], "Bare", ())
    shows.update_show(show_id=show, screen=bare, total_seats=7, now=NOON)
    before = len(rows(Screen))
    week_copies.copy_week(
        cinema_id=hall["cinema"],
        first_day=DAY.date(),
        to_first_day=DAY.date() + timedelta(days=7),
        now=NOON,
    )
    copied = show_queries.list_shows(page=1, page_size=9, now=NOON).items[1]
    assert (copied.screen_id, copied.total_seats) == (bare, 7)
    assert len(rows(Screen)) == before


def test_a_longer_film_that_follows_itself_is_told_which_show_comes_next(
    hall: dict[str, int], make_movie: Callable[..., int]
) -> None:
    film = make_movie("Twice", 120)
    first, second = put(hall, film, DAY), put(hall, film, DAY + 2 * HOUR)
    with pytest.raises(show_rules.ShowOverlap) as clash:
        movies.update_movie(movie_id=film, duration_minutes=121, now=NOON)
    assert f"show {first} at" in clash.value.detail
    assert "too long by 1 min" in clash.value.detail
    assert "at most 120 minutes" in clash.value.detail
    assert clash.value.facts["show"] == second


def test_a_film_can_become_shorter_whatever_the_turnaround_is_now(
    hall: dict[str, int], make_movie: Callable[..., int]
) -> None:
    film = make_movie("Twice", 120)
    show = put(hall, film, DAY)
    put(hall, film, DAY + 2 * HOUR)
    venues.update_screen(screen_id=hall["screen"], turnaround_minutes=15, now=NOON)
    movies.update_movie(movie_id=film, duration_minutes=110, now=NOON)
    assert show_queries.get_show(show_id=show)["ends_at"] == DAY + 110 * MINUTE


def test_a_sale_ends_with_a_show_that_becomes_shorter(
    hall: dict[str, int], make_movie: Callable[..., int]
) -> None:
    film = make_movie("Long", 180)
    show = put(hall, film, DAY, sales_until=DAY + 170 * MINUTE)
    movies.update_movie(movie_id=film, duration_minutes=60, now=NOON)
    assert show_queries.get_show(show_id=show)["sales_until"] == DAY + HOUR


def test_a_time_zone_in_which_a_show_would_have_begun_is_refused(
    hall: dict[str, int], make_movie: Callable[..., int]
) -> None:
    show = put(hall, make_movie(), NOON + 4 * HOUR)
    change = {"cinema_id": hall["cinema"], "timezone": "Pacific/Kiritimati", "now": NOON}
    with pytest.raises(Invalid, match=f"Show {show} would have begun already"):
        venues.update_cinema(**change)
    assert venues.get_cinema(cinema_id=hall["cinema"])["timezone"] == "UTC"


def test_a_film_with_a_release_date_is_exported(app: Flask) -> None:
    movies.create_movie(title="Dated", duration_minutes=90, release_date=date(2000, 1, 31))
    written = json.loads(catalog_export.written(catalog_export.export_catalog(currency="EUR")))
    assert written["movies"][0]["release_date"] == "2000-01-31"


def test_a_file_that_says_something_twice_is_refused() -> None:
    with pytest.raises(file_schemas.Unreadable, match="has 'movies' twice"):
        file_schemas.read(b'{"movies": [], "movies": []}')


def test_the_demo_loads_whatever_the_currency_of_the_house_is(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "CURRENCY", "JPY")
    done = app.test_cli_runner().invoke(args=["load-demo"])
    assert done.exit_code == 0, done.output
    assert {show.currency for show in show_queries.list_shows(page=1, page_size=9).items} == {"EUR"}
