"""The files of a SQLite database: who uses them, whether they are sound, backup and restore.

A database is a file and, beside it, its log `-wal` with what was committed last. A file beside the
log of another database is malformed, or looks sound and is not: the two only change together.

This module imports the standard library alone: gunicorn's master runs it without the application.
"""

import os
import secrets
import shutil
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows doesn't let an open database be renamed, which guards it there
    fcntl = None  # type: ignore[assignment]

MAGIC = b"SQLite format 3\0"
SIDES = ("-wal", "-shm", "-journal")
# The bytes that every connection in WAL mode locks for as long as it is open, also one of another
# program or release: https://sqlite.org/src/file/src/os.h, SHARED_FIRST and SHARED_SIZE
SHARED_FIRST, SHARED_SIZE = 0x40000002, 510

# The lock of each database that this process uses.
_locks: dict[Path, int] = {}
# Databases that no other process used when this one began to.
_first: set[Path] = set()
# Databases that `check` has looked at.
_checked: set[Path] = set()


class Refused(SystemExit):
    """A database or backup that can't be used. Uncaught, it ends the process with its one line."""


@dataclass(frozen=True)
class Contents:
    """The size of a verified database in bytes, the revision of its schema, and counts of rows."""

    size: int
    revision: str
    rows: dict[str, int]


# --- the start ------------------------------------------------------------------------------


