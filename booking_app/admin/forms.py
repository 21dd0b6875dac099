"""Forms. A field turns what is typed into the value that it has on the wire, and the schema of the
API reads that: what is allowed, and the words in which it is refused, stand there alone."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any

import marshmallow as ma
from wtforms import (
    BooleanField,
    DateField,
    Form,
    PasswordField,
    SelectChoice,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.widgets import CheckboxInput, ListWidget

from booking_app.admin import plan_text
from booking_app.admin.plan_tokens import PlanTextError
from booking_app.catalog.models import HOUSE, OUT_OF_ORDER
from booking_app.catalog.seat_plans import PlanRow
from booking_app.catalog.times import instant
from booking_app.core.formats import decimal_string, iso
from booking_app.reports.schemas import GROUPS
from booking_app.web.fields import Day
from booking_app.web.problems import ERRORS_SHOWN

LOCAL = "%Y-%m-%dT%H:%M"
REPORTS_BY = {by: "film" if by == "movie" else by for by in GROUPS}
Path = tuple[str | int, ...]  # to what a message is about
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Unreadable(ValueError):
    """What is typed can't be turned into a value of the wire."""


class Refused(Exception):
    """Something of the form is not allowed, and its fields say what."""


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


class Amount(Line):
    """An amount of money, in whole cents inside. It must be given: what is free is 0."""

    def wire(self) -> Any:
        if not (text := super().wire()):
            raise Unreadable("Give an amount, such as 9.50; what is free costs 0.")
        return text

    def process_data(self, value: int | None) -> None:
        self.data = None if value is None else decimal_string(value)


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

    def process_data(self, value: Mapping[str, int] | None) -> None:
        prices = (value or {}).items()
        self.data = "\n".join(f"{category}: {decimal_string(cents)}" for category, cents in prices)

    def wire(self) -> Any:
        prices: dict[str, str] = {}
        for line in self.lines():
            category, colon, price = map(str.strip, line.rpartition(":"))
            if not colon:
                raise Unreadable(f"Give a category and its price, such as vip: 12.50, not {line}.")
            if category in prices:
                raise Unreadable(f"There are two prices of {category}.")
            prices[category] = price
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
    """What is typed, as it is."""

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
    """A day and time by the clocks of a cinema."""

    def wire(self, timezone: str) -> Any:
        """The instant on the wire; raises Unreadable where that time is none."""
        if not self.data:
            return None
        try:
            if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}", self.data):
                raise ValueError
            local = datetime.fromisoformat(self.data)
        except ValueError as error:
            message = "Must be a day and a time, such as 2030-01-31T20:00."
            raise Unreadable(message) from error
        try:
            return iso(instant(local.date(), local.time(), timezone))
        except ValueError as error:
            raise Unreadable(str(error)) from error
        except OverflowError as error:
            raise Unreadable("Is too far away.") from error


# --- the forms ------------------------------------------------------------------------------


class LoginForm(Form):
    username = Line("User name", render_kw={"autocomplete": "username", "required": True})
    password = Password(
        "Password", render_kw={"autocomplete": "current-password", "required": True}
    )


class MovieForm(Form):
    title = Line("Title", render_kw={"required": True})
    duration_minutes = Number(
        "Minutes", description="Its running time.", render_kw={"inputmode": "numeric"}
    )
    year = Number("Year", render_kw={"inputmode": "numeric"})
    language = Line("Language")
    genres = WordLines("Genres", description="One in a line.", render_kw={"rows": 3})
    age_rating = Line("Age rating")
    director = Line("Director")
    description = Block("Description")
    on_sale = Check(
        "On sale", default=True, description="If not, it is in no list, and nobody can book it."
    )


class CinemaForm(Form):
    name = Line("Name", render_kw={"required": True})
    city = Line("City")
    timezone = Line(
        "Time zone", description="IANA, such as Europe/Vienna.", render_kw={"required": True}
    )


class ScreenForm(Form):
    name = Line("Name", render_kw={"required": True})
    rows = Plan(
        "Seat plan",
        description="A line for each row, from the front: its label and its seats, such as A 12, "
        "B 1..4 | 5..12 or C 12..1 vip=8..5. Existing shows keep the plan they were made with.",
        render_kw={"rows": 14, "spellcheck": "false"},
    )
    out_of_order = Words(
        "Out of order",
        description="Seats of the plan that no show sells, between commas: A5, A6. They are "
        "blocked in shows to come too.",
    )


class NewScreenForm(ScreenForm):
    cinema = Choice("Cinema")


class _Place(Form):
    movie = Choice("Film")
    screen = Choice("Screen", description="With a seat plan, which a show copies.")


class _Time(Form):
    date_time = LocalTime(
        "Time",
        description="By the clocks of the cinema.",
        render_kw={"type": "datetime-local", "required": True},
    )


