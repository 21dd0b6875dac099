"""The shapes of bookings on the wire."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.booking.models import BOOKED, CANCELLED, EXPIRED, HELD, KEY_MAX
from booking_app.catalog.models import CATEGORY_MAX, LABEL_MAX
from booking_app.web.fields import (
    AnswerSchema,
    Instant,
    Items,
    Money,
    SeatLabel,
    StrictInteger,
    Text,
)
from booking_app.web.paging import PageQuery

STATUSES = [HELD, BOOKED, CANCELLED, EXPIRED]
KEY_PATTERN = rf"[\x21-\x7e]{{1,{KEY_MAX}}}"  # visible ASCII
SEATS_MAX = 100  # no setting of MAX_SEATS_PER_BOOKING allows more


class SeatLabels(Items):
    """Seats, each named once."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[Any]:
        labels = super()._deserialize(value, attr, data, **kwargs)
        if len(set(labels)) < len(labels):
            raise ma.ValidationError("Names a seat twice.")
        return labels


def _seat_numbers(description: str) -> SeatLabels:
    return SeatLabels(
        SeatLabel(max_length=LABEL_MAX),
        min_length=1,
        max_length=SEATS_MAX,
        metadata={"description": description, "uniqueItems": True},
    )


class BookBody(ma.Schema):
    """One way of naming the seats, and one only."""

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

    @ma.validates_schema
    def one_way(self, data: dict[str, Any], **kwargs: Any) -> None:
        ways = [name for name in ("seat_number", "seat_numbers", "quantity") if name in data]
        if not ways:
            raise ma.ValidationError("Send seat_number, seat_numbers or quantity.", "seat_number")
        if len(ways) > 1:
            raise ma.ValidationError(f"Can't come together with {ways[0]}.", ways[1])
        if "category" in data and ways != ["quantity"]:
            raise ma.ValidationError("Goes with quantity only.", "category")


class CancelBody(ma.Schema):
    """Nothing: the whole booking is cancelled."""

    seat_numbers = _seat_numbers("Only these seats of it.")


class NoBody(ma.Schema):
    """Nothing can be said here."""


class BookingQuery(PageQuery):
    status = fields.String(validate=validate.OneOf(STATUSES))


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
        metadata={"description": "Each seat at the price when it was booked."},
    )
    total = Money(
        required=True, attribute="total_cents", metadata={"pattern": r"^[0-9]{1,9}\.[0-9]{2}$"}
    )
    currency = fields.String(required=True, metadata={"example": "EUR"})
    created_at = Instant(required=True)
    expires_at = Instant(required=True, allow_none=True)
