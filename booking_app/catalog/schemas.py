"""The shapes of films and shows on the wire."""

import re
from typing import Any, ClassVar
from urllib.parse import urlsplit

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.catalog.models import (
    CATEGORY_MAX,
    DURATION_MAX_MINUTES,
    EXTERNAL_ID_MAX,
    FORMAT_MAX,
    LANGUAGE_MAX,
    NOTE_MAX,
    PAUSE_MAX_MINUTES,
    SEATS_MAX,
    TITLE_MAX,
    URL_MAX,
)
from booking_app.core.database import fold
from booking_app.web.fields import (
    AnswerSchema,
    Coded,
    Day,
    Instant,
    Items,
    LocalInstant,
    Money,
    StrictBoolean,
    StrictInteger,
    Text,
    optional_text,
    together,
)
from booking_app.web.paging import PageQuery

GENRES_MAX = 10
CATEGORIES_MAX = 50
IGNORED = "case, accents, spaces and signs don't count."


class Genre(Text):
    """One genre. The bar is what separates them in the database."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"pattern": r"^[^|\x00-\x1f\x7f-\x9f]*$"} | kwargs.pop("metadata", {})
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: object, attr: object, data: object, **kwargs: object) -> str:
        genre = super()._deserialize(value, attr, data, **kwargs)
        if "|" in fold(genre):
            raise ma.ValidationError("Must not contain |.")
        return genre


class Title(Text):
    """A text of one direction. Marks that turn the direction are dropped: they can't be seen, and
    two titles that look the same would be two."""

    turns = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        if isinstance(value, str):
            value = self.turns.sub("", value)
        return super()._deserialize(value, attr, data, **kwargs)


class WebAddress(Text):
    """An address that begins with https://."""

    default_error_messages = {
        "not_https": "Must be an address such as https://example.com/poster.jpg."
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=URL_MAX, metadata={"format": "uri", "pattern": "^https://"}, **kwargs
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        address = super()._deserialize(value, attr, data, **kwargs)
        try:
            parts = urlsplit(address)
            is_https = parts.scheme == "https" and parts.hostname and parts.port != 0
        except ValueError:  # of the port, or of an IPv6 address
            is_https = False
        if not is_https or re.search(r"[\s<>\"\\^`{|}]", address):
            raise self.make_error("not_https")
        return address


class MovieBody(ma.Schema):
    title = Title(max_length=TITLE_MAX, required=True)
    duration_minutes = StrictInteger(1, DURATION_MAX_MINUTES, required=True)
    year = StrictInteger(1870, 2200, allow_none=True)
    language = optional_text(50)
    genres = Items(Genre(max_length=50), max_length=GENRES_MAX)
    age_rating = optional_text(20)
    director = Title(max_length=200, allow_none=True)
    description = optional_text(2000, multiline=True)
    original_title = Title(max_length=TITLE_MAX, allow_none=True)
    sort_title = Title(
        max_length=TITLE_MAX,
        allow_none=True,
        metadata={"description": "What it is sorted by, such as `Third Man`; null: the title."},
    )
    release_date = Day(allow_none=True)
    poster_url = WebAddress(allow_none=True)
    trailer_url = WebAddress(allow_none=True)
    external_id = Text(
        max_length=EXTERNAL_ID_MAX,
        allow_none=True,
        metadata={"description": "How another system names it; no two films have the same."},
    )
    on_sale = StrictBoolean(metadata={"description": "false: withdrawn from sale, and from lists."})


class MoviePatch(MovieBody):
    title = Title(max_length=TITLE_MAX)
    duration_minutes = StrictInteger(1, DURATION_MAX_MINUTES)


class MovieQuery(PageQuery):
    search = Text(
        max_length=200,
        metadata={"description": "A part of a title or the director; " + IGNORED},
    )
    director = Text(max_length=200, metadata={"description": "A part of the name; " + IGNORED})
    genre = Genre(max_length=50, metadata={"description": "A whole genre, in any case."})
    language = Text(max_length=50, metadata={"description": "In any case."})
    now_showing = StrictBoolean(
        query=True, metadata={"description": "Whether a show to come is on sale."}
    )
    cinema = StrictInteger(
        1, query=True, metadata={"description": "Where it has shows to come; or none."}
    )
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
    original_title = fields.String(required=True, allow_none=True)
    sort_title = fields.String(required=True, allow_none=True)
    release_date = Day(required=True, allow_none=True)
    poster_url = fields.String(required=True, allow_none=True)
    trailer_url = fields.String(required=True, allow_none=True)
    external_id = fields.String(required=True, allow_none=True)


class Prices(fields.Dict):
    """Prices by category, as `Money`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            keys=Text(max_length=CATEGORY_MAX),
            values=Money(),
            validate=validate.Length(max=CATEGORIES_MAX),
            **kwargs,
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        try:
            prices: dict[str, Any] = super()._deserialize(value, attr, data, **kwargs)  # type: ignore
        except ma.ValidationError as error:
            if isinstance(error.messages, list):  # about the whole
                raise
            # marshmallow parts what is wrong with a name from what is wrong with its value
            by_name = {
                name: [message for part in parts.values() for message in part]
                for name, parts in error.messages.items()
            }
            raise ma.ValidationError(by_name) from error
        if len(prices) < len(value):  # "vip" and "vip "
            raise ma.ValidationError("Names a category twice, but for spaces.")
        return prices


class SharedTerms(ma.Schema):
    """What many shows can be given at once."""

    price = Money(metadata={"description": "The base price; a new show without is free."})
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
    note = optional_text(NOTE_MAX, description="For customers.")


class _ShowTerms(SharedTerms):
    """What does not depend on where a show is."""

    format = optional_text(FORMAT_MAX, description="Such as 2D, 3D or IMAX.")
    language = optional_text(LANGUAGE_MAX, description="In which the film is spoken.")
    subtitles = optional_text(LANGUAGE_MAX, description="Their language.")
    preshow_minutes = StrictInteger(
        0, PAUSE_MAX_MINUTES, metadata={"description": "Before the film; `ends_at` counts them."}
    )
    intermission_minutes = StrictInteger(
        0, PAUSE_MAX_MINUTES, metadata={"description": "Within the film; `ends_at` counts them."}
    )
    sales_from = Instant(
        allow_none=True, metadata={"description": "Customers buy from then on; null: at once."}
    )
    sales_until = Instant(
        allow_none=True,
        metadata={"description": "Customers buy until then; null: until the show begins."},
    )


class ShowPatch(_ShowTerms):
    rules: ClassVar = together(not_both=(("screen", "screen_name"),))

    screen = StrictInteger(
        1,
        metadata={"description": "The id of another screen, whose seat plan the show then has."},
    )
    screen_name = Text(
        max_length=100, metadata={"description": "Another screen of the same cinema, by name."}
    )
    date_time = Instant(metadata={"description": "Must lie ahead."})
    total_seats = StrictInteger(
        1,
        SEATS_MAX,
        metadata={"description": "Only of a show in the short form; the last seats go first."},
    )

    @ma.validates_schema
    def one_screen(self, data: dict[str, Any], **kwargs: Any) -> None:
        if "screen" in data and "screen_name" in data:
            raise ma.ValidationError("Give screen or screen_name, not both.", "screen_name")


class NewShow(_ShowTerms):
    """On a `screen` with a seat plan, or in the short form."""

    rules: ClassVar = together(
        one_of=("screen", "screen_name"), not_both=(("screen", "total_seats"),)
    ) | {"dependentRequired": {"screen_name": ["total_seats"], "total_seats": ["screen_name"]}}

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
            message = Coded("Leave it out where screen is given: the seats are those of its plan.")
        else:
            wrong = short_form - set(data)
            message = Coded("Give screen, or screen_name and total_seats.", "required")
        if wrong:
            raise ma.ValidationError({name: [message] for name in wrong})


class ShowBody(NewShow):
    screen = StrictInteger(
        1, metadata={"description": "The id of a screen; the show copies its seat plan."}
    )
    date_time = Instant(required=True, metadata={"description": "Must lie ahead."})


class MovieShowsQuery(PageQuery):
    date = Day(metadata={"description": "The business day of the cinema."})
    since = Day(data_key="from", metadata={"description": "The first business day."})
    until = Day(
        data_key="to", metadata={"description": "The last business day; not before `from`."}
    )
    screen = StrictInteger(1, query=True)
    format = Text(max_length=FORMAT_MAX, metadata={"description": "Such as 3D, in any case."})
    language = Text(max_length=LANGUAGE_MAX, metadata={"description": "In any case."})
    subtitles = Text(max_length=LANGUAGE_MAX, metadata={"description": "In any case."})
    when = fields.String(
        load_default="upcoming", validate=validate.OneOf(["upcoming", "past", "all"])
    )
    on_sale = StrictBoolean(
        query=True, load_default=True, metadata={"description": "false lists the withdrawn ones."}
    )


class ShowQuery(MovieShowsQuery):
    movie = StrictInteger(1, query=True)
    cinema = StrictInteger(1, query=True)
    search = Text(
        max_length=200,
        metadata={"description": "A part of a film's title or its director; " + IGNORED},
    )


class Show(AnswerSchema):
    id = StrictInteger(1, required=True)
    movie = StrictInteger(1, required=True, attribute="movie_id")
    movie_title = fields.String(required=True)
    cinema = StrictInteger(1, required=True, attribute="cinema_id")
    cinema_name = fields.String(required=True)
    timezone = fields.String(
        required=True,
        metadata={"description": "The cinema's, by its IANA name.", "example": "Europe/Berlin"},
    )
    screen = StrictInteger(1, required=True, attribute="screen_id")
    screen_name = fields.String(required=True)
    date_time = Instant(required=True, attribute="starts_at")
    local_date_time = LocalInstant(
        of="starts_at",
        required=True,
        metadata={
            "description": "The same by the clocks of the cinema, with their offset.",
            "example": "2030-01-31T20:00:00+01:00",
        },
    )
    ends_at = Instant(required=True)
    total_seats = fields.Integer(required=True)
    available_seats = fields.Integer(required=True)
    price = Money(required=True, attribute="price_cents")
    prices = Prices(required=True)
    currency = fields.String(required=True, metadata={"example": "EUR"})
    no_single_gaps = StrictBoolean(required=True)
    max_seats_per_account = fields.Integer(required=True, allow_none=True)
    on_sale = StrictBoolean(required=True)
    format = fields.String(required=True, allow_none=True)
    language = fields.String(required=True, allow_none=True)
    subtitles = fields.String(required=True, allow_none=True)
    note = fields.String(required=True, allow_none=True)
    preshow_minutes = fields.Integer(required=True)
    intermission_minutes = fields.Integer(required=True)
    sales_from = Instant(required=True, allow_none=True)
    sales_until = Instant(required=True, allow_none=True)
