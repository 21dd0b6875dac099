"""The shape of a cinema on the wire."""

import re
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.catalog.times import is_timezone
from booking_app.web.fields import AnswerSchema, StrictBoolean, StrictInteger, Text


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


class DayStart(fields.String):
    """When a business day starts, by the clocks of a cinema. After noon is surely a typo: it would
    give matinees to the day before."""

    default_error_messages = {
        "invalid": "Must be a time of day from 00:00 to 12:00, such as 06:00."
    }
    pattern = "(0[0-9]|1[01]):[0-5][0-9]|12:00"

    def __init__(self) -> None:
        super().__init__(
            metadata={
                "pattern": f"^({self.pattern})$",
                "example": "06:00",
                "description": "When its business day starts, 00:00 (as of a new cinema) to 12:00: "
                "a show before that belongs to the day before.",
            }
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value):
            raise self.make_error("invalid")
        return value


class Currency(fields.String):
    """An ISO 4217 code."""

    def __init__(self, *, allow_none: bool = True) -> None:
        super().__init__(
            allow_none=allow_none,
            validate=validate.Regexp(
                r"\A[A-Z]{3}\Z", error="Must be an ISO 4217 code such as EUR."
            ),
            metadata={"description": "ISO 4217, such as CHF; null: that of the installation."},
        )


class CinemaPatch(ma.Schema):
    name = Text(max_length=100)
    city = Text(max_length=100, allow_none=True)
    timezone = Timezone()
    day_starts_at = DayStart()
    currency = Currency()


class CinemaBody(CinemaPatch):
    name = Text(max_length=100, required=True)
    timezone = Timezone(required=True)


class Cinema(AnswerSchema):
    id = StrictInteger(1, required=True)
    name = fields.String(required=True)
    city = fields.String(required=True, allow_none=True)
    timezone = fields.String(required=True)
    day_starts_at = fields.String(required=True)
    currency = fields.String(required=True, allow_none=True)
    is_default = StrictBoolean(required=True)
