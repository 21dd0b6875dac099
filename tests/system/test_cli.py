"""The flask commands: the catalogue from a file, the demo catalogue, staff accounts."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from booking_app.auth.models import User
from booking_app.catalog import catalog_file, movies, show_queries, shows
from booking_app.catalog.file_schemas import Catalog
from booking_app.catalog.models import Cinema, Movie, Screen, Show, ShowSeat
from tests.conftest import NOON, PASSWORD, Caller, present, rows

FILM = {"title": "Äpfel", "duration_minutes": 90, "year": 1990, "genres": ["Drama"]}
SHOW = {"screen_name": "One", "total_seats": 3, "price": "5.00"}


@pytest.fixture
def load(app: Flask, tmp_path: Path) -> Callable[..., Any]:
    """Run `flask load-catalog` on a file with that content."""

    def run(content: Any) -> Any:
        path = tmp_path / "catalog.json"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(json.dumps(content))
        return app.test_cli_runner().invoke(args=["load-catalog", str(path)])

    return run


def test_cinemas_with_plans_and_their_shows(load: Callable[..., Any], client: Any) -> None:
    plan = [{"label": "A", "seats": 3}, {"label": "B", "seats": 4, "category": "vip"}]
    cinema = {"name": "Roxy", "city": "Wien", "timezone": "Europe/Vienna"}
    content = {
        "cinemas": [cinema | {"screens": [{"name": "Saal", "rows": plan}]}],
        "movies": [
            FILM
            | {
                "shows": [
                    {"cinema": "ROXY", "screen": "saal", "price": "5.00", "prices": {"vip": "7.00"}}
                    | {"date_time": at(days=2)}
                ]
            }
        ],
    }
    for _ in range(2):
        assert load(content).exit_code == 0
    (show,) = client.get("/api/shows/").json
    assert (show["total_seats"], show["prices"]) == (7, {"vip": "7.00"})
    assert len(rows(Screen)) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"cinema": "Roxi", "screen": "Saal"},
            "movies[0] (Äpfel).shows[0]: There is no cinema 'Roxi'; the nearest: Roxy.",
        ),
        (
            {"cinema": "Roxy", "screen": "Other"},
            "movies[0] (Äpfel).shows[0]: Roxy has no hall 'Other'; there are Saal.",
        ),
        ({"cinema": "Roxy"}, "movies[0].shows[0]"),
    ],
)
def test_a_cinema_or_screen_that_nobody_knows(
    load: Callable[..., Any], change: Any, named: str
) -> None:
    cinema = {"name": "Roxy", "timezone": "UTC"}
    cinema["screens"] = [{"name": "Saal", "rows": [{"label": "A", "seats": 3}]}]  # type: ignore
    show = {"date_time": at(days=2), **change}
    refused = load({"cinemas": [cinema], "movies": [FILM | {"shows": [show]}]})
    assert refused.exit_code == 1
    assert named in refused.output
    assert rows(Cinema) == []


def test_a_plan_that_cannot_be_is_named(load: Callable[..., Any]) -> None:
    plan = [{"label": "A", "seats": 3, "gaps": [3]}]
    cinema = {"name": "R", "timezone": "UTC", "screens": [{"name": "S", "rows": plan}]}
    refused = load({"cinemas": [cinema], "movies": []})
    assert refused.exit_code == 1
    assert "cinemas[0] (R).screens[0] (S): rows: Row 0 (A), gaps" in refused.output


def at(**delta: int) -> str:
    return (present().replace(microsecond=0) + timedelta(**delta)).isoformat()


def test_loading_twice_changes_nothing(load: Callable[..., Any]) -> None:
    content = {
        "movies": [
            FILM | {"shows": [SHOW | {"date_time": at(days=20)}, SHOW | {"date_time": at(days=2)}]},
            {"title": "Äpfel", "duration_minutes": 80},
        ]
    }
    first = load(content)
    assert first.exit_code == 0, first.output
    assert "Added: 2 films, 2 shows." in first.output
    before = rows(Movie), rows(Show), rows(ShowSeat)
    again = load(content)
    assert again.exit_code == 0
    assert "Added: nothing." in again.output
    assert (rows(Movie), rows(Show), rows(ShowSeat)) == before


def test_loading_a_daily_show_again_adds_the_day_that_has_come(app: Flask) -> None:
    daily = Catalog().load({"movies": [FILM | {"shows": [SHOW | {"daily": ["10:00", "20:00"]}]}]})

    def load_at(now: datetime) -> tuple[int, int]:
        counts = catalog_file.load_catalog(**daily, timezone="UTC", now=now).counts
        return counts["movies"], counts["shows"]

    midnight = NOON.replace(hour=0)
    assert load_at(midnight - timedelta(seconds=1)) == (1, 14)
    before = rows(Show)
    assert load_at(midnight - timedelta(microseconds=1)) == (0, 0)
    assert rows(Show) == before
    assert load_at(midnight) == (0, 2)


@pytest.mark.usefixtures("in_2030")
def test_local_times_are_those_of_the_cinema_and_of_its_business_day(
    load: Callable[..., Any], client: Any
) -> None:
    cinema = {"name": "Roxy", "timezone": "Europe/Vienna", "day_starts_at": "06:00"}
    cinema["screens"] = [{"name": "Saal", "rows": [{"label": "A", "seats": 3}]}]  # type: ignore
    show = {"cinema": "Roxy", "screen": "Saal"}
    times = ("2030-03-31T01:45", "2030-10-27T02:30", "2030-10-27T02:30+01:00")
    shows = [show | {"date_time": time} for time in times]
    content = {"cinemas": [cinema], "movies": [FILM | {"duration_minutes": 60, "shows": shows}]}
    for added in ("1 cinema, 1 hall, 1 film, 3 shows", "nothing"):
        done = load(content)
        assert (done.exit_code, f"Added: {added}." in done.output) == (0, True), done.output
    assert client.get("/api/cinemas/1/").json["day_starts_at"] == "06:00"
    assert [show["date_time"] for show in client.get("/api/shows/").json] == [
        *("2030-03-31T00:45:00Z", "2030-10-27T00:30:00Z", "2030-10-27T01:30:00Z")
    ]
    assert len(client.get("/api/shows/?date=2030-03-30").json) == 1
    missing = [show | {"date_time": "2030-03-31T02:30"}]
    refused = load({"cinemas": [], "movies": [FILM | {"shows": missing}]})
    assert refused.exit_code == 1
    assert (
        "movies[0] (Äpfel).shows[0]: There is no 02:30 on 2030-03-31 in Europe/Vienna: the clocks "
        "go forward from 02:00 to 03:00."
    ) in refused.output
    assert len(rows(Show)) == 3


def test_a_daily_time_that_does_not_exist_is_named_and_the_demo_leaves_it_out(app: Flask) -> None:
    cinema = {"name": "Roxy", "timezone": "Europe/Vienna"}
    cinema["screens"] = [{"name": "Saal", "rows": [{"label": "A", "seats": 3}]}]  # type: ignore
    show = {"cinema": "Roxy", "screen": "Saal", "daily": ["02:30"]}
    content = Catalog().load({"cinemas": [cinema], "movies": [FILM | {"shows": [show]}]})
    values = {**content, "timezone": "UTC", "now": datetime(2030, 3, 28, tzinfo=UTC)}
    (obstacle,) = catalog_file.load_catalog(**values).obstacles
    assert "There is no 02:30 on 2030-03-31" in str(obstacle)
    assert rows(Cinema) == []
    counts = catalog_file.load_catalog(**values, is_demo=True).counts
    assert (counts["movies"], counts["shows"]) == (1, 7)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"{", "line 1 column 2"),
        (b'{"movies": [\n{]', "line 2 column 2"),
        (b"\xff\xfe", "not readable JSON"),
        ([], "Invalid input"),
        ({}, "movies: Missing"),
        ({"movies": {}}, "movies: Not a valid list"),
        ({"movies": [FILM, {"title": "x"}]}, "movies[1].duration_minutes: Missing"),
        ({"movies": [FILM | {"titel": "x"}]}, "movies[0].titel: Unknown field"),
        ({"movies": [FILM | {"shows": [SHOW]}]}, "movies[0].shows[0].date_time: Give"),
        (
            {"movies": [FILM | {"shows": [SHOW | {"daily": ["25:00"]}]}]},
            "movies[0].shows[0].daily[0]",
        ),
    ],
)
def test_what_is_no_catalogue_is_refused_in_one_line(
    load: Callable[..., Any], content: Any, named: str
) -> None:
    refused = load(content)
    assert refused.exit_code == 1
    assert named in refused.output
    assert "Nothing was loaded" in refused.output
    assert len(refused.output.strip().splitlines()) == 1
    assert (rows(Movie), rows(Show)) == ([], [])


def test_all_or_nothing_with_every_entry_at_fault_named(load: Callable[..., Any]) -> None:
    past = FILM | {"shows": [SHOW | {"date_time": "2001-01-01T00:00:00Z"}]}
    dense = FILM | {"title": "B", "shows": [SHOW | {"daily": ["20:00", "21:00"]}]}
    refused = load({"movies": [past, dense]})
    assert refused.exit_code == 1
    for named in (
        "  movies[0] (Äpfel).shows[0] at 2001-01-01 00:00 UTC: date_time: Must lie ahead",
        "  movies[1] (B).shows[0] at",
        "Nothing was written. --skip-conflicts loads what nothing is in the way of.",
    ):
        assert named in refused.output
    assert (rows(Movie), rows(Show)) == ([], [])


def test_an_overlap_with_what_is_there_names_both(
    load: Callable[..., Any], make_show: Callable[..., int]
) -> None:
    there = make_show(screen_name="One", starts_in=timedelta(days=2))
    content = {"movies": [FILM | {"shows": [SHOW | {"date_time": at(days=2, minutes=5)}]}]}
    refused = load(content)
    assert refused.exit_code == 1
    assert f"The Third Man (show {there}) is on One from" in refused.output
    assert len(rows(Movie)) == 1


def demo() -> dict[str, Any]:
    text = files("booking_app.catalog").joinpath("demo.json").read_text()
    catalog: dict[str, Any] = Catalog().load(json.loads(text))
    return catalog


def load_demo(now: datetime) -> tuple[int, int]:
    counts = catalog_file.load_catalog(**demo(), timezone="UTC", is_demo=True, now=now).counts
    return counts["movies"], counts["shows"]


def test_the_demo_catalogue_is_real(app: Flask) -> None:
    movies = demo()["movies"]
    assert len(movies) >= 24
    assert len({movie["title"] for movie in movies}) == len(movies)
    for movie in movies:
        assert movie["year"] > 1900
        assert movie["language"]
        assert movie["genres"]
        assert movie["age_rating"]
        assert movie["shows"]


@pytest.mark.parametrize(
    "hour", [20, 23, *(pytest.param(hour, marks=pytest.mark.in_ci) for hour in (0, 12))]
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the hour is Python's matter
def test_it_has_shows_for_each_of_the_next_seven_days(app: Flask, hour: int) -> None:
    """From today on, or from tomorrow where in the cinemas' time zones today is over."""
    now = NOON.replace(hour=hour)
    films, shows = load_demo(now)
    assert films == len(demo()["movies"])
    assert shows == len(rows(Show))
    first = 1 if hour == 23 else 0
    for days in range(first, first + 7):
        day = (now + timedelta(days=days)).date()
        page = show_queries.list_shows(date=day, page=1, page_size=100, now=now)
        assert page.total > 0, day
        assert len({show.screen_id for show in page.items}) > 1 or days == 0
    assert len(rows(Cinema)) == 2
    assert len(rows(Screen)) >= 4


