"""A real gunicorn of the project on a free port of this machine."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
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
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Server:
    """gunicorn on a migrated database."""

    def __init__(self, database_url: str, log: Path | None = None, **settings: str) -> None:
        self.port = free_port()
        self.environment = os.environ | {
            "DATABASE_URL": database_url,
            "DATABASE_POOLER": pooler(database_url),
            "SECRET_KEY": "k" * 40,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            **settings,
        }
        with (log or Path(os.devnull)).open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "wsgi:app"],
                cwd=ROOT,
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
    database_url = f"sqlite:///{folder}/demo.db"
    environment = os.environ | {"DATABASE_URL": database_url, "FLASK_APP": "wsgi"}
    environment |= {"SECRET_KEY": "k" * 40, "DEMO": "on", **settings}
    commands = [["db", "upgrade"], ["load-demo"]]
    if superuser:
        commands.append(["create-superuser", "--username", superuser, "--password", password])
    for command in commands:
        subprocess.run(
            [sys.executable, "-m", "flask", *command],
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
        )
    return Server(database_url, **settings)
