"""Accounts: signing up, logging in, who somebody is."""

import unicodedata
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from booking_app.auth.models import PASSWORD_MAX, PASSWORD_MIN, USERNAME_MAX, User
from booking_app.database import clock, fold, reading, violates, write_transaction
from booking_app.errors import Conflict, Forbidden, Invalid, Unauthenticated

USERNAME_SIGNS = "@.+-_"

ACCOUNT = (
    User.id,
    User.username,
    User.email,
    User.is_staff,
    User.created_at,
)

ONE_ACCOUNT = sa.select(*ACCOUNT).where(User.id == sa.bindparam("user"))

hasher = PasswordHasher()  # argon2id


class UsernameTaken(Conflict):
    code = "username_taken"


class InvalidCredentials(Unauthenticated):
    code = "invalid_credentials"


class UnknownAccount(Unauthenticated):
    """The token is good, but its account is gone."""

    code = "invalid_token"


class StaffOnly(Forbidden):
    code = "staff_only"


def create_user(
    *,
    username: str,
    password: str,
    email: str | None = None,
    is_staff: bool = False,
    now: datetime | None = None,
) -> sa.RowMapping:
    """Make an account and return it, without its password.

    Raises Invalid for a name or password that is not allowed, and UsernameTaken where the
    name, without regard to case, is another's.
    """
    username = checked_username(username)
    check_password(password, username=username)
    password_hash = hasher.hash(password)  # slow on purpose, so not within the transaction

    def insert(connection: sa.Connection) -> sa.RowMapping:
        values: dict[str, Any] = {
            "username": username,
            "username_key": fold(username),
            "email": email,
            "password_hash": password_hash,
            "is_staff": is_staff,
            "created_at": clock(now),
        }
        return (
            connection.execute(sa.insert(User).values(**values).returning(*ACCOUNT))
            .mappings()
            .one()
        )

    try:
        return write_transaction(insert)
    except sa.exc.IntegrityError as error:
        if violates(error, "uq_user_account_username_key"):
            raise UsernameTaken(f"The user name {username!r} is taken; choose another.") from error
        raise


def log_in(*, username: str, password: str) -> int:
    """The id of the account with this name and password; raises InvalidCredentials.

    An unknown name costs the same time as a wrong password: one look-up and one hash.
    """
    with reading() as connection:
        row = connection.execute(
            sa.select(User.id, User.password_hash).where(User.username_key == fold(username))
        ).first()
    try:
        hasher.verify(row.password_hash if row else _nobodys_hash(), password)
    except VerifyMismatchError:
        row = None
    if row is None:
        raise InvalidCredentials("The user name or the password is wrong.")
    return int(row.id)


def get_account(*, user_id: int) -> sa.RowMapping:
    """The account; raises UnknownAccount where it is gone."""
    with reading() as connection:
        account = connection.execute(ONE_ACCOUNT, {"user": user_id}).mappings().first()
    if account is None:
        raise UnknownAccount("The token's account does not exist any more.")
    return account


def require_staff(*, user_id: int) -> None:
    """Raises StaffOnly unless the account is staff now, whatever it was when it got its token."""
    if not get_account(user_id=user_id)["is_staff"]:
        raise StaffOnly("Only staff may do this.")


def checked_username(username: str) -> str:
    """The name as it is kept (NFKC); raises Invalid."""
    username = unicodedata.normalize("NFKC", username)
    letters = [c for c in username if c not in USERNAME_SIGNS]
    # With the marks (M) that letters of many scripts are written with
    if not letters or not all(c.isalnum() or unicodedata.category(c)[0] == "M" for c in letters):
        raise Invalid("username", "Must have letters or digits, and besides @ . + - _ only.")
    if len(username) > USERNAME_MAX:
        raise Invalid("username", f"Must have at most {USERNAME_MAX} characters.")
    return username


def check_password(password: str, *, username: str) -> None:
    """Raises Invalid for a password that is short, endless, the name or one of the commonest.

    The rules are those of NIST SP 800-63B, section 5.1.1.2: length and a block list, no
    demands on what kinds of characters it has.
    """
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Invalid("password", f"Must have {PASSWORD_MIN} to {PASSWORD_MAX} characters.")
    if fold(password) == fold(username):
        raise Invalid("password", "Must not be the user name.")
    if fold(password) in _common_passwords():
        raise Invalid("password", "Is one of the commonest passwords; choose another.")


@cache
def _common_passwords() -> frozenset[str]:
    text = files(__package__).joinpath("common_passwords.txt").read_text()
    return frozenset(text.split())


@cache
def _nobodys_hash() -> str:
    return hasher.hash("nobody's password")
