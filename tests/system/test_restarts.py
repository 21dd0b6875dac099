"""Restarts lose no request: behind nginx none fails, and without nginx none is reset."""

import http.client
import json
import os
import queue
import re
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from flask import Flask

from booking_app.booking.models import Booking
from tests.conftest import PASSWORD, rows
from tests.nginx import Nginx, needs_nginx
from tests.promise import broken_promises
from tests.serving import Server, wait_until

pytestmark = pytest.mark.both_in_ci("postgresql")

BUYERS = 24  # more than the threads of the server, so that some always wait
BOOKINGS = 600
ENDLESS = 4800  # more than are sold before a server has stopped


class Buyers:
    """Threads that book the seats of a show one by one, each on a connection that it keeps.

    `results` has statuses, and the types of errors. A buyer leaves at the first error.
    """

    def __init__(self, port: int, show_id: int, token: str) -> None:
        self.port = port
        self.path = f"/api/shows/{show_id}/book/"
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self.offered = 0
        self.seats: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.results: list[int | str] = []
        self.references: list[str] = []
        self.threads = [threading.Thread(target=self.buy) for _ in range(BUYERS)]
        for thread in self.threads:
            thread.start()

    def buy(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            while seat := self.seats.get():
                body = json.dumps({"seat_number": seat})
                connection.request("POST", self.path, body, self.headers)
                answer = connection.getresponse()
                text = answer.read()
                self.results.append(answer.status)
                if answer.status == 201:
                    self.references.append(json.loads(text)["reference"])
        except (OSError, http.client.HTTPException) as error:
            self.results.append(type(error).__name__)
        finally:
            connection.close()

    def book(self, seats: int, until: int) -> None:
        """Have so many more seats booked, and return when `until` are, in the midst of it."""
        for _ in range(seats):
            self.offered += 1
            self.seats.put(self.offered)
        self.wait_for(until)
        assert self.offered - len(self.results) > BUYERS

    def wait_for(self, answers: int) -> None:
        wait_until(lambda: len(self.results) >= answers, 120)

    def leave(self) -> None:
        """Return when all is booked, or nobody can book any more."""
        for _ in self.threads:
            self.seats.put(None)
        for thread in self.threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self.threads)

    def assert_promises(self) -> None:
        """What was acknowledged, and nothing else, is in the database."""
        assert sorted(self.references) == sorted(row.reference for row in rows(Booking))
        assert broken_promises() == []


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """Ends what a test has started."""
    with ExitStack() as stack:
        yield stack


def kill_all(server: Server) -> None:
    """End a server with all that came of it."""
    with suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def boots(log: Path) -> int:
    """How many workers a server has started."""
    return log.read_text().count("Booting worker")


def bookings(log: Path) -> int:
    """How many bookings a server has acknowledged."""
    return len(re.findall(r"POST /api/shows/\d+/book/ 201", log.read_text()))


