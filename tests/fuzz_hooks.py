"""What `schemathesis run` loads in test_fuzz.py: a new session of the caller for each case, since
the cases themselves log out, end sessions and spend tokens."""

import json
import os
import re
from typing import Any
from urllib.parse import urlencode

import schemathesis

import config
from booking_app import create_app
from booking_app.web import conditional
from booking_app.web.requests import ANONYMOUS_BODY_BYTES
from tests.conftest import bearer, open_tokens

app = create_app(config.load(os.environ | {"RATELIMIT_ENABLED": "off"}))
USER_ID = os.environ["FUZZ_USER_ID"]

IF_MATCH = re.compile(conditional.IF_MATCH["schema"]["pattern"])
LINE_MAX = 7000  # of gunicorn's 8190, beyond which the application is never asked


@schemathesis.hook
def filter_query(context: Any, query: Any) -> bool:
    """Only queries that reach the application."""
    return len(urlencode(query or {}, doseq=True, errors="replace")) < LINE_MAX


@schemathesis.hook
def filter_headers(context: Any, headers: Any) -> bool:
    """Only requests that reach the application: gunicorn refuses a transfer coding
    that it does not know (501)."""
    return "transfer-encoding" not in {name.lower() for name in headers or {}}


@schemathesis.hook
def map_headers(context: Any, headers: Any) -> Any:
    """No tag that is made up is that of a thing (412). Most of those that can be read become `*`,
    so that what comes after the condition is tried too."""
    tag = (headers or {}).get("If-Match")
    if tag is not None and IF_MATCH.fullmatch(tag) and len(tag) % 4:
        return {**headers, "If-Match": "*"}
    return headers


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Only bodies that every caller may send: a larger one is refused by its size (413), whatever
    is wrong with it."""
    return len(json.dumps(body, default=str)) < ANONYMOUS_BODY_BYTES


if USER_ID:

    @schemathesis.auth(refresh_interval=None)
    class Session:
        """Logs the caller in."""

        def get(self, case: Any, context: Any) -> str:
            with app.app_context():
                return bearer(open_tokens(int(USER_ID)))["Authorization"]

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers["Authorization"] = data
