"""The cost of single parts, in one thread and without a server."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import sqlalchemy as sa
from flask import Flask

import config
from benchmarks.data import BUYERS, Data
from benchmarks.load import REQUESTS, Reading, Request
from benchmarks.servers import Failure
from booking_app import create_app
from booking_app.auth.sessions import find_session
from booking_app.booking.seat_choice import Seat, best_blocks
from booking_app.catalog.models import STANDARD
from booking_app.catalog.neighbours import SEAT_WIDTH
from booking_app.catalog.seat_plans import AISLE_WIDTH
from booking_app.core.database import db


def count_statements(environ: dict[str, str], data: Data) -> dict[str, int]:
    """How many SQL statements each of the requests takes, BEGIN and COMMIT left out."""
    sent: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            sent.append(statement)

    counts = {}
    with _application(environ) as app:
        with app.app_context():
            sa.event.listen(db.engine, "before_cursor_execute", note)
        for name, request in REQUESTS.items():
            if isinstance(request, Reading):
                _send(app, data, request)  # what a worker keeps is kept by now
            sent.clear()
            _send(app, data, request)
            counts[name] = len(sent)
    return counts


def _send(app: Flask, data: Data, request: Request) -> None:
    if isinstance(request, Reading):
        caller = data.callers[request.caller] if request.caller else None
        _call(app, request.path_on(data), None, caller)
        return
    seats = request.of(data)
    body = json.loads(request.body.replace("%d", str(seats.each)))  # a seat that no round books
    path = f"/api/shows/{seats.shows[-1]}/book/"
    headers = {"Idempotency-Key": secrets.token_hex(8)} if request.has_key else {}
    _call(app, path, body, data.callers[BUYERS[0]], **headers)


def price_of_defences(environ: dict[str, str], data: Data) -> str:
    """The cost of a caller's session and of the limits for each request."""
    path = f"/api/shows/{data.show}/"
    header = data.callers[BUYERS[0]]
    headers = _headers(header)
    with (
        _application(environ | {"RATELIMIT_ENABLED": "1"}) as with_limits,
        _application(environ) as without,
    ):
        counted, uncounted = with_limits.test_client(), without.test_client()
        buyer = int(_call(without, "/api/me/", None, header)["id"])
        session_id = data.session(BUYERS[0])
        with without.app_context():
            session = _microseconds(lambda: find_session(session_id=session_id, user_id=buyer))
            request = _microseconds(lambda: uncounted.get("/api/me/", headers=headers))
            # Turn by turn, since the machine's speed drifts.
            limits = median(
                _microseconds(lambda: counted.get(path), 50)
                - _microseconds(lambda: uncounted.get(path), 50)
                for _ in range(10)
            )
    return (
        f"looking at the session {session:.0f} us, counting for the limits {limits:.0f} us, "
        f"of {request:.0f} us for the whole of GET /api/me/"
    )


def best_of_a_room() -> float:
    """Milliseconds (median) to rank every block of two in a room of 1,000 seats, all free."""
    room = [
        Seat(
            label=f"{row}-{number}",
            block="",
            row_label=str(row),
            free=True,
            category=STANDARD,
            kind=STANDARD,
            x=SEAT_WIDTH * number + (AISLE_WIDTH if number > 20 else 0),
            y=row,
        )
        for row in range(25)
        for number in range(1, 41)
    ]
    return _microseconds(lambda: best_blocks(room, 2), 50) / 1000


@contextmanager
def _application(environ: dict[str, str]) -> Iterator[Flask]:
    app = create_app(config.load(environ))
    try:
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()  # a database in use can't be copied


def _call(
    app: Flask, path: str, body: dict[str, Any] | None, caller: str | None, **headers: str
) -> Any:
    method = "GET" if body is None else "POST"
    headers |= _headers(caller)
    response = app.test_client().open(path, method=method, json=body, headers=headers)
    if response.status_code not in (200, 201):
        raise Failure(f"{path}: {response.status} {response.text}")
    return response.json


def _headers(caller: str | None) -> dict[str, str]:
    if caller is None:
        return {}
    name, _, value = caller.partition(": ")
    return {name: value}


def _microseconds(work: Callable[[], object], times: int = 500) -> float:
    """The median of so many runs."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken) * 1e6
