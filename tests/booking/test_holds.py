"""Holds: their end, their limits, and confirming against taking over."""

import os
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.booking import caps, locks, queries, seats, service
from booking_app.booking.models import Booking
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.queries import BookingDetails
from booking_app.booking.seats import SeatTaken
from booking_app.catalog import shows
from booking_app.catalog.models import ShowSeat
from booking_app.core.database import write_transaction
from booking_app.core.errors import DomainError, Invalid
from booking_app.core.statements import Statement
from tests.conftest import NOON, Caller, rows
from tests.promise import broken_promises
from tests.wrong import wrong

HOUR = timedelta(hours=1)
# CI has the time for more.
RACES = int(os.environ.get("RACES", "500"))


@pytest.fixture
def show(make_show: Callable[..., int]) -> int:
    """Starts two hours after NOON; 10 seats."""
    return make_show(now=NOON, starts_in=2 * HOUR)


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def hold(caller: Caller, show: int, *labels: str, at: float = 0, **terms: int) -> BookingDetails:
    held: BookingDetails = service.hold(
        user_id=caller.id,
        show_id=show,
        seat_numbers=labels,
        policy=BookingPolicy(**terms),
        now=after(at),
    )
    return held


def test_hold_extend_and_confirm_over_the_api(alice: Caller, bob: Caller, show_id: int) -> None:
    held = alice.post(f"/api/shows/{show_id}/hold/", {"seat_numbers": ["1", "2"]})
    assert held.status_code == 201
    assert held.headers["Location"] == f"/api/bookings/{held.json['id']}/"
    booking = held.json
    assert booking["status"] == "held"
    made = datetime.fromisoformat(booking["created_at"])
    assert datetime.fromisoformat(booking["expires_at"]) == made + timedelta(minutes=10)
    taken = bob.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["2", "3"]})
    assert (taken.json["code"], taken.json["seats"]) == ("seat_taken", ["2"])
    path = f"/api/bookings/{booking['id']}/"
    for action in ("confirm", "extend", "cancel"):
        assert bob.post(f"{path}{action}/").json["code"] == "not_your_booking"
    extended = alice.post(f"{path}extend/").json
    ends = [datetime.fromisoformat(held["expires_at"]) for held in (booking, extended)]
    assert ends[0] < ends[1]
    assert [b["status"] for b in alice.get("/api/my-bookings/?status=held").json] == ["held"]
    confirmed = alice.post(f"{path}confirm/")
    assert confirmed.status_code == 200
    assert confirmed.json == extended | {
        "status": "booked",
        "expires_at": None,
        "cancel_until": extended["date_time"],
    }
    for action in ("confirm", "extend"):
        again = alice.post(f"{path}{action}/")
        assert (again.status_code, again.json["code"]) == (409, "not_held")
    assert broken_promises() == []


def test_an_expired_hold_frees_its_seats_with_no_job_running(
    alice: Caller, bob: Caller, show: int
) -> None:
    mine = hold(alice, show, "1", "2")
    with pytest.raises(SeatTaken):
        hold(bob, show, "2", "3", at=9.99)
    his = hold(bob, show, "2", "3", at=10)
    assert his.labels == ["2", "3"]
    for minutes, status in ((9.99, "held"), (10, "expired")):
        found = queries.get_booking(user_id=alice.id, booking_id=mine.id, now=after(minutes))
        assert found.status == status
    for status, ids in (("expired", [mine.id]), ("held", [])):
        page = queries.list_bookings(
            user_id=alice.id, status=status, page=1, page_size=5, now=after(10)
        )
        assert [booking.id for booking in page.items] == ids
    owners = {seat.label: seat.booking_id for seat in rows(ShowSeat)}
    assert (owners["2"], owners["3"]) == (his.id, his.id)


@pytest.mark.parametrize("taken_over", [False, True])
@pytest.mark.parametrize("action", ["confirm", "extend", "cancel"])
def test_past_its_end_a_hold_can_only_be_made_anew(
    alice: Caller, bob: Caller, show: int, action: str, taken_over: bool
) -> None:
    mine = hold(alice, show, "1", "2")
    if taken_over:
        hold(bob, show, "1", at=10)
    before = rows(ShowSeat)
    with pytest.raises(locks.HoldExpired):
        getattr(service, action)(user_id=alice.id, booking_id=mine.id, now=after(10))
    assert rows(ShowSeat) == before


