"""SQLite: backups while servers sell, restoring, and malformed files, which no start accepts."""

import fcntl
import os
import re
import runpy
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from flask_migrate import upgrade

from booking_app.auth import accounts
from booking_app.booking import service
from booking_app.booking.models import Booking
from booking_app.catalog import movies, shows
from booking_app.core import sqlite_files
from booking_app.core.database import db
from booking_app.core.schema import known_revisions
from tests.conftest import PASSWORD, ROOT, make_app, rows
from tests.promise import broken_promises
from tests.serving import Server, wait_until

MODULE = str(ROOT / "booking_app" / "core" / "sqlite_files.py")
COUNTS = {"bookings": "SELECT count(*) FROM booking"}
# bookings in the backups, and in the database that a crash left behind
BACKED_UP, LATER, SOLD = 50, 100, 250


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the backups `backup.db` and `later.db`, and with what a crash left after them:
    `crashed.db` and its log."""
    folder = tmp_path_factory.mktemp("made")
    path = folder / "live.db"
    app = make_app(f"sqlite:///{path}")
    with app.app_context():
        upgrade(str(ROOT / "migrations"))
        alice = accounts.create_user(username="alice", password=PASSWORD).id
        now = datetime.now(UTC)
        show = shows.create_show(
            movie_id=movies.create_movie(title="Film", duration_minutes=90)["id"],
            screen_name="1",
            date_time=now + timedelta(days=2),
            total_seats=4000,
            now=now,
        )["id"]
        for number in range(1, SOLD + 1):
            service.book(user_id=alice, show_id=show, seat_number=str(number))
            if number in (BACKED_UP, LATER):
                name = "backup.db" if number == BACKED_UP else "later.db"
                sqlite_files.backup(path, folder / name, counts=COUNTS)
            if number == SOLD - 50:  # the log begins anew
                with db.engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(path, folder / "crashed.db")
        shutil.copy(f"{path}-wal", folder / "crashed.db-wal")
        db.engine.dispose()
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "booking.db"


def crashed(made: Path, path: Path) -> None:
    """A sound database with bookings in a log that nobody has closed."""
    shutil.copy(made / "crashed.db", path)
    shutil.copy(made / "crashed.db-wal", f"{path}-wal")


def copied_over(made: Path, path: Path) -> None:
    """The same, and then `cp backup.db booking.db`."""
    crashed(made, path)
    shutil.copyfile(made / "backup.db", path)


def lost(made: Path, path: Path) -> None:
    """The log alone."""
    crashed(made, path)
    path.unlink()


def bookings(path: Path) -> int:
    """How many bookings are in a sound database, its log included."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(connection.execute("SELECT count(*) FROM booking").fetchone()[0])


def start(path: Path, *command: str) -> subprocess.Popen[str]:
    settings = {"DATABASE_URL": f"sqlite:///{path}", "SECRET_KEY": "k" * 40, "FLASK_APP": "wsgi"}
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def flask(path: Path, *command: str) -> tuple[int, str]:
    """Run the command as an operator does: its exit status, and what it says."""
    process = start(path, "flask", *command)
    output, errors = process.communicate(timeout=60)
    return process.returncode, (output + errors).strip()


def restore(path: Path, backup: Path) -> Path | None:
    return sqlite_files.restore(path, backup, counts=COUNTS, revisions=known_revisions())[1]


def others(path: Path) -> list[str]:
    """The files beside the database, those that only ever are locked left out."""
    names = {file.name for file in path.parent.iterdir()}
    return sorted(names - {path.name, f"{path.name}.in-use", f"{path.name}.writer-lock"})


class Sale:
    """A server on the database, and callers who book one seat after another."""

    def __init__(self, path: Path) -> None:
        self.server = Server(f"sqlite:///{path}", RATELIMIT_ENABLED="off")
        self.token = self.server.log_in("alice", PASSWORD)
        self.acknowledged: list[str] = []
        self.callers = [threading.Thread(target=self._book, args=(first,)) for first in range(3)]
        for caller in self.callers:
            caller.start()

    def _book(self, first: int) -> None:
        with suppress(OSError, ValueError, HTTPException):  # killed
            self._book_from(first)

    def _book_from(self, first: int) -> None:
        for seat in range(BACKED_UP + 1 + first, 4001, 3):
            status, booking = self.server.call(
                "POST", "/api/shows/1/book/", {"seat_number": seat}, self.token
            )
            assert status == 201
            self.acknowledged.append(booking["reference"])
            # They look at what they have, or all seats were sold before a backup is made.
            for _ in range(3):
                self.server.call("GET", "/api/my-bookings/?page_size=100", token=self.token)

    def close(self) -> None:
        """Kill every process of the server at once."""
        if self.server.process.poll() is None:
            os.killpg(self.server.process.pid, signal.SIGKILL)
        self.server.process.wait()
        for caller in self.callers:
            caller.join()