@needs_nginx
def test_new_workers_and_a_new_release_beside_the_old_one_fail_no_booking(
    app: Flask,
    database_url: str,
    make_show: Callable[..., int],
    running: ExitStack,
    tmp_path: Path,
) -> None:
    """SIGHUP; then SIGUSR2 and, when the next release serves, SIGTERM to the old one."""
    show = make_show(total_seats=BOOKINGS)
    log = tmp_path / "gunicorn.log"
    server = Server(database_url, log, RATELIMIT_ENABLED="off")
    running.callback(kill_all, server)
    nginx = Nginx(tmp_path, server.port)
    running.callback(nginx.stop)
    buyers = Buyers(nginx.port, show, server.log_in("alice", PASSWORD))

    buyers.book(BOOKINGS // 4, until=10)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: boots(log) == 4)
    buyers.wait_for(BOOKINGS // 4)
    buyers.book(BOOKINGS // 4, until=BOOKINGS // 4 + 10)
    server.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: boots(log) == 6)
    buyers.book(BOOKINGS // 2, until=BOOKINGS // 2 + 10)
    server.stop()
    buyers.leave()

    assert Counter(buyers.results) == {201: BOOKINGS}, nginx.errors.read_text()
    assert server.is_up()  # the new release, without the old one
    buyers.assert_promises()


@needs_nginx
def test_a_restart_on_a_socket_that_stays_open_fails_no_booking(
    app: Flask,
    database_url: str,
    make_show: Callable[..., int],
    running: ExitStack,
    tmp_path: Path,
) -> None:
    """As systemd restarts the service of a socket: SIGTERM, wait for the end, start anew."""
    show = make_show(total_seats=BOOKINGS)
    listener = running.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2048))
    logs = [tmp_path / "old.log", tmp_path / "new.log"]
    old = Server(database_url, logs[0], listener, RATELIMIT_ENABLED="off")
    running.callback(kill_all, old)
    nginx = Nginx(tmp_path, old.port)
    running.callback(nginx.stop)
    buyers = Buyers(nginx.port, show, old.log_in("alice", PASSWORD))

    buyers.book(BOOKINGS, until=BOOKINGS // 2)
    old.stop()
    new = Server(database_url, logs[1], listener, RATELIMIT_ENABLED="off")
    running.callback(kill_all, new)
    buyers.leave()

    assert Counter(buyers.results) == {201: BOOKINGS}, nginx.errors.read_text()
    assert all(bookings(log) > 0 for log in logs)
    buyers.assert_promises()


def test_a_stop_of_the_only_server_resets_no_connection(
    app: Flask, database_url: str, make_show: Callable[..., int], running: ExitStack
) -> None:
    """Without nginx each request has its answer, or is refused before it is sent."""
    show = make_show(total_seats=ENDLESS)
    server = Server(database_url, RATELIMIT_ENABLED="off")
    running.callback(kill_all, server)
    buyers = Buyers(server.port, show, server.log_in("alice", PASSWORD))
    buyers.book(ENDLESS, until=2 * BUYERS)
    server.stop()
    buyers.leave()

    assert server.process.returncode == 0
    counted = Counter(buyers.results)
    assert counted["ConnectionRefusedError"] == BUYERS, counted
    assert counted[201] == counted.total() - BUYERS
    buyers.assert_promises()


def workers(server: Server) -> list[int]:
    """The processes that a server has started."""
    found = subprocess.run(
        ["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True
    )
    return [int(pid) for pid in found.stdout.split()]


def stands_still(pid: int) -> bool:
    """Whether SIGSTOP has reached every thread of the process."""
    threads = Path(f"/proc/{pid}/task").glob("*/status")
    return all("State:\tT" in thread.read_text() for thread in threads)


def has_to_stop(pid: int) -> bool:
    """Whether the process was sent a SIGTERM that it has not seen yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    pending = re.search(r"ShdPnd:\s*([0-9a-f]+)", status)
    return bool(pending and int(pending[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_stop_answers_connections_that_no_worker_has_accepted_yet(
    app: Flask, database_url: str, show_id: int, running: ExitStack
) -> None:
    server = Server(database_url)
    running.callback(kill_all, server)
    token = server.log_in("alice", PASSWORD)
    pids = workers(server)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(stands_still(pid) for pid in pids))
    connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(10)]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    for seat, connection in enumerate(connections, start=1):
        running.callback(connection.close)
        body = json.dumps({"seat_number": seat})
        connection.request("POST", f"/api/shows/{show_id}/book/", body, headers)
    server.process.terminate()
    wait_until(lambda: all(has_to_stop(pid) for pid in pids))
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    answers = [connection.getresponse() for connection in connections]
    for answer in answers:
        answer.read()  # and so close the connection, on which the server waits for some seconds

    assert [answer.status for answer in answers] == [201] * 10
    assert {answer.getheader("Connection") for answer in answers} == {"close"}
    assert server.process.wait(timeout=30) == 0
    assert broken_promises() == []
