"""When customers can buy: from `sales_from` until `sales_until`, or until the show begins."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from booking_app.audit.service import Actor
from booking_app.booking import locks, service
from booking_app.booking.policy import BookingPolicy
from booking_app.catalog import show_queries, shows
from booking_app.catalog.models import ShowSum
from booking_app.catalog.show_rules import UpgradeUnfinished
from booking_app.core.errors import Invalid
from booking_app.reports import service as reports
from tests.conftest import NOON, Caller, rows
from tests.migrating import release_before_may_serve
from tests.promise import broken_promises

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STARTS = NOON + 5 * HOUR
BOSS = Actor(None, "boss", None, None)
POLICY = BookingPolicy(hold_minutes=10, hold_max_minutes=60)


@pytest.fixture
def show(make_show: Callable[..., int]) -> int:
    """104 minutes from STARTS; on sale from an hour after NOON until half an hour after STARTS."""
    return make_show(
        now=NOON,
        starts_in=5 * HOUR,
        sales_from=NOON + HOUR,
        sales_until=STARTS + HOUR / 2,
        total_seats=20,
    )


def take(
    caller: Caller,
    show: int,
    seat: str,
    at: datetime,
    *,
    hold: bool = False,
    by: Actor | None = None,
) -> Any:
    use_case = service.hold if hold else service.book
    return use_case(user_id=caller.id, show_id=show, seat_number=seat, policy=POLICY, by=by, now=at)


@pytest.mark.parametrize("hold", [False, True])
def test_customers_buy_within_the_window_alone_and_staff_at_any_time(
    alice: Caller, show: int, hold: bool
) -> None:
    begin, end = NOON + HOUR, STARTS + HOUR / 2
    with pytest.raises(locks.NotOnSaleYet) as early:
        take(alice, show, "1", begin - timedelta(microseconds=1), hold=hold)
    assert early.value.facts == {"sales_from": "2030-06-01T13:00:00Z"}
    with pytest.raises(locks.SalesClosed):
        take(alice, show, "1", end, hold=hold)
    take(alice, show, "1", begin, hold=hold)
    take(alice, show, "2", end - timedelta(microseconds=1), hold=hold)
    take(alice, show, "3", begin - HOUR, hold=hold, by=BOSS)
    take(alice, show, "4", end + HOUR, hold=hold, by=BOSS)


def test_a_hold_ends_with_the_sale(alice: Caller, show: int) -> None:
    end = STARTS + HOUR / 2
    assert take(alice, show, "1", end - 3 * MINUTE, hold=True).expires_at == end
    by_staff = take(alice, show, "2", end - 3 * MINUTE, hold=True, by=BOSS)
    assert by_staff.expires_at == end + 7 * MINUTE
    held = take(alice, show, "3", end - 15 * MINUTE, hold=True)
    own = {"user_id": alice.id, "booking_id": held.id}
    extended = service.extend(**own, policy=POLICY, now=end - 6 * MINUTE)
    assert extended.expires_at == end
    assert service.confirm(**own, now=end - MINUTE).status == "booked"


def test_a_hold_outlives_no_sale_that_staff_end_earlier(alice: Caller, show: int) -> None:
    held = take(alice, show, "1", STARTS, hold=True)
    own = {"user_id": alice.id, "booking_id": held.id}
    shows.update_show(show_id=show, sales_until=STARTS + MINUTE, now=STARTS)
    for change in (service.confirm, service.extend):
        with pytest.raises(locks.SalesClosed):
            change(**own, now=STARTS + 2 * MINUTE)
    confirmed = service.confirm(user_id=0, booking_id=held.id, by=BOSS, now=STARTS + 2 * MINUTE)
    assert confirmed.status == "booked"


def test_without_a_window_the_sale_ends_as_the_show_begins(
    alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(now=NOON, starts_in=5 * HOUR)
    with pytest.raises(locks.SalesClosed):
        take(alice, show, "1", STARTS)
    assert take(alice, show, "1", STARTS - MINUTE, hold=True).expires_at == STARTS


def test_upcoming_shows_have_not_begun_or_are_still_on_sale(
    show: int, make_show: Callable[..., int]
) -> None:
    early = {"now": NOON, "starts_in": 5 * HOUR}
    at_the_start = make_show(**early)
    ends_before = make_show(**early, sales_until=STARTS - HOUR)

    def listed(when: str, now: datetime) -> list[int]:
        page = show_queries.list_shows(page=1, page_size=9, when=when, now=now)
        return [one.id for one in page.items]

    everything = [show, at_the_start, ends_before]
    for now, upcoming in (
        (STARTS - MINUTE, everything),
        (STARTS, [show]),
        (STARTS + HOUR / 2, []),
    ):
        assert listed("upcoming", now) == upcoming
        assert listed("past", now) == [one for one in everything if one not in upcoming]
        assert listed("all", now) == everything


def test_what_is_sold_after_the_start_counts_in_reports(
    alice: Caller, make_show: Callable[..., int]
) -> None:
    """Also where the sums of the show were kept before."""
    film = {"now": NOON, "starts_in": 5 * HOUR, "preshow_minutes": 60}
    show = make_show(**film, sales_until=STARTS + 2 * HOUR)

    def sold(now: datetime) -> int:
        day = STARTS.date()
        (row,) = reports.sales(by="day", since=day, until=day, now=now)
        return int(row["sold"])

    take(alice, show, "1", NOON)
    late = STARTS + 70 * MINUTE
    assert sold(late) == 1
    assert rows(ShowSum)
    take(alice, show, "2", late)
    held = take(alice, show, "3", late, hold=True)
    assert sold(late) == 2
    assert rows(ShowSum)
    service.confirm(user_id=alice.id, booking_id=held.id, now=late + MINUTE)
    assert sold(late + MINUTE) == 3
    assert broken_promises(late + MINUTE) == []


def test_a_window_that_cannot_be_is_refused(
    make_show: Callable[..., int], show: int, staff: Caller
) -> None:
    ends_at = STARTS + 104 * MINUTE
    for window, field in (
        ({"sales_until": ends_at + MINUTE}, "sales_until"),
        ({"sales_from": STARTS, "sales_until": STARTS}, "sales_from"),
        ({"sales_from": STARTS, "sales_until": None}, "sales_from"),
    ):
        with pytest.raises(Invalid) as made:
            make_show(now=NOON, starts_in=5 * HOUR, **window)
        with pytest.raises(Invalid) as changed:
            shows.update_show(show_id=show, now=NOON, **window)
        for refusal in (made, changed):
            assert list(refusal.value.errors) == [(field,)]
    with pytest.raises(Invalid):  # earlier, it would end before its sale does
        shows.update_show(show_id=show, date_time=STARTS - 2 * HOUR, now=NOON)
    both = {"sales_from": None, "sales_until": None}
    changed = staff.patch(f"/api/shows/{show}/", both).json
    assert (changed["sales_from"], changed["sales_until"]) == (None, None)


def test_the_release_before_would_sell_outside_of_the_window(
    app: Flask, make_show: Callable[..., int]
) -> None:
    show = make_show(now=NOON)
    with release_before_may_serve():
        for change in ({"sales_from": NOON}, {"sales_until": NOON}, {"preshow_minutes": 5}):
            with pytest.raises(UpgradeUnfinished):
                shows.update_show(show_id=show, now=NOON, **change)
        shows.update_show(show_id=show, sales_from=None, preshow_minutes=0, format="3D", now=NOON)
