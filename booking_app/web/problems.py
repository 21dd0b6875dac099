"""Every error becomes HTTP here, and only here: RFC 9457 `application/problem+json`.

`CODES` is the one table of codes. The answers, the OpenAPI document and the table in the
README are made from it.
"""

import http
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, current_app, json, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from booking_app.core.errors import DomainError, Invalid
from booking_app.core.outages import Down, is_unavailable
from booking_app.web import validation
from booking_app.web.headers import request_id

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
# Problems that say when to ask again; those of limits know it better.
WITH_RETRY_AFTER = ("rate_limited", "database_unavailable", "idempotency_in_progress", "not_ready")

log = logging.getLogger(__name__)

LABELS = {"type": "array", "items": {"type": "string"}}
SHOW_ID = {"type": "integer", "format": "int64", "description": "The show in the way."}
COUNT = {"type": "integer", "format": "int32"}
TITLE = {"type": "string", "description": "Its film."}
TIME = {"type": "string", "format": "date-time"}
ERRORS = {
    "type": "array",
    "description": "What is wrong, value by value.",
    "items": {"$ref": "#/components/schemas/ProblemError"},
}


@dataclass(frozen=True)
class Code:
    """What a code means. `facts`: its extra fields, each with its JSON schema."""

    status: int
    title: str
    retry: bool = False
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


CODES: dict[str, Code] = {
    # the request
    "malformed_body": Code(400, "The body is not readable JSON"),
    "bad_request": Code(400, "The request is not readable"),
    "not_authenticated": Code(401, "An access token is needed"),
    "invalid_token": Code(401, "The token is not valid"),
    "token_expired": Code(401, "The token has expired"),
    "invalid_credentials": Code(401, "The user name or the password is wrong"),
    "staff_only": Code(403, "Only staff may do this"),
    "wrong_password": Code(403, "The old password is wrong"),
    "account_disabled": Code(403, "The account is disabled"),
    "not_your_booking": Code(403, "The booking is another account's"),
    "not_found": Code(404, "Not found"),
    "method_not_allowed": Code(405, "The method is not allowed here"),
    "body_too_large": Code(413, "The body is too large"),
    "unsupported_media_type": Code(415, "The body is not labelled application/json"),
    "rate_limited": Code(429, "Too many requests", retry=True),
    "validation_failed": Code(422, "A value is not allowed", facts={"errors": ERRORS}),
    # the present state
    "username_taken": Code(409, "The user name is taken"),
    "own_account": Code(409, "One's own account can't be changed here"),
    "name_taken": Code(409, "The name is taken"),
    "external_id_taken": Code(409, "The external id is taken"),
    "in_use": Code(409, "It is in use"),
    "upgrade_unfinished": Code(409, "The release before may still serve, and can't read this"),
    "has_bookings": Code(409, "It has bookings"),
    "show_overlap": Code(
        409,
        "Another show is on this screen at that time",
        facts={"show": SHOW_ID, "movie_title": TITLE, "date_time": TIME, "ends_at": TIME},
    ),
    "not_all_shows": Code(
        409,
        "Something is in the way of some of the shows",
        facts={
            "shows": {
                "type": "array",
                "description": "What is in the way of which.",
                "items": {
                    "type": "object",
                    "required": ["show", "code", "detail"],
                    "properties": {
                        "show": {"type": "integer", "format": "int64"},
                        "code": {"type": "string"},
                        "detail": {"type": "string"},
                    },
                },
            }
        },
    ),
    "seats_sold": Code(409, "Seats that would go are sold or held", facts={"seats": LABELS}),
    "pair_split": Code(409, "One seat of a pair goes with the other", facts={"seats": LABELS}),
    "companion_only": Code(
        409, "A companion seat goes with a wheelchair place", facts={"seats": LABELS}
    ),
    "seat_taken": Code(409, "A seat is taken", retry=True, facts={"seats": LABELS}),
    "sold_out": Code(409, "No seat is left", retry=True),
    "no_adjacent_seats": Code(
        409,
        "Not enough seats side by side are left",
        retry=True,
        facts={"largest_block": {**COUNT, "description": "The most that are."}},
    ),
    "single_gap": Code(409, "A single seat would be left alone", facts={"seats": LABELS}),
    "too_many_holds": Code(
        409,
        "The account would hold too many seats of the show",
        facts={"held": COUNT, "most": COUNT},
    ),
    "too_many_seats": Code(
        409,
        "The account would have too many seats of the show",
        facts={"held": COUNT, "most": COUNT},
    ),
    "hold_expired": Code(409, "The hold has expired"),
    "hold_limit": Code(409, "The hold can't be made longer"),
    "not_held": Code(409, "The booking is confirmed already"),
    "not_on_sale": Code(409, "The show is withdrawn from sale"),
    "not_on_sale_yet": Code(409, "The sale has not begun", retry=True, facts={"sales_from": TIME}),
    "sales_closed": Code(409, "The sale is over"),
    "already_cancelled": Code(409, "The booking is cancelled already"),
    "too_late": Code(409, "It is too late to cancel"),
    # retries
    "idempotency_key_reused": Code(422, "The Idempotency-Key came with another request before"),
    "idempotency_in_progress": Code(
        409, "A request in progress is in the way; ask again with this key", retry=True
    ),
    # the server
    "internal_error": Code(500, "A defect in this server"),
    "not_ready": Code(503, "This server is not ready", retry=True),
    "database_unavailable": Code(503, "The database can't be reached just now", retry=True),
}


