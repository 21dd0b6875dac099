"""The README is complete and true: its tables are made from the code, its session is run.

`python -m tests.system.test_readme` writes the tables and the session's answers anew.
"""

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade

import config
from booking_app.catalog.file_shows import show_times
from booking_app.core.database import db
from booking_app.web import limits, problems
from tests.at_time import seconds_until, set_ahead
from tests.auth.test_access_matrix import MATRIX
from tests.conftest import make_app
from tests.contract import document
from tests.serving import ROOT, Server
from tests.system.test_cli import demo

README = ROOT / "README.md"
SHOWN = 300  # characters of an answer
SHOWN_AT = datetime(2030, 1, 30, 18, 0, tzinfo=UTC)  # so that answers change with the code alone


def table(*rows: tuple[str, ...]) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "| " + " | ".join("---" for _ in rows[0]) + " |", *body])


def settings_table() -> str:
    shown = {
        "DATABASE_URL": "a SQLite file in `instance/`",
        "SECRET_KEY": "made",
        "WEB_CONCURRENCY": "by cores",
    }
    return table(
        ("variable", "default", "meaning"),
        *(
            (
                f"`{setting.name}`",
                shown.get(setting.name, f"`{setting.default}`" if setting.default else "none"),
                setting.meaning,
            )
            for setting in config.SETTINGS
        ),
    )


def codes_table() -> str:
    return table(
        ("code", "status", "meaning", "extra fields", "can trying again help?"),
        *(
            (
                f"`{name}`",
                str(code.status),
                code.title,
                ", ".join(f"`{fact}`" for fact in code.facts),
                "yes" if code.retry else "no",
            )
            for name, code in problems.CODES.items()
        ),
    )


def limits_table() -> str:
    def note(rule: limits.Rule) -> str:
        return "shared out among the workers" if rule.split else "for each worker"

    return table(
        ("calls", "at most", "counted by", "without Redis"),
        *(
            (
                rule.calls,
                f"{rule.amount} {'a minute' if rule.minutes == 1 else 'an hour'}",
                rule.by,
                note(rule),
            )
            for rule in limits.RULES.values()
        ),
    )


def calls_table(app: Flask) -> str:
    def shape(path: str) -> str:
        return re.sub(r"{\w+}", "{}", path.partition("?")[0])

    answered = {(method, shape(path)): by_caller for (method, path), by_caller in MATRIX.items()}

    def who(method: str, path: str, operation: dict[str, Any]) -> str:
        if not operation["security"]:
            return "anyone"
        _, owner, *_ = answered[method.upper(), shape(path)]
        return "staff" if owner == HTTPStatus.FORBIDDEN else "account"

    return table(
        ("call", "what it does", "who"),
        *(
            (f"`{method.upper()} {path}`", operation["summary"], who(method, path, operation))
            for path, methods in document(app)["paths"].items()
            for method, operation in methods.items()
            if "responses" in operation
        ),
    )


def section(text: str, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", text, re.DOTALL)
    assert found, name
    return found[1]


def replaced(text: str, name: str, content: str) -> str:
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)


def run_session(text: str, port: int) -> Iterator[tuple[str, str]]:
    """Each command of the README's session, in one shell, with what it prints."""
    commands = [line[2:] for line in section(text, "session").splitlines() if line[:2] == "$ "]
    script = "".join(f"{command}\necho; echo @@@\n" for command in commands)
    done = subprocess.run(
        ["bash", "-e"],
        input=script.replace("127.0.0.1:8000", f"127.0.0.1:{port}"),
        capture_output=True,
        text=True,
        check=True,
    )
    outputs = [output.strip() for output in done.stdout.split("@@@\n")]
    return zip(commands, outputs, strict=False)


def keys(text: str) -> Any:
    """The names in a JSON answer, as far as it is shown."""
    return re.findall(r'"(\w+)":', text)


def test_the_tables_are_those_of_the_code(app: Flask) -> None:
    text = README.read_text()
    assert section(text, "settings") == settings_table()
    assert section(text, "codes") == codes_table()
    assert section(text, "limits") == limits_table()
    assert section(text, "calls") == calls_table(app)


@contextmanager
def demo_at(now: datetime, folder: Path, **settings: str) -> Iterator[Server]:
    """gunicorn with the demo catalogue, set up at `now` by the commands of `make run`."""
    database_url = f"sqlite:///{folder}/demo.db"
    ahead = seconds_until(now)
    app = make_app(database_url)
    with app.app_context():
        set_ahead(db.engine, ahead)
        upgrade(str(ROOT / "migrations"))
        loaded = app.test_cli_runner().invoke(args=["load-demo"])
        assert loaded.exit_code == 0, loaded.output
        db.engine.dispose()
    server = Server(database_url, WEB_CONCURRENCY="1", CLOCK_AHEAD=str(ahead), **settings)
    try:
        yield server
    finally:
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()


