"""The shapes of seat maps and blocked seats on the wire."""

import marshmallow as ma
import orjson
from marshmallow import fields, validate

from booking_app.catalog.models import (
    AVAILABLE,
    BLOCKED,
    BLOCKS,
    BOOKED,
    HELD,
    KINDS,
    LABEL_MAX,
    REASON_MAX,
    SEATS_MAX,
)
from booking_app.catalog.seat_map import FREE, STATUSES, Plan, drawn
from booking_app.web.fields import (
    AnswerSchema,
    Items,
    Money,
    SeatLabel,
    StrictBoolean,
    StrictInteger,
    optional_text,
)


class BlockedSeat(ma.Schema):
    """A seat that is not for sale."""

    seat_number = SeatLabel(max_length=LABEL_MAX, required=True)
    kind = fields.String(
        required=True,
        validate=validate.OneOf(BLOCKS),
        metadata={"description": "`house`: staff may sell it; `out_of_order`: nobody."},
    )
    reason = optional_text(REASON_MAX)


class BlockedSeatsBody(ma.Schema):
    """All of them: a seat that is not named is for sale."""

    seats = Items(fields.Nested(BlockedSeat), max_length=SEATS_MAX, required=True)


class BlockedSeatAnswer(AnswerSchema):
    seat_number = fields.String(required=True, attribute="label")
    kind = fields.String(required=True, validate=validate.OneOf(BLOCKS))
    reason = fields.String(required=True, allow_none=True)


class BlockedSeats(AnswerSchema):
    show = StrictInteger(1, required=True)
    seats = fields.List(fields.Nested(BlockedSeatAnswer), required=True)


class MapSeat(AnswerSchema):
    seat_number = fields.String(
        required=True, metadata={"description": "What it is booked by: block, row and number."}
    )
    number = fields.String(required=True, metadata={"description": "Its number in the row."})
    x = fields.Integer(
        required=True, metadata={"description": "Its left edge, in half seats from the left."}
    )
    status = fields.String(
        required=True, validate=validate.OneOf([AVAILABLE, HELD, BOOKED, BLOCKED])
    )
    category = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    price = Money(required=True, attribute="price_cents")
    accessible = StrictBoolean(
        required=True, metadata={"description": "Whether it is a wheelchair place."}
    )
    aisle_after = StrictBoolean(
        required=True, metadata={"description": "Whether the next place of the row is empty."}
    )


class MapRow(AnswerSchema):
    label = fields.String(required=True)
    block = fields.String(required=True, metadata={"description": "Empty where there is none."})
    y = fields.Integer(
        required=True, metadata={"description": "Its place from the front, in rows."}
    )
    seats = fields.List(fields.Nested(MapSeat), required=True)


class SeatMap(AnswerSchema):
    show = StrictInteger(1, required=True)
    total_seats = fields.Integer(required=True)
    available_seats = fields.Integer(required=True)
    currency = fields.String(required=True, metadata={"example": "EUR"})
    rows = fields.List(fields.Nested(MapRow), required=True)


SEAT_MAP = SeatMap()
# No JSON has this byte within: orjson escapes it in texts.
GAP = b"\0"
WORDS = {letter: orjson.dumps(status) for letter, status in STATUSES.items()}


def seat_map_json(plan: Plan, letters: str) -> bytes:
    """The JSON of a seat map, joined of pieces that are kept with the plan."""
    pieces = plan.once(_pieces).copy()
    pieces[1] = str(letters.count(FREE)).encode()
    pieces[3::2] = [WORDS[letter] for letter in letters]
    return b"".join(pieces)


def _pieces(plan: Plan) -> list[bytes]:
    """The JSON of the plan, with gaps at every other place: for the number of available seats, and
    for the status of each seat."""
    gap = orjson.Fragment(GAP)
    whole = orjson.dumps(SEAT_MAP.dump(drawn(plan, [gap] * len(plan.seats), gap)))
    pieces = [GAP]
    for piece in whole.split(GAP):
        pieces += (piece, GAP)
    return pieces[1:-1]
