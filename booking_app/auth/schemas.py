"""The shapes of accounts and tokens on the wire."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.auth.models import EMAIL_MAX, PASSWORD_MAX, PASSWORD_MIN, USERNAME_MAX
from booking_app.fields import Answer, Flag, Instant, Text, Whole


class Password(fields.String):
    """A password as typed: never trimmed. The service knows the rules."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            required=True,
            validate=validate.Length(min=1, max=PASSWORD_MAX),
            metadata={"format": "password"} | kwargs.pop("metadata", {}),
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        password = super()._deserialize(value, attr, data, **kwargs)
        if "\x00" in password:
            raise ma.ValidationError("Must not contain NUL.")
        return str(password)


class Email(Text):
    """An address of the form a@b; whether it exists only a letter would tell."""

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
    password = Password(
        metadata={
            "minLength": PASSWORD_MIN,
            "description": "Not the user name, and not one of the commonest passwords.",
        }
    )
    email = Email(max_length=EMAIL_MAX, allow_none=True)


class LoginBody(ma.Schema):
    username = Text(max_length=USERNAME_MAX, required=True)
    password = Password()


class RefreshBody(ma.Schema):
    refresh = Text(
        max_length=4096,
        metadata={"description": "The refresh token, unless it is in the Authorization header."},
    )


class Tokens(Answer):
    access = fields.String(required=True)
    refresh = fields.String(required=True)


class Account(Answer):
    id = Whole(1, required=True)
    username = fields.String(required=True)
    email = fields.String(required=True, allow_none=True)
    is_staff = Flag(required=True)
    created_at = Instant(required=True)
