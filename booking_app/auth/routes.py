"""Signing up, logging in, sessions; for staff, accounts and the audit."""

from datetime import timedelta
from typing import Any

from flask import current_app, request

from booking_app.audit import service as audit
from booking_app.auth import accounts, own_account, refreshes, schemas, sessions
from booking_app.auth.access import (
    SECURITY,
    TOKEN_CODES,
    actor,
    anonymous,
    by_account,
    by_name,
    by_name_or_own_address,
    current_account,
    current_session,
    current_user_id,
    read_refresh_token,
    session_to_end,
    signed_in,
    staff_only,
    tokens,
)
from booking_app.auth.tokens import present_keys
from booking_app.core.editions import IfMatch
from booking_app.web.conditional import edition, if_match
from booking_app.web.limits import limited, reset
from booking_app.web.openapi import Blueprint
from booking_app.web.paging import (
    CURSOR_HEADERS,
    HEADER,
    PageQuery,
    cursor_headers,
    page_headers,
)
from booking_app.web.prefix import LOCATION, location

blp = Blueprint(
    "auth",
    __name__,
    url_prefix="/api",
    description="Sign up, log in, see your sessions; for staff, accounts and the audit.",
)

EXAMPLE_LOGIN = {"username": "alice", "password": "correct-horse-battery"}
EXAMPLE_REFRESH = {"refresh": "<refresh token>"}
EXAMPLE_PASSWORD = {
    "old_password": "correct-horse-battery",
    "new_password": "staple-battery-horse",
}


@blp.route("/signup/", methods=["POST"])
@blp.arguments(schemas.SignupBody, example={**EXAMPLE_LOGIN, "email": "alice@example.org"})
@limited("sign_up_name", by_name)
@limited("sign_up")
@blp.response(201, schemas.Account, headers=LOCATION)
@blp.problems("username_taken")
@blp.leads_to(
    "logIn", body={"username": "$request.body#/username", "password": "$request.body#/password"}
)
def sign_up(data: dict[str, Any]) -> Any:
    """Sign up

    Makes an account. Then log in to get tokens.
    """
    return accounts.create_user(by=anonymous(), **data), location("/api/me/")


@blp.route("/login/", methods=["POST"])
@blp.arguments(schemas.LoginBody, example=EXAMPLE_LOGIN)
@limited("log_in_name", by_name_or_own_address)
@limited("log_in_failures")
@limited("log_in")
@blp.response(200, schemas.Tokens)
@blp.problems("invalid_credentials", "account_disabled")
@blp.leads_to("listMovies", "listShows", "listMyBookings")
@blp.leads_to("refreshTokens", "logOut", body={"refresh": "$response.body#/refresh"})
def log_in(data: dict[str, Any]) -> Any:
    """Log in

    Opens a session. Answers an access token, which goes into the `Authorization: Bearer` header
    of other calls (Swagger UI sends it by itself), and a refresh token to get the next pair with.
    An unknown name and a wrong password are answered alike.
    """
    opened = sessions.log_in(by=anonymous(), **_client(), **data)
    reset("log_in_name")
    return tokens(opened)


@blp.route("/token/refresh/", methods=["POST"])
@blp.arguments(schemas.RefreshBody, required=False, example=EXAMPLE_REFRESH)
@limited("refresh")
@blp.response(200, schemas.Tokens)
@blp.problems(*TOKEN_CODES)
def refresh_tokens(data: dict[str, Any]) -> Any:
    """Get new tokens

    Takes the refresh token, `refresh` of the answer of *Log in*, in the body, or in the
    `Authorization: Bearer` header with no body. It is spent by that. For 30 seconds it gets the
    same next refresh token again, for two tabs or an answer that was lost; one that comes later
    may be stolen, and ends its session.
    """
    token = read_refresh_token(data.get("refresh"))
    opened = refreshes.refresh_session(**token, keys=present_keys(), by=anonymous(), **_client())
    return tokens(opened)


@blp.route("/logout/", methods=["POST"])
@blp.arguments(schemas.LogoutBody, required=False, example={})
@blp.response(204)
@blp.doc(security=[*SECURITY, {}])
@blp.problems(*TOKEN_CODES)
def log_out(data: dict[str, Any]) -> None:
    """Log out

    Ends the session of the access token in the header or, where it is sent, of the refresh token
    in the body: both are refused from the next request on. Other sessions live on.
    """
    sessions.log_out(**session_to_end(data.get("refresh")))


