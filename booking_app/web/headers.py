"""What every answer carries, whatever it is: the headers that keep browsers careful, how long it
may be kept, who else's pages may read it, its request id; and its line in the log.

Where a view says nothing, an answer may not be kept at all; `cacheable` says otherwise.
"""

import ipaddress
import logging
import re
import time
import uuid
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import flask_cors
from flask import Flask, Response, current_app, g, request
from werkzeug.http import generate_etag
from werkzeug.middleware.proxy_fix import ProxyFix

from booking_app.audit.models import ADDRESS_MAX, REQUEST_ID_MAX
from booking_app.web import prefix

REQUEST_ID = "X-Request-ID"
WELL_FORMED_ID = rf"[A-Za-z0-9._:/+=@-]{{1,{REQUEST_ID_MAX}}}"
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
UNLESS_SET = {"Content-Security-Policy": API_POLICY, "Cache-Control": "no-store"}
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


def request_id() -> str:
    """This request's id: in the log, in every problem, and in the `X-Request-ID` of an answer that
    nobody may keep."""
    return str(g.request_id)


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
    if request.if_none_match.contains_weak(response.get_etag()[0] or ""):
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
    kept = response.headers.get("Cache-Control", "no-store")
    return "no-store" not in kept and "private" not in kept


def init_app(app: Flask) -> None:
    """Set up proxies, request ids, headers, CORS and the log of requests."""
    if hops := app.config["TRUSTED_PROXIES"]:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=0, x_port=0, x_prefix=0
        )
    prefix.init_app(app)
    app.before_request(_identify)
    app.after_request(_finish)
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


def _identify() -> None:
    g.started = time.perf_counter()
    sent = request.headers.get(REQUEST_ID, "")
    g.request_id = sent if re.fullmatch(WELL_FORMED_ID, sent) else uuid.uuid4().hex


def _finish(response: Response) -> Response:
    headers = response.headers
    for name, value in ALWAYS.items():
        headers.add(name, value)
    for name, value in UNLESS_SET.items():
        headers.setdefault(name, value)
    if may_be_kept(response):
        # A cache gives a kept answer to others, for whom its ids, paths and counts are not.
        if current_app.config["TRUSTED_PROXIES"]:
            response.vary.add(prefix.HEADER)
    else:
        headers.add(REQUEST_ID, request_id())
    if current_app.config["CORS_ORIGINS"]:
        response.vary.add("Origin")
    if request.is_secure:
        headers["Strict-Transport-Security"] = f"max-age={ONE_YEAR}"
    if log.isEnabledFor(logging.INFO):
        # The path is quoted, so that nobody can forge a line; never the query or a body.
        log.info(
            "%s %s %s %d %.1f ms %s",
            client_address(),
            request.method,
            quote(request.path),
            response.status_code,
            (time.perf_counter() - g.started) * 1000,
            request_id(),
        )
    return response
