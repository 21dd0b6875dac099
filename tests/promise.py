"""What must be true of the tables at any moment, and callers at once: threads and processes."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.booking import service
from booking_app.booking.models import Booking
from booking_app.catalog.models import Show, ShowSeat
from booking_app.core.database import reading
from booking_app.core.errors import DomainError

# seats asked for in one request
Order = Sequence[str]


def broken_promises() -> list[str]:
    """Every way in which seats and bookings contradict each other; empty when all is well."""
    with reading() as connection:
        seats = connection.execute(sa.select(ShowSeat.show_id, ShowSeat.label, ShowSeat.booking_id))
        owner = {(seat.show_id, seat.label): seat.booking_id for seat in seats}
        bookings = connection.execute(
            sa.select(
                Booking.id, Booking.show_id, Booking.status, Booking.seats, Booking.total_cents
            )
        ).all()
        totals = {
            show.id: show.total_seats
            for show in connection.execute(sa.select(Show.id, Show.total_seats))
        }
    wrong = []
    sold: Counter[tuple[int, str]] = Counter()
    for booking in bookings:
        labels = service.live_labels(booking.seats)
        if not labels:
            wrong.append(f"booking {booking.id} has no seat")
        price = sum(seat["price_cents"] for seat in booking.seats if not seat["cancelled"])
        if price != booking.total_cents:
            wrong.append(f"booking {booking.id} costs {booking.total_cents}, its seats {price}")
        for label in labels:
            seat = (booking.show_id, label)
            if booking.status == "booked":
                sold[seat] += 1
                if owner.get(seat) != booking.id:
                    wrong.append(
                        f"booking {booking.id} was promised {seat}, {owner.get(seat)} has it"
                    )
            elif booking.status == "cancelled" and owner.get(seat) == booking.id:
                wrong.append(f"booking {booking.id} is cancelled and still has {seat}")
    wrong += [f"{seat} is sold {times} times" for seat, times in sold.items() if times > 1]
    counted = Counter(show_id for show_id, _ in owner)
    wrong += [
        f"show {show} has {counted[show]} rows of {total}"
        for show, total in totals.items()
        if counted[show] != total
    ]
    return wrong


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
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(len(buyers))
    results = context.Queue()
    running = [
        context.Process(
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
        service.is_free = lambda now: sa.true()
        service._seats_query.cache_clear()
        service._take_statement.cache_clear()
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