@pytest.mark.parametrize(
    ("now", "timezone"),
    [
        pytest.param(
            now,
            timezone,
            id=f"{now:%Y-%m-%dT%H:%M:%S}-{timezone}",
            marks=[]
            if timezone in ("Pacific/Kiritimati", "America/St_Johns")
            else pytest.mark.in_ci,
        )
        for now, timezone in (
            (datetime(2030, 6, 1, 22, 30, tzinfo=UTC), "UTC"),
            # The demo is loaded before midnight, of UTC and of Vienna; the session comes after.
            (datetime(2030, 12, 31, 23, 59, 58, tzinfo=UTC), "Pacific/Kiritimati"),
            (datetime(2031, 1, 15, 22, 59, 58, tzinfo=UTC), "Pacific/Pago_Pago"),
            # The film's show of the day begins in between.
            (datetime(2032, 2, 29, 12, 59, 58, tzinfo=UTC), "America/St_Johns"),
            # The clocks of both cinemas change in between; they changed this morning.
            (datetime(2030, 3, 31, 0, 59, 58, tzinfo=UTC), "Europe/Vienna"),
            (datetime(2030, 10, 27, 18, 0, tzinfo=UTC), "Europe/Vienna"),
        )
    ],
)
def test_the_session_answers_as_shown(now: datetime, timezone: str, tmp_path: Path) -> None:
    """At any hour, on any day, by a machine of any time zone."""
    text = README.read_text()
    shown = re.split(r"^\$ .*\n", section(text, "session"), flags=re.MULTILINE)[1:]
    with demo_at(now, tmp_path, TZ=timezone) as server:
        answers = dict(run_session(text, server.port))
    for (command, output), old in zip(answers.items(), shown, strict=True):
        was = keys(old)
        assert keys(output)[: len(was)] == was, command
        assert bool(output) == bool(was), command
    signed_up = next(output for command, output in answers.items() if "/signup/" in command)
    created_at = datetime.fromisoformat(json.loads(signed_up)["created_at"])
    assert now <= created_at < now + timedelta(minutes=5)


def test_the_sessions_show_begins_hours_after_it_is_shown() -> None:
    """At each minute of a day: the reader has time to type, and no show of another screen comes
    in between."""
    (asked,) = set(re.findall(r"/shows/\?movie=(\d+)&cinema=(\d+)&page=(\d+)&", README.read_text()))
    movie, cinema, page = (int(number) - 1 for number in asked)
    catalog = demo()
    name, timezone = (catalog["cinemas"][cinema][field] for field in ("name", "timezone"))
    entries = [show for show in catalog["movies"][movie]["shows"] if show["cinema"] == name]
    assert len({show["screen"] for show in entries}) == 1
    for day in (date(2030, 6, 1), date(2032, 2, 29), date(2030, 3, 30), date(2030, 10, 26)):
        for minute in range(24 * 60):
            now = datetime.combine(day, time(0), UTC) + timedelta(minutes=minute)
            times = sorted(one for show in entries for one in show_times(show, timezone, now))
            assert times[page] - now > timedelta(hours=22), now


def test_which_answers_have_no_etag(app: Flask) -> None:
    """As it says: that of one's account, and the tables."""
    answers = {
        methods["get"]["operationId"]: methods["get"]["responses"]["200"]
        for methods in document(app)["paths"].values()
        if "get" in methods
    }
    without = {name for name, answer in answers.items() if "ETag" not in answer["headers"]}
    assert without == {"getMe", "exportSales", "exportComingShows"}


def test_every_place_it_names_exists() -> None:
    text = README.read_text()
    for path in re.findall(r"`((?:booking_app|tests|benchmarks|deploy)/[\w./]*|config\.py)`", text):
        assert (ROOT / path).exists(), path


def test_every_test_it_names_exists() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)(\.py)?`", README.read_text())
    assert len(named) >= 20
    for name, is_file in named:
        if is_file:
            assert list((ROOT / "tests").rglob(f"{name}.py")), name
        else:
            assert f"def {name}(" in sources, name


def _write() -> None:
    text = README.read_text()
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(f"sqlite:///{folder}/x.db")
        text = replaced(text, "settings", settings_table())
        text = replaced(text, "codes", codes_table())
        text = replaced(text, "limits", limits_table())
        text = replaced(text, "calls", calls_table(app))
        lines = ["```console"]
        with demo_at(SHOWN_AT, Path(folder)) as server:
            for command, output in run_session(text, server.port):
                lines.append(f"$ {command}")
                if output:
                    lines.append(output if len(output) <= SHOWN else f"{output[:SHOWN]}...")
        lines.append("```")
    README.write_text(replaced(text, "session", "\n".join(lines)))


if __name__ == "__main__":
    _write()
