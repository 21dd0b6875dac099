"""The README is complete and true: its tables are made from the code, its session is run.

`python -m tests.test_readme` writes the tables and the session's answers anew.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import config
from booking_app.web import limits, problems
from tests.contract import document
from tests.serving import ROOT, serve_demo

README = ROOT / "README.md"
SHOWN = 300  # characters of an answer


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
    def who(operation: dict[str, Any]) -> str:
        if "StaffOnlyProblem" in json.dumps(operation["responses"]):
            return "staff"
        return "account" if "security" in operation else "anyone"

    return table(
        ("call", "what it does", "who"),
        *(
            (f"`{method.upper()} {path}`", operation["summary"], who(operation))
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


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_session_answers_as_shown(app: Flask, tmp_path: Path) -> None:
    text = README.read_text()
    shown = re.split(r"^\$ .*\n", section(text, "session"), flags=re.MULTILINE)[1:]
    server = serve_demo(tmp_path)
    try:
        for (command, output), old in zip(run_session(text, server.port), shown, strict=True):
            was = keys(old)
            assert keys(output)[: len(was)] == was, command
            assert bool(output) == bool(was), command
    finally:
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()


def test_every_place_it_names_exists() -> None:
    text = README.read_text()
    for path in re.findall(r"`((?:booking_app|tests|benchmarks|deploy)/[\w./]*|config\.py)`", text):
        assert (ROOT / path).exists(), path


def test_every_test_it_names_exists() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    named = re.findall(r"`(test_\w+)(\.py)?`", README.read_text())
    assert len(named) >= 20
    for name, is_file in named:
        if is_file:
            assert (ROOT / "tests" / f"{name}.py").exists(), name
        else:
            assert f"def {name}(" in sources, name


def _write() -> None:
    import tempfile

    from tests.conftest import make_app

    text = README.read_text()
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(f"sqlite:///{folder}/x.db")
        text = replaced(text, "settings", settings_table())
        text = replaced(text, "codes", codes_table())
        text = replaced(text, "limits", limits_table())
        text = replaced(text, "calls", calls_table(app))
        server = serve_demo(Path(folder))
        try:
            lines = ["```console"]
            for command, output in run_session(text, server.port):
                lines.append(f"$ {command}")
                if output:
                    lines.append(output if len(output) <= SHOWN else f"{output[:SHOWN]}...")
            lines.append("```")
        finally:
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
    README.write_text(replaced(text, "session", "\n".join(lines)))


if __name__ == "__main__":
    _write()
