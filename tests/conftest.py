"""Fixtures: both databases, made by the migrations; callers; and a client that holds every
answer against the OpenAPI document."""

import json as jsonlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from hypothesis import HealthCheck, settings

import config
from booking_app import create_app
from booking_app.auth import access, accounts, passwords, sessions
from booking_app.catalog import movies, shows
from booking_app.core import engines
from booking_app.core.database import NOW, db, reading, writes
from tests.at_time import seconds_until, set_ahead
from tests.browser import page  # noqa: F401 - a fixture of all
from tests.contract import check_answer
from tests.postgresql import CONTRARY, Databases, server
from tests.serving import ROOT, pooler

if os.access("/dev/shm", os.W_OK):
    # SQLite waits for the disk at each commit; here it is the memory, and no test cuts the power.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")

# A machine that is busy is no failure.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

BACKENDS = ["sqlite", "postgresql"]
# What the promise is tested on besides: databases whose sessions begin otherwise.
OTHER_SERVERS = {
    "repeatable-read": CONTRARY | {"default_transaction_isolation": "repeatable read"},
    "serializable": CONTRARY | {"default_transaction_isolation": "serializable"},
    "pgbouncer": CONTRARY | {"default_transaction_isolation": "serializable"},
}
# Files with tests that take 10 s or more.
LONG = {"test_admin_browser", "test_backup", "test_faults", "test_restarts"}
LONG |= {"test_slow_clients", "test_swagger_ui", "test_two_releases"}
PASSWORD = "correct-horse-battery"
# Passed in where time matters. `present` only where a request asks the database's clock, and
# `in_2030` where its dates are those of a calendar.
NOON = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes() -> None:
    """argon2 is slow on purpose; its real parameters are tested in test_auth.py."""
    passwords.hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(scope="session")
def postgresql(worker_id: str) -> Iterator[Databases]:
    """The databases of this worker."""
    with server() as address:
        databases = Databases(address, f"booking_test_{worker_id}_{os.getpid()}")
        with databases.stack:
            yield databases
            for app in _apps:
                with app.app_context():
                    db.engine.dispose()


@pytest.fixture(scope="session")
def postgresql_url(postgresql: Databases) -> str:
    """A database whose sessions begin as PostgreSQL comes."""
    return postgresql.url("postgresql")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: many tests wait for servers."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests begin first, so that at the end no worker waits for one of them.

    With EVERY_CALL, as in CI, every test runs; else those marked for CI are deselected.
    """
    items.sort(key=lambda item: item.path.stem not in LONG)
    if os.environ.get("EVERY_CALL"):
        return
    nodeids = {item.nodeid for item in items}
    in_ci = [item for item in items if is_for_ci(item, nodeids)]
    config.hook.pytest_deselected(items=in_ci)
    items[:] = [item for item in items if item not in in_ci]


def is_for_ci(item: pytest.Item, nodeids: set[str]) -> bool:
    """Whether CI alone runs the test: it is marked `in_ci`, or it is marked `both_in_ci` and its
    run on the database that the mark names is among `nodeids`."""
    if item.get_closest_marker("in_ci"):
        return True
    if (mark := item.get_closest_marker("both_in_ci")) is None:
        return False
    (one,) = mark.args
    (other,) = {*BACKENDS} - {one}
    function, _, case = item.nodeid.partition("[")
    return other in case and f"{function}[{case.replace(other, one)}" in nodeids


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that are marked `promise` run on every server."""
    if metafunc.definition.get_closest_marker("promise"):
        servers = [*BACKENDS, *OTHER_SERVERS]
        on_all = pytest.mark.parametrize("database_url", servers, indirect=True, scope="session")
        metafunc.definition.add_marker(on_all)


@pytest.fixture(scope="session", params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Every test that needs a database runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'test.db'}"
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    databases: Databases = request.getfixturevalue("postgresql")
    make = databases.pooled_url if request.param == "pgbouncer" else databases.url
    return make(request.param, OTHER_SERVERS[request.param])


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """`rounds(often, seldom)`: how often to race, on the two databases of all tests or on the other
    servers."""
    server = request.node.callspec.params["database_url"]
    return lambda often, seldom: seldom if server in OTHER_SERVERS else often


_apps: list[Flask] = []


def make_app(database_url: str, **changed: str) -> Flask:
    """An app as `flask` and gunicorn make it, on that database."""
    environ = {"DATABASE_URL": database_url, "SECRET_KEY": "k" * 40, "WEB_THREADS": "64"}
    environ |= {"RATELIMIT_ENABLED": "off", "DATABASE_POOLER": pooler(database_url)}
    app = create_app(config.load(environ | changed))
    app.test_client_class = ContractClient
    _apps.append(app)
    return app


@pytest.fixture(scope="session")
def migrated_app(database_url: str) -> Iterator[Flask]:
    app = make_app(database_url)
    with app.app_context():
        upgrade(str(ROOT / "migrations"))
    yield app
    with app.app_context():
        db.engine.dispose()  # PostgreSQL has not enough connections for all of them


@pytest.fixture
def app(migrated_app: Flask) -> Iterator[Flask]:
    """The app with empty tables, its context pushed."""
    with migrated_app.app_context():
        empty(db.engine)
        yield migrated_app


