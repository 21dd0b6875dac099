"""A film's running time, and the shows that it is too long for."""

from datetime import timedelta

import pytest
from flask import Flask

from booking_app.catalog import movies, shows, venues
from booking_app.catalog.models import DURATION_MAX_MINUTES, Movie, Show
from booking_app.catalog.show_rules import ShowOverlap
from booking_app.core.formats import iso
from tests.conftest import NOON, Caller, rows
from tests.wrong import wrong

PLAN = [{"label": "A", "seats": 4}]


@pytest.fixture
def screen(app: Flask) -> int:
    return int(venues.create_screen(name="Saal", rows=PLAN).id)


def test_a_film_lasts_a_day_at_most(staff: Caller) -> None:
    assert DURATION_MAX_MINUTES == 24 * 60
    made = staff.post("/api/movies/", {"title": "Shoah", "duration_minutes": 24 * 60})
    assert made.status_code == 201
    path = f"/api/movies/{made.json['id']}/"
    refused = staff.patch(path, {"duration_minutes": 24 * 60 + 1})
    assert refused.status_code == 422
    assert list(wrong(refused)) == ["/duration_minutes"]


def test_a_running_time_that_is_too_long_is_told_with_what_to_do(app: Flask, screen: int) -> None:
    """Back to back, at 20:00 and 21:00, the next evening with five minutes between."""
    film, other = (movies.create_movie(title=t, duration_minutes=60)["id"] for t in ("A", "B"))
    evening = NOON + timedelta(hours=8)
    ids = []
    for days, minutes in ((0, 60), (1, 65)):
        for which, at in ((film, timedelta(0)), (other, timedelta(minutes=minutes))):
            date_time = evening + timedelta(days=days) + at
            made = shows.create_show(movie_id=which, screen=screen, date_time=date_time, now=NOON)
            ids.append(made["id"])
    before = rows(Movie), rows(Show)
    with pytest.raises(ShowOverlap) as refused:
        movies.update_movie(movie_id=film, duration_minutes=61, now=NOON)
    next_at = evening + timedelta(hours=1)
    assert refused.value.detail == (
        f"With 61 minutes, show {ids[0]} at {iso(evening)} is too long by 1 min: show {ids[1]} "
        f"begins at {iso(next_at)} on its screen. Move one of them first, or give the film at "
        "most 60 minutes."
    )
    assert refused.value.facts["show"] == ids[1]
    with pytest.raises(ShowOverlap, match=r"The same .* this film: 1\. .* at most 60 minutes"):
        movies.update_movie(movie_id=film, duration_minutes=70, now=NOON)
    assert (rows(Movie), rows(Show)) == before
    # What is done is enough.
    shows.update_show(show_id=ids[1], date_time=next_at + timedelta(minutes=1), now=NOON)
    movies.update_movie(movie_id=film, duration_minutes=61, now=NOON)
    assert [show.ends_at - show.starts_at for show in rows(Show) if show.movie_id == film] == [
        timedelta(minutes=61)
    ] * 2
