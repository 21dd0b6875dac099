"""Pages of shows and bookings: one show or many at once, the seat map, blocking seats, booking and
cancelling for a customer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

import marshmallow as ma
from flask import current_app, flash, g, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse
from wtforms import Form, SelectChoice

from booking_app.admin import access, form_fields, forms, tables
from booking_app.admin.amounts import editable
from booking_app.admin.lists import text_of
from booking_app.admin.room import BLOCK_NAMES, SIGNS, blocks_of
from booking_app.admin.views import (
    GET_AND_POST,
    attempt,
    chosen,
    delete_row,
    digest,
    edit_page,
    edited_id,
    if_seen,
    list_pages,
    new_page,
    render,
    typed,
    with_links,
)
from booking_app.auth import accounts
from booking_app.auth.schemas import LoginBody
from booking_app.booking import queries
from booking_app.booking import schemas as booking_schemas
from booking_app.booking import service as booking
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.queries import BookingDetails
from booking_app.catalog import file_schemas, many_shows, schemas, seat_schemas, show_queries, shows
from booking_app.catalog.blocked_seats import (
    BlockedSeat,
    blocked_edition,
    get_blocked_seats,
    set_blocked_seats,
)
from booking_app.catalog.kept_plans import get_seat_map
from booking_app.catalog.models import OUT_OF_ORDER, SHOWS_AT_ONCE
from booking_app.catalog.seat_marks import KIND_NAMES, category_letters
from booking_app.catalog.times import (
    NoSuchTime,
    by_clocks,
    instant,
    local_time,
    on_business_day,
)
from booking_app.core.editions import IfMatch
from booking_app.core.errors import Invalid
from booking_app.web.fields import Day

SHOW, SHOW_PATCH = schemas.ShowBody(), schemas.ShowPatch()
SEATS = booking_schemas.BookBody(only=["seat_numbers", "over_cap"])
CANCEL, BLOCK = booking_schemas.CancelBody(), seat_schemas.BlockedSeat(only=["kind", "reason"])
DAYS_MAX = 366
# The schema is of one show; the shows of a form for many have their own times.
ANY_TIME = "2000-01-01T00:00:00Z"
TIME_OF_DAY, NAME = file_schemas.Daily(), LoginBody(only=["username"])


pages = list_pages(
    tables.SHOWS,
    address=lambda row: url_for(".seats", show_id=row["id"]),
    more={
        "Many shows at once": ".many",
        "Copy a week": "admin_many_shows.copy",
        "Close a screen": "admin_many_shows.close",
    },
    ticked=("Change the ticked shows", "admin_many_shows.change"),
)


@pages.route("/new/", methods=GET_AND_POST)
def new() -> AnyResponse:
    """A show."""
    form = forms.NewShowForm(typed())
    _offer(form)

    def make() -> Any:
        movie_id, screen = chosen(form, "movie"), chosen(form, "screen")
        g.timezone = tables.timezone_of(screen)
        values = forms.read(form, SHOW, timezone=g.timezone)
        currency = current_app.config["CURRENCY"]
        return shows.create_show(movie_id=movie_id, **values, currency=currency, by=access.actor())

    return new_page("show", form, make)


@pages.route("/edit/", methods=GET_AND_POST)
def edit() -> AnyResponse:
    """A show that is there."""
    show = _find_show(edited_id("show"))
    g.timezone = show["timezone"]
    local = {
        name: moment and local_time(moment, g.timezone, form_fields.LOCAL)
        for name, moment in (
            ("date_time", show["starts_at"]),
            ("sales_from", show["sales_from"]),
            ("sales_until", show["sales_until"]),
        )
    }
    sold_in, locale = show["currency"], current_app.config["ADMIN_LOCALE"]
    prices = {
        category: editable(amount, sold_in, locale) for category, amount in show["prices"].items()
    }
    price = editable(show["price_cents"], sold_in, locale)
    shown = {**forms.filled(SHOW_PATCH, show), **local, "price": price, "prices": prices}
    form = forms.EditShowForm(typed(), data=shown)
    screens = tables.screens_beside(show["screen_id"])
    form.screen_name.choices = [SelectChoice(name) for name in screens]
    if show["planned"]:
        del form.total_seats

    def change(if_match: IfMatch) -> Any:
        values = forms.read(form, SHOW_PATCH, timezone=g.timezone)
        # Only times that are changed: they may have had seconds, which the form does not show.
        for name, text in local.items():
            if form[name].data == text:
                values.pop(name, None)
        if values.get("total_seats") == show["total_seats"]:
            del values["total_seats"]
        if values["screen_name"] == show["screen_name"]:
            del values["screen_name"]
        elif values["screen_name"] not in screens:
            raise Invalid("screen_name", "There is no such screen in this cinema.")
        by = access.actor()
        return shows.update_show(show_id=show["id"], **values, if_match=if_match, by=by)

    title = f"show: {show['movie_title']}, {local_time(show['starts_at'], g.timezone)}"
    return edit_page(title, form, show_queries.show_edition(show), change)


@pages.post("/delete/")
def delete() -> AnyResponse:
    return delete_row("show", lambda key: shows.delete_show(show_id=key, by=access.actor()))


def _offer(form: Form) -> None:
    form.movie.offer(tables.movies())
    form.screen.offer(tables.screens())


@pages.route("/many/", methods=GET_AND_POST)
def many() -> AnyResponse:
    """Many shows at once: first what is in their way, then, if it is wanted, the shows."""
    form = forms.ManyShowsForm(typed())
    _offer(form)
    looked = _NOTHING
    if request.method == "POST":
        looked = attempt(form, lambda: _look_or_make(form)) or _NOTHING
        if looked.made:
            flash(f"{len(looked.planned)} shows made.", "success")
            return redirect(url_for(".index"), 303)
    return render(
        "admin/many_shows.html",
        form=form,
        planned=[
            *looked.missing,
            *(
                (
                    local_time(one.date_time, g.timezone),
                    one.error and with_links(by_clocks(one.error, g.timezone)),
                )
                for one in sorted(looked.planned, key=lambda one: not one.error)
            ),
        ],
        free=sum(not one.error for one in looked.planned),
        checked=looked.checked,
    )


@pages.route("/<id:show_id>/seats/", methods=GET_AND_POST)
def seats(show_id: int) -> AnyResponse:
    """The seat map: who has which seat; booking for a customer, and blocking seats."""
    form, block_form = forms.CustomerForm(typed()), forms.BlockForm(typed())
    show = _find_show(show_id)
    g.timezone = show["timezone"]
    if show["max_seats_per_account"] is None:
        del form.over_cap
    if "block" in request.form or "free" in request.form:
        done = attempt(block_form, lambda: _block_or_free(block_form, show_id))
        if done:
            flash(done, "success")
            return redirect(url_for(".seats", show_id=show_id), 303)
    elif request.method == "POST":
        made = attempt(form, lambda: _book(form, show_id))
        if made:
            flash(f"Booked: {made.reference}.", "success")
            return redirect(url_for("admin_bookings.one", booking_id=made.id), 303)
    plan = get_seat_map(show_id=show_id).as_dict()
    blocked = _blocked(show_id)
    seats = [seat for row in plan["rows"] for seat in row["seats"]]
    prices = {seat["category"]: seat["price_cents"] for seat in seats}
    return render(
        "admin/seats.html",
        form=form,
        block_form=block_form,
        show=show,
        starts=local_time(show["starts_at"], g.timezone),
        map=plan,
        blocked=blocked,
        seen=_edition(show_id, blocked),
        block_names=BLOCK_NAMES,
        blocks=blocks_of(plan["rows"]),
        signs=SIGNS,
        kind_names=KIND_NAMES,
        kinds={seat["kind"] for seat in seats},
        prices=prices,
        letters=category_letters(prices) if len(prices) > 1 else {},
        owners=tables.seat_owners(show_id),
        wanted=request.form.getlist("seat_numbers"),
    )


def _find_show(show_id: int) -> dict[str, Any]:
    """The show as the service gives it, with `tables.facts_of_show`."""
    return {**show_queries.get_show(show_id=show_id), **tables.facts_of_show(show_id)}


def _book(form: Form, show_id: int) -> Any:
    seats = _seats_of(form)
    blocked = _blocked(show_id)
    broken = [one for one in seats if one in blocked and blocked[one].kind == OUT_OF_ORDER]
    if broken:
        form.form_errors.append(f"Out of order: {', '.join(broken)}. They can't be booked.")
    customer = accounts.get_customer(**forms.read(form, NAME))
    return booking.book(
        user_id=customer.id,
        show_id=show_id,
        **forms.read(form, SEATS, seat_numbers=seats),
        policy=BookingPolicy.from_settings(current_app.config),
        by=access.actor(),
    )


def _block_or_free(form: Form, show_id: int) -> str:
    """Block or free the chosen seats and leave the others as they are; what was done."""
    chosen = dict.fromkeys(_seats_of(form))
    blocked = _blocked(show_id)
    if_match = if_seen(_edition(show_id, blocked))
    if "block" in request.form:
        values = forms.read(form, BLOCK)
        blocked |= {label: BlockedSeat(label, **values) for label in chosen}
        done = f"Seats blocked: {len(chosen)}."
    else:
        freed = [label for label in chosen if blocked.pop(label, None)]
        if not freed:
            form.form_errors[:] = ["Choose seats that are blocked."]
            raise forms.Refused
        done = f"Seats for sale again: {len(freed)}."
    seats = list(blocked.values())
    set_blocked_seats(show_id=show_id, seats=seats, if_match=if_match, by=access.actor())
    return done


def _blocked(show_id: int) -> dict[str, BlockedSeat]:
    """The blocked seats of the show, by label."""
    return {seat.label: seat for seat in get_blocked_seats(show_id=show_id)}


def _edition(show_id: int, blocked: Mapping[str, BlockedSeat]) -> str:
    return blocked_edition(show=show_id, seats=list(blocked.values()))


def _seats_of(form: Form) -> list[str]:
    """The seats that are chosen on the page; where none is, the form says so."""
    seats = request.form.getlist("seat_numbers")
    if not seats:
        form.form_errors.append("Choose a seat.")
    return seats


# --- many shows at once ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Looked:
    """What is in the way of the shows. `checked` stands for them and for which are free, and
    `missing` are the local times that the clocks leave out, with why."""

    planned: Sequence[many_shows.Planned]
    checked: str
    missing: Sequence[tuple[str, str]] = ()
    made: bool = False


_NOTHING = _Looked((), "")


def _look_or_make(form: Form) -> _Looked:
    """Look, and then make those that are in nobody's way, where it is them that were listed."""
    plan, missing = _plan(form)
    by = access.actor()
    planned = many_shows.create_shows(**plan, dry_run=True, by=by) if plan["date_times"] else []
    free = [one.date_time for one in planned if not one.error]
    checked = digest({**plan, "free": free})
    if not free or "check" in request.form or request.form.get("checked") != checked:
        return _Looked(planned, checked, missing)
    made = many_shows.create_shows(**{**plan, "date_times": free}, by=by)
    return _Looked(made, checked, missing, made=not any(one.error for one in made))


