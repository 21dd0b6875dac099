"""Loading a catalogue file: what is new, what differs, and what is in the way."""

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from booking_app.audit.models import AuditEvent
from booking_app.booking import service as booking
from booking_app.booking.policy import BookingPolicy
from booking_app.catalog import movies, shows
from booking_app.catalog.models import Cinema, Movie, Screen, Show, ShowSeat
from booking_app.core.database import db
from booking_app.core.formats import iso
from tests.catalog.file_making import PLAN, any_file, at, house, load, told
from tests.conftest import NOON, Caller, empty, present, rows

SLOW = settings(max_examples=25, suppress_health_check=list(HealthCheck))
TABLES = (Cinema, Screen, Movie, Show, ShowSeat)


def content() -> list[list[Any]]:
    return [rows(table) for table in TABLES]


def starts() -> dict[str | None, str]:
    return {show.external_id: iso(show.starts_at) for show in rows(Show)}


# --- properties -----------------------------------------------------------------------------


@SLOW
@given(any_file(), any_file(), st.booleans(), st.booleans())
def test_a_dry_run_reports_what_is_done_and_writes_nothing(
    app: Flask, before: dict[str, Any], file: dict[str, Any], update: bool, skip: bool
) -> None:
    empty(db.engine)
    load(before, skip_conflicts=True)
    stood, events = content(), len(rows(AuditEvent))
    planned = load(file, update=update, skip_conflicts=skip, dry_run=True)
    assert not planned.written
    assert (content(), len(rows(AuditEvent))) == (stood, events)
    done = load(file, update=update, skip_conflicts=skip, reported=planned.digest())
    assert done.digest() == planned.digest()
    assert done.written == (skip or not done.obstacles)
    if not done.written or not done.changes:
        assert content() == stood


@SLOW
@given(any_file(), any_file(), st.booleans())
def test_the_second_load_changes_nothing(
    app: Flask, before: dict[str, Any], file: dict[str, Any], update: bool
) -> None:
    empty(db.engine)
    load(before, skip_conflicts=True)
    load(file, update=update, skip_conflicts=True)
    stood = content()
    again = load(file, update=update, skip_conflicts=True)
    assert (again.added, again.taken) == ((), ())
    assert content() == stood


@SLOW
@given(any_file())
def test_no_entry_of_a_file_is_dropped_without_a_word(app: Flask, file: dict[str, Any]) -> None:
    """In an empty house every entry is added, or named by an obstacle."""
    empty(db.engine)
    report = load(file, skip_conflicts=True)
    added = [one.where for one in report.added]
    named = " ".join(one.where for one in report.obstacles)
    for number, cinema in enumerate(file["cinemas"]):
        where = f"cinemas[{number}] ({cinema['name']})"
        assert (where in added) != (where in named.replace(f"{where}.screens", "")) or (
            f"{where}.screens" in named
        )
        for hall, screen in enumerate(cinema["screens"]):
            path = f"{where}.screens[{hall}] ({screen['name'].strip()})"
            assert path in added or path in named or f"{where}.screens" in named
    for number, movie in enumerate(file["movies"]):
        where = f"movies[{number}] ({movie['title']})"
        assert where in added or where in named
        for entry in range(len(movie["shows"])):
            path = f"{where}.shows[{entry}]"
            is_added = any(one.startswith(path) for one in added)
            assert is_added or path in named or f"{where}.shows" in named
    assert len(rows(Show)) == report.counts["shows"]
    assert len(rows(Movie)) == report.counts["movies"]


EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "movies[0] (Äpfel), duration_minutes": lambda file: file["movies"][0].update(
        duration_minutes=80
    ),
    "movies[0] (Äpfel), genres": lambda file: file["movies"][0].update(genres=["War"]),
    "cinemas[0] (Burg), city": lambda file: file["cinemas"][0].update(city="Wien"),
    "cinemas[0] (Burg), day_starts_at": lambda file: file["cinemas"][0].update(
        day_starts_at="06:00"
    ),
    "cinemas[0] (Burg).screens[0] (Saal), row A, seats": lambda file: file["cinemas"][0]["screens"][
        0
    ].update(rows=[{"label": "A", "seats": 4}]),
    "shows[0] at 2030-06-02 14:00 UTC, price": lambda file: file["movies"][0]["shows"][0].update(
        price="7.00"
    ),
    "shows[1] at 2030-06-03 17:30 UTC, date_time": lambda file: file["movies"][0]["shows"][
        1
    ].update(date_time=at(days=2, hours=5.5)),
    "shows[2] at 2030-06-04 14:00 UTC, format": lambda file: file["movies"][0]["shows"][2].update(
        format="3D"
    ),
}


