"""The receipt of a booking that is made: what its seats cost, and its row."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from booking_app.auth.accounts import SessionEnded
from booking_app.booking import references
from booking_app.booking.expectations import Expected
from booking_app.booking.locks import ShowOnSale
from booking_app.booking.models import BOOKED, HELD, Booking
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.queries import BookedSeat, BookingDetails, stored_receipt
from booking_app.booking.seats import SeatRequest
from booking_app.catalog.seat_map import seat_price
from booking_app.core.errors import Invalid
from booking_app.core.formats import decimal_string
from booking_app.core.statements import Statement
from booking_app.core.violations import refusing

TOTAL_MAX = 2**31 - 1  # minor units
INSERT_BOOKING = Statement(
    sa.insert(Booking)
    .values(
        {
            column: sa.bindparam(column.name, type_=column.type)
            for column in sa.inspect(Booking).columns
            if column.name != "id"
        }
    )
    .returning(Booking.id)
)


def new_reference() -> str:
    # A letter of 32 is five bits of a random byte.
    random_bytes = secrets.token_bytes(references.LENGTH)
    return "".join(references.ALPHABET[byte % 32] for byte in random_bytes)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an account gets of a show: held until `expires_at`, or booked where that is None."""

    reference: str
    user_id: int
    show: ShowOnSale
    lines: tuple[BookedSeat, ...]
    expires_at: datetime | None = None

    @classmethod
    def of(
        cls, seats: Iterable[Any], show: ShowOnSale, *, user_id: int, reference: str, **kept: Any
    ) -> "Receipt":
        """The receipt for seats of the show, by their `label` and `category`, at its prices."""
        prices, base_cents = show.prices, show.price_cents
        lines = tuple(
            BookedSeat(seat.label, seat_price(seat.category, base_cents=base_cents, prices=prices))
            for seat in seats
        )
        return cls(reference, user_id, show, lines, **kept)

    @property
    def status(self) -> str:
        return BOOKED if self.expires_at is None else HELD

    def check_total(self, wanted: SeatRequest, expected: Expected) -> None:
        """Raises PriceChanged where the seats cost something else, and Invalid where they cost more
        than a booking can."""
        total, currency = self.total_cents, self.show.currency
        expected.check_total(self.show, total)
        if total > TOTAL_MAX:
            most = f"{decimal_string(TOTAL_MAX, currency)} {currency}"
            raise Invalid(wanted.field, f"These seats cost more than {most}; book fewer at once.")

    @property
    def total_cents(self) -> int:
        return sum(line.price_cents for line in self.lines)

    def insert(self, connection: sa.Connection) -> int:
        """Write the booking's row, which owns no seat yet: its id. Raises SessionEnded."""
        values = {
            "reference": self.reference,
            "user_id": self.user_id,
            "show_id": self.show.id,
            "status": self.status,
            "seats": stored_receipt(self.lines),
            "total_cents": self.total_cents,
            "currency": self.show.currency,
            "created_at": self.show.now,
            "expires_at": self.expires_at,
        }
        gone = SessionEnded("The token's account does not exist any more.")
        with refusing(fk_booking_user_id=gone):
            return int(INSERT_BOOKING.first(connection, values).id)

    def details(self, booking_id: int, policy: BookingPolicy) -> BookingDetails:
        """The booking, once it is written."""
        show = self.show
        return BookingDetails(
            id=booking_id,
            reference=self.reference,
            user_id=self.user_id,
            show_id=show.id,
            status=self.status,
            seats=self.lines,
            currency=show.currency,
            created_at=show.now,
            expires_at=self.expires_at,
            movie_title=show.movie_title,
            starts_at=show.starts_at,
            ends_at=show.ends_at,
            screen_name=show.screen_name,
            cinema_name=show.cinema_name,
            timezone=show.timezone,
            now=show.now,
            cancel_cutoff=policy.cancel_cutoff,
        )
