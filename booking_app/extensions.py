"""The extensions, made unbound, and what every endpoint shares.

`Blueprint` adds two things to flask-smorest's: the codes of the problems an endpoint can
answer, in the document, and the check that a request carries nothing the endpoint does not
know. `check_request` runs before every view.
"""

import copy
import http
import re
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

import flask_smorest
import marshmallow as ma
import orjson
from flask import Flask, Request, Response, current_app, request
from flask.json.provider import JSONProvider
from flask_jwt_extended import JWTManager
from flask_migrate import Migrate
from sqlalchemy.exc import DBAPIError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import BaseConverter

from booking_app import problems
from booking_app.fields import Day, Instant, Money
from booking_app.headers import cacheable

MAX_BODY_BYTES = 1024 * 1024
METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")

PATH_ID_MAX = 10**18 - 1  # 18 digits: no database will ever count further

RETRY_AFTER = {
    "Retry-After": {"description": "In so many seconds.", "schema": {"type": "string"}},
}

# What the parameters of paths are.
PATH_PARAMETERS = {
    "movie_id": "The `id` of a film.",
    "show_id": "The `id` of a show.",
    "cinema_id": "The `id` of a cinema.",
    "screen_id": "The `id` of a screen.",
    "booking_id": "The `id` of one of your bookings.",
    "account_id": "The `id` of an account.",
    "session_id": "The `id` of one of your sessions.",
}

View = TypeVar("View", bound=Callable[..., Any])

TOKENS_REMEMBERED = 10_000


class TokenManager(JWTManager):
    """Reads a token once, not with each request that carries it: the library takes it apart
    twice, which made up a fifth of a booking. Only a token that is good is remembered, by the
    keys it may be signed with, and whether it has expired is looked at each time."""

    def __init__(self) -> None:
        super().__init__()
        self._good: dict[tuple[str, str, str], dict[str, Any]] = {}

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: Any = None, allow_expired: bool = False
    ) -> dict[str, Any]:
        keys = (current_app.config["JWT_SECRET_KEY"], current_app.config["SECRET_KEY_PREVIOUS"])
        token = (*keys, encoded_token)
        claims = self._good.get(token)
        if claims is None or claims.get("exp", 0) <= time.time():
            claims = super()._decode_jwt_from_config(encoded_token, csrf_value, allow_expired)
            if len(self._good) >= TOKENS_REMEMBERED:
                self._good.clear()
            self._good[token] = claims
        return dict(claims)


jwt = TokenManager()
migrate = Migrate()


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


class Blueprint(flask_smorest.Blueprint):
    """A feature's endpoints."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(self._prepare_problems_doc)

    def arguments(
        self, schema: Any, *, location: str = "json", **kwargs: Any
    ) -> Callable[[View], View]:
        schema = schema()  # once: webargs would make a class anew for each request
        decorate = super().arguments(schema, location=location, **kwargs)

        def decorator(view: View) -> View:
            view = decorate(view)
            if location == "query":
                view.query_names = frozenset(schema.fields)  # type: ignore[attr-defined]
            return view

        return decorator

    @staticmethod
    def can_answer(*codes: str) -> Callable[[View], View]:
        """Decorator: the codes, beyond those of every endpoint, that the view can answer."""
        return lambda view: _note(view, "problems", codes)

    @staticmethod
    def public(shared_seconds: int = 0) -> Callable[[View], View]:
        """Decorator: the answer is the same for everybody, and so it may be kept, by shared caches
        for so long without asking (`headers.cacheable`)."""

        def decorator(view: View) -> View:
            @wraps(view)
            def kept(*args: Any, **kwargs: Any) -> Response:
                return cacheable(view(*args, **kwargs), shared_seconds=shared_seconds)

            noted: View = _note(kept, "public", [True])
            return noted

        return decorator

    @staticmethod
    def _prepare_problems_doc(
        doc: dict[str, Any], doc_info: dict[str, Any], *, method: str, **kwargs: Any
    ) -> dict[str, Any]:
        # A query that no endpoint takes is refused everywhere, as is who asks too often; and any
        # may find no database.
        everywhere = {"validation_failed", "rate_limited", "database_unavailable"}
        codes = {*everywhere, *doc_info.get("problems", ())}
        if method.upper() in METHODS_WITH_BODY:
            codes |= {"body_too_large", "malformed_body", "unsupported_media_type"}
        by_status = defaultdict(list)
        for code in sorted(codes):
            by_status[problems.CODES[code].status].append(code)
        responses = doc.setdefault("responses", {})
        if doc_info.get("public"):
            responses[200].setdefault("headers", {})["ETag"] = {
                "description": "Of what is answered.",
                "schema": {"type": "string"},
            }
            responses[304] = {
                "description": "Nothing has changed since the `If-None-Match` of the request."
            }
        for status, names in sorted(by_status.items()):
            headers = {"headers": RETRY_AFTER} if status in problems.WITH_RETRY_AFTER else {}
            schemas = [{"$ref": f"#/components/schemas/{schema_name(name)}"} for name in names]
            responses[status] = headers | {
                "description": "; ".join(
                    f"`{name}`: {problems.CODES[name].title}" for name in names
                ),
                "content": {
                    problems.MEDIA_TYPE: {
                        "schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
                    }
                },
            }
        return doc


def schema_name(code: str) -> str:
    """The component that describes a code's problem: `seat_taken` -> `SeatTakenProblem`."""
    return "".join(word.capitalize() for word in code.split("_")) + "Problem"


