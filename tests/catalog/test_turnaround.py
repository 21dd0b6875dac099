"""The minutes between two shows on a screen."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask import Flask

from booking_app.catalog import movies, show_queries, show_rules, shows, venues
from tests.conftest import NOON, Caller
from tests.migrating import release_before_may_serve

ROWS = [{"label": "A", "seats": 4}]
MINUTE = timedelta(minutes=1)
FILM = 100 * MINUTE
DAY = NOON + timedelta(days=1)


@pytest.fixture
def hall(app: Flask) -> int:
    return venues.create_screen(name="Saal", rows=ROWS, turnaround_minutes=15).id


@pytest.fixture
def put(hall: int, make_movie: Callable[..., int]) -> Callable[[datetime], int]:
    """Puts a film of 100 minutes on the screen."""
    film = make_movie("Film", 100)
    return lambda at: int(
        shows.create_show(movie_id=film, screen=hall, date_time=at, now=NOON)["id"]
    )


@pytest.mark.parametrize("after", [False, True])
def test_so_many_minutes_lie_between_two_shows(put: Callable[[datetime], int], after: bool) -> None:
    put(DAY)
    apart = FILM + 15 * MINUTE
    with pytest.raises(show_rules.ShowOverlap, match="15 minutes must lie between shows"):
        put(DAY + (apart - MINUTE if after else MINUTE - apart))
    put(DAY + (apart if after else -apart))


def test_the_end_of_a_show_does_not_count_them(put: Callable[[datetime], int]) -> None:
    assert show_queries.get_show(show_id=put(DAY))["ends_at"] == DAY + FILM


def test_they_count_where_a_film_or_a_show_becomes_longer(put: Callable[[datetime], int]) -> None:
    first = put(DAY)
    put(DAY + FILM + 20 * MINUTE)
    film = show_queries.get_show(show_id=first)["movie_id"]
    movies.update_movie(movie_id=film, duration_minutes=105, now=NOON)
    with pytest.raises(show_rules.ShowOverlap):
        movies.update_movie(movie_id=film, duration_minutes=106, now=NOON)
    with pytest.raises(show_rules.ShowOverlap):
        shows.update_show(show_id=first, intermission_minutes=1, now=NOON)


def test_they_can_be_changed(hall: int, put: Callable[[datetime], int], staff: Caller) -> None:
    """Shows that are there stay, however close."""
    path = f"/api/screens/{hall}/"
    put(DAY)
    assert staff.patch(path, {"turnaround_minutes": 0}).json["turnaround_minutes"] == 0
    put(DAY + FILM)
    assert staff.patch(path, {"turnaround_minutes": 30}).json["turnaround_minutes"] == 30
    assert staff.patch(path, {"name": "Großer Saal"}).json["turnaround_minutes"] == 30
    assert staff.patch(path, {"turnaround_minutes": 241}).status_code == 422
    with release_before_may_serve(), pytest.raises(show_rules.UpgradeUnfinished):
        venues.update_screen(screen_id=hall, turnaround_minutes=5)
