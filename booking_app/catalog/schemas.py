"""The shapes of films, shows, cinemas and screens on the wire."""

import unicodedata
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.catalog.models import (
    BLOCK_MAX,
    CATEGORY_MAX,
    DURATION_MAX_MINUTES,
    KINDS,
    LABEL_MAX,
    NUMBER_MAX,
    ROW_LABEL_MAX,
    SEATS_MAX,
    STANDARD,
)
from booking_app.catalog.times import is_timezone
from booking_app.core.database import fold
from booking_app.web.fields import (
    AnswerSchema,
    ByType,
    Day,
    Instant,
    Items,
    Money,
    SeatLabel,
    SeatLabels,
    StrictBoolean,
    StrictInteger,
    Text,
)
from booking_app.web.paging import PageQuery

GENRES_MAX = 10
CATEGORIES_MAX = 50
ROWS_MAX = 200
OFFSET_MAX = 200
FORBIDDEN_IN_NAMES = ', ; | _ = "'


class Genre(Text):
    """One genre. The bar is what separates them in the database."""

    def _deserialize(self, value: object, attr: object, data: object, **kwargs: object) -> str:
        genre = super()._deserialize(value, attr, data, **kwargs)
        if "|" in fold(genre):
            raise ma.ValidationError("Must not contain |.")
        return genre


def optional_text(max_length: int, multiline: bool = False) -> Text:
    return Text(max_length=max_length, multiline=multiline, allow_none=True)


class MovieBody(ma.Schema):
    title = Text(max_length=200, required=True)
    duration_minutes = StrictInteger(1, DURATION_MAX_MINUTES, required=True)
    year = StrictInteger(1870, 2200, allow_none=True)
    language = optional_text(50)
    genres = Items(Genre(max_length=50), max_length=GENRES_MAX)
    age_rating = optional_text(20)
    director = optional_text(200)
    description = optional_text(2000, multiline=True)
    on_sale = StrictBoolean(metadata={"description": "false: withdrawn from sale, and from lists."})


class MoviePatch(MovieBody):
    title = Text(max_length=200)
    duration_minutes = StrictInteger(1, DURATION_MAX_MINUTES)


class MovieQuery(PageQuery):
    search = Text(max_length=200, metadata={"description": "A part of the title, in any case."})
    genre = Genre(max_length=50, metadata={"description": "A whole genre, in any case."})
    language = Text(max_length=50, metadata={"description": "In any case."})
    on_sale = StrictBoolean(
        query=True, load_default=True, metadata={"description": "false lists the withdrawn ones."}
    )


class Movie(AnswerSchema):
    id = StrictInteger(1, required=True)
    title = fields.String(required=True)
    duration_minutes = fields.Integer(required=True)
    year = fields.Integer(required=True, allow_none=True)
    language = fields.String(required=True, allow_none=True)
    genres = fields.List(fields.String(), required=True)
    age_rating = fields.String(required=True, allow_none=True)
    director = fields.String(required=True, allow_none=True)
    description = fields.String(required=True, allow_none=True)
    on_sale = StrictBoolean(required=True)


