"""Days in a cinema's time zone."""

from datetime import date, datetime
from zoneinfo import ZoneInfo, available_timezones

# Of the system's zone files: what each host has set, and a placeholder.
NO_ZONES = {"localtime", "posixrules", "Factory"}


def local_date(moment: datetime, timezone: str) -> date:
    """The day of an instant by the clocks of that IANA time zone."""
    return moment.astimezone(ZoneInfo(timezone)).date()


def is_timezone(name: str) -> bool:
    """Whether this is the name of an IANA time zone."""
    return name in available_timezones() - NO_ZONES