class _Days(Form):
    first_day = Date("First day", render_kw={"required": True})
    last_day = Date("Last day", render_kw={"required": True})
    weekdays = SelectMultipleField(
        "On",
        choices=[SelectChoice(str(number), day) for number, day in enumerate(WEEKDAYS)],
        default=[str(number) for number in range(7)],
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    times = Words(
        "Times",
        description="By the clocks of the cinema, between commas: 14:00, 17:30, 20:15.",
        render_kw={"required": True},
    )


class _Terms(Form):
    price = Amount(
        "Price", description="Such as 9.50.", render_kw={"inputmode": "decimal", "required": True}
    )
    prices = PriceLines(
        "Prices of categories",
        description="Of those that cost otherwise, one in a line: vip: 12.50.",
        render_kw={"rows": 3},
    )
    no_single_gaps = Check("No single seat may be left alone")
    max_seats_per_account = Number(
        "Most seats per customer",
        description="In all bookings of a show together; empty: no limit.",
        render_kw={"inputmode": "numeric"},
    )
    on_sale = Check(
        "On sale", default=True, description="If not, it is in no list, and nobody can book it."
    )


class NewShowForm(_Time, _Place, _Terms):
    """A show."""


class EditShowForm(_Time, _Terms):
    screen_name = Fixed("Screen", choices=[], validate_choice=False)
    total_seats = Number(
        "Seats", description="The last ones go first.", render_kw={"inputmode": "numeric"}
    )


class ManyShowsForm(_Days, _Place, _Terms):
    """Shows of a film on a screen."""


class CustomerForm(Form):
    username = Line("Customer", description="The user name.", render_kw={"required": True})
    over_cap = Check("Also more seats than one customer may have")


class BlockForm(Form):
    kind = Fixed(
        "Why",
        choices=[
            SelectChoice(HOUSE, "kept by the house: staff may sell it"),
            SelectChoice(OUT_OF_ORDER, "out of order: nobody may sell it"),
        ],
    )
    reason = Note("Reason", description="A note for staff.", render_kw={"rows": 1})


class SalesForm(Form):
    by = Fixed(
        "By",
        choices=[SelectChoice(by, text) for by, text in REPORTS_BY.items()],
    )
    since = Date("From")
    until = Date("To")
    cinema = Choice("Cinema", none="all")


class AccountForm(Form):
    is_staff = Check("Staff", description="May use this site and change the catalogue.")
    is_disabled = Check("Disabled", description="Can't log in. Its sessions end at once.")


# --- reading --------------------------------------------------------------------------------


def filled(schema: ma.Schema, row: Mapping[Any, Any]) -> dict[str, Any]:
    """What a form shows of a row, by the names of the wire."""
    known = {name: one for name, one in schema.fields.items() if name in row}
    return {one.data_key or name: row[name] for name, one in known.items()}


def read(form: Form, schema: ma.Schema, *, timezone: str = "UTC", **extra: Any) -> dict[str, Any]:
    """What the form says, as the schema loads it; raises Refused, also for what was found to be
    wrong with the form before. Its times are those of the time zone. `extra` are values of the
    wire that don't stand in the form as they are."""
    fields = {one.data_key or name: one for name, one in schema.fields.items()}
    sent = {}
    for field in form:
        if field.name in fields and field.name not in extra:
            try:
                value = field.wire(timezone) if isinstance(field, LocalTime) else field.wire()
            except Unreadable as error:
                field.errors = [str(error)]
                continue
            if value is not None or fields[field.name].allow_none:
                sent[field.name] = value
            elif field.object_data:  # which would stay, but was taken away
                field.errors = [fields[field.name].error_messages["required"]]
    wrong = {field.name for field in form if field.errors}
    try:
        values: dict[str, Any] = schema.load({**sent, **extra})
    except ma.ValidationError as error:
        errors = error.messages_dict
        show_errors(form, {name: errors[name] for name in errors if name not in wrong})
        raise Refused from error
    if wrong or form.form_errors:
        raise Refused
    return values


def show_errors(form: Form, errors: Mapping[str, Any], worded: Callable[[str], str] = str) -> None:
    """Put errors, by the names of the wire, to the form's fields, and to the form itself those of
    no field of it."""
    for name, inner in errors.items():
        is_plan = name in form and isinstance(form[name], Plan)
        flat = form[name].quoting(_leaves(inner)) if is_plan else _flat(inner)
        messages = [worded(message) for message in islice(flat, ERRORS_SHOWN)]
        if name in form:
            form[name].errors = messages
        else:
            form.form_errors.extend(messages)


def _leaves(inner: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """The messages within, each after its path."""
    if isinstance(inner, Mapping):
        for key, value in inner.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(inner, list | tuple):
        for message in inner:
            yield path, str(message)


def _flat(inner: Any, where: str = "") -> Iterable[str]:
    """The messages within, each after its place: `vip: ...`."""
    if isinstance(inner, Mapping):
        for key, value in inner.items():
            place = f"Row {key + 1}" if isinstance(key, int) else str(key)
            # marshmallow parts the key of a dictionary from its value; of a list within a row the
            # message says enough.
            skip = bool(where) and (key in ("key", "value") or isinstance(key, int))
            yield from _flat(value, where if skip else f"{where}, {place}" if where else place)
    elif isinstance(inner, list | tuple):
        for message in inner:
            yield f"{where}: {message}" if where else str(message)
