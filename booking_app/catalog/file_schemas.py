"""The shape of a catalogue file, and reading one."""

import json
import re
from datetime import datetime
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.catalog.cinema_schemas import CinemaBody, Currency
from booking_app.catalog.models import EXTERNAL_ID_MAX
from booking_app.catalog.schemas import MovieBody, NewShow
from booking_app.catalog.venue_schemas import ROWS_MAX, PlanRow, ScreenPatch
from booking_app.web.fields import Instant, Items, SeatLabel, StrictBoolean, Text

# An id of a `daily` show is followed by "/2030-01-31T20:00" for each of them.
DAILY_ID_MAX = EXTERNAL_ID_MAX - 17


class Unreadable(ValueError):
    """A file that is no catalogue; each of the messages says where and why."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class FileId(SeatLabel):
    """What the file, or the system that wrote it, calls an entry: text or a whole number."""

    def __init__(self) -> None:
        super().__init__(max_length=EXTERNAL_ID_MAX, data_key="id")


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

    Where it names a `cinema`, its `screen` or, in the short form, its `screen_name` is the name of
    a screen there. Its prices are in its `currency`, else in that of its cinema.
    """

    external_id = FileId()
    cinema = Text(max_length=100)
    screen = Text(max_length=100)
    date_time = LocalTime()
    daily = fields.List(Daily(), validate=validate.Length(min=1))
    currency = Currency(allow_none=False)

    @ma.validates_schema
    def one_way(self, data: dict[str, Any], **kwargs: Any) -> None:
        if ("date_time" in data) == ("daily" in data):
            raise ma.ValidationError("Give date_time or daily, and only one of them.", "date_time")
        if "screen" in data and "cinema" not in data:
            raise ma.ValidationError("Give the cinema that the screen is in.", "cinema")

    @ma.validates_schema
    def daily_shows(self, data: dict[str, Any], **kwargs: Any) -> None:
        daily = data.get("daily", [])
        if len(set(daily)) < len(daily):
            raise ma.ValidationError("Names a time twice.", "daily")
        if daily and len(data.get("external_id", "")) > DAILY_ID_MAX:
            message = f"Must have at most {DAILY_ID_MAX} characters where shows are daily."
            raise ma.ValidationError(message, "id")


class CatalogMovie(MovieBody):
    external_id = FileId()
    shows = fields.List(fields.Nested(CatalogShow))


class CatalogScreen(ScreenPatch):
    """A hall; without rows one for shows in the short form."""

    external_id = FileId()
    name = Text(max_length=100, required=True)
    rows = Items(fields.Nested(PlanRow), max_length=ROWS_MAX)


class CatalogCinema(CinemaBody):
    external_id = FileId()
    is_default = StrictBoolean()
    screens = fields.List(fields.Nested(CatalogScreen), load_default=list)


class Catalog(ma.Schema):
    """A catalogue file."""

    cinemas = fields.List(fields.Nested(CatalogCinema), load_default=list)
    movies = fields.List(fields.Nested(CatalogMovie), required=True)


def read(content: bytes) -> dict[str, Any]:
    """The catalogue that a file contains, as `Catalog` loads it; raises Unreadable."""
    try:
        values = json.loads(content, object_pairs_hook=_without_repeats)
        catalog: dict[str, Any] = Catalog().load(values)
    except ma.ValidationError as error:
        raise Unreadable(_flatten(error.messages_dict)) from error
    except (ValueError, RecursionError) as error:
        # of JSON, with line and column, of UTF-8, with the byte, or of brackets without end
        raise Unreadable([f"not readable JSON: {error}"]) from error
    return catalog


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises ValueError for one that says something twice."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has {twice!r} twice")
    return values


def _flatten(messages: Any, path: str = "") -> list[str]:
    """`{"movies": {3: {"title": ["Missing."]}}}` -> `movies[3].title: Missing.`"""
    if isinstance(messages, list):
        return [f"{path}: {' '.join(map(str, messages)).rstrip('.')}"]
    lines = []
    for key, value in messages.items():
        step = f"[{key}]" if isinstance(key, int) else f".{key}" if path else str(key)
        lines += _flatten(value, path if key == "_schema" else path + step)
    return lines
