"""Databases of any schema: rows for each migration, and what stands in the tables."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import sqlalchemy as sa
from alembic.script import ScriptDirectory

from booking_app import VERSION
from booking_app.core.database import db, reading
from booking_app.core.schema import SchemaRequirement, finish_upgrade, needed_revision
from tests.conftest import ROOT

MIGRATIONS = str(ROOT / "migrations")


def fill(values: dict[str, list[dict[str, Any]]]) -> None:
    """Insert rows into the tables as they stand in the database, whatever the models say. A table
    that the migrations have filled themselves is emptied first."""
    with db.engine.connect() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        for name, table_rows in values.items():
            if name == "schema_requirement":
                connection.execute(metadata.tables[name].delete())
            connection.execute(metadata.tables[name].insert(), table_rows)


def content() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, as the database itself gives it."""
    with reading() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        return {
            table.name: [
                dict(row)
                for row in connection.exec_driver_sql(
                    f"SELECT * FROM {connection.dialect.identifier_preparer.quote(table.name)} "
                    f"ORDER BY {', '.join(column.name for column in table.primary_key)}"
                ).mappings()
            ]
            for table in metadata.sorted_tables
            if table.name != "alembic_version"
        }


def rows_of_0001() -> dict[str, list[dict[str, Any]]]:
    """A row in every table, two of shows, seats and bookings."""

    def instant(hour: int) -> datetime:
        moment = datetime(2030, 6, 1, hour, 0, tzinfo=UTC)
        return moment if db.engine.dialect.name == "postgresql" else moment.replace(tzinfo=None)

    show = {
        "movie_id": 1,
        "screen_id": 1,
        "local_date": date(2030, 6, 1),
        "price_cents": 950,
        "total_seats": 2,
        "on_sale": True,
    }
    booking = {
        "user_id": 1,
        "show_id": 1,
        "total_cents": 950,
        "currency": "EUR",
        "created_at": instant(9),
        "expires_at": None,
    }
    receipt = {"price_cents": 950, "cancelled": False}
    return {
        "user_account": [
            {
                "id": 1,
                "username": "Alice",
                "username_key": "alice",
                "email": None,
                "password_hash": "x",
                "is_staff": True,
                "created_at": instant(8),
            }
        ],
        "cinema": [
            {"id": 1, "name": "Main", "name_key": "main", "timezone": "UTC", "is_default": True}
        ],
        "screen": [{"id": 1, "cinema_id": 1, "name": "1", "name_key": "1"}],
        "movie": [
            {
                "id": 1,
                "title": "Äpfel",
                "title_key": "äpfel",
                "duration_minutes": 60,
                "year": 1949,
                "language": "Deutsch",
                "language_key": "deutsch",
                "genres": ["Drama"],
                "genres_key": "|drama|",
                "age_rating": None,
                "director": None,
                "description": None,
                "on_sale": True,
                "is_demo": False,
            }
        ],
        "show": [
            {"id": 1, "starts_at": instant(20), "ends_at": instant(21), **show},
            {"id": 2, "starts_at": instant(22), "ends_at": instant(23), **show},
        ],
        "booking": [
            {"id": 1, "reference": "A1", "status": "booked", **booking}
            | {"seats": [{"seat_number": "1", **receipt}]},
            {"id": 2, "reference": "A2", "status": "cancelled", **booking}
            | {"seats": [{"seat_number": "2", **receipt}]},
        ],
        "show_seat": [
            {"show_id": 1, "label": "1", "position": 1, "booking_id": 1, "held_until": None},
            {"show_id": 1, "label": "2", "position": 2, "booking_id": None, "held_until": None},
            {"show_id": 2, "label": "1", "position": 1, "booking_id": None, "held_until": None},
            {"show_id": 2, "label": "2", "position": 2, "booking_id": None, "held_until": None},
        ],
    }


def rows_of_0002() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0002 has more."""
    filled = rows_of_0001()
    row = {"label": "A", "seats": 2, "category": "vip", "gaps": [1], "accessible": [2]}
    filled["cinema"][0] |= {"city": "Wien"}
    filled["screen"][0] |= {"rows": [row]}
    for show in filled["show"]:
        show |= {"prices": {"vip": 1200}, "no_single_gaps": True}
    for seat in filled["show_seat"]:
        seat |= {"row_label": "A", "category": "vip"}
        seat |= {"accessible": seat["position"] == 2, "aisle_after": seat["position"] == 1}
    filled["idempotency_key"] = [
        {
            "user_id": 1,
            "key": "k",
            "fingerprint": "f",
            "status": 201,
            "body": "{}",
            "location": None,
            "expires_at": filled["booking"][0]["created_at"],
        }
    ]
    return filled


def rows_of_0003() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0003 has more."""
    filled = rows_of_0002()
    moment = filled["booking"][0]["created_at"]
    filled["user_account"][0] |= {"is_disabled": True}
    filled["user_session"] = [
        {
            "id": 1,
            "user_id": 1,
            "refresh_hash": "h",
            "created_at": moment,
            "refreshed_at": moment,
            "expires_at": moment,
            "address": "::1",
            "user_agent": "curl",
        }
    ]
    filled["audit_event"] = [
        {
            "id": 1,
            "created_at": moment,
            "action": "account.changed",
            "actor_id": 1,
            "actor_name": "Alice",
            "address": "::1",
            "request_id": "r",
            "object_type": "account",
            "object_id": 1,
            "before": {"is_staff": False},
            "after": {"is_staff": True},
        }
    ]
    return filled