@SLOW
@given(st.sets(st.sampled_from(sorted(EDITS))))
def test_what_is_reported_is_what_differs(app: Flask, edits: set[str]) -> None:
    empty(db.engine)
    file = house(a={}, b={}, c={})
    load(file)
    edited = copy.deepcopy(file)
    for edit in edits:
        EDITS[edit](edited)
    stood = content()
    left = load(edited)
    assert (left.added, left.taken, left.obstacles) == ((), (), ())
    facts = {f"{one.where}, {one.fact}".removeprefix("movies[0] (Äpfel).") for one in left.left}
    assert facts == edits
    assert content() == stood
    taken = load(edited, update=True)
    assert (taken.taken, taken.left, taken.obstacles) == (left.left, (), ())
    assert load(edited).left == ()


# --- duplicates -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "named"),
    [
        (
            {
                "movies": [
                    {"title": "A", "duration_minutes": 90},
                    {"title": "B", "duration_minutes": 90},
                    {"title": " a", "duration_minutes": 80},
                ]
            },
            "movies[0] (A) and movies[2] (a): They would become one film: they have the same title "
            "and year. Give each an id, or take out all but one.",
        ),
        (
            {
                "cinemas": [
                    {
                        "name": "Burg",
                        "timezone": "UTC",
                        "screens": [{"name": "1", "rows": PLAN}, {"name": "1 ", "rows": PLAN}],
                    }
                ],
                "movies": [],
            },
            "cinemas[0] (Burg).screens[0] (1) and cinemas[0] (Burg).screens[1] (1): They would "
            "become one hall: they have the same name in one cinema. Take out or rename all but "
            "one.",
        ),
        (
            {
                "movies": [
                    {"id": 5, "title": "A", "duration_minutes": 90},
                    {"id": "5", "title": "B", "duration_minutes": 90},
                ]
            },
            "movies[0] (A) and movies[1] (B): They have the same id, '5'.",
        ),
    ],
)
def test_entries_that_would_become_one_are_named(
    app: Flask, file: dict[str, Any], named: str
) -> None:
    report = load(file)
    assert told(report.obstacles) == [named]
    assert content() == [[], [], [], [], []]


def test_two_shows_at_one_place_and_time_are_named(app: Flask) -> None:
    file = house(a={}, b={"date_time": at(days=1, hours=2)})
    (obstacle,) = load(file).obstacles
    first, second = (
        f"movies[0] (Äpfel).shows[{number}] at 2030-06-02 14:00 UTC" for number in (0, 1)
    )
    assert obstacle.where == f"{first} and {second}"


def test_with_ids_two_films_of_one_title_are_two(app: Flask) -> None:
    films = [{"id": name, "title": "A", "duration_minutes": 90} for name in "ab"]
    assert load({"movies": films}).counts["movies"] == 2
    assert load({"movies": films}).counts["movies"] == 0
    (unclear,) = load({"movies": [{"title": "A", "duration_minutes": 90}]}).obstacles
    assert unclear.why == "2 are called so here (a, b). Give the entry the id of one of them."


def test_shows_of_films_that_are_left_out_are_named(app: Flask) -> None:
    file = house(a={})
    file["movies"] += [{"title": "Äpfel", "duration_minutes": 80}]
    report = load(file, skip_conflicts=True)
    assert told(report.obstacles)[1:] == ["movies[0] (Äpfel).shows: Their film is not loaded."]
    assert report.counts == {"cinemas": 1, "screens": 1, "movies": 0, "shows": 0}


# --- ids ------------------------------------------------------------------------------------


def test_what_was_there_gets_its_id_by_an_update(app: Flask) -> None:
    movies.create_movie(title="Äpfel", duration_minutes=90)
    file = {"movies": [{"id": "tt1", "title": "Äpfel", "duration_minutes": 90}]}
    assert told(load(file).left) == ["movies[0] (Äpfel), id: here none, in the file tt1"]
    load(file, update=True)
    assert [movie.external_id for movie in rows(Movie)] == ["tt1"]
    renamed = {"movies": [{"id": "tt1", "title": "Birnen", "duration_minutes": 90}]}
    assert told(load(renamed).left) == ["movies[0] (Birnen), title: here Äpfel, in the file Birnen"]


