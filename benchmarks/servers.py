"""Starting a checkout of this project, or the floor, under gunicorn, and asking it."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
APPLICATION, FLOOR = "wsgi:app", "benchmarks.floor:app"
START_SECONDS = 30


class Failure(Exception):
    """The run can't go on, or what it measured means nothing; the message says why."""


@dataclass(frozen=True)
class Checkout:
    """The code in a folder, and the Python that has its requirements."""

    folder: Path
    python: str

    @classmethod
    def at(cls, folder: Path) -> "Checkout":
        """With the `.venv` of that folder."""
        return cls(folder, str(folder / ".venv" / "bin" / "python"))

    def flask(self, environ: dict[str, str], *command: str) -> None:
        """Run a `flask` command; raises Failure."""
        done = subprocess.run(
            [self.python, "-m", "flask", "--app", "wsgi.py", *command],
            cwd=self.folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failure(f"flask {' '.join(command[:2])}:\n{end_of(done.stdout + done.stderr)}")

    @contextmanager
    def serve(self, target: str, environ: dict[str, str], log: Path) -> Iterator[str]:
        """Run APPLICATION or FLOOR under gunicorn as `make run` does, on a free port; its URL."""
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.python, "-m", "gunicorn", target],
                cwd=self.folder,
                env=environ | {"PORT": str(port)},
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for this process, which then ends that one
            )
        url = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + START_SECONDS
            while process.poll() is None and time.monotonic() < deadline:
                with suppress(OSError):
                    ask(url)
                    break
                time.sleep(0.1)
            else:
                raise Failure(f"{target} does not start:\n{end_of(log.read_text())}")
            yield url
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # its workers too
            process.wait()


HERE = Checkout(ROOT, sys.executable)


def environment(database_url: str) -> dict[str, str]:
    """The variables of a server on that database."""
    return os.environ | {
        "DATABASE_URL": database_url,
        "SECRET_KEY": secrets.token_hex(32),
        "HOST": "127.0.0.1",
        "ACCESS_TOKEN_MINUTES": "1440",
        "RATELIMIT_ENABLED": "0",
        "DEMO": "1",
        "WEB_CONCURRENCY": os.environ.get("WEB_CONCURRENCY", str(os.cpu_count())),
        # Else all connections may meet at one worker.
        "GUNICORN_CMD_ARGS": "--reuse-port",
    }


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(url: str, body: dict[str, Any] | None = None, caller: str | None = None) -> Answer:
    """The answer to a GET, or to a POST of `body`; `caller` is a header. Raises OSError."""
    headers = {"Content-Type": "application/json"}
    if caller is not None:
        name, _, value = caller.partition(": ")
        headers[name] = value
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, headers)
    try:
        response = urllib.request.urlopen(request, timeout=START_SECONDS)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return Answer(response.status, response.headers, response.read())


def fetch(url: str, body: dict[str, Any] | None = None, caller: str | None = None) -> Any:
    """The JSON that a server answers to `ask`; raises Failure where it refuses."""
    answer = ask(url, body, caller)
    if not 200 <= answer.status <= 299:
        raise Failure(f"{url}: {answer.status} {answer.body.decode()}")
    return json.loads(answer.body)


def end_of(text: str) -> str:
    """The last lines of what a process printed."""
    return "\n".join(text.splitlines()[-20:])
