"""Halls and shows that release 1.2 made, and what it must not find while it may still serve."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import downgrade, upgrade

from booking_app import VERSION
from booking_app.catalog import kept_plans, show_rules, shows, venues
from booking_app.catalog.models import Screen, Show, ShowSeat
from booking_app.core.database import db, reading
from booking_app.core.schema import SchemaRequirement, finish_upgrade, may_serve
from tests.catalog.test_venues import AT, PLAN
from tests.conftest import NOON, Caller, rows
from tests.migrating import MIGRATIONS, content, fill, rows_of_0002, rows_of_0006

pytestmark = pytest.mark.usefixtures("in_2030")

COUNTS = [{"label": "A", "seats": 4, "gaps": [2]}]
LISTED = [{"label": "A", "seats": [4, 3, None, 2, 1]}]


def test_a_database_that_nobody_used_is_served_by_this_release_only(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS)
    with reading() as connection:
        assert not may_serve(connection, "1.2.0")
        assert may_serve(connection, "1.3.0")


def test_until_the_upgrade_is_finished_plans_are_what_the_release_before_can_read(
    fresh_app: Flask,
) -> None:
    upgrade(MIGRATIONS, "0006")
    fill({name: rows_of_0006()[name] for name in ("cinema", "user_account")})
    upgrade(MIGRATIONS)
    with reading() as connection:
        assert may_serve(connection, "1.2.0")
    counts = venues.create_screen(name="1", rows=COUNTS, cinema=1)
    numeric = [{"label": label, "seats": 12} for label in ("1", "11")]
    wide = [{"label": "A long name", "seats": 1}]
    for rows_ in (LISTED, numeric, wide, [{"label": "A", "block": "B", "seats": 1}]):
        with pytest.raises(show_rules.UpgradeUnfinished, match="finish-upgrade"):
            venues.create_screen(name="2", rows=rows_, cinema=1)
        with pytest.raises(show_rules.UpgradeUnfinished):
            venues.update_screen(screen_id=counts.id, rows=rows_)
    told = fresh_app.test_cli_runner().invoke(args=["finish-upgrade"])
    assert told.output == (
        f"Release {VERSION} and later ones may serve the database; earlier ones must not.\n"
    )
    with reading() as connection:
        assert not may_serve(connection, "1.2.0")
    venues.update_screen(screen_id=counts.id, rows=LISTED)
    # What the release before could read is stored as it stored it, so it may be sent back to it.
    assert venues.update_screen(screen_id=counts.id, rows=COUNTS) == counts
    (stored,) = content()["screen"]
    assert '"seats": 4' in str(stored["rows"]).replace("'", '"').replace('"seats":4', '"seats": 4')


def test_finishing_an_upgrade_that_was_not_made_is_refused(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS, "0006")
    told = fresh_app.test_cli_runner().invoke(args=["finish-upgrade"])
    assert told.exit_code == 1
    assert "db upgrade" in told.output


def as_release_1_2_left_it(show_id: int) -> None:
    """Take away from the seats of a show what release 1.2 does not write."""
    nothing = {"number": None, "kind": "standard", "x": None, "y": None}
    with db.engine.connect() as connection:
        connection.execute(sa.update(ShowSeat).where(ShowSeat.show_id == show_id).values(nothing))


@pytest.mark.parametrize("plan", [PLAN, None])
def test_seats_of_the_release_before_stand_where_this_one_would_put_them(
    app: Flask, client: FlaskClient, staff: Caller, make_movie: Callable[..., int], plan: Any
) -> None:
    if plan:
        screen = staff.post("/api/screens/", {"name": "1", "rows": plan}).json["id"]
        where: dict[str, Any] = {"screen": screen}
    else:
        where = {"screen_name": "1", "total_seats": 30}
    made = staff.post(f"/api/movies/{make_movie()}/shows/", {"date_time": AT, **where}).json
    path = f"/api/shows/{made['id']}/"
    before = client.get(f"{path}seats/").json
    picture = client.get(f"{path}seats.svg").text
    best = staff.post(f"{path}hold/", {"quantity": 3}).json
    assert staff.post(f"/api/bookings/{best['id']}/cancel/").status_code == 200
    as_release_1_2_left_it(made["id"])
    assert client.get(f"{path}seats/").json == before
    assert client.get(f"{path}seats.svg").text == picture
    again = staff.post(f"{path}hold/", {"quantity": 3}).json
    assert again["seat_numbers"] == best["seat_numbers"]


def test_labels_stay_and_new_shows_get_new_ones(fresh_app: Flask) -> None:
    """The row "1" of 11 seats: what was sold as "111" stays that, a show made later says 1-11."""
    upgrade(MIGRATIONS, "0006")
    filled = rows_of_0006()
    row = {"label": "1", "seats": 11, "category": "standard", "gaps": [], "accessible": []}
    filled["screen"][0]["rows"] = [row]
    for seat in filled["show_seat"]:
        seat |= {"row_label": "1", "label": f"1{seat['position']}", "category": "standard"}
    for booking in filled["booking"]:
        booking["seats"][0]["seat_number"] = f"1{booking['seats'][0]['seat_number']}"
    fill(filled)
    upgrade(MIGRATIONS)
    old = kept_plans.get_seat_map(show_id=1).as_dict()
    assert [(s["seat_number"], s["number"]) for s in old["rows"][0]["seats"]] == [
        ("11", "1"),
        ("12", "2"),
    ]
    assert old["rows"][0]["seats"][0]["status"] == "booked"
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect() as connection:
            for table in ("show", "audit_event"):
                connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', 2)")
    later = NOON + timedelta(days=400)
    show = shows.create_show(movie_id=1, screen=1, date_time=later, now=NOON)
    new = kept_plans.get_seat_map(show_id=show["id"]).as_dict()
    assert [seat["seat_number"] for seat in new["rows"][0]["seats"]] == [
        f"1-{number}" for number in range(1, 12)
    ]


@pytest.mark.parametrize(
    ("table", "change", "told"),
    [
        ("show_seat", {"block": "Balcony"}, "4 seats of shows have a block"),
        ("show_seat", {"kind": "pair"}, "4 seats of shows"),
        ("show_seat", {"row_label": "Loge 1"}, "4 seats of shows"),
        ("screen", {"rows": [{"label": "A", "seats": [{"number": "1"}]}]}, "1 screens have rows"),
    ],
)
def test_a_way_down_that_does_not_fit_is_refused_with_a_count(
    fresh_app: Flask, table: str, change: dict[str, Any], told: str
) -> None:
    upgrade(MIGRATIONS, "0006")
    fill(rows_of_0002())
    upgrade(MIGRATIONS)
    finish_upgrade(release="1.3.0")
    with db.engine.connect() as connection:
        model = {"show_seat": ShowSeat, "screen": Screen}[table]
        connection.execute(sa.update(model).values(change))
    before = content()
    with pytest.raises(SystemExit, match=told):
        downgrade(MIGRATIONS, revision="0006")
    with pytest.raises(SystemExit, match=told):  # 0008 went back, 0007 stays
        downgrade(MIGRATIONS, revision="0006")
    upgrade(MIGRATIONS)
    after = content()
    assert after["show_seat"] == before["show_seat"]
    assert after["screen"] == before["screen"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_statements_that_were_prepared_before_a_column_grew_are_prepared_anew(
    alice: Caller, staff: Caller, client: FlaskClient, make_show: Callable[..., int]
) -> None:
    """The upgrade leaves the lengths; finishing it makes room, and no sale fails by that."""
    path = f"/api/shows/{make_show(total_seats=30)}/"

    def lengths() -> set[int]:
        columns = sa.inspect(db.engine).get_columns("show_seat")
        return {one["type"].length for one in columns if one["name"] in ("label", "row_label")}

    with db.engine.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE show_seat ALTER COLUMN label TYPE VARCHAR(10)")
        connection.exec_driver_sql("ALTER TABLE show_seat ALTER COLUMN row_label TYPE VARCHAR(5)")
    db.engine.dispose()
    for seat in range(1, 13):
        alice.post(f"{path}book/", {"seat_number": seat})
        client.get(f"{path}seats/")
    assert lengths() == {10, 5}
    finish_upgrade(release="1.3.0")
    assert lengths() == {60, 20}
    assert alice.post(f"{path}book/", {"seat_number": 13}).status_code == 201
    answers = [client.get(f"{path}seats/").status_code for _ in range(3)]
    assert answers[-2:] == [200, 200]
    assert answers[0] in (200, 503)


# --- the version of a show ------------------------------------------------------------------


def version(show_id: int) -> int:
    with reading() as connection:
        return int(
            connection.execute(sa.select(Show.version).where(Show.id == show_id)).scalar_one()
        )


def test_a_change_of_what_the_map_is_drawn_from_gives_a_new_version(
    staff: Caller, alice: Caller, make_show: Callable[..., int]
) -> None:
    show_id = make_show(total_seats=5)
    path = f"/api/shows/{show_id}/"
    film = staff.get(path).json["movie"]
    seen = {version(show_id)}
    for change, where in (
        ({"price": "7.00"}, path),
        ({"prices": {"standard": "8.00"}}, path),
        ({"total_seats": 6}, path),
        ({"total_seats": 4}, path),
        ({"on_sale": False}, path),
        ({"on_sale": True}, path),
        ({"on_sale": False}, f"/api/movies/{film}/"),
        ({"on_sale": True}, f"/api/movies/{film}/"),
    ):
        assert staff.patch(where, change).status_code == 200
        assert version(show_id) not in seen, (change, where)
        seen.add(version(show_id))
    assert all(0 < number < 2**63 for number in seen)
    booked = alice.post(f"{path}book/", {"seat_number": "1"}).json
    alice.post(f"/api/bookings/{booked['id']}/cancel/")
    assert version(show_id) in seen, "who owns a seat is no change of the map's drawing"


def test_a_deleted_show_s_version_does_not_come_again(make_show: Callable[..., int]) -> None:
    """SQLite gives its id again."""
    assert len({show_rules.new_version() for _ in range(1000)}) == 1000
    show_id = make_show()
    before = version(show_id)
    shows.delete_show(show_id=show_id)
    assert version(make_show()) != before


def test_finishing_twice_is_the_same(app: Flask) -> None:
    for _ in range(2):
        finish_upgrade(release="1.3.0")
    assert [row.least_release for row in rows(SchemaRequirement)] == ["1.3.0"]
