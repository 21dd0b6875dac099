"""Exporting the catalogue, and loading it elsewhere."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from hypothesis import HealthCheck, given, settings

from booking_app.catalog import (
    catalog_export,
    catalog_file,
    file_schemas,
    movies,
    shows,
    venue_schemas,
    venues,
)
from booking_app.catalog.models import Show
from booking_app.core.database import db
from tests.catalog.file_making import any_file, load
from tests.conftest import NOON, empty, present, rows
from tests.plan_making import any_plan

SLOW = settings(max_examples=25, suppress_health_check=list(HealthCheck))


def exported() -> dict[str, Any]:
    return catalog_export.export_catalog(currency="EUR", now=NOON)


def loaded_elsewhere(catalog: dict[str, Any], **options: Any) -> Any:
    """Load the export into an empty database, as a file."""
    empty(db.engine)
    content = file_schemas.read(catalog_export.written(catalog).encode())
    return catalog_file.load_catalog(**content, timezone="UTC", now=NOON, **options)


@SLOW
@given(any_file())
def test_loading_an_export_elsewhere_gives_the_same(app: Flask, file: dict[str, Any]) -> None:
    empty(db.engine)
    load(file, skip_conflicts=True)
    catalog = exported()
    here = load(json.loads(catalog_export.written(catalog)))
    assert (here.added, here.taken, here.left, here.obstacles) == ((), (), (), ())
    assert loaded_elsewhere(catalog).obstacles == ()
    assert exported() == catalog
    before = rows(Show)
    again = load(json.loads(catalog_export.written(catalog)), update=True)
    assert (again.added, again.taken, again.left, again.obstacles) == ((), (), (), ())
    assert rows(Show) == before


@SLOW
@given(any_plan)
def test_every_plan_comes_through(app: Flask, plan: list[dict[str, Any]]) -> None:
    empty(db.engine)
    made = venues.create_screen(name="Saal", rows=venue_schemas.PlanRow(many=True).load(plan))
    loaded_elsewhere(exported())
    (screen,) = venues.list_screens(page=1, page_size=9).items
    assert screen.rows == made.rows


def test_ids_are_made_that_nobody_else_has(app: Flask) -> None:
    """A film that came by a file may be called like our own id of another."""
    film = {"title": "A", "duration_minutes": 90, "id": "movie-2"}
    load({"movies": [film]})
    movies.create_movie(title="B", duration_minutes=90)
    ids = [movie["id"] for movie in exported()["movies"]]
    assert ids == ["movie-2", "movie-2-2"]


def test_a_show_of_numbered_seats_stays_one_in_the_default_cinema(app: Flask) -> None:
    film = movies.create_movie(title="A", duration_minutes=90)["id"]
    day = NOON + timedelta(days=1)
    terms: dict[str, Any] = {"movie_id": film, "total_seats": 7, "now": NOON}
    shows.create_show(date_time=day, screen_name="One", **terms)
    cinema = venues.list_cinemas(page=1, page_size=1).items[0]["id"]
    venues.update_cinema(cinema_id=cinema, name="Renamed")
    catalog = exported()
    assert [one["is_default"] for one in catalog["cinemas"]] == [True]
    loaded_elsewhere(catalog)
    assert exported() == catalog
    assert [show.total_seats for show in rows(Show)] == [7]


def test_a_show_of_numbered_seats_stays_in_its_cinema(app: Flask) -> None:
    """Also where that is not the default one, and where its hall got a plan since."""
    film = movies.create_movie(title="A", duration_minutes=90)["id"]
    day = NOON + timedelta(days=1)
    terms: dict[str, Any] = {"movie_id": film, "total_seats": 7, "now": NOON}
    shows.create_show(date_time=day, screen_name="One", **terms)
    roxy = venues.create_cinema(name="Roxy", timezone="UTC")["id"]
    hall = venues.create_screen(name="One", rows=[], cinema=roxy)
    shows.create_show(date_time=day, screen=hall.id, **terms)
    plan = venue_schemas.PlanRow(many=True).load([{"label": "A", "seats": 2}])
    venues.update_screen(screen_id=hall.id, rows=plan)
    catalog = exported()
    loaded_elsewhere(catalog)
    assert exported() == catalog
    assert [show.total_seats for show in rows(Show)] == [7, 7]


def test_only_shows_to_come_are_exported(app: Flask) -> None:
    film = movies.create_movie(title="A", duration_minutes=90)["id"]
    for hours in (-1, 1):
        shows.create_show(
            movie_id=film,
            screen_name=str(hours),
            total_seats=2,
            date_time=NOON + timedelta(hours=hours),
            now=NOON - timedelta(days=1),
        )
    (movie,) = exported()["movies"]
    assert [show["screen_name"] for show in movie["shows"]] == ["1"]


def test_the_commands(app: Flask, tmp_path: Path) -> None:
    film = movies.create_movie(title="Äpfel", duration_minutes=90)["id"]
    day = present() + timedelta(days=1)
    shows.create_show(movie_id=film, screen_name="One", total_seats=7, date_time=day)
    path = tmp_path / "catalog.json"
    runner = app.test_cli_runner()
    done = runner.invoke(args=["export-catalog", str(path)])
    assert (done.exit_code, done.output) == (
        0,
        f"{path}: 1 cinema, 1 hall, 1 film, 1 show.\n",
    )
    assert '"title": "Äpfel"' in path.read_text()
    there = runner.invoke(args=["export-catalog", str(path)])
    assert (there.exit_code, there.output) == (1, f"Error: {path}: File exists.\n")
    nowhere = tmp_path / "no" / "catalog.json"
    failed = runner.invoke(args=["export-catalog", str(nowhere)])
    assert failed.output == f"Error: {nowhere}: No such file or directory.\n"
    empty(db.engine)
    again = runner.invoke(args=["load-catalog", str(path)])
    assert again.output == "Added: 1 cinema, 1 hall, 1 film, 1 show.\n"