@pytest.fixture
def fresh_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in it, beside the one of the other tests."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'fresh.db'}"
        return
    address = sa.make_url(database_url)
    name = f"{address.database}_fresh"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield address.set(database=name).render_as_string(hide_password=False)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def fresh_app(fresh_url: str) -> Iterator[Flask]:
    app = make_app(fresh_url)
    with app.app_context():
        engines.make_file(db.engine)
        yield app
        db.engine.dispose()


@pytest.fixture
def in_2030(app: Flask) -> Iterator[None]:
    """The database's clock shows the morning of 1 January 2030, and goes on from there."""
    take_back = set_ahead(db.engine, seconds_until(datetime(2030, 1, 1, 9, 0, tzinfo=UTC)))
    yield
    take_back()


def present() -> datetime:
    """The time by the database's clock."""
    with reading() as connection:
        return connection.execute(sa.select(NOW), {"now": None}).scalar_one()


# TRUNCATE makes new files, which takes longer than most tests; DELETE leaves dead rows, which
# readers pass over until the tables are made anew.
EMPTY_POSTGRESQL = """
DO $$ BEGIN
    IF (SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relname IN ({names})) > 500000 THEN
        TRUNCATE {tables} RESTART IDENTITY;
    ELSE
        {deletes}
        PERFORM setval(sequencename::regclass, 1, false)
            FROM pg_sequences WHERE schemaname = current_schema() AND last_value IS NOT NULL;
    END IF;
END $$
"""


def empty(engine: sa.Engine) -> None:
    """Delete every row but what the migrations say, and begin the ids anew."""
    tables = [table.name for table in reversed(db.metadata.sorted_tables)]
    tables.remove("schema_requirement")
    deletes = [f"DELETE FROM {table};" for table in tables]
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            names = ", ".join(f"'{table}'" for table in tables)
            statement = EMPTY_POSTGRESQL.format(
                names=names, tables=", ".join(tables), deletes=" ".join(deletes)
            )
            connection.exec_driver_sql(statement)
        else:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            for statement in ("BEGIN IMMEDIATE", *deletes, "DELETE FROM sqlite_sequence", "COMMIT"):
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")


class ContractClient(FlaskClient):
    """A client that fails the test where an answer is not as the OpenAPI document declares."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        response = super().open(*args, **kwargs)
        if not kwargs.get("follow_redirects"):
            check_answer(self.application, response)
        return response


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Nobody in particular."""
    return app.test_client()


@dataclass
class Caller:
    """An account, and its requests."""

    id: int
    username: str
    client: FlaskClient
    headers: dict[str, str]

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def send(path: str, json: Any = None, **kwargs: Any) -> Any:
            headers = self.headers | kwargs.pop("headers", {})
            if json is not None:
                # Not the app's own JSON, which has no whole numbers beyond 64 bits.
                kwargs |= {"data": jsonlib.dumps(json), "content_type": "application/json"}
            return getattr(self.client, method)(path, headers=headers, **kwargs)

        return send


def open_tokens(user_id: int) -> dict[str, str]:
    """The tokens of a new session of the account, as logging in gives them."""
    open_session = writes(sessions.open_session)
    return access.tokens(open_session(user_id=user_id, lasts=timedelta(days=7)))


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access']}"}


@pytest.fixture
def make_caller(app: Flask, client: FlaskClient) -> Callable[..., Caller]:
    def make(username: str = "alice", *, is_staff: bool = False) -> Caller:
        account = accounts.create_user(username=username, password=PASSWORD, is_staff=is_staff)
        return Caller(account.id, username, client, bearer(open_tokens(account.id)))

    return make


@pytest.fixture
def alice(make_caller: Callable[..., Caller]) -> Caller:
    return make_caller("alice")


@pytest.fixture
def bob(make_caller: Callable[..., Caller]) -> Caller:
    return make_caller("bob")


@pytest.fixture
def staff(make_caller: Callable[..., Caller]) -> Caller:
    return make_caller("staff", is_staff=True)


@pytest.fixture
def make_movie(app: Flask) -> Callable[..., int]:
    def make(title: str = "The Third Man", duration_minutes: int = 104, **values: Any) -> int:
        movie = movies.create_movie(title=title, duration_minutes=duration_minutes, **values)
        return int(movie["id"])

    return make


@pytest.fixture
def make_show(app: Flask, make_movie: Callable[..., int]) -> Callable[..., int]:
    """A show of 10 seats on a screen of its own, two days ahead; `starts_in` may be negative."""
    made = 0

    def make(
        *,
        movie_id: int | None = None,
        starts_in: timedelta = timedelta(days=2),
        now: datetime | None = None,
        **values: Any,
    ) -> int:
        nonlocal made
        made += 1
        date_time = (now or present()) + starts_in
        show = shows.create_show(
            movie_id=movie_id or make_movie(),
            date_time=date_time,
            now=date_time - timedelta(days=1),
            **{"screen_name": f"Own {made}", "total_seats": 10, "price": Decimal("9.50")} | values,
        )
        return int(show["id"])

    return make


@pytest.fixture
def show_id(make_show: Callable[..., int]) -> int:
    return make_show()


def rows(table: Any, *columns: Any) -> list[Any]:
    """What stands in a table, by its key, for checking that nothing was written."""
    mapped = sa.inspect(table)
    query = sa.select(*(columns or mapped.columns)).order_by(*mapped.primary_key)
    with reading() as connection:
        return list(connection.execute(query).all())
