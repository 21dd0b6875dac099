"""Only at this price, only at this time: what a caller saw must still hold when seats are taken."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from booking_app.booking import service
from booking_app.booking.expectations import Expected
from booking_app.booking.models import Booking
from booking_app.catalog import show_queries, shows
from booking_app.catalog.models import ShowSeat
from booking_app.core.formats import iso
from tests.conftest import Caller, rows
from tests.promise import at_once, broken_promises

WAYS = ("book", "hold")
BUYERS = 20


def begins(caller: Caller, show: int) -> str:
    told: str = caller.get(f"/api/shows/{show}/").json["date_time"]
    return told


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("total", ["19.00", "19", "19.0000"])
def test_seats_are_sold_where_all_is_as_expected(
    alice: Caller, make_show: Callable[..., int], way: str, total: str
) -> None:
    show = make_show(price=Decimal("9.50"))
    seen = {"expected_total": total, "expected_date_time": begins(alice, show)}
    answer = alice.post(f"/api/shows/{show}/{way}/", {"quantity": 2, **seen})
    assert (answer.status_code, answer.json["total"]) == (201, "19.00")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("total", ["18.99", "19.0001", "0", "1900", "2147483647.0000"])
def test_at_another_price_nothing_is_taken(
    alice: Caller, make_show: Callable[..., int], way: str, total: str
) -> None:
    show = make_show(price=Decimal("9.50"))
    body = {"seat_numbers": ["1", "2"], "expected_total": total}
    answer = alice.post(f"/api/shows/{show}/{way}/", body)
    told = {name: answer.json[name] for name in ("code", "detail", "total", "currency")}
    assert answer.status_code == 409
    assert told == {
        "code": "price_changed",
        "detail": "These seats cost 19.00 EUR now.",
        "total": "19.00",
        "currency": "EUR",
    }
    assert (rows(Booking), [seat for seat in rows(ShowSeat) if seat.booking_id]) == ([], [])


@pytest.mark.parametrize("way", WAYS)
def test_at_another_time_nothing_is_taken(
    alice: Caller, make_show: Callable[..., int], way: str
) -> None:
    show = make_show()
    seen = begins(alice, show)
    later = iso(show_queries.get_show(show_id=show)["starts_at"] + timedelta(hours=1))
    body = {"seat_number": "1", "expected_date_time": later}
    answer = alice.post(f"/api/shows/{show}/{way}/", body)
    assert answer.status_code == 409
    assert (answer.json["code"], answer.json["date_time"]) == ("show_moved", seen)
    assert rows(Booking) == []
    # The same instant, by other clocks.
    there = seen.replace("Z", "-00:00")
    answer = alice.post(f"/api/shows/{show}/{way}/", body | {"expected_date_time": there})
    assert answer.status_code == 201


def sold_while_the_price_changes(
    app: Flask, show: int, user_id: int, expected: Expected
) -> tuple[list[str], set[int]]:
    """What came of all who book at once while the price is changed; the totals paid."""

    def buy(seat: int) -> Callable[[], Any]:
        return lambda: service.book(
            user_id=user_id, show_id=show, seat_number=str(seat), expected=expected
        )

    works = [buy(seat) for seat in range(1, BUYERS + 1)]
    half = len(works) // 2
    change = [lambda: shows.update_show(show_id=show, price=Decimal("12.00"))]
    outcomes = at_once(app, *works[:half], *change)
    outcomes += at_once(app, *works[half:])  # who looked before the change, and asks after it
    return outcomes, {booking.total_cents for booking in rows(Booking)}


@pytest.mark.parametrize("expected", [Expected(total=Decimal("9.50")), Expected()])
def test_nobody_pays_a_price_unseen(
    app: Flask, make_show: Callable[..., int], alice: Caller, expected: Expected
) -> None:
    """Without what they expect, some do: the control."""
    paid: set[int] = set()
    for _ in range(10):
        show = make_show(price=Decimal("9.50"), total_seats=BUYERS)
        outcomes, totals = sold_while_the_price_changes(app, show, alice.id, expected)
        assert set(outcomes) <= {"done", "price_changed"}
        paid |= totals
    assert broken_promises() == []
    assert paid == ({950} if expected.total else {950, 1200})
