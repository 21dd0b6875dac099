"""What a 422 says: a list of errors, each with its place, a word for programs and a sentence."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conftest import Caller

# The form does not depend on the database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

FILM = {"title": "Film", "duration_minutes": 90}
SHOW = {"screen_name": "1", "total_seats": 5, "date_time": "2030-01-31T20:00:00Z"}
ROW = {"label": "A", "seats": 5}


def codes(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["pointer"]: error["code"] for error in answer.json["errors"]}


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/api/movies/", {}, {"/title": "required", "/duration_minutes": "required"}),
        ("/api/movies/", FILM | {"title": None}, {"/title": "null"}),
        ("/api/movies/", FILM | {"title": " "}, {"/title": "blank"}),
        ("/api/movies/", FILM | {"title": "a\x07"}, {"/title": "control_characters"}),
        ("/api/movies/", FILM | {"title": "a" * 201}, {"/title": "too_long"}),
        ("/api/movies/", FILM | {"duration_minutes": 0}, {"/duration_minutes": "out_of_range"}),
        ("/api/movies/", FILM | {"duration_minutes": "x"}, {"/duration_minutes": "invalid"}),
        ("/api/movies/", FILM | {"genres": ["x"] * 11}, {"/genres": "too_many"}),
        ("/api/movies/", FILM | {"genres": ["x", ""]}, {"/genres/1": "blank"}),
        ("/api/movies/", FILM | {"poster_url": "ftp://x"}, {"/poster_url": "not_https"}),
        ("/api/movies/", FILM | {"a/b~c": 1}, {"/a~1b~0c": "unknown"}),
        ("/api/movies/", [], {"": "type"}),
        ("/api/login/", {"username": "a", "password": ""}, {"/password": "invalid_length"}),
        ("/api/screens/", {"name": "x", "rows": [ROW, 5]}, {"/rows/1": "type"}),
        (
            "/api/screens/",
            {"name": "x", "rows": [ROW, {"label": "B", "seats": [{"number": 1, "kind": "x"}]}]},
            {"/rows/1/seats/0/kind": "not_a_choice"},
        ),
        (
            "/api/screens/",
            {"name": "x", "rows": [ROW], "out_of_order": ["A1", "B1"]},
            {"/out_of_order/1": "unknown_seat"},
        ),
        (
            "/api/cinemas/",
            {"name": "x", "timezone": "UTC", "currency": "x"},
            {"/currency": "invalid_format"},
        ),
        ("/api/movies/{movie}/shows/", SHOW | {"prices": {"vip": 5}}, {"/prices/vip": "invalid"}),
        ("/api/movies/{movie}/shows/", SHOW | {"prices": {"a" * 51: "5"}}, None),
        (
            "/api/movies/{movie}/shows/",
            {"date_time": SHOW["date_time"]},
            {"/screen_name": "required", "/total_seats": "required"},
        ),
        ("/api/shows/{show}/book/", {}, {"/seat_number": "required"}),
        ("/api/shows/{show}/book/", {"category": "vip"}, {"/seat_number": "required"}),
        ("/api/shows/{show}/book/", {"seat_numbers": ["1", 77, "2"]}, None),
        ("/api/shows/{show}/book/", {"seat_number": "77"}, {"/seat_number": "unknown_seat"}),
        ("/api/shows/{show}/book/", {"seat_numbers": ["1", "1"]}, {"/seat_numbers": "repeated"}),
    ],
)
def test_an_error_has_a_pointer_and_a_code(
    staff: Caller, make_movie: Callable[..., int], show_id: int, path: str, body: Any, expected: Any
) -> None:
    answer = staff.post(path.format(movie=make_movie(), show=show_id), body)
    if expected is None:
        expected = {"/seat_numbers/1": "unknown_seat"}
        if "prices" in body:
            expected = {f"/prices/{'a' * 51}": "too_long"}
    assert codes(answer) == expected


def test_each_seat_that_is_not_there_is_pointed_at(alice: Caller, show_id: int) -> None:
    answer = alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["Z9", "1", "Y8"]})
    assert answer.json["detail"].startswith("seat_numbers: The show has no seat Y8, Z9")
    assert answer.json["errors"] == [
        {
            "pointer": "/seat_numbers/0",
            "code": "unknown_seat",
            "detail": "The show has no seat Z9.",
        },
        {
            "pointer": "/seat_numbers/2",
            "code": "unknown_seat",
            "detail": "The show has no seat Y8.",
        },
    ]


@pytest.mark.parametrize(
    ("query", "name", "code"),
    [
        ("page=0", "page", "out_of_range"),
        ("page=x", "page", "invalid"),
        ("page=1&page=2", "page", "repeated"),
        ("nothing=1", "nothing", "unknown"),
        ("search=%20", "search", "blank"),
    ],
)
def test_of_a_query_it_has_the_name(client: FlaskClient, query: str, name: str, code: str) -> None:
    answer = client.get(f"/api/movies/?{query}")
    assert answer.status_code == 422
    (error,) = answer.json["errors"]
    assert error.pop("detail") == answer.json["detail"].removeprefix(f"{name}: ")
    assert error == {"in": "query", "name": name, "code": code}


def test_what_a_service_refuses_of_a_query_has_the_name_too(client: FlaskClient) -> None:
    answer = client.get("/api/shows/?from=2030-01-02&to=2030-01-01")
    (error,) = answer.json["errors"]
    assert (error["in"], error["name"], error["code"]) == ("query", "to", "invalid")
