"""The release before this one, run from a folder of its own, and buyers who ask both."""

import hashlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PASSWORD
from tests.serving import ROOT, Server

# The commit of the release that is being served while the next one, this code, is rolled out:
# 1.3.0. Move it in the commit that opens the changelog of the next release, to the commit that was
# released (docs/internals.md, "Changing tables"); in between it stays.
RELEASE_BEFORE = "e3202abcd120f952c65bd0a7682bfe183c7a8407"

# Answers that a buyer must be able to get: made, done, and somebody else was faster.
EXPECTED = (200, 201, 409)
TRIES = 5  # where the answer is 503: ask again


@dataclass(frozen=True)
class Release:
    """The code of a release, and the Python that has its requirements."""

    folder: Path
    python: str

    def flask(self, database_url: str, *arguments: str) -> None:
        """Run a `flask` command on that database; fails the test with what it printed."""
        done = subprocess.run(
            [self.python, "-m", "flask", "--app", "wsgi", *arguments],
            cwd=self.folder,
            env=os.environ | {"DATABASE_URL": database_url, "SECRET_KEY": "k" * 40},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    @contextmanager
    def serving(self, database_url: str, log: Path) -> Iterator[Server]:
        settings = {"RATELIMIT_ENABLED": "off", "WEB_CONCURRENCY": "1"}
        server = Server(database_url, log, folder=self.folder, python=self.python, **settings)
        try:
            yield server
        finally:
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()


TODAY = Release(ROOT, sys.executable)


def release_before(folder: Path) -> Release:
    """The release before, unpacked into `folder`. Skips the test where it can't be read, which
    .ci/run doesn't let pass."""
    if shutil.which("git") is None:
        pytest.skip("there is no git to read the release before with")
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    packed = subprocess.run([*git, "archive", RELEASE_BEFORE], capture_output=True, check=False)
    if packed.returncode:
        reason = " ".join(packed.stderr.decode().split())
        pytest.skip(
            f"the commit of the release before, {RELEASE_BEFORE}, is not here; "
            f"`git fetch --unshallow` gets it: {reason}"
        )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return Release(folder, _python_with(folder / "requirements.txt"))


def _python_with(requirements: Path) -> str:
    """A Python that has exactly these requirements: our own where they are the same (what is
    tested is not installed), else one made once for each content of the file."""
    wanted = requirements.read_bytes()
    if wanted == (ROOT / "requirements.txt").read_bytes():
        return sys.executable
    digest = hashlib.sha256(wanted).hexdigest()[:16]
    home = ROOT / ".venv" / "release-before" / digest
    if not home.exists():
        # Made beside it: a test in another process may be making it too.
        draft = home.with_name(f"{digest}.{os.getpid()}")
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, draft], check=True)
        install = [*uv, "pip", "install", "--quiet", "--python", draft, "--require-hashes"]
        subprocess.run([*install, "-r", requirements], check=True)
        try:
            draft.rename(home)
        except OSError:  # the other was first
            shutil.rmtree(draft)
    return str(home / "bin" / "python")


class Buyer:
    """A customer, who asks again where the answer is 503. Whatever else goes wrong is told in
    `failures`."""

    def __init__(self, server: Server, name: str, failures: list[str]) -> None:
        self.token = server.log_in(name, PASSWORD)
        self.failures = failures

    def ask(self, server: Server, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """POST, with an Idempotency-Key where one is given; the status and the answer."""
        headers = {"Idempotency-Key": key} if key else {}
        for tries_left in reversed(range(TRIES)):
            try:
                status, answer = server.call("POST", path, body, self.token, headers=headers)
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.failures.append(f"{path}: {error!r}")
                return 0, None
            if status != 503 or answer["code"] != "database_unavailable" or not tries_left:
                break
        if status not in EXPECTED:
            self.failures.append(f"{path}: {status} {answer}")
        return status, answer