@pytest.mark.both_in_ci("sqlite")
def test_a_later_start_stocks_the_days_up_and_brings_nothing_back(app: Flask) -> None:
    load_demo(NOON)
    demo_films = rows(Movie)
    movies.delete_movie(movie_id=demo_films[0].id)
    movies.update_movie(movie_id=demo_films[1].id, on_sale=False, now=NOON)
    movies.update_movie(movie_id=demo_films[2].id, title="Renamed", now=NOON)
    assert load_demo(NOON) == (0, 0)
    later = NOON + timedelta(days=3)
    films, added = load_demo(later)
    assert films == 0
    assert added > 0
    on_new_days = [show for show in rows(Show) if show.starts_at > NOON + timedelta(days=8)]
    assert {show.movie_id for show in on_new_days}.isdisjoint({demo_films[0].id, demo_films[1].id})
    assert load_demo(later) == (0, 0)
    for days in range(7):
        day = (later + timedelta(days=days)).date()
        assert show_queries.list_shows(date=day, page=1, page_size=1, now=later).items, day


@pytest.mark.both_in_ci("sqlite")
def test_a_demo_show_gives_way_to_one_of_staff(app: Flask) -> None:
    load_demo(NOON)
    movie = rows(Movie)[0]
    screen = rows(Screen)[0].id
    day = NOON + timedelta(days=10)
    of_staff = shows.create_show(movie_id=movie.id, screen=screen, date_time=day, now=NOON)
    _, added = load_demo(NOON + timedelta(days=4))
    assert added > 0
    at_noon = [
        show
        for show in rows(Show)
        if show.screen_id == screen and show.starts_at < of_staff["ends_at"] and show.ends_at > day
    ]
    assert [show.id for show in at_noon] == [of_staff["id"]]


