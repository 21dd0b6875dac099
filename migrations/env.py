"""Runs the migrations on the application's own engine, each in a transaction of its own.

How to write one that doesn't stop the sale: docs/internals.md, "Changing tables".
"""

from typing import Any

import sqlalchemy as sa
from alembic import context
from flask import current_app

from booking_app.core import engines
from booking_app.core.database import db
from booking_app.core.outages import is_unavailable
from booking_app.core.poolers import hidden_pooler
from booking_app.core.schema import is_newer, needed_revision
from migrations import steps


def render_item(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """Types of our own are written into new migrations by their names."""
    if kind == "type" and type(item).__module__ == "booking_app.core.database":
        autogen_context.imports.add("from booking_app.core import database")
        return f"database.{item!r}"
    return False


class Migrations:
    """The migrations on one connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.sqlite = connection.dialect.name == "sqlite"
        self.tables: dict[str, int] = {}

    def run(self) -> None:
        """Run those that are left. The transaction of the first is open."""
        self.tables = self._tables()
        context.configure(
            connection=self.connection,
            target_metadata=db.metadata,
            render_as_batch=True,
            render_item=render_item,
            compare_type=True,
            compare_server_default=True,
            # Alembic begins no transaction where one is open: they are ours, also on SQLite.
            on_version_apply=self.finished,
        )
        present = context.get_context().get_current_revision()
        if is_newer(present):
            raise SystemExit(
                f"The schema of the database is {present}, and this release knows those up to "
                f"{needed_revision()}: change it with the release that made it."
            )
        context.run_migrations()

    def finished(self, **_: Any) -> None:
        """Commit a migration together with its revision, and begin the next one's transaction."""
        if self.sqlite:
            self._check_parents()
        self.connection.commit()
        steps.begin(self.connection)

    def _tables(self) -> dict[str, int]:
        """Where in SQLite's file each table begins."""
        if not self.sqlite:
            return {}
        tables = "SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"
        return {row.name: row.rootpage for row in self.connection.exec_driver_sql(tables)}

    def _check_parents(self) -> None:
        """Look for rows without their parent where a table was made anew. It reads every row, so
        not after other migrations: nobody can write meanwhile."""
        before, self.tables = self.tables, self._tables()
        if all(self.tables.get(name) in (page, None) for name, page in before.items()):
            return
        if broken := self.connection.exec_driver_sql("PRAGMA foreign_key_check").all():
            raise RuntimeError(f"rows without their parent: {broken}")


def migrate(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            # Batch mode makes a table anew and drops the old one: with foreign keys on, that would
            # take the child rows along. On the raw connection, since the pragma does nothing
            # within a transaction.
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = OFF")
        # Closed at the end instead of going back to the pool, with all that is set on it.
        connection.detach()
        with steps.alone(engine):
            steps.run(connection, Migrations(connection).run)


settings = current_app.config
if wrong := hidden_pooler(settings["DATABASE_URL"], settings["DATABASE_POOLER"]):
    raise SystemExit(wrong)
settings = current_app.config
if wrong := hidden_pooler(settings["DATABASE_URL"], settings["DATABASE_POOLER"]):
    raise SystemExit(wrong)
try:
    engines.make_file(db.engine)
    migrate(db.engine)
except Exception as error:
    if not is_unavailable(error):
        raise
    # The first thing that `make run` does: one line rather than a page for a wrong address.
    reason = " ".join(str(getattr(error, "orig", error)).split())
    raise SystemExit(f"DATABASE_URL: the database can't be reached: {reason}") from error
