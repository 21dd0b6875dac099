"""The shapes of films and shows on the wire."""

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.catalog.models import DURATION_MAX_MINUTES, SEATS_MAX
from booking_app.fields import Answer, Day, Flag, Instant, Money, Text, Whole
from booking_app.paging import PageQuery

GENRES_MAX = 10


class Genre(Text):
    """One genre. The bar is what separates them in the database."""

    def _deserialize(self, value: object, attr: object, data: object, **kwargs: object) -> str:
        genre = super()._deserialize(value, attr, data, **kwargs)
        if "|" in genre:
            raise ma.ValidationError("Must not contain |.")
        return genre


def _optional_text(max_length: int, multiline: bool = False) -> Text:
    return Text(max_length=max_length, multiline=multiline, allow_none=True)


class MovieBody(ma.Schema):
    title = Text(max_length=200, required=True)
    duration_minutes = Whole(1, DURATION_MAX_MINUTES, required=True)
    year = Whole(1870, 2200, allow_none=True)
    language = _optional_text(50)
    genres = fields.List(Genre(max_length=50), validate=validate.Length(max=GENRES_MAX))
    age_rating = _optional_text(20)
    director = _optional_text(200)
    description = _optional_text(2000, multiline=True)
    on_sale = Flag(metadata={"description": "false: withdrawn from sale, and from lists."})


class MoviePatch(MovieBody):
    title = Text(max_length=200)
    duration_minutes = Whole(1, DURATION_MAX_MINUTES)


class MovieQuery(PageQuery):
    search = Text(max_length=200, metadata={"description": "A part of the title, in any case."})
    genre = Text(max_length=50)
    language = Text(max_length=50)
    on_sale = Flag(
        query=True, load_default=True, metadata={"description": "false lists the withdrawn ones."}
    )


class Movie(Answer):
    id = Whole(1, required=True)
    title = fields.String(required=True)
    duration_minutes = fields.Integer(required=True)
    year = fields.Integer(required=True, allow_none=True)
    language = fields.String(required=True, allow_none=True)
    genres = fields.List(fields.String(), required=True)
    age_rating = fields.String(required=True, allow_none=True)
    director = fields.String(required=True, allow_none=True)
    description = fields.String(required=True, allow_none=True)
    on_sale = Flag(required=True)


class ShowPatch(ma.Schema):
    screen_name = Text(max_length=100, metadata={"description": "A screen of the same cinema."})
    date_time = Instant()
    total_seats = Whole(1, SEATS_MAX)
    price_cents = Money(data_key="price")
    on_sale = Flag(metadata={"description": "false: withdrawn from sale, and from lists."})


class ShowBody(ShowPatch):
    screen_name = Text(
        max_length=100,
        required=True,
        metadata={"description": "Found by this name in the default cinema, or made there."},
    )
    date_time = Instant(required=True, metadata={"description": "Must lie ahead."})
    total_seats = Whole(
        1, SEATS_MAX, required=True, metadata={"description": 'Makes seats "1" to "N".'}
    )


class MovieShowsQuery(PageQuery):
    date = Day(metadata={"description": "The day in the cinema's time zone."})
    when = fields.String(
        load_default="upcoming", validate=validate.OneOf(["upcoming", "past", "all"])
    )
    on_sale = Flag(
        query=True, load_default=True, metadata={"description": "false lists the withdrawn ones."}
    )


class ShowQuery(MovieShowsQuery):
    movie = Whole(1, query=True)
    cinema = Whole(1, query=True)


class Show(Answer):
    id = Whole(1, required=True)
    movie = Whole(1, required=True, attribute="movie_id")
    movie_title = fields.String(required=True)
    cinema = Whole(1, required=True, attribute="cinema_id")
    screen = Whole(1, required=True, attribute="screen_id")
    screen_name = fields.String(required=True)
    date_time = Instant(required=True, attribute="starts_at")
    ends_at = Instant(required=True)
    total_seats = fields.Integer(required=True)
    available_seats = fields.Integer(required=True)
    price = Money(required=True, attribute="price_cents")
    on_sale = Flag(required=True)


class Daily(fields.String):
    """A time of day, "20:30", in the cinema's time zone."""

    def __init__(self) -> None:
        super().__init__(validate=validate.Regexp(r"\A([01][0-9]|2[0-3]):[0-5][0-9]\Z"))


class CatalogShow(ShowBody):
    """A show in a catalogue file: at one `date_time`, or `daily` at these times of day."""

    date_time = Instant()
    daily = fields.List(Daily(), validate=validate.Length(min=1))

    @ma.validates_schema
    def one_way(self, data: dict[str, object], **kwargs: object) -> None:
        if ("date_time" in data) == ("daily" in data):
            raise ma.ValidationError("Give date_time or daily, and only one of them.", "date_time")


class CatalogMovie(MovieBody):
    shows = fields.List(fields.Nested(CatalogShow))


class Catalog(ma.Schema):
    """A catalogue file."""

    movies = fields.List(fields.Nested(CatalogMovie), required=True)