class Prices(fields.Dict):
    """Prices by category: "9.50" on the wire, 950 inside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            keys=Text(max_length=CATEGORY_MAX),
            values=Money(),
            validate=validate.Length(max=CATEGORIES_MAX),
            **kwargs,
        )


class _ShowTerms(ma.Schema):
    """What does not depend on where a show is."""

    price_cents = Money(
        data_key="price", metadata={"description": "The base price; a new show without is free."}
    )
    prices = Prices(metadata={"description": "Of the categories that cost otherwise; all of them."})
    no_single_gaps = StrictBoolean(
        metadata={"description": "Whether no single seat may be left alone."}
    )
    max_seats_per_account = StrictInteger(
        1,
        SEATS_MAX,
        allow_none=True,
        metadata={"description": "The most seats that a customer may have; null: no limit."},
    )
    on_sale = StrictBoolean(metadata={"description": "false: withdrawn from sale, and from lists."})


class ShowPatch(_ShowTerms):
    screen_name = Text(max_length=100, metadata={"description": "A screen of the same cinema."})
    date_time = Instant(metadata={"description": "Must lie ahead."})
    total_seats = StrictInteger(
        1,
        SEATS_MAX,
        metadata={"description": "Only of a show in the short form; the last seats go first."},
    )


class NewShow(_ShowTerms):
    """On a `screen` with a seat plan, or in the short form."""

    screen_name = Text(
        max_length=100,
        metadata={"description": "Short form: found by name in the default cinema, or made."},
    )
    total_seats = StrictInteger(
        1, SEATS_MAX, metadata={"description": 'Short form: makes seats "1" to "N".'}
    )

    @ma.validates_schema
    def plan_or_short_form(self, data: dict[str, Any], **kwargs: Any) -> None:
        short_form = {"screen_name", "total_seats"}
        if "screen" in data:
            wrong = short_form & set(data)
            message = "Leave it out where screen is given: the seats are those of its plan."
        else:
            wrong = short_form - set(data)
            message = "Give screen, or screen_name and total_seats."
        if wrong:
            raise ma.ValidationError({name: [message] for name in wrong})


class ShowBody(NewShow):
    screen = StrictInteger(
        1, metadata={"description": "The id of a screen; the show copies its seat plan."}
    )
    date_time = Instant(required=True, metadata={"description": "Must lie ahead."})


class MovieShowsQuery(PageQuery):
    date = Day(metadata={"description": "The day in the cinema's time zone."})
    when = fields.String(
        load_default="upcoming", validate=validate.OneOf(["upcoming", "past", "all"])
    )
    on_sale = StrictBoolean(
        query=True, load_default=True, metadata={"description": "false lists the withdrawn ones."}
    )


class ShowQuery(MovieShowsQuery):
    movie = StrictInteger(1, query=True)
    cinema = StrictInteger(1, query=True)


class Show(AnswerSchema):
    id = StrictInteger(1, required=True)
    movie = StrictInteger(1, required=True, attribute="movie_id")
    movie_title = fields.String(required=True)
    cinema = StrictInteger(1, required=True, attribute="cinema_id")
    screen = StrictInteger(1, required=True, attribute="screen_id")
    screen_name = fields.String(required=True)
    date_time = Instant(required=True, attribute="starts_at")
    ends_at = Instant(required=True)
    total_seats = fields.Integer(required=True)
    available_seats = fields.Integer(required=True)
    price = Money(required=True, attribute="price_cents")
    prices = Prices(required=True)
    no_single_gaps = StrictBoolean(required=True)
    max_seats_per_account = fields.Integer(required=True, allow_none=True)
    on_sale = StrictBoolean(required=True)


class Timezone(Text):
    """An IANA time zone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=64, metadata={"description": "IANA, as Europe/Vienna"}, **kwargs
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        name = super()._deserialize(value, attr, data, **kwargs)
        if not is_timezone(name):
            raise ma.ValidationError("Must be an IANA time zone such as Europe/Berlin.")
        return name


class CinemaPatch(ma.Schema):
    name = Text(max_length=100)
    city = optional_text(100)
    timezone = Timezone()


class CinemaBody(CinemaPatch):
    name = Text(max_length=100, required=True)
    timezone = Timezone(required=True)


class Cinema(AnswerSchema):
    id = StrictInteger(1, required=True)
    name = fields.String(required=True)
    city = fields.String(required=True, allow_none=True)
    timezone = fields.String(required=True)
    is_default = StrictBoolean(required=True)


class PlanName(Text):
    """The name of a row or a block. It stands in the names of seats and in plans typed as text, so
    it has none of the signs that part things there."""

    default_error_messages = {
        "signs": f"Must not contain any of {FORBIDDEN_IN_NAMES}.",
        "spaces": "Must not contain other spaces than single ones.",
        "dash": "Must not end in -.",
    }

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        name = super()._deserialize(value, attr, data, **kwargs)
        name = unicodedata.normalize("NFC", name)
        if any(sign in name for sign in FORBIDDEN_IN_NAMES.split()):
            raise self.make_error("signs")
        if "  " in name or any(c.isspace() and c != " " for c in name):
            raise self.make_error("spaces")
        if name.endswith("-"):
            raise self.make_error("dash")
        if len(name) > self.max_length:
            raise self.make_error("long", max=self.max_length)
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

    default_error_messages = {"signs": "Must be letters and digits only."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=NUMBER_MAX, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        number = super()._deserialize(value, attr, data, **kwargs)
        number = unicodedata.normalize("NFC", number)
        if not all(c.isalpha() or c.isdecimal() for c in number):
            raise self.make_error("signs")
        if len(number) > self.max_length:
            raise self.make_error("long", max=self.max_length)
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
