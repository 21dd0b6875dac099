"""What `schemathesis run` loads in test_fuzz.py.

Of a case with values that the document allows, what only the data can show to be right is put
right: ids of what is there, seats that are free, names that the plan has. Each such call that the
caller may make is noted with its status.
"""

import json
import os
import random
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import schemathesis

import config
from booking_app import create_app
from booking_app.web import conditional
from booking_app.web.openapi import LINK_BODY
from booking_app.web.requests import ANONYMOUS_BODY_BYTES
from tests.conftest import bearer, open_tokens
from tests.fuzz_world import World

app = create_app(config.load(os.environ | {"RATELIMIT_ENABLED": "off"}))
ROLE = os.environ["FUZZ_ROLE"]
USER_ID = int(os.environ["FUZZ_USER_ID"])
STAFF_ID = int(os.environ["FUZZ_STAFF_ID"])
STATUSES = Path(os.environ["FUZZ_STATUSES"])
IF_MATCH = re.compile(conditional.IF_MATCH["schema"]["pattern"])
ENDING_SESSIONS = ("changePassword", "endSession", "logOut", "refreshTokens")
LINE_MAX = 7000  # of gunicorn's 8190, beyond which the application is never asked

world = World(app, user_id=USER_ID, staff_id=STAFF_ID, is_staff=ROLE == "staff")


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Let links carry their bodies, and optional bodies be null: that counts as none, and the
    document leaves it out, since generators would make a type of its own of each."""
    for path in raw_schema["paths"].values():
        for operation in path.values():
            if "responses" not in operation:
                continue
            body = operation.get("requestBody", {})
            if body and not body.get("required"):
                content = body["content"]["application/json"]
                content["schema"] = {"anyOf": [content["schema"], {"type": "null"}]}
            for response in operation["responses"].values():
                for link in response.get("links", {}).values():
                    if LINK_BODY in link:
                        link["requestBody"] = link[LINK_BODY]


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


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Put right what only the data can show; one in ten goes as it was made."""
    if is_allowed(case) and random.random() < 0.9:
        world.settle(case, by_links=phase_of(case) == "stateful")


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Note the status of what the caller may call with these values."""
    if is_allowed(case) and may_call(case.operation.definition.raw):
        with STATUSES.open("a") as statuses:
            statuses.write(f"{response.status_code} {phase_of(case)} {case.operation.label}\n")


def phase_of(case: Any) -> str:
    """Which part of the run the case is of: one that follows the document's links is stateful."""
    return str(case.meta.phase.name.value).lower()


def is_allowed(case: Any) -> bool:
    """Whether the values are such as the document allows."""
    return case.meta is not None and case.meta.generation.mode.is_positive


def may_call(operation: dict[str, Any]) -> bool:
    if ROLE == "nobody":
        return operation["security"] == []
    return ROLE == "staff" or not operation["description"].startswith("For staff.")


if ROLE != "nobody":

    @schemathesis.auth(refresh_interval=None)
    class Session:
        """Logs the caller in: anew where a case can end sessions. The others share one, as long as
        it lasts: of all cases of a call, which are made before the first is sent, more than an
        account's fifty sessions would be ended before their turn."""

        shared = ""

        def get(self, case: Any, context: Any) -> str:
            if case.operation.definition.raw["operationId"] in ENDING_SESSIONS:
                return self.log_in()
            headers = {"Authorization": self.shared}
            if app.test_client().get("/api/me/", headers=headers).status_code != 200:
                self.shared = self.log_in()
            return self.shared

        def log_in(self) -> str:
            with app.app_context():
                return bearer(open_tokens(USER_ID))["Authorization"]

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers["Authorization"] = data
