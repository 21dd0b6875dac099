"""Outages are 503, nothing is written meanwhile, and what comes after is as before."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.booking.models import Booking
from booking_app.catalog.models import Movie
from booking_app.core.database import db, reading, write_transaction
from booking_app.core.engines import SQLite, backend
from booking_app.core.outages import Busy, Unavailable, is_unavailable, time_limit
from tests.conftest import Caller, make_app, rows

only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def book(caller: Caller, show_id: int, seat: int = 1) -> Any:
    return caller.post(f"/api/shows/{show_id}/book/", {"seat_number": seat})


def assert_outage(answer: Any) -> None:
    assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
    assert answer.headers["Retry-After"] == "1"


def assert_only_an_outage(caller: Caller, show_id: int) -> None:
    """One booking is refused for now, nothing is written."""
    assert_outage(book(caller, show_id))
    assert rows(Booking) == []


# --- PostgreSQL -----------------------------------------------------------------------------


@contextmanager
def seats_that_fail(code: str) -> Iterator[None]:
    """PostgreSQL raises `code` where a seat is taken."""
    with db.engine.connect() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER fail BEFORE UPDATE ON show_seat EXECUTE FUNCTION fail()"
        )
    try:
        yield
    finally:
        with db.engine.connect() as connection:
            connection.exec_driver_sql("DROP FUNCTION fail CASCADE")


def server_process() -> int:
    """The server's process behind the connection that the next request takes."""
    with reading() as connection:
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


@only_postgresql
@pytest.mark.parametrize(
    "code",
    ["08006", "25006", "53100", "53200", "53300", "57014", "57P01", "57P04", "58000", "58030"],
)
def test_an_error_that_means_an_outage_is_503_and_its_connection_is_given_up(
    alice: Caller, show_id: int, code: str
) -> None:
    with seats_that_fail(code):
        before = server_process()
        assert_only_an_outage(alice, show_id)
        assert server_process() != before
    assert book(alice, show_id).status_code == 201


@only_postgresql
def test_a_database_that_was_read_only_is_written_to_as_soon_as_it_is_not(
    alice: Caller, show_id: int
) -> None:
    """Sessions keep what the database said when they began."""
    name = db.engine.url.database
    with db.engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    db.engine.dispose()
    try:
        for _ in range(3):
            assert_outage(book(alice, show_id))
        assert alice.get("/api/movies/").status_code == 200  # readers go on
    finally:
        with db.engine.connect() as connection:
            connection.exec_driver_sql("SET default_transaction_read_only = off")
            connection.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            connection.invalidate()
    answers = [book(alice, show_id, seat).status_code for seat in (1, 2, 3)]
    assert answers[1:] == [201, 201]  # the first may meet a session from before
    db.engine.dispose()  # for the tests that follow


@only_postgresql
def test_a_connection_that_died_in_the_pool_is_replaced_before_a_request_uses_it(
    alice: Caller, show_id: int
) -> None:
    assert alice.get("/api/movies/").status_code == 200
    dead = server_process()
    with db.engine.connect() as first, db.engine.connect() as other:
        processes = [c.exec_driver_sql("SELECT pg_backend_pid()").scalar() for c in (first, other)]
        assert dead in processes
        other.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert book(alice, show_id).status_code == 201
    assert server_process() not in processes[:1]


# --- waiting --------------------------------------------------------------------------------

ENDLESS = {
    "postgresql": "SELECT pg_sleep(60)",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n",
}


@pytest.mark.promise
def test_a_statement_that_takes_too_long_is_ended(app: Flask) -> None:
    begun = time.monotonic()
    with (
        pytest.raises(sa.exc.DBAPIError) as ended,
        time_limit(0.3),
        reading() as connection,
    ):
        connection.exec_driver_sql(ENDLESS[db.engine.dialect.name])
    assert is_unavailable(ended.value)
    assert time.monotonic() - begun < 30
    with reading() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_a_request_whose_time_is_over_asks_the_database_nothing_more(app: Flask) -> None:
    with time_limit(0), pytest.raises(Unavailable), reading():
        pytest.fail("it was given a connection")
    with time_limit(0), time_limit(None), reading() as connection:  # exempt
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_every_request_has_a_time_limit(app: Flask, alice: Caller, show_id: int) -> None:
    """While the seat is locked by somebody else, and the lock's own time limit is far off."""
    app.before_request_funcs[None].append(lambda: time_limit(0.3).__enter__())
    try:
        if db.engine.dialect.name == "postgresql":
            with db.engine.connect() as blocker, blocker.begin():
                blocker.exec_driver_sql("BEGIN")
                blocker.exec_driver_sql("SELECT 1 FROM show_seat FOR UPDATE")
                assert_outage(book(alice, show_id))
                blocker.exec_driver_sql("ROLLBACK")
        else:
            kind = backend(db.engine)
            assert isinstance(kind, SQLite)
            with kind.queue.thread:
                assert_outage(book(alice, show_id))
    finally:
        app.before_request_funcs[None].pop()
    assert rows(Booking) == []


# --- a server that is down ------------------------------------------------------------------


