"""Booking at once and step by step are one rule: whatever is asked for, and whatever others do
meanwhile, both answer the same, write the same, and refuse for the same reason."""

import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.auth.models import Session, User
from booking_app.auth.sessions import Caller as OpenCaller
from booking_app.auth.sessions import open_session
from booking_app.booking import service
from booking_app.booking.expectations import NOTHING_EXPECTED, Expected
from booking_app.booking.models import Booking
from booking_app.catalog.models import Movie, Show, ShowSeat
from booking_app.core.database import begin_writing, db, write_transaction
from booking_app.core.errors import DomainError
from tests.conftest import NOON, Caller, rows
from tests.promise import somebody_waits
from tests.serving import wait_until

EACH_CODE = 50 if os.environ.get("EVERY_CALL") else 10
MOST_CASES = 40 * EACH_CODE
SEATS = [str(number) for number in range(1, 11)]
THINGS = 17  # that `Case.change` knows, by number
# What leads to each code.
CODES = {
    "booked": 5,
    "companion_only": 4,
    "invalid_token": 13,
    "not_found": 14,
    "not_on_sale": 6,
    "not_on_sale_yet": 7,
    "pair_split": 3,
    "price_changed": 15,
    "sales_closed": 8,
    "seat_taken": 0,
    "show_moved": 15,
    "single_gap": 9,
    "too_many_seats": 10,
    "validation_failed": 16,
}
MINUTE = timedelta(minutes=1)
TAKEN = {"booking_id": True}
KEPT_BY_OTHERS = {"booking_id": True, "held_until": NOON + 5 * MINUTE}
OVER = {"booking_id": True, "held_until": NOON - 5 * MINUTE}


@dataclass
class Case:
    """What stands in the tables, beside free ordinary seats, and what is asked for."""

    labels: list[str]
    seats: dict[str, dict[str, Any]] = field(default_factory=dict)
    show: dict[str, Any] = field(default_factory=dict)
    film_on_sale: bool = True
    account: dict[str, Any] = field(default_factory=dict)
    session_over: bool = False
    unknown_show: bool = False
    expected: Expected = NOTHING_EXPECTED

    @classmethod
    def drawn(cls, draw: random.Random, starts_at: datetime, first: int) -> "Case":
        """Any; most have one thing that is not as usual, the one of that number, some several."""
        case = cls(draw.sample(SEATS, draw.choice([1, 1, 2, 3])))
        for number in (first, draw.randrange(THINGS), draw.randrange(THINGS))[: draw.randrange(4)]:
            case.change(draw, starts_at, number)
        return case

    def change(self, draw: random.Random, starts_at: datetime, number: int) -> None:
        seat = draw.choice([*self.labels, *SEATS])
        next_one = str(int(seat) % 10 + 1)
        in_seats: list[dict[str, dict[str, Any]]] = [
            {seat: TAKEN},
            {seat: draw.choice([KEPT_BY_OTHERS, OVER])},
            {seat: {"blocked": draw.choice(["house", "out_of_order"])}},
            {seat: {"kind": "pair"}, next_one: {"kind": "pair"}},
            {seat: {"kind": "companion"}, next_one: {"kind": "wheelchair"}},
            {seat: {"category": "vip"}},
        ]
        in_show: list[dict[str, Any]] = [
            {"on_sale": False},
            {"sales_from": draw.choice([NOON, NOON + MINUTE])},
            {"sales_until": draw.choice([NOON, NOON + MINUTE])},
            {"no_single_gaps": True},
            {"max_seats_per_account": 1},
        ]
        begins = draw.choice([None, starts_at, starts_at + MINUTE])
        total = draw.choice([None, *map(Decimal, ("9.50", "19.00", "12.00"))])
        elsewhere: list[dict[str, Any]] = [
            {"film_on_sale": False},
            {"account": draw.choice([{"is_disabled": True}, {"is_staff": True}])},
            {"session_over": True},
            {"unknown_show": True},
            {"expected": Expected(begins, total)},
            {"labels": ["99", *self.labels[1:]]},
        ]
        if number < len(in_seats):
            self.seats |= in_seats[number]
        elif (number := number - len(in_seats)) < len(in_show):
            self.show |= in_show[number]
        else:
            vars(self).update(elsewhere[number - len(in_show)])


