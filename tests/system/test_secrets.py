"""Passwords, tokens and keys stand in no log, no error and no row of the database."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.core.database import db, reading
from tests import pins
from tests.serving import ROOT, Server

KEY, KEY_BEFORE = "present-key-" + "p" * 30, "previous-key-" + "q" * 30
FIRST, SECOND, WRONG = "first-of-passwords", "second-of-passwords", "third-of-passwords"
REDIS_PASSWORD = "redis-of-passwords"


@pytest.mark.both_in_ci("postgresql")
def test_nothing_secret_is_written_anywhere(
    app: Flask, database_url: str, show_id: int, tmp_path: Path
) -> None:
    log = tmp_path / "gunicorn.log"
    server = Server(
        database_url,
        log,
        SECRET_KEY=KEY,
        SECRET_KEY_PREVIOUS=KEY_BEFORE,
        REDIS_URL=f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0",  # nobody is there: that is logged
        WEB_CONCURRENCY="1",
    )
    refusals: list[Any] = []
    tokens: list[str] = []

    def call(method: str, path: str, body: Any = None, token: str | None = None, **kw: Any) -> Any:
        status, answer = server.call(method, path, body, token, **kw)
        assert status < 500
        if status >= 400:
            refusals.append(answer)
        if isinstance(answer, dict) and "refresh" in answer:
            tokens.extend((answer["access"], answer["refresh"]))
        return answer

    try:
        alice = {"username": "alice", "password": FIRST}
        call("POST", "/api/signup/", alice)
        call("POST", "/api/signup/", alice)  # taken
        call("POST", "/api/signup/", {"username": FIRST, "password": FIRST})  # its own name
        call("POST", "/api/signup/", {"username": "bob", "password": FIRST, "pasword": SECOND})
        pair = call("POST", "/api/login/", alice)
        call("POST", "/api/login/", alice | {"password": WRONG})
        call("POST", "/api/login/", {"username": WRONG, "password": FIRST})
        call("POST", "/api/login/", {"username": "alice", "password": [SECOND]})
        access = pair["access"]
        call("GET", "/api/me/", token=access)
        call("GET", "/api/me/", token=access[:-3])
        call("GET", f"/api/me/?token={access}", token=access)
        call("GET", "/api/me/", headers={"X-Request-ID": access, "User-Agent": "x"})
        passwords = {"old_password": WRONG, "new_password": SECOND}
        call("PUT", "/api/me/password/", passwords, access)
        call("PUT", "/api/me/password/", passwords | {"old_password": FIRST}, access)
        retry = {"Idempotency-Key": "k1"}
        call("POST", f"/api/shows/{show_id}/book/", {"seat_number": 1}, access, headers=retry)
        call("POST", f"/api/shows/{show_id}/book/", {"seat_number": 1}, access)
        call("POST", "/api/token/refresh/", {"refresh": pair["refresh"]})
        call("POST", "/api/token/refresh/", {"refresh": pair["refresh"]})  # spent just now
        call("POST", "/api/token/refresh/", {"refresh": access})
        pair = call("POST", "/api/login/", alice | {"password": SECOND})
        call("POST", "/api/logout/", {"refresh": pair["refresh"]})
        call("GET", "/api/me/", token=pair["access"])
    finally:
        os.killpg(server.process.pid, signal.SIGTERM)
        server.process.wait()

    assert len(refusals) >= 11
    assert len(tokens) == 8
    ids = [jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens]
    secrets = [FIRST, SECOND, WRONG, KEY, KEY_BEFORE, REDIS_PASSWORD, *ids[1::2]]
    secrets += [part for token in tokens for part in token.split(".")[1:]]
    secrets += [sa.make_url(database_url).password or KEY]
    with reading() as connection:
        rows = "".join(
            str(connection.execute(sa.select(table)).all()) for table in db.metadata.sorted_tables
        )
    logged = log.read_text()
    assert "Redis" in logged or "storage" in logged
    assert " POST /api/login/ 200 " in logged
    assert "argon2id" in rows
    for place, text in [("log", logged), ("errors", str(refusals)), ("database", rows)]:
        for secret in secrets:
            assert secret not in text, f"{secret} stands in the {place}"
    assert "argon2id" not in logged + str(refusals)


def test_every_requirement_is_pinned_with_the_hashes_of_its_files() -> None:
    for path in pins.FILES:
        text = re.sub(r"^#.*\n|^\n", "", path.read_text(), flags=re.MULTILINE)
        for entry in re.split(r"\n(?=\S)", text.strip()):
            assert re.match(r"[\w.-]+(\[\w+\])?==[\w.]+( *;[^\\]+)? \\\n", entry), entry
            assert re.search(r"--hash=sha256:[0-9a-f]{64}$", entry), entry


def test_every_npm_package_is_pinned_with_the_hash_of_its_file() -> None:
    """And from no server in particular."""
    folder = ROOT / "tests" / "clients"
    wanted = json.loads((folder / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"[0-9.]+", version) for version in wanted.values())
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert packages.pop("")["devDependencies"] == wanted
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
