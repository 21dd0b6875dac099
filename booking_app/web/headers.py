"""What every answer carries, whatever it is: the headers that keep browsers careful, how long it
may be kept, who else's pages may read it, its request id; and its line in the log.

Where a view says nothing, an answer may not be kept at all; `cacheable` says otherwise.
"""

import ipaddress
import logging
import re
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from secrets import token_hex
from typing import Any
from urllib.parse import quote

import flask_cors
from flask import Flask, Response, request
from werkzeug.http import generate_etag
from werkzeug.middleware.proxy_fix import ProxyFix

from booking_app.audit.models import ADDRESS_MAX, REQUEST_ID_MAX
from booking_app.web import prefix

REQUEST_ID = "X-Request-ID"
WELL_FORMED_ID = re.compile(rf"[A-Za-z0-9._:/+=@-]{{1,{REQUEST_ID_MAX}}}")
ID = "booking_app.request_id"  # a key of a request's environment
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)
POLICY = ("Content-Security-Policy", API_POLICY)  # unless the answer has its own
NOT_KEPT = "no-store"  # unless the answer says otherwise
# The headers, beyond those that need no leave, that pages of other origins may send and read.
READ = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"]
READ += [REQUEST_ID]
SENT = [
    "Accept",
    "Accept-Encoding",
    "Accept-Patch",
    "Allow",
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Pagination",
    REQUEST_ID,
]
A_MINUTE = 60  # that a CDN may keep what changes by hand; never what is on sale
ONE_YEAR = 365 * 24 * 3600

log = logging.getLogger("booking_app.access")
LINE = "%s %s %s %d %.1f ms %s"


def request_id() -> str:
    """This request's id: in the log, in every problem, and in the `X-Request-ID` of an answer that
    nobody may keep."""
    return str(request.environ[ID])


def client_address() -> str:
    """Where the request came from, as far as the trusted proxies tell; in one spelling."""
    return _spelled(request.remote_addr or "")


@lru_cache(maxsize=10_000)
def _spelled(address: str) -> str:
    # Some proxies add the port.
    host = re.fullmatch(r"\[(.+)\](?::[0-9]+)?|([0-9.]+):[0-9]+", address)
    try:
        parsed = ipaddress.ip_address(host[1] or host[2] if host else address)
    except ValueError:  # a trusted proxy's own word, such as "unknown"
        return address[:ADDRESS_MAX]
    # On a socket of both families an IPv4 caller comes as ::ffff:192.0.2.1.
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)[:ADDRESS_MAX]


def cacheable(response: Response, *, shared_seconds: int = 0) -> Response:
    """The same answer for everybody, which may be kept (`tagged`). Caches ask each time whether it
    still holds, but shared ones (a CDN) only after `shared_seconds`."""
    kept = f"s-maxage={shared_seconds}" if shared_seconds else "must-revalidate"
    response.headers["Cache-Control"] = f"public, max-age=0, {kept}"
    return tagged(response)


def own(response: Response) -> Response:
    """An answer of the caller's own, which the caller alone may keep (`tagged`), and asks each time
    whether it still holds."""
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("Authorization")
    return tagged(response)


def tagged(response: Response) -> Response:
    """The answer with an ETag, of its content unless it has one; as 304 where the caller has it
    already."""
    if response.status_code == HTTPStatus.NOT_MODIFIED:
        return response
    if "ETag" not in response.headers:
        of_all = response.get_data() + response.headers.get("X-Pagination", "").encode()
        response.set_etag(generate_etag(of_all))
    asks = "HTTP_IF_NONE_MATCH" in request.environ
    if asks and request.if_none_match.contains_weak(response.get_etag()[0] or ""):
        names = ("ETag", "Vary", "Cache-Control")
        same = {name: response.headers[name] for name in names if name in response.headers}
        return Response(status=304, headers=same)
    return response


def unless_had(etag: str, mimetype: str, make: Callable[[], bytes]) -> Response:
    """An answer with that ETag, for `tagged`. It is made only where the caller does not have it
    already; else this is the 304."""
    if request.if_none_match.contains_weak(etag):
        response = Response(status=304)
    else:
        response = Response(make(), mimetype=mimetype)
    response.set_etag(etag)
    return response