def test_extending_counts_from_now_and_ends_at_the_limit(alice: Caller, show: int) -> None:
    mine = hold(alice, show, "1")

    def extend(at: float) -> datetime:
        held = service.extend(user_id=alice.id, booking_id=mine.id, now=after(at))
        expires_at: datetime = held.expires_at
        return expires_at

    assert extend(5) == after(15)
    assert extend(14) == after(24)
    assert extend(23) == after(30)  # the limit, counted from the first moment
    with pytest.raises(service.HoldLimit):
        extend(25)
    service.confirm(user_id=alice.id, booking_id=mine.id, now=after(29))


def test_a_hold_never_outlives_the_start_of_its_show(alice: Caller, show: int) -> None:
    mine = hold(alice, show, "1", at=115)
    assert mine.expires_at == after(120)
    with pytest.raises(service.HoldLimit):
        service.extend(user_id=alice.id, booking_id=mine.id, now=after(116))
    with pytest.raises(locks.HoldExpired):
        service.confirm(user_id=alice.id, booking_id=mine.id, now=after(120))


def test_cancelling_lets_go_of_a_hold_also_past_the_cutoff(
    alice: Caller, bob: Caller, show: int
) -> None:
    mine = hold(alice, show, "1", "2", at=60)
    released = service.cancel(
        user_id=alice.id,
        booking_id=mine.id,
        policy=BookingPolicy(cancel_cutoff_minutes=90),
        now=after(61),
    )
    assert released.status == "cancelled"
    assert hold(bob, show, "1", "2", at=61).status == "held"


def test_some_seats_of_a_booking_are_cancelled(alice: Caller, bob: Caller, show_id: int) -> None:
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["1", "2", "3"]}).json
    path = f"/api/bookings/{booked['id']}/cancel/"
    some = alice.post(path, {"seat_numbers": ["2"]}).json
    assert (some["status"], some["seat_numbers"]) == ("booked", ["1", "3"])
    assert (some["cancelled_seat_numbers"], some["total"]) == (["2"], "19.00")
    assert bob.post(f"/api/shows/{show_id}/book/", {"seat_number": 2}).status_code == 201
    for labels, place in ((["2"], 0), (["1", "9"], 1)):
        refused = alice.post(path, {"seat_numbers": labels})
        assert refused.status_code == 422
        assert list(wrong(refused)) == [f"/seat_numbers/{place}"]
    last = alice.post(path, {"seat_numbers": ["3", "1"]}).json
    assert (last["status"], last["seat_numbers"]) == ("cancelled", [])
    assert alice.post(path, {"seat_numbers": ["1"]}).json["code"] == "already_cancelled"
    assert broken_promises() == []


def test_an_account_holds_at_most_so_many_seats_of_a_show(
    alice: Caller, bob: Caller, show: int, make_show: Callable[..., int]
) -> None:
    mine = hold(alice, show, "1", "2", "3", max_seats=4)
    with pytest.raises(caps.TooManyHolds) as refused:
        hold(alice, show, "4", "5", max_seats=4)
    assert refused.value.facts == {"held": 3, "most": 4}
    hold(alice, show, "4", max_seats=4)
    hold(bob, show, "5", max_seats=4)  # another account
    other = make_show(now=NOON, starts_in=2 * HOUR)
    hold(alice, other, "1", "2", "3", "4", max_seats=4)  # another show
    service.confirm(user_id=alice.id, booking_id=mine.id, now=after(1))
    hold(alice, show, "6", "7", "8", at=2, max_seats=4)  # confirmed ones don't count
    hold(alice, show, "9", at=11, max_seats=4)  # nor expired ones


@pytest.mark.promise
def test_the_cap_holds_for_many_requests_at_once(
    app: Flask, alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(total_seats=40)
    outcomes: list[str] = []

    def ask(number: int) -> None:
        with app.app_context():
            try:
                service.hold(user_id=alice.id, show_id=show, seat_number=str(number))
                outcomes.append("held")
            except caps.TooManyHolds:
                outcomes.append("refused")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count("held"), outcomes.count("refused")) == (10, 6)