def _note(view: Any, name: str, values: Any) -> Any:
    # flask-smorest copies `_apidoc` from wrapper to wrapper and hands it to the doc callbacks.
    doc = getattr(view, "_apidoc", {})
    view._apidoc = {**doc, name: [*doc.get(name, ()), *values]}
    return view


class Api(flask_smorest.Api):
    """The API with its document. `live_examples` gives values for it at each request:
    `{"show_id": 7, ...}`, so that "Try it out" works as it stands."""

    DEFAULT_ERROR_RESPONSE_NAME = None
    live_examples: Callable[[], dict[str, Any]] = staticmethod(dict)

    def _register_error_handlers(self) -> None:
        """`problems.init_app` does this."""

    def _register_responses(self) -> None:
        # flask-smorest refers to these by name; `_prepare_problems_doc` puts ours in their place.
        self.spec.components.response("UNPROCESSABLE_ENTITY", {"description": ""}, lazy=True)
        for code in problems.CODES:
            self.spec.components.schema(schema_name(code), problems.problem_schema(code))

    def _openapi_json(self) -> Response:
        document = copy.deepcopy(self.spec.to_dict())
        try:
            values = self.live_examples()
        except DBAPIError:  # the document does not depend on the database, only its examples do
            values = {}
        for path in document["paths"].values():
            for parameter in path.get("parameters", ()):
                parameter["description"] = PATH_PARAMETERS[parameter["name"]]
                if parameter["name"] in values:
                    parameter["example"] = values[parameter["name"]]
            for operation in path.values():
                if isinstance(operation, dict):
                    _fill_example(operation, values)
        return current_app.response_class(orjson.dumps(document), mimetype="application/json")


def _fill_example(operation: dict[str, Any], values: dict[str, Any]) -> None:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    for name in body.get("example", {}):
        if name in values:
            body["example"][name] = values[name]


class OrjsonProvider(JSONProvider):
    """JSON of the whole app."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        # The errors of a list are by position, and a position is no text.
        return orjson.dumps(obj, option=orjson.OPT_NON_STR_KEYS).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        data = orjson.dumps(self._prepare_response_obj(args, kwargs))
        return Response(data, mimetype="application/json")


class IdConverter(BaseConverter):
    """An id in a path: what no row will ever have as its id matches nothing, so it is 404.

    Decided by the pattern alone: an id that is refused after it would make other methods of the
    path look wrong, which is 405.
    """

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)


api = Api()
api.register_converter(
    IdConverter, lambda converter: {"type": "integer", "minimum": 1, "maximum": PATH_ID_MAX}
)
api.register_field(Money, "string", None)
api.register_field(Instant, "string", "date-time")
api.register_field(Day, "string", "date")


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
    app.json = OrjsonProvider(app)
    app.url_map.converters["id"] = IdConverter
    app.url_map.strict_slashes = False  # a path works with and without its last slash
    app.url_map.merge_slashes = False  # and //api//movies/ is no page that redirects
    jwt.init_app(app)
    problems.init_app(app, jwt)
    app.before_request(check_request)
    app.after_request(no_type_of_nothing)
