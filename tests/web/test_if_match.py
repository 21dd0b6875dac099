"""`If-Match` and the tags of single things: what staff have not seen they don't overwrite."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import marshmallow as ma
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.audit.models import AuditEvent
from booking_app.auth import schemas as auth_schemas
from booking_app.auth.accounts import COLUMNS
from booking_app.auth.models import User
from booking_app.catalog import cinema_schemas, schemas, venue_schemas
from booking_app.catalog.models import Cinema, Movie, Screen, Show, ShowSeat
from booking_app.catalog.movies import MOVIE
from booking_app.catalog.venue_rows import CINEMA, SCREEN
from booking_app.core.database import UtcDateTime, begin_writing, db
from tests.conftest import Caller, rows
from tests.contract import document
from tests.migrating import release_before_may_serve

PLAN = [{"label": "A", "seats": 6}]
AT, MORNING, LATER = "2030-01-31T20:00:00Z", "2030-02-01T10:00:00Z", "2030-02-02T20:00:00Z"
KINDS = ("movie", "cinema", "screen", "show", "account", "blocked")

pytestmark = pytest.mark.usefixtures("in_2030")


@dataclass(frozen=True)
class Thing:
    """A single thing at its path; two changes of it, the tag of the answer that made it."""

    path: str
    change: dict[str, Any]
    other: dict[str, Any]
    tag: str | None = None
    method: str = "patch"

    def send(self, by: Caller, body: dict[str, Any], if_match: str | None = None) -> Any:
        """Change it."""
        headers = {} if if_match is None else {"If-Match": if_match}
        return getattr(by, self.method)(self.path, body, headers=headers)


@pytest.fixture
def things(staff: Caller, alice: Caller) -> dict[str, Thing]:
    """One of each kind. The show is on the screen, with the film."""

    def made(path: str, body: dict[str, Any], *changes: dict[str, Any]) -> tuple[int, Thing]:
        answer = staff.post(path, body)
        assert answer.status_code == 201
        number = answer.json["id"]
        place = "/api/shows/" if path.endswith("/shows/") else path
        return number, Thing(f"{place}{number}/", *changes, tag=answer.headers["ETag"])

    movie, film = made(
        "/api/movies/", {"title": "M", "duration_minutes": 90}, {"year": 1949}, {"year": 1950}
    )
    _, cinema = made(
        "/api/cinemas/", {"name": "C", "timezone": "UTC"}, {"city": "Wien"}, {"city": "Linz"}
    )
    hall, screen = made(
        "/api/screens/", {"name": "S", "rows": PLAN}, {"name": "T"}, {"turnaround_minutes": 5}
    )
    on_screen = {"screen": hall, "date_time": AT, "price": "9.50"}
    _, show = made(f"/api/movies/{movie}/shows/", on_screen, {"price": "8.00"}, {"note": "3D"})
    block = [{"seats": [{"seat_number": label, "kind": "house"}]} for label in ("A1", "A2")]
    return {
        "movie": film,
        "cinema": cinema,
        "screen": screen,
        "show": show,
        "account": Thing(f"/api/accounts/{alice.id}/", {"is_disabled": True}, {"is_staff": True}),
        "blocked": Thing(f"{show.path}blocked-seats/", *block, method="put"),
    }


def everything() -> list[Any]:
    """All that staff change, and what was written down of it."""
    return [rows(table) for table in (Movie, Cinema, Screen, Show, ShowSeat, User, AuditEvent)]


# --- what a stale tag does ------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_what_was_changed_meanwhile_is_412_and_changes_nothing(
    kind: str, things: dict[str, Thing], staff: Caller
) -> None:
    thing = things[kind]
    seen = staff.get(thing.path).headers["ETag"]
    assert thing.tag in (None, seen)
    by_other = thing.send(staff, thing.other, seen)
    assert by_other.status_code == 200
    assert by_other.headers["ETag"] == staff.get(thing.path).headers["ETag"] != seen
    before = everything()
    stale = thing.send(staff, thing.change, seen)
    assert (stale.status_code, stale.json["code"]) == (412, "changed_meanwhile")
    assert everything() == before
    # Without, and with the present one, it is done.
    assert thing.send(staff, thing.change, by_other.headers["ETag"]).status_code == 200
    assert thing.send(staff, thing.other).status_code == 200


@pytest.mark.parametrize("kind", ["movie", "cinema", "screen", "show"])
def test_what_was_changed_meanwhile_is_not_deleted(
    kind: str, things: dict[str, Thing], staff: Caller
) -> None:
    thing = things[kind]
    seen = staff.get(thing.path).headers["ETag"]
    thing.send(staff, thing.change)
    before = everything()
    stale = staff.delete(thing.path, headers={"If-Match": seen})
    assert (stale.status_code, stale.json["code"]) == (412, "changed_meanwhile")
    assert everything() == before
    if kind == "screen":
        staff.delete(things["show"].path)
    present = staff.get(thing.path).headers["ETag"]
    assert staff.delete(thing.path, headers={"If-Match": present}).status_code == 204


def test_every_change_by_staff_takes_it(app: Flask) -> None:
    """Whatever staff change by PATCH, PUT or DELETE, and nothing else."""
    calls = [
        (method, template, operation)
        for template, methods in document(app)["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "patch", "put", "delete")
    ]
    changes = {
        (method, template)
        for method, template, operation in calls
        if method in ("patch", "put", "delete") and "staff_only" in str(operation["responses"])
    }
    taking = {
        (method, template)
        for method, template, operation in calls
        if "'If-Match'" in str(operation.get("parameters"))
    }
    assert taking == changes
    assert len(changes) == 11


def test_it_is_compared_before_any_other_conflict(
    things: dict[str, Thing], staff: Caller, alice: Caller
) -> None:
    """What else is in the way is said to those who know what they change."""
    screen, cinema, show, movie = (things[kind] for kind in ("screen", "cinema", "show", "movie"))
    for path, body in (
        ("/api/cinemas/", {"name": "Taken", "timezone": "UTC"}),
        ("/api/screens/", {"name": "Taken", "rows": PLAN}),
        ("/api/movies/", {"title": "T", "duration_minutes": 9, "external_id": "taken"}),
    ):
        assert staff.post(path, body).status_code == 201
    alice.post(f"{show.path}book/", {"seat_number": "A1"})
    on_screen = {"screen": staff.get(show.path).json["screen"], "date_time": MORNING}
    assert staff.post(f"{movie.path}shows/", on_screen).status_code == 201
    pair = [{"label": "A", "seats": [{"number": n, "kind": "pair"} for n in (1, 2)]}]
    own = f"/api/accounts/{staff.id}/"
    blocked = {"seats": [{"seat_number": "A1", "kind": "house"}]}
    unknown = {"seats": [{"seat_number": "Z9", "kind": "house"}]}
    cases: list[tuple[str, str, Any, str]] = [
        ("patch", movie.path, {"external_id": "taken"}, "external_id_taken"),
        ("patch", movie.path, {"duration_minutes": 1440}, "show_overlap"),
        ("delete", movie.path, None, "has_bookings"),
        ("patch", cinema.path, {"name": "taken"}, "name_taken"),
        ("delete", "/api/cinemas/2/", None, "in_use"),
        ("patch", screen.path, {"name": "taken"}, "name_taken"),
        ("patch", screen.path, {"rows": pair, "out_of_order": ["A1"]}, "pair_split"),
        ("patch", screen.path, {"out_of_order": ["Z9"]}, "validation_failed"),
        ("delete", screen.path, None, "in_use"),
        ("patch", show.path, {"date_time": "2030-03-01T20:00:00Z"}, "has_bookings"),
        ("patch", show.path, {"prices": {"vip": "1.00"}}, "validation_failed"),
        ("delete", show.path, None, "has_bookings"),
        ("put", things["blocked"].path, blocked, "seats_sold"),
        ("put", things["blocked"].path, unknown, "validation_failed"),
        ("patch", own, {"is_staff": False}, "own_account"),
    ]
    for method, path, body, code in cases:
        call = getattr(staff, method)
        stale = call(path, body, headers={"If-Match": '"stale"'})
        assert (stale.status_code, stale.json["code"]) == (412, "changed_meanwhile"), (path, body)
        assert call(path, body, headers={"If-Match": "*"}).json["code"] == code
    with release_before_may_serve():
        for thing, body in (
            (cinema, {"day_starts_at": "06:00"}),
            (screen, {"turnaround_minutes": 5}),
            (show, {"preshow_minutes": 5}),
            (things["blocked"], {"seats": [{"seat_number": "A3", "kind": "house"}]}),
        ):
            assert thing.send(staff, body, '"stale"').status_code == 412
            assert thing.send(staff, body, "*").json["code"] == "upgrade_unfinished"


def test_who_may_not_change_it_and_what_is_not_there_comes_first(
    client: FlaskClient, things: dict[str, Thing], staff: Caller, alice: Caller
) -> None:
    """RFC 9110, 13.2.1: what would be refused without the condition is refused as that."""
    seen = {"If-Match": '"stale"'}
    for thing in things.values():
        anonymous = client.open(thing.path, method=thing.method, json=thing.change, headers=seen)
        assert anonymous.status_code == 401
        assert thing.send(alice, thing.change, '"stale"').status_code == 403
        assert thing.send(staff, {"nothing": 1}, '"stale"').status_code == 422
    for kind in ("movies", "cinemas", "screens", "shows"):
        for tag in ('"stale"', "*"):
            for method in ("patch", "delete"):
                body = {} if method == "patch" else None
                call = getattr(staff, method)
                missing = call(f"/api/{kind}/999/", body, headers={"If-Match": tag})
                assert (missing.status_code, missing.json["code"]) == (404, "not_found")


# --- the header -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("{tag}", 200),
        ("  {tag}\t", 200),
        ('"other", {tag}', 200),
        ('"a,b" ,, {tag} ,', 200),
        ('W/"x,",{tag}', 200),
        ("*", 200),
        (" * ", 200),
        ("W/{tag}", 412),  # RFC 9110, 13.1.1: compared as strong ones
        ('W/{tag}, "other"', 412),
        ('"{bare},", ",{bare}"', 412),
        ('"other"', 412),
        ('""', 412),
        ("", 412),  # a list of none
        (",", 412),
        ("{bare}", 400),
        ('"{bare}', 400),
        ("'{bare}'", 400),
        ("w/{tag}", 400),
        ('"a b", {tag}', 400),
        ("*, {tag}", 400),
        ("{tag}, *", 400),
        ("{tag} {tag}", 400),
        ("{tag};q=1", 400),
        (f"{', ' * 4000}x", 400),
    ],
)
def test_the_header_is_read_as_the_rfc_has_it(
    sent: str, status: int, things: dict[str, Thing], staff: Caller
) -> None:
    film = things["movie"]
    tag = staff.get(film.path).headers["ETag"]
    sent = sent.format(tag=tag, bare=tag.strip('"'))
    answer = film.send(staff, film.change, sent)
    assert answer.status_code == status
    assert (staff.get(film.path).headers["ETag"] != tag) == (status == 200)


# --- many shows -----------------------------------------------------------------------------


def test_many_shows_are_changed_where_each_is_as_it_was_seen(
    staff: Caller, make_show: Callable[..., int]
) -> None:
    """The tags of all of them go into the one header; 200 of them fit into it."""
    ids = [make_show() for _ in range(3)]
    tags = [staff.get(f"/api/shows/{show}/").headers["ETag"] for show in ids]
    assert len(", ".join(tags[:1] * 200)) < 8192

    def change(*seen: str, note: str, dry_run: bool = False) -> Any:
        body = {"ids": ids, "changes": {"note": note}, "dry_run": dry_run}
        return staff.patch("/api/shows/", body, headers={"If-Match": ", ".join(seen)})

    assert change(*tags[:2], note="One").status_code == 412  # the third was not seen
    assert change(*tags, note="Two").status_code == 200
    before = everything()
    for dry_run in (True, False):
        stale = change(*tags, note="Three", dry_run=dry_run)
        assert (stale.status_code, stale.json["code"]) == (412, "changed_meanwhile")
    assert everything() == before
    assert change("*", note="Three").status_code == 200


# --- what a tag covers ----------------------------------------------------------------------

# Another value of each field that staff can send.
VALUES: dict[str, dict[str, Any]] = {
    "movie": {
        "title": "Other",
        "duration_minutes": 91,
        "year": 1950,
        "language": "German",
        "genres": ["Noir"],
        "age_rating": "PG",
        "director": "Carol Reed",
        "description": "Wien.",
        "original_title": "O",
        "sort_title": "S",
        "release_date": "1949-08-31",
        "poster_url": "https://example.com/p.jpg",
        "trailer_url": "https://example.com/t.mp4",
        "external_id": "tt1",
        "on_sale": False,
    },
    "cinema": {
        "name": "Other",
        "city": "Graz",
        "timezone": "Europe/Vienna",
        "day_starts_at": "06:00",
        "currency": "CHF",
    },
    "screen": {
        "name": "Other",
        "rows": [{"label": "A", "seats": [{"number": n} for n in (1, 2, 3, 4, 6, 5)]}],
        "out_of_order": ["A6"],
        "turnaround_minutes": 7,
    },
    "show": {
        "price": "7.00",
        "prices": {"standard": "6.00"},
        "no_single_gaps": True,
        "max_seats_per_account": 3,
        "on_sale": False,
        "note": "Here",
        "format": "3D",
        "language": "German",
        "subtitles": "English",
        "preshow_minutes": 5,
        "intermission_minutes": 6,
        "sales_from": "2030-01-20T00:00:00Z",
        "sales_until": "2030-01-31T19:00:00Z",
        "date_time": LATER,
        "screen": 2,
        "screen_name": "Third",
        "total_seats": 9,
    },
    "account": {"is_staff": True, "is_disabled": True},
}
SCHEMAS: dict[str, ma.Schema] = {
    "movie": schemas.MoviePatch(),
    "cinema": cinema_schemas.CinemaPatch(),
    "screen": venue_schemas.ScreenPatch(),
    "show": schemas.ShowPatch(),
    "account": auth_schemas.AccountPatch(),
}


@pytest.mark.parametrize("kind", VALUES)
def test_every_field_that_staff_can_send_changes_the_tag(
    kind: str, things: dict[str, Thing], staff: Caller, make_show: Callable[..., int]
) -> None:
    assert set(VALUES[kind]) == set(SCHEMAS[kind].fields)
    thing = things[kind]
    for name in ("Second", "Third"):
        staff.post("/api/screens/", {"name": name, "rows": PLAN})
    seen = {staff.get(thing.path).headers["ETag"]}
    for name, value in VALUES[kind].items():
        path = thing.path
        if name == "total_seats":  # only of a show in the short form
            path = f"/api/shows/{make_show()}/"
            seen.add(staff.get(path).headers["ETag"])
        changed = staff.patch(path, {name: value})
        assert changed.status_code == 200, (name, changed.json)
        assert changed.headers["ETag"] not in seen, name
        assert changed.headers["ETag"] == staff.get(path).headers["ETag"], name
        seen.add(changed.headers["ETag"])


# Columns that staff don't change: beside keys those that follow from others, and the version of
# the seat map.
UNSEEN: dict[type[Any], set[str]] = {
    Movie: {"id", "is_demo"},
    Cinema: {"id", "is_default"},
    Screen: {"id"},
    Show: {"id", "local_date", "version"},
    User: {"id", "password_hash"},
}


@pytest.mark.parametrize(
    ("kind", "table"),
    [("movie", Movie), ("cinema", Cinema), ("screen", Screen), ("show", Show), ("account", User)],
)
def test_no_write_is_missed_whoever_writes(
    kind: str, table: type[Any], things: dict[str, Thing], staff: Caller
) -> None:
    """The tag is made of the stored values: whether this release writes them, the one before,
    the loading of a catalogue file or an operator."""
    thing = things[kind]
    staff.post("/api/screens/", {"name": "Second", "rows": PLAN})
    staff.post("/api/movies/", {"title": "Second", "duration_minutes": 90})
    number = int(thing.path.split("/")[3])
    shown = sa.select(table).where(sa.inspect(table).primary_key[0] == number)
    for column in sa.inspect(table).columns:
        if column.key in UNSEEN[table] or column.key.endswith("_key"):
            continue
        before = staff.get(thing.path).headers["ETag"]
        with db.engine.connect() as connection, begin_writing(connection):
            value = getattr(connection.execute(shown).one(), column.key)
            change = {column.key: another(column, value)}
            connection.execute(sa.update(table).where(table.id == number).values(change))
        assert staff.get(thing.path).headers["ETag"] != before, column.key


SAMPLES: dict[str, Any] = {
    "rows": [{"label": "A", "seats": 7}],
    "genres": ["Noir"],
    "out_of_order": ["A1"],
    "prices": {"standard": 500},
    "timezone": "Europe/Rome",
    "day_starts_at": "07:00",
    "currency": "CHF",
    "release_date": date(1949, 8, 31),
}


def another(column: Any, value: Any) -> Any:
    """Another value that the column can have."""
    if column.key in SAMPLES:
        return SAMPLES[column.key]
    if column.foreign_keys:
        return 2 if value != 2 else 1
    if isinstance(column.type, UtcDateTime):
        return (value or datetime(2030, 1, 20, tzinfo=UTC)) - timedelta(minutes=1)
    kind = column.type.python_type
    return (value or 0) + 1 if kind is int else {bool: not value, str: "Other"}[kind]


def test_what_customers_do_leaves_the_tags_of_shows_alone(
    things: dict[str, Thing], staff: Caller, alice: Caller
) -> None:
    """Else staff could not change a show that sells; and the version of the seat map is no tag."""
    show = things["show"]
    seen = staff.get(show.path).headers["ETag"]
    booked = alice.post(f"{show.path}book/", {"seat_number": "A1"}).json
    alice.post(f"/api/bookings/{booked['id']}/cancel/")
    alice.post(f"{show.path}hold/", {"seat_number": "A2"})
    staff.patch(things["movie"].path, {"on_sale": False})  # gives the seat map a new version
    assert show.send(staff, show.change, seen).status_code == 200
    assert rows(Show)[0].price_cents == 800


def test_a_sale_of_a_blocked_seat_changes_the_tag_of_the_list(
    things: dict[str, Thing], staff: Caller
) -> None:
    blocked = things["blocked"]
    seen = blocked.send(staff, blocked.change).headers["ETag"]
    body = {"seat_number": "A1", "username": "alice"}
    assert staff.post(f"{things['show'].path}book/", body).status_code == 201
    assert blocked.send(staff, blocked.other, seen).status_code == 412


def test_a_tag_is_of_one_thing(staff: Caller) -> None:
    """Two that are alike in all but their ids."""
    body = {"title": "Twin", "duration_minutes": 90}
    tags = {staff.post("/api/movies/", body).headers["ETag"] for _ in range(2)}
    assert len(tags) == 2


def test_a_dry_run_has_the_tag_of_what_stays(things: dict[str, Thing], staff: Caller) -> None:
    screen = things["screen"]
    seen = staff.get(screen.path).headers["ETag"]
    looked = screen.send(staff, {"name": "New", "dry_run": True}, seen)
    assert looked.headers["ETag"] == seen == staff.get(screen.path).headers["ETag"]
    assert screen.send(staff, {"name": "New"}, looked.headers["ETag"]).status_code == 200


# Fields of answers that follow from other fields, by which the tag has them too.
DERIVED: dict[str, set[str]] = {"screen": {"total_seats"}}


def test_what_is_answered_as_304_has_all_its_fields_in_the_tag() -> None:
    """A new field that the tag knows nothing of would be hidden by it."""
    answers: dict[str, tuple[ma.Schema, Sequence[Any]]] = {
        "movie": (schemas.Movie(), MOVIE),
        "cinema": (cinema_schemas.Cinema(), CINEMA),
        "screen": (venue_schemas.Screen(), SCREEN),
        "account": (auth_schemas.StaffsAccount(), COLUMNS),
    }
    for kind, (schema, covered) in answers.items():
        named = {field.attribute or name for name, field in schema.fields.items()}
        columns = {column.key for column in covered}
        assert named - columns == DERIVED.get(kind, set()), kind
