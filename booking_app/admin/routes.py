"""The pages of the admin site. Each reads its form, calls one service function and shows what it
says; the rules, and the words in which something is refused, are the services'."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

import marshmallow as ma
from flask import Flask, Response, current_app, flash, g, redirect, request
from flask_admin import Admin, AdminIndexView, expose
from flask_admin.helpers import get_form_data
from flask_admin.theme import Theme
from werkzeug.wrappers import Response as AnyResponse
from wtforms import Form, SelectChoice

from booking_app import csv_table
from booking_app.admin import access, forms, tables
from booking_app.admin.lists import text_of
from booking_app.admin.plot import lying_bars, standing_bars
from booking_app.admin.views import Page, Rows, attempt, chosen, queried, read
from booking_app.auth import schemas as auth_schemas
from booking_app.auth import service as auth
from booking_app.auth.access import by_name_or_own_address
from booking_app.booking import schemas as booking_schemas
from booking_app.booking import service as booking
from booking_app.catalog import schemas, service, venues
from booking_app.catalog.seat_picture import plan_picture
from booking_app.catalog.times import instant, local_time
from booking_app.errors import Invalid
from booking_app.fields import decimal_string
from booking_app.rate_limits import limited, reset
from booking_app.reports import schemas as report_schemas
from booking_app.reports import service as reports

LOGIN, ACCOUNT = auth_schemas.LoginBody(), auth_schemas.AccountPatch()
MOVIE, CINEMA = schemas.MovieBody(), schemas.CinemaBody()
SCREEN, SCREEN_PATCH = schemas.ScreenBody(), schemas.ScreenPatch()
SHOW, SHOW_PATCH = schemas.ShowBody(), schemas.ShowPatch()
SEATS, CANCEL = booking_schemas.BookBody(), booking_schemas.CancelBody()
SALES, COMING = report_schemas.SalesQuery(), report_schemas.ComingQuery()
ROW = report_schemas.Sales()
TIME_OF_DAY = schemas.Daily()

REPORT_DAYS = 30
BARS_MAX = 40
BASE = "admin/base.html"


class MovieView(Rows):
    table = tables.MOVIES
    thing = "film"
    form = forms.MovieForm

    def find(self, key: int) -> Mapping[Any, Any]:
        return service.get_movie(movie_id=key)

    def shown(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return forms.filled(MOVIE, row)

    def add(self, form: Form) -> Any:
        values = read(form, MOVIE)
        return values and service.create_movie(**values, by=access.actor())

    def change(self, form: Form, row: Mapping[Any, Any]) -> Any:
        values = read(form, MOVIE)
        return values and service.update_movie(movie_id=row["id"], **values, by=access.actor())

    def remove(self, key: int) -> None:
        service.delete_movie(movie_id=key, by=access.actor())


class CinemaView(Rows):
    table = tables.CINEMAS
    thing = "cinema"
    form = forms.CinemaForm

    def find(self, key: int) -> Mapping[Any, Any]:
        return venues.get_cinema(cinema_id=key)

    def shown(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return forms.filled(CINEMA, row)

    def add(self, form: Form) -> Any:
        values = read(form, CINEMA)
        return values and venues.create_cinema(**values, by=access.actor())

    def change(self, form: Form, row: Mapping[Any, Any]) -> Any:
        values = read(form, CINEMA)
        return values and venues.update_cinema(cinema_id=row["id"], **values, by=access.actor())

    def remove(self, key: int) -> None:
        venues.delete_cinema(cinema_id=key, by=access.actor())


class ScreenView(Rows):
    table = tables.SCREENS
    thing = "screen"
    form = forms.ScreenForm
    create_template = edit_template = "admin/screen.html"

    def get_create_form(self) -> type[Form]:
        return forms.NewScreenForm

    def offer(self, form: Form) -> None:
        if "cinema" in form:
            form.cinema.offer(tables.cinemas())

    def find(self, key: int) -> Mapping[Any, Any]:
        return venues.get_screen(screen_id=key)

    def shown(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return forms.filled(SCREEN, row)

    def add(self, form: Form) -> Any:
        values = read(form, SCREEN)
        timezone = current_app.config["TIMEZONE"]
        return values and venues.create_screen(**values, timezone=timezone, by=access.actor())

    def change(self, form: Form, row: Mapping[Any, Any]) -> Any:
        # One that was made by the short form of a show has no plan, and needs none.
        values = read(form, SCREEN_PATCH)
        return values and venues.update_screen(screen_id=row["id"], **values, by=access.actor())

    def remove(self, key: int) -> None:
        venues.delete_screen(screen_id=key, by=access.actor())

    def render(self, template: str, **kwargs: Any) -> Response:
        if "form" in kwargs:
            kwargs["picture"] = picture_of(kwargs["form"])
        return super().render(template, **kwargs)

    @expose("/picture/", methods=("POST",))
    def picture(self) -> Response:
        """The picture of the plan that is being typed, or what is wrong with it."""
        form = forms.ScreenForm(request.form)
        form.name.data = form.name.data or "Screen"
        picture = picture_of(form)
        return self.render("admin/plan_picture.html", form=form, picture=picture)


def picture_of(form: Form) -> str | None:
    """The picture of the form's plan; None where it is none, and the field says why."""
    if not form.rows.data or form.rows.errors:
        return None
    plan = forms.read(form, schemas.ScreenPatch(only=["rows"]))
    try:
        venues.check_rows(plan["rows"] if plan else ())
    except Invalid as error:
        forms.refuse(form, error)
        return None
    return plan_picture(plan["rows"]) if plan else None


