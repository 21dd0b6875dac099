"""What is checked of every request before its view runs, and how bodies and queries are read."""

import http
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

import marshmallow as ma
import orjson
from flask import Flask, Request, Response, current_app, request
from marshmallow import fields, validate
from webargs.flaskparser import FlaskParser
from werkzeug.routing import BaseConverter

from booking_app.web import limits, problems
from booking_app.web.fields import ByType, Coded
from booking_app.web.validation import ERRORS_SHOWN

KIB = 1024
MAX_BODY_BYTES = 1024 * KIB
# The largest that such a call needs, a sign-up with every character escaped, has 8 KiB.
ANONYMOUS_BODY_BYTES = 16 * KIB
# Lists and objects in one body. A seat plan needs some 6,000, were each of its 5,000 seats one;
# 350,000 fit into 1 MiB, and take orjson 0.3 s.
CONTAINERS_MAX = 20_000
MAX_HEADER_BYTES = 8 * KIB  # as gunicorn has it for each line
JSON = "application/json"
METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
MUST_BE_OBJECT = "Must be an object, in braces."
# What can stand in a Host header (RFC 9110, section 7.2); no comma, by which gunicorn joins two.
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(:[0-9]*)?")
PATH_ID_MAX = 10**18 - 1  # 18 digits: no database will ever count further
# Keys of a request's environment.
COUNTED_BY = "booking_app.refused_bodies_counted_by"
LARGE_HEADERS = "booking_app.large_headers"


class Parser(FlaskParser):
    """Reads bodies and queries; what is wrong is raised as `problems.BadRequest`."""

    def __init__(self) -> None:
        super().__init__()
        self._of_nothing: dict[Any, dict[str, Any]] = {}

    def parse(self, argmap: Any, req: Request | None = None, **kwargs: Any) -> Any:
        """What was sent, as its schema reads it. A query of nothing is read once."""
        if kwargs.get("location") != "query" or request.query_string:
            return super().parse(argmap, req, **kwargs)
        read = self._of_nothing.get(argmap)
        if read is None:
            read = self._of_nothing[argmap] = super().parse(argmap, req, **kwargs)
        return dict(read)

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        """The body. An empty one counts as `{}`: a schema says itself what it must have. So does
        `null`, which is what some clients write for none."""
        body = req.get_data()
        if not body:
            return {}
        try:
            sent = _parsed(body, schema)
        except problems.BadRequest:
            _count_refusal()
            raise
        return {} if sent is None else sent

    def handle_error(
        self, error: ma.ValidationError, req: Request, *args: Any, **kwargs: Any
    ) -> NoReturn:
        ((place, errors),) = error.messages_dict.items()
        if place == "json" and len(req.get_data()) > ANONYMOUS_BODY_BYTES:
            _count_refusal()
        raise problems.invalid(place, errors) from error


def _parsed(body: bytes, schema: ma.Schema) -> Any:
    containers = body.count(b"[") + body.count(b"{")
    if containers > CONTAINERS_MAX:
        message = f"Has {containers} lists and objects; at most {CONTAINERS_MAX} are read."
        raise problems.invalid("json", {"_schema": [Coded(message, "too_many")]})
    try:
        # Refuses what json.loads lets through: NaN, lone surrogates, endless nesting.
        sent = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise problems.BadRequest(
            "malformed_body", f"The body is not readable JSON: {where}."
        ) from error
    # With fewer commas nothing can be far too many.
    if body.count(b",") > ERRORS_SHOWN and (found := surplus(sent, schema)):
        raise problems.invalid("json", found)
    return sent


def in_words(schema: ma.Schema) -> ma.Schema:
    """The same schema, which says, as do those within it, that an object is due where it is
    something else: marshmallow's "Invalid input type." tells nobody what to send."""
    schema.error_messages["type"] = MUST_BE_OBJECT
    for field in schema.load_fields.values():
        _in_words(field)
    return schema


