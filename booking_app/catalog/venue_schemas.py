"""The shapes of cinemas, screens and their seat plans on the wire."""

import unicodedata
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.catalog.models import (
    BLOCK_MAX,
    CATEGORY_MAX,
    KEPT_BECAUSE,
    KINDS,
    LABEL_MAX,
    LABELS_TOLD,
    NUMBER_MAX,
    PAUSE_MAX_MINUTES,
    ROW_LABEL_MAX,
    SEATS_MAX,
    STANDARD,
)
from booking_app.web.fields import (
    AnswerSchema,
    ByType,
    Instant,
    Items,
    SeatLabel,
    SeatLabels,
    StrictBoolean,
    StrictInteger,
    Text,
)
from booking_app.web.paging import PageQuery

ROWS_MAX = 200
OFFSET_MAX = 200
FORBIDDEN_IN_NAMES = ', ; | _ = "'


class PlanName(Text):
    """The name of a row or a block. It stands in the names of seats and in plans typed as text, so
    it has none of the signs that part things there."""

    default_error_messages = {
        "forbidden_signs": f"Must not contain any of {FORBIDDEN_IN_NAMES}.",
        "forbidden_spaces": "Must not contain other spaces than single ones.",
        "forbidden_end": "Must not end in -.",
    }

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        name = super()._deserialize(value, attr, data, **kwargs)
        name = unicodedata.normalize("NFC", name)
        if any(sign in name for sign in FORBIDDEN_IN_NAMES.split()):
            raise self.make_error("forbidden_signs")
        if "  " in name or any(c.isspace() and c != " " for c in name):
            raise self.make_error("forbidden_spaces")
        if name.endswith("-"):
            raise self.make_error("forbidden_end")
        if len(name) > self.max_length:
            raise self.make_error("too_long", max=self.max_length)
        return name