def test_a_server_that_is_known_to_be_down_is_not_asked_again_by_requests() -> None:
    """It is looked at in the background; the first who asks may wait, the others don't."""
    app = make_app("postgresql://nobody@127.0.0.1:1/none")
    with app.app_context():
        asked: list[float] = []
        sa.event.listen(db.engine, "do_connect", lambda *args: asked.append(time.monotonic()))
        watch = backend(db.engine).watch
        with time_limit(5), pytest.raises(sa.exc.OperationalError), reading():
            pytest.fail("there is no server")
        deadline = time.monotonic() + 30
        refused: Exception | None = None
        while refused is None and time.monotonic() < deadline:
            try:
                watch.refuse_if_down()
            except Unavailable as error:
                refused = error
        assert refused is not None
        here = len(asked)
        for _ in range(5):
            with pytest.raises(Unavailable, match="the database is down"), reading():
                pytest.fail("there is no server")
        assert len(asked) - here <= 1  # that was the look in the background


# --- SQLite ---------------------------------------------------------------------------------


def sqlite_file() -> Path:
    return Path(str(db.engine.url.database))


@contextmanager
def on_every_connection(work: Callable[[sqlite3.Connection], object]) -> Iterator[None]:
    """New connections begin with `work`; so do those that are open."""

    def connected(connection: sqlite3.Connection, record: object) -> None:
        work(connection)

    db.engine.dispose()
    sa.event.listen(db.engine, "connect", connected)
    try:
        yield
    finally:
        sa.event.remove(db.engine, "connect", connected)


@only_sqlite
def test_a_full_disk_is_503(staff: Caller) -> None:
    film = {"title": "Film", "duration_minutes": 90, "description": "x" * 2000}
    with reading() as connection:
        connection.exec_driver_sql("VACUUM")  # no page is left of the tests before
    with on_every_connection(lambda c: c.execute("PRAGMA max_page_count = 1")):
        answers = [staff.post("/api/movies/", film) for _ in range(20)]
        full = [answer for answer in answers if answer.status_code != 201]
        assert full  # once the pages are full that were there before
        for answer in full:
            assert_outage(answer)
        assert len(rows(Movie)) == len(answers) - len(full)
    db.engine.dispose()
    assert staff.post("/api/movies/", film).status_code == 201


@only_sqlite
def test_a_file_that_may_only_be_read_is_503_until_the_rights_are_mended(
    alice: Caller, show_id: int
) -> None:
    with on_every_connection(lambda c: c.execute("PRAGMA query_only = ON")):
        assert_outage(book(alice, show_id))
        assert alice.get("/api/movies/").status_code == 200
        assert_outage(book(alice, show_id))  # its connection is given up, and no other is left
    assert rows(Booking) == []
    assert book(alice, show_id).status_code == 201


@only_sqlite
def test_a_connection_from_before_its_file_got_other_rights_is_replaced(app: Flask) -> None:
    """One that was opened for reading only stays so."""

    def opened() -> Any:
        with reading() as connection:
            return connection.connection.driver_connection

    before, path = opened(), sqlite_file()
    assert opened() is before
    path.chmod(path.stat().st_mode ^ 0o020)
    assert opened() is not before


@only_sqlite
def test_a_lock_file_that_cannot_be_opened_is_503_until_it_can(alice: Caller, show_id: int) -> None:
    lock = Path(f"{sqlite_file()}.writer-lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()
    try:
        assert_only_an_outage(alice, show_id)
    finally:
        lock.rmdir()
    assert book(alice, show_id).status_code == 201


@only_sqlite
@pytest.mark.parametrize("put_back", [True, False], ids=["renamed", "deleted"])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(
    alice: Caller, show_id: int, put_back: bool
) -> None:
    path = sqlite_file()
    aside = path.with_name("aside.db")
    os.rename(path, aside)
    try:
        for _ in range(3):
            assert_outage(book(alice, show_id))
        assert not path.exists()  # no new, empty database
    finally:
        os.rename(aside, path)
    assert rows(Booking) == []
    assert book(alice, show_id).status_code == 201


@only_sqlite
def test_a_file_that_goes_away_within_a_write_is_503(app: Flask, show_id: int) -> None:
    path = sqlite_file()
    aside = path.with_name("aside.db")

    def lose(connection: sa.Connection) -> None:
        connection.execute(sa.update(Booking).values(currency="XXX"))
        os.rename(path, aside)

    with pytest.raises(Unavailable, match="is not the file any more"):
        write_transaction(lose)
    os.rename(aside, path)
    assert rows(Booking) == []


@only_sqlite
def test_another_file_in_its_place_is_used_by_the_next_request(alice: Caller, show_id: int) -> None:
    """As after a restore: the file that is there is the database."""
    path = sqlite_file()
    with sqlite3.connect(path) as source, sqlite3.connect(path.with_name("new.db")) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    os.rename(path, path.with_name("old.db"))
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    os.rename(path.with_name("new.db"), path)
    assert book(alice, show_id).status_code == 201
    with sqlite3.connect(path) as there:
        assert there.execute("SELECT count(*) FROM booking").fetchone() == (1,)
    there.close()


@only_sqlite
def test_a_malformed_file_is_503_for_whoever_meets_it(alice: Caller, show_id: int) -> None:
    path = sqlite_file()
    db.engine.dispose()
    whole = path.read_bytes()
    path.write_bytes(b"no database" * 1000)
    try:
        assert_outage(alice.get("/api/movies/"))
        assert_outage(book(alice, show_id))
    finally:
        db.engine.dispose()
        path.write_bytes(whole)
    assert book(alice, show_id).status_code == 201


@only_sqlite
def test_nobody_waits_without_end_for_whoever_holds_the_writers_lock(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a process that was stopped."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr("booking_app.core.engines.LOCK_TIMEOUT_SECONDS", 0.1)
    with Path(f"{sqlite_file()}.writer-lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another process"):
            write_transaction(lambda connection: pytest.fail("it was its turn"))
    write_transaction(lambda connection: None)
