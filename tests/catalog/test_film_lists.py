"""Lists of films and shows: their order, what searches and filters find, and the facts of films."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade

from booking_app.catalog import show_queries, venues
from booking_app.catalog.models import Movie, Show
from booking_app.core.database import db, fold, reading
from tests.conftest import Caller, present
from tests.migrating import MIGRATIONS, fill, rows_of_0001
from tests.wrong import wrong

FACTS = {
    "original_title": "Le Fabuleux Destin d'Amélie Poulain",
    "sort_title": "Amelie",
    "release_date": "2001-04-25",
    "poster_url": "https://example.com/amelie.jpg",
    "trailer_url": "HTTPS://example.com:8443/watch?v=é",
    "external_id": "tt0211915",
}
MARKS = "\u200e\u200f\u061c\u202a\u202e\u2066\u2069"


def titles(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [movie["title"] for movie in answer.json]


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json]


def execute(statement: Any) -> None:
    with db.engine.begin() as connection:
        connection.execute(statement)


# --- the order and the search ---------------------------------------------------------------


def test_films_stand_where_people_look_for_them(
    client: FlaskClient, make_movie: Callable[..., int]
) -> None:
    for title in ("Zorro", "Łódź", "¡Átame!", "Éternité", "10 Things", "9", "東京物語", "Яма"):
        make_movie(title)
    make_movie("The Third Man", sort_title="Third Man")
    make_movie("The Alamo")
    assert titles(client.get("/api/movies/")) == [
        *("9", "10 Things", "¡Átame!", "Éternité", "Łódź", "The Alamo", "The Third Man"),
        *("Zorro", "Яма", "東京物語"),
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=amelie", ["Amélie"]),
        ("search=lodz", ["Łódź"]),
        ("search=istanbul", ["İstanbul"]),
        ("search=spider-man", ["Spider\N{NON-BREAKING HYPHEN}Man"]),
        ("search=l'avventura", ["L\N{RIGHT SINGLE QUOTATION MARK}Avventura"]),
        ("search=wall-e", ["WALL·E"]),
        ("search=wall e", ["WALL·E"]),
        ("search=walle", ["WALL·E"]),
        ("search=!!!", ["!!!"]),
        ("search=sen to", ["Spirited Away"]),
        ("search=sorted so", ["Spirited Away"]),
        ("search=miyazaki", ["Spirited Away"]),
        ("director=MIYAZAKI h", ["Spirited Away"]),
        ("director=spirited", []),
        ("director=amelie&search=away", []),
        ("director=%25", []),
    ],
)
def test_films_are_found_by_what_people_type(
    client: FlaskClient, make_movie: Callable[..., int], query: str, found: list[str]
) -> None:
    for title in (
        "Amélie",
        "Łódź",
        "İstanbul",
        "Spider\N{NON-BREAKING HYPHEN}Man",
        "WALL·E",
        "!!!",
    ):
        make_movie(title)
    make_movie("L\N{RIGHT SINGLE QUOTATION MARK}Avventura")
    facts = {"original_title": "Sen to Chihiro", "sort_title": "Sorted so"}
    make_movie("Spirited Away", director="Miyazaki Hayao", **facts)
    assert titles(client.get(f"/api/movies/?{query}")) == found


def test_a_change_of_a_title_or_the_director_is_found_and_sorted_at_once(
    client: FlaskClient, staff: Caller, make_movie: Callable[..., int]
) -> None:
    film, _ = make_movie("Old"), make_movie("Middle")
    path = f"/api/movies/{film}/"
    staff.patch(path, {"sort_title": "Ä"})
    staff.patch(path, {"director": "Léa"})
    assert titles(client.get("/api/movies/")) == ["Old", "Middle"]
    assert titles(client.get("/api/movies/?search=old")) == ["Old"]
    assert titles(client.get("/api/movies/?director=lea")) == ["Old"]
    staff.patch(path, {"sort_title": None, "title": "New"})
    assert titles(client.get("/api/movies/")) == ["Middle", "New"]
    assert titles(client.get("/api/movies/?search=old")) == []


def test_shows_are_searched_by_their_film(
    client: FlaskClient, make_movie: Callable[..., int], make_show: Callable[..., int]
) -> None:
    make_show()
    show = make_show(movie_id=make_movie("Łódź", director="Agnieszka"))
    assert ids(client.get("/api/shows/?search=lodz")) == [show]
    assert ids(client.get("/api/shows/?search=AGNIESZKA")) == [show]


# --- films of release 1.2 -------------------------------------------------------------------


def test_films_that_release_1_2_adds_and_renames_are_listed_and_put_right_in_the_end(
    app: Flask, client: FlaskClient, make_movie: Callable[..., int]
) -> None:
    """It leaves the keys out, and as they were."""
    added, renamed, plain = make_movie("Éternité"), make_movie("Abend"), make_movie("Zorro the Fox")
    keys = _keys_of(plain)
    gone = {"sort_key": None, "search_key": None}
    execute(sa.update(Movie).where(Movie.id.in_([added, plain])).values(**gone))
    names = {"title": "Łódź", "title_key": fold("Łódź")}
    execute(sa.update(Movie).where(Movie.id == renamed).values(**names))
    assert set(titles(client.get("/api/movies/"))) == {"Éternité", "Łódź", "Zorro the Fox"}
    assert titles(client.get("/api/movies/?search=the fox")) == ["Zorro the Fox"]
    finished = app.test_cli_runner().invoke(args=["finish-upgrade"])
    assert finished.exit_code == 0, finished.output
    assert ids(client.get("/api/movies/")) == [added, renamed, plain]
    assert _keys_of(plain) == keys
    assert titles(client.get("/api/movies/?search=lodz")) == ["Łódź"]
    assert titles(client.get("/api/movies/?search=eternite")) == ["Éternité"]


def _keys_of(film: int) -> Any:
    with reading() as connection:
        return connection.execute(
            sa.select(Movie.sort_key, Movie.search_key).where(Movie.id == film)
        ).one()


def test_films_from_before_have_their_keys_after_the_upgrade(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS, "0010")
    fill({name: rows for name, rows in rows_of_0001().items() if name == "movie"})
    upgrade(MIGRATIONS)
    with reading() as connection:
        keys = connection.execute(sa.select(Movie.sort_key, Movie.search_key)).one()
    assert keys == ("apfel\täpfel", "apfel\näpfel\t")


# --- now showing ----------------------------------------------------------------------------


def test_films_that_are_showing_and_where(
    client: FlaskClient, make_movie: Callable[..., int], make_show: Callable[..., int]
) -> None:
    here, there, over, off, none = (
        make_movie(title) for title in ("Here", "Away", "Over", "Off", "None")
    )
    make_show(movie_id=here)
    screen = _other_screen()
    elsewhere = {"screen": screen, "screen_name": None, "total_seats": None}
    make_show(movie_id=there, **elsewhere)
    make_show(movie_id=over, starts_in=-timedelta(hours=3))
    make_show(movie_id=off, on_sale=False)
    cinema = client.get(f"/api/screens/{screen}/").json["cinema"]
    first = client.get("/api/shows/").json[0]["cinema"]

    def films(query: str) -> list[int]:
        return sorted(ids(client.get(f"/api/movies/?{query}")))

    assert films("now_showing=true") == [here, there]
    assert films("now_showing=false") == [over, off, none]
    assert films(f"cinema={first}") == [here]
    assert films(f"cinema={cinema}") == films(f"cinema={cinema}&now_showing=true") == [there]
    assert films(f"cinema={cinema}&now_showing=false") == [here, over, off, none]
    assert films("cinema=999") == []
    assert films("cinema=999&search=here&now_showing=false") == [here]
    begun = sa.update(Show).where(Show.movie_id == over)
    execute(begun.values(sales_until=present() + timedelta(minutes=5)))
    assert films("now_showing=true") == [here, there, over]  # still on sale


def _other_screen() -> int:
    cinema = venues.create_cinema(name="Other", timezone="UTC")["id"]
    rows: Any = [{"label": "A", "seats": 3}]
    return int(venues.create_screen(name="1", rows=rows, cinema=cinema, timezone="UTC").id)


# --- filters of shows -----------------------------------------------------------------------


def test_shows_of_some_days_and_a_screen(
    client: FlaskClient, make_movie: Callable[..., int], make_show: Callable[..., int]
) -> None:
    film = make_movie()
    shows = [make_show(movie_id=film, starts_in=timedelta(days=day)) for day in (2, 3, 4, 5)]
    days = [client.get(f"/api/shows/{show}/").json["date_time"][:10] for show in shows]
    for path in ("/api/shows/", f"/api/movies/{film}/shows/"):
        assert ids(client.get(f"{path}?from={days[1]}&to={days[2]}")) == shows[1:3]
        assert ids(client.get(f"{path}?from={days[2]}")) == shows[2:]
        assert ids(client.get(f"{path}?to={days[0]}")) == shows[:1]
        assert ids(client.get(f"{path}?from={days[0]}&to={days[3]}&date={days[1]}")) == shows[1:2]
        screen = client.get(f"/api/shows/{shows[3]}/").json["screen"]
        assert ids(client.get(f"{path}?screen={screen}")) == shows[3:]
        refused = client.get(f"{path}?from={days[1]}&to={days[0]}")
        assert refused.status_code == 422
        assert wrong(refused) == {"query to": ["Must not be before from."]}


def test_days_are_business_days(app: Flask, make_show: Callable[..., int]) -> None:
    show = make_show()
    execute(sa.update(Show).values(local_date=date(2029, 5, 5)))
    wanted = {"page": 1, "page_size": 5, "when": "all"}
    day, next_day = date(2029, 5, 5), date(2029, 5, 6)
    found = show_queries.list_shows(since=day, until=day, **wanted)
    assert [one.id for one in found.items] == [show]
    assert not show_queries.list_shows(since=next_day, **wanted).items


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("format=imax", [0]),
        ("language=FRANÇAIS", [0]),
        ("subtitles=deutsch", [1]),
        ("format=IMAX&subtitles=deutsch", []),
        ("format=max", []),
    ],
)
def test_shows_are_filtered_by_how_they_are_presented(
    client: FlaskClient, make_show: Callable[..., int], query: str, found: list[int]
) -> None:
    shows = [
        make_show(format="IMAX", language="Français"),
        make_show(language="English", subtitles="Deutsch"),
        make_show(),
    ]
    assert ids(client.get(f"/api/shows/?{query}")) == [shows[place] for place in found]


# --- the facts of films ---------------------------------------------------------------------


def test_a_film_says_what_else_is_known_of_it(client: FlaskClient, staff: Caller) -> None:
    film = {"title": "Amélie", "duration_minutes": 122}
    made = staff.post("/api/movies/", film | FACTS)
    assert made.status_code == 201, made.text
    path = f"/api/movies/{made.json['id']}/"
    assert {name: client.get(path).json[name] for name in FACTS} == FACTS
    assert client.get("/api/movies/").json == [made.json]
    event = staff.get("/api/audit/?action=movie.created").json[0]
    assert event["after"]["release_date"] == "2001-04-25"
    cleared = staff.patch(path, dict.fromkeys(FACTS))
    assert [cleared.json[name] for name in FACTS] == [None] * len(FACTS)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/",
        "//example.com/",
        "example.com",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://example.com:99999/",
        "https://[::1/",
        "https://example.com/a b",
        'https://example.com/"onload',
    ],
)
@pytest.mark.parametrize("name", ["poster_url", "trailer_url"])
def test_addresses_are_https(staff: Caller, name: str, address: str) -> None:
    refused = staff.post("/api/movies/", {"title": "F", "duration_minutes": 1, name: address})
    assert refused.status_code == 422
    assert "https://" in wrong(refused)[f"/{name}"][0]


def test_no_two_films_have_the_same_external_id(
    staff: Caller, make_movie: Callable[..., int]
) -> None:
    first, second = make_movie(external_id="tt1"), make_movie()
    film = {"title": "F", "duration_minutes": 1, "external_id": "tt1"}
    for refused in (
        staff.post("/api/movies/", film),
        staff.patch(f"/api/movies/{second}/", {"external_id": "tt1"}),
    ):
        assert (refused.status_code, refused.json["code"]) == (409, "external_id_taken")
        assert "'tt1'" in refused.json["detail"]
    assert staff.patch(f"/api/movies/{first}/", {"external_id": "tt1"}).status_code == 200
    staff.delete(f"/api/movies/{first}/")
    assert staff.patch(f"/api/movies/{second}/", {"external_id": "tt1"}).status_code == 200


@pytest.mark.parametrize("name", ["title", "original_title", "sort_title", "director"])
def test_marks_that_turn_the_direction_are_dropped_from_titles(staff: Caller, name: str) -> None:
    film = {"title": "F", "duration_minutes": 1, name: f"{MARKS}שלום{MARKS} 2{MARKS}"}
    assert staff.post("/api/movies/", film).json[name] == "שלום 2"
    refused = staff.post("/api/movies/", film | {name: MARKS})
    assert wrong(refused) == {f"/{name}": ["Must not be blank."]}