class ShowView(Rows):
    table = tables.SHOWS
    thing = "show"
    form = forms.EditShowForm

    def get_create_form(self) -> type[Form]:
        return forms.NewShowForm

    def offer(self, form: Form) -> None:
        if "movie" in form:
            form.movie.offer(tables.movies())
            form.screen.offer(tables.screens())

    def edit_form(self, obj: Any = None) -> Form:
        form = super().edit_form(obj)
        names = tables.screens_beside(obj["screen_id"])
        form.screen_name.choices = [SelectChoice(name) for name in names]
        return form

    def links(self, row: Mapping[Any, Any]) -> list[tuple[str, str]]:
        return [("Seats", self.get_url(".seats", show_id=row["id"])), *super().links(row)]

    def more(self) -> list[tuple[str, str]]:
        return [("Many shows at once", self.get_url(".many"))]

    def find(self, key: int) -> Mapping[Any, Any]:
        return service.get_show(show_id=key)

    def shown(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        timezone = tables.timezone_of(row["screen_id"])
        local = local_time(row["starts_at"], timezone).replace(" ", "T")
        return {**forms.filled(SHOW_PATCH, row), "date_time": local}

    def add(self, form: Form) -> Any:
        movie_id, screen = chosen(form, "movie"), chosen(form, "screen")
        values = read(form, SHOW, timezone=tables.timezone_of(screen)) if movie_id else None
        return values and service.create_show(movie_id=movie_id, **values, by=access.actor())

    def change(self, form: Form, row: Mapping[Any, Any]) -> Any:
        values = read(form, SHOW_PATCH, timezone=tables.timezone_of(row["screen_id"]))
        if values and form.date_time.data == self.shown(row)["date_time"]:
            del values["date_time"]  # which may have had seconds
        return values and service.update_show(show_id=row["id"], **values, by=access.actor())

    def remove(self, key: int) -> None:
        service.delete_show(show_id=key, by=access.actor())

    @expose("/many/", methods=("GET", "POST"))
    def many(self) -> AnyResponse:
        """Many shows at once: first what is in their way, then, if it is wanted, the shows."""
        form = forms.ManyShowsForm(get_form_data())
        self.offer(form)
        planned: Sequence[service.Planned] = ()
        timezone = "UTC"
        if request.method == "POST":
            movie_id, screen = chosen(form, "movie"), chosen(form, "screen")
            timezone = tables.timezone_of(screen)
            times = moments(form, timezone)
            values = read(form, SHOW, date_time=times[0].isoformat()) if times else None
            if values and movie_id and screen:
                del values["date_time"]
                plan = {**values, "movie_id": movie_id, "by": access.actor()}
                planned = attempt(form, lambda: create(times, plan)) or ()
                if planned and "check" not in request.form and not any(p.error for p in planned):
                    flash(f"{len(planned)} shows made.", "success")
                    return redirect(self.get_url(".index_view"), 303)
        return self.render(
            "admin/many_shows.html",
            form=form,
            planned=[(local_time(one.date_time, timezone), one.error) for one in planned],
            free=sum(not one.error for one in planned),
            timezone=timezone,
        )

    @expose("/<id:show_id>/seats/", methods=("GET", "POST"))
    def seats(self, show_id: int) -> AnyResponse:
        """The seat map: who has which seat; and booking for a customer."""
        form = forms.CustomerForm(get_form_data())
        if request.method == "POST":
            made = attempt(form, lambda: self._book(form, show_id))
            if made:
                flash(f"Booked: {made['reference']}.", "success")
                return redirect(self.get_url("admin_bookings.one", booking_id=made["id"]), 303)
        show = service.get_show(show_id=show_id)
        return self.render(
            "admin/seats.html",
            form=form,
            show=show,
            starts=local_time(show["starts_at"], tables.timezone_of(show["screen_id"])),
            map=service.get_seat_map(show_id=show_id),
            owners=tables.seat_owners(show_id),
            wanted=request.form.getlist("seat_numbers"),
            money=decimal_string,
            currency=current_app.config["CURRENCY"],
        )

    def _book(self, form: Form, show_id: int) -> Any:
        values = read(form, SEATS, seat_numbers=seats) if (seats := seats_of(form)) else None
        if values is None:
            return None
        customer = auth.find_customer(username=form.username.data or "")
        return booking.book(
            user_id=customer["id"],
            show_id=show_id,
            **values,
            terms=booking.Terms.of(current_app.config),
            by=access.actor(),
        )


def seats_of(form: Form) -> list[str]:
    """The seats that are chosen on the page; where none is, the form says so."""
    seats = request.form.getlist("seat_numbers")
    if not seats:
        form.form_errors.append("Choose a seat.")
        g.refused = 422
    return seats


def moments(form: Form, timezone: str) -> list[datetime]:
    """When the shows of the form begin; none where it says what is wrong."""
    first, last = form.first_day.data, form.last_day.data
    if not form.first_day.errors and not form.last_day.errors:
        for name in ("first_day", "last_day"):
            if form[name].data is None:
                form[name].errors = ["Must be a day such as 2030-01-31."]
    if first and last and not 0 <= (last - first).days < reports.MAX_DAYS:
        form.last_day.errors = ["Must not be before the first day, nor a year after it."]
    try:
        times = [time.fromisoformat(TIME_OF_DAY.deserialize(one)) for one in form.times.wire()]
        if not times:
            form.times.errors = ["Give a time, such as 20:15."]
    except ma.ValidationError as error:
        form.times.errors = error.messages
    if any(field.errors for field in form):
        g.refused = 422
        return []
    days = [first + timedelta(days) for days in range((last - first).days + 1)]
    try:
        found = [
            instant(day, one, timezone)
            for day in days
            if str(day.weekday()) in form.weekdays.data
            for one in sorted(set(times))
        ]
    except (ValueError, OverflowError) as error:
        found = []
        form.times.errors = [str(error)]
    if not found and not form.times.errors:
        form.weekdays.errors = ["None of these days lies between the first and the last."]
    return found


def create(times: Sequence[datetime], plan: Mapping[Any, Any]) -> list[service.Planned]:
    """Make the shows, all or none; or only look; or leave those out that can't be."""
    if "check" in request.form:
        return service.create_shows(date_times=times, dry_run=True, **plan)
    if "free" in request.form:
        looked = service.create_shows(date_times=times, dry_run=True, **plan)
        times = [one.date_time for one in looked if not one.error]
    return service.create_shows(date_times=times, **plan)


class BookingView(Rows):
    table = tables.BOOKINGS
    thing = "booking"
    can_create = can_edit = can_delete = False

    def links(self, row: Mapping[Any, Any]) -> list[tuple[str, str]]:
        return [("Show", self.get_url(".one", booking_id=row["id"]))]

    @expose("/<id:booking_id>/", methods=("GET", "POST"))
    def one(self, booking_id: int) -> AnyResponse:
        """A booking, and cancelling it, or some of its seats, for the customer."""
        form = forms.SeatsForm(get_form_data())
        row = booking.find_booking(booking_id=booking_id)
        if request.method == "POST" and attempt(form, lambda: self._cancel(form, row)):
            flash("Cancelled.", "success")
            return redirect(self.get_url(".one", booking_id=booking_id), 303)
        return self.render(
            "admin/booking.html",
            form=form,
            row=row,
            show=(show := service.get_show(show_id=row["show_id"])),
            starts=local_time(show["starts_at"], tables.timezone_of(show["screen_id"])),
            customer=auth.get_account(user_id=row["user_id"]),
            money=decimal_string,
            text_of=text_of,
        )

    def _cancel(self, form: Form, row: Mapping[Any, Any]) -> Any:
        values = read(form, CANCEL, seat_numbers=seats) if (seats := seats_of(form)) else None
        return values and booking.cancel(
            user_id=row["user_id"],
            booking_id=row["id"],
            **values,
            terms=booking.Terms.of(current_app.config),
            by=access.actor(),
        )


class AccountView(Rows):
    table = tables.ACCOUNTS
    thing = "account"
    form = forms.AccountForm
    can_create = can_delete = False

    def find(self, key: int) -> Mapping[Any, Any]:
        return auth.get_account(user_id=key)

    def shown(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return forms.filled(ACCOUNT, row)

    def change(self, form: Form, row: Mapping[Any, Any]) -> Any:
        values = read(form, ACCOUNT)
        return values and auth.update_account(user_id=row["id"], **values, by=access.actor())


class AuditView(Rows):
    table = tables.AUDIT
    thing = "event"
    can_create = can_edit = can_delete = False


class SalesView(Page):
    @expose("/")
    def index(self) -> Response:
        """Sales of a period, as plots and a table."""
        today = datetime.now(UTC).date()
        form = forms.SalesForm(
            request.args or None,
            data={"by": "day", "since": today - timedelta(REPORT_DAYS), "until": today},
        )
        form.cinema.offer(tables.cinemas())
        rows = attempt(form, lambda: self._rows(form)) or []
        return self.render(
            "admin/sales.html",
            form=form,
            rows=rows,
            total=totals(rows),
            plots=plots(rows, form.by.data) if rows else [],
            money=decimal_string,
            name=name_of,
            by_names=forms.REPORTS_BY,
            currency=current_app.config["CURRENCY"],
        )

    @expose("/export/csv/")
    def export(self) -> Response:
        """The same as a table for a spreadsheet."""
        rows = ROW.dump(reports.sales(**queried(SALES)), many=True)
        return Response(
            csv_table.lines(list(ROW.fields), (row.values() for row in rows)),
            mimetype=csv_table.MEDIA_TYPE,
            headers={"Content-Disposition": "attachment; filename=sales.csv"},
        )

    def _rows(self, form: Form) -> Any:
        values = read(form, SALES, **({"cinema": form.cinema.data} if form.cinema.data else {}))
        return values and reports.sales(**values)


class HomeView(AdminIndexView, Page):
    """The first page, and the only one that is open to all: the log-in."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.static_folder = None  # of the library's own pages

    @expose("/")
    def index(self) -> Response:
        """The shows to come, and how full they are."""
        found = reports.coming_shows(**queried(COMING))
        return self.render(
            "admin/home.html", found=found, money=decimal_string, local_time=local_time
        )

    @expose("/login/", methods=("GET",))
    def login_page(self) -> Response:
        return self._login(forms.LoginForm())

    @expose("/login/", methods=("POST",))
    def login(self) -> AnyResponse:
        form = forms.LoginForm(request.form)
        values = read(form, LOGIN)
        if values is None or attempt(form, lambda: log_in(values)) is False:
            return self._login(form)
        return redirect(access.safe_next(request.args.get("next", "")), 303)

    @expose("/logout/", methods=("POST",))
    def logout(self) -> AnyResponse:
        access.log_out()
        return redirect(access.LOG_IN, 303)

    def _login(self, form: Form) -> Response:
        return self.render("admin/login.html", form=form)


@limited("log_in_name", by_name_or_own_address)
@limited("log_in_failures")
@limited("log_in")
def log_in(values: Mapping[str, str]) -> None:
    """Log in, under the limits that the API has."""
    access.log_in(**values)
    reset("log_in_name")


# --- reports --------------------------------------------------------------------------------


def totals(rows: Sequence[Mapping[Any, Any]]) -> dict[str, int]:
    """The sums of a report that can be added up; a show is in several categories."""
    return {name: sum(row[name] for row in rows) for name in ("seats", "sold", "takings_cents")}


def name_of(row: Mapping[Any, Any]) -> str:
    """What a row of a report is about."""
    if row["day"] is not None:
        return str(row["day"])
    named = row["name"] or row["category"]
    return f"{row['cinema_name']}: {named}" if row["cinema_name"] else str(named)


def plots(rows: Sequence[Mapping[Any, Any]], by: str) -> list[tuple[str, str]]:
    """The takings and the occupancy, each as `(title, SVG)`: days in their order, others with the
    highest takings first."""
    bars = standing_bars if by == "day" else lying_bars
    if by != "day":
        rows = sorted(rows, key=lambda row: row["takings_cents"], reverse=True)[:BARS_MAX]
    takings = [(name_of(row), row["takings_cents"]) for row in rows]
    occupancy = [(name_of(row), round(row["occupancy"] * 100)) for row in rows]
    currency = current_app.config["CURRENCY"]
    return [
        (title := f"Takings in {currency}", bars(title, takings, decimal_string)),
        (title := "Occupancy", bars(title, occupancy, lambda value: f"{value} %", top=100)),
    ]


# --- the site -------------------------------------------------------------------------------


def init_app(app: Flask, *, secret_key: str, previous: str) -> None:
    """Add the site to the app. Cookies are signed with a key made from `secret_key`, and those by
    the `previous` one are still read."""
    access.init_app(app, secret_key=secret_key, previous=previous)
    admin = Admin(
        name="Admin", index_view=HomeView(name="Coming shows"), theme=Theme("bootstrap4", BASE)
    )
    for view in (
        SalesView("Sales", endpoint="admin_sales", url="sales"),
        BookingView("Bookings"),
        ShowView("Shows"),
        MovieView("Films"),
        ScreenView("Screens"),
        CinemaView("Cinemas"),
        AccountView("Accounts"),
        AuditView("Audit"),
    ):
        admin.add_view(view)
    admin.init_app(app)