class World:
    """A show with its buyer and another account; each case is set up anew."""

    def __init__(self, app: Flask, buyer: int, other: int, show_id: int) -> None:
        self.app = app
        self.buyer, self.other, self.show_id = buyer, other, show_id
        [show] = rows(Show, *Show.__table__.columns)
        self.usual = {
            name: getattr(show, name) for name in ("on_sale", "sales_from", "sales_until")
        }
        self.usual |= {"no_single_gaps": False, "max_seats_per_account": None, "price_cents": 950}
        self.usual["prices"] = {"vip": 1200}
        self.starts_at, self.version = show.starts_at, show.version

    def set_up(self, case: Case) -> OpenCaller:
        """The tables as the case has them; the buyer's session."""
        usual = {"booking_id": None, "held_until": None, "price_cents": None, "blocked": None}
        usual |= {"kind": "standard", "category": "standard"}
        account = {"is_disabled": False, "is_staff": False} | case.account
        lasts = timedelta(days=-1 if case.session_over else 1)
        with db.engine.connect() as connection, begin_writing(connection):
            connection.execute(sa.update(ShowSeat).values(usual))
            connection.execute(sa.delete(Booking))
            self.version += 1  # seats of another kind are another plan
            show = self.usual | case.show | {"version": self.version}
            connection.execute(sa.update(Show).values(show))
            connection.execute(sa.update(Movie).values(on_sale=case.film_on_sale))
            connection.execute(sa.update(User).where(User.id == self.buyer).values(account))
            connection.execute(sa.delete(Session))
            session = open_session(connection, user_id=self.buyer, lasts=lasts, now=NOON)
            owner = self.make_owner(connection)
            for label, changed in case.seats.items():
                values = changed | ({"booking_id": owner} if "booking_id" in changed else {})
                where = ShowSeat.label == label
                connection.execute(sa.update(ShowSeat).where(where).values(values))
        return OpenCaller(session.id, self.buyer)

    def make_owner(self, connection: sa.Connection) -> int:
        """The id of the other account's booking."""
        insert = sa.insert(Booking).values(
            reference="OTHER",
            user_id=self.other,
            show_id=self.show_id,
            status="booked",
            seats=[],
            total_cents=0,
            currency="EUR",
            created_at=NOON,
        )
        return int(connection.execute(insert.returning(Booking.id)).scalar_one())

    def ask(self, case: Case, caller: OpenCaller, *, steps: bool) -> dict[str, Any]:
        """What is answered, and what is written."""
        show_id = self.show_id + 1_000_000 if case.unknown_show else self.show_id
        wanted: dict[str, Any] = {
            "user_id": self.buyer,
            "show_id": show_id,
            "seat_numbers": case.labels,
            "expected": case.expected,
            "caller": caller,
            "now": NOON,
        }

        def in_steps(connection: sa.Connection) -> Any:
            return service.book.within(connection.execution_options(in_steps=True), **wanted)

        try:
            made = write_transaction(in_steps) if steps else service.book(**wanted)
        except DomainError as error:
            told = {"code": error.code, "detail": str(error), "facts": error.facts}
            return told | self.written()
        fields = ("status", "seats", "currency", "created_at", "starts_at", "now", "cinema_name")
        return {
            "code": "booked",
            **{name: getattr(made, name) for name in fields},
            **self.written(),
        }

    def ask_elsewhere(self, case: Case, caller: OpenCaller, *, steps: bool) -> dict[str, Any]:
        """As `ask`, in another thread."""
        with self.app.app_context():
            return self.ask(case, caller, steps=steps)

    def written(self) -> dict[str, Any]:
        """What the buyer has."""
        own = [row for row in rows(Booking) if row.user_id == self.buyer]
        ids = [row.id for row in own]
        names = ("status", "seats", "total_cents", "currency", "created_at", "expires_at")
        return {
            "bookings": [[getattr(row, name) for name in names] for row in own],
            "own seats": [
                (row.label, row.price_cents, row.held_until, row.blocked)
                for row in rows(ShowSeat)
                if row.booking_id in ids
            ],
        }


@pytest.fixture
def world(app: Flask, alice: Caller, bob: Caller, make_show: Callable[..., int]) -> World:
    show_id = make_show(now=NOON, no_single_gaps=False)
    return World(app, alice.id, bob.id, show_id)


