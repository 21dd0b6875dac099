"""When the shows of a catalogue file begin: a function of the present time alone."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import marshmallow as ma
import pytest

from booking_app.catalog.file_schemas import CatalogShow
from booking_app.catalog.file_shows import DAYS_AHEAD, show_times
from booking_app.catalog.times import NoSuchTime
from tests.system.test_cli import demo

# The clocks of Vienna and London change at 01:00 UTC on the last Sundays of March and October.
FORWARD, BACK = date(2030, 3, 31), date(2030, 10, 27)
# Also the days before, in whose nights they change.
DAYS = [date(2030, 6, 1), date(2032, 2, 28), date(2032, 2, 29), date(2030, 12, 31)]
DAYS += [day - timedelta(days=before) for day in (FORWARD, BACK) for before in (1, 0)]
VIENNA, LONDON = "Europe/Vienna", "Europe/London"
CATALOG = demo()
ZONES = {cinema["name"]: cinema["timezone"] for cinema in CATALOG["cinemas"]}


def demo_shows(now: datetime) -> Iterator[tuple[Any, dict[str, Any], str, list[datetime]]]:
    """Film, entry, time zone and times of each entry of the demo catalogue."""
    for movie in CATALOG["movies"]:
        for entry in movie["shows"]:
            timezone = ZONES[entry["cinema"]]
            yield movie, entry, timezone, show_times(entry, timezone, now, skip_missing=True)


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_the_demo_has_each_show_on_each_day_at_every_hour(day: date) -> None:
    """At its own time of day by the clocks of its cinema: today if that is to come, and on each
    of the seven days after."""
    clock_times = [time(hour) for hour in range(24)] + [time(23, 59, 59)]
    for now in (datetime.combine(day, clock_time, UTC) for clock_time in clock_times):
        for _, entry, timezone, times in demo_shows(now):
            zone = ZoneInfo(timezone)
            today = now.astimezone(zone).date()
            (daily,) = entry["daily"]
            clocks = [moment.astimezone(zone) for moment in times]
            assert {f"{one:%H:%M}" for one in clocks} == {daily}, now
            first = 0 if f"{now.astimezone(zone):%H:%M}" < daily else 1
            expected = [today + timedelta(days=days) for days in range(first, DAYS_AHEAD + 1)]
            assert [one.date() for one in clocks] == expected, now
            assert times[0] > now


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_no_two_shows_of_the_demo_overlap(day: date) -> None:
    now = datetime.combine(day, time(0), UTC)
    screens: dict[tuple[str, str], list[tuple[datetime, datetime]]] = {}
    for movie, entry, _, times in demo_shows(now):
        lasts = timedelta(minutes=movie["duration_minutes"])
        on_screen = screens.setdefault((entry["cinema"], entry["screen"]), [])
        on_screen += [(moment, moment + lasts) for moment in times]
    for place, shows in screens.items():
        for (_, ends), (begins, _) in pairwise(sorted(shows)):
            assert ends <= begins, place


@pytest.mark.parametrize(
    ("timezone", "missing", "daily"), [(VIENNA, "02:30", "03:30"), (LONDON, "01:30", "02:30")]
)
def test_a_time_that_the_clocks_leave_out_is_refused_or_has_no_show_that_day(
    timezone: str, missing: str, daily: str
) -> None:
    now = datetime(2030, 3, 28, tzinfo=UTC)
    entry = {"daily": [missing, daily]}
    with pytest.raises(NoSuchTime, match=f"no {missing} on 2030-03-31 in {timezone}"):
        show_times(entry, timezone, now)
    times = show_times(entry, timezone, now, skip_missing=True)
    clocks = [moment.astimezone(ZoneInfo(timezone)) for moment in times]
    assert Counter(f"{one:%H:%M}" for one in clocks) == {missing: 7, daily: 8}
    assert [f"{one:%H:%M}" for one in clocks if one.date() == FORWARD] == [daily]


def test_a_missing_time_that_is_over_is_none_of_the_shows() -> None:
    changed = datetime(2030, 3, 31, 1, tzinfo=UTC)
    with pytest.raises(NoSuchTime):
        show_times({"daily": ["02:30"]}, VIENNA, changed - timedelta(seconds=1))
    assert len(show_times({"daily": ["02:30"]}, VIENNA, changed)) == DAYS_AHEAD


@pytest.mark.parametrize(("timezone", "twice"), [(VIENNA, "02:30"), (LONDON, "01:30")])
def test_a_time_that_the_clocks_show_twice_has_one_show(timezone: str, twice: str) -> None:
    first = datetime(2030, 10, 27, 0, 30, tzinfo=UTC)
    for now in (first - timedelta(days=3), first - timedelta(seconds=1)):
        times = show_times({"daily": [twice]}, timezone, now)
        assert [one for one in times if one.date() == BACK] == [first]
    for later in (first, first + timedelta(minutes=30), first + timedelta(minutes=59)):
        times = show_times({"daily": [twice]}, timezone, later)
        assert len(times) == DAYS_AHEAD
        assert times[0] == first + timedelta(hours=25)


def test_29_february_is_a_day_like_others() -> None:
    now = datetime(2032, 2, 24, 20, tzinfo=UTC)
    times = show_times({"daily": ["19:00", "10:00"]}, "UTC", now)
    assert times == [
        datetime(2032, month, day, hour, tzinfo=UTC)
        for month, day in [(2, 25), (2, 26), (2, 27), (2, 28), (2, 29), (3, 1), (3, 2)]
        for hour in (10, 19)
    ]


@pytest.mark.parametrize(
    ("timezone", "first", "number"),
    [
        ("Pacific/Kiritimati", date(2030, 1, 2), 8),  # 00:30 there
        ("America/St_Johns", date(2030, 1, 2), 7),  # 07:00, on the first of January
        ("Pacific/Pago_Pago", date(2030, 1, 1), 7),  # 23:30, on the last of December
    ],
)
def test_the_day_is_that_of_the_cinema(timezone: str, first: date, number: int) -> None:
    now = datetime(2030, 1, 1, 10, 30, tzinfo=UTC)
    times = show_times({"daily": ["00:45"]}, timezone, now)
    assert times[0] == datetime.combine(first, time(0, 45), ZoneInfo(timezone))
    assert len(times) == number


def test_today_is_the_business_day_of_the_cinema() -> None:
    """At 01:00 the evening before goes on, and its show at 01:45 is still to come."""
    night = datetime(2030, 1, 1, 1, tzinfo=UTC)
    times = show_times({"daily": ["01:45", "20:00"]}, "UTC", night, day_starts_at="06:00")
    assert times[:2] == [night.replace(minute=45), night.replace(hour=20)]
    # Each of the evenings, from that of 31 December, has its show after midnight.
    assert [f"{one:%m-%d %H:%M}" for one in times[-2:]] == ["01-07 20:00", "01-08 01:45"]
    assert len(times) == 2 * (DAYS_AHEAD + 1) - 1


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2030-03-31T19:00", "2030-03-31T17:00:00Z"),
        ("2030-10-27T02:30", "2030-10-27T00:30:00Z"),  # the first of two
        ("2030-10-27T02:30:00+01:00", "2030-10-27T01:30:00Z"),
        ("2030-03-31T19:00:00Z", "2030-03-31T19:00:00Z"),
    ],
)
def test_a_time_in_a_file_is_that_of_the_cinema_unless_it_has_an_offset(
    written: str, moment: str
) -> None:
    entry = CatalogShow().load({"cinema": "A", "screen": "1", "date_time": written})
    (date_time,) = show_times(entry, VIENNA, datetime(2030, 1, 1, tzinfo=UTC))
    assert date_time == datetime.fromisoformat(moment)


@pytest.mark.parametrize("wrong", ["2030-02-30T19:00", "2030-01-01 19:00", "19:00", "2030-01-01"])
def test_what_is_no_time_of_a_file_is_refused(wrong: str) -> None:
    with pytest.raises(ma.ValidationError, match="Must be a day and a time, such as"):
        CatalogShow().load({"cinema": "A", "screen": "1", "date_time": wrong})
