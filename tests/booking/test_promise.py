"""The promise: a seat has at most one owner, and an acknowledged booking is never lost."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from booking_app.auth import accounts
from booking_app.booking import queries, service
from booking_app.booking.models import Booking
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.seats import SeatTaken
from booking_app.catalog import movies, show_queries, shows
from booking_app.catalog.models import ShowSeat
from booking_app.core.database import db
from booking_app.core.errors import DomainError, Invalid
from tests.conftest import NOON, Caller, empty, rows
from tests.promise import broken_promises, buy_in_processes

BUYERS = 16
POLICY = BookingPolicy(max_seats=4)
SEATS = [str(number) for number in range(1, 101)]


@pytest.fixture
def buyers(make_caller: Callable[..., Caller]) -> list[int]:
    return [make_caller(f"buyer{number}").id for number in range(BUYERS)]


@pytest.mark.promise
def test_sixteen_buyers_race_for_each_of_a_hundred_seats(
    app: Flask,
    database_url: str,
    buyers: list[int],
    make_show: Callable[..., int],
    rounds: Callable[[int, int], int],
) -> None:
    """Two processes of eight threads: every seat is sold exactly once, and nothing is unsold."""
    show = make_show(total_seats=100)
    seats = SEATS[: rounds(100, 25)]
    orders = [[seat] for seat in seats]
    answers = buy_in_processes(database_url, show, [(buyer, orders) for buyer in buyers])
    assert answers == {(201, ""): len(seats), (409, "seat_taken"): 15 * len(seats)}
    assert broken_promises() == []
    assert sorted(b.seats[0]["seat_number"] for b in rows(Booking)) == sorted(seats)


def test_without_the_condition_the_same_race_sells_seats_twice(
    app: Flask, database_url: str, buyers: list[int], make_show: Callable[..., int]
) -> None:
    """The negative control: the test above can fail."""
    show = make_show(total_seats=100)
    orders = [[seat] for seat in SEATS[:25]]
    answers = buy_in_processes(
        database_url, show, [(buyer, orders) for buyer in buyers], without_condition=True
    )
    assert answers[201, ""] > 25
    assert any("promised to" in wrong for wrong in broken_promises())


@pytest.mark.promise
def test_overlapping_pairs_in_opposite_order_never_deadlock_a_caller(
    app: Flask,
    database_url: str,
    buyers: list[int],
    make_show: Callable[..., int],
    rounds: Callable[[int, int], int],
) -> None:
    show = make_show(total_seats=100)
    pairs = [[SEATS[n], SEATS[n + 1]] for n in range(rounds(50, 20))]
    orders = [
        [pair if (buyer + n) % 2 else pair[::-1] for n, pair in enumerate(pairs)]
        for buyer in range(BUYERS)
    ]
    answers = buy_in_processes(database_url, show, list(zip(buyers, orders, strict=True)))
    assert set(answers) == {(201, ""), (409, "seat_taken")}
    assert sum(answers.values()) == BUYERS * len(pairs)
    assert broken_promises() == []
    assert len(rows(Booking)) == answers[201, ""]


@pytest.mark.promise
def test_booking_against_cancelling(
    app: Flask,
    buyers: list[int],
    make_show: Callable[..., int],
    rounds: Callable[[int, int], int],
) -> None:
    """8 threads book the same few seats and cancel what they got, over and over."""
    show = make_show(total_seats=3)
    unexpected: list[BaseException] = []

    def trade(user_id: int) -> None:
        with app.app_context():
            for n in range(rounds(30, 10)):
                try:
                    wanted = [["1", "2"], ["3", "2"], ["2"], ["1", "3"]][(user_id + n) % 4]
                    booking = service.book(user_id=user_id, show_id=show, seat_numbers=wanted)
                    service.cancel(user_id=user_id, booking_id=booking.id)
                except SeatTaken:
                    pass
                except BaseException as error:
                    unexpected.append(error)

    threads = [threading.Thread(target=trade, args=(buyer,)) for buyer in buyers[:8]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unexpected == []
    assert broken_promises() == []
    assert {seat.booking_id for seat in rows(ShowSeat)} == {None}


@pytest.mark.promise
def test_cancelled_twice_at_once_is_cancelled_once(
    app: Flask, alice: Caller, bob: Caller, make_show: Callable[..., int]
) -> None:
    """The second cancel must not free the seat that somebody else has booked in between."""
    show = make_show(total_seats=1)
    for _ in range(10):
        booking = service.book(user_id=alice.id, show_id=show, seat_number="1")
        barrier = threading.Barrier(3)
        done: list[str] = []

        def run(work: Callable[[], Any], barrier: Any = barrier, done: list[str] = done) -> None:
            with app.app_context():
                barrier.wait()
                try:
                    work()
                    done.append("done")
                except DomainError as error:
                    done.append(error.code)

        def cancel(booking_id: int = booking.id) -> None:
            service.cancel(user_id=alice.id, booking_id=booking_id)

        def take() -> None:
            service.book(user_id=bob.id, show_id=show, seat_number="1")

        threads = [threading.Thread(target=run, args=(work,)) for work in (cancel, cancel, take)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done.count("already_cancelled") == 1
        assert broken_promises() == []
        for row in rows(Booking):
            if row.status == "booked":
                service.cancel(user_id=row.user_id, booking_id=row.id)


class BoxOffice(RuleBasedStateMachine):
    """The service beside a model: what each booking is expected to be, and nothing else.

    A seat is taken where a booking that is booked, or held and not expired, has it.
    """

    bookings = Bundle("bookings")

    def __init__(self) -> None:
        super().__init__()
        empty(db.engine)
        self.now = NOON
        self.starts_at = NOON + timedelta(minutes=100)
        self.on_sale = True
        self.expected: dict[int, dict[str, Any]] = {}

    @initialize()
    def open(self) -> None:
        self.users = [
            accounts.create_user(username=name, password="correct-horse").id for name in ("a", "b")
        ]
        movie = movies.create_movie(title="Film", duration_minutes=90)["id"]
        self.show = shows.create_show(
            movie_id=movie, screen_name="1", date_time=self.starts_at, total_seats=6, now=NOON
        )["id"]

    def status(self, booking: dict[str, Any]) -> str:
        if booking["status"] == "held" and self.now >= booking["expires_at"]:
            return "expired"
        return str(booking["status"])

    def owners(self) -> dict[str, int]:
        return {
            label: booking_id
            for booking_id, booking in self.expected.items()
            if self.status(booking) in ("held", "booked")
            for label in booking["labels"]
        }

    def holds_of(self, user_id: int) -> int:
        return sum(
            len(booking["labels"])
            for booking in self.expected.values()
            if booking["user_id"] == user_id and self.status(booking) == "held"
        )

    def call(self, code: str | None, work: Callable[[], Any]) -> Any:
        """Do it and see it refused with that code, or not refused where that is None."""
        try:
            done = work()
        except DomainError as error:
            assert error.code == code
            return error
        assert code is None
        return done

    @rule(
        target=bookings,
        user=st.integers(0, 1),
        labels=st.lists(st.integers(1, 7).map(str), min_size=1, max_size=3, unique=True),
        hold=st.booleans(),
    )
    def take(self, user: int, labels: list[str], hold: bool) -> Any:
        user_id, owners = self.users[user], self.owners()
        code = None
        if not self.on_sale:
            code = "not_on_sale"
        elif self.now >= self.starts_at:
            code = "sales_closed"
        elif hold and self.holds_of(user_id) + len(labels) > POLICY.max_seats:
            code = "too_many_holds"
        elif "7" in labels:
            code = Invalid.code
        elif set(labels) & set(owners):
            code = "seat_taken"
        how = service.hold if hold else service.book
        done = self.call(
            code,
            lambda: how(
                user_id=user_id,
                show_id=self.show,
                seat_numbers=labels,
                policy=POLICY,
                now=self.now,
            ),
        )
        if code is not None:
            if code == "seat_taken":
                assert set(done.facts["seats"]) == set(labels) & set(owners)
            return multiple()
        self.expected[done.id] = {
            "user_id": user_id,
            "status": "held" if hold else "booked",
            "labels": sorted(labels, key=int),
            "created_at": self.now,
            "expires_at": min(self.now + timedelta(minutes=10), self.starts_at) if hold else None,
        }
        return done.id

    def refusal(self, booking: dict[str, Any], user: int) -> str | None:
        if booking["user_id"] != self.users[user]:
            return "not_your_booking"
        refusals = {"cancelled": "already_cancelled", "expired": "hold_expired"}
        return refusals.get(self.status(booking))

    @rule(booking_id=bookings, user=st.integers(0, 1))
    def confirm(self, booking_id: int, user: int) -> None:
        booking = self.expected[booking_id]
        code = self.refusal(booking, user)
        if code is None and booking["status"] == "booked":
            code = "not_held"
        self.call(
            code,
            lambda: service.confirm(user_id=self.users[user], booking_id=booking_id, now=self.now),
        )
        if code is None:
            booking |= {"status": "booked", "expires_at": None}

    @rule(booking_id=bookings, user=st.integers(0, 1))
    def extend(self, booking_id: int, user: int) -> None:
        booking = self.expected[booking_id]
        code = self.refusal(booking, user)
        longest = None
        if code is None and booking["status"] == "booked":
            code = "not_held"
        if code is None:
            longest = min(
                self.now + timedelta(minutes=10),
                booking["created_at"] + timedelta(minutes=30),
                self.starts_at,
            )
            code = "hold_limit" if longest <= booking["expires_at"] else None
        self.call(
            code,
            lambda: service.extend(
                user_id=self.users[user], booking_id=booking_id, policy=POLICY, now=self.now
            ),
        )
        if code is None:
            booking["expires_at"] = longest

    @rule(
        booking_id=bookings,
        user=st.integers(0, 1),
        part=st.none() | st.lists(st.integers(1, 6).map(str), min_size=1, max_size=2, unique=True),
    )
    def cancel(self, booking_id: int, user: int, part: list[str] | None) -> None:
        booking = self.expected[booking_id]
        code = self.refusal(booking, user)
        if code is None and booking["status"] == "booked" and self.now >= self.starts_at:
            code = "too_late"
        if code is None and part is not None and set(part) - set(booking["labels"]):
            code = Invalid.code
        self.call(
            code,
            lambda: service.cancel(
                user_id=self.users[user],
                booking_id=booking_id,
                seat_numbers=part,
                policy=POLICY,
                now=self.now,
            ),
        )
        if code is not None:
            return
        if part is None or len(part) == len(booking["labels"]):
            booking |= {"status": "cancelled", "expires_at": None}
        else:
            booking["labels"] = [s for s in booking["labels"] if s not in part]

    @rule(minutes=st.integers(1, 15))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(on_sale=st.booleans())
    def withdraw(self, on_sale: bool) -> None:
        shows.update_show(show_id=self.show, on_sale=on_sale, now=self.now)
        self.on_sale = on_sale

    @rule(total_seats=st.integers(1, 6))
    def resize(self, total_seats: int) -> None:
        sold = [label for label in self.owners() if int(label) > total_seats]
        done = self.call(
            "seats_sold" if sold else None,
            lambda: shows.update_show(show_id=self.show, total_seats=total_seats, now=self.now),
        )
        if sold:
            assert done.facts["seats"] == sorted(sold, key=int)
        else:
            shows.update_show(show_id=self.show, total_seats=6, now=self.now)

    @invariant()
    def as_the_model_says(self) -> None:
        if not hasattr(self, "show"):
            return
        owners = self.owners()
        free = {
            row.label: row.booking_id is None
            or (row.held_until is not None and row.held_until <= self.now)
            for row in rows(ShowSeat)
        }
        assert free == {str(n): str(n) not in owners for n in range(1, 7)}
        for row in rows(ShowSeat):
            if row.label in owners:
                assert row.booking_id == owners[row.label]
        for booking_id, booking in self.expected.items():
            found = queries.get_booking(
                user_id=booking["user_id"], booking_id=booking_id, now=self.now
            )
            seen = {name: getattr(found, name) for name in booking}
            status = self.status(booking)
            labels = booking["labels"] if status in ("held", "booked") else []
            assert seen == booking | {"status": status, "labels": labels}
        shown = show_queries.get_show(show_id=self.show, now=self.now)
        assert shown["available_seats"] == 6 - len(owners)
        assert broken_promises(self.now) == []


def test_the_service_behaves_as_a_small_model_over_random_sequences(app: Flask) -> None:
    run_state_machine_as_test(
        BoxOffice,
        settings=settings(
            # What the databases do differently, the races show.
            max_examples=25 if db.engine.dialect.name == "sqlite" else 10,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