def _in_words(field: fields.Field[Any]) -> None:
    if isinstance(field, fields.Nested):
        in_words(field.schema)
    elif isinstance(field, fields.List):
        _in_words(field.inner)
    elif isinstance(field, fields.Dict):
        field.error_messages["invalid"] = MUST_BE_OBJECT
    elif isinstance(field, ByType):
        for one in field.alternatives.values():
            _in_words(one)


def surplus(sent: Any, of: ma.Schema | fields.Field[Any]) -> Any:
    """The first object with many more names, or list with more items, than `of` can have: its one
    error, at its place. None where there is none.

    marshmallow makes an error for each of 100,000 unknown names, and looks at each of as many
    prices before it counts them.
    """
    if isinstance(of, ByType):
        of = of.for_value(sent) or of
    if isinstance(of, fields.Nested):
        of = of.schema
    parts: Iterable[tuple[Any, Any, Any]] = ()
    if isinstance(of, ma.Schema) and isinstance(sent, dict):
        possible = {field.data_key or name: field for name, field in of.load_fields.items()}
        if len(sent) > len(possible) + ERRORS_SHOWN:  # else each is told by its name
            return {"_schema": [_too_many_names(len(sent), len(possible))]}
        parts = ((name, sent[name], field) for name, field in possible.items() if name in sent)
    elif isinstance(of, fields.Dict) and isinstance(sent, dict):
        most = _most(of)
        if len(sent) > most:
            return [_too_many_names(len(sent), most)]
        parts = ((name, value, of.value_field) for name, value in sent.items())
    elif isinstance(of, fields.List) and isinstance(sent, list):
        most = _most(of)
        if len(sent) > most:
            return [Coded(f"Must have at most {most} items.", "too_many")]
        if isinstance(of.inner, (fields.Nested, fields.Dict, fields.List, ByType)):
            parts = ((place, item, of.inner) for place, item in enumerate(sent))
    for place, part, field in parts:
        if found := surplus(part, field):
            return {place: found}
    return None


def _most(field: fields.Field[Any]) -> int:
    """The most items or names that the field's validators allow."""
    lengths = [one.max for one in field.validators if isinstance(one, validate.Length)]
    return min((length for length in lengths if length is not None), default=sys.maxsize)


def _too_many_names(sent: int, possible: int) -> Coded:
    return Coded(f"Has {sent} names; at most {possible} are possible here.", "too_many")


class IdConverter(BaseConverter):
    """An id in a path: what no row will ever have as its id matches nothing, so it is 404.

    Decided by the pattern alone: an id that is refused after it would make other methods of the
    path look wrong, which is 405.
    """

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)