def may_be_kept(response: Response) -> bool:
    """Whether a cache may keep the answer, and give it to others."""
    return _may_be_kept(response.headers.get("Cache-Control", NOT_KEPT))


def _may_be_kept(cache_control: str) -> bool:
    return "no-store" not in cache_control and "private" not in cache_control


class Finish:
    """WSGI middleware, around the application itself: gives each request its id, and each answer
    what all of them have, once its own headers are known; and writes the log's line.

    Its headers go straight to the server, since Werkzeug's take some microseconds for each.
    """

    def __init__(
        self, app: Callable[..., Iterable[bytes]], *, has_proxies: bool, has_origins: bool
    ) -> None:
        self.app = app
        self.has_proxies = has_proxies
        self.has_origins = has_origins

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        started = time.perf_counter()
        sent = environ.get("HTTP_X_REQUEST_ID")
        environ[ID] = sent if sent and WELL_FORMED_ID.fullmatch(sent) else token_hex(16)

        def start(status: str, headers: list[tuple[str, str]], *args: Any) -> Any:
            self._complete(environ, headers)
            if log.isEnabledFor(logging.INFO):
                _log(environ, status, started)
            return start_response(status, headers, *args)

        return self.app(environ, start)

    def _complete(self, environ: dict[str, Any], headers: list[tuple[str, str]]) -> None:
        values = {name.lower(): value for name, value in headers}
        headers += ALWAYS
        if "content-security-policy" not in values:
            headers.append(POLICY)
        cache_control = values.get("cache-control")
        if cache_control is None:
            cache_control = NOT_KEPT
            headers.append(("Cache-Control", NOT_KEPT))
        varies = []
        if not _may_be_kept(cache_control):
            headers.append((REQUEST_ID, environ[ID]))
        elif self.has_proxies:
            # A cache gives a kept answer to others, for whom its ids, paths and counts are not.
            varies.append(prefix.HEADER)
        if self.has_origins:
            varies.append("Origin")
        if varies:
            _vary(headers, varies)
        if environ["wsgi.url_scheme"] == "https":
            headers.append(("Strict-Transport-Security", f"max-age={ONE_YEAR}"))


def _vary(headers: list[tuple[str, str]], names: Iterable[str]) -> None:
    """Add these names to the answer's `Vary`."""
    all_names = [value for name, value in headers if name.lower() == "vary"]
    headers[:] = [header for header in headers if header[0].lower() != "vary"]
    headers.append(("Vary", ", ".join([*all_names, *names])))


def _log(environ: dict[str, Any], status: str, started: float) -> None:
    # The path is quoted, so that nobody can forge a line; never the query or a body.
    path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace").lstrip("/")
    args = (
        _spelled(environ.get("REMOTE_ADDR", "")),
        environ["REQUEST_METHOD"],
        quote(f"/{path}"),
        int(status[:3]),
        (time.perf_counter() - started) * 1000,
        environ[ID],
    )
    # As `log.info`, which looks besides for the line of code that calls it.
    log.handle(log.makeRecord(log.name, logging.INFO, __file__, 0, LINE, args, None))


def init_app(app: Flask) -> None:
    """Set up proxies, request ids, headers, CORS and the log of requests."""
    app.wsgi_app = Finish(  # type: ignore[method-assign]
        app.wsgi_app,
        has_proxies=bool(app.config["TRUSTED_PROXIES"]),
        has_origins=bool(app.config["CORS_ORIGINS"]),
    )
    if hops := app.config["TRUSTED_PROXIES"]:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=0, x_port=0, x_prefix=0
        )
    prefix.init_app(app)
    # Any page may read the document: it has nothing of anybody's.
    resources: dict[str | re.Pattern[str], dict[str, Any]] = {
        "/openapi.json": {"origins": "*", "methods": ["GET"]}
    }
    if app.config["CORS_ORIGINS"]:
        resources[r"/api(/.*)?$"] = {"origins": list(app.config["CORS_ORIGINS"])}
    flask_cors.CORS(
        app,
        resources=resources,
        allow_headers=READ,
        expose_headers=SENT,
        max_age=600,
        send_wildcard=True,
        vary_header=False,  # it leaves refused origins out, which a cache would then mix up
    )
