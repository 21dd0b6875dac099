"""Days and times in a cinema's time zone."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, available_timezones

# Of the system's zone files: what each host has set, and a placeholder.
NO_ZONES = {"localtime", "posixrules", "Factory"}


def local_date(moment: datetime, timezone: str) -> date:
    """The day of an instant by the clocks of that IANA time zone."""
    return moment.astimezone(ZoneInfo(timezone)).date()


def is_timezone(name: str) -> bool:
    """Whether this is the name of an IANA time zone."""
    return name in available_timezones() - NO_ZONES


def instant(day: date, time: time, timezone: str) -> datetime:
    """When the clocks of that IANA time zone show that time on that day; the first of the two
    where they go back. Raises ValueError where they go forward and leave it out."""
    zone = ZoneInfo(timezone)
    local = datetime.combine(day, time, zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise ValueError(f"There is no {time:%H:%M} on {day} in {timezone}: the clocks go forward.")
    return moment


def local_time(moment: datetime, timezone: str) -> str:
    """An instant by the clocks of that IANA time zone: `2030-01-31 20:00`."""
    return f"{moment.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M}"
