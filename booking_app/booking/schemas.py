"""The shapes of bookings on the wire."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.booking.models import BOOKED, CANCELLED, EXPIRED, HELD
from booking_app.catalog.models import LABEL_MAX
from booking_app.fields import Answer, Instant, Money, SeatLabel, Whole
from booking_app.paging import PageQuery

STATUSES = [HELD, BOOKED, CANCELLED, EXPIRED]
SEATS_MAX = 100  # no setting of MAX_SEATS_PER_BOOKING allows more


class BookBody(ma.Schema):
    """One way of naming the seats, and one only."""

    seat_number = SeatLabel(
        max_length=LABEL_MAX, metadata={"description": 'One seat; a number 5 means "5".'}
    )
    seat_numbers = fields.List(
        SeatLabel(max_length=LABEL_MAX),
        validate=validate.Length(min=1, max=SEATS_MAX),
        metadata={"description": "Several seats: all are booked, or none.", "uniqueItems": True},
    )

    @ma.validates_schema
    def one_way(self, data: dict[str, Any], **kwargs: Any) -> None:
        if not data:
            raise ma.ValidationError("Send seat_number or seat_numbers.", "seat_number")
        if len(data) > 1:
            raise ma.ValidationError("Send seat_number or seat_numbers, not both.", "seat_numbers")

    @ma.validates("seat_numbers")
    def no_seat_twice(self, labels: list[str], data_key: str) -> None:
        if len(set(labels)) < len(labels):
            raise ma.ValidationError("Names a seat twice.")


class CancelBody(ma.Schema):
    """Nothing: the whole booking is cancelled."""


class BookingQuery(PageQuery):
    status = fields.String(validate=validate.OneOf(STATUSES))


class Booking(Answer):
    id = Whole(1, required=True)
    reference = fields.String(required=True, metadata={"description": "For people to read out."})
    user = Whole(1, required=True, attribute="user_id")
    show = Whole(1, required=True, attribute="show_id")
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    seat_number = fields.String(
        required=True, allow_none=True, metadata={"description": "Null unless it is exactly one."}
    )
    seat_numbers = fields.List(fields.String(), required=True)
    cancelled_seat_numbers = fields.List(fields.String(), required=True)
    total = Money(required=True, attribute="total_cents")
    currency = fields.String(required=True)
    created_at = Instant(required=True)
    expires_at = Instant(required=True, allow_none=True)