def rows_of_0004() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0004 has more."""
    filled = rows_of_0003()
    for seat in filled["show_seat"]:
        seat |= {"price_cents": 950 if seat["booking_id"] else None}
    return filled


def rows_of_0005() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0005 has more."""
    sums = {"show_id": 1, "category": "vip", "seats": 2, "sold": 1, "takings_cents": 950}
    return rows_of_0004() | {"show_sum": [sums]}


def rows_of_0006() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0006 has more."""
    return rows_of_0005() | {"schema_requirement": [{"id": 1, "least_release": "1.2.0"}]}


def rows_of_0007() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0007 has more; one seat as release 1.2 leaves it."""
    filled = rows_of_0006()
    for seat in filled["show_seat"][1:]:
        seat |= {"number": seat["label"], "x": 2 * seat["position"], "y": 0}
    return filled


def rows_of_0008() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0008 has more."""
    filled = rows_of_0007()
    for show in filled["show"]:
        show |= {"version": 2**62 + show["id"]}
    return filled


def rows_of_0009() -> dict[str, list[dict[str, Any]]]:
    """The same: 0009 would not go back with a blocked seat (see test_blocked_seats.py)."""
    return rows_of_0008()


def rows_of_0010() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0010 has more."""
    filled = rows_of_0009()
    for show in filled["show"]:
        show |= {"max_seats_per_account": 4}
    filled["screen"][0] |= {"out_of_order": ["A1"]}
    filled["show_sum"][0] |= {"blocked": 1}
    return filled


def rows_of_0011() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0011 has more."""
    filled = rows_of_0010()
    filled["movie"][0] |= {
        "original_title": "Apples",
        "sort_title": "Apfel",
        "release_date": date(1949, 8, 31),
        "poster_url": "https://example.com/poster.jpg",
        "trailer_url": "https://example.com/trailer",
        "external_id": "tt1",
        "sort_key": "apfel",
        "search_key": "apfel",
    }
    filled["cinema"][0] |= {"day_starts_at": "06:00"}
    filled["screen"][0] |= {"turnaround_minutes": 15}
    return filled


def rows_of_0012() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0012 has more."""
    filled = rows_of_0011()
    first = filled["show"][0]
    shown = {"format": "3D", "language": "English", "subtitles": "Deutsch"}
    first |= shown | {f"{name}_key": value.lower() for name, value in shown.items()}
    first |= {"note": "With a talk", "preshow_minutes": 15, "intermission_minutes": 10}
    first |= {"sales_from": first["starts_at"], "sales_until": first["ends_at"]}
    first |= {"external_id": "s1"}
    filled["show"][1] |= dict.fromkeys(first.keys() - filled["show"][1].keys())
    filled["show"][1] |= {"preshow_minutes": 0, "intermission_minutes": 0}
    return filled


def rows_of_0013() -> dict[str, list[dict[str, Any]]]:
    """The same: 0013 fills what is there."""
    return rows_of_0012()


def rows_of_0014() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0014 has more."""
    filled = rows_of_0013()
    filled["cinema"][0] |= {"external_id": "c1"}
    filled["screen"][0] |= {"external_id": "h1"}
    return filled


def rows_of_0015() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0015 has more."""
    filled = rows_of_0014()
    filled["cinema"][0] |= {"currency": "EUR"}
    for show in filled["show"]:
        show |= {"currency": "EUR"}
    return filled


def rows_of_0016() -> dict[str, list[dict[str, Any]]]:
    """The same, with what 0016 has more."""
    filled = rows_of_0015()
    filled["idempotency_key"][0] |= {"meaning": "m", "headers": {"ETag": '"1"'}}
    filled["user_account"][0] |= {"name": "Alice Liddell"}
    filled["user_session"][0] |= {"spent_refreshes": [{"hash": "h"}]}
    return filled


def rows_of_0017() -> dict[str, list[dict[str, Any]]]:
    """The same: 0017 has indexes."""
    return rows_of_0016()


FILLED: dict[str, Callable[[], dict[str, list[dict[str, Any]]]]] = {
    "0001": rows_of_0001,
    "0002": rows_of_0002,
    "0003": rows_of_0003,
    "0004": rows_of_0004,
    "0005": rows_of_0005,
    "0006": rows_of_0006,
    "0007": rows_of_0007,
    "0008": rows_of_0008,
    "0009": rows_of_0009,
    "0010": rows_of_0010,
    "0011": rows_of_0011,
    "0012": rows_of_0012,
    "0013": rows_of_0013,
    "0014": rows_of_0014,
    "0015": rows_of_0015,
    "0016": rows_of_0016,
    "0017": rows_of_0017,
}


@contextmanager
def release_before_may_serve() -> Iterator[None]:
    """The migrated database of the tests as one whose upgrade is not finished."""
    with db.engine.connect() as connection:
        connection.execute(sa.delete(SchemaRequirement))
    yield
    finish_upgrade(release=VERSION)


def revisions() -> list[str]:
    scripts = ScriptDirectory(MIGRATIONS).walk_revisions()
    return [script.revision for script in scripts][::-1]


def migrations_with(folder: Path, upgrade: str) -> str:
    """A copy of the migrations with one more, of which this is `upgrade()`; for `flask db -d`."""
    copied = folder / "migrations"
    shutil.copytree(MIGRATIONS, copied)
    (copied / "versions" / "9999_next.py").write_text(
        f"""import sqlalchemy as sa
from alembic import op

from migrations import steps

revision = "9999"
down_revision = "{needed_revision()}"


def upgrade():
{indent(dedent(upgrade).strip(), "    ")}
"""
    )
    return str(copied)