def references(path: Path) -> set[str]:
    """The bookings of a database in which no promise is broken."""
    with make_app(f"sqlite:///{path}").app_context():
        assert broken_promises() == []
        kept = {row.reference for row in rows(Booking)}
        db.engine.dispose()
    return kept


def test_a_backup_while_servers_sell_has_all_that_was_acknowledged_and_can_be_restored(
    made: Path, path: Path, tmp_path: Path
) -> None:
    shutil.copy(made / "backup.db", path)
    backup = tmp_path / "new.db"
    with closing(Sale(path)) as sale:
        wait_until(lambda: len(sale.acknowledged) >= 20)
        before = set(sale.acknowledged)
        status, said = flask(path, "backup", str(backup))
        assert status == 0, said
        assert re.search(r"MB, schema \d+, 1 shows, \d+ bookings; verified\.$", said)
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        at_once = len(sale.acknowledged)
        wait_until(lambda: len(sale.acknowledged) > at_once)
        status, said = flask(path, "restore", str(backup))
        assert (status, len(said.splitlines())) == (1, 1), said
        assert "in use" in said
    status, said = flask(path, "restore", str(backup))
    assert status == 0, said
    kept = Path(said.splitlines()[1].removeprefix("The database before it is kept as ")[:-1])
    assert kept.name.startswith("booking.db.before-restore-2")

    again = Server(f"sqlite:///{path}", WEB_CONCURRENCY="1")
    assert again.call("GET", "/api/my-bookings/", token=sale.token)[0] == 200
    again.stop()
    assert before <= references(path) == references(backup)
    assert set(sale.acknowledged) <= references(kept)
    assert references(path) < references(kept)


def test_a_backup_replaces_nothing(made: Path, path: Path, tmp_path: Path) -> None:
    crashed(made, path)
    for present in ("new.db", "new.db-wal"):
        (tmp_path / present).write_text("precious")
        with pytest.raises(sqlite_files.Refused, match="is there already"):
            sqlite_files.backup(path, tmp_path / "new.db", counts=COUNTS)
        assert (tmp_path / present).read_text() == "precious"
        (tmp_path / present).unlink()
    contents = sqlite_files.backup(path, tmp_path / "new.db", counts=COUNTS)
    assert contents.rows == {"bookings": SOLD} == {"bookings": bookings(tmp_path / "new.db")}
    assert others(path) == ["booking.db-shm", "booking.db-wal", "new.db"]


def test_no_backup_of_a_malformed_database(made: Path, path: Path) -> None:
    copied_over(made, path)
    with pytest.raises(sqlite_files.Refused, match="is malformed"):
        sqlite_files.backup(path, path.parent / "new.db", counts=COUNTS)
    assert "new.db" not in others(path)
    assert not any("draft" in name for name in others(path))


def test_where_a_backup_cannot_be_written_one_line_says_so(made: Path, path: Path) -> None:
    crashed(made, path)
    line = "^/no/such/folder can't be written: No such file or directory.$"
    with pytest.raises(sqlite_files.Refused, match=line):
        sqlite_files.backup(path, Path("/no/such/folder/x.db"), counts=COUNTS)


@pytest.mark.parametrize("before", [crashed, copied_over])
def test_restore_keeps_the_old_database_with_its_log(
    made: Path, path: Path, before: Callable[[Path, Path], None]
) -> None:
    before(made, path)
    path.chmod(0o640)
    old = {name: (path.parent / name).read_bytes() for name in (path.name, f"{path.name}-wal")}
    assert restore(path, made / "backup.db") == path.parent / others(path)[0]
    assert bookings(path) == BACKED_UP
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    kept, log = others(path)
    assert log == f"{kept}-wal"
    assert [(path.parent / name).read_bytes() for name in (kept, log)] == list(old.values())
    if before is crashed:
        assert bookings(path.parent / kept) == SOLD


