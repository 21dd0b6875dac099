"""Which releases may serve which schema."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade

from booking_app import VERSION
from booking_app.core import schema
from booking_app.core.database import db, reading
from migrations import steps
from tests.migrating import MIGRATIONS, migrations_with, revisions


def problem(release: str = "1.3.0") -> str | None:
    with reading() as connection:
        return schema.schema_problem(connection, release=release)


def test_the_needed_revision_is_the_newest_migration() -> None:
    assert schema.needed_revision() == ScriptDirectory(MIGRATIONS).get_current_head()
    assert list(schema.known_revisions()) == revisions()


def test_this_release_may_serve_what_it_migrated(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS)
    assert problem(VERSION) is None


def test_a_database_without_tables_is_not_served(fresh_app: Flask) -> None:
    no_tables = "The database has no tables; `flask --app wsgi db upgrade` makes them."
    assert problem() == no_tables
    upgrade(MIGRATIONS)
    downgrade(MIGRATIONS, revision="base")
    assert problem() == no_tables


def test_an_older_schema_is_not_served(fresh_app: Flask) -> None:
    *_, older, newest = revisions()
    upgrade(MIGRATIONS, older)
    assert problem() == (
        f"The schema of the database is {older}, and release 1.3.0 needs {newest}: "
        "run `flask --app wsgi db upgrade` with this release."
    )


def test_a_newer_schema_is_served_unless_it_names_a_later_release(
    fresh_app: Flask, tmp_path: Path
) -> None:
    upgrade(MIGRATIONS)
    upgrade(migrations_with(tmp_path, 'steps.require_release("1.10.0")'))
    with db.engine.connect() as connection:
        found = schema.schema_problem(connection, release="1.9.2")
        assert found == (
            "The database may be served by release 1.10.0 and later ones, and this is release "
            "1.9.2: start a later one."
        )
        assert schema.schema_problem(connection, release="1.10.0") is None
        assert schema.schema_problem(connection, release="2.0.0") is None
        connection.execute(sa.update(schema.SchemaRequirement).values(least_release=None))
        assert schema.schema_problem(connection, release="1.9.2") is None
        connection.execute(sa.delete(schema.SchemaRequirement))
        assert schema.schema_problem(connection, release="1.9.2") is None


def test_a_newer_schema_is_not_migrated(fresh_app: Flask, tmp_path: Path) -> None:
    upgrade(MIGRATIONS)
    upgrade(migrations_with(tmp_path, "pass"))
    for change in (upgrade, downgrade):
        with pytest.raises(SystemExit) as stop:
            change(MIGRATIONS)
        assert str(stop.value) == (
            f"The schema of the database is 9999, and this release knows those up to "
            f"{revisions()[-1]}: change it with the release that made it."
        )


@pytest.mark.parametrize("release", ["1.3", "v1.3.0", "1.3.0rc1", ""])
def test_the_least_release_is_three_numbers(release: str) -> None:
    with pytest.raises(ValueError, match=r"three numbers such as 1\.4\.0"):
        steps.require_release(release)
