"""Many shows at once: changing them, copying a week and closing a screen."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from booking_app.audit.models import AuditEvent
from booking_app.booking import service
from booking_app.catalog import shows as show_writes
from booking_app.catalog import venues, week_copies
from booking_app.catalog.blocked_seats import BlockedSeat, set_blocked_seats
from booking_app.catalog.many_shows import NotAllShows, change_shows, close_screen
from booking_app.catalog.models import SHOWS_AT_ONCE, Show, ShowSeat
from booking_app.catalog.times import instant
from booking_app.catalog.week_copies import copy_week
from booking_app.core.errors import Invalid, NotFound
from tests.conftest import NOON, Caller, rows

PLAN = [{"label": "A", "seats": 3}, {"label": "B", "seats": 2, "category": "vip"}]
TERMS = (Show.price_cents, Show.prices, Show.on_sale, Show.note)


# --- changing them --------------------------------------------------------------------------


def test_shows_are_changed_together(staff: Caller, make_show: Callable[..., int]) -> None:
    first, second, other = (make_show(max_seats_per_account=4) for _ in range(3))
    versions = dict(rows(Show, Show.id, Show.version))
    changes = {"price": "12.00", "note": "In the small hall", "max_seats_per_account": None}
    body = {"ids": [second, first, second], "changes": changes}
    before = rows(Show), rows(AuditEvent)
    looked = staff.patch("/api/shows/", body | {"dry_run": True}).json
    assert (rows(Show), rows(AuditEvent)) == before
    done = staff.patch("/api/shows/", body).json
    assert looked == done
    assert [one["show"] for one in done] == [second, first]
    was = {
        "price": "9.50",
        "prices": {},
        "currency": "EUR",
        "no_single_gaps": False,
        "max_seats_per_account": 4,
        "on_sale": True,
        "note": None,
    }
    assert (done[0]["before"], done[0]["after"]) == (was, was | changes)
    assert (done[0]["movie_title"], done[0]["code"], done[0]["detail"]) == (
        "The Third Man",
        None,
        None,
    )
    for show in (first, second):
        answer = staff.get(f"/api/shows/{show}/").json
        assert {name: answer[name] for name in changes} == changes
        (event,) = [one for one in rows(AuditEvent)[len(before[1]) :] if one.object_id == show]
        assert (event.action, event.after["price_cents"]) == ("show.changed", 1200)
    now = dict(rows(Show, Show.id, Show.version))
    assert [now[show] != versions[show] for show in (first, second, other)] == [True, True, False]
    # What is so already is not written again.
    assert staff.patch("/api/shows/", body).status_code == 200
    assert dict(rows(Show, Show.id, Show.version)) == now


def test_all_shows_are_changed_or_none(staff: Caller, make_show: Callable[..., int]) -> None:
    screen = venues.create_screen(name="Saal", rows=PLAN).id
    planned = make_show(screen=screen, screen_name=None, total_seats=None)
    numbered = make_show()
    body = {"ids": [planned, numbered, 999], "changes": {"prices": {"vip": "15.00"}}}
    before = rows(Show)
    looked = staff.patch("/api/shows/", body | {"dry_run": True}).json
    assert [one["code"] for one in looked] == [None, "validation_failed", "not_found"]
    assert "vip" in looked[1]["detail"]
    assert (looked[2]["detail"], looked[2]["before"]) == ("There is no show 999.", None)
    refused = staff.patch("/api/shows/", body)
    assert (refused.status_code, refused.json["code"]) == (409, "not_all_shows")
    assert [one["show"] for one in refused.json["shows"]] == [numbered, 999]
    assert rows(Show) == before
    body["ids"] = [planned]
    assert staff.patch("/api/shows/", body).json[0]["after"]["prices"] == {"vip": "15.00"}


@pytest.mark.parametrize(
    "body",
    [
        {"changes": {"price": "1.00"}},
        {"ids": [], "changes": {"price": "1.00"}},
        {"ids": [1] * (SHOWS_AT_ONCE + 1), "changes": {"price": "1.00"}},
        {"ids": [1]},
        {"ids": [1], "changes": {}},
        {"ids": [1], "changes": {"date_time": "2030-01-01T20:00:00Z"}},
        {"ids": [1], "changes": {"price": None}},
    ],
)
def test_changes_of_shows_that_can_not_be(staff: Caller, body: dict[str, Any]) -> None:
    assert staff.patch("/api/shows/", body).status_code == 422


def test_no_shows_and_too_many(app: Flask) -> None:
    for ids in [], range(1, SHOWS_AT_ONCE + 2):
        with pytest.raises(Invalid, match="can be changed at once"):
            change_shows(show_ids=list(ids), price=Decimal(1))
    with pytest.raises(NotAllShows):
        change_shows(show_ids=[1], price=Decimal(1))


# --- copying a week -------------------------------------------------------------------------

MONDAY = date(2031, 3, 24)
CLOCKS = "Europe/Vienna"  # go forward on Sunday, 2031-03-30, at 02:00


@pytest.fixture
def week(app: Flask, make_movie: Callable[..., int]) -> dict[str, int]:
    """A cinema with the shows of the week before the clocks go forward, 17 to 23 March: two on
    Saal, of which one is after midnight in its business day of Sunday, and one on Klein."""
    cinema = venues.create_cinema(name="Kino", timezone=CLOCKS, day_starts_at="06:00")["id"]
    saal = venues.create_screen(name="Saal", rows=PLAN, cinema=cinema).id
    klein = venues.create_screen(name="Klein", rows=PLAN, cinema=cinema).id
    film = make_movie("Solaris", 100)

    def show(screen: int, day: date, clock: str, **terms: Any) -> int:
        begins = instant(datetime.fromisoformat(f"{day}T{clock}"), CLOCKS)
        made = show_writes.create_show(
            movie_id=film, screen=screen, date_time=begins, now=NOON, price=Decimal(9), **terms
        )
        return int(made["id"])

    first = MONDAY - timedelta(7)
    return {
        "cinema": cinema,
        "saal": saal,
        "klein": klein,
        "film": film,
        "evening": show(
            saal,
            first,
            "20:00",
            prices={"vip": Decimal(12)},
            note="OV",
            preshow_minutes=10,
            sales_from=instant(datetime.fromisoformat(f"{first - timedelta(3)}T10:00"), CLOCKS),
        ),
        "night": show(saal, first + timedelta(6), "02:30"),
        "small": show(klein, first + timedelta(6), "20:00"),
    }


def copied(week: dict[str, int], **options: Any) -> list[Any]:
    values = {"first_day": MONDAY - timedelta(7), "to_first_day": MONDAY, "now": NOON}
    return copy_week(**values | {"cinema_id": week["cinema"]} | options)


def test_a_week_is_copied_by_local_time(week: dict[str, int]) -> None:
    before = rows(Show), rows(ShowSeat), rows(AuditEvent)
    looked = copied(week, dry_run=True)
    assert (rows(Show), rows(ShowSeat), rows(AuditEvent)) == before
    assert [(one.show_id, str(one.local), one.error) for one in looked] == [
        (week["evening"], "2031-03-24 20:00:00", None),
        (
            week["night"],
            "2031-03-30 02:30:00",
            "There is no 02:30 on 2031-03-30 in Europe/Vienna: the clocks go forward from 02:00 to "
            "03:00.",
        ),
        (week["small"], "2031-03-30 20:00:00", None),
    ]
    assert copied(week) == looked  # none, where something is in the way of one
    assert (rows(Show), rows(ShowSeat), rows(AuditEvent)) == before

    made = copied(week, only=[week["evening"], week["small"]])
    assert [one.error for one in made] == [None, None]
    evening, small = rows(Show)[3:]
    assert evening.starts_at == instant(datetime.fromisoformat("2031-03-24T20:00"), CLOCKS)
    assert small.starts_at == instant(datetime.fromisoformat("2031-03-30T20:00"), CLOCKS)
    source = rows(Show)[0]
    same = ("movie_id", "screen_id", "price_cents", "prices", "note", "preshow_minutes")
    assert [getattr(evening, name) for name in same] == [getattr(source, name) for name in same]
    assert evening.sales_from == instant(datetime.fromisoformat("2031-03-21T10:00"), CLOCKS)
    assert (evening.total_seats, evening.local_date) == (5, MONDAY)
    assert len(rows(ShowSeat)) == 5 * 5
    events = rows(AuditEvent)[len(before[2]) :]
    assert [event.action for event in events] == ["show.created"] * 2


def test_what_is_in_the_way_of_a_copy_names_the_film_and_the_show(week: dict[str, int]) -> None:
    assert [one.error for one in copied(week, screen=week["klein"])] == [None]
    (again,) = copied(week, screen=week["klein"])
    assert again.error is not None
    assert again.error.startswith(f"Solaris (show {rows(Show)[3].id}) is on Klein from ")
    assert len(rows(Show)) == 4


def test_shows_in_another_currency_than_the_house_has_now_are_not_copied(
    week: dict[str, int],
) -> None:
    (small,) = copied(week, screen=week["klein"], currency="CHF", dry_run=True)
    assert small.error == "screen: It is sold in EUR, and the cinema now in CHF."


def test_only_its_own_days_and_what_is_on_sale_is_copied(week: dict[str, int]) -> None:
    change_shows(show_ids=[week["evening"]], on_sale=False)
    assert [one.show_id for one in copied(week, dry_run=True)] == [week["night"], week["small"]]
    assert copied(week, first_day=MONDAY, to_first_day=MONDAY + timedelta(7), dry_run=True) == []


def test_weeks_that_can_not_be_copied(
    week: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in (-7, 0, 8):
        with pytest.raises(Invalid, match="same weekday"):
            copied(week, to_first_day=MONDAY + timedelta(days - 7))
    with pytest.raises(NotFound):
        copied(week, cinema_id=999)
    monkeypatch.setattr(week_copies, "SEATS_AT_ONCE", 14)
    with pytest.raises(Invalid, match="3 shows with 15 seats"):
        copied(week)


def test_shows_of_the_short_form_are_copied_with_their_seats(
    app: Flask, make_show: Callable[..., int]
) -> None:
    make_show(total_seats=7)
    (own,) = rows(Show)
    (made,) = copy_week(
        cinema_id=1, first_day=own.local_date, to_first_day=own.local_date + timedelta(7)
    )
    assert made.error is None
    assert rows(Show)[1].total_seats == 7


# --- closing a screen -----------------------------------------------------------------------


def test_a_closed_screen_sells_nothing_more_but_what_is_sold_stays(
    week: dict[str, int], alice: Caller, make_show: Callable[..., int]
) -> None:
    first = MONDAY - timedelta(7)
    evening = week["evening"]
    held = service.hold(user_id=alice.id, show_id=week["night"], seat_numbers=["B1", "A1"])
    set_blocked_seats(show_id=evening, seats=[BlockedSeat("A2", "house")])
    before = rows(Show)
    period = {"screen_id": week["saal"], "since": first, "until": first + timedelta(6)}
    looked = close_screen(**period, dry_run=True)
    assert rows(Show) == before
    done = close_screen(**period)
    assert looked == done
    assert [(one.show_id, one.movie_title, one.taken) for one in done] == [
        (evening, "Solaris", []),
        (week["night"], "Solaris", ["A1", "B1"]),
    ]
    on_sale = {show.id: show.on_sale for show in rows(Show)}
    assert on_sale == {evening: False, week["night"]: True, week["small"]: True}
    assert [(one.object_id, one.after) for one in rows(AuditEvent)][-1] == (
        evening,
        {"on_sale": False},
    )
    assert [one.show_id for one in close_screen(**period)] == [week["night"]]
    later = close_screen(**period, now=held.expires_at)
    assert [(one.show_id, one.taken) for one in later] == [(week["night"], [])]


def test_a_screen_is_closed_on_its_business_days_from_now_on(week: dict[str, int]) -> None:
    first = MONDAY - timedelta(7)
    sunday = first + timedelta(5)  # the night show is on the clocks of the day after
    closed = close_screen(screen_id=week["saal"], since=sunday, until=sunday)
    assert [one.show_id for one in closed] == [week["night"]]
    with pytest.raises(Invalid, match="before the first day"):
        close_screen(screen_id=week["saal"], since=sunday, until=first)
    with pytest.raises(NotFound):
        close_screen(screen_id=999, since=first, until=sunday)
    begun = rows(Show)[0].starts_at
    assert close_screen(screen_id=week["saal"], since=first, until=first, now=begun) == []
