"""Races where all rules meet: pairs, companions, blocks, a cap, staff and customers."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.audit.service import Actor
from booking_app.booking import service
from booking_app.booking.models import Booking
from booking_app.catalog import blocked_seats, shows, venue_schemas, venues
from booking_app.catalog.blocked_seats import BlockedSeat
from booking_app.catalog.models import ShowSeat, is_free
from booking_app.core.database import NOW, db, reading
from booking_app.core.errors import DomainError
from tests.conftest import NOON, Caller
from tests.promise import at_once, broken_promises

PAIRS = [("A7", "A8"), ("A9", "A10"), ("B7", "B8"), ("B9", "B10")]
CAP = 3
BOSS = Actor(user_id=999, username="boss")


def hall(make_movie: Callable[..., int], number: int) -> int:
    """A show of two rows with a wheelchair place and a companion seat, four seats, two pairs."""
    kinds = ["wheelchair", "companion", *["standard"] * 4, *["pair"] * 4]
    seats = [{"number": place, "kind": kind} for place, kind in enumerate(kinds, start=1)]
    plan = venue_schemas.PlanRow(many=True).load([{"label": row, "seats": seats} for row in "AB"])
    cinema = venues.create_cinema(name=f"Roxy {number}", timezone="UTC")["id"]
    screen = venues.create_screen(name="Saal", rows=plan, cinema=cinema).id
    at = NOON + timedelta(hours=5)
    made = shows.create_show(
        movie_id=make_movie(), screen=screen, date_time=at, max_seats_per_account=CAP, now=NOON
    )
    return int(made["id"])


def one_after_the_other(show: int, user_id: int, seed: int, made: "Counter[str]") -> None:
    """Twelve calls by one caller, chosen by chance; every refusal is counted."""
    chance = random.Random(seed)
    call = partial(service.book, user_id=user_id, show_id=show, now=NOON)

    def block() -> None:
        seats = [BlockedSeat(f"{row}4", chance.choice(["house", "out_of_order"])) for row in "AB"]
        blocked_seats.set_blocked_seats(
            show_id=show, seats=chance.sample(seats, chance.randint(0, 2)), now=NOON
        )

    def hold_and_decide() -> None:
        held = service.hold(user_id=user_id, show_id=show, quantity=1, now=NOON)
        decide = chance.choice([service.confirm, service.cancel])
        decide(user_id=user_id, booking_id=held.id, now=NOON)

    def book_and_return_some() -> None:
        booked = call(seat_numbers=list(chance.choice(PAIRS)))
        some = chance.sample(booked.labels, chance.randint(1, 2))
        service.cancel(user_id=user_id, booking_id=booked.id, seat_numbers=some, now=NOON)

    works: list[Callable[[], object]] = [
        lambda: call(seat_number=f"{chance.choice('AB')}{chance.randint(1, 10)}"),
        lambda: call(seat_numbers=list(chance.choice(PAIRS))),
        lambda: call(quantity=2),
        lambda: call(quantity=3, split=True),
        lambda: call(quantity=2, accessible=1),
        lambda: call(seat_number=f"{chance.choice('AB')}4", by=BOSS, over_cap=True),
        hold_and_decide,
        book_and_return_some,
        block,
    ]
    for _ in range(12):
        try:
            chance.choice(works)()
            made["done"] += 1
        except DomainError as error:
            made[error.code] += 1


def broken_rules(show: int) -> list[str]:
    """What must not be, in the rows themselves."""
    query = (
        sa.select(
            ShowSeat.label,
            ShowSeat.blocked,
            Booking.user_id,
            sa.not_(is_free(NOW)).label("taken"),
        )
        .outerjoin(Booking, Booking.id == ShowSeat.booking_id)
        .where(ShowSeat.show_id == show)
    )
    with reading() as connection:
        seats = {row.label: row for row in connection.execute(query, {"now": NOON})}
    wrong = [f"{label} is blocked and sold" for label in seats if _both(seats[label])]
    for left, right in PAIRS:
        owners = {(seats[label].taken, seats[label].user_id) for label in (left, right)}
        if len({taken for taken, _ in owners}) > 1:
            wrong.append(f"{left} and {right} are parted")
    return wrong


def _both(seat: sa.Row[tuple[object, ...]]) -> bool:
    return seat.blocked is not None and seat.taken


@pytest.mark.promise
def test_all_rules_hold_for_all_at_once(
    app: Flask,
    make_caller: Callable[..., Caller],
    make_movie: Callable[..., int],
    rounds: Callable[[int, int], int],
) -> None:
    buyers = [make_caller(f"buyer{number}").id for number in range(16)]
    made: Counter[str] = Counter()
    for number in range(rounds(6, 2)):
        show = hall(make_movie, number)
        works = [
            partial(one_after_the_other, show, buyer, 100 * number + place, made)
            for place, buyer in enumerate(buyers)
        ]
        assert at_once(app, *works) == ["done"] * 16
        assert broken_promises(NOON) == []
        assert broken_rules(show) == []
    assert {"done", "seat_taken", "too_many_seats"} <= set(made), made


def test_what_breaks_the_rules_is_noticed(
    app: Flask,
    alice: Caller,
    make_movie: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody minds pairs and blocks: this is what the test above would see."""
    show = hall(make_movie, 0)
    monkeypatch.setattr(service.seats, "refuse_split_pairs", lambda *args, **kwargs: None)
    service.book(user_id=alice.id, show_id=show, seat_numbers=["A7", "B4"], now=NOON)
    assert broken_rules(show) == ["A7 and A8 are parted"]
    with db.engine.connect() as connection:
        blocked = sa.update(ShowSeat).where(ShowSeat.label == "B4").values(blocked="house")
        connection.execute(blocked)
    assert broken_rules(show) == ["B4 is blocked and sold", "A7 and A8 are parted"]
