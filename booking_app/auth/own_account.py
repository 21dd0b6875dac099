"""What people change of their own account."""

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import Actor
from booking_app.auth.accounts import COLUMNS, Account, SessionEnded
from booking_app.auth.models import Session, User
from booking_app.auth.passwords import check_password, hash_password, matches
from booking_app.auth.sessions import unchanged
from booking_app.core.database import AfterCommit, Row, reading, writes
from booking_app.core.errors import Forbidden, Invalid


class WrongPassword(Forbidden):
    code = "wrong_password"


def update_own_account(
    *,
    user_id: int,
    changes: Mapping[str, str | None],
    password: str | None = None,
    by: Actor,
    now: datetime | None = None,
) -> Account:
    """Change the `name` and the `email` of an account, those that `changes` has; None is none.

    A new e-mail address takes the `password`, since with it somebody else could take the account
    over. Raises Invalid where it is missing, WrongPassword, and SessionEnded where the account was
    deleted meanwhile.
    """
    account = _account(user_id)
    new_email = "email" in changes and changes["email"] != account.email
    if new_email and password is None:
        raise Invalid("password", "Is required for a new e-mail address.", kind="required")
    right = not new_email or matches(account.password_hash, str(password))
    return _change(
        account=account, changes=changes, new_email=new_email, right=right, by=by, now=now
    )


@writes
def _change(
    connection: sa.Connection,
    *,
    account: Row,
    changes: Mapping[str, str | None],
    new_email: bool,
    right: bool,
    by: Actor,
    now: datetime | None,
) -> Account:
    """Raises WrongPassword, which is written down, where it was not `right`, or another change
    of the password was first; SessionEnded where there is no account any more."""
    own = unchanged(account) if new_email else User.id == account.id
    query = sa.select(*COLUMNS).where(own).with_for_update(key_share=True)
    before = connection.execute(query).mappings().first() if right else None
    if before is None and new_email:
        _refuse_password(connection, account, by, now)
    if before is None:
        raise SessionEnded
    if not changes:
        return Account(**before)
    change = sa.update(User).where(User.id == account.id).values(**changes).returning(*COLUMNS)
    after = connection.execute(change).mappings().one()
    audit.record(
        connection,
        "account.changed",
        by=by,
        object_id=account.id,
        before=before,
        after=after,
        now=now,
    )
    return Account(**after)


def change_password(
    *,
    user_id: int,
    session_id: int,
    old_password: str,
    new_password: str,
    by: Actor,
    now: datetime | None = None,
) -> None:
    """Give the account a new password, and end every session of it but this one.

    Raises Invalid for a password that is not allowed, WrongPassword, and SessionEnded where the
    account was deleted meanwhile.
    """
    account = _account(user_id)
    check_password(new_password, username=account.username, field="new_password")
    right = matches(account.password_hash, old_password)
    new_hash = hash_password(new_password) if right else None
    _set_password(account=account, new_hash=new_hash, session_id=session_id, by=by, now=now)


@writes
def _set_password(
    connection: sa.Connection,
    *,
    account: Row,
    new_hash: str | None,
    session_id: int,
    by: Actor,
    now: datetime | None,
) -> None:
    """Raises WrongPassword, which is written down, for no `new_hash`; and where another change was
    first: the old password is wrong by now."""
    update = sa.update(User).where(unchanged(account)).values(password_hash=new_hash)
    if new_hash is None or not connection.execute(update).rowcount:
        _refuse_password(connection, account, by, now)
    others = sa.and_(Session.user_id == account.id, Session.id != session_id)
    connection.execute(sa.delete(Session).where(others))
    audit.record(connection, "account.password_changed", by=by, object_id=account.id, now=now)


def _account(user_id: int) -> Row:
    """What a change looks at before its transaction; raises SessionEnded."""
    columns = (User.id, User.username, User.email, User.password_hash)
    with reading() as connection:
        account = connection.execute(sa.select(*columns).where(User.id == user_id)).first()
    if account is None:
        raise SessionEnded
    return account


def _refuse_password(
    connection: sa.Connection, account: Row, by: Actor, now: datetime | None
) -> NoReturn:
    audit.record(connection, "account.password_refused", by=by, object_id=account.id, now=now)
    raise AfterCommit(WrongPassword("The password is wrong."))
