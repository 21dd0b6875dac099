"""The rules that a house sets for itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BookingPolicy:
    """The house's rules, from the settings."""

    max_seats: int = 10
    currency: str = "EUR"
    hold_minutes: int = 10
    hold_max_minutes: int = 30
    cancel_cutoff_minutes: int = 0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "BookingPolicy":
        """The rules of the settings (`config.py`)."""
        return cls(
            max_seats=settings["MAX_SEATS_PER_BOOKING"],
            currency=settings["CURRENCY"],
            hold_minutes=settings["HOLD_MINUTES"],
            hold_max_minutes=settings["HOLD_MAX_MINUTES"],
            cancel_cutoff_minutes=settings["CANCEL_CUTOFF_MINUTES"],
        )


DEFAULT_POLICY = BookingPolicy()