def test_a_show_that_staff_moved_is_found_by_its_id(app: Flask) -> None:
    load(house(a={}))
    (show,) = rows(Show)
    shows.update_show(show_id=show.id, date_time=show.starts_at + timedelta(minutes=15), now=NOON)
    report = load(house(a={}))
    assert told(report.left) == [
        "movies[0] (Äpfel).shows[0] at 2030-06-02 14:00 UTC, date_time: here 2030-06-02 14:15 UTC, "
        "in the file 2030-06-02 14:00 UTC"
    ]
    assert report.written
    load(house(a={}), update=True)
    assert starts() == {"a": at(days=1, hours=2)}


def test_a_daily_show_that_staff_moved_is_found_by_its_id_and_time(app: Flask) -> None:
    daily = {"id": "evening", "cinema": "Burg", "screen": "Saal", "daily": ["20:00"]}
    file = house()
    file["movies"][0]["shows"] = [daily]
    load(file)
    first = rows(Show)[0]
    assert first.external_id == "evening/2030-06-01T20:00"
    shows.update_show(show_id=first.id, date_time=first.starts_at + timedelta(hours=1), now=NOON)
    report = load(file)
    assert (report.added, report.obstacles) == ((), ())
    assert [one.fact for one in report.left] == ["date_time"]


def test_a_renamed_hall_is_found_by_its_id(app: Flask) -> None:
    load(house(a={}))
    file = house(a={"screen": "Saal 1"})
    file["cinemas"][0]["screens"][0]["name"] = "Saal 1"
    report = load(file)
    assert told(report.left) == [
        "cinemas[0] (Burg).screens[0] (Saal 1), name: here Saal, in the file Saal 1"
    ]
    load(file, update=True)
    assert [screen.name for screen in rows(Screen)] == ["Saal 1"]


def test_halls_that_swap_their_names_are_in_each_others_way(app: Flask) -> None:
    """A violated constraint leaves the rest of the file to be loaded."""
    file = house(a={})
    halls = file["cinemas"][0]["screens"]
    halls += [{"id": "k", "name": "Kino", "rows": PLAN}]
    load(file)
    halls[0]["name"], halls[1]["name"] = "Kino", "Saal"
    file["movies"] = [{"title": "Birnen", "duration_minutes": 80}]
    report = load(file, update=True, skip_conflicts=True)
    assert [one.why for one in report.obstacles] == [
        "The name 'Kino' is taken; choose another.",
        "The name 'Saal' is taken; choose another.",
    ]
    assert [screen.name for screen in rows(Screen)] == ["Saal", "Kino"]
    assert report.counts["movies"] == 1
    assert len(rows(Movie)) == 2


# --- updates --------------------------------------------------------------------------------


def test_what_is_sold_stays(app: Flask, alice: Caller) -> None:
    load(house(a={}, b={}))
    show = rows(Show)[0]
    policy = BookingPolicy.from_settings(app.config)
    booking.book(user_id=alice.id, show_id=show.id, seat_numbers=["A1"], policy=policy, now=NOON)
    moved = house(a={"date_time": at(days=1, hours=5)}, b={"price": "9.00"})
    refused = load(moved, update=True)
    assert [one.where for one in refused.obstacles] == [
        "movies[0] (Äpfel).shows[0] at 2030-06-02 17:00 UTC"
    ]
    assert "1 seats of this show are sold or held" in refused.obstacles[0].why
    assert not refused.written
    assert rows(Show, Show.price_cents) == [(0,), (0,)]
    rest = load(moved, update=True, skip_conflicts=True)
    assert [one.fact for one in rest.taken] == ["price"]
    assert [one.fact for one in rest.left] == ["date_time"]
    assert rows(Show, Show.price_cents) == [(0,), (900,)]


@pytest.mark.parametrize("minutes", [30, -30])
def test_shows_that_make_room_for_each_other_move_together(app: Flask, minutes: int) -> None:
    """Each into the time of the next one, whichever way."""
    hours = dict(zip("abc", (1, 2.5, 4), strict=True))
    load(house(**{name: {"date_time": at(days=1, hours=one)} for name, one in hours.items()}))
    moved = {
        name: {"date_time": at(days=1, hours=one, minutes=minutes)} for name, one in hours.items()
    }
    report = load(house(**moved), update=True)
    assert report.obstacles == ()
    assert starts() == {name: facts["date_time"] for name, facts in moved.items()}


