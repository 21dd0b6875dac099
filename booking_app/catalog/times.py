"""Days and times in a cinema's time zone."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

# Of the system's zone files: what each host has set, and a placeholder.
NO_ZONES = {"localtime", "posixrules", "Factory"}


class NoSuchTime(ValueError):
    """The clocks of a time zone never show this time: they go forward over it at `moment`."""

    def __init__(self, message: str, moment: datetime) -> None:
        super().__init__(message)
        self.moment = moment


def business_day(moment: datetime, timezone: str, day_starts_at: str) -> date:
    """The day that a show at this instant belongs to, by the clocks of that IANA time zone: before
    `day_starts_at` ("06:00") it is the day before."""
    local = moment.astimezone(ZoneInfo(timezone))
    return local.date() - timedelta(days=local.time() < time.fromisoformat(day_starts_at))


def on_business_day(day: date, clock: time, day_starts_at: str) -> datetime:
    """The local time at which the clocks show `clock` on that business day."""
    return datetime.combine(day + timedelta(days=clock < time.fromisoformat(day_starts_at)), clock)


def is_timezone(name: str) -> bool:
    """Whether this is the name of an IANA time zone."""
    return name in available_timezones() - NO_ZONES


def instant(local: datetime, timezone: str) -> datetime:
    """The instant, in UTC, at which the clocks of that IANA time zone show this local time.

    Where they go back and show it twice it is the first, or the second if `local.fold` says so; a
    time with an offset is an instant already. Raises NoSuchTime where they go forward over it, and
    for a time at the ends of the calendar.
    """
    zone = ZoneInfo(timezone)
    try:
        moment = local.replace(tzinfo=local.tzinfo or zone).astimezone(UTC)
        shown = moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError as error:
        raise NoSuchTime(f"{local} is too far away.", local.replace(tzinfo=UTC)) from error
    if local.tzinfo is None and shown != local:
        raise _no_such_time(local, zone)
    return moment


def moved_to_zone(moment: datetime, old: str, new: str) -> datetime:
    """When the clocks of the new IANA time zone show what those of the old one show at `moment`;
    raises NoSuchTime where they never do."""
    try:
        local = moment.astimezone(ZoneInfo(old)).replace(tzinfo=None)
    except OverflowError as error:
        raise NoSuchTime(f"{moment} is too far away.", moment) from error
    return instant(local, new)


def _no_such_time(local: datetime, zone: ZoneInfo) -> NoSuchTime:
    """The error that says which clocks leave the time out, when, and what they do."""
    # A local time that is left out has, with either fold, the offset of one side.
    sides = [local.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    before, after = (side.utcoffset() or timedelta() for side in sides)
    low, high = (local - after).replace(tzinfo=UTC), (local - before).replace(tzinfo=UTC)
    while high - low > timedelta(seconds=1):  # the clocks change after `low`, and not after `high`
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    change = high.replace(microsecond=0)
    from_, to = (change.replace(tzinfo=None) + offset for offset in (before, after))

    def clock(at: datetime) -> str:
        return f"{at:%H:%M}" + ("" if at.date() == local.date() else f" on {at.date()}")

    return NoSuchTime(
        f"There is no {local:%H:%M} on {local.date()} in {zone.key}: the clocks go forward from "
        f"{clock(from_)} to {clock(to)}.",
        change,
    )


def local_time(moment: datetime, timezone: str, form: str = "%Y-%m-%d %H:%M %Z") -> str:
    """An instant by the clocks of that IANA time zone: `2030-01-31 20:00 CET`."""
    return moment.astimezone(ZoneInfo(timezone)).strftime(form)


def by_clocks(text: str, timezone: str) -> str:
    """The text with each instant as `local_time` writes it."""

    def written(found: re.Match[str]) -> str:
        try:
            return local_time(datetime.fromisoformat(found[0]), timezone)
        except (ValueError, OverflowError):  # a name that only looks like one
            return found[0]

    return re.sub(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z", written, text)
