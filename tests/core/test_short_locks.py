"""An upgrade lets others go on: it waits for locks only shortly, and works in batches."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade

from booking_app.core.database import db, reading
from migrations import steps
from tests.migrating import (
    FILLED,
    MIGRATIONS,
    content,
    fill,
    migrations_with,
    revisions,
    rows_of_0003,
    rows_of_0004,
)
from tests.serving import ROOT, wait_until

POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
WAITING = """
    SELECT xact_start FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND starts_with(query, 'ALTER TABLE show_seat ')
"""
READ = "SELECT label FROM show_seat"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(steps, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(steps, "TRIES", 5)


def revision() -> str:
    with reading() as connection:
        version = sa.select(sa.column("version_num")).select_from(sa.table("alembic_version"))
        return str(connection.execute(version).scalar_one())


@contextmanager
def transaction(*statements: str) -> Iterator[int]:
    """A transaction that stays open; the id of its process."""
    with db.engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        yield connection.connection.driver_connection.info.backend_pid
        connection.exec_driver_sql("ROLLBACK")


@POSTGRESQL
def test_readers_never_wait_long_behind_an_upgrade_that_waits(fresh_app: Flask) -> None:
    """Somebody's open transaction keeps 0004 from changing the seats' table; the others read on,
    and after some tries the upgrade says who was in the way."""
    upgrade(MIGRATIONS, "0003")
    fill(rows_of_0003())
    longest = [0.0]
    stopped = threading.Event()

    def read() -> None:
        with fresh_app.app_context():
            while not stopped.is_set():
                began = time.monotonic()
                with reading() as connection:
                    connection.exec_driver_sql(READ).all()
                longest.append(time.monotonic() - began)

    reader = threading.Thread(target=read)
    with transaction("BEGIN", READ) as pid:
        reader.start()
        with pytest.raises(SystemExit) as stop:
            upgrade(MIGRATIONS)
        stopped.set()
        reader.join()
    assert max(longest) < 3, "five seconds are the application's own time-out"
    line = str(stop.value)
    assert "\n" not in line
    assert line.startswith(
        "The upgrade stopped after 5 tries: `ALTER TABLE show_seat ADD COLUMN price_cents INTEGER` "
        f"had to wait for more than 0.1 s, and process {pid} of PostgreSQL (idle in transaction, "
    )
    assert f"was in the way with `{READ}`" in line
    assert revision() == "0003"
    upgrade(MIGRATIONS)
    assert revision() == revisions()[-1]


@POSTGRESQL
def test_an_upgrade_tries_again_until_it_has_the_lock(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS, "0003")
    fill(rows_of_0003())
    tries = set()

    def tried_twice() -> bool:
        with reading() as connection:
            tries.update(connection.exec_driver_sql(WAITING).scalars())
        return len(tries) >= 2

    def run() -> None:
        with fresh_app.app_context():
            upgrade(MIGRATIONS)

    with ThreadPoolExecutor(1) as pool:
        with transaction("BEGIN", READ):
            upgraded = pool.submit(run)
            wait_until(tried_twice)
        upgraded.result(timeout=60)
    assert revision() == revisions()[-1]
    assert content()["show_seat"][0]["price_cents"] == 950


@POSTGRESQL
def test_sums_that_a_report_is_about_to_keep_go_too(
    fresh_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of seats without a price: the report has read them and has not committed its sums yet."""
    monkeypatch.setattr(steps, "TRIES", 100)
    upgrade(MIGRATIONS, "0005")
    fill(rows_of_0004())
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def upgrade_waits() -> bool:
        with reading() as connection:
            return connection.exec_driver_sql(waiting).first() is not None

    def run() -> None:
        with fresh_app.app_context():
            upgrade(MIGRATIONS)

    with db.engine.connect() as report, ThreadPoolExecutor(1) as pool:
        report.exec_driver_sql("UPDATE show_seat SET price_cents = NULL")
        report.exec_driver_sql("BEGIN")
        report.exec_driver_sql("SELECT 1 FROM show WHERE id = 1 FOR UPDATE")
        report.exec_driver_sql("INSERT INTO show_sum VALUES (1, 'vip', 2, 1, 0)")
        upgraded = pool.submit(run)
        wait_until(upgrade_waits)
        report.exec_driver_sql("COMMIT")
        upgraded.result(timeout=60)
    assert content()["show_sum"] == []
    assert content()["show_seat"][0]["price_cents"] == 950


