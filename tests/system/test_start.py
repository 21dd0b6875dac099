"""What a worker loads at its start: its time and memory go there."""

import os
import subprocess
import sys

import pytest
from flask import Flask

from booking_app.core.database import db
from tests.serving import ROOT

LOADED = """
import sys, wsgi
from booking_app.core.database import db
print(*sorted({name.partition(".")[0] for name in sys.modules}))
print(*sorted(db.metadata.tables))
print(*sorted(map(str, wsgi.app.url_map.iter_rules())))
"""


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | {"SECRET_KEY": "k" * 32, "FLASK_APP": "wsgi.py"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def loaded() -> list[set[str]]:
    """The packages that `import wsgi` loads, the tables that are then known, and the paths."""
    return [set(line.split(" ")) for line in run("-c", LOADED).splitlines()]


def test_no_worker_loads_what_only_commands_need(loaded: list[set[str]]) -> None:
    packages = loaded[0]
    assert "booking_app" in packages
    assert not packages & {"alembic", "mako", "flask_migrate", "pygments"}


def test_it_has_the_tables_and_paths_of_the_whole_application(
    loaded: list[set[str]], app: Flask
) -> None:
    _, tables, paths = loaded
    assert tables == set(db.metadata.tables)
    assert paths == {str(rule) for rule in app.url_map.iter_rules()}


def test_flask_has_the_commands_nevertheless() -> None:
    told = run("-m", "flask", "--help")
    assert all(name in told for name in ("db ", "load-demo", "restore"))
