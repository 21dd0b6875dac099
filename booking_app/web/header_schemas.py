"""What the OpenAPI document says of headers: those that every call reads and every answer has, and
those of some kinds. A feature's own stand with its views."""

from typing import Any

from booking_app.web.headers import REQUEST_ID


def header(description: str, **schema: Any) -> dict[str, Any]:
    """A header of an answer: a string, unless its schema says more."""
    return {"description": description, "schema": {"type": "string", **schema}}


# Of answers, by the name under which they stand in the document.
HEADERS: dict[str, dict[str, Any]] = {
    "RequestId": header("This answer's id, as the server's log has it.", example="7778d2a0"),
    "ETag": header(
        "Of what is answered; that of a single thing is for `If-Match` too.",
        example='"5d41402abc4b"',
    ),
    "Accept": header("Which type of body is taken.", example="application/json"),
    "AcceptEncoding": header("Which coding of a body is taken: none.", example="identity"),
    "AcceptPatch": header("Which type of body is taken (RFC 5789).", example="application/json"),
    "CacheControl": header("How long the answer may be kept, and by whom."),
    "WwwAuthenticate": header("RFC 6750: `Bearer`, with `error` where a token was sent."),
    "RateLimit": header("Of the limit that is nearest: `r` calls are left for `t` seconds."),
    "RateLimitPolicy": header("The limits that this call counts for: `q` calls in `w` seconds."),
    "RetryAfter": header("In so many seconds.", pattern="^[0-9]+$", example="1"),
}
# Of requests.
PARAMETERS: dict[str, dict[str, Any]] = {
    "RequestId": {
        "name": REQUEST_ID,
        "in": "header",
        "required": False,
        "description": "An id of your own for this call, for the log; one that is not 1 to 128 "
        "letters, digits and `. _ : / + = @ -` is replaced.",
        "schema": {"type": "string"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The `ETag` of an answer that you have: 304 where it still holds.",
        "schema": {"type": "string"},
    },
}
ALWAYS = ("RequestId", "RateLimit", "RateLimitPolicy")
NAMES = {
    "RequestId": REQUEST_ID,
    "Accept": "Accept",
    "AcceptEncoding": "Accept-Encoding",
    "AcceptPatch": "Accept-Patch",
    "ETag": "ETag",
    "CacheControl": "Cache-Control",
    "WwwAuthenticate": "WWW-Authenticate",
    "RateLimit": "RateLimit",
    "RateLimitPolicy": "RateLimit-Policy",
    "RetryAfter": "Retry-After",
}


def add_headers(response: dict[str, Any], *names: str) -> None:
    """Say that the answer has these headers, and those of every answer."""
    headers = response.setdefault("headers", {})
    for name in (*ALWAYS, *names):
        headers[NAMES[name]] = {"$ref": f"#/components/headers/{name}"}


def add_parameters(operation: dict[str, Any], *names: str) -> None:
    """Say that the call reads these headers, and those that every call reads."""
    # apispec makes references of the names of what is registered.
    operation.setdefault("parameters", []).extend((*names, "RequestId"))