class BlockName(PlanName):
    """The name of a block; empty where the hall has no blocks."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=BLOCK_MAX, **kwargs)
        self.validators = [validate.Length(max=BLOCK_MAX)]

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        return "" if value == "" else super()._deserialize(value, attr, data, **kwargs)


class SeatNumber(SeatLabel):
    """The number of a seat in its row: a number, or text such as "101" and "2a"."""

    default_error_messages = {"forbidden_signs": "Must be letters and digits only."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=NUMBER_MAX, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        number = super()._deserialize(value, attr, data, **kwargs)
        number = unicodedata.normalize("NFC", number)
        if not all(c.isalpha() or c.isdecimal() for c in number):
            raise self.make_error("forbidden_signs")
        if len(number) > self.max_length:
            raise self.make_error("too_long", max=self.max_length)
        return number


class PlanSeat(ma.Schema):
    """A seat of a row that is not like the others of it."""

    number = SeatNumber(required=True)
    category = Text(max_length=CATEGORY_MAX)
    kind = fields.String(validate=validate.OneOf(KINDS))


def _plan_seats() -> ByType:
    """The seats of a row: their count, or a list of them."""
    one = ByType(
        {
            int: StrictInteger(0, 10**NUMBER_MAX - 1),
            str: SeatNumber(),
            dict: fields.Nested(PlanSeat()),
        },
        told='Must be a number such as 5 or "2a", an object with a number, or null.',
        allow_none=True,
    )
    return ByType(
        {
            int: StrictInteger(1, SEATS_MAX),
            list: Items(one, min_length=1, max_length=SEATS_MAX),
        },
        told="Must be a count of seats, or a list of numbers, objects and null.",
        required=True,
        metadata={
            "description": "The seats 1 to N; or, from left to right seen towards the screen, the "
            "number of each, or an object, or null for an empty place."
        },
    )


class PlanRow(ma.Schema):
    """A row of a seat plan."""

    label = PlanName(max_length=ROW_LABEL_MAX, required=True)
    block = BlockName(metadata={"description": "The part of the hall, such as Balcony."})
    seats = _plan_seats()
    category = Text(
        max_length=CATEGORY_MAX,
        load_default=STANDARD,
        metadata={"description": "Of the seats that name none."},
    )
    gaps = Items(
        StrictInteger(1, SEATS_MAX),
        max_length=SEATS_MAX,
        metadata={"description": "With a count: the numbers of the seats with an aisle after."},
    )
    accessible = Items(
        StrictInteger(1, SEATS_MAX),
        max_length=SEATS_MAX,
        metadata={"description": "With a count: the numbers of wheelchair places."},
    )
    offset = StrictInteger(
        -OFFSET_MAX,
        OFFSET_MAX,
        metadata={"description": "Half seats that the row is moved to the right."},
    )
    walkway = StrictBoolean(metadata={"description": "Whether there is free space behind the row."})
    beside = PlanName(
        max_length=BLOCK_MAX,
        allow_none=True,
        metadata={
            "description": "In the first row of a block: it stands to the right of this block."
        },
    )


def plan_field(**kwargs: Any) -> Items:
    return Items(
        fields.Nested(PlanRow),
        min_length=1,
        max_length=ROWS_MAX,
        metadata={"description": "From the front."},
        **kwargs,
    )


class ScreenPatch(ma.Schema):
    name = Text(max_length=100)
    rows = plan_field()
    out_of_order = SeatLabels(
        longest=LABEL_MAX,
        min_length=0,
        max_length=SEATS_MAX,
        metadata={"description": "The seats that no show sells, of the plan."},
    )
    turnaround_minutes = StrictInteger(
        0,
        PAUSE_MAX_MINUTES,
        metadata={"description": "At least so many minutes lie between two shows; 0 if left out."},
    )


class ScreenChange(ScreenPatch):
    apply_to_unsold_shows = StrictBoolean(
        metadata={"description": "Give the plan to the shows to come without sold or held seats."}
    )
    dry_run = StrictBoolean(metadata={"description": "Write nothing, and answer the same."})


class ScreenBody(ScreenPatch):
    name = Text(max_length=100, required=True)
    rows = plan_field(required=True)
    cinema = StrictInteger(1, metadata={"description": "The default cinema if left out."})


class ScreenQuery(PageQuery):
    cinema = StrictInteger(1, query=True)


class PlanSeatAnswer(AnswerSchema):
    number = fields.String(required=True)
    category = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))


class PlanRowAnswer(AnswerSchema):
    """A row of a seat plan."""

    label = fields.String(required=True)
    block = fields.String(required=True, metadata={"description": "Empty where there is none."})
    seats = fields.List(
        fields.Nested(PlanSeatAnswer, allow_none=True),
        required=True,
        metadata={"description": "From left to right; null is an empty place."},
    )
    offset = fields.Integer(required=True)
    walkway = StrictBoolean(required=True)
    beside = fields.String(required=True, allow_none=True)


class Screen(AnswerSchema):
    id = StrictInteger(1, required=True)
    cinema = StrictInteger(1, required=True, attribute="cinema_id")
    name = fields.String(required=True)
    total_seats = fields.Integer(
        required=True, metadata={"description": "Of its plan; 0 where it has none."}
    )
    rows = fields.List(fields.Nested(PlanRowAnswer), required=True)
    out_of_order = fields.List(fields.String(), required=True)
    turnaround_minutes = fields.Integer(required=True)


def _first_labels(attribute: str) -> fields.Field[Any]:
    return fields.List(
        fields.String(),
        required=True,
        attribute=attribute,
        metadata={"description": f"The first {LABELS_TOLD} of them."},
    )


class ChangedShow(AnswerSchema):
    """A show to come that takes the plan."""

    show = StrictInteger(1, required=True, attribute="show_id")
    movie_title = fields.String(required=True)
    date_time = Instant(required=True, attribute="starts_at")
    seats_won = fields.Integer(required=True)
    won_seat_numbers = _first_labels("first_won")
    seats_lost = fields.Integer(required=True)
    lost_seat_numbers = _first_labels("first_lost")
    seats_changed = fields.Integer(
        required=True,
        metadata={"description": "That stay, with another kind, category or block."},
    )
    unblocked_seat_numbers = fields.List(
        fields.String(),
        required=True,
        attribute="unblocked",
        metadata={"description": "Of the lost seats, those that the house kept."},
    )


class KeptShow(AnswerSchema):
    """A show to come that keeps the seats it has."""

    show = StrictInteger(1, required=True, attribute="show_id")
    movie_title = fields.String(required=True)
    date_time = Instant(required=True, attribute="starts_at")
    code = fields.String(required=True, validate=validate.OneOf(KEPT_BECAUSE))
    detail = fields.String(required=True)
    seats_taken = fields.Integer(
        required=True, metadata={"description": "How many are sold or held."}
    )
    taken_seat_numbers = _first_labels("first_taken")


class StillSold(AnswerSchema):
    """Seats out of order that a show to come has sold or holds."""

    show = StrictInteger(1, required=True, attribute="show_id")
    date_time = Instant(required=True, attribute="starts_at")
    seat_numbers = fields.List(fields.String(), required=True, attribute="labels")


class ChangedScreen(Screen):
    still_sold = fields.List(
        fields.Nested(StillSold),
        required=True,
        metadata={"description": "Seats out of order from now on that shows to come have sold."},
    )
    shows_changed = fields.List(
        fields.Nested(ChangedShow),
        required=True,
        metadata={"description": "With `apply_to_unsold_shows`: the shows that take the plan."},
    )
    shows_kept = fields.List(
        fields.Nested(KeptShow),
        required=True,
        metadata={"description": "With `apply_to_unsold_shows`: those that don't, and why."},
    )
