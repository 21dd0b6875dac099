"""Local times and instants: zones whose clocks do all that clocks do."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking_app.catalog.times import (
    NoSuchTime,
    business_day,
    instant,
    local_time,
    moved_to_zone,
    on_business_day,
)

MIDNIGHT = "00:00"
# A local time, and the offset from UTC that its clocks have then.
ORDINARY = [
    ("Asia/Kathmandu", "2023-07-01T19:00", "+05:45"),
    ("Australia/Lord_Howe", "2023-07-01T19:00", "+10:30"),
    ("Pacific/Chatham", "2023-07-01T19:00", "+12:45"),
    ("America/St_Johns", "2023-07-01T19:00", "-02:30"),
    ("Pacific/Apia", "2011-12-29T19:00", "-10:00"),  # the last evening east of the date line
    ("Pacific/Apia", "2011-12-31T19:00", "+14:00"),
    ("Pacific/Kiritimati", "2023-07-01T19:00", "+14:00"),
    ("Asia/Tehran", "2023-07-01T19:00", "+03:30"),  # no change since 2022
    ("America/Sao_Paulo", "2023-12-24T19:00", "-03:00"),  # nor here since 2019
    ("Africa/Casablanca", "2024-03-20T19:00", "+00:00"),  # in Ramadan
    ("Africa/Casablanca", "2024-07-01T19:00", "+01:00"),
    ("Antarctica/Troll", "2023-07-01T19:00", "+02:00"),
    ("Europe/Kyiv", "2023-12-24T19:00", "+02:00"),
]
# A local time that is left out, and what the clocks do: from, to, in UTC.
FORWARD = [
    ("Europe/Vienna", "2023-03-26T02:30", "02:00", "03:00", "2023-03-26T01:00"),
    ("Europe/Kyiv", "2023-03-26T03:00", "03:00", "04:00", "2023-03-26T01:00"),
    ("Australia/Lord_Howe", "2023-10-01T02:15", "02:00", "02:30", "2023-09-30T15:30"),
    ("Pacific/Chatham", "2023-09-24T02:45", "02:45", "03:45", "2023-09-23T14:00"),
    ("Asia/Kathmandu", "1986-01-01T00:14", "00:00", "00:15", "1985-12-31T18:30"),
    ("America/St_Johns", "2023-03-12T02:59", "02:00", "03:00", "2023-03-12T05:30"),
    ("America/St_Johns", "2007-03-11T00:01", "00:01", "01:01", "2007-03-11T03:31"),
    ("Asia/Beirut", "2022-03-27T00:30", "00:00", "01:00", "2022-03-26T22:00"),
    ("Asia/Tehran", "2022-03-22T00:00", "00:00", "01:00", "2022-03-21T20:30"),
    ("America/Sao_Paulo", "2018-11-04T00:30", "00:00", "01:00", "2018-11-04T03:00"),
    ("America/Santiago", "2023-09-03T00:30", "00:00", "01:00", "2023-09-03T04:00"),
    ("Africa/Casablanca", "2024-04-14T02:30", "02:00", "03:00", "2024-04-14T02:00"),
    ("Antarctica/Troll", "2023-03-26T01:00", "01:00", "03:00", "2023-03-26T01:00"),
    ("Antarctica/Troll", "2023-03-26T02:59", "01:00", "03:00", "2023-03-26T01:00"),
    # A whole day is left out; and an hour around midnight.
    ("Pacific/Apia", "2011-12-30T19:00", "00:00", "00:00 on 2011-12-31", "2011-12-30T10:00"),
    ("America/Toronto", "1919-03-30T23:45", "23:30", "00:30 on 1919-03-31", "1919-03-31T04:30"),
    ("America/Toronto", "1919-03-31T00:15", "23:30 on 1919-03-30", "00:30", "1919-03-31T04:30"),
]
# A local time that is shown twice, and by how much the second comes later.
BACK = [
    ("Europe/Vienna", "2023-10-29T02:30", 60),
    ("Europe/Kyiv", "2023-10-29T03:59", 60),
    ("Australia/Lord_Howe", "2023-04-02T01:45", 30),
    ("Pacific/Chatham", "2023-04-02T02:45", 60),
    ("America/St_Johns", "2023-11-05T01:00", 60),
    ("Asia/Beirut", "2022-10-29T23:30", 60),
    ("Asia/Tehran", "2022-09-21T23:30", 60),
    ("America/Sao_Paulo", "2019-02-16T23:30", 60),
    ("America/Santiago", "2023-04-01T23:30", 60),
    ("Africa/Casablanca", "2024-03-10T02:30", 60),
    ("Antarctica/Troll", "2023-10-29T01:30", 120),
    ("Antarctica/Troll", "2023-10-29T02:59", 120),
]
ZONES = sorted({zone for zone, *_ in [*ORDINARY, *FORWARD, *BACK]})


@pytest.mark.parametrize(("timezone", "local", "offset"), ORDINARY)
def test_a_local_time_is_an_instant(timezone: str, local: str, offset: str) -> None:
    moment = instant(datetime.fromisoformat(local), timezone)
    assert (moment, moment.tzinfo) == (datetime.fromisoformat(local + offset), UTC)
    assert local_time(moment, timezone, "%Y-%m-%dT%H:%M") == local


@pytest.mark.parametrize(("timezone", "local", "from_", "to", "moment"), FORWARD)
def test_a_time_that_the_clocks_leave_out_is_named(
    timezone: str, local: str, from_: str, to: str, moment: str
) -> None:
    day, clock = local.split("T")
    with pytest.raises(NoSuchTime) as refused:
        instant(datetime.fromisoformat(local), timezone)
    assert str(refused.value) == (
        f"There is no {clock} on {day} in {timezone}: the clocks go forward from {from_} to {to}."
    )
    change = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert refused.value.moment == change
    # Up to the change there is every second, and from where the clocks go on.
    for second in (change - timedelta(seconds=1), change):
        shown = second.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
        assert instant(shown, timezone) == second


@pytest.mark.parametrize(("timezone", "local", "minutes"), BACK)
def test_a_time_that_the_clocks_show_twice_is_the_first(
    timezone: str, local: str, minutes: int
) -> None:
    shown = datetime.fromisoformat(local)
    first = instant(shown, timezone)
    second = first + timedelta(minutes=minutes)
    for moment in (first, second):
        assert local_time(moment, timezone, "%Y-%m-%dT%H:%M") == local
        # With its offset each of the two can be meant.
        assert instant(moment.astimezone(ZoneInfo(timezone)), timezone) == moment
    assert instant(shown.replace(fold=1), timezone) == second
    assert moved_to_zone(second, timezone, timezone) == second


@pytest.mark.parametrize(
    ("local", "timezone"),
    [("0001-01-01T00:00", "Pacific/Auckland"), ("9999-12-31T23:59", "Pacific/Pago_Pago")],
)
def test_what_is_beyond_the_calendar_in_utc_is_refused(local: str, timezone: str) -> None:
    with pytest.raises(NoSuchTime, match="is too far away"):
        instant(datetime.fromisoformat(local), timezone)


def test_an_offset_says_more_than_the_time_zone() -> None:
    written = datetime.fromisoformat("2030-03-31T02:30+05:30")  # which Vienna never shows
    assert instant(written, "Europe/Vienna") == datetime(2030, 3, 30, 21, tzinfo=UTC)


FIRST, LAST = datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("2037-01-01")
MOMENTS = st.datetimes(FIRST, LAST, timezones=st.just(UTC))


@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from(ZONES))
def test_in_a_new_time_zone_the_clocks_show_the_same(moment: datetime, old: str, new: str) -> None:
    assert moved_to_zone(moment, old, old) == moment
    try:
        moved = moved_to_zone(moment, old, new)
    except NoSuchTime:
        return
    form = "%Y-%m-%d %H:%M:%S.%f"
    assert local_time(moved, new, form) == local_time(moment, old, form)


@pytest.mark.parametrize(
    ("local", "day_starts_at", "day"),
    [
        ("2030-01-31T20:00", "06:00", "2030-01-31"),
        ("2030-02-01T01:45", "06:00", "2030-01-31"),
        ("2030-02-01T05:59:59", "06:00", "2030-01-31"),
        ("2030-02-01T06:00", "06:00", "2030-02-01"),
        ("2030-02-01T00:00", MIDNIGHT, "2030-02-01"),
        ("2030-03-31T03:00", "02:30", "2030-03-31"),  # which the clocks leave out that day
        ("2030-10-27T02:15", "02:30", "2030-10-26"),
    ],
)
def test_what_is_before_the_day_starts_belongs_to_the_day_before(
    local: str, day_starts_at: str, day: str
) -> None:
    moment = instant(datetime.fromisoformat(local), "Europe/Vienna")
    assert business_day(moment, "Europe/Vienna", day_starts_at) == date.fromisoformat(day)


@given(
    st.dates(date(1990, 1, 1), date(2037, 1, 1)),
    st.times(),
    st.times(max_value=time(12)).map("{:%H:%M}".format),
    st.sampled_from(ZONES),
)
def test_a_business_day_has_each_time_of_day(
    day: date, clock: time, day_starts_at: str, timezone: str
) -> None:
    local = on_business_day(day, clock, day_starts_at)
    assert local.time() == clock
    try:
        moment = instant(local, timezone)
    except NoSuchTime:
        return
    assert business_day(moment, timezone, day_starts_at) == day
