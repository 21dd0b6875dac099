"""Behind a proxy that serves the application under a path, such as `/kino/`.

The proxy takes the prefix off the path and says it in `X-Forwarded-Prefix`. Paths within the
application have none; `at` puts it in front of each one that is sent.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, request

HEADER = "X-Forwarded-Prefix"
# Segments of unreserved characters, so that it is a path and never another host, as "//host" is.
WELL_FORMED = r"(/[A-Za-z0-9._~-]+){1,10}"
PREFIX_MAX = 200
LOCATION = {
    "Location": {
        "description": "The path of what was made.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}


class Prefixed:
    """WSGI middleware: believes the prefix in the last `hops` entries of the header, one for each
    proxy that takes off a part; `/a, /b` is `/a/b`. What is no such path counts as none."""

    def __init__(self, app: Callable[..., Iterable[bytes]], hops: int) -> None:
        self.app = app
        self.hops = hops

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        entries = environ.get("HTTP_X_FORWARDED_PREFIX", "").split(",")[-self.hops :]
        prefix = "".join(entry.strip().rstrip("/") for entry in entries)
        if len(prefix) <= PREFIX_MAX and re.fullmatch(WELL_FORMED, prefix):
            environ["SCRIPT_NAME"] = prefix
        return self.app(environ, start_response)


def at(path: str) -> str:
    """A path of the application, `/api/movies/7/`, as the caller sees it: behind the prefix. It
    names no host: which one the caller wrote, only the outermost proxy knows."""
    return f"{request.root_path}{path}"


def location(path: str) -> dict[str, str]:
    """The header of an answer 201: where the thing is that was made."""
    return {"Location": at(path)}


def init_app(app: Flask) -> None:
    """Believe trusted proxies, and let pages write `at(path)`."""
    if hops := app.config["TRUSTED_PROXIES"]:
        app.wsgi_app = Prefixed(app.wsgi_app, hops)  # type: ignore[method-assign]
    app.jinja_env.globals["at"] = at
