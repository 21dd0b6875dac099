"""What is checked of every request before its view runs, and how bodies and queries are read."""

import http
import re
from typing import Any, NoReturn

import marshmallow as ma
import orjson
from flask import Flask, Request, Response, current_app, request
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import BaseConverter

from booking_app.web import problems

MAX_BODY_BYTES = 1024 * 1024
METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
PATH_ID_MAX = 10**18 - 1  # 18 digits: no database will ever count further


class Parser(FlaskParser):
    """Reads bodies and queries; what is wrong is raised as `problems.BadRequest`."""

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        """The body. An empty one counts as `{}`: a schema says itself what it must have."""
        body = req.get_data()
        if not body:
            return {}
        try:
            # Refuses what json.loads lets through: NaN, lone surrogates, endless nesting.
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}: {error.msg}"
            raise problems.BadRequest(
                "malformed_body", f"The body is not readable JSON: {where}."
            ) from error

    def handle_error(self, error: ma.ValidationError, *args: Any, **kwargs: Any) -> NoReturn:
        ((place, errors),) = error.messages_dict.items()
        raise problems.invalid(place, errors) from error


class IdConverter(BaseConverter):
    """An id in a path: what no row will ever have as its id matches nothing, so it is 404.

    Decided by the pattern alone: an id that is refused after it would make other methods of the
    path look wrong, which is 405.
    """

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)


def check_request() -> None:
    """Refuse what an endpoint of the API does not know, before its view runs: a body that is too
    large or is not labelled JSON (a form-labelled one would be read as empty, and an empty body
    can mean "everything"), and unknown or repeated query parameters."""
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or not request.path.startswith("/api/"):
        return
    _drop_empty_credentials()
    if request.method in METHODS_WITH_BODY:
        length = request.content_length
        if length is not None and length > MAX_BODY_BYTES:
            raise problems.BadRequest("body_too_large", "The body may have at most 1 MiB.")
        if read_body() and not re.fullmatch(r"application/([a-z0-9.-]+\+)?json", request.mimetype):
            raise problems.BadRequest(
                "unsupported_media_type", "Send the body with `Content-Type: application/json`."
            )
    if request.query_string:
        allowed: frozenset[str] = getattr(view, "query_names", frozenset())
        errors = {}
        for name, values in request.args.lists():
            if name not in allowed:
                errors[name] = ["Unknown parameter."]
            elif len(values) > 1:
                errors[name] = ["May be given once."]
        if errors:
            raise problems.invalid("query", errors)


def _drop_empty_credentials() -> None:
    """Leave out what stands between two commas and is nothing: the reader of tokens stumbles over
    it, although RFC 9110, section 5.6.1, has it ignored."""
    sent = request.headers.get("Authorization", "")
    if "," in sent:
        request.environ["HTTP_AUTHORIZATION"] = ",".join(filter(str.strip, sent.split(",")))


def read_body() -> bytes:
    """The body, all of it: one cut short could be a complete and quite different request."""
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        raise
    except Exception as error:  # of the server's input stream, each server has its own
        raise problems.BadRequest("malformed_body", "The body could not be read.") from error
    if request.content_length is not None and len(body) != request.content_length:
        raise problems.BadRequest(
            "malformed_body",
            f"The body ended after {len(body)} of {request.content_length} bytes.",
        )
    return body


def no_type_of_nothing(response: Response) -> Response:
    """A 204 has no body, so it has no media type either."""
    if response.status_code == http.HTTPStatus.NO_CONTENT:
        response.headers.pop("Content-Type", None)
    return response


def init_app(app: Flask) -> None:
    """Set up what must be there before blueprints register."""
    app.url_map.converters["id"] = IdConverter
    app.url_map.strict_slashes = False  # a path works with and without its last slash
    app.url_map.merge_slashes = False  # and //api//movies/ is no page that redirects
    app.before_request(check_request)
    app.after_request(no_type_of_nothing)
