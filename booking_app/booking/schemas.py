"""The shapes of bookings on the wire."""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.booking.models import BOOKED, CANCELLED, EXPIRED, HELD
from booking_app.catalog.models import CATEGORY_MAX, LABEL_MAX
from booking_app.web.fields import (
    SUM,
    AnswerSchema,
    Coded,
    Instant,
    LocalInstant,
    Money,
    SeatLabel,
    SeatLabels,
    StrictBoolean,
    StrictInteger,
    Text,
    together,
)
from booking_app.web.paging import Cursor, CursorQuery

STATUSES = [HELD, BOOKED, CANCELLED, EXPIRED]
REFERENCE_TYPED_MAX = 40
SEATS_MAX = 100  # no setting of MAX_SEATS_PER_BOOKING allows more


def _seat_numbers(description: str) -> SeatLabels:
    return SeatLabels(
        longest=LABEL_MAX,
        max_length=SEATS_MAX,
        metadata={"description": description},
    )


class Total(Money):
    """What all seats of a booking cost."""

    pattern = r"[0-9]{1,10}(\.[0-9]{1,4})?"


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
    expected_total = Total(
        metadata={
            "description": "What you saw: if they cost something else by now, nothing is taken."
        }
    )
    expected_date_time = Instant(
        metadata={
            "description": "When you saw it begin: if the show was moved since, nothing is taken."
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
            message = Coded("Send seat_number, seat_numbers or quantity.", "required")
            raise ma.ValidationError(message, "seat_number")
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


AFTER = Cursor("b")


class BookingQuery(CursorQuery):
    after = AFTER
    status = fields.String(validate=validate.OneOf(STATUSES))
    upcoming = StrictBoolean(
        query=True,
        metadata={
            "description": "true: of shows that have not begun or are still on sale, as in the "
            "lists of shows; false: of the others."
        },
    )
    show = StrictInteger(1, query=True, metadata={"description": "Of this show."})
    reference = Text(
        max_length=REFERENCE_TYPED_MAX,
        metadata={
            "description": "The whole reference as it was read or typed: spaces, dashes and small "
            "letters do no harm, nor O for 0, I or L for 1.",
            "example": "5t90 sdt3 vz",
        },
    )


class AllBookingsQuery(BookingQuery):
    user = StrictInteger(1, query=True, metadata={"description": "Of this account."})
    search = Text(
        max_length=100,
        metadata={
            "description": "How the reference begins, however it is typed (of the newest 10,000 "
            "bookings, any part of it), or a part of the user name, the e-mail or the film's title."
        },
    )


class BookedSeat(AnswerSchema):
    seat_number = fields.String(required=True, attribute="label")
    price = Money(required=True, attribute="price_cents")
    cancelled = fields.Boolean(
        required=True,
        metadata={
            "description": "Whether it was given back: alone, with the whole booking, or when a "
            "hold expired."
        },
    )


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
        metadata={"description": "The one of `seat_numbers`; null unless it is exactly one."},
    )
    seat_numbers = fields.List(
        fields.String(),
        required=True,
        attribute="labels",
        metadata={
            "description": "The seats that it has: none of a booking that is cancelled or expired."
        },
    )
    cancelled_seat_numbers = fields.List(
        fields.String(),
        required=True,
        attribute="cancelled_labels",
        metadata={"description": "The seats that it has no longer."},
    )
    seats = fields.List(
        fields.Nested(BookedSeat),
        required=True,
        attribute="priced_seats",
        metadata={"description": "All of both, each at the price when it was booked."},
    )
    total = Money(
        required=True,
        attribute="total_cents",
        metadata=SUM | {"description": "The price of `seat_numbers`: 0.00 where there is none."},
    )
    original_total = Money(
        required=True,
        attribute="original_total_cents",
        metadata=SUM | {"description": "The price of all its seats, those given back too."},
    )
    currency = fields.String(required=True, metadata={"example": "EUR"})
    created_at = Instant(required=True)
    expires_at = Instant(
        required=True,
        allow_none=True,
        metadata={"description": "When a hold ends, or ended; null of what is booked."},
    )
    movie_title = fields.String(
        required=True,
        metadata={"description": "The film, its show's time and place: as they stand now."},
    )
    date_time = Instant(
        required=True, attribute="starts_at", metadata={"description": "When the show begins."}
    )
    local_date_time = LocalInstant(
        of="starts_at",
        required=True,
        metadata={
            "description": "The same by the clocks of the cinema, with their offset.",
            "example": "2030-01-31T20:00:00+01:00",
        },
    )
    ends_at = Instant(
        required=True, metadata={"description": "When the audience leaves, breaks counted."}
    )
    screen_name = fields.String(required=True)
    cinema_name = fields.String(required=True)
    timezone = fields.String(
        required=True,
        metadata={"description": "The cinema's, by its IANA name.", "example": "Europe/Berlin"},
    )
    can_cancel = fields.Boolean(
        required=True,
        metadata={
            "description": "Whether its customer can cancel it now: it is before `cancel_until`. "
            "Staff can as long as it is held or booked."
        },
    )
    cancel_until = Instant(
        required=True,
        allow_none=True,
        metadata={
            "description": "When cancelling ends for customers: a while before the show, as the "
            "house has set it; of a hold `expires_at`. Null once it is cancelled or expired."
        },
    )
