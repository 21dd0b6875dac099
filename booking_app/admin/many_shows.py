"""Pages of many shows at once: changing those that are ticked, copying a week, closing a screen.
Each first lists what it would do, and then does what was listed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, current_app, flash, redirect, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse
from wtforms import Form

from booking_app.admin import access, forms, tables
from booking_app.admin.views import (
    GET_AND_POST,
    at_most,
    attempt,
    chosen,
    digest,
    id_of,
    list_url,
    money,
    render,
    typed,
    with_links,
)
from booking_app.catalog import schemas, venues
from booking_app.catalog.many_shows import ShowChange, change_shows, close_screen
from booking_app.catalog.times import by_clocks, local_time
from booking_app.catalog.week_copies import copy_week
from booking_app.web.fields import Day

TERMS = schemas.SharedTerms(only=["price", "prices", "note"])
NAMES = {
    "price_cents": "Price",
    "prices": "Prices of categories",
    "on_sale": "On sale",
    "note": "Note for customers",
}
SEATS_NAMED = 6
LIST = "admin_shows.index"

pages = Blueprint("admin_many_shows", __name__, url_prefix="/admin/shows")


@dataclass(frozen=True)
class Looked:
    """What would be done: a row for each show, with whether something is in its way, and the words
    of the button that does it, if anything can be. `checked` stands for all of that. Once it is
    `done`, the message that says so."""

    summary: str
    rows: Sequence[tuple[bool, Sequence[str]]]
    button: str
    checked: str
    done: str = ""


def _page(
    title: str, form: Form, look: Callable[[], Looked], columns: Sequence[str], **values: Any
) -> AnyResponse:
    looked = attempt(form, look) if request.method == "POST" else None
    if looked and looked.done:
        flash(looked.done, "success")
        return redirect(request.values.get("url") or url_for(LIST), 303)
    return render(
        "admin/looked.html", title=title, form=form, looked=looked, columns=columns, **values
    )


def _is_wanted(checked: str) -> bool:
    """Whether what was listed is to be done, and is as it was listed."""
    return "do" in request.form and request.form.get("checked") == checked


def _linked(show_id: int, text: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(url_for("admin_shows.seats", show_id=show_id), text)


# --- changing those that are ticked ---------------------------------------------------------


@pages.route("/change/", methods=GET_AND_POST)
def change() -> AnyResponse:
    """The shows whose ids are sent: other prices, withdrawn from sale, a note."""
    ids = [id_of(text, "show") for text in request.values.getlist("id")]
    if not ids:
        flash("Tick the shows first.", "error")
        return redirect(list_url() if "url" in request.values else url_for(LIST))
    form = forms.ChangeShowsForm(typed())
    return _page(
        f"Change {len(set(ids))} shows",
        form,
        lambda: _look_or_change(form, ids),
        ("Film", "Where", "Begins", "What changes"),
        hidden=[("id", show_id) for show_id in ids] + [("url", request.values.get("url", ""))],
    )


def _look_or_change(form: Form, ids: Sequence[int]) -> Looked:
    terms = _terms(form)
    by = access.actor()
    looked = change_shows(show_ids=ids, dry_run=True, by=by, **terms)
    changed = [one for one in looked if one.changed and not one.code]
    wrong = sum(one.code is not None for one in looked)
    checked = digest({"terms": terms, "shows": looked})
    done = ""
    if changed and not wrong and _is_wanted(checked):
        change_shows(show_ids=ids, by=by, **terms)
        done = f"Shows changed: {len(changed)}."
    places = tables.places_of(ids)
    return Looked(
        f"Shows that change: {len(changed)}; with something in the way: {wrong}",
        [(one.code is not None, _described(one, places)) for one in looked],
        f"Change them: {len(changed)}" if changed and not wrong else "",
        checked,
        done,
    )


def _terms(form: Form) -> dict[str, Any]:
    """What is to change; raises `forms.Refused`."""
    terms = forms.read(form, TERMS)
    if form.no_note.data:
        if terms["note"]:
            form.note.errors = ["Leave it empty to take the notes away."]
            raise forms.Refused
    elif terms["note"] is None:
        del terms["note"]
    if not terms["prices"]:
        del terms["prices"]
    if form.sale.data:
        terms["on_sale"] = form.sale.data == forms.PUT_ON_SALE
    if not terms:
        form.form_errors.append("Say what to change.")
        raise forms.Refused
    return terms


def _described(change: ShowChange, places: Mapping[int, Mapping[Any, Any]]) -> list[str]:
    place = places.get(change.show_id)
    if place is None or change.before is None or change.after is None:
        return ["", "", "", change.detail or ""]
    told = "; ".join(
        f"{NAMES[name]}: {_told(name, change.before)} → {_told(name, change.after)}"
        for name in change.changed
    )
    return [
        _linked(change.show_id, place["title"]),
        f"{place['cinema_name']}: {place['screen_name']}",
        local_time(place["starts_at"], place["timezone"]),
        change.detail or told or "nothing",
    ]


def _told(name: str, terms: Mapping[str, Any]) -> str:
    value, currency = terms[name], terms["currency"]
    if name == "price_cents":
        return money(value, currency)
    if name == "prices":
        return ", ".join(f"{key}: {money(price, currency)}" for key, price in value.items()) or "-"
    if name == "on_sale":
        return "yes" if value else "no"
    return value or "-"


# --- copying a week -------------------------------------------------------------------------


@pages.route("/copy/", methods=GET_AND_POST)
def copy() -> AnyResponse:
    """The shows of a week, once more in a later one."""
    form = forms.CopyWeekForm(typed())
    form.cinema.offer(tables.cinemas())
    form.screen.offer(tables.screens())
    columns = ("Film", "Screen", "Begins", "In the way")
    return _page("Copy a week", form, lambda: _look_or_copy(form), columns)


def _look_or_copy(form: Form) -> Looked:
    cinema_id, first_day, to = chosen(form, "cinema"), *_days(form, "first_day", "to_first_day")
    timezone = venues.get_cinema(cinema_id=cinema_id)["timezone"]
    week: dict[str, Any] = {
        "cinema_id": cinema_id,
        "screen": form.screen.wire(),
        "first_day": first_day,
        "to_first_day": to,
        "currency": current_app.config["CURRENCY"],
    }
    by = access.actor()
    looked = copy_week(**week, dry_run=True, by=by)
    free = [one.show_id for one in looked if not one.error]
    checked = digest({**week, "shows": looked})
    done = ""
    if free and _is_wanted(checked):
        looked = copy_week(**week, only=free, by=by)
        if not any(one.error for one in looked):
            done = f"Shows copied: {len(looked)}."
    wrong = len(looked) - len(free)
    if not free:
        button = ""
    else:
        button = f"Copy the other {len(free)}" if wrong else f"Copy them all: {len(free)}"
    return Looked(
        f"Shows: {len(looked)}; with something in the way: {wrong}",
        [
            (
                one.error is not None,
                [
                    _linked(one.show_id, one.movie_title),
                    one.screen_name,
                    f"{one.local:%Y-%m-%d %H:%M}",
                    with_links(by_clocks(one.error, timezone)) if one.error else "nothing",
                ],
            )
            for one in sorted(looked, key=lambda one: one.error is None)
        ],
        button,
        checked,
        done,
    )


def _days(form: Form, *names: str) -> list[date]:
    """The days of these fields; raises `forms.Refused` also for what was found to be wrong with the
    form before."""
    for name in names:
        if form[name].data is None:
            form[name].errors = [Day.default_error_messages["invalid"]]
    if form.form_errors or any(field.errors for field in form):
        raise forms.Refused
    return [form[name].data for name in names]


# --- closing a screen -----------------------------------------------------------------------


@pages.route("/close/", methods=GET_AND_POST)
def close() -> AnyResponse:
    """A screen for some days: what is not sold there is withdrawn from sale."""
    form = forms.CloseScreenForm(typed())
    form.screen.offer(tables.screens())
    columns = ("Film", "Begins", "What happens")
    return _page("Close a screen", form, lambda: _look_or_close(form), columns)


def _look_or_close(form: Form) -> Looked:
    screen, since, until = chosen(form, "screen"), *_days(form, "since", "until")
    timezone = tables.clocks_of(screen)[0]
    period: dict[str, Any] = {"screen_id": screen, "since": since, "until": until}
    by = access.actor()
    looked = close_screen(**period, dry_run=True, by=by)
    unsold = sum(not one.taken for one in looked)
    checked = digest({**period, "shows": looked})
    done = ""
    if unsold and _is_wanted(checked):
        looked = close_screen(**period, by=by)
        done = f"Shows withdrawn from sale: {sum(not one.taken for one in looked)}."
        if sold := sum(bool(one.taken) for one in looked):
            done += f" Sold or held, and not changed: {sold}."
    return Looked(
        f"Shows: {len(looked)}; sold or held: {len(looked) - unsold}",
        [
            (
                bool(one.taken),
                [
                    _linked(one.show_id, one.movie_title),
                    local_time(one.starts_at, timezone),
                    f"stays as it is; {len(one.taken)} sold or held: "
                    + ", ".join(at_most(one.taken, SEATS_NAMED))
                    if one.taken
                    else "is withdrawn from sale",
                ],
            )
            for one in looked
        ],
        f"Withdraw the unsold shows: {unsold}" if unsold else "",
        checked,
        done,
    )
