"""Whatever is wrong with a value: 422 naming its place and field, and nothing written."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from booking_app.auth.models import Session
from booking_app.core.database import db, reading
from booking_app.web.fields import Text
from tests.conftest import PASSWORD, Caller, rows
from tests.wrong import wrong

pytestmark = pytest.mark.usefixtures("in_2030")

TOO_BIG = 2**63
LONG = "x" * 10_001  # more than any field takes, and within what strangers may send

# What no field of the type takes; None where the field may be null is left out there.
TEXT = [None, 5, 1.5, True, [], {}, "", "  ", "\t", "a\x00b", "a\x1fb", "a\x7fb", LONG]
TEXT += ["a\ufffeb"]
SMALL = [None, "5", "٥", 1.5, True, [], {}, "", "x", 0, -1, TOO_BIG, -TOO_BIG, 10**30]
FLAG = [None, 0, 1, "true", "", [], {}]
MONEY = [None, 5, 9.5, True, [], "", " 1.00", "1,00", "-1.00", "1.005", "٥.00", "1000000.01", "1e3"]
TIME = [None, 5, True, [], "", "x", "2030-01-01", "2030-01-01T10:00:00", "2030-13-01T10:00:00Z"]
TIME += ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "٢٠٣٠-01-01T10:00:00Z", TOO_BIG]
SEAT = [None, 1.5, True, [], {}, "", " ", "a\x00", "x" * 61, TOO_BIG, "٥", -1]
SEATS = [None, "5", 5, {}, [], [None], [[]], [1.5], ["1", "1"], [1, "1"], ["x" * 61], ["1\x00"]]
SEATS += [[str(n) for n in range(200)]]

PRICES = [None, [], "1", {"x": 1}, {"x": "1"}, {"": "1.00"}, {"standard": "x"}]
ROW = {"label": "A", "seats": 5}
ROWS = [None, {}, "A", [], [None], [5], [{}], [{"label": "A"}], [{"seats": 5}], [ROW, ROW]]
ROWS += [[ROW | {"label": wrong}] for wrong in ("", " ", None, 5, "A" * 21, "A  B", "A\x00")]
ROWS += [
    [ROW | {"label": wrong}] for wrong in ("A-", "A\u00a0B", *(f"A{sign}" for sign in ',;|_="'))
]
ROWS += [[ROW | {"seats": wrong}] for wrong in (None, 0, -1, "5", 1.5, TOO_BIG, 5001)]
ROWS += [[ROW | {"seats": wrong}] for wrong in ([], {}, True, [None], [True], [1, 1], [[1]], [-1])]
ROWS += [[ROW | {"seats": [wrong]}] for wrong in ("", "1-", "a b", "1234567", 1234567, 1.5, "1_")]
ROWS += [[ROW | {"seats": [{"number": 1} | wrong]}] for wrong in ({"kind": "x"}, {"category": 5})]
ROWS += [[ROW | {"seats": [1, {"number": 1}]}], [ROW | {"seats": [{}]}]]
ROWS += [[ROW | {"seats": [1], name: [1]}] for name in ("gaps", "accessible")]
ROWS += [[ROW | {"seats": [{"number": n, "kind": "pair"} for n in range(3)]}]]
ROWS += [
    [ROW | wrong] for wrong in ({"offset": 201}, {"offset": "1"}, {"walkway": 1}, {"block": 5})
]
ROWS += [[ROW | {"beside": wrong}] for wrong in ("A", "", 5, [])]
ROWS += [[ROW | {"gaps": wrong}] for wrong in (None, [0], [5], ["1"], [TOO_BIG], 3)]
ROWS += [[ROW | {"accessible": wrong}] for wrong in (None, [0], [6], [True], "1")]
ROWS += [[ROW | {"category": wrong}] for wrong in (None, "", 5, "x" * 31)]
ROWS += [[ROW | {"nothing": 1}], [ROW | {"label": str(n), "seats": 51} for n in range(100)]]
SIGNUP = {"username": "new", "password": PASSWORD}
LOGIN = {"username": "alice", "password": PASSWORD}
PASSWORDS = {"old_password": PASSWORD, "new_password": "staple-battery-horse"}
MOVIE = {"title": "Film", "duration_minutes": 90}
DAY_START = [None, 6, "", "6:00", "06", "05:60", "05:00:00", "12:01", "24:00", "٠٦:٠٠", "06:00\n"]
PLANNED = {"screen": 1, "date_time": "2030-01-31T20:00:00Z"}
CINEMA = {"name": "New", "timezone": "Europe/Vienna"}
SCREEN = {"name": "New", "rows": [{"label": "A", "seats": 5}]}
SHOW = {"screen_name": "1", "date_time": "2030-01-31T20:00:00Z", "total_seats": 5}


def optional(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not None]


FIELDS: list[tuple[str, str, dict[str, Any], str, list[Any]]] = [
    ("post", "/api/signup/", SIGNUP, "username", [*TEXT, "a b", "a\u200b"]),
    ("post", "/api/signup/", SIGNUP, "password", [None, 5, [], "", "short", "a\x00bcdefgh", LONG]),
    ("post", "/api/signup/", SIGNUP, "email", [*optional(TEXT), "x", "@x", "x@", "a b@c"]),
    ("post", "/api/login/", LOGIN, "username", TEXT),
    ("post", "/api/login/", LOGIN, "password", [None, 5, [], "", "a\x00", LONG]),
    ("post", "/api/token/refresh/", {}, "refresh", [*TEXT]),
    ("post", "/api/logout/", {}, "refresh", [*TEXT]),
    ("put", "/api/me/password/", PASSWORDS, "old_password", [None, 5, [], "", "a\x00", LONG]),
    ("put", "/api/me/password/", PASSWORDS, "new_password", [None, 5, "", "short", "staff", LONG]),
    ("patch", "/api/accounts/{account}/", {}, "is_staff", FLAG),
    ("patch", "/api/accounts/{account}/", {}, "is_disabled", FLAG),
    ("post", "/api/movies/", MOVIE, "title", [*TEXT, "x" * 201]),
    ("post", "/api/movies/", MOVIE, "duration_minutes", [*SMALL, 1441]),
    ("post", "/api/movies/", MOVIE, "year", [*optional(SMALL), 1800, 3000]),
    ("post", "/api/movies/", MOVIE, "language", optional(TEXT)),
    (
        "post",
        "/api/movies/",
        MOVIE,
        "genres",
        [None, "Drama", 5, [None], [""], ["a|b"], ["x"] * 11],
    ),
    ("post", "/api/movies/", MOVIE, "age_rating", optional(TEXT)),
    ("post", "/api/movies/", MOVIE, "director", optional(TEXT)),
    ("post", "/api/movies/", MOVIE, "description", [5, [], "", "a\x00", LONG]),
    ("post", "/api/movies/", MOVIE, "on_sale", FLAG),
    ("patch", "/api/movies/{movie}/", {}, "title", TEXT),
    ("patch", "/api/movies/{movie}/", {}, "duration_minutes", SMALL),
    ("patch", "/api/movies/{movie}/", {}, "on_sale", FLAG),
    ("post", "/api/movies/{movie}/shows/", SHOW, "screen_name", [*TEXT, "x" * 101]),
    ("post", "/api/movies/{movie}/shows/", SHOW, "date_time", TIME),
    ("post", "/api/movies/{movie}/shows/", SHOW, "total_seats", [*SMALL, 5001]),
    ("post", "/api/movies/{movie}/shows/", SHOW, "price", MONEY),
    ("post", "/api/movies/{movie}/shows/", SHOW, "on_sale", FLAG),
    ("patch", "/api/shows/{show}/", {}, "screen_name", TEXT),
    ("patch", "/api/shows/{show}/", {}, "date_time", TIME),
    ("patch", "/api/shows/{show}/", {}, "total_seats", SMALL),
    ("patch", "/api/shows/{show}/", {}, "price", MONEY),
    ("patch", "/api/shows/{show}/", {}, "on_sale", FLAG),
    ("post", "/api/movies/{movie}/shows/", PLANNED, "screen", SMALL),
    ("post", "/api/movies/{movie}/shows/", PLANNED, "prices", PRICES),
    ("post", "/api/movies/{movie}/shows/", PLANNED, "no_single_gaps", FLAG),
    ("patch", "/api/shows/{show}/", {}, "prices", PRICES),
    ("patch", "/api/shows/{show}/", {}, "no_single_gaps", FLAG),
    ("post", "/api/cinemas/", CINEMA, "name", [*TEXT, "x" * 101]),
    ("post", "/api/cinemas/", CINEMA, "city", optional(TEXT)),
    ("post", "/api/cinemas/", CINEMA, "timezone", [*TEXT, "Mars/Olympus", "Europe", "../x"]),
    ("patch", "/api/cinemas/{cinema}/", {}, "name", TEXT),
    ("patch", "/api/cinemas/{cinema}/", {}, "timezone", [*TEXT, "Mars/Olympus"]),
    ("post", "/api/cinemas/", CINEMA, "day_starts_at", DAY_START),
    ("patch", "/api/cinemas/{cinema}/", {}, "day_starts_at", DAY_START),
    ("post", "/api/screens/", SCREEN, "name", [*TEXT, "x" * 101]),
    ("post", "/api/screens/", SCREEN, "rows", ROWS),
    ("post", "/api/screens/", SCREEN, "cinema", [*SMALL, 999]),
    ("patch", "/api/screens/{screen}/", {}, "rows", ROWS),
    ("patch", "/api/screens/{screen}/", {}, "name", TEXT),
    *[
        (method, path, {} if field != "category" else {"quantity": 1}, field, values)
        for method, path in (
            ("post", "/api/shows/{show}/book/"),
            ("post", "/api/shows/{show}/hold/"),
        )
        for field, values in (
            ("seat_number", SEAT),
            ("seat_numbers", SEATS),
            ("quantity", [*SMALL, 101]),
            ("category", [*TEXT, "no such one"]),
        )
    ],
    ("post", "/api/bookings/{booking}/cancel/", {}, "seat_numbers", [*SEATS, ["1"]]),
]
BODIES = {(method, path): body for method, path, body, _, _ in FIELDS}
BODIES["post", "/api/bookings/{booking}/confirm/"] = {}
BODIES["post", "/api/bookings/{booking}/extend/"] = {}

LISTS = ["/api/movies/", "/api/shows/", "/api/movies/{movie}/shows/", "/api/my-bookings/"]
LISTS += ["/api/me/sessions/", "/api/accounts/", "/api/audit/", "/api/reports/shows/"]
QUERIES: list[tuple[str, str, list[str]]] = [
    *[(path, "page", ["", "0", "-1", "x", "1.5", "٣", "9" * 25, "%00"]) for path in LISTS],
    *[(path, "page_size", ["", "0", "101", "x", "٣"]) for path in LISTS],
    ("/api/movies/", "search", ["", "%20", "a%00", "x" * 201]),
    ("/api/movies/", "genre", ["", "a%00", "x" * 51]),
    ("/api/movies/", "language", ["", "a%00"]),
    ("/api/movies/", "on_sale", ["", "1", "yes"]),
    ("/api/shows/", "date", ["", "x", "2030-02-30", "30-01-01", "2030-1-1", "٢٠٣٠-01-01"]),
    ("/api/shows/", "when", ["", "never"]),
    ("/api/shows/", "movie", ["", "0", "x", str(TOO_BIG)]),
    ("/api/shows/", "cinema", ["", "0", "x", str(TOO_BIG)]),
    ("/api/movies/{movie}/shows/", "date", ["x"]),
    ("/api/my-bookings/", "status", ["", "sold"]),
    ("/api/reports/shows/", "cinema", ["", "0", "x"]),
    ("/api/accounts/", "search", ["", "%20", "a%00", "x" * 151]),
    ("/api/audit/", "action", ["", "account.sold"]),
    ("/api/audit/", "actor", ["", "0", "x", str(TOO_BIG)]),
    ("/api/audit/", "object_type", ["", "seat"]),
    ("/api/audit/", "object", ["", "0", "x"]),
    ("/api/audit/", "since", ["", "x", "2030-01-01", "2030-01-01T10:00:00"]),
    ("/api/audit/", "until", ["", "x"]),
]


@pytest.fixture
def paths(alice: Caller, staff: Caller, show_id: int) -> dict[str, int]:
    """Ids to put into paths. The callers are staff, so that nothing but the value is wrong."""
    booking = staff.post(f"/api/shows/{show_id}/book/", {"seat_number": 10}).json["id"]
    screen = staff.get(f"/api/shows/{show_id}/").json["screen"]
    staff.patch(f"/api/screens/{screen}/", {"rows": [{"label": "A", "seats": 5}]})
    return {
        "screen": screen,
        "cinema": 1,
        "show": show_id,
        "movie": staff.get(f"/api/shows/{show_id}/").json["movie"],
        "booking": booking,
        "account": alice.id,
        "session": rows(Session, Session.id)[0].id,
    }


def everything() -> dict[str, Any]:
    """Every row of every table."""
    with reading() as connection:
        return {
            table.name: connection.execute(sa.select(table).order_by(*table.primary_key)).all()
            for table in db.metadata.sorted_tables
        }


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "values"),
    FIELDS,
    ids=[f"{method} {path} {field}" for method, path, _, field, _ in FIELDS],
)
def test_a_wrong_value_in_a_body(
    staff: Caller,
    paths: dict[str, int],
    method: str,
    path: str,
    body: dict[str, Any],
    field: str,
    values: list[Any],
) -> None:
    before = everything()
    for value in values:
        answer = getattr(staff, method)(path.format(**paths), body | {field: value})
        assert answer.status_code == 422, (field, value, answer.text)
        assert answer.json["code"] == "validation_failed"
        for place in wrong(answer):  # the field, or a part of it
            assert f"{place}/".startswith(f"/{field}/"), (field, value, answer.text)
    assert everything() == before


def test_text_has_no_noncharacters() -> None:
    """Unicode has 66 of them; those beside them are characters."""
    ends = {plane + last for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)}
    field = Text(max_length=10)
    for code in (*ends, *range(0xFDD0, 0xFDF0)):
        with pytest.raises(ValidationError, match="control characters"):
            field.deserialize(f"a{chr(code)}")
    for code in (0xFDCF, 0xFDF0, 0xFFFD, 0x10000, 0x1FFFD, 0x10FFFD):
        assert field.deserialize(f"a{chr(code)}") == f"a{chr(code)}"


@pytest.mark.parametrize(("method", "path"), BODIES, ids=[f"{m} {p}" for m, p in BODIES])
def test_unknown_and_missing_fields_in_a_body(
    staff: Caller, paths: dict[str, int], method: str, path: str
) -> None:
    body = BODIES[method, path]
    path = path.format(**paths)
    before = everything()
    answer = getattr(staff, method)(path, body | {"nothing": 1})
    assert answer.status_code == 422
    assert "/nothing" in wrong(answer)
    for field in body:
        rest = {name: value for name, value in body.items() if name != field}
        answer = getattr(staff, method)(path, rest)
        assert answer.status_code == 422
        assert answer.json["errors"]
    for other in ([], "x", 5, None, True):
        answer = getattr(staff, method)(path, data=_dumps(other), content_type="application/json")
        assert answer.status_code == 422, (other, answer.text)
    assert everything() == before


def _dumps(value: Any) -> bytes:
    import orjson

    return orjson.dumps(value)


def test_both_of_two_exclusive_fields(staff: Caller, paths: dict[str, int]) -> None:
    before = everything()
    body = {"seat_number": "1", "seat_numbers": ["2"]}
    for sent in (body, {}):
        answer = staff.post(f"/api/shows/{paths['show']}/book/", sent)
        assert answer.status_code == 422
        assert answer.json["errors"]
    assert everything() == before


@pytest.mark.parametrize(
    ("path", "name", "values"), QUERIES, ids=[f"{path} {name}" for path, name, _ in QUERIES]
)
def test_a_wrong_value_in_a_query(
    staff: Caller, paths: dict[str, int], path: str, name: str, values: list[str]
) -> None:
    for value in values:
        answer = staff.get(f"{path.format(**paths)}?{name}={value}")
        assert answer.status_code == 422, (name, value, answer.text)
        assert list(wrong(answer)) == [f"query {name}"]


def test_unknown_and_repeated_query_parameters_are_refused_everywhere(
    staff: Caller, paths: dict[str, int]
) -> None:
    app = staff.client.application
    calls = [
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"})
    ]
    assert len(calls) > 15
    before = everything()
    for method, template in calls:
        path = template
        for name, value in paths.items():
            path = path.replace(f"<id:{name}_id>", str(value))
        answer = getattr(staff, method.lower())(f"{path}?nothing=1")
        assert answer.status_code == 422, (method, path, answer.text)
        assert list(wrong(answer)) == ["query nothing"]
    twice = staff.get("/api/movies/?page=1&page=2")
    assert list(wrong(twice)) == ["query page"]
    assert everything() == before


@pytest.mark.parametrize("page", [2, 2**31])
def test_a_page_beyond_the_last_is_empty(
    client: FlaskClient, make_movie: Callable[..., int], page: int
) -> None:
    make_movie()
    answer = client.get(f"/api/movies/?page={page}&page_size=100")
    assert answer.json == []
    assert '"total":1' in answer.headers["X-Pagination"]


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(("method", "path"), BODIES, ids=[f"{m} {p}" for m, p in BODIES])
def test_no_json_at_all_ends_in_a_500(
    staff: Caller, paths: dict[str, int], method: str, path: str
) -> None:
    fields = [field for m, p, _, field, _ in FIELDS if (m, p) == (method, path)] or ["x"]
    body = BODIES[method, path]
    path = path.format(**paths)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(field=st.sampled_from(fields), value=JSON_VALUES)
    def send(field: str, value: Any) -> None:
        answer = getattr(staff, method)(path, body | {field: value})
        assert answer.status_code < 500
        assert b"internal" not in answer.data

    send()
