"""What a caller saw before it booked: a show that was moved, or costs otherwise by now, is not sold
unseen."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from booking_app.booking.locks import ShowOnSale
from booking_app.core.errors import Conflict
from booking_app.core.formats import decimal_of, decimal_string, iso


class ShowMoved(Conflict):
    code = "show_moved"


class PriceChanged(Conflict):
    code = "price_changed"


@dataclass(frozen=True, slots=True)
class Expected:
    """When the show begins and what the seats cost in all, in the show's currency, as far as the
    caller says so."""

    date_time: datetime | None = None
    total: Decimal | None = None

    def check_time(self, show: ShowOnSale) -> None:
        """Raises ShowMoved, with the time that holds now."""
        if self.date_time not in (None, show.starts_at):
            begins = iso(show.starts_at)
            raise ShowMoved(f"The show begins at {begins} now.", date_time=begins)

    def check_total(self, show: ShowOnSale, total_cents: int) -> None:
        """Raises PriceChanged, with what the seats cost now."""
        if self.total not in (None, decimal_of(total_cents, show.currency)):
            total = decimal_string(total_cents, show.currency)
            raise PriceChanged(
                f"These seats cost {total} {show.currency} now.",
                total=total,
                currency=show.currency,
            )


NOTHING_EXPECTED = Expected()
