"""The admin site: its first page, the log-in, the pages of films, cinemas, screens, accounts and
the audit. Each reads its form, calls one service function and shows what it says; the rules, and
the words in which something is refused, are the services'."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flask import Flask, Response, current_app, redirect, request
from flask_admin import Admin, AdminIndexView, expose
from flask_admin.theme import Theme
from werkzeug.wrappers import Response as AnyResponse
from wtforms import Form

from booking_app.admin import access, forms, tables
from booking_app.admin.sales import SalesView
from booking_app.admin.shows import BookingView, ShowView
from booking_app.admin.views import Page, Rows, attempt, chosen, queried
from booking_app.auth import accounts
from booking_app.auth import schemas as auth_schemas
from booking_app.auth.access import by_name_or_own_address
from booking_app.catalog import movies, schemas, venues
from booking_app.catalog.seat_picture import plan_picture
from booking_app.catalog.times import local_time
from booking_app.core.errors import Invalid
from booking_app.core.formats import decimal_string
from booking_app.reports import schemas as report_schemas
from booking_app.reports import service as reports
from booking_app.web.limits import limited, reset

LOGIN, ACCOUNT = auth_schemas.LoginBody(), auth_schemas.AccountPatch()
MOVIE, CINEMA = schemas.MovieBody(), schemas.CinemaBody()
SCREEN, SCREEN_PATCH = schemas.ScreenBody(), schemas.ScreenPatch()
ROWS = schemas.ScreenPatch(only=["rows"])
COMING = report_schemas.ComingQuery(only=["page", "page_size"])
BASE = "admin/base.html"


class MovieView(Rows):
    table = tables.MOVIES
    thing = "film"
    form = forms.MovieForm

    def heading(self, row: Mapping[Any, Any]) -> str:
        return str(row["title"])

    def find(self, key: int) -> Mapping[Any, Any]:
        return movies.get_movie(movie_id=key)

    def shown(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return forms.filled(MOVIE, row)

    def add(self, form: Form) -> Any:
        values = forms.read(form, MOVIE)
        return movies.create_movie(**values, by=access.actor())

    def change(self, form: Form, row: Mapping[Any, Any]) -> Any:
        values = forms.read(form, MOVIE)
        return movies.update_movie(movie_id=row["id"], **values, by=access.actor())

    def remove(self, key: int) -> None:
        movies.delete_movie(movie_id=key, by=access.actor())


class CinemaView(Rows):
    table = tables.CINEMAS
    thing = "cinema"
    form = forms.CinemaForm

    def find(self, key: int) -> Mapping[Any, Any]:
        return venues.get_cinema(cinema_id=key)

    def shown(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return forms.filled(CINEMA, row)

    def add(self, form: Form) -> Any:
        values = forms.read(form, CINEMA)
        return venues.create_cinema(**values, by=access.actor())

    def change(self, form: Form, row: Mapping[Any, Any]) -> Any:
        values = forms.read(form, CINEMA)
        return venues.update_cinema(cinema_id=row["id"], **values, by=access.actor())

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

    def heading(self, row: Mapping[Any, Any]) -> str:
        return f"{row['name']}, {row['cinema_name']}"

    def find(self, key: int) -> Mapping[Any, Any]:
        screen = venues.get_screen(screen_id=key)
        return {**screen, "cinema_name": tables.cinema_of(key)}

    def shown(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return forms.filled(SCREEN, row)

    def add(self, form: Form) -> Any:
        if tables.cinemas():  # else the default one is made
            chosen(form, "cinema")
        values = forms.read(form, SCREEN)
        timezone = current_app.config["TIMEZONE"]
        return venues.create_screen(**values, timezone=timezone, by=access.actor())

    def change(self, form: Form, row: Mapping[Any, Any]) -> Any:
        # One that was made by the short form of a show has no plan, and needs none.
        values = forms.read(form, SCREEN_PATCH)
        return venues.update_screen(screen_id=row["id"], **values, by=access.actor())

    def remove(self, key: int) -> None:
        venues.delete_screen(screen_id=key, by=access.actor())

    def render(self, template: str, **kwargs: Any) -> Response:
        if "form" in kwargs:
            kwargs["picture"] = picture_of(kwargs["form"])
        return super().render(template, **kwargs)

    @expose("/picture/", methods=("POST",))
    def picture(self) -> Response:
        """The picture of the plan that is being typed, or what is wrong with it."""
        return self.render("admin/plan_picture.html", form=forms.ScreenForm(request.form))


def picture_of(form: Form) -> str | None:
    """The picture of the form's plan; None where it is none, and the field says why."""
    if not form.rows.data or form.rows.errors:
        return None
    try:
        plan = forms.read(form, ROWS)
        venues.check_rows(plan["rows"])
    except forms.Refused:
        return None
    except Invalid as error:
        forms.show_errors(form, error.facts["errors"]["json"])
        return None
    return plan_picture(plan["rows"])


class AccountView(Rows):
    table = tables.ACCOUNTS
    thing = "account"
    form = forms.AccountForm
    can_create = can_delete = False

    def heading(self, row: Mapping[Any, Any]) -> str:
        return str(row["username"])

    def may_edit(self, row: Mapping[Any, Any]) -> bool:
        return bool(row["id"] != access.account().id)  # which would be refused

    def find(self, key: int) -> Mapping[Any, Any]:
        return asdict(accounts.get_account(user_id=key))

    def shown(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return forms.filled(ACCOUNT, row)

    def change(self, form: Form, row: Mapping[Any, Any]) -> Any:
        values = forms.read(form, ACCOUNT)
        return accounts.update_account(user_id=row["id"], **values, by=access.actor())


class AuditView(Rows):
    table = tables.AUDIT
    thing = "event"
    can_create = can_edit = can_delete = False


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
        if attempt(form, lambda: log_in(forms.read(form, LOGIN))) is False:
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
