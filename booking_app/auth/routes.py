"""Signing up, logging in, tokens."""

from typing import Any

from flask import request
from flask_jwt_extended import (
    create_access_token,
    create_refresh_token,
    decode_token,
    get_jwt_identity,
    verify_jwt_in_request,
)
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import ExpiredSignatureError, InvalidTokenError

from booking_app.auth import schemas, service
from booking_app.auth.access import TOKEN_CODES, current_user_id, signed_in
from booking_app.extensions import Blueprint
from booking_app.problems import BadRequest

blp = Blueprint("auth", __name__, url_prefix="/api", description="Accounts and tokens")

EXAMPLE_LOGIN = {"username": "alice", "password": "correct-horse-battery"}


@blp.route("/signup/", methods=["POST"])
@blp.arguments(schemas.SignupBody, example={**EXAMPLE_LOGIN, "email": "alice@example.org"})
@blp.response(201, schemas.Account)
@blp.can_answer("username_taken")
def signup(data: dict[str, Any]) -> Any:
    """Sign up

    Makes an account. Then log in to get tokens.
    """
    return service.create_user(**data)


@blp.route("/login/", methods=["POST"])
@blp.arguments(schemas.LoginBody, example=EXAMPLE_LOGIN)
@blp.response(200, schemas.Tokens)
@blp.can_answer("invalid_credentials")
def login(data: dict[str, Any]) -> Any:
    """Log in

    Answers an access token, which goes into the `Authorization: Bearer` header of other
    calls (in Swagger UI: press Authorize and paste it), and a refresh token to get the next
    pair with. An unknown name and a wrong password are answered alike.
    """
    return _tokens(service.log_in(**data))


@blp.route("/token/refresh/", methods=["POST"])
@blp.arguments(schemas.RefreshBody, required=False, example={"refresh": "<refresh token>"})
@blp.response(200, schemas.Tokens)
@blp.can_answer(*TOKEN_CODES)
def refresh(data: dict[str, Any]) -> Any:
    """Get new tokens

    Takes the refresh token, `refresh` of the answer of *Log in*, in the body, or in the
    `Authorization: Bearer` header with no body.
    """
    user_id = _refresh_identity(data.get("refresh"))
    return _tokens(service.get_account(user_id=user_id)["id"])


@blp.route("/me/", methods=["GET"])
@signed_in
@blp.response(200, schemas.Account)
def me() -> Any:
    """Show your account

    The account whose access token the request carries.
    """
    return service.get_account(user_id=current_user_id())


def _tokens(user_id: int) -> dict[str, str]:
    identity = str(user_id)
    return {"access": create_access_token(identity), "refresh": create_refresh_token(identity)}


def _refresh_identity(token: str | None) -> int:
    """Whose refresh token it is; one in the body counts before one in the header."""
    if token is None:
        if "Authorization" not in request.headers:
            raise BadRequest(
                "not_authenticated",
                'Send {"refresh": "<refresh token>"} or `Authorization: Bearer <refresh token>`.',
            )
        verify_jwt_in_request(refresh=True)
        return int(get_jwt_identity())
    try:
        payload = decode_token(token)
    except ExpiredSignatureError as error:
        raise BadRequest("token_expired", "The refresh token has expired; log in again.") from error
    except (InvalidTokenError, JWTExtendedException) as error:
        raise BadRequest("invalid_token", f"The refresh token can't be used: {error}.") from error
    if payload["type"] != "refresh":
        raise BadRequest("invalid_token", "This is an access token; send the refresh token.")
    return int(payload["sub"])
