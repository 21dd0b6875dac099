"""Who may call an endpoint: `@signed_in` or `@staff_only`, under `route` and above `arguments`.
And who it is: tokens are made, and checked against their session, here."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from typing import Any

import orjson
from flask import current_app, g, request
from flask_jwt_extended import create_access_token
from werkzeug.exceptions import HTTPException

from booking_app.audit.service import Actor
from booking_app.auth import schemas
from booking_app.auth.accounts import Account, SessionEnded, require_staff
from booking_app.auth.sessions import Caller, OpenSession, find_session, known_addresses
from booking_app.auth.tokens import encode_refresh_token, read_bearer_token, read_claims
from booking_app.core.database import fold
from booking_app.core.outages import is_unavailable
from booking_app.web.fields import INT64_MAX
from booking_app.web.headers import client_address, request_id
from booking_app.web.limits import by_address, network, uncount
from booking_app.web.openapi import Blueprint, View
from booking_app.web.problems import BadRequest

SECURITY: list[dict[str, list[str]]] = [{"bearer": []}]
NAME = schemas.LoginBody().fields["username"]
TOKEN_CODES = ("not_authenticated", "invalid_token", "token_expired")


# --- callers --------------------------------------------------------------------------------


def identify() -> None:
    """Find the account of the request's access token, while its session is open. Raises
    BadRequest and SessionEnded (401)."""
    read_token()
    current_account()


def read_token() -> None:
    """See whose session the request's access token is of; not whether that is open. Raises
    BadRequest and SessionEnded (401)."""
    claims = read_claims(read_bearer_token())
    if claims["type"] == "refresh":
        raise BadRequest("invalid_token", "This is a refresh token; send the access token.")
    session = _session_of(claims) if claims["type"] == "access" else None
    if session is None:
        raise SessionEnded
    g.session = session
    g.pop("account", None)


def _session_of(claims: Mapping[str, Any]) -> dict[str, Any] | None:
    """Whose session a token is of; None for one from before there were sessions."""
    session_id, subject = claims.get("sid"), claims["sub"]
    if type(session_id) is not int or not re.fullmatch("[1-9][0-9]{0,18}", subject):
        return None
    if not (0 < session_id <= INT64_MAX and int(subject) <= INT64_MAX):
        return None
    return {"session_id": session_id, "user_id": int(subject)}


def current_account() -> Account:
    """The account whose access token came with the request; looked up once. Raises SessionEnded."""
    if "account" not in g:
        found = find_session(**g.session)
        if found is None:
            raise SessionEnded
        g.account = found
    account: Account = g.account
    return account


def current_user_id() -> int:
    """The id of the account whose access token came with the request."""
    user_id: int = g.session["user_id"]
    return user_id


def caller() -> Caller:
    """The session of the request's access token, for a service that looks whether it is open."""
    return Caller(**g.session, address=client_address(), request_id=request_id())


def current_session() -> dict[str, Any]:
    """The caller's `session_id` and `user_id`, for a service."""
    session: dict[str, Any] = g.session
    return session


def actor() -> Actor:
    """The caller, as the audit names it."""
    account = current_account()
    return Actor(account.id, account.username, client_address(), request_id())


def anonymous() -> Actor:
    """A caller who has not said yet who it is."""
    return Actor(address=client_address(), request_id=request_id())