def problem_schema() -> dict[str, Any]:
    """The JSON schema of every problem. The facts of a case are optional, each of one type whatever
    the code: clients in any language read it as one flat object."""
    always: dict[str, Any] = {
        "type": {"type": "string", "description": "A URN of the code."},
        "title": {"type": "string", "description": "What the code means."},
        "status": COUNT,
        "detail": {"type": "string", "description": "This very case, for a person to read."},
        "code": {"type": "string", "description": "For programs; codes don't change."},
        "request_id": {"type": "string", "description": "As in the log, to ask about the case."},
    }
    facts: dict[str, Any] = {}
    for name in dict.fromkeys(name for entry in CODES.values() for name in entry.facts):
        facts[name] = next(entry.facts[name] for entry in CODES.values() if name in entry.facts)
    return {
        "type": "object",
        "description": "Why a call was refused (RFC 9457). `code` says what else is there.",
        "required": list(always),
        "properties": always | facts,
    }


def problem_type(code: str) -> str:
    return f"urn:problem-type:{code}"


def problem(
    code: str, detail: str, *, headers: Mapping[str, str] | None = None, **facts: Any
) -> Response:
    """The answer for `code`. `facts` are the extra fields that `CODES` lists for it."""
    entry = CODES[code]
    body = {
        "type": problem_type(code),
        "title": entry.title,
        "status": entry.status,
        "detail": detail,
        "code": code,
        "request_id": request_id(),
        **facts,
    }
    response = current_app.response_class(
        json.dumps(body), status=entry.status, mimetype=MEDIA_TYPE, headers=dict(headers or {})
    )
    if entry.status == http.HTTPStatus.UNAUTHORIZED:
        # RFC 6750, section 3: no error where no token was sent
        failed = code in ("invalid_token", "token_expired")
        challenge = 'Bearer realm="api"' + (', error="invalid_token"' if failed else "")
        response.headers["WWW-Authenticate"] = challenge
    if code in WITH_RETRY_AFTER:
        response.headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return response


class BadRequest(Exception):
    """Raised where a request is read: `code` and facts as for `problem`."""

    def __init__(self, code: str, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.facts = facts


def invalid(place: str, errors: Mapping[str, Any]) -> BadRequest:
    """422: marshmallow's `errors` by field, of the values in `place` (json, query, headers)."""
    found = validation.told(place, errors)
    first = found[0]
    where = first["pointer"][1:] if "pointer" in first else first["name"]
    detail = f"{where}: {first['detail']}" if where else first["detail"]
    return BadRequest("validation_failed", detail, errors=found)


def init_app(app: Flask) -> None:
    """Give every error of the app the one form."""
    app.register_error_handler(DomainError, _domain_error)
    app.register_error_handler(BadRequest, _bad_request)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, _unexpected)


def _domain_error(error: DomainError) -> Response:
    facts = error.facts
    if isinstance(error, Invalid):
        facts = {"errors": validation.of_data(error)}
    return problem(error.code, error.detail, **facts)


def _bad_request(error: BadRequest) -> Response:
    return problem(error.code, error.detail, **error.facts)


HTTP_CODES = {
    404: ("not_found", "There is nothing at this path."),
    405: ("method_not_allowed", "This path does not have that method; see the Allow header."),
    413: ("body_too_large", "The body has more bytes or parts than are read here."),
}


def http_error(error: HTTPException) -> Response:
    """What Flask and Werkzeug raise. Anything but these is a request that could not be read."""
    # A response within is our own already: of the limiter's 429.
    if error.code is not None and (error.code < 400 or error.response is not None):
        return error.get_response()  # type: ignore[return-value]
    if error.code is not None and error.code >= 500:
        return _unexpected(error)
    if isinstance(error, NotFound) and not request.path.endswith("/"):
        # Without its last slash a path is found only for the methods that it has.
        try:
            current_app.create_url_adapter(request).match(request.path + "/")  # type: ignore
        except MethodNotAllowed as with_slash:
            error = with_slash
        except HTTPException:
            pass
    code, detail = HTTP_CODES.get(error.code or 400, ("bad_request", str(error.description)))
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return problem(code, detail, headers=headers)


def _unexpected(error: Exception) -> Response:
    if is_unavailable(error):
        if not isinstance(error, Down):
            log.warning("request %s: database unavailable: %r", request_id(), error)
        return problem(
            "database_unavailable",
            "The database did not answer in time. If this was a write without an answer before, "
            "look whether it was done.",
        )
    log.error("request %s failed", request_id(), exc_info=error)
    return problem("internal_error", "This is a defect; it was logged under the request id.")
