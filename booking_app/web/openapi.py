"""The OpenAPI document: what `Blueprint` notes of each endpoint, and `Api` makes of it.

`Blueprint` adds two things to flask-smorest's: the codes of the problems an endpoint can
answer, which `Answers` puts into the document, and the check that a request carries nothing the
endpoint does not know.
"""

import copy
import http
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, TypeVar

import flask_smorest
import marshmallow as ma
import orjson
from apispec import BasePlugin
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from booking_app.core.outages import is_unavailable
from booking_app.web import problems
from booking_app.web.answer_examples import example_of
from booking_app.web.field_schemas import ATTRIBUTES, Converter
from booking_app.web.fields import Day, Instant, Money
from booking_app.web.header_schemas import HEADERS, PARAMETERS, add_headers, add_parameters
from booking_app.web.headers import cacheable, own, tagged
from booking_app.web.paging import Cursor
from booking_app.web.prefix import at
from booking_app.web.requests import METHODS_WITH_BODY, PATH_ID_MAX, IdConverter, Parser, in_words
from booking_app.web.validation import ERROR_SCHEMA, with_codes

LINK_BODY = "x-request-body"

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

NOTHING = in_words(ma.Schema())

View = TypeVar("View", bound=Callable[..., Any])


class Blueprint(flask_smorest.Blueprint):
    """A feature's endpoints."""

    ARGUMENTS_PARSER = Parser()

    def arguments(
        self, schema: Any, *, location: str = "json", **kwargs: Any
    ) -> Callable[[View], View]:
        # once: webargs would make a class anew for each request
        schema = with_codes(in_words(schema()))
        decorate = super().arguments(schema, location=location, **kwargs)

        def decorator(view: View) -> View:
            view = decorate(view)
            if location == "query":
                names = (field.data_key or name for name, field in schema.fields.items())
                view.query_names = frozenset(names)  # type: ignore[attr-defined]
            return view

        return decorator

    @classmethod
    def no_body(cls, view: View) -> View:
        """Decorator: the call takes no body. `{}` and `null`, which clients send for none, count as
        none; anything in it is refused."""

        @wraps(view)
        def checked(*args: Any, **kwargs: Any) -> Any:
            cls.ARGUMENTS_PARSER.parse(NOTHING, location="json")
            return view(*args, **kwargs)

        return checked  # type: ignore[return-value]

    @staticmethod
    def problems(*codes: str) -> Callable[[View], View]:
        """Decorator: the codes, beyond those of every endpoint, that the view can answer."""

        def decorator(view: View) -> View:
            earlier = getattr(view, "problems", ())
            view.problems = (*earlier, *codes)  # type: ignore[attr-defined]
            return view

        return decorator

    @staticmethod
    def leads_to(
        *operation_ids: str, body: Mapping[str, str] | None = None, **path_parameters: str
    ) -> Callable[[View], View]:
        """Decorator: which calls come next, and what of this call's answer is their path
        parameters, by JSON pointer, or their body, as runtime expressions of OpenAPI."""

        def decorator(view: View) -> View:
            # As an extension: openapi-generator refuses a document with a `requestBody` here that
            # is no text.
            link: dict[str, Any] = {LINK_BODY: dict(body)} if body else {}
            if path_parameters:
                link["parameters"] = {
                    name: f"$response.body#{pointer}" for name, pointer in path_parameters.items()
                }
            made = {name: {"operationId": name, **link} for name in operation_ids}
            view.links = getattr(view, "links", {}) | made  # type: ignore[attr-defined]
            return view

        return decorator

    @staticmethod
    def without_database(view: View) -> View:
        """Decorator: the view asks no database, so it is never missing."""
        view.without_database = True  # type: ignore[attr-defined]
        return view

    @staticmethod
    def public(shared_seconds: int = 0) -> Callable[[View], View]:
        """Decorator: the answer is the same for everybody, and so it may be kept, by shared caches
        for so long without asking (`headers.cacheable`)."""
        return _answering(lambda answer: cacheable(answer, shared_seconds=shared_seconds))

    @staticmethod
    def own(view: View) -> View:
        """Decorator, under `signed_in`: the answer is the caller's own (`headers.own`)."""
        return _answering(own)(view)

    @staticmethod
    def tagged(view: View) -> View:
        """Decorator, under `staff_only`: the answer may not be kept by any cache, but a caller who
        still has it gets 304 (`headers.tagged`)."""
        return _answering(tagged)(view)


