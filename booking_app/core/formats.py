"""Money and times as text."""

from datetime import datetime


def decimal_string(cents: int) -> str:
    """950 -> "9.50"."""
    return f"{cents // 100}.{cents % 100:02d}"


def iso(value: datetime) -> str:
    """An instant as it stands in answers: `2030-01-31T19:00:00Z`."""
    return value.isoformat().replace("+00:00", "Z")
