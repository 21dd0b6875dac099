"""Health tells the truth: alive, and ready or why not."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import downgrade, upgrade

from booking_app import VERSION
from booking_app.core.database import db
from booking_app.core.schema import SchemaRequirement, needed_revision
from tests.conftest import make_app
from tests.migrating import MIGRATIONS

READY = ("/readyz", "/health/", "/health")


def reason(client: FlaskClient, path: str = "/readyz") -> str:
    """Why it is not ready."""
    answer = client.get(path)
    assert (answer.status_code, answer.json["code"]) == (503, "not_ready"), answer.json
    assert answer.headers["Retry-After"] == "1"
    return str(answer.json["detail"])


@pytest.mark.parametrize("path", ["/livez", *READY])
def test_all_is_well(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.json == {"status": "alive" if path == "/livez" else "ready"}
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", READY)
def test_a_database_that_is_away(path: str) -> None:
    away = make_app("postgresql://nobody@127.0.0.1:1/none").test_client()
    assert reason(away, path) == "The database can't be reached."
    assert away.get("/livez").status_code == 200


def test_a_sqlite_file_that_is_not_there(tmp_path: Path) -> None:
    missing = make_app(f"sqlite:///{tmp_path}/none.db").test_client()
    assert reason(missing) == "The database can't be reached."
    assert not (tmp_path / "none.db").exists()


def test_a_database_without_tables(fresh_app: Flask) -> None:
    assert "no tables" in reason(fresh_app.test_client())


def test_a_schema_older_than_this_release_needs_is_named_with_what_to_do(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS)
    client = fresh_app.test_client()
    assert client.get("/readyz").status_code == 200
    downgrade(MIGRATIONS, revision="0005")
    told = reason(client)
    assert "0005" in told
    assert needed_revision() in told
    assert "db upgrade" in told


def test_a_newer_schema_is_served_unless_it_names_a_later_release(fresh_app: Flask) -> None:
    upgrade(MIGRATIONS)
    client = fresh_app.test_client()
    with db.engine.connect() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert client.get("/readyz").status_code == 200
    for least, ready in ((VERSION, True), ("99.0.0", False)):
        with db.engine.connect() as connection:
            connection.execute(sa.delete(SchemaRequirement))
            connection.execute(sa.insert(SchemaRequirement), {"id": 1, "least_release": least})
        if ready:
            assert client.get("/readyz").status_code == 200
        else:
            assert "99.0.0" in reason(client)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_takes_no_writes_and_one_that_takes_them_again(client: FlaskClient) -> None:
    """Also where connections are open that were told the other."""
    name = db.engine.url.database
    assert client.get("/readyz").status_code == 200
    try:
        with db.engine.connect() as connection:
            connection.exec_driver_sql(
                f"ALTER DATABASE {name} SET default_transaction_read_only = on"
            )
        db.engine.dispose()
        assert "takes no writes" in reason(client)
    finally:
        with db.engine.connect() as connection:
            connection.exec_driver_sql("SET default_transaction_read_only = off")
            connection.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_disk_without_room_and_a_lock_file_that_is_none(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("booking_app.core.engines.FREE_BYTES", 2**70)
        assert "is full" in reason(client)
    assert client.get("/readyz").status_code == 200
