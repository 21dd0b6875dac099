"""What does not depend on the machine: SQL statements per request, and the indexes they use."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.booking.models import Booking
from booking_app.core.database import db, reading
from tests.conftest import PASSWORD, Caller, rows
from tests.plans import explained

TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK")


@contextmanager
def counted(*, every: bool = False) -> Iterator[list[str]]:
    """The statements sent within, without those that begin and end transactions unless `every`."""
    statements: list[str] = []

    def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
        if every or not statement.startswith(TRANSACTION):
            statements.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


def own(statements: list[str]) -> list[str]:
    """Those of the call itself: a caller's session costs one more, whatever the call."""
    checks = [statement for statement in statements if "user_session" in statement]
    assert len(checks) == 1, statements
    return [statement for statement in statements if statement not in checks]


def of_kind(database_url: str, *, sqlite: int, postgresql: int) -> int:
    return sqlite if database_url.startswith("sqlite") else postgresql


@pytest.mark.parametrize("body", [{"seat_number": 1}, {"seat_numbers": ["2", "3", "4"]}])
def test_booking_named_seats_takes_one_round_trip_or_three_steps(
    alice: Caller, database_url: str, show_id: int, body: dict[str, Any]
) -> None:
    """All told: on PostgreSQL not even a transaction is begun."""
    with counted(every=True) as statements:
        assert alice.post(f"/api/shows/{show_id}/book/", body).status_code == 201
    steps = [statement for statement in statements if not statement.startswith(TRANSACTION)]
    assert len(steps) == of_kind(database_url, sqlite=3, postgresql=1), statements
    assert len(statements) - len(steps) == of_kind(database_url, sqlite=1, postgresql=0)


def test_a_refused_seat_costs_one_statement(alice: Caller, show_id: int) -> None:
    alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1})
    before = rows(Booking)
    with counted() as statements:
        alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1})
    assert len(statements) == 1
    assert rows(Booking) == before


def test_a_key_costs_two_statements_more(alice: Caller, database_url: str, show_id: int) -> None:
    with counted() as statements:
        body = {"seat_number": 1}
        alice.post(f"/api/shows/{show_id}/book/", body, headers={"Idempotency-Key": "a"})
    assert len(statements) == of_kind(database_url, sqlite=5, postgresql=3), statements


def test_the_best_seats_take_at_most_six_statements_and_cancelling_four(
    alice: Caller, show_id: int
) -> None:
    path = f"/api/shows/{show_id}/book/"
    alice.get(f"/api/shows/{show_id}/seats/")  # its plan is kept
    with counted() as statements:
        booking = alice.post(path, {"quantity": 2}).json
    assert len(statements) <= 6, statements
    with counted() as statements:
        alice.post(f"/api/bookings/{booking['id']}/cancel/")
    assert len(own(statements)) <= 4, statements


@pytest.mark.parametrize("length", [1, 60])
def test_lists_take_one_statement_whatever_their_length(
    alice: Caller,
    client: FlaskClient,
    make_movie: Callable[..., int],
    make_show: Callable[..., int],
    length: int,
) -> None:
    movie = make_movie()
    for n in range(length):
        make_movie(f"Film {n}")
        show = make_show(movie_id=movie, starts_in=timedelta(days=n + 1), screen_name="One")
        alice.post(f"/api/shows/{show}/book/", {"seat_number": 1})
    for path in (
        "/api/movies/",
        "/api/movies/?search=film&page_size=100",
        "/api/shows/",
        f"/api/movies/{movie}/shows/?when=all",
        "/api/my-bookings/",
        "/api/my-bookings/?status=booked&page_size=100",
    ):
        with counted() as statements:
            assert alice.get(path).status_code == 200
        assert len(statements) == 1, (path, statements)  # with the session, where there is one
    with counted() as statements:
        assert client.get("/api/movies/?page=9&page_size=100").json == []
    assert len(statements) == 2  # no row is there to tell the total


@pytest.mark.parametrize(
    ("path", "most"),
    [("/api/movies/1/", 1), ("/api/shows/1/", 1), ("/api/me/", 1), ("/api/bookings/1/", 2)],
)
def test_one_thing_takes_one_statement(alice: Caller, show_id: int, path: str, most: int) -> None:
    """And one for the caller's session, which tells all that there is to know of the account."""
    alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1})
    with counted() as statements:
        assert alice.get(path).status_code == 200
    assert len(statements) == most, statements


def test_free_seats_are_counted_for_the_shows_of_a_page_alone(
    app: Flask, client: FlaskClient, make_show: Callable[..., int]
) -> None:
    for day in range(12):
        make_show(starts_in=timedelta(days=day + 1))
    sent: list[tuple[str, Any]] = []

    def note(conn: object, cursor: object, statement: str, params: Any, *rest: object) -> None:
        sent.append((statement, params))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    assert len(client.get("/api/shows/?page_size=3&page=4").json) == 3
    sa.event.remove(db.engine, "before_cursor_execute", note)
    ((statement, params),) = sent
    if db.engine.dialect.name == "sqlite":
        return  # it computes no columns of rows that it skips, and can't tell
    ((plan,),) = explained(statement, params, "(ANALYZE, FORMAT JSON)")
    looks = [node["Actual Loops"] for node in nodes(plan[0]["Plan"]) if is_of_seats(node)]
    assert looks == [3], plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of one of PostgreSQL's plans."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def is_of_seats(node: dict[str, Any]) -> bool:
    return node.get("Relation Name") == "show_seat"


def test_a_refresh_takes_two_statements_and_a_log_in_few(client: FlaskClient) -> None:
    body = {"username": "alice", "password": PASSWORD}
    client.post("/api/signup/", json=body)
    with counted() as statements:
        tokens = client.post("/api/login/", json=body).json
    assert len(statements) == 6, statements
    with counted() as statements:
        client.post("/api/token/refresh/", json={"refresh": tokens["refresh"]})
    assert len(statements) == 2, statements


def test_hot_statements_use_their_indexes(
    app: Flask, alice: Caller, make_show: Callable[..., int]
) -> None:
    """On tables with rows in them, no statement of a booking or of one's list scans a table."""
    shows = [make_show(total_seats=200) for _ in range(30)]
    for show in shows:
        alice.post(f"/api/shows/{show}/book/", {"seat_number": 1})
    queries = {
        "pk_show_seat": "SELECT label FROM show_seat WHERE show_id = 7 AND label IN ('5', '6')",
        "ix_booking_user_id_id": "SELECT id FROM booking WHERE user_id = 1 ORDER BY id DESC",
        "ix_show_movie_id_starts_at": "SELECT id FROM show WHERE movie_id = 3 ORDER BY starts_at",
        "ix_show_starts_at": "SELECT id FROM show ORDER BY starts_at LIMIT 5",
        "ix_user_session_user_id_id": "SELECT id FROM user_session WHERE user_id = 1 ORDER BY id",
        "ix_audit_event_actor_id_id": "SELECT id FROM audit_event WHERE actor_id = 1 ORDER BY id",
    }
    with reading() as connection:
        postgresql = connection.dialect.name == "postgresql"
        if postgresql:
            connection.exec_driver_sql("ANALYZE")
            connection.exec_driver_sql("SET enable_seqscan = off")  # the tables are small here
        for index, query in queries.items():
            explain = "EXPLAIN " if postgresql else "EXPLAIN QUERY PLAN "
            plan = str(connection.exec_driver_sql(explain + query).all())
            name = index if postgresql or index.startswith("ix") else "sqlite_autoindex_show_seat_1"
            assert name in plan, plan
        if postgresql:
            connection.exec_driver_sql("RESET enable_seqscan")
