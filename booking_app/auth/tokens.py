"""The extension that makes and reads tokens."""

import time
from typing import Any

from flask import current_app
from flask_jwt_extended import JWTManager

TOKENS_REMEMBERED = 10_000


class TokenManager(JWTManager):
    """Reads a token once, not with each request that carries it: the library takes it apart
    twice, which made up a fifth of a booking. Only a token that is good is remembered, by the
    keys it may be signed with, and whether it has expired is looked at each time."""

    def __init__(self) -> None:
        super().__init__()
        self._good: dict[tuple[str, str, str], dict[str, Any]] = {}

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: Any = None, allow_expired: bool = False
    ) -> dict[str, Any]:
        keys = (current_app.config["JWT_SECRET_KEY"], current_app.config["SECRET_KEY_PREVIOUS"])
        token = (*keys, encoded_token)
        claims = self._good.get(token)
        if claims is None or claims.get("exp", 0) <= time.time():
            claims = super()._decode_jwt_from_config(encoded_token, csrf_value, allow_expired)
            if len(self._good) >= TOKENS_REMEMBERED:
                self._good.clear()
            self._good[token] = claims
        return dict(claims)


jwt = TokenManager()