def test_a_longer_film_and_its_shows_that_move_for_it(app: Flask) -> None:
    hours = dict(zip("abc", (1, 2.5, 4), strict=True))
    load(house(**{name: {"date_time": at(days=1, hours=one)} for name, one in hours.items()}))
    file = house(**{name: {"date_time": at(days=1, hours=one * 2)} for name, one in hours.items()})
    file["movies"][0]["duration_minutes"] = 150
    assert load(file, update=True).obstacles == ()
    assert [show.ends_at - show.starts_at for show in rows(Show)] == [timedelta(minutes=150)] * 3


def test_shows_that_swap_their_times_are_in_each_others_way(app: Flask) -> None:
    load(house(a={"date_time": at(days=1)}, b={"date_time": at(days=2)}))
    stood = content()
    report = load(house(a={"date_time": at(days=2)}, b={"date_time": at(days=1)}), update=True)
    assert len(report.obstacles) == 2
    assert len(report.left) == 2
    assert content() == stood


def test_a_show_that_is_in_the_way_within_the_file_is_named_by_its_entry(app: Flask) -> None:
    file = house(a={}, b={"date_time": at(days=1, hours=3)})
    assert told(load(file).obstacles) == [
        "movies[0] (Äpfel).shows[1] at 2030-06-02 15:00 UTC: "
        "Overlaps movies[0] (Äpfel).shows[0] at 2030-06-02 14:00 UTC."
    ]


def test_a_show_keeps_its_film(app: Flask) -> None:
    load(house(a={}))
    file = house(a={})
    file["movies"][0] |= {"id": "g", "title": "Birnen"}
    report = load(file)
    assert [one.fact for one in report.left] == ["film"]
    (obstacle,) = load(file, update=True).obstacles
    assert obstacle.why.startswith("A show can't change its film.")


# --- the default cinema ---------------------------------------------------------------------


def test_another_default_cinema_stays_and_shows_do_not_go_to_the_wrong_one(app: Flask) -> None:
    here = {"name": "Burg", "timezone": "UTC", "is_default": True}
    load({"cinemas": [here], "movies": []})
    film = {"title": "A", "duration_minutes": 90}
    film["shows"] = [{"screen_name": "1", "total_seats": 2, "date_time": at(days=1)}]
    file = {"cinemas": [here | {"name": "Roxy"}], "movies": [film]}
    report = load(file, skip_conflicts=True)
    assert told(report.left) == ["cinemas[0] (Roxy), is_default: here it is Burg, in the file yes"]
    assert told(report.obstacles) == [
        "movies[0] (A).shows[0]: The default cinema is Roxy in the file, and Burg here. Name the "
        "cinema and its hall."
    ]


# --- the command ----------------------------------------------------------------------------


def test_what_the_command_says(app: Flask, tmp_path: Path) -> None:
    day = (present() + timedelta(days=3)).replace(hour=18, minute=0, second=0, microsecond=0)
    path = tmp_path / "catalog.json"
    runner = app.test_cli_runner()

    def run(file: dict[str, Any], *options: str) -> tuple[int, list[str]]:
        path.write_text(json.dumps(file))
        done = runner.invoke(args=["load-catalog", str(path), *options])
        return done.exit_code, done.output.splitlines()

    file = house(a={"date_time": iso(day)})
    would_add = "Would be added: 1 cinema, 1 hall, 1 film, 1 show."
    assert run(file, "--dry-run") == (0, [would_add, "Nothing was written: a dry run."])
    assert run(file) == (0, ["Added: 1 cinema, 1 hall, 1 film, 1 show."])
    file["movies"][0]["duration_minutes"] = 100
    difference = "  movies[0] (Äpfel), duration_minutes: here 90, in the file 100"
    assert run(file) == (
        0,
        [
            "Different, and left as it is here (1; --update takes over what the file says):",
            difference,
            "Added: nothing.",
        ],
    )
    file["movies"][0]["shows"] += [{"cinema": "Bург", "screen": "Saal", "date_time": iso(day)}]
    blocked = [
        "In the way (1):",
        "  movies[0] (Äpfel).shows[1]: There is no cinema 'Bург'; there are Burg.",
    ]
    assert run(file, "--update") == (
        1,
        [
            *blocked,
            "Would be taken over from the file (1):",
            difference,
            "Would be added: nothing.",
            "Nothing was written. --skip-conflicts loads what nothing is in the way of.",
        ],
    )
    assert run(file, "--update", "--skip-conflicts") == (
        1,
        [*blocked, "Taken over from the file (1):", difference, "Added: nothing."],
    )
    assert [movie.duration_minutes for movie in rows(Movie)] == [100]