def signed_in(view: View) -> View:
    """Decorator: the caller needs an access token of a session that is open."""

    def run(documented: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        identify()
        return documented(*args, **kwargs)

    return _guarded(view, run)


def with_token(view: View) -> View:
    """Decorator: as `signed_in`; but whether the session is open is seen by the first statement of
    the service that the view calls (`caller`), and here only where it does not come to that."""

    def run(documented: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        read_token()
        try:
            return _answer_known(documented, *args, **kwargs)
        except SessionEnded:
            uncount("booking")  # which is its account's, who is still there
            raise

    return _guarded(view, run)


def _guarded(view: View, run: Callable[..., Any]) -> View:
    """The view as one that needs a token: `run` calls it, with its arguments, once there is one."""
    documented = Blueprint.doc(security=SECURITY)(Blueprint.problems(*TOKEN_CODES)(view))

    @wraps(documented)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return run(documented, *args, **kwargs)

    guarded.known_caller = _known_caller  # type: ignore[attr-defined]
    return guarded  # type: ignore[return-value]


def _answer_known(view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the view answers; but nobody whose session is over is told what else is wrong."""
    try:
        return view(*args, **kwargs)
    except (BadRequest, HTTPException):
        current_account()
        raise


def _known_caller() -> str:
    """The caller's account, as calls are counted by it, for what is done before the view runs.
    Without a good token the answer is 401."""
    identify()
    return f"account {by_account()}"


def staff_only(view: View) -> View:
    """Decorator: the caller needs the access token of an account that is staff."""

    @wraps(view)
    def check(*args: Any, **kwargs: Any) -> Any:
        require_staff(current_account())
        return view(*args, **kwargs)

    checked: Callable[..., Any] = Blueprint.problems("staff_only")(check)
    return signed_in(checked)  # type: ignore[return-value]


# --- whose calls are counted together -------------------------------------------------------


def by_account() -> str:
    """Those of the caller's account."""
    return str(current_user_id())


def by_name() -> str:
    """Those that name the account in their body, however it is spelled."""
    return hashlib.sha256(fold(_name()).encode()).hexdigest()


def by_name_or_own_address() -> str:
    """As `by_name`; but apart from all others where the account has logged in from this address, so
    that strangers who guess elsewhere can't lock its owner out."""
    try:
        known = {network(address) for address in known_addresses(username=_name())}
    except Exception as error:
        if not is_unavailable(error):
            raise
        known = set()  # the view will say so; until then the name is counted
    return f"{by_name()} {by_address()}" if by_address() in known else by_name()


def _name() -> str:
    """The account's name in the body or form, which was looked at."""
    sent = request.form or orjson.loads(request.get_data())
    name: str = NAME.deserialize(sent["username"])
    return name


# --- tokens ---------------------------------------------------------------------------------


def tokens(session: OpenSession) -> dict[str, Any]:
    """The pair of tokens of a session. The refresh token is the same each time."""
    identity = str(session.user_id)
    claims = {"sid": session.id}
    lasts: timedelta = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return {
        "access": create_access_token(identity, additional_claims=claims),
        "refresh": encode_refresh_token(
            {"sub": identity, **claims, "jti": session.refresh_id}, expires_at=session.expires_at
        ),
        "expires_in": int(lasts.total_seconds()),
        "token_type": "Bearer",
    }


def read_refresh_token(token: str | None) -> dict[str, Any]:
    """What the refresh token of the request says, `token` of its body or else the one in its
    header: `session_id`, `user_id` and `refresh_id`, for a service."""
    if token is None:
        if "Authorization" not in request.headers:
            raise BadRequest(
                "not_authenticated",
                'Send {"refresh": "<refresh token>"} or `Authorization: Bearer <refresh token>`.',
            )
        token = read_bearer_token()
    claims = read_claims(token, if_expired="The refresh token has expired; log in again.")
    if claims["type"] != "refresh":
        raise BadRequest("invalid_token", "This is an access token; send the refresh token.")
    session = _session_of(claims)
    if session is None:
        raise BadRequest("invalid_token", "The refresh token is of no session; log in again.")
    return {**session, "refresh_id": str(claims["jti"])}


def session_to_end(refresh: str | None) -> dict[str, Any]:
    """Whose session a request to log out ends, for a service: that of the refresh token in its
    body where there is one, else the caller's."""
    if refresh is None:
        identify()
        return {**current_session(), "by": actor()}
    token = read_refresh_token(refresh)
    session = {name: token[name] for name in ("session_id", "user_id")}
    return {**session, "by": replace(anonymous(), user_id=token["user_id"])}