@pytest.mark.parametrize(("source", "expected"), [("backup", BACKED_UP), ("crashed", SOLD)])
def test_restore_where_there_is_no_database(
    made: Path, path: Path, source: str, expected: int
) -> None:
    """From a backup, or from a copy of a database that was stopped, with its log."""
    assert restore(path, made / f"{source}.db") is None
    assert (bookings(path), others(path)) == (expected, [])


def _cut(backup: Path) -> None:
    os.truncate(backup, backup.stat().st_size // 2)


def _scribbled(backup: Path) -> None:
    with backup.open("r+b") as file:
        file.seek(backup.stat().st_size // 2)
        file.write(os.urandom(20_000))


def _text(backup: Path) -> None:
    backup.write_text("not a database, and longer than its header " * 100)


def _sql(*statements: str) -> Callable[[Path], None]:
    def change(backup: Path) -> None:
        with closing(sqlite3.connect(backup, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    return change


_SWAPPED = "('ix_booking_show_id', 'ix_booking_user_id_id')"
_swap_indexes = _sql(  # each page is sound for itself
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_master SET rootpage = (SELECT sum(rootpage) FROM sqlite_master"
    f" WHERE name IN {_SWAPPED}) - rootpage WHERE name IN {_SWAPPED}",
)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_cut, "given.db is malformed"),
        (_scribbled, "given.db is malformed"),
        (_text, "given.db is malformed: file is not a database"),
        (_swap_indexes, "given.db is malformed"),
        (_sql("DELETE FROM show"), "given.db is malformed: a row of .* has no show"),
        (_sql("DROP TABLE alembic_version"), "is not a database of this application"),
        (_sql("UPDATE alembic_version SET version_num = '9999'"), "has the schema 9999"),
    ],
)
def test_restore_refuses_what_is_malformed_or_not_ours(
    made: Path, path: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    crashed(made, path)
    backup = tmp_path / "given.db"
    shutil.copy(made / "backup.db", backup)
    damage(backup)
    with pytest.raises(sqlite_files.Refused, match=reason):
        restore(path, backup)
    assert bookings(path) == SOLD
    assert others(path) == ["booking.db-shm", "booking.db-wal", "given.db"]


def test_restore_refuses_while_another_program_has_the_database_open(
    made: Path, path: Path
) -> None:
    """A server of an earlier release, or the `sqlite3` shell: these know nothing of our lock."""
    crashed(made, path)
    program = (
        "import sqlite3, sys; open_ = sqlite3.connect(sys.argv[1]);"
        "open_.execute('SELECT count(*) FROM booking').fetchall(); print('open', flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(sqlite_files.Refused, match="is in use"):
            restore(path, made / "backup.db")
        other.communicate()
    assert bookings(path) == SOLD
    assert not any("before-restore" in name for name in others(path))


def test_a_start_waits_while_a_restore_runs(made: Path, path: Path) -> None:
    shutil.copy(made / "backup.db", path)
    lock = path.with_name("booking.db.in-use")
    with lock.open("ab") as restoring:
        fcntl.flock(restoring, fcntl.LOCK_EX)
        hold = (
            "import runpy, sys; from pathlib import Path;"
            "runpy.run_path(sys.argv[1])['hold_in_use'](Path(sys.argv[2]))"
        )
        command = subprocess.Popen([sys.executable, "-c", hold, MODULE, path])

        def waits() -> bool:
            lines = Path("/proc/locks").read_text().splitlines()
            return any("->" in line and f":{lock.stat().st_ino} " in line for line in lines)

        wait_until(waits)
        assert command.poll() is None
    assert command.wait(timeout=60) == 0


def test_a_forked_process_holds_the_lock_when_its_parent_is_gone(made: Path, path: Path) -> None:
    """As gunicorn's workers do with `preload_app`."""
    shutil.copy(made / "backup.db", path)
    program = (
        "import os, runpy, sys; from pathlib import Path\n"
        "runpy.run_path(sys.argv[1])['hold_in_use'](Path(sys.argv[2]))\n"
        "if os.fork(): os._exit(0)\n"
        "print('forked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, MODULE, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"forked\n"
        parent.wait(timeout=30)
        with pytest.raises(sqlite_files.Refused, match="is in use"):
            restore(path, made / "backup.db")
        parent.communicate()
    assert restore(path, made / "backup.db") is not None


# Kills itself before the file operation of that number.
KILLED = """
import os, runpy, signal, sys
from pathlib import Path

files = runpy.run_path(sys.argv[1])
left = int(sys.argv[4])

def count(event, args):
    global left
    if event.startswith(("open", "os.", "sqlite3.", "fcntl.")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
files["restore"](
    Path(sys.argv[2]), Path(sys.argv[3]),
    counts={"bookings": "SELECT count(*) FROM booking"}, revisions=sys.argv[5:],
)
"""


@pytest.mark.parametrize(
    "before",
    [crashed, *(pytest.param(way, marks=pytest.mark.in_ci) for way in (copied_over, lost))],
)
def test_restore_killed_at_any_step_leaves_one_database_whole(
    made: Path, path: Path, before: Callable[[Path, Path], None]
) -> None:
    seen: list[Any] = []
    for step in range(1, 200):
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        before(made, path)
        old = [file.read_bytes() for file in (path, Path(f"{path}-wal")) if file.exists()]
        given = [MODULE, path, made / "later.db", str(step), *known_revisions()]
        done = subprocess.run([sys.executable, "-I", "-S", "-c", KILLED, *given], check=False)
        files = runpy.run_path(MODULE)
        for kept in path.parent.glob("*Z"):
            assert [kept.read_bytes(), Path(f"{kept}-wal").read_bytes()] == old
            seen.append("kept")
        try:
            files["hold_in_use"](path)
            files["check"](path)
        except SystemExit:
            seen.append("refused")
            assert before is not crashed, "the old one was sound"
        else:
            seen.append(bookings(path))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert step > 20
    first = SOLD if before is crashed else "refused"
    assert [seen[0], seen[-1]] == [first, LATER]
    assert set(seen) - {"kept"} == {first, LATER}
    assert ("kept" in seen) == (before is not lost)


def test_no_start_accepts_a_malformed_database(made: Path, path: Path) -> None:
    """Each way to start ends with one line, which says what to do, and changes nothing."""
    copied_over(made, path)
    old = [path.read_bytes(), Path(f"{path}-wal").read_bytes()]
    for command in (
        ["gunicorn", "wsgi:app", "--log-level=error"],
        ["flask", "run", "--port=0"],
        ["flask", "db", "upgrade"],
        ["flask", "load-demo"],
    ):
        process = start(path, *command)
        output, errors = process.communicate(timeout=60)
        assert process.returncode not in (0, None), command
        assert output == "", command
        (line,) = errors.strip().splitlines()
        assert line.startswith(f"DATABASE_URL: {path} is malformed: "), command
        assert line.endswith("restore a backup: flask restore FILE"), command
        assert [path.read_bytes(), Path(f"{path}-wal").read_bytes()] == old, command


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_cut, "malformed"),
        (_text, "file is not a database"),
        (lambda path: os.truncate(path, 10), "file is not a database"),
        (lambda path: path.unlink(), "it is missing or empty, but its log"),
        (lambda path: os.truncate(path, 0), "it is missing or empty, but its log"),
    ],
)
def test_what_else_no_start_accepts(
    made: Path, path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    crashed(made, path)
    log = Path(f"{path}-wal").read_bytes()
    damage(path)
    if reason == "malformed":
        Path(f"{path}-wal").unlink()
        log = b""
    files = runpy.run_path(MODULE)
    with pytest.raises(SystemExit, match=reason):
        files["check"](path)
    assert not log or Path(f"{path}-wal").read_bytes() == log


def test_on_postgresql_both_commands_name_the_program_to_use() -> None:
    url = "postgresql://bob:secret@db.example/booking?sslmode=require&password=secret"
    runner = make_app(url).test_cli_runner()
    for command in (["backup", "new.dump"], ["restore", MODULE]):
        done = runner.invoke(args=command)
        assert done.exit_code == 1
        (line,) = done.output.splitlines()
        assert "postgresql://bob@db.example/booking?sslmode=require" in line
        assert "secret" not in line
        assert f"pg_{'dump' if command[0] == 'backup' else 'restore'} " in line
