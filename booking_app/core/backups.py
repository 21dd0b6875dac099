"""Backups of the database that the application is bound to: made and restored on SQLite, and on
PostgreSQL the command that does it."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from booking_app.core import sqlite_files
from booking_app.core.database import Base, db
from booking_app.core.schema import known_revisions
from booking_app.core.sqlite_files import Contents, Refused

# The tables to count, by the words for their rows.
Counted = Mapping[str, type[Base]]


def backup(target: Path, *, counted: Counted) -> Contents:
    """Write a verified copy of the database to the new file `target`; raises Refused."""
    path = _sqlite_file("pg_dump", "--format=custom", f"--file={target}")
    return sqlite_files.backup(path, target, counts=_counts(counted))


def restore(source: Path, *, counted: Counted) -> tuple[Contents, Path | None]:
    """Exchange the database for the backup `source`, whose schema this release must know. Give what
    is in it, and where the database before is kept. Raises Refused."""
    careful = ("--exit-on-error", "--single-transaction", "--no-owner")
    path = _sqlite_file("pg_restore", *careful, str(source))
    db.engine.dispose()
    return sqlite_files.restore(path, source, counts=_counts(counted), revisions=known_revisions())


def refuse_malformed() -> None:
    """Raise Refused where the database is a file that is malformed or can't be written."""
    if db.engine.dialect.name == "sqlite":
        sqlite_files.check(Path(str(db.engine.url.database)))


def _sqlite_file(*command: str) -> Path:
    """The database's file. On PostgreSQL: raises Refused with the `command` for this database."""
    url = db.engine.url
    if db.engine.dialect.name == "sqlite":
        return Path(str(url.database))
    shown = sa.URL.create(
        "postgresql",
        username=url.username,
        host=url.host,
        port=url.port,
        database=quote(url.database or ""),
        query=url.query,
    ).difference_update_query(["password", "sslpassword"])
    dbname = f"--dbname={shown.render_as_string()}"
    raise Refused(
        f"The database is on PostgreSQL. Use: {shlex.join([*command, dbname])} "
        "(it takes the password from PGPASSWORD or ~/.pgpass)"
    )


def _counts(counted: Counted) -> dict[str, str]:
    return {
        name: str(sa.select(sa.func.count()).select_from(table)) for name, table in counted.items()
    }