def test_an_operators_own_catalogue_is_never_touched(
    app: Flask, make_movie: Callable[..., int]
) -> None:
    make_movie()
    done = app.test_cli_runner().invoke(args=["load-demo"])
    assert done.exit_code == 0
    assert "left out" in done.output
    assert len(rows(Movie)) == 1
    assert rows(Show) == []


def test_demo_0_leaves_it_out(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "DEMO", False)
    assert app.test_cli_runner().invoke(args=["load-demo"]).exit_code == 0
    assert rows(Movie) == []


def test_two_films_of_a_file_with_one_external_id_are_refused_by_name(
    load: Callable[..., Any], client: Any
) -> None:
    film = {"duration_minutes": 90, "id": "tt1"}
    done = load({"movies": [{"title": "One", **film}, {"title": "Two", **film}]})
    assert done.exit_code == 1
    assert "movies[0] (One)" in done.output
    assert "movies[1] (Two)" in done.output
    assert client.get("/api/movies/").json == []


def test_create_superuser(app: Flask, client: Any) -> None:
    runner = app.test_cli_runner()
    made = runner.invoke(args=["create-superuser", "--username", "Boss", "--password", PASSWORD])
    assert made.exit_code == 0, made.output
    taken = runner.invoke(args=["create-superuser", "--username", "BOSS", "--password", PASSWORD])
    assert taken.exit_code == 1
    assert taken.output.strip().splitlines() == [
        "Error: The user name 'BOSS' is taken; choose another."
    ]
    weak = runner.invoke(args=["create-superuser", "--username", "b", "--password", "12345678"])
    assert weak.exit_code == 1
    assert "commonest" in weak.output
    ((name, is_staff),) = rows(User, User.username, User.is_staff)
    assert (name, is_staff) == ("Boss", True)


def test_create_superuser_asks_without_echo(app: Flask) -> None:
    asked = app.test_cli_runner().invoke(
        args=["create-superuser"], input=f"boss\n{PASSWORD}\n{PASSWORD}\n"
    )
    assert asked.exit_code == 0, asked.output
    assert PASSWORD not in asked.output


def test_staff_can_log_in_and_work(app: Flask, client: Any, staff: Caller) -> None:
    login = client.post("/api/login/", json={"username": "staff", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {login.json['access']}"}
    made = client.post(
        "/api/movies/", json={"title": "New", "duration_minutes": 5}, headers=headers
    )
    assert made.status_code == 201
