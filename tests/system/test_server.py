"""Under gunicorn: a graceful stop, a crash, and workers that need not know of each other."""

import fcntl
import http.client
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.booking.models import Booking
from booking_app.core.database import db, reading
from booking_app.core.engines import backend
from tests.conftest import PASSWORD, rows
from tests.promise import broken_promises
from tests.serving import Server, wait_until

pytestmark = pytest.mark.both_in_ci("postgresql")


@pytest.fixture
def server(app: Flask, database_url: str) -> Iterator[Server]:
    server = Server(database_url)
    yield server
    if server.process.poll() is None:
        os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


@contextmanager
def writers_blocked() -> Iterator[Callable[[], bool]]:
    """Nobody can write meanwhile. Gives a function that tells whether somebody waits to."""
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT 1 FROM show_seat FOR UPDATE")

            def somebody_waits() -> bool:
                with reading() as other:
                    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    return other.exec_driver_sql(waiting).first() is not None

            yield somebody_waits
            connection.exec_driver_sql("ROLLBACK")
        return
    lock = Path(f"{db.engine.url.database}.writer-lock")
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def somebody_waits() -> bool:
            """Whoever tries to get the lock has its file open."""
            opened = (path for path in Path("/proc").glob("[0-9]*/fd/*"))
            return any(is_lock(path) for path in opened if path.parts[2] != str(os.getpid()))

        def is_lock(opened: Path) -> bool:
            try:
                return opened.readlink() == lock
            except OSError:  # closed meanwhile, or somebody else's
                return False

        yield somebody_waits


@contextmanager
def writers_wait_in_vain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody of this process can write meanwhile, and gives up soon."""

    def short(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET lock_timeout = '100ms'")

    queue = getattr(backend(db.engine), "queue", None)
    with monkeypatch.context() as patched, writers_blocked():
        patched.setattr("booking_app.core.engines.LOCK_TIMEOUT_SECONDS", 0.1)
        sa.event.listen(db.engine, "begin", short)
        if queue is not None:
            queue.thread.acquire()  # another thread of this process waits for the file
        try:
            yield
        finally:
            if queue is not None:
                queue.thread.release()
            sa.event.remove(db.engine, "begin", short)
    db.engine.dispose()  # the connections keep what was set


def test_a_graceful_stop_finishes_and_acknowledges_what_is_in_progress(
    server: Server, show_id: int
) -> None:
    token = server.log_in("alice", PASSWORD)
    answers: list[Any] = []

    def book() -> None:
        path = f"/api/shows/{show_id}/book/"
        answers.append(server.call("POST", path, {"seat_number": 1}, token))

    buyer = threading.Thread(target=book)
    with writers_blocked() as somebody_waits:
        buyer.start()
        wait_until(somebody_waits)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not server.is_up())
        assert server.process.poll() is None
    buyer.join()
    assert server.process.wait(timeout=30) == 0
    ((status, booking),) = answers
    assert status == 201
    assert [row.reference for row in rows(Booking)] == [booking["reference"]]
    assert broken_promises() == []


def test_a_crash_loses_no_acknowledged_booking(
    server: Server, database_url: str, make_show: Callable[..., int]
) -> None:
    """Four callers book as fast as they can; then every process is killed at once."""
    show = make_show(total_seats=2000)
    token = server.log_in("alice", PASSWORD)
    acknowledged: list[str] = []
    enough = threading.Event()

    def book(first: int) -> None:
        for seat in range(first, 2001, 4):
            try:
                path = f"/api/shows/{show}/book/"
                status, booking = server.call("POST", path, {"seat_number": seat}, token)
            except (OSError, ValueError, http.client.HTTPException):
                return
            assert status == 201
            acknowledged.append(booking["reference"])
            if len(acknowledged) >= 60:
                enough.set()

    callers = [threading.Thread(target=book, args=(first,)) for first in range(1, 5)]
    for caller in callers:
        caller.start()
    assert enough.wait(60)
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()
    for caller in callers:
        caller.join()

    again = Server(database_url)  # and it serves at once: no lock is left behind
    try:
        kept = {row.reference for row in rows(Booking)}
        assert set(acknowledged) <= kept
        assert broken_promises() == []
        status, _ = again.call("POST", f"/api/shows/{show}/book/", {"seat_number": 2000}, token)
        assert status == 201
    finally:
        os.killpg(again.process.pid, signal.SIGKILL)
        again.process.wait()


def test_any_worker_serves_any_request(server: Server, show_id: int) -> None:
    """What one worker answered the other knows: nothing stands in a worker's memory."""
    token = server.log_in("alice", PASSWORD)
    for seat in range(1, 11):
        path = f"/api/shows/{show_id}/book/"
        assert server.call("POST", path, {"seat_number": seat}, token)[0] == 201
        status, shown = server.call("GET", f"/api/shows/{show_id}/")
        assert (status, shown["available_seats"]) == (200, 10 - seat)
    assert len(server.call("GET", "/api/my-bookings/", token=token)[1]) == 10


def test_a_database_that_comes_back_is_used_again(server: Server, show_id: int) -> None:
    """PostgreSQL ends every connection, as a restart does; the next requests find new ones."""
    if db.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no server to lose")
    assert server.call("GET", f"/api/shows/{show_id}/")[0] == 200
    with db.engine.connect() as connection:
        others = sa.text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute(others)
    db.engine.dispose()
    statuses = [server.call("GET", f"/api/shows/{show_id}/")[0] for _ in range(20)]
    assert set(statuses) <= {200, 503}
    assert statuses[-5:] == [200] * 5
