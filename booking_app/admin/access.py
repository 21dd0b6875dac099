"""Who may use the admin site: its session cookie, the tokens of its forms, logging in and out.

Everything under `/admin/` is closed to all but staff, before any view is looked for; only the
log-in page is open. The cookie is sent to these paths alone, so no call of the API depends on it.
"""

import hashlib
import hmac
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import (
    Flask,
    Request,
    Response,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    session,
)
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_wtf.csrf import generate_csrf, validate_csrf
from werkzeug.wrappers import Response as AnyResponse
from wtforms import ValidationError

from booking_app.audit.service import Actor
from booking_app.auth import accounts, sessions
from booking_app.auth.access import anonymous
from booking_app.web.limits import by_address
from booking_app.web.prefix import at
from booking_app.web.problems import MEDIA_TYPE, BadRequest
from booking_app.web.requests import (
    ANONYMOUS_BODY_BYTES,
    MAX_BODY_BYTES,
    read_body,
    refusals_limited,
)

ROOT = "/admin"
HOME = f"{ROOT}/"
LOG_IN = f"{ROOT}/login/"
LOG_OUT = f"{ROOT}/logout/"
COOKIE = "admin_session"
LASTS = timedelta(hours=12)  # a long day's work
NEXT_MAX = 2000
FIELDS_MAX = 10_000  # the largest form has a box for each of a show's seats
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


V = TypeVar("V", bound=Callable[..., Any])


class CookieSession(SecureCookieSessionInterface):
    """Flask's session in a signed cookie, looked for and kept on the paths of the admin site only.

    The cookie names a session of the database; what that one allows is looked up each time.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return super().open_session(app, request) if of_admin(request.path) else None

    def get_cookie_path(self, app: Flask) -> str:
        return at(ROOT)

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def of_admin(path: str) -> bool:
    """Whether the path is one of the admin site."""
    return path == ROOT or path.startswith(HOME)


def signing_key(secret_key: str) -> str:
    """The key that signs cookies: not the one of the tokens, but made from it."""
    return hmac.new(secret_key.encode(), b"cookies of the admin site", hashlib.sha256).hexdigest()


def takes_file(view: V) -> V:
    """Decorator: the form of this page may send a file."""
    view.takes_file = True  # type: ignore[attr-defined]
    return view


# --- who it is ------------------------------------------------------------------------------


def log_in(*, username: str, password: str) -> None:
    """Open a session for the browser; raises what `sessions.log_in` raises for staff."""
    opened = sessions.log_in(
        username=username,
        password=password,
        lasts=LASTS,
        user_agent=request.user_agent.string,
        by=anonymous(),
        staff_only=True,
    )
    if before := _named():  # somebody logs in anew over it
        with suppress(accounts.SessionEnded):
            sessions.log_out(**before, by=replace(anonymous(), user_id=before["user_id"]))
    session.clear()
    g.pop("csrf_token", None)  # where the library keeps the one of the request
    session["id"], session["user"] = opened.id, opened.user_id


def log_out() -> None:
    """End the browser's session, also in the database."""
    sessions.log_out(**_named(), by=actor())
    session.clear()


def _named() -> dict[str, Any]:
    """The session that the cookie names, for a service; nothing where it names none."""
    if "id" not in session:
        return {}
    return {"session_id": session["id"], "user_id": session["user"]}


def account() -> accounts.Account:
    """The account that is logged in."""
    found: accounts.Account = g.staff
    return found


def actor() -> Actor:
    """The account that is logged in, as the audit names it."""
    return replace(anonymous(), user_id=account().id, username=account().username)


def safe_next(path: str) -> str:
    """The path to go on to after the log-in: one of the admin site, whatever was sent."""
    plain = path.isprintable() and "\\" not in path and len(path) <= NEXT_MAX
    return path if plain and path.startswith(at(HOME)) else at(HOME)


def _check() -> AnyResponse | None:
    """Refuse what does not come from one of our own forms, and whoever is not staff now."""
    if not of_admin(request.path):
        return None
    logs_in = request.path.rstrip("/") == LOG_IN.rstrip("/")
    named = _named()
    found = sessions.find_session(**named) if named and not logs_in else None
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        _check_form(known=found is not None)
    target = request.values.get("url", at(HOME))  # where a form goes on to
    if target != safe_next(target):
        raise BadRequest("bad_request", "url must be a page of this site.")
    if logs_in:
        return None
    if found is None:
        if named:
            session.clear()
            flash("Your session has ended; log in again.", "info")
        methods = request.url_rule.methods if request.url_rule else None
        onward = request.full_path.rstrip("?") if "GET" in (methods or ()) else HOME
        return redirect(f"{at(LOG_IN)}?{urlencode({'next': at(onward)})}", 303)
    g.staff = found
    if request.path.rstrip("/") != LOG_OUT.rstrip("/"):
        accounts.require_staff(found)
    return None


def _check_form(*, known: bool) -> None:
    """Read the form, of a stranger's only as much as a log-in needs, and see that it is ours."""
    most, too_large = MAX_BODY_BYTES, "A form may have at most 1 MiB."
    if not known:
        most = ANONYMOUS_BODY_BYTES
        too_large = "The form of somebody who is not logged in may have at most 16 KiB. "
        too_large += "If your session has ended: go back, copy what you typed, log in and paste it."
    with refusals_limited(None if known else by_address()):
        body = read_body(most, too_large)
        request.max_form_memory_size = most
        if body.count(b"&") >= FIELDS_MAX:
            raise BadRequest("body_too_large", f"A form may have at most {FIELDS_MAX} fields.")
        view = current_app.view_functions.get(request.endpoint or "")
        if request.files and not getattr(view, "takes_file", False):
            raise BadRequest("bad_request", "This form sends no files.")
        if not _is_our_form(request.form.get("csrf_token")):
            raise BadRequest(
                "bad_request",
                "This form is out of date: its session has ended. Go back, copy what you typed, "
                "load the page again and paste it.",
            )


def _is_our_form(token: str | None) -> bool:
    """Whether the form was made for this session, before a change of the key too."""
    for key in (current_app.secret_key, *current_app.config["SECRET_KEY_FALLBACKS"]):
        with suppress(ValidationError):
            validate_csrf(token, secret_key=key)
            return True
    return False


# --- answers --------------------------------------------------------------------------------


def _finish(response: Response) -> Response:
    """Errors as pages, with the words that the API has for them; and the policy of the pages."""
    if of_admin(request.path):
        if response.mimetype == MEDIA_TYPE:
            page = render_template("admin/problem.html", problem=response.get_json())
            response.set_data(page)
            response.mimetype = "text/html"
            response.headers.pop("WWW-Authenticate", None)
        response.headers["Content-Security-Policy"] = POLICY
    return response


def init_app(app: Flask, *, secret_key: str, previous: str) -> None:
    """Set up the cookie, and close the admin site."""
    app.config.update(
        SECRET_KEY=signing_key(secret_key),
        SECRET_KEY_FALLBACKS=[signing_key(previous)] if previous else [],
        SESSION_COOKIE_NAME=COOKIE,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,  # a form is good as long as its session
    )
    app.session_interface = CookieSession()
    app.jinja_env.globals["csrf_token"] = generate_csrf
    app.before_request(_check)
    app.after_request(_finish)
