"""Which schema this release needs, and which releases the database lets serve it.

How tables change from release to release: docs/internals.md, "Changing tables".
"""

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from booking_app.core.database import Base, writes

MIGRATIONS = Path(__file__).parents[2] / "migrations" / "versions"
# Alembic's own table, of one row.
VERSION = sa.table("alembic_version", sa.column("version_num", sa.String))
UPGRADE = "`flask --app wsgi db upgrade`"


class SchemaRequirement(Base):
    """The least release that may serve the database. No row, or NULL: whichever knows the schema.

    Written by migrations (`require_release` in migrations/steps.py) and by `flask finish-upgrade`.
    """

    __tablename__ = "schema_requirement"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    least_release: Mapped[str | None] = mapped_column(sa.String(20))


@cache
def known_revisions() -> tuple[str, ...]:
    """The migrations that this code has, from the first to the last."""
    return tuple(sorted(path.name.partition("_")[0] for path in MIGRATIONS.glob("[0-9]*_*.py")))


def needed_revision() -> str:
    """The schema that this code needs: its newest migration."""
    return known_revisions()[-1]


def is_newer(revision: str | None) -> bool:
    """Whether a later release made that schema: this one has no such migration."""
    return revision is not None and revision not in known_revisions()


def present_revision(connection: sa.Connection) -> str | None:
    """The newest migration that the database has had, if any."""
    if not sa.inspect(connection).has_table(VERSION.name):
        return None
    return connection.execute(sa.select(VERSION.c.version_num)).scalar()


def schema_problem(connection: sa.Connection, *, release: str) -> str | None:
    """Why this `release` ("1.3.0") must not serve the database, in a sentence; None where it may,
    also on a schema that a later release made."""
    present = present_revision(connection)
    if present is None:
        return f"The database has no tables; {UPGRADE} makes them."
    if not is_newer(present) and present != needed_revision():
        return (
            f"The schema of the database is {present}, and release {release} needs "
            f"{needed_revision()}: run {UPGRADE} with this release."
        )
    least = connection.execute(sa.select(SchemaRequirement.least_release)).scalar()
    if least is not None and _numbers(release) < _numbers(least):
        return (
            f"The database may be served by release {least} and later ones, and this is "
            f"release {release}: start a later one."
        )
    return None


def may_serve(connection: sa.Connection, release: str) -> bool:
    """Whether the database lets that release serve it."""
    least = connection.execute(sa.select(SchemaRequirement.least_release)).scalar()
    return least is None or _numbers(release) >= _numbers(least)


@writes
def finish_upgrade(connection: sa.Connection, *, release: str) -> None:
    """Let no release before this one serve the database any more, and make room for texts that
    are longer in this one."""
    values = {"id": 1, "least_release": release}
    connection.execute(sa.delete(SchemaRequirement))
    connection.execute(sa.insert(SchemaRequirement).values(**values))
    lengthen_texts(connection)


def lengthen_texts(connection: sa.Connection) -> None:
    """Give each text column of PostgreSQL the length that its model has, where it is shorter.
    SQLite keeps texts of any length.

    Migrations don't: a server of the release before fails at each statement that it has prepared
    with such a column (`outages.STALE_PLAN`). This release prepares it anew.
    """
    if connection.dialect.name == "sqlite":
        return
    quote = connection.dialect.identifier_preparer.quote
    inspector = sa.inspect(connection)
    for table in Base.metadata.sorted_tables:
        present = {column["name"]: column["type"] for column in inspector.get_columns(table.name)}
        changes = [
            f"ALTER COLUMN {quote(column.name)} TYPE VARCHAR({column.type.length})"
            for column in table.columns
            if isinstance(column.type, sa.String)
            and (column.type.length or 0) > (getattr(present[column.name], "length", None) or 0)
        ]
        if changes:
            connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} {', '.join(changes)}")


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in release.split("."))