def _plan(form: Form) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The arguments of `many_shows.create_shows`, and the missing times of `_Looked`; raises
    `forms.Refused`."""
    movie_id, screen = chosen(form, "movie"), chosen(form, "screen")
    g.timezone, day_starts_at = tables.clocks_of(screen)
    times: list[datetime] = []
    missing = []
    for local in _local_times(form, day_starts_at):
        try:
            times.append(instant(local, g.timezone))
        except NoSuchTime as error:
            missing.append((f"{local:%Y-%m-%d %H:%M}", str(error)))
    values = forms.read(form, SHOW, date_time=ANY_TIME)
    del values["date_time"]
    house = {"currency": current_app.config["CURRENCY"]}
    return {**values, **house, "movie_id": movie_id, "date_times": times}, missing


def _local_times(form: Form, day_starts_at: str) -> list[datetime]:
    """When the shows of the form begin by the clocks, where the days are business days; none where
    it says what is wrong."""
    first, last = form.first_day.data, form.last_day.data
    for name in ("first_day", "last_day"):
        if form[name].data is None:
            form[name].errors = [Day.default_error_messages["invalid"]]
    if first and last and not 0 <= (last - first).days < DAYS_MAX:
        form.last_day.errors = ["Must not be before the first day, nor a year after it."]
    try:
        clocks = [time.fromisoformat(TIME_OF_DAY.deserialize(one)) for one in form.times.wire()]
        if not clocks:
            form.times.errors = ["Give a time, such as 20:15."]
    except ma.ValidationError as error:
        form.times.errors = error.messages
    if form.first_day.errors or form.last_day.errors or form.times.errors:
        return []
    days = [first + timedelta(days) for days in range((last - first).days + 1)]
    days = [day for day in days if str(day.weekday()) in form.weekdays.data]
    if not days:
        form.weekdays.errors = ["None of these days lies between the first and the last."]
    if len(days) * len(set(clocks)) > SHOWS_AT_ONCE:
        form.times.errors = [f"At most {SHOWS_AT_ONCE} shows can be made at once."]
        return []
    try:
        return sorted(
            on_business_day(day, clock, day_starts_at) for day in days for clock in set(clocks)
        )
    except OverflowError:
        form.last_day.errors = ["Is too far away."]
        return []


# --- bookings -------------------------------------------------------------------------------


bookings = list_pages(
    tables.BOOKINGS, offers=(), address=lambda row: url_for(".one", booking_id=row["id"])
)


@bookings.route("/<id:booking_id>/", methods=GET_AND_POST)
def one(booking_id: int) -> AnyResponse:
    """A booking, and cancelling it, or some of its seats, for the customer."""
    form = Form()  # its fields are the seats, checkboxes of the page
    row = queries.get_any_booking(booking_id=booking_id)
    g.timezone = row.timezone
    if request.method == "POST" and attempt(form, lambda: _cancel(form, row)):
        flash("Cancelled.", "success")
        return redirect(url_for(".one", booking_id=booking_id), 303)
    return render(
        "admin/booking.html",
        form=form,
        row=row,
        starts=local_time(row.starts_at, g.timezone),
        customer=accounts.get_account(user_id=row.user_id),
        text_of=text_of,
    )


def _cancel(form: Form, row: BookingDetails) -> Any:
    seats = None if "whole" in request.form else _seats_of(form)
    named = {} if seats is None else forms.read(form, CANCEL, seat_numbers=seats)
    return booking.cancel(
        user_id=row.user_id,
        booking_id=row.id,
        **named,
        policy=BookingPolicy.from_settings(current_app.config),
        by=access.actor(),
    )
