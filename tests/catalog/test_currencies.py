"""A cinema sells in its own currency; a show takes it, and a booking takes its show's."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from booking_app.booking import service as booking
from booking_app.booking.policy import BookingPolicy
from booking_app.catalog import kept_plans, shows, venues
from booking_app.catalog.show_rules import UpgradeUnfinished
from booking_app.core.errors import Invalid
from booking_app.reports import service as reports
from tests.conftest import NOON, Caller
from tests.migrating import release_before_may_serve
from tests.wrong import wrong

ROWS = [{"label": "A", "seats": 4}]
DAY = NOON + timedelta(days=1)
PRICES = {"EUR": "9.50", "JPY": "1800", "KWD": "3.250"}


@pytest.fixture
def sold(app: Flask, make_movie: Callable[..., int], alice: Caller) -> dict[str, int]:
    """A show of one film in three cinemas, by their currencies; two seats of each are sold."""
    film = make_movie()
    made = {}
    for currency, price in PRICES.items():
        cinema = venues.create_cinema(name=currency, timezone="UTC", currency=currency)
        screen = venues.create_screen(name="1", rows=ROWS, cinema=cinema["id"])
        show = shows.create_show(
            movie_id=film, screen=screen.id, date_time=DAY, price=Decimal(price), now=NOON
        )
        booking.book(user_id=alice.id, show_id=show["id"], quantity=2, now=NOON)
        made[currency] = int(show["id"])
    return made


def test_every_answer_names_the_currency(sold: dict[str, int], alice: Caller) -> None:
    totals = {"EUR": "19.00", "JPY": "3600", "KWD": "6.500"}
    booked = {one["show"]: one for one in alice.get("/api/my-bookings/").json}
    for currency, show in sold.items():
        told = alice.get(f"/api/shows/{show}/").json
        assert (told["price"], told["currency"]) == (PRICES[currency], currency)
        told = alice.get(f"/api/shows/{show}/seats/").json
        assert told["currency"] == currency
        assert told["rows"][0]["seats"][0]["price"] == PRICES[currency]
        one = booked[show]
        assert (one["total"], one["currency"]) == (totals[currency], currency)
        assert [seat["price"] for seat in one["seats"]] == [PRICES[currency]] * 2


@pytest.mark.parametrize("by", ["day", "movie", "screen", "category"])
def test_reports_never_add_up_two_currencies(sold: dict[str, int], by: str) -> None:
    rows = reports.sales(by=by, since=DAY.date(), until=DAY.date(), now=NOON)
    taken = {row["currency"]: (row["shows"], row["takings_cents"]) for row in rows}
    assert len(rows) == 3
    assert taken == {"EUR": (1, 1900), "JPY": (1, 3600), "KWD": (1, 6500)}


def test_prices_that_the_currency_does_not_have_are_refused(
    sold: dict[str, int], staff: Caller
) -> None:
    path = f"/api/shows/{sold['JPY']}/"
    for change, field, told in (
        ({"price": "1800.50"}, "price", "JPY has no decimals; 1800.50 has more."),
        ({"prices": {"standard": "0.1"}}, "prices", "JPY has no decimals; 0.1 has more."),
        ({"price": "100000001"}, "price", "Must be at most 100000000 JPY."),
    ):
        refused = staff.patch(path, change)
        assert refused.status_code == 422
        assert wrong(refused) == {f"/{field}": [told]}
    assert staff.patch(path, {"price": "100000000"}).json["price"] == "100000000"


def test_a_total_that_no_booking_can_have_is_refused(
    sold: dict[str, int], alice: Caller, staff: Caller
) -> None:
    cinema = venues.create_cinema(name="Large", timezone="UTC", currency="JPY")["id"]
    hall = venues.create_screen(name="1", rows=[{"label": "A", "seats": 30}], cinema=cinema)
    film = staff.get("/api/movies/").json[0]["id"]
    show = shows.create_show(
        movie_id=film, screen=hall.id, date_time=DAY, price=Decimal(100_000_000), now=NOON
    )
    take: dict[str, Any] = {"user_id": alice.id, "show_id": show["id"], "now": NOON}
    policy = BookingPolicy(max_seats=30)
    with pytest.raises(Invalid, match="cost more than 2147483647 JPY"):
        booking.book(**take, quantity=22, policy=policy)
    assert booking.book(**take, quantity=21, policy=policy).total_cents == 2_100_000_000


def test_a_cinema_with_shows_to_come_keeps_its_currency(
    sold: dict[str, int], staff: Caller
) -> None:
    cinema = staff.get(f"/api/shows/{sold['EUR']}/").json["cinema"]
    for currency in ("CHF", None):
        with pytest.raises(venues.InUse, match="sold in another currency"):
            venues.update_cinema(cinema_id=cinema, currency=currency, now=NOON)
    venues.update_cinema(cinema_id=cinema, currency="EUR", now=NOON)
    later = DAY + timedelta(hours=1)
    assert venues.update_cinema(cinema_id=cinema, currency="CHF", now=later)["currency"] == "CHF"
    assert kept_plans.get_seat_map(show_id=sold["EUR"]).plan.currency == "EUR"


def test_a_show_stays_in_cinemas_of_its_currency(
    sold: dict[str, int], make_show: Callable[..., int], staff: Caller
) -> None:
    there = staff.get(f"/api/shows/{sold['JPY']}/").json["screen"]
    show = make_show()
    refused = staff.patch(f"/api/shows/{show}/", {"screen": there})
    assert "That cinema sells in JPY" in wrong(refused)["/screen"][0]


def test_currencies_wait_for_the_end_of_the_upgrade(app: Flask, staff: Caller) -> None:
    cinema = venues.create_cinema(name="Plain", timezone="UTC")["id"]
    with release_before_may_serve():
        for change in (
            lambda: venues.create_cinema(name="C", timezone="UTC", currency="CHF"),
            lambda: venues.update_cinema(cinema_id=cinema, currency="CHF"),
        ):
            with pytest.raises(UpgradeUnfinished):
                change()
    lower = staff.patch(f"/api/cinemas/{cinema}/", {"currency": "chf"})
    assert wrong(lower) == {"/currency": ["Must be an ISO 4217 code such as EUR."]}


def test_a_show_in_a_cinema_that_names_none_is_sold_in_that_of_the_house(
    app: Flask, staff: Caller, make_movie: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "CURRENCY", "JPY")
    body = {"screen_name": "1", "date_time": "2030-01-31T20:00:00Z", "total_seats": 3}
    made = staff.post(f"/api/movies/{make_movie()}/shows/", {**body, "price": "1800"})
    assert (made.json["price"], made.json["currency"]) == ("1800", "JPY")