def hold_in_use(path: Path) -> None:
    """Tell other processes that this one uses the database, until it ends.

    It keeps a shared lock on `<path>.in-use`, which the system takes back when the process ends,
    however it ends. `restore` needs the lock for itself alone; while one runs, this waits.

    A forked process has its parent's lock, which lasts until both have ended. So it does not matter
    whether gunicorn makes the application in each worker or, with `preload_app`, in its master.
    """
    path = path.resolve()
    if fcntl is None or path in _locks:
        return
    try:
        # Read access is enough for a lock, so it may be another account's file.
        lock = os.open(_beside(path, ".in-use"), os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _first.add(path)
        except BlockingIOError:
            pass
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError as error:
        raise _unreachable(path.parent, error.strerror) from error
    _locks[path] = lock


def check(path: Path) -> None:
    """Refuse a database that is malformed or can't be written.

    The process that is the first to use it reads all of it (some seconds for 1 GB); others only
    open it. A file that is not there yet is no fault. It looks once in a process, before the first
    connection: to close the file later would give up the locks that SQLite has on it there.
    """
    path = path.resolve()
    if path in _checked:
        return
    _checked.add(path)
    for needed in (path.parent, path):
        if needed.exists() and not os.access(needed, os.R_OK | os.W_OK):
            raise _unreachable(needed, "it can't be read and written")
    if not _size(path):
        if _size(_beside(path, "-wal")):  # SQLite would delete it
            raise _malformed(path, "it is missing or empty, but its log (-wal) is there")
        return
    pragma = "PRAGMA quick_check(1)" if path in _first else "PRAGMA schema_version"
    fault = None if _has_magic(path) else "file is not a database"
    try:
        fault = fault or _fault(path, pragma)
    except sqlite3.OperationalError as error:
        raise _unreachable(path, str(error)) from error
    if fault:
        raise _malformed(path, fault)


def _unreachable(path: Path, reason: str | None) -> Refused:
    return Refused(f"DATABASE_URL: the database can't be reached: {path}: {reason}")


def _malformed(path: Path, fault: str) -> Refused:
    return Refused(
        f"DATABASE_URL: {path} is malformed: {fault}. "
        "Stop every server and restore a backup: flask restore FILE"
    )


def _fault(path: Path, pragma: str) -> str | None:
    """What SQLite finds wrong in the database, in one line. Nothing is written."""
    try:
        with closing(_reading(path)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (found,) = connection.execute(pragma).fetchone()
    except sqlite3.OperationalError:
        raise  # busy, no space: not what the file says
    except sqlite3.DatabaseError as error:
        return str(error)
    text = " ".join(str(found).replace("*** in database main ***", "").split())
    return None if text.isdecimal() or text == "ok" else text


# --- backup and restore ---------------------------------------------------------------------


def backup(path: Path, target: Path, *, counts: Mapping[str, str]) -> Contents:
    """Copy the database to the new file `target` while others write to it, and verify the copy.

    What was committed before the call is in it. Nothing stands at `target` until it is complete,
    verified and on the disk. `counts` are statements that count rows; raises Refused.
    """
    path, target = path.resolve(), target.resolve()
    if not _size(path):
        raise Refused(f"{path}: there is no database to back up.")
    if present := [file for file in (target, *_sides(target)) if file.exists()]:
        raise Refused(f"{present[0]} is there already. Name a new file: a backup replaces none.")
    with _told(target), _draft(target) as draft:
        _copy(path, draft)
        contents = _verify(draft, path, counts)
        os.replace(draft, target)
        _sync(target.parent)
    return contents


def restore(
    path: Path, source: Path, *, counts: Mapping[str, str], revisions: Collection[str]
) -> tuple[Contents, Path | None]:
    """Put a verified copy of `source` in the database's place. Give what is in it, and where the
    database before is kept, if there was one.

    Refused while another process uses the database, and where the schema is not one of `revisions`.
    A crash leaves the old database or the new one; where the old one can't be read, it may also
    leave a file that `check` refuses.
    """
    path, source = path.resolve(), source.resolve()
    if source == path:
        raise Refused(f"{source} is the database itself. Name a backup.")
    _use_alone(path)
    with _told(path), _draft(path) as draft:
        _copy(source, draft)
        contents = _verify(draft, source, counts)
        if contents.revision not in revisions:
            raise Refused(
                f"{source} has the schema {contents.revision}, which this release does not know. "
                "Restore it with the release that made it, or a later one."
            )
        _own_as(draft, path)
        if path.exists():
            shutil.copymode(path, draft)
        kept = _keep(path)
        _put_in_place(draft, path)
    return contents, kept


def _use_alone(path: Path) -> None:
    """Until this process ends, let no other one begin to use the database; raises Refused."""
    if fcntl is None:
        return
    hold_in_use(path)
    try:
        fcntl.flock(_locks[path], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _busy(path) from error


def _busy(path: Path) -> Refused:
    return Refused(f"{path} is in use. Stop every server and command that uses it, then try again.")


def _keep(path: Path) -> Path | None:
    """Copy the database with its log, byte by byte, to a new name beside it; give that name."""
    if not any([path.exists(), *_sides(path)]):
        return None
    kept = _beside(path, f".before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    with _without_others(path) as content:
        for side in _sides(path):
            with side.open("rb") as log:
                _write(log, _beside(kept, side.name.removeprefix(path.name)), like=path)
        if content is not None:
            _write(content, kept, like=path)
    return kept


@contextmanager
def _without_others(path: Path) -> Iterator[BinaryIO | None]:
    """The database's file, if there is one, which no connection has open; raises Refused."""
    if not path.exists():
        yield None
        return
    with path.open("r+b") as content:
        if fcntl is not None:
            try:
                fcntl.lockf(content, fcntl.LOCK_EX | fcntl.LOCK_NB, SHARED_SIZE, SHARED_FIRST)
            except OSError as error:
                raise _busy(path) from error
        yield content


def _put_in_place(draft: Path, path: Path) -> None:
    """Exchange the database for `draft`, by one rename wherever the old one can be read."""
    if path.exists() and _has_magic(path):
        try:
            with closing(sqlite3.connect(path)) as old:  # take the log into the old file
                old.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            pass  # malformed: the log stays
    if sides := _sides(path):
        # No start may find the old log beside the new file, nor the old file without its log.
        with _draft(path) as note:
            note.write_text("A restore was interrupted here. Run `flask restore FILE` again.\n")
            _sync(note)
            os.replace(note, path)
            _sync(path.parent)
        for side in sides:
            side.unlink()
        _sync(path.parent)
    os.replace(draft, path)
    _sync(path.parent)


def _copy(source: Path, draft: Path) -> None:
    """Write the database that `source` is, with what is in its log, to `draft`, one file."""
    try:
        with closing(_reading(source)) as read, closing(sqlite3.connect(draft)) as write:
            read.backup(write)
            write.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise Refused(f"{source} is malformed: {error}. Nothing was changed.") from error
    _sync(draft)


def _verify(draft: Path, source: Path, counts: Mapping[str, str]) -> Contents:
    """Read all of `draft`, a copy of `source`; raises Refused where it is malformed or not ours."""
    if fault := _fault(draft, "PRAGMA integrity_check(1)"):
        raise Refused(f"{source} is malformed: {fault}. Nothing was changed.")
    with closing(_reading(draft)) as connection:
        if orphan := connection.execute("PRAGMA foreign_key_check").fetchone():
            fault = f"a row of {orphan[0]} has no {orphan[2]}"
            raise Refused(f"{source} is malformed: {fault}. Nothing was changed.")
        try:
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            rows = {
                name: int(connection.execute(statement).fetchone()[0])
                for name, statement in counts.items()
            }
        except sqlite3.OperationalError:  # no such table
            revision = None
    if revision is None:
        raise Refused(f"{source} is not a database of this application. Nothing was changed.")
    return Contents(size=_size(draft), revision=str(revision[0]), rows=rows)


# --- files ----------------------------------------------------------------------------------


def _reading(path: Path) -> sqlite3.Connection:
    """A connection for reading. It leaves the log as it is: where the database is malformed, both
    are needed to save by hand what can be saved."""
    mode = "rw"  # takes back what a crash cut off in `-journal`, and tidies up an empty log
    if _size(_beside(path, "-wal")):
        mode = "ro"
    elif not _sides(path) and not os.access(path.parent, os.W_OK):
        mode = "ro&immutable=1"  # SQLite could not make the log
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True)


@contextmanager
def _draft(place: Path) -> Iterator[Path]:
    """A new file beside `place` that only its owner can read; deleted unless it is renamed."""
    draft = _beside(place, f".draft-{secrets.token_hex(4)}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise Refused(f"{place.parent} can't be written: {error.strerror}.") from error
    try:
        yield draft
    finally:
        for left in (draft, *_sides(draft)):
            left.unlink(missing_ok=True)


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """Give what the disk or SQLite refuses as one line."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{error.filename or place}: {error.strerror}.") from error
    except sqlite3.Error as error:
        raise Refused(f"{place}: {error}.") from error


def _write(content: BinaryIO, target: Path, *, like: Path) -> None:
    """Write `content` to the new file `target`: there is all of it, or no such file."""
    with _draft(target) as draft:
        with draft.open("wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        _own_as(draft, like)
        _sync(draft)
        os.replace(draft, target)
    _sync(target.parent)


def _own_as(file: Path, like: Path) -> None:
    """Give `file`, made by root, to the account of the database or else of its folder."""
    if os.name == "posix" and os.geteuid() == 0:
        owner = (like if like.exists() else like.parent).stat()
        os.chown(file, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    """Wait until the file or the names in the folder are on the disk."""
    if os.name != "posix":
        return  # Windows can't open a folder
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _sides(path: Path) -> list[Path]:
    return [side for suffix in SIDES if (side := _beside(path, suffix)).exists()]


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _has_magic(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC
