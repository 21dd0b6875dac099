"""A real gunicorn of the project on a free port of this machine, and a real Redis."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from booking_app.core.database import db

ROOT = Path(__file__).parent.parent
REDIS_SERVER = shutil.which("redis-server")
POOLED = "application_name=pooled"  # in the address of a PgBouncer


def pooler(database_url: str) -> str:
    """DATABASE_POOLER for this address."""
    return "transaction" if POOLED in database_url else "none"


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Ask again and again, for so long at most; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# As systemd starts the service of a socket: with the listening socket as file 3.
ON_A_SOCKET = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Server:
    """gunicorn on a migrated database, of the code in `folder`; on `listener` where somebody else
    opened that."""

    def __init__(
        self,
        database_url: str,
        log: Path | None = None,
        listener: socket.socket | None = None,
        *,
        folder: Path = ROOT,
        python: str = sys.executable,
        module: str = "wsgi:app",
        **settings: str,
    ) -> None:
        self.port: int = listener.getsockname()[1] if listener else free_port()
        self.environment = os.environ | {
            "DATABASE_URL": database_url,
            "DATABASE_POOLER": pooler(database_url),
            "SECRET_KEY": "k" * 40,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            **settings,
        }
        if "CLOCK_AHEAD" in settings:
            module = "tests.at_time:make_app()"
        # Not by `python -m`: on SIGUSR2 gunicorn would start itself as a file, beside whose name
        # its module `http` hides Python's.
        command = [python, str(Path(python).with_name("gunicorn")), module]
        files: tuple[int, ...] = ()
        if listener:
            files = (listener.fileno(),)
            command = [python, "-c", ON_A_SOCKET, str(listener.fileno()), *command]
        with (log or Path(os.devnull)).open("ab") as output:
            self.process = subprocess.Popen(
                command,
                pass_fds=files,
                cwd=folder,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until(self.is_up)

    def stop(self) -> None:
        """As an operator does."""
        self.process.terminate()
        self.process.wait(timeout=30)

    def is_up(self) -> bool:
        """Whether it answers at once."""
        try:
            return self.call("GET", "/health/", timeout=0.5)[0] == 200
        except OSError:
            return False

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str | None = None,
        timeout: float = 60,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """One request on a connection of its own: the status and the JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            connection.request(
                method, path, json.dumps(body) if body is not None else None, headers
            )
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def log_in(self, username: str, password: str) -> str:
        """Sign up and log in; the access token."""
        account = {"username": username, "password": password}
        self.call("POST", "/api/signup/", account)
        token: str = self.call("POST", "/api/login/", account)[1]["access"]
        return token


def serve_demo(folder: Path, *, superuser: str = "", password: str = "", **settings: str) -> Server:
    """gunicorn with the demo catalogue, set up by the commands of `make run`, and with a staff
    account where one is named."""
    from tests.conftest import make_app

    database_url = f"sqlite:///{folder}/demo.db"
    commands = [["db", "upgrade"], ["load-demo"]]
    if superuser:
        commands.append(["create-superuser", "--username", superuser, "--password", password])
    app = make_app(database_url, DEMO="on", **settings)
    for command in commands:
        done = app.test_cli_runner().invoke(args=command)
        assert done.exit_code == 0, done.output
    with app.app_context():
        db.engine.dispose()
    return Server(database_url, **settings)


class RedisServer:
    """A Redis on a free port, or on this one; its URL."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.command = [str(REDIS_SERVER), "--port", str(self.port), "--bind", "127.0.0.1"]
        self.command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        with redis.Redis(port=self.port) as connection:

            def answers() -> bool:
                try:
                    return bool(connection.ping())
                except redis.ConnectionError:
                    return False

            wait_until(answers)
        return f"redis://127.0.0.1:{self.port}/0"

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
