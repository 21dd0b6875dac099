"""The shapes of accounts and tokens on the wire."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.audit.models import ACTIONS, OBJECT_TYPES
from booking_app.auth.models import EMAIL_MAX, PASSWORD_MAX, PASSWORD_MIN, USERNAME_MAX
from booking_app.web.fields import AnswerSchema, Instant, StrictBoolean, StrictInteger, Text
from booking_app.web.paging import PageQuery

TOKEN_MAX = 4096


class Password(fields.String):
    """A password as typed: never trimmed. The service knows the rules."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            required=True,
            validate=validate.Length(min=1, max=PASSWORD_MAX),
            metadata={"format": "password", "pattern": r"^[^\x00]*$"} | kwargs.pop("metadata", {}),
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        password = super()._deserialize(value, attr, data, **kwargs)
        if "\x00" in password:
            raise ma.ValidationError("Must not contain NUL.")
        return str(password)


class NewPassword(Password):
    def __init__(self) -> None:
        super().__init__(
            metadata={
                "minLength": PASSWORD_MIN,
                "description": "Not the user name, and not one of the commonest passwords.",
            }
        )


class Email(Text):
    """An address of the form a@b; whether it exists only a letter would tell."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"format": "email"} | kwargs.pop("metadata", {}), **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        email = super()._deserialize(value, attr, data, **kwargs)
        name, at, host = email.rpartition("@")
        if not (name and at and host) or any(c.isspace() for c in email):
            raise ma.ValidationError("Must be an e-mail address such as name@example.org.")
        return email


class SignupBody(ma.Schema):
    username = Text(
        max_length=USERNAME_MAX,
        required=True,
        metadata={"description": "Letters, digits and @ . + - _; unique without regard to case."},
    )
    password = NewPassword()
    email = Email(max_length=EMAIL_MAX, allow_none=True)


class LoginBody(ma.Schema):
    username = Text(max_length=USERNAME_MAX, required=True)
    password = Password()


class RefreshBody(ma.Schema):
    refresh = Text(
        max_length=TOKEN_MAX,
        metadata={"description": "The refresh token, unless it is in the Authorization header."},
    )


class LogoutBody(ma.Schema):
    refresh = Text(
        max_length=TOKEN_MAX,
        metadata={"description": "The session's refresh token; then no access token is needed."},
    )


class PasswordBody(ma.Schema):
    old_password = Password()
    new_password = NewPassword()


class Tokens(AnswerSchema):
    access = fields.String(
        required=True, metadata={"description": "For the `Authorization: Bearer` header."}
    )
    refresh = fields.String(
        required=True, metadata={"description": "Good once, for the next pair."}
    )


class Account(AnswerSchema):
    id = StrictInteger(1, required=True)
    username = fields.String(required=True)
    email = fields.String(required=True, allow_none=True)
    is_staff = StrictBoolean(required=True)
    created_at = Instant(required=True)


class OpenSession(AnswerSchema):
    id = StrictInteger(1, required=True)
    created_at = Instant(required=True)
    refreshed_at = Instant(required=True)
    expires_at = Instant(
        required=True, metadata={"description": "When the session ends, unless it is refreshed."}
    )
    address = fields.String(
        required=True, metadata={"description": "Where it was last refreshed from, or opened."}
    )
    user_agent = fields.String(required=True)
    current = StrictBoolean(
        required=True, metadata={"description": "Whether it is this request's own."}
    )


class AccountQuery(PageQuery):
    search = Text(
        max_length=USERNAME_MAX, metadata={"description": "A part of the name, in any case."}
    )


class AccountPatch(ma.Schema):
    is_staff = StrictBoolean()
    is_disabled = StrictBoolean(
        metadata={"description": "true ends its sessions and lets no one log in."}
    )


class StaffsAccount(Account):
    """An account as staff see it."""

    is_disabled = StrictBoolean(required=True)


class AuditQuery(PageQuery):
    action = fields.String(validate=validate.OneOf(ACTIONS))
    actor = StrictInteger(1, query=True, metadata={"description": "The account that did it."})
    object_type = fields.String(validate=validate.OneOf(OBJECT_TYPES))
    object = StrictInteger(
        1, query=True, metadata={"description": "The id of what it was done to."}
    )
    since = Instant(metadata={"example": "2026-01-31T20:00:00Z"})
    until = Instant(metadata={"description": "Itself left out.", "example": "2030-01-31T20:00:00Z"})


class AuditEvent(AnswerSchema):
    id = StrictInteger(1, required=True)
    created_at = Instant(required=True)
    action = fields.String(required=True, validate=validate.OneOf(ACTIONS))
    actor = StrictInteger(
        1,
        required=True,
        allow_none=True,
        attribute="actor_id",
        metadata={"description": "The account that did it; null: nobody known, or the operator."},
    )
    actor_name = fields.String(required=True, allow_none=True)
    address = fields.String(required=True, allow_none=True)
    request_id = fields.String(required=True, allow_none=True)
    object_type = fields.String(required=True, validate=validate.OneOf(OBJECT_TYPES))
    object = StrictInteger(1, required=True, allow_none=True, attribute="object_id")
    before = fields.Dict(
        required=True, allow_none=True, metadata={"description": "What it changed, by field."}
    )
    after = fields.Dict(required=True, allow_none=True)
