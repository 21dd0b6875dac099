"""The change of many shows at once on the wire."""

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.catalog.models import SHOWS_AT_ONCE
from booking_app.catalog.schemas import Prices, SharedTerms
from booking_app.web.fields import (
    AnswerSchema,
    Instant,
    Items,
    Money,
    StrictBoolean,
    StrictInteger,
)


class ShowsPatch(ma.Schema):
    ids = Items(StrictInteger(1), min_length=1, max_length=SHOWS_AT_ONCE, required=True)
    changes = fields.Nested(
        SharedTerms,
        required=True,
        validate=validate.Length(min=1, error="Give at least one."),
        metadata={"description": "What is left out stays."},
    )
    dry_run = StrictBoolean(metadata={"description": "Write nothing, and say what would change."})


class Terms(AnswerSchema):
    """Terms of a show that many shows can be given at once."""

    price = Money(required=True, attribute="price_cents")
    prices = Prices(required=True)
    currency = fields.String(required=True, metadata={"example": "EUR"})
    no_single_gaps = StrictBoolean(required=True)
    max_seats_per_account = fields.Integer(required=True, allow_none=True)
    on_sale = StrictBoolean(
        required=True, metadata={"description": "Of the show alone, whatever its film is."}
    )
    note = fields.String(required=True, allow_none=True)


class ShowChange(AnswerSchema):
    """What changes of a show, or what is in the way; of one that is not there nothing is known."""

    show = StrictInteger(1, required=True, attribute="show_id")
    movie_title = fields.String(required=True, allow_none=True)
    date_time = Instant(required=True, attribute="starts_at", allow_none=True)
    before = fields.Nested(Terms, required=True, allow_none=True)
    after = fields.Nested(Terms, required=True, allow_none=True)
    code = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Of what is in the way; null where nothing is."},
    )
    detail = fields.String(required=True, allow_none=True)