def _answering(finish: Callable[[Response], Response]) -> Callable[[View], View]:
    """Decorator: the view's answer is finished so, with an ETag or as 304."""

    def decorator(view: View) -> View:
        @wraps(view)
        def finished(*args: Any, **kwargs: Any) -> Response:
            return finish(view(*args, **kwargs))

        finished.has_304 = True  # type: ignore[attr-defined]
        return finished  # type: ignore[return-value]

    return decorator


class Answers(BasePlugin):
    """A plugin of apispec: adds to each operation what `Blueprint` noted of its view.

    It comes last, and so replaces what flask-smorest says of errors.
    """

    def __init__(self, views: Mapping[str, Callable[..., Any]]) -> None:
        self.views = views
        self.operation_ids: set[str] = set()

    def operation_helper(
        self, path: str | None = None, operations: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        view = self.views[kwargs["rule"].endpoint]
        for method, operation in (operations or {}).items():
            operation["operationId"] = self._operation_id(view.__name__)
            operation.setdefault("security", [])  # said, or a client would ask for a token
            responses = operation.setdefault("responses", {})
            asks = getattr(view, "has_304", False)
            add_parameters(operation, *(("IfNoneMatch",) if asks else ()))
            if asks:
                responses[304] = {
                    "description": "Nothing has changed since the `If-None-Match` of the request."
                }
            for status, response in responses.items():
                if int(status) < http.HTTPStatus.BAD_REQUEST:
                    add_headers(response, *_headers_of(view, int(status)))
                    response["headers"] |= getattr(view, "answer_headers", {})
                    if "content" in response and (links := getattr(view, "links", {})):
                        response["links"] = links
            errors = _errors(method, getattr(view, "problems", ()))
            if getattr(view, "without_database", False):
                del errors[problems.CODES["database_unavailable"].status]
            responses |= errors

    def _operation_id(self, name: str) -> str:
        """`book_seats` -> `bookSeats`: what the call is in clients that are generated."""
        first, *others = name.split("_")
        made = first + "".join(word.capitalize() for word in others)
        if made in self.operation_ids:
            raise ValueError(f"two views are named {name}")
        self.operation_ids.add(made)
        return made


def _headers_of(view: Callable[..., Any], status: int) -> Iterator[str]:
    """What an answer of the view has beyond the headers of every answer."""
    asks = getattr(view, "has_304", False)
    if (asks or getattr(view, "has_edition", False)) and status != http.HTTPStatus.NO_CONTENT:
        yield "ETag"
    if asks:
        yield "CacheControl"


def _errors(method: str, codes: Iterable[str]) -> dict[int | str, Any]:
    """The responses for the problems with these codes, and for those of every endpoint."""
    # A query that no endpoint takes or that can't be read is refused everywhere, as is who asks too
    # often; and any may find no database.
    every = {"validation_failed", "bad_request", "rate_limited", "database_unavailable", *codes}
    if method.upper() in METHODS_WITH_BODY:
        every |= {"body_too_large", "malformed_body", "unsupported_media_type"}
    by_status = defaultdict(list)
    for code in sorted(every):
        by_status[problems.CODES[code].status].append(code)
    responses: dict[int | str, Any] = {}
    for status, names in sorted(by_status.items()):
        responses[status] = _response(
            "; ".join(f"`{name}`: {problems.CODES[name].title}" for name in names),
            # Beside its reference, and not as `properties`, of which openapi-generator makes
            # another type: clients know one type of problem, and this says which codes it has.
            {"dependentSchemas": {"code": {"properties": {"code": {"enum": names}}}}},
        )
        with_them = []
        if status == http.HTTPStatus.UNAUTHORIZED:
            with_them.append("WwwAuthenticate")
        if status == http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            with_them += ["AcceptEncoding", "AcceptPatch" if method == "patch" else "Accept"]
        if not set(problems.WITH_RETRY_AFTER).isdisjoint(names):
            with_them.append("RetryAfter")
        add_headers(responses[status], *with_them)
    responses["default"] = _response("Any other problem, such as one of the server.")
    add_headers(responses["default"])
    return responses


def _response(description: str, narrowed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem", **(narrowed or {})}
    return {"description": description, "content": {problems.MEDIA_TYPE: {"schema": schema}}}


class Api(flask_smorest.Api):
    """The API with its document. `live_examples` gives values for it at each request:
    `{"show_id": 7, ...}`, so that "Try it out" works as it stands."""

    DEFAULT_ERROR_RESPONSE_NAME = None
    ERROR_SCHEMA = {"type": "object"}  # nobody sees it: `Answers` says what errors are
    live_examples: Callable[[], dict[str, Any]] = staticmethod(dict)
    _made = b""

    def init_app(self, app: Flask, **kwargs: Any) -> None:
        marshmallow_plugin = MarshmallowPlugin()
        marshmallow_plugin.Converter = Converter
        spec = {
            "marshmallow_plugin": marshmallow_plugin,
            "extra_plugins": [Answers(app.view_functions)],
        }
        super().init_app(app, spec_kwargs=spec, **kwargs)
        for attributes in ATTRIBUTES:
            self.ma_plugin.converter.add_attribute_function(attributes)
        self.spec.components.schema("Problem", problems.problem_schema())
        self.spec.components.schema("ProblemError", ERROR_SCHEMA)
        for name, told in HEADERS.items():
            self.spec.components.header(name, told)
        for name, told in PARAMETERS.items():
            self.spec.components.parameter(name, told["in"], told)
        self._made = b""
        app.add_url_rule("/openapi.json", "openapi", self.serve)

    def handle_http_exception(self, error: HTTPException) -> Response:
        return problems.http_error(error)

    def serve(self) -> Response:
        """The document, as JSON."""
        document = self._document()
        try:
            values = self.live_examples()
        except Exception as error:
            if not is_unavailable(error):
                raise
            values = {}  # the document does not depend on the database, only its examples do
        for path in document["paths"].values():
            for parameter in path.get("parameters", ()):
                if parameter["name"] in values:
                    parameter["example"] = values[parameter["name"]]
            for operation in path.values():
                if isinstance(operation, dict):
                    _fill_example(operation, values)
        document["servers"] = [{"url": at("") or "/", "description": "This server."}]
        return cacheable(Response(orjson.dumps(document), mimetype="application/json"))

    def _document(self) -> dict[str, Any]:
        """What is the same in the document at each request: made at the first, when all views are
        known."""
        if not self._made:
            document = copy.deepcopy(self.spec.to_dict())
            _drop_unused(document)
            for path in document["paths"].values():
                for parameter in path.get("parameters", ()):
                    parameter["description"] = PATH_PARAMETERS[parameter["name"]]
                for operation in path.values():
                    if isinstance(operation, dict):
                        _add_examples(operation, document["components"]["schemas"])
            self._made = orjson.dumps(document)
        made: dict[str, Any] = orjson.loads(self._made)
        return made


def _drop_unused(document: dict[str, Any]) -> None:
    """Without the schemas that flask-smorest adds and nothing refers to."""
    text = orjson.dumps(document).decode()
    schemas = document["components"]["schemas"]
    for name in [name for name in schemas if f'"#/components/schemas/{name}"' not in text]:
        del schemas[name]


def _fill_example(operation: dict[str, Any], values: dict[str, Any]) -> None:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    for name in body.get("example", {}):
        if name in values:
            body["example"][name] = values[name]


def _add_examples(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Give each answer that is JSON an example."""
    for response in operation["responses"].values():
        if content := response.get("content", {}).get("application/json"):
            content.setdefault("example", example_of(content["schema"], schemas))


api = Api()
api.register_converter(
    IdConverter,
    lambda converter: {"type": "integer", "format": "int64", "minimum": 1, "maximum": PATH_ID_MAX},
)
api.register_field(Money, "string", None)
api.register_field(Instant, "string", "date-time")
api.register_field(Day, "string", "date")
api.register_field(Cursor, "string", None)
