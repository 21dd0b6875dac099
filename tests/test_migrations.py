"""The migrations: both ways, on both databases, with rows in the tables."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade

from booking_app.core import engines
from booking_app.core.database import db, reading
from booking_app.core.engines import engine_options
from tests.conftest import ROOT, make_app

MIGRATIONS = str(ROOT / "migrations")


@pytest.fixture
def fresh_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in it, beside the one of the other tests."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'fresh.db'}"
        return
    address = sa.make_url(database_url)
    name = f"{address.database}_fresh"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield address.set(database=name).render_as_string(hide_password=False)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def fresh_app(fresh_url: str) -> Iterator[Flask]:
    app = make_app(fresh_url)
    with app.app_context():
        engines.make_file(db.engine)
        yield app
        db.engine.dispose()


def fill(values: dict[str, list[dict[str, Any]]]) -> None:
    """Insert rows into the tables as they stand in the database, whatever the models say."""
    with db.engine.connect() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        for name, table_rows in values.items():
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
    from datetime import UTC, date, datetime

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


FILLED: dict[str, Callable[[], dict[str, list[dict[str, Any]]]]] = {
    "0001": rows_of_0001,
    "0002": rows_of_0002,
    "0003": rows_of_0003,
    "0004": rows_of_0004,
    "0005": rows_of_0005,
}


def revisions() -> list[str]:
    scripts = ScriptDirectory(MIGRATIONS).walk_revisions()
    return [script.revision for script in scripts][::-1]


@pytest.mark.parametrize("revision", revisions())
def test_rows_survive_every_later_migration_and_the_way_back(
    fresh_app: Flask, revision: str
) -> None:
    upgrade(MIGRATIONS, revision)
    fill(FILLED[revision]())
    before = content()
    assert all(before.values()), "a table without a row proves nothing"
    upgrade(MIGRATIONS)
    after = content()
    for name, old in before.items():
        assert len(after[name]) == len(old), name
        for old_row, new_row in zip(old, after[name], strict=True):
            kept = {column: new_row[column] for column in old_row if column in new_row}
            assert kept == {column: old_row[column] for column in kept}, name
    downgrade(MIGRATIONS, revision=revision)
    assert content() == before
    upgrade(MIGRATIONS)
    assert content() == after


def test_rows_go_down_one_migration_and_up_again(fresh_app: Flask) -> None:
    """What the migration before has no place for is lost on the way down, and nothing else."""
    upgrade(MIGRATIONS)
    fill(FILLED[revisions()[-1]]())
    before = content()
    downgrade(MIGRATIONS, revision="-1")
    older = content()
    upgrade(MIGRATIONS)
    after = content()
    for name, older_rows in older.items():
        for there, was, now in zip(older_rows, before[name], after[name], strict=True):
            assert {column: was[column] for column in there} == there
            assert {column: now[column] for column in there} == there


def test_seats_from_before_the_plans_stand_in_one_row(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS, "0001")
    fill(rows_of_0001())
    upgrade(MIGRATIONS)
    for seat in content()["show_seat"]:
        assert seat["row_label"] == ""
        assert seat["category"] == "standard"
        assert not seat["accessible"]
        assert not seat["aisle_after"]


def test_seats_that_are_sold_get_their_price_from_the_receipt(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS, "0003")
    filled = rows_of_0003()
    held = {"price_cents": 1200, "cancelled": False}
    filled["booking"].append(
        filled["booking"][0]
        | {"id": 3, "reference": "A3", "status": "held", "show_id": 2, "total_cents": 2400}
        | {"seats": [{"seat_number": "2", **held}, {"seat_number": "1", **held}]}
    )
    filled["show_seat"][3] |= {"booking_id": 3}
    fill(filled)
    upgrade(MIGRATIONS)
    prices = [seat["price_cents"] for seat in content()["show_seat"]]
    assert prices == [950, None, None, 1200]


def test_ids_are_given_once_also_after_a_way_down_and_up(fresh_app: Flask) -> None:
    """A token of a deleted account must never come to mean another."""
    upgrade(MIGRATIONS)
    account = rows_of_0003()["user_account"][0]
    fill({"user_account": [account | {"id": 7}]})
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect() as connection:
            connection.exec_driver_sql("SELECT setval('user_account_id_seq', 7)")
    for revision in ("0002", "0001"):
        downgrade(MIGRATIONS, revision=revision)
    upgrade(MIGRATIONS)
    with db.engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM user_account")
    new = {name: value for name, value in account.items() if name != "id"}
    fill({"user_account": [new]})
    assert content()["user_account"][0]["id"] == 8


def test_down_to_nothing_and_up_again(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS)
    downgrade(MIGRATIONS, revision="base")
    assert content() == {}
    upgrade(MIGRATIONS)
    assert set(content()) == set(db.metadata.tables)


def test_a_migration_that_fails_leaves_nothing_behind(fresh_app: Flask) -> None:
    """All of it is one transaction, on SQLite too."""
    with db.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE show (id INTEGER)")  # in the way of the real one
    with pytest.raises(sa.exc.DBAPIError):
        upgrade(MIGRATIONS)
    with db.engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["show"]


def test_the_migrated_database_is_what_the_models_say(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS)
    with db.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, db.metadata) == []


def test_checks_and_partial_indexes_are_what_the_models_say(
    fresh_app: Flask, tmp_path: Path
) -> None:
    """What the comparison above does not see: held against a database made from the models."""
    upgrade(MIGRATIONS)
    migrated = _rules(db.engine)
    db.metadata.drop_all(db.engine)
    db.metadata.create_all(db.engine)
    assert migrated == _rules(db.engine)
    assert any(name.startswith("ck_") for name, _ in migrated)


def _rules(engine: sa.Engine) -> set[tuple[str, str]]:
    inspector = sa.inspect(engine)
    rules = set()
    for table in inspector.get_table_names():
        if table == "alembic_version":
            continue
        for check in inspector.get_check_constraints(table):
            rules.add((str(check["name"]), " ".join(check["sqltext"].split())))
        for index in inspector.get_indexes(table):
            where = {name: str(text) for name, text in index.get("dialect_options", {}).items()}
            rules.add((str(index["name"]), str(sorted(where.items()))))
    return rules


def test_every_constraint_has_a_name(fresh_app: Flask) -> None:
    for table in db.metadata.tables.values():
        for constraint in table.constraints:
            assert constraint.name, (table, constraint)


def test_postgresql_connections_have_their_limits(fresh_app: Flask) -> None:
    if db.engine.dialect.name != "postgresql":
        options = engine_options("sqlite:///x.db", 4)
        assert options["connect_args"]["timeout"] > 0
        with reading() as connection:
            pragmas = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        full = 2
        assert pragmas == {
            "journal_mode": "wal",
            "synchronous": full,
            "foreign_keys": 1,
            "busy_timeout": 5000,
        }
        return
    with reading() as connection:
        for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
            assert connection.exec_driver_sql(f"SHOW {name}").scalar() not in ("0", None)
