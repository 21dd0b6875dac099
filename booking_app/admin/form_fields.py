"""The fields of forms. A field turns what is typed into the value that it has on the wire; what is
allowed stands in the schema that reads it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import marshmallow as ma
from wtforms import (
    BooleanField,
    DateField,
    PasswordField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)

from booking_app.admin import amounts, plan_text
from booking_app.admin.plan_tokens import PlanTextError
from booking_app.catalog import file_schemas
from booking_app.catalog.seat_plans import PlanRow
from booking_app.catalog.times import NoSuchTime, instant
from booking_app.core.errors import Path
from booking_app.core.formats import iso
from booking_app.web.fields import Day

LOCAL, LOCAL_TIME = "%Y-%m-%dT%H:%M", file_schemas.LocalTime()


class Unreadable(ValueError):
    """The typed text can't be turned into a value of the wire."""


class Line(StringField):
    """One line of text. Nothing typed is null where that is allowed, else left out."""

    def wire(self) -> Any:
        """The value on the wire, None where nothing is typed; raises Unreadable."""
        return (self.data or "").strip() or None


class Block(TextAreaField):
    """Some lines of text."""

    def wire(self) -> Any:
        return (self.data or "").replace("\r\n", "\n").strip() or None

    def lines(self) -> list[str]:
        """The lines in which something stands."""
        text = (self.data or "").replace("\r\n", "\n")
        return [line.strip() for line in text.split("\n") if line.strip()]


class Number(Line):
    """A whole number."""

    def process_data(self, value: int | None) -> None:
        self.data = None if value is None else str(value)

    def wire(self) -> Any:
        text = super().wire()
        return int(text) if text and re.fullmatch("-?[0-9]{1,18}", text) else text


class OptionalAmount(Line):
    """An amount of money, with a point or a comma."""

    def wire(self) -> Any:
        text = super().wire()
        return text and amounts.typed(text)


class Amount(OptionalAmount):
    """An amount that must be given: 0 is free of charge."""

    def wire(self) -> Any:
        if not (text := super().wire()):
            raise Unreadable("Give an amount, such as 9.50; what is free costs 0.")
        return text


class Words(Line):
    """Several words, between commas."""

    def process_data(self, value: Sequence[str] | None) -> None:
        self.data = ", ".join(value or ())

    def wire(self) -> list[str]:
        return [word.strip() for word in (self.data or "").split(",") if word.strip()]


class Note(Block):
    """A text of one line, in a box where Enter does not send the form."""

    def wire(self) -> str | None:
        return " ".join(self.lines()) or None


class WordLines(Block):
    """Several words, one in a line."""

    def process_data(self, value: Sequence[str] | None) -> None:
        self.data = "\n".join(value or ())

    def wire(self) -> list[str]:
        return self.lines()


class PriceLines(Block):
    """Prices by category, one in a line."""

    def process_data(self, value: Mapping[str, str] | None) -> None:
        self.data = "\n".join(f"{category}: {price}" for category, price in (value or {}).items())

    def wire(self) -> Any:
        prices: dict[str, str] = {}
        for line in self.lines():
            category, colon, price = map(str.strip, line.rpartition(":"))
            if not colon:
                raise Unreadable(f"Give a category and its price, such as vip: 12.50, not {line}.")
            if category in prices:
                raise Unreadable(f"There are two prices of {category}.")
            prices[category] = amounts.typed(price)
        return prices


class Plan(Block):
    """A seat plan as text (`plan_text`)."""

    examples = plan_text.EXAMPLES

    def process_data(self, value: Sequence[PlanRow] | None) -> None:
        self.data = plan_text.write_plan(value or ())

    def wire(self) -> Any:
        try:
            return plan_text.read_plan(self.data or "") or None
        except PlanTextError as error:
            raise Unreadable(str(error)) from error

    def quoting(self, errors: Iterable[tuple[Path, str]]) -> Iterator[str]:
        """The messages of errors after their paths, with the lines that they are about."""
        return plan_text.quote_errors(self.data or "", errors)


class Password(PasswordField):
    """A password, exactly as it is typed."""

    def wire(self) -> Any:
        return self.data or None


class Check(BooleanField):
    """Yes or no."""

    def wire(self) -> Any:
        return bool(self.data)


class Choice(SelectField):
    """One of the rows of a table, by its id."""

    def __init__(self, *args: Any, none: str = "Choose", **kwargs: Any) -> None:
        super().__init__(*args, choices=[], validate_choice=False, **kwargs)
        self.none = none

    def offer(self, choices: Iterable[tuple[Any, str]]) -> None:
        """Offer these, by `(id, text)`."""
        offered = (SelectChoice(str(key), text) for key, text in choices)
        self.choices = [SelectChoice("", self.none), *offered]

    def wire(self) -> Any:
        return int(self.data) if re.fullmatch("[0-9]{1,18}", self.data or "") else self.data or None


class Fixed(SelectField):
    """One of a few values."""

    def wire(self) -> Any:
        return self.data or None


class Date(DateField):
    """A day, typed in no other way than on the wire."""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        self.data = None
        with suppress(ma.ValidationError):
            self.data = Day().deserialize(valuelist[0]) if valuelist else None

    def wire(self) -> Any:
        typed = self.raw_data[0] if self.raw_data else ""
        return typed or (self.data.isoformat() if self.data else None)


class LocalTime(StringField):
    """A day and time by the clocks of a cinema, or with an offset."""

    def wire(self, timezone: str) -> Any:
        """The instant on the wire; raises Unreadable where that time is none."""
        if not self.data:
            return None
        try:
            local: Any = LOCAL_TIME.deserialize(self.data)
            return iso(instant(local, timezone))
        except ma.ValidationError as error:
            raise Unreadable(*error.messages) from error
        except NoSuchTime as error:
            raise Unreadable(str(error)) from error
