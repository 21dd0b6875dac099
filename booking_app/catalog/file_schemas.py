"""The shape of a catalogue file."""

import re
from datetime import datetime
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.catalog.cinema_schemas import CinemaBody
from booking_app.catalog.schemas import MovieBody, NewShow
from booking_app.catalog.venue_schemas import plan_field
from booking_app.web.fields import Instant, Text


class Daily(fields.String):
    """A time of day, "20:30", in the cinema's time zone."""

    def __init__(self) -> None:
        super().__init__(
            validate=validate.Regexp(
                r"\A([01][0-9]|2[0-3]):[0-5][0-9]\Z",
                error="Must be a time of day such as 14:00.",
            )
        )


class LocalTime(Instant):
    """A day and time by the clocks of a cinema, without an offset inside too; or an instant."""

    default_error_messages = {
        "invalid": "Must be a day and a time, such as 2030-01-31T20:00, or with an offset, such as "
        "2030-01-31T20:00:00Z."
    }

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:
        local = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?"
        if not isinstance(value, str) or not re.fullmatch(local, value):
            return super()._deserialize(value, attr, data, **kwargs)
        try:
            return datetime.fromisoformat(value)
        except ValueError as error:
            raise self.make_error("invalid") from error


class CatalogShow(NewShow):
    """A show in a catalogue file: at one `date_time`, or `daily` at these times of day.

    A `date_time` without an offset is by the clocks of the show's cinema.

    Where it names a `cinema`, its `screen` is the name of a screen there.
    """

    cinema = Text(max_length=100)
    screen = Text(max_length=100)
    date_time = LocalTime()
    daily = fields.List(Daily(), validate=validate.Length(min=1))

    @ma.validates_schema
    def one_way(self, data: dict[str, Any], **kwargs: Any) -> None:
        if ("date_time" in data) == ("daily" in data):
            raise ma.ValidationError("Give date_time or daily, and only one of them.", "date_time")
        if ("cinema" in data) != ("screen" in data):
            raise ma.ValidationError("Give cinema and screen, or neither.", "cinema")


class CatalogMovie(MovieBody):
    shows = fields.List(fields.Nested(CatalogShow))


class CatalogScreen(ma.Schema):
    name = Text(max_length=100, required=True)
    rows = plan_field(required=True)


class CatalogCinema(CinemaBody):
    screens = fields.List(fields.Nested(CatalogScreen), load_default=list)


class Catalog(ma.Schema):
    """A catalogue file."""

    cinemas = fields.List(fields.Nested(CatalogCinema), load_default=list)
    movies = fields.List(fields.Nested(CatalogMovie), required=True)