@blp.route("/me/", methods=["GET"])
@signed_in
@blp.response(200, schemas.Account)
def get_me() -> Any:
    """Show your account

    The account whose access token the request carries.
    """
    return current_account()


@blp.route("/me/", methods=["PATCH"])
@signed_in
@blp.arguments(schemas.MePatch, required=False, example={"name": "Alice"})
@limited("password", by_account)
@blp.response(200, schemas.Account)
@blp.problems("wrong_password")
def update_me(data: dict[str, Any]) -> Any:
    """Change your account

    Its name, and its e-mail address, which takes your password too; null takes one away.
    """
    password = data.pop("password", None)
    return own_account.update_own_account(
        user_id=current_user_id(), changes=data, password=password, by=actor()
    )


@blp.route("/me/password/", methods=["PUT"])
@signed_in
@blp.arguments(schemas.PasswordBody, example=EXAMPLE_PASSWORD)
@limited("password", by_account)
@blp.response(204)
@blp.problems("wrong_password")
def change_password(data: dict[str, Any]) -> None:
    """Change your password

    Ends every other session of the account; this one goes on.
    """
    own_account.change_password(**current_session(), by=actor(), **data)


@blp.route("/me/sessions/", methods=["GET"])
@signed_in
@blp.own
@blp.arguments(PageQuery, location="query")
@blp.response(200, schemas.OpenSession(many=True), headers=HEADER)
@blp.leads_to("endSession", session_id="/0/id")
def list_sessions(query: dict[str, Any]) -> Any:
    """List your sessions

    Where you are logged in, newest first.
    """
    page = sessions.list_sessions(**current_session(), **query)
    return page.items, page_headers(page)


@blp.route("/me/sessions/<id:session_id>/", methods=["DELETE"])
@signed_in
@blp.response(204)
@blp.problems("not_found")
def end_session(session_id: int) -> None:
    """End one of your sessions

    Its tokens are refused from the next request on.
    """
    sessions.end_session(session_id=session_id, user_id=current_user_id(), by=actor())


@blp.route("/accounts/", methods=["GET"])
@staff_only
@blp.tagged
@blp.arguments(schemas.AccountQuery, location="query")
@blp.response(200, schemas.StaffsAccount(many=True), headers=HEADER)
@blp.leads_to("getAccount", "updateAccount", account_id="/0/id")
def list_accounts(query: dict[str, Any]) -> Any:
    """List accounts

    For staff. By name; `search` narrows the list.
    """
    page = accounts.list_accounts(**query)
    return page.items, page_headers(page)


@blp.route("/accounts/<id:account_id>/", methods=["GET"])
@staff_only
@blp.tagged
@blp.response(200, schemas.StaffsAccount)
@edition(accounts.account_edition)
@blp.problems("not_found")
def get_account(account_id: int) -> Any:
    """Show an account

    For staff.
    """
    return accounts.get_account(user_id=account_id)


@blp.route("/accounts/<id:account_id>/", methods=["PATCH"])
@staff_only
@if_match
@blp.arguments(schemas.AccountPatch, required=False, example={"is_disabled": False})
@blp.response(200, schemas.StaffsAccount)
@edition(accounts.account_edition)
@blp.problems("not_found", "own_account")
def update_account(data: dict[str, Any], account_id: int, if_match: IfMatch | None) -> Any:
    """Change an account's role, disable or enable it

    For staff. Disabling ends the account's sessions at once. Nobody can change their own
    account here, so there is always somebody left who can.
    """
    return accounts.update_account(user_id=account_id, if_match=if_match, by=actor(), **data)


@blp.route("/audit/", methods=["GET"])
@staff_only
@blp.tagged
@blp.arguments(schemas.AuditQuery, location="query")
@blp.response(200, schemas.AuditEvent(many=True), headers=CURSOR_HEADERS)
def list_audit_events(query: dict[str, Any]) -> Any:
    """List what was done

    For staff. Log-ins, refused log-ins, log-outs, new passwords and roles, and every change of the
    catalogue with its values before and after; newest first. By cursor (`after`) none comes twice
    or is left out while others are added.
    """
    part = audit.list_events(**query)
    return part.items, cursor_headers(part, schemas.AFTER)


def _client() -> dict[str, Any]:
    """What a session keeps of the program that opens or refreshes it, and how long it lasts."""
    lasts = timedelta(days=current_app.config["REFRESH_TOKEN_DAYS"])
    return {"user_agent": request.user_agent.string, "lasts": lasts}
