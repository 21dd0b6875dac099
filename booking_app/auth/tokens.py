"""Tokens: the keys they are signed with, and how those of a request are read.

A token is revoked by ending its session, which `access.identify` looks up at each request.
"""

import hashlib
import time
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from flask import current_app, request
from flask_jwt_extended import JWTManager, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import ExpiredSignatureError, InvalidTokenError, encode

from booking_app.web.problems import BadRequest

TOKENS_REMEMBERED = 10_000

jwt = JWTManager()


# --- keys -----------------------------------------------------------------------------------


@cache
def key_id(key: str) -> str:
    """Names a key in the tokens that it signs, and does not tell it."""
    return hashlib.sha256(b"key id " + key.encode()).hexdigest()[:16]


@jwt.additional_headers_loader
def _name_the_key(identity: str) -> dict[str, str]:
    return {"kid": key_id(current_app.config["JWT_SECRET_KEY"])}


@jwt.decode_key_loader
def _key_of(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """The key to check a token with: the present one, unless it names the one before."""
    previous: str = current_app.config["SECRET_KEY_PREVIOUS"]
    named = previous and header.get("kid") == key_id(previous)
    return previous if named else str(current_app.config["JWT_SECRET_KEY"])


def present_keys() -> tuple[str, ...]:
    """The keys of the servers: the one that signs, then the one before, where there is one."""
    keys = (current_app.config["JWT_SECRET_KEY"], current_app.config["SECRET_KEY_PREVIOUS"])
    return tuple(key for key in keys if key)


def encode_refresh_token(claims: Mapping[str, Any], *, expires_at: datetime) -> str:
    """A refresh token. Nothing in it is of this moment, as libraries would have it (`iat`), so the
    same claims give the same token on every worker and host."""
    payload = {**claims, "type": "refresh", "fresh": False, "exp": int(expires_at.timestamp())}
    key = current_app.config["JWT_SECRET_KEY"]
    algorithm = current_app.config["JWT_ALGORITHM"]
    return encode(payload, key, algorithm, headers={"kid": key_id(key)})


# --- reading --------------------------------------------------------------------------------


def read_bearer_token() -> str:
    """The token of the `Authorization` header, whose scheme may be in any case (RFC 9110, section
    11.1). Nothing between two commas is no fault there (section 5.6.1). Raises BadRequest for a
    header without one, or with several."""
    values = [value.split() for value in request.headers.get("Authorization", "").split(",")]
    bearers = [words for words in values if words and words[0].lower() == "bearer"]
    if len(bearers) != 1:
        raise BadRequest("not_authenticated", "Send the header `Authorization: Bearer <token>`.")
    if len(bearers[0]) != 2:
        raise BadRequest(
            "invalid_token", "Invalid token: write `Bearer`, a space, and the token alone."
        )
    return bearers[0][1]


def read_claims(
    token: str, *, if_expired: str = "Get a new one at /api/token/refresh/ or log in."
) -> Mapping[str, Any]:
    """What a good token says. Raises BadRequest for any other, with the words `if_expired` for
    one whose time is over."""
    config = current_app.config
    try:
        claims = _decode(token, config["JWT_SECRET_KEY"], config["SECRET_KEY_PREVIOUS"])
        if "exp" in claims and claims["exp"] <= time.time():
            decode_token(token)  # decides whether its time is over, with the leeway of clocks
    except ExpiredSignatureError as error:
        raise BadRequest("token_expired", if_expired) from error
    except (InvalidTokenError, JWTExtendedException) as error:
        raise BadRequest(
            "invalid_token",
            "Invalid token: it is damaged, not valid yet, or another server's. Log in to get one.",
        ) from error
    return claims


@lru_cache(maxsize=TOKENS_REMEMBERED)
def _decode(token: str, key: str, key_before: str) -> Mapping[str, Any]:
    """The claims of a good token, by the keys that it may be signed with. They are remembered, as
    taking a token apart costs 200 times as much as looking it up; errors are not."""
    claims: Mapping[str, Any] = decode_token(token)
    return claims
