"""Which calls take an Idempotency-Key: `@retriable`, under `signed_in` or `staff_only` and above
`arguments`, so that the answer is kept as it is sent."""

import re
from functools import wraps
from typing import Any

from flask import Response, request

from booking_app.auth.access import current_account, current_user_id
from booking_app.idempotency.models import KEY_PATTERN
from booking_app.idempotency.service import Attempt, Fingerprints, StoredAnswer
from booking_app.web.fields import Coded
from booking_app.web.openapi import Blueprint, View
from booking_app.web.prefix import at, location
from booking_app.web.problems import invalid

HEADER = "Idempotency-Key"
PARAMETER = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "description": "Made by you, new for each call, kept for 24 hours. Sent again with the "
    "same call it gives the first answer again, with `Idempotent-Replayed: true`.",
    "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
}
REPLAYED = {"description": "`true`: the first answer again.", "schema": {"type": "string"}}
# Beside the body, whose they are, and what has a column of its own
NOT_KEPT = ("Content-Type", "Content-Length", "Location")


def retriable(view: View) -> View:
    """Decorator: the call takes an Idempotency-Key. The view runs one use case, answers JSON."""

    @wraps(view)
    def once(*args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            answer: Response = view(*args, **kwargs)
            return answer
        if not re.fullmatch(KEY_PATTERN, key):
            message = Coded("Must be 1 to 255 visible ASCII characters.", "invalid_format")
            raise invalid("headers", {HEADER: [message]})
        fingerprints = Fingerprints(request.method, request.path, request.get_data())
        attempt = Attempt(current_user_id(), key, fingerprints)
        answer_now = attempt.run(lambda: _stored(view(*args, **kwargs)))
        if answer_now.replayed:
            current_account()  # the work may not have come to see that the session is open
        return _sent(answer_now)

    documented: View = Blueprint.doc(parameters=[PARAMETER])(once)
    documented.answer_headers = {"Idempotent-Replayed": REPLAYED}  # type: ignore[attr-defined]
    return Blueprint.problems("idempotency_key_reused", "idempotency_in_progress")(documented)


def _stored(response: Response) -> StoredAnswer:
    headers = {name: value for name, value in response.headers if name not in NOT_KEPT}
    body = response.get_data(as_text=True)
    made_at = response.headers.get("Location")
    if made_at is not None:  # kept without the prefix, which another server may not have
        made_at = made_at.removeprefix(at(""))
    return StoredAnswer(response.status_code, body, made_at, headers)


def _sent(answer: StoredAnswer) -> Response:
    response = Response(answer.body, answer.status, answer.headers, mimetype="application/json")
    if answer.location is not None:
        response.headers.update(location(answer.location))
    if answer.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response
