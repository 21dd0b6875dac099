"""Forms: their fields (`form_fields`) turn what is typed into values of the wire, and the schema of
the API reads those: what is allowed, and the words in which it is refused, stand there alone."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import marshmallow as ma
from wtforms import FileField, Form, HiddenField, SelectChoice, SelectMultipleField
from wtforms.widgets import CheckboxInput, ListWidget

from booking_app.admin.form_fields import (
    Amount,
    Block,
    Check,
    Choice,
    Date,
    Fixed,
    Line,
    LocalTime,
    Note,
    Number,
    OptionalAmount,
    Password,
    Plan,
    PriceLines,
    Unreadable,
    WordLines,
    Words,
)
from booking_app.catalog.models import HOUSE, OUT_OF_ORDER
from booking_app.core.errors import Path
from booking_app.reports.schemas import GROUPS
from booking_app.web.validation import ERRORS_SHOWN, leaves

REPORTS_BY = {by: "film" if by == "movie" else by for by in GROUPS}
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ADDRESS = "Its address: https://..."


class Refused(Exception):
    """Something of the form is not allowed, and its fields say what."""


# --- the forms ------------------------------------------------------------------------------


class LoginForm(Form):
    username = Line("User name", render_kw={"autocomplete": "username", "required": True})
    password = Password(
        "Password", render_kw={"autocomplete": "current-password", "required": True}
    )


class MovieForm(Form):
    title = Line("Title", render_kw={"required": True})
    original_title = Line("Original title")
    sort_title = Line("Sorted as", description="Such as Third Man; empty: the title.")
    duration_minutes = Number(
        "Minutes", description="Its running time.", render_kw={"inputmode": "numeric"}
    )
    year = Number("Year", render_kw={"inputmode": "numeric"})
    release_date = Date("Release date")
    language = Line("Language")
    genres = WordLines("Genres", description="One in a line.", render_kw={"rows": 3})
    age_rating = Line("Age rating")
    director = Line("Director")
    description = Block("Description")
    poster_url = Line("Poster", description=ADDRESS, render_kw={"inputmode": "url"})
    trailer_url = Line("Trailer", description=ADDRESS, render_kw={"inputmode": "url"})
    external_id = Line("External id", description="How another system names it.")
    on_sale = Check(
        "On sale", default=True, description="If not, it is in no list, and nobody can book it."
    )


class CinemaForm(Form):
    name = Line("Name", render_kw={"required": True})
    city = Line("City")
    timezone = Line(
        "Time zone",
        description="IANA, such as Europe/Vienna. In another one shows to come keep their local "
        "times; it can't change while seats of them are sold or held.",
        render_kw={"required": True},
    )
    day_starts_at = Line(
        "Day starts at",
        default="00:00",
        description="With 06:00 a show at 01:45 belongs to the evening before, in lists and sales.",
        render_kw={"required": True},
    )


class CatalogFileForm(Form):
    file = FileField(
        "File",
        description="JSON, at most 1 MiB; README.md says what stands in it.",
        render_kw={"accept": ".json,application/json"},
    )
    update = Check(
        "Take over differences",
        description="Change what is there already to what the file says, by the rules of the other "
        "pages: what is sold stays.",
    )
    skip_conflicts = Check(
        "Skip conflicts",
        description="Load the rest where something is in the way of some entries.",
    )
    text = HiddenField()


class ScreenForm(Form):
    name = Line("Name", render_kw={"required": True})
    rows = Plan(
        "Seat plan",
        description="A line for each row, from the front: its label and its seats, such as A 12, "
        "B 1..4 | 5..12 or C 12..1 vip=8..5. If there are shows already, you are asked about them.",
        render_kw={"rows": 14, "spellcheck": "false"},
    )
    out_of_order = Words(
        "Out of order",
        description="Seats of the plan that no show sells, between commas: A5, A6. They are "
        "blocked in shows to come too.",
    )

    turnaround_minutes = Number(
        "Minutes between shows",
        default=0,
        description="For cleaning: the next show begins at least so much later.",
        render_kw={"inputmode": "numeric"},
    )


class NewScreenForm(ScreenForm):
    cinema = Choice("Cinema")


WITHDRAW, PUT_ON_SALE = "withdraw", "put"


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
        description="By the clocks of the cinema, between commas: 14:00, 17:30, 20:15. Those "
        "before its day starts are in the night after the day.",
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


class _Presentation(Form):
    format = Line("Format", description="Such as 2D, 3D or IMAX.")
    language = Line("Language", description="In which the film is spoken.")
    subtitles = Line("Subtitles", description="Their language.")
    preshow_minutes = Number(
        "Minutes before the film",
        default=0,
        description="Of advertisements and trailers.",
        render_kw={"inputmode": "numeric"},
    )
    intermission_minutes = Number(
        "Minutes of intermission", default=0, render_kw={"inputmode": "numeric"}
    )
    note = Note("Note for customers", render_kw={"rows": 2})


class _Sale(Form):
    sales_from = LocalTime(
        "On sale from",
        description="Local time of the cinema; empty: at once.",
        render_kw={"type": "datetime-local"},
    )
    sales_until = LocalTime(
        "On sale until",
        description="Local time of the cinema; empty: until the show begins.",
        render_kw={"type": "datetime-local"},
    )


class NewShowForm(_Time, _Place, _Terms, _Presentation, _Sale):
    """A show."""


class EditShowForm(_Time, _Terms, _Presentation, _Sale):
    screen_name = Fixed("Screen", choices=[], validate_choice=False)
    total_seats = Number(
        "Seats", description="The last ones go first.", render_kw={"inputmode": "numeric"}
    )


class ManyShowsForm(_Days, _Place, _Terms, _Presentation):
    """Shows of a film on a screen."""


class ChangeShowsForm(Form):
    """Terms for many shows. Fields that are left empty change nothing."""

    price = OptionalAmount(
        "Price",
        description="Such as 9.50; empty: stays.",
        render_kw={"inputmode": "decimal"},
    )
    prices = PriceLines(
        "Prices of categories",
        description="All of those that cost otherwise, one in a line: vip: 12.50; empty: stay.",
        render_kw={"rows": 3},
    )
    sale = Fixed(
        "On sale",
        choices=[
            SelectChoice("", "stays"),
            SelectChoice(WITHDRAW, "withdraw from sale"),
            SelectChoice(PUT_ON_SALE, "put on sale"),
        ],
        default="",
    )
    note = Note("Note for customers", description="Empty: stays.", render_kw={"rows": 2})
    no_note = Check("Take the notes away")


class CopyWeekForm(Form):
    cinema = Choice("Cinema")
    screen = Choice("Screen", none="all of the cinema")
    first_day = Date(
        "First day of the week",
        description="Seven business days from then on. Shows that are withdrawn from sale are not "
        "copied.",
        render_kw={"required": True},
    )
    to_first_day = Date(
        "First day of the later week",
        description="The same weekday. Shows begin at the same local time.",
        render_kw={"required": True},
    )


class CloseScreenForm(Form):
    screen = Choice("Screen")
    since = Date("First day", render_kw={"required": True})
    until = Date(
        "Last day",
        description="Shows of these days that nobody has a seat of are withdrawn from sale; they "
        "can be put on sale again. Shows with sold or held seats stay as they are.",
        render_kw={"required": True},
    )


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
    wrong = {(field.name,) for field in form if field.errors}
    try:
        values: dict[str, Any] = schema.load({**sent, **extra})
    except ma.ValidationError as error:
        show_errors(form, ((p, m) for p, m in leaves(error.messages_dict) if p[:1] not in wrong))
        raise Refused from error
    if wrong or form.form_errors:
        raise Refused
    return values


def show_errors(
    form: Form, errors: Iterable[tuple[Path, str]], worded: Callable[[str], str] = str
) -> None:
    """Put errors, each after its path on the wire, to the form's fields, and to the form itself
    those of no field of it."""
    by_name = defaultdict(list)
    for path, message in errors:
        by_name[str(path[0]) if path else ""].append((path[1:], message))
    for name, found in by_name.items():
        if name in form and isinstance(form[name], Plan):
            flat = form[name].quoting(found)
        else:
            flat = (_placed(path, message) for path, message in found)
        messages = [worded(message) for message in islice(flat, ERRORS_SHOWN)]
        if name in form:
            form[name].errors = messages
        else:
            form.form_errors.extend(messages)


def _placed(path: Path, message: str) -> str:
    """The message after its place within its field: `vip: ...`."""
    name = path[0] if path else None
    # Of one in a list the message says enough.
    return f"{name}: {message}" if isinstance(name, str) else str(message)
