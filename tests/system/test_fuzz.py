"""The contract against a fuzzer: Schemathesis with all its checks, as nobody, customer and staff.

On PostgreSQL, which is the stricter of the two about what may be put into a column.
`FUZZ_EXAMPLES` is the number of examples for each operation; `make fuzz` and CI set it to 100.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from tests.conftest import ROOT, Caller
from tests.serving import Server

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "")
# What is left out, and why.
EXCLUDED = {
    # A seat that the show does not have, a password that is too common, a time that has passed:
    # no schema can state what only the data shows.
    "positive_data_acceptance",
}


@pytest.mark.skipif(not EXAMPLES, reason="it takes minutes: `make fuzz`")
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("role", ["nobody", "customer", "staff"])
def test_no_request_breaks_the_contract(
    app: Flask,
    database_url: str,
    make_caller: Callable[..., Caller],
    show_id: int,
    role: str,
    tmp_path: Path,
) -> None:
    caller = make_caller("fuzzer", is_staff=role == "staff")
    caller.post(f"/api/shows/{show_id}/book/", {"seat_number": 1})
    server = Server(database_url, tmp_path / "log", WEB_CONCURRENCY="1", RATELIMIT_ENABLED="off")
    environment = server.environment | {
        "SCHEMATHESIS_HOOKS": "tests.fuzz_hooks",
        "PYTHONPATH": str(ROOT),
        "FUZZ_USER_ID": "" if role == "nobody" else str(caller.id),
    }
    command = [sys.executable, "-m", "schemathesis.cli", "run"]
    command += [f"http://127.0.0.1:{server.port}/openapi.json"]
    command += ["--checks", "all", "--exclude-checks", ",".join(EXCLUDED)]
    command += ["--seed", "20261125", "--max-examples", EXAMPLES, "--generation-database", "none"]
    command += ["--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off"]
    try:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
    finally:
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-3000:]
