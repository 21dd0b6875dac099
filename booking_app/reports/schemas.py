"""The shapes of reports on the wire."""

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.web.fields import SUM, AnswerSchema, Day, Instant, Money, StrictInteger
from booking_app.web.paging import PageQuery

GROUPS = ["day", "movie", "screen", "category"]


class SalesQuery(ma.Schema):
    by = fields.String(load_default="day", validate=validate.OneOf(GROUPS))
    since = Day(required=True, metadata={"example": "2030-01-01"})
    until = Day(
        required=True,
        metadata={"example": "2030-01-31", "description": "Counted too; 366 days at most."},
    )
    cinema = StrictInteger(1, query=True, metadata={"description": "Only of this cinema."})


class AllComingQuery(ma.Schema):
    cinema = StrictInteger(1, query=True, metadata={"description": "Only of this cinema."})


class ComingQuery(AllComingQuery, PageQuery):
    """The same, by the page."""


class _Sales(AnswerSchema):
    seats = StrictInteger(0, required=True)
    blocked = StrictInteger(
        0, required=True, metadata={"description": "Of the seats, those that are not for sale."}
    )
    sold = StrictInteger(0, required=True)
    occupancy = fields.Float(
        required=True,
        validate=validate.Range(min=0, max=1),
        metadata={"description": "Sold of those that are not blocked, to four places."},
    )
    takings = Money(required=True, attribute="takings_cents", metadata=SUM)
    currency = fields.String(required=True, metadata={"example": "EUR"})


class Sales(_Sales):
    day = Day(required=True, allow_none=True, metadata={"description": "By day."})
    movie = StrictInteger(1, required=True, allow_none=True, metadata={"description": "By film."})
    screen = StrictInteger(
        1, required=True, allow_none=True, metadata={"description": "By screen."}
    )
    category = fields.String(required=True, allow_none=True, metadata={"description": "By that."})
    name = fields.String(
        required=True, allow_none=True, metadata={"description": "Of the film or the screen."}
    )
    cinema_name = fields.String(required=True, allow_none=True)
    shows = StrictInteger(0, required=True)


class ComingShow(_Sales):
    show = StrictInteger(1, required=True)
    movie = StrictInteger(1, required=True)
    movie_title = fields.String(required=True)
    cinema_name = fields.String(required=True)
    screen_name = fields.String(required=True)
    date_time = Instant(required=True, attribute="starts_at")
    held = StrictInteger(0, required=True)
