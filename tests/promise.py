"""What must be true of the tables at any moment, and callers at once: threads and processes."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.booking import at_once as named_seats
from booking_app.booking import seats
from booking_app.core.database import reading
from booking_app.core.errors import DomainError
from booking_app.reports import integrity

# New ones are forked from a process that has imported everything, once for all tests, and runs no
# thread.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.conftest"])
# seats asked for in one request
Order = Sequence[str]


def broken_promises(now: datetime | None = None) -> list[str]:
    """What `flask check-integrity` finds, at `now` where time was passed in; empty when all is
    well."""
    return list(integrity.disagreements(integrity.Counts(), now=now))


def at_once(app: Flask, *works: Callable[[], Any]) -> list[str]:
    """Do them at the same moment; "done" or the code of the refusal of each."""
    barrier = threading.Barrier(len(works))
    outcomes = [""] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        with app.app_context():
            barrier.wait()
            try:
                work()
                outcomes[number] = "done"
            except DomainError as error:
                outcomes[number] = error.code

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def somebody_waits() -> bool:
    """Whether a session of PostgreSQL waits for a lock."""
    with reading() as other:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return other.exec_driver_sql(waiting).first() is not None


def buy_in_processes(
    database_url: str,
    show_id: int,
    buyers: Sequence[tuple[int, Sequence[Order]]],
    *,
    processes: int = 2,
    without_condition: bool = False,
) -> Counter[tuple[int, str]]:
    """Let the buyers, `(user id, orders)`, ask at once, each in a thread of one of the processes.

    Returns how often each `(status, code)` was answered. `without_condition` takes the
    condition out of the update that takes the seats.
    """
    start = PROCESSES.Barrier(len(buyers))
    results = PROCESSES.Queue()
    running = [
        PROCESSES.Process(
            target=_buy,
            args=(
                database_url,
                show_id,
                buyers[part::processes],
                start,
                results,
                without_condition,
            ),
        )
        for part in range(processes)
    ]
    for process in running:
        process.start()
    answers: Counter[tuple[int, str]] = Counter()
    for _ in running:
        answers.update(results.get(timeout=120))
    for process in running:
        process.join()
    return answers


def _buy(
    database_url: str,
    show_id: int,
    buyers: Sequence[tuple[int, Sequence[Order]]],
    start: Any,
    results: Any,
    without_condition: bool,
) -> None:
    from tests.conftest import bearer, make_app, open_tokens

    app = make_app(database_url)
    app.test_client_class = FlaskClient  # no look at each answer: the race is the point
    if without_condition:
        seats.MAY_BE_TAKEN = sa.true()
        named_seats.FREE = sa.true().label("free")
        named_seats.look_statement.cache_clear()
        named_seats.book_statement.cache_clear()
        seats._lock_statement.cache_clear()
        seats._take_statement.cache_clear()
    answers: Counter[tuple[int, str]] = Counter()
    lock = threading.Lock()

    def buy(user_id: int, orders: Sequence[Order]) -> None:
        with app.app_context():
            headers = bearer(open_tokens(user_id))
        client = app.test_client()
        start.wait()
        for order in orders:
            answer = client.post(
                f"/api/shows/{show_id}/book/", json={"seat_numbers": list(order)}, headers=headers
            )
            with lock:
                answers[answer.status_code, answer.json.get("code", "")] += 1

    threads = [threading.Thread(target=buy, args=buyer) for buyer in buyers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(answers)
