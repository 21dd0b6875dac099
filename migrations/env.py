"""Runs the migrations on the application's own engine, all of them in one transaction."""

from typing import Any

import sqlalchemy as sa
from alembic import context
from flask import current_app

from booking_app.core import engines
from booking_app.core.database import MIGRATING, begin_writing, db, take_turns
from booking_app.core.outages import is_unavailable
from booking_app.core.poolers import hidden_pooler


def render_item(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """Types of our own are written into new migrations by their names."""
    if kind == "type" and type(item).__module__ == "booking_app.core.database":
        autogen_context.imports.add("from booking_app.core import database")
        return f"database.{item!r}"
    return False


def migrate(connection: sa.Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        # Batch mode makes a table anew and drops the old one: with foreign keys on, that would
        # take the child rows along. On the raw connection, since the pragma does nothing
        # within a transaction.
        connection.connection.driver_connection.execute("PRAGMA foreign_keys = OFF")
    try:
        with begin_writing(connection):
            take_turns(connection, MIGRATING)
            context.configure(
                connection=connection,
                target_metadata=db.metadata,
                render_as_batch=True,
                render_item=render_item,
                compare_type=True,
                compare_server_default=True,
                transactional_ddl=False,  # the transaction is ours, also on SQLite
            )
            context.run_migrations()
            if sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
                raise RuntimeError(f"rows without their parent: {broken}")
    finally:
        if sqlite:
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = ON")


settings = current_app.config
if wrong := hidden_pooler(settings["DATABASE_URL"], settings["DATABASE_POOLER"]):
    raise SystemExit(wrong)
try:
    engines.make_file(db.engine)
    with db.engine.connect() as bound:
        migrate(bound)
except Exception as error:
    if not is_unavailable(error):
        raise
    # The first thing that `make run` does: one line rather than a page for a wrong address.
    reason = " ".join(str(getattr(error, "orig", error)).split())
    raise SystemExit(f"DATABASE_URL: the database can't be reached: {reason}") from error
