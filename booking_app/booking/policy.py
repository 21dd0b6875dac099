"""The rules that a house sets for itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True)
class BookingPolicy:
    """The house's rules, from the settings."""

    max_seats: int = 10
    max_seats_staff: int = 100
    hold_minutes: int = 10
    hold_max_minutes: int = 30
    cancel_cutoff_minutes: int = 0
    companion_release_minutes: int = 60

    @property
    def cancel_cutoff(self) -> timedelta:
        """So long before a show customers can't cancel any more."""
        return timedelta(minutes=self.cancel_cutoff_minutes)

    def most_seats(self, *, is_staff: bool) -> int:
        """How many seats a booking may have, and an account may hold of a show."""
        return self.max_seats_staff if is_staff else self.max_seats

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "BookingPolicy":
        """The rules of the settings (`config.py`)."""
        return cls(
            max_seats=settings["MAX_SEATS_PER_BOOKING"],
            max_seats_staff=settings["MAX_SEATS_PER_BOOKING_STAFF"],
            hold_minutes=settings["HOLD_MINUTES"],
            hold_max_minutes=settings["HOLD_MAX_MINUTES"],
            cancel_cutoff_minutes=settings["CANCEL_CUTOFF_MINUTES"],
            companion_release_minutes=settings["COMPANION_RELEASE_MINUTES"],
        )


DEFAULT_POLICY = BookingPolicy()