@SQLITE
def test_an_upgrade_says_that_another_process_writes_all_the_time(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS, "0003")
    with db.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(SystemExit) as stop:
            upgrade(MIGRATIONS)
        connection.exec_driver_sql("ROLLBACK")
    assert str(stop.value) == (
        "The upgrade stopped after 5 tries: `BEGIN IMMEDIATE` had to wait for more than 0.1 s, and "
        "another process was writing to the database all the time. What was done until then "
        "stays; run the upgrade again for the rest."
    )
    upgrade(MIGRATIONS)
    assert revision() == revisions()[-1]


def test_batches_are_kept_where_an_upgrade_is_broken_off(fresh_app: Flask, tmp_path: Path) -> None:
    upgrade(MIGRATIONS)
    fill(FILLED[revisions()[-1]]())
    stumbling = tmp_path / "stumbling"
    folder = migrations_with(
        tmp_path,
        f"""
        import pathlib

        def work(connection, after, upto):
            if upto == 2 and pathlib.Path({str(stumbling)!r}).exists():
                raise RuntimeError("broken off")
            shows = sa.table("show", sa.column("id"), sa.column("price_cents"))
            these = sa.update(shows).where(shows.c.id > after, shows.c.id <= upto)
            connection.execute(these.values(price_cents=upto))

        steps.in_batches("show", work, rows=1)
        op.add_column("show", sa.Column("hall", sa.String(10)))
        """,
    )
    stumbling.touch()
    with pytest.raises(SystemExit):
        upgrade(folder)
    assert [show["price_cents"] for show in content()["show"]] == [1, 950]
    assert revision() == revisions()[-1]
    stumbling.unlink()
    upgrade(folder)
    assert [show["price_cents"] for show in content()["show"]] == [1, 2]
    assert "hall" in content()["show"][0]
    assert revision() == "9999"


@POSTGRESQL
def test_batches_come_first_in_their_migration(
    fresh_app: Flask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What stands before them would be done twice after an upgrade that was broken off."""
    upgrade(MIGRATIONS)
    folder = migrations_with(
        tmp_path,
        """
        op.add_column("show", sa.Column("hall", sa.String(10)))
        steps.in_batches("show", lambda connection, after, upto: None)
        """,
    )
    with pytest.raises(SystemExit):
        upgrade(folder)
    assert "first in a migration of its own" in caplog.text
    assert revision() == revisions()[-1]


def test_an_index_can_be_made_while_others_write(fresh_app: Flask, tmp_path: Path) -> None:
    upgrade(MIGRATIONS)
    folder = migrations_with(
        tmp_path,
        """
        with steps.outside_transaction():
            op.drop_index("ix_booking_next", if_exists=True, postgresql_concurrently=True)
            op.create_index("ix_booking_next", "booking", ["status"], postgresql_concurrently=True)
        """,
    )
    upgrade(folder)
    with reading() as connection:
        indexes = sa.inspect(connection).get_indexes("booking")
    assert "ix_booking_next" in {index["name"] for index in indexes}
    assert revision() == "9999"


def test_two_upgrades_at_once_come_one_after_the_other(fresh_app: Flask) -> None:
    """They are let loose in the same moment, where each is about to begin."""
    with db.engine.connect():
        pass  # SQLite's file is there

    def sessions() -> set[int]:
        asked = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        with reading() as connection:
            return set(connection.exec_driver_sql(asked).scalars())

    before: set[int] = set() if db.engine.dialect.name == "sqlite" else sessions()

    def both_wait() -> bool:
        if db.engine.dialect.name == "postgresql":
            return len(sessions() - before) >= 2
        inode = f":{os.stat(f'{db.engine.url.database}.upgrade-lock').st_ino} "
        locks = Path("/proc/locks").read_text().splitlines()
        return sum("->" in line and inode in line for line in locks) == 2

    with steps.alone(db.engine):
        upgrades = [
            subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"],
                cwd=ROOT,
                env=os.environ
                | {"DATABASE_URL": fresh_app.config["DATABASE_URL"], "SECRET_KEY": "k" * 40},
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        wait_until(both_wait, 60)
    assert [process.communicate(timeout=60)[1] for process in upgrades] == ["", ""]
    assert [process.returncode for process in upgrades] == [0, 0]
    assert revision() == revisions()[-1]


@SQLITE
def test_rows_that_lose_their_parent_stop_the_migration(
    fresh_app: Flask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Foreign keys are off meanwhile, so that a table can be made anew; it is looked at then."""
    upgrade(MIGRATIONS)
    fill(FILLED[revisions()[-1]]())
    folder = migrations_with(
        tmp_path,
        """
        with op.batch_alter_table("screen") as batch:
            batch.drop_column("rows")
        op.execute("DELETE FROM screen")
        """,
    )
    with pytest.raises(SystemExit):
        upgrade(folder)
    assert "rows without their parent" in caplog.text
    assert "rows" in content()["screen"][0]
