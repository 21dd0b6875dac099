"""Days and times in a cinema's time zone."""

import re
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