class HeaderLimit:
    """WSGI middleware: takes headers that are too large away, and `check_head` then refuses the
    request. gunicorn takes 100 lines of 8 KiB and makes one header of those with the same name;
    libraries need up to 0.2 s to take such a one apart."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if large := [
            name
            for name, value in environ.items()
            if name[:5] == "HTTP_" and len(value) > MAX_HEADER_BYTES
        ]:
            environ[LARGE_HEADERS] = [name[5:].replace("_", "-").title() for name in large]
            for name in large:
                del environ[name]
        return self.app(environ, start_response)


def check_head() -> None:
    """Refuse headers that are too large, HTTP/1.1 without its one `Host` (RFC 9112, section 3.2),
    and a query that is no UTF-8, of which Werkzeug would make question marks."""
    environ = request.environ
    if large := environ.get(LARGE_HEADERS):
        raise problems.BadRequest(
            "bad_request", f"A header may have at most 8 KiB, all its lines together: {large[0]}."
        )
    host = environ.get("HTTP_HOST")
    if host is None and environ.get("SERVER_PROTOCOL") == "HTTP/1.1":
        raise problems.BadRequest("bad_request", "HTTP/1.1 needs the header Host.")
    if host is not None and not HOST.fullmatch(host):
        raise problems.BadRequest("bad_request", "Send one header Host, with a name and a port.")
    if query := request.query_string:
        try:
            unquote_to_bytes(query).decode()
        except UnicodeDecodeError as error:
            raise problems.BadRequest("bad_request", "The query is not readable UTF-8.") from error


def check_request() -> None:
    """Refuse what an endpoint of the API does not know, before its view runs: a body that is too
    large or is not labelled JSON (a form-labelled one would be read as empty, and an empty body
    can mean "everything"), and unknown or repeated query parameters."""
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or not f"{request.path}/".startswith("/api/"):
        return
    if request.method in METHODS_WITH_BODY:
        _check_body(getattr(view, "known_caller", None))
    if request.query_string:
        allowed: frozenset[str] = getattr(view, "query_names", frozenset())
        errors = {}
        for name, values in request.args.lists():
            if name not in allowed:
                errors[name] = [Coded("Unknown parameter.", "unknown")]
            elif len(values) > 1:
                errors[name] = [Coded("May be given once.", "repeated")]
        if errors:
            raise problems.invalid("query", errors)


def _check_body(known_caller: Callable[[], str] | None) -> None:
    """Read the body and see that it is JSON by its label.

    `known_caller` is of a view that needs a token. A body that may be large is taken only from a
    caller whose token is good, which is looked at first.
    """
    length = request.content_length
    may_be_large = (
        "Transfer-Encoding" in request.headers if length is None else length > ANONYMOUS_BODY_BYTES
    )
    most, counted_by = ANONYMOUS_BODY_BYTES, None
    if known_caller is None:
        counted_by = limits.by_address()
        too_large = "The body of this call may have at most 16 KiB."
    elif may_be_large and "Authorization" in request.headers:
        most, counted_by = MAX_BODY_BYTES, known_caller()
        too_large = "The body may have at most 1 MiB."
    else:  # a small one costs no more than any other call, until the token is looked at
        too_large = "Without a token the body may have at most 16 KiB; with an access token 1 MiB."
    with refusals_limited(counted_by):
        body = read_body(most, too_large)
        if body:
            _check_label()


def _check_label() -> None:
    """See that the body is JSON as it stands. Formats that are made of JSON, such as JSON Patch,
    mean something else by it."""
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding != "identity":
        raise problems.BadRequest(
            "unsupported_media_type",
            "Send the body as it is, without a Content-Encoding.",
            headers={"Accept-Encoding": "identity"},
        )
    if request.mimetype != JSON:
        takes = "Accept-Patch" if request.method == "PATCH" else "Accept"
        raise problems.BadRequest(
            "unsupported_media_type",
            f"Send the body with `Content-Type: {JSON}`.",
            headers={takes: JSON},
        )


def read_body(most: int, too_large: str) -> bytes:
    """The body, all of it: one cut short could be a complete and quite different request.

    One of more than `most` bytes is refused with the words `too_large`. Where its length is said,
    nothing of it is read.
    """
    length = request.content_length
    if length is not None and length > most:
        raise problems.BadRequest("body_too_large", too_large)
    # Werkzeug cuts a body without a length at its limit, and says nothing: one byte more tells.
    request.max_content_length = most + 1
    try:
        body = request.get_data()
    except Exception as error:  # of the server's input stream, each server has its own
        raise problems.BadRequest("malformed_body", "The body could not be read.") from error
    if len(body) > most:
        raise problems.BadRequest("body_too_large", too_large)
    if length is not None and len(body) != length:
        raise problems.BadRequest(
            "malformed_body", f"The body ended after {len(body)} of {length} bytes."
        )
    return body


@contextmanager
def refusals_limited(counted_by: str | None) -> Iterator[None]:
    """What is refused within, and later where the body is parsed, counts for this caller; after too
    many refusals no body is read (429). With None nothing counts."""
    request.environ[COUNTED_BY] = counted_by
    if counted_by is not None:
        limits.refuse_over("refused_body", counted_by)
    try:
        yield
    except problems.BadRequest:
        _count_refusal()
        raise


def _count_refusal() -> None:
    counted_by = request.environ.get(COUNTED_BY)
    if counted_by is not None:
        limits.count("refused_body", counted_by)


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
    # Around all others: the one that believes proxies takes headers apart too.
    app.wsgi_app = HeaderLimit(app.wsgi_app)  # type: ignore[method-assign]
    app.before_request(check_head)
    app.before_request(check_request)
    app.after_request(no_type_of_nothing)
