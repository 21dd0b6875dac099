"""The shapes of bookings on the wire."""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.booking.models import BOOKED, CANCELLED, EXPIRED, HELD, KEY_MAX
from booking_app.catalog.models import CATEGORY_MAX, LABEL_MAX
from booking_app.web.fields import (
    SUM,
    AnswerSchema,
    Instant,
    Money,
    SeatLabel,
    SeatLabels,
    StrictBoolean,
    StrictInteger,
    Text,
    together,
)
from booking_app.web.paging import PageQuery

STATUSES = [HELD, BOOKED, CANCELLED, EXPIRED]
KEY_PATTERN = rf"[\x21-\x7e]{{1,{KEY_MAX}}}"  # visible ASCII
SEATS_MAX = 100  # no setting of MAX_SEATS_PER_BOOKING allows more


def _seat_numbers(description: str) -> SeatLabels:
    return SeatLabels(
        longest=LABEL_MAX,
        max_length=SEATS_MAX,
        metadata={"description": description},
    )


class BookBody(ma.Schema):
    """One way of naming the seats, and one only."""

    rules: ClassVar = {
        **together(
            one_of=("seat_number", "seat_numbers", "quantity"), not_both=(("user", "username"),)
        ),
        "dependentRequired": {name: ["quantity"] for name in ("category", "accessible", "split")},
    }

    seat_number = SeatLabel(
        max_length=LABEL_MAX, metadata={"description": 'One seat; a number 5 means "5".'}
    )
    seat_numbers = _seat_numbers("Several seats: all of them, or none.")
    quantity = StrictInteger(
        1, SEATS_MAX, metadata={"description": "So many side by side, the best that are left."}
    )
    category = Text(
        max_length=CATEGORY_MAX, metadata={"description": "With quantity: of this category."}
    )
    accessible = StrictInteger(
        0,
        SEATS_MAX,
        metadata={"description": "With quantity: how many of them are wheelchair places."},
    )
    split = StrictBoolean(
        metadata={
            "description": "With quantity: whether to take seats in several blocks of neighbouring "
            "rows where no single block is left."
        }
    )
    user = StrictInteger(1, metadata={"description": "Staff only: the account to book for."})
    username = Text(max_length=150, metadata={"description": "Staff only: the same by name."})
    over_cap = StrictBoolean(
        metadata={"description": "Staff only: whether the show's cap may be exceeded."}
    )

    @ma.validates_schema
    def one_way(self, data: dict[str, Any], **kwargs: Any) -> None:
        ways = [name for name in ("seat_number", "seat_numbers", "quantity") if name in data]
        if not ways:
            raise ma.ValidationError("Send seat_number, seat_numbers or quantity.", "seat_number")
        if len(ways) > 1:
            raise ma.ValidationError(f"Can't come together with {ways[0]}.", ways[1])
        for name in ("category", "accessible", "split"):
            if name in data and ways != ["quantity"]:
                raise ma.ValidationError("Goes with quantity only.", name)
        if data.get("accessible", 0) > data.get("quantity", 0):
            raise ma.ValidationError("Must not be more than quantity.", "accessible")
        if "user" in data and "username" in data:
            raise ma.ValidationError("Can't come together with user.", "username")


class CancelBody(ma.Schema):
    """Nothing: the whole booking is cancelled."""

    seat_numbers = _seat_numbers("Only these seats of it.")


class NoBody(ma.Schema):
    """Nothing can be said here."""


class BookingQuery(PageQuery):
    status = fields.String(validate=validate.OneOf(STATUSES))


class AllBookingsQuery(BookingQuery):
    show = StrictInteger(1, query=True)
    user = StrictInteger(1, query=True)
    reference = Text(max_length=20, metadata={"description": "As it was read out."})
    search = Text(
        max_length=100,
        metadata={"description": "A part of the reference, user name, e-mail or film's title."},
    )


class BookedSeat(AnswerSchema):
    seat_number = fields.String(required=True, attribute="label")
    price = Money(required=True, attribute="price_cents")
    cancelled = fields.Boolean(required=True)


class Booking(AnswerSchema):
    id = StrictInteger(1, required=True)
    reference = fields.String(
        required=True,
        metadata={"description": "For people to read out.", "example": "5T90SDT3VZ"},
    )
    user = StrictInteger(1, required=True, attribute="user_id")
    show = StrictInteger(1, required=True, attribute="show_id")
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    seat_number = fields.String(
        required=True,
        allow_none=True,
        attribute="only_label",
        metadata={"description": "Null unless it is exactly one."},
    )
    seat_numbers = fields.List(fields.String(), required=True, attribute="labels")
    cancelled_seat_numbers = fields.List(
        fields.String(), required=True, attribute="cancelled_labels"
    )
    seats = fields.List(
        fields.Nested(BookedSeat),
        required=True,
        attribute="priced_seats",
        metadata={"description": "Each seat at the price when it was booked."},
    )
    total = Money(required=True, attribute="total_cents", metadata=SUM)
    currency = fields.String(required=True, metadata={"example": "EUR"})
    created_at = Instant(required=True)
    expires_at = Instant(required=True, allow_none=True)