def races_for_a_hold(
    app: Flask, alice: Caller, bob: Caller, show: int, number: int
) -> tuple[Counter[tuple[str, str]], list[str]]:
    """At the very end of a hold, over two connections at once: one confirms just before it by its
    clock, one takes over just after it by its own; so many times. How often each pair of outcomes
    was seen, and broken promises."""
    ends = after(10)
    mine = hold(alice, show, "1", "2").id
    barrier = threading.Barrier(3, timeout=60)
    outcomes: dict[str, list[str]] = {"confirm": [], "book": []}

    def confirm() -> None:
        just_before = ends - timedelta(microseconds=1)
        service.confirm(user_id=alice.id, booking_id=mine, now=just_before)

    def take_over() -> None:
        service.book(user_id=bob.id, show_id=show, seat_numbers=["1", "2"], now=ends)

    def race(name: str, work: Callable[[], None]) -> None:
        with app.app_context():
            for _ in range(number):
                barrier.wait()  # go
                try:
                    work()
                    outcomes[name].append("done")
                except DomainError as error:
                    outcomes[name].append(error.code)
                barrier.wait()  # both are done
                barrier.wait()  # it was looked at

    # Everything as it was before the race, in few statements made once: this is no part of it.
    again = (
        sa.update(ShowSeat).values(booking_id=None, held_until=None),
        sa.delete(Booking).where(Booking.id != mine),
        sa.update(Booking).values(status="held", expires_at=ends),
        sa.update(ShowSeat)
        .where(sa.or_(ShowSeat.label == "1", ShowSeat.label == "2"))
        .values(booking_id=mine, held_until=ends),
    )

    def hold_again(connection: sa.Connection) -> None:
        for statement in again:
            connection.execute(statement)

    threads = [
        threading.Thread(target=race, args=("confirm", confirm)),
        threading.Thread(target=race, args=("book", take_over)),
    ]
    for thread in threads:
        thread.start()
    seen: Counter[tuple[str, str]] = Counter()
    broken: list[str] = []
    for nth in range(number):
        barrier.wait()
        barrier.wait()
        seen[outcomes["confirm"][-1], outcomes["book"][-1]] += 1
        if nth % 50 == 0:
            broken += broken_promises(ends)
        write_transaction(hold_again)
        barrier.wait()
    for thread in threads:
        thread.join()
    return seen, broken


@pytest.mark.promise
def test_confirm_against_take_over(
    app: Flask, alice: Caller, bob: Caller, show: int, rounds: Callable[[int, int], int]
) -> None:
    """One of the two has the seats, never both and never neither.

    Where seats were read without a lock and then taken without a condition, both had them in 33 of
    100 races on PostgreSQL: a defect that shows in one of 100 is found by 500 races 99 times of
    100.
    """
    seen, broken = races_for_a_hold(app, alice, bob, show, rounds(RACES, 100))
    assert set(seen) <= {("done", "seat_taken"), ("hold_expired", "done")}, seen
    assert broken == []


def test_without_the_condition_the_same_race_gives_the_seats_to_both(
    app: Flask, alice: Caller, bob: Caller, show: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the test above can fail. Both have them in 45 of 100 races."""
    any_seat = sa.update(ShowSeat).where(seats.OF_SHOW, seats.NAMED)
    until = sa.bindparam("until", type_=ShowSeat.held_until.type)
    unconditional = Statement(any_seat.values(held_until=until))
    monkeypatch.setattr(seats, "SET_HELD_UNTIL", unconditional)
    seen, _ = races_for_a_hold(app, alice, bob, show, 50)
    assert seen["done", "done"] > 0


def test_a_hold_names_its_seats_like_a_booking(alice: Caller, show: int) -> None:
    with pytest.raises(Invalid):
        hold(alice, show, "11")
    with pytest.raises(locks.SalesClosed):
        hold(alice, show, "1", at=120)
    shows.update_show(show_id=show, on_sale=False, now=NOON)
    with pytest.raises(locks.NotOnSale):
        hold(alice, show, "1")
