"""The migrations: both ways, on both databases, with rows in the tables."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade

from booking_app.core.database import db, reading
from booking_app.core.engines import engine_options
from tests.migrating import (
    FILLED,
    MIGRATIONS,
    content,
    fill,
    revisions,
    rows_of_0001,
    rows_of_0003,
    rows_of_0005,
)


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


def test_prices_that_an_earlier_release_did_not_write_come_from_the_receipts(
    fresh_app: Flask,
) -> None:
    """Where it went on selling after 0004: no price, or that of the owner before."""
    upgrade(MIGRATIONS, "0005")
    filled = rows_of_0005()
    show, booking = filled["show"][0], filled["booking"][0]
    seat = filled["show_seat"][0]
    receipt = {"price_cents": 1200, "cancelled": False}
    for show_id, price_cents in ((3, None), (4, 950), (5, 1200)):
        filled["screen"].append(filled["screen"][0] | {"id": show_id, "name_key": f"{show_id}"})
        filled["show"].append(show | {"id": show_id, "screen_id": show_id})
        filled["booking"].append(
            booking
            | {"id": show_id, "reference": f"A{show_id}", "show_id": show_id, "total_cents": 2400}
            | {"seats": [{"seat_number": label, **receipt} for label in ("1", "2")]}
        )
        filled["show_seat"] += [
            seat
            | {"show_id": show_id, "label": label, "position": position}
            | {"booking_id": show_id, "price_cents": price_cents}
            for position, label in enumerate("123", start=1)
        ]
        filled["show_sum"].append(filled["show_sum"][0] | {"show_id": show_id})
    free = filled["show_seat"][1]
    free["price_cents"] = 700  # what its last owner paid
    fill(filled)
    upgrade(MIGRATIONS)
    after = content()
    prices = {(row["show_id"], row["label"]): row["price_cents"] for row in after["show_seat"]}
    assert [prices[show_id, label] for show_id in (3, 4, 5) for label in "12"] == [1200] * 6
    # The third seat is not in the receipt.
    assert [prices[show_id, "3"] for show_id in (3, 4, 5)] == [None, 950, 1200]
    assert [prices[1, "1"], prices[1, "2"], prices[2, "1"]] == [950, 700, None]
    assert [row["show_id"] for row in after["show_sum"]] == [1, 5], "those that were right stay"


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


def test_a_migration_that_fails_leaves_nothing_of_itself_behind(fresh_app: Flask) -> None:
    """Each is one transaction, on SQLite too; the next upgrade goes on where it failed."""
    with db.engine.connect() as connection:
        # In the way of the third, after it has made another table.
        connection.exec_driver_sql("CREATE TABLE audit_event (id INTEGER)")
    with pytest.raises(sa.exc.DBAPIError):
        upgrade(MIGRATIONS)
    with db.engine.connect() as connection:
        present = sa.select(sa.column("version_num")).select_from(sa.table("alembic_version"))
        assert connection.execute(present).scalars().all() == ["0002"]
        assert not sa.inspect(connection).has_table("user_session")
        connection.exec_driver_sql("DROP TABLE audit_event")
    upgrade(MIGRATIONS)
    assert set(content()) == set(db.metadata.tables)


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
