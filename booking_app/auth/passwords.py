"""Passwords: which are allowed, and how they are hashed. Slow on purpose, so never done within a
transaction."""

from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from booking_app.auth.models import PASSWORD_MAX, PASSWORD_MIN
from booking_app.core.database import fold
from booking_app.core.errors import Invalid

hasher = PasswordHasher()  # argon2id


def check_password(password: str, *, username: str, field: str = "password") -> None:
    """Raises Invalid for a password that is short, endless, the name, one of the commonest, or one
    character again and again.

    The rules are those of NIST SP 800-63B, section 5.1.1.2: length and a block list, no
    demands on what kinds of characters it has. `field` is its name in the body.
    """
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Invalid(field, f"Must have {PASSWORD_MIN} to {PASSWORD_MAX} characters.")
    if fold(password) == fold(username):
        raise Invalid(field, "Must not be the user name.")
    if len(set(fold(password))) == 1:
        raise Invalid(field, "Must not be one character again and again.")
    if fold(password) in _common_passwords():
        raise Invalid(field, "Is one of the commonest passwords; choose another.")


@cache
def _common_passwords() -> frozenset[str]:
    text = files(__package__).joinpath("common_passwords.txt").read_text()
    return frozenset(text.split())


def hash_password(password: str) -> str:
    """What is kept of a password."""
    return hasher.hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Whether it is the password of that hash; None is of no account, and costs the same time."""
    try:
        return hasher.verify(password_hash or nobodys_hash(), password) and bool(password_hash)
    except VerifyMismatchError:
        return False


@cache
def nobodys_hash() -> str:
    """A hash that takes as long to verify as any other."""
    return hasher.hash("nobody's password")