def test_both_ways_are_one_rule(world: World) -> None:
    """So many cases that each code comes often: the next one is drawn for the rarest yet."""
    draw, told = random.Random(20301), Counter(dict.fromkeys(CODES, 0))
    for _ in range(MOST_CASES):
        rarest = min(CODES, key=lambda code: told[code])
        case = Case.drawn(draw, world.starts_at, CODES[rarest])
        at_once = world.ask(case, world.set_up(case), steps=False)
        in_steps = world.ask(case, world.set_up(case), steps=True)
        assert at_once == in_steps, case
        told[at_once["code"]] += 1
        if min(told.values()) >= EACH_CODE:
            break
    assert set(told) == set(CODES)
    assert min(told.values()) >= EACH_CODE, told


# --- while others change what is asked for --------------------------------------------------------

only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def during(world: World, case: Case, change: Callable[[sa.Connection], object], steps: bool) -> Any:
    """What is answered to who had to wait for a transaction with that change."""
    caller = world.set_up(case)
    with ThreadPoolExecutor(1) as pool:
        with db.engine.connect() as connection, begin_writing(connection):
            change(connection)
            answer = pool.submit(world.ask_elsewhere, case, caller, steps=steps)
            wait_until(somebody_waits)
        return answer.result()


def log_out(connection: sa.Connection) -> None:
    connection.execute(sa.delete(Session))


def change_price(connection: sa.Connection) -> None:
    connection.execute(sa.select(Show.id).with_for_update()).all()
    connection.execute(sa.update(Show).values(price_cents=1100))


def withdraw(connection: sa.Connection) -> None:
    connection.execute(sa.select(Show.id).with_for_update()).all()
    connection.execute(sa.update(Show).values(on_sale=False))


def give_back(connection: sa.Connection) -> None:
    connection.execute(sa.update(ShowSeat).values(booking_id=None, held_until=None))


def let_expire(connection: sa.Connection) -> None:
    taken = ShowSeat.booking_id.is_not(None)
    connection.execute(sa.update(ShowSeat).where(taken).values(held_until=NOON))


CHANGES: list[tuple[Callable[[sa.Connection], object], dict[str, Any], str]] = [
    (log_out, {}, "invalid_token"),
    (change_price, {}, "booked"),
    (withdraw, {}, "not_on_sale"),
    (give_back, TAKEN, "booked"),
    (let_expire, KEPT_BY_OTHERS, "booked"),
]


@only_postgresql
@pytest.mark.parametrize(("change", "seat", "code"), CHANGES)
def test_what_is_committed_during_the_wait_counts_both_ways(
    world: World, change: Callable[[sa.Connection], object], seat: dict[str, Any], code: str
) -> None:
    case = Case(["1", "2"], seats={"1": seat, "2": seat} if seat else {})
    for _ in range(10):
        at_once, in_steps = (during(world, case, change, steps) for steps in (False, True))
        assert at_once == in_steps
        assert at_once["code"] == code
    if change is change_price:
        assert [seat[1] for seat in at_once["own seats"]] == [1100, 1100]


@only_postgresql
@pytest.mark.parametrize("locked", [True, False])
def test_a_seat_taken_during_the_wait_is_taken(world: World, locked: bool) -> None:
    """And without the lock it would be sold twice: the test can fail."""

    def sell(connection: sa.Connection) -> None:
        owner = sa.select(sa.func.max(Booking.id)).scalar_subquery()
        connection.execute(
            sa.update(ShowSeat).where(ShowSeat.label == "1").values(booking_id=owner)
        )

    def unlocked(connection: Any, cursor: Any, statement: str, params: Any, *rest: Any) -> Any:
        return statement.replace("FOR UPDATE OF show_seat", ""), params

    if not locked:
        sa.event.listen(db.engine, "before_cursor_execute", unlocked, retval=True)
    try:
        answer = during(world, Case(["1", "2"]), sell, steps=False)
    finally:
        if not locked:
            sa.event.remove(db.engine, "before_cursor_execute", unlocked)
    assert answer["code"] == ("seat_taken" if locked else "booked")
    assert (answer["bookings"] == []) == locked
