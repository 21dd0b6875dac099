"""The admin site: its first page, the log-in, the pages of accounts and of the audit, and all of
its pages together. Each reads its form, calls one service function and shows what it says; the
rules, and the words in which something is refused, are the services'."""

from collections.abc import Mapping
from dataclasses import asdict

from flask import Blueprint, Flask, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse
from wtforms import Form

from booking_app.admin import (
    access,
    catalog_file,
    catalogue,
    forms,
    many_shows,
    sales,
    shows,
    tables,
)
from booking_app.admin.views import (
    GET_AND_POST,
    attempt,
    edit_page,
    edited_id,
    list_pages,
    queried,
    render,
    typed,
)
from booking_app.auth import accounts, schemas
from booking_app.auth.access import by_name_or_own_address
from booking_app.catalog.times import local_time
from booking_app.reports import schemas as report_schemas
from booking_app.reports import service as reports
from booking_app.web.limits import limited, reset
from booking_app.web.prefix import at

LOGIN, ACCOUNT = schemas.LoginBody(), schemas.AccountPatch()
COMING = report_schemas.ComingQuery(only=["page", "page_size"])

home = Blueprint("admin", __name__, url_prefix="/admin")
audit = list_pages(tables.AUDIT, offers=())
account_pages = list_pages(
    tables.ACCOUNTS,
    offers=("edit",),
    may_edit=lambda row: bool(row["id"] != access.account().id),  # which would be refused
)


@home.get("/")
def index() -> Response:
    """The shows to come, and how full they are."""
    return render(
        "admin/home.html",
        title="Coming shows",
        found=reports.coming_shows(**queried(COMING)),
        local_time=local_time,
    )


@home.get("/login/")
def login_page() -> Response:
    """The only page that is open to all."""
    return _login_page(forms.LoginForm())


@home.post("/login/")
def login() -> AnyResponse:
    form = forms.LoginForm(request.form)
    if attempt(form, lambda: log_in(forms.read(form, LOGIN))) is False:
        return _login_page(form)
    return redirect(access.safe_next(request.args.get("next", "")), 303)


@home.post("/logout/")
def logout() -> AnyResponse:
    access.log_out()
    return redirect(at(access.LOG_IN), 303)


def _login_page(form: Form) -> Response:
    return render("admin/login.html", title="Log in", form=form)


@limited("log_in_name", by_name_or_own_address)
@limited("log_in_failures")
@limited("log_in")
def log_in(values: Mapping[str, str]) -> None:
    """Log in, under the limits that the API has."""
    access.log_in(**values)
    reset("log_in_name")


@account_pages.route("/edit/", methods=GET_AND_POST)
def edit() -> AnyResponse:
    account = accounts.get_account(user_id=edited_id("account"))
    shown = forms.filled(ACCOUNT, asdict(account))
    form = forms.AccountForm(typed(), data=shown)
    return edit_page(
        f"account: {account.username}",
        form,
        accounts.account_edition(account),
        lambda if_match: accounts.update_account(
            user_id=account.id, **forms.read(form, ACCOUNT), if_match=if_match, by=access.actor()
        ),
    )


# --- the site -------------------------------------------------------------------------------


def init_app(app: Flask, *, secret_key: str, previous: str) -> None:
    """Add the site to the app. Cookies are signed with a key made from `secret_key`, and those by
    the `previous` one are still read."""
    access.init_app(app, secret_key=secret_key, previous=previous)
    for pages in (
        home,
        sales.pages,
        shows.bookings,
        shows.pages,
        many_shows.pages,
        catalogue.films,
        catalogue.screens,
        catalogue.cinemas,
        catalog_file.pages,
        account_pages,
        audit,
    ):
        app.register_blueprint(pages)
