"""Accounts: signing up, and what staff do with them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.auth.models import Session, User
from booking_app.auth.passwords import check_password, hash_password
from booking_app.auth.usernames import checked_username
from booking_app.core.database import NOW, Query, fold, reading, writes
from booking_app.core.editions import IfMatch, digest, require
from booking_app.core.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from booking_app.core.paging import Listing, Page, fetch_page, listing
from booking_app.core.search import like_pattern
from booking_app.core.violations import refusing


class UsernameTaken(Conflict):
    code = "username_taken"


class OwnAccount(Conflict):
    code = "own_account"


class SessionEnded(Unauthenticated):
    """The token is good, but its session, or its whole account, is gone."""

    code = "invalid_token"

    def __init__(self, detail: str = "The token's session has ended; log in again.") -> None:
        super().__init__(detail)


class AccountDisabled(Forbidden):
    code = "account_disabled"


class StaffOnly(Forbidden):
    code = "staff_only"


@dataclass(frozen=True, slots=True)
class Account:
    """An account without its password."""

    id: int
    username: str
    name: str | None
    email: str | None
    is_staff: bool
    is_disabled: bool
    created_at: datetime


COLUMNS = (
    User.id,
    User.username,
    User.name,
    User.email,
    User.is_staff,
    User.is_disabled,
    User.created_at,
)
ONE_ACCOUNT: Query = sa.select(*COLUMNS).where(User.id == sa.bindparam("user"))


# --- signing up -----------------------------------------------------------------------------


def create_user(
    *,
    username: str,
    password: str,
    email: str | None = None,
    is_staff: bool = False,
    by: Actor = OPERATOR,
    now: datetime | None = None,
) -> Account:
    """Make an account.

    Raises Invalid for a name or password that is not allowed, and UsernameTaken where the
    name, without regard to case, is another's.
    """
    username = checked_username(username)
    check_password(password, username=username)
    return _insert_account(
        username=username,
        password_hash=hash_password(password),
        email=email,
        is_staff=is_staff,
        by=by,
        now=now,
    )


@writes
def _insert_account(
    connection: sa.Connection,
    *,
    username: str,
    password_hash: str,
    email: str | None,
    is_staff: bool,
    by: Actor,
    now: datetime | None,
) -> Account:
    insert = sa.insert(User).values(
        username=username,
        username_key=fold(username),
        email=email,
        password_hash=password_hash,
        is_staff=is_staff,
        created_at=NOW,
    )
    taken = UsernameTaken(f"The user name {username!r} is taken; choose another.")
    with refusing(uq_user_account_username_key=taken):
        account = Account(*connection.execute(insert.returning(*COLUMNS), {"now": now}).one())
    after = {"username": username, "is_staff": is_staff}
    audit.record(connection, "account.signed_up", by=by, object_id=account.id, after=after, now=now)
    return account


# --- what staff do with accounts ------------------------------------------------------------


def require_staff(account: Account) -> None:
    """Raises StaffOnly unless the account is staff now, whatever it was when it logged in."""
    if not account.is_staff:
        raise StaffOnly("Only staff may do this.")


@cache
def _account_list(searched: bool) -> Listing:
    query = sa.select(*COLUMNS)
    if searched:
        query = query.where(User.username_key.like(sa.bindparam("search"), escape="/"))
    return listing(query.order_by(User.username_key, User.id))


def list_accounts(*, page: int, page_size: int, search: str | None = None) -> Page:
    """Accounts by name. `search` is a part of the name; case never counts."""
    params = {} if search is None else {"search": like_pattern(fold(search))}
    with reading() as connection:
        statements = _account_list(search is not None)
        return fetch_page(connection, statements, params, page=page, page_size=page_size)


def get_account(*, user_id: int) -> Account:
    """One account; raises NotFound."""
    with reading() as connection:
        account = connection.execute(ONE_ACCOUNT, {"user": user_id}).first()
    if account is None:
        raise NotFound("account", user_id)
    return Account(*account)


def get_customer(*, username: str | None = None, user_id: int | None = None) -> Account:
    """The account of this name, in any case, or id, that staff do something for; raises Invalid
    where there is none, and AccountDisabled."""
    named = User.id == user_id if username is None else User.username_key == fold(username)
    with reading() as connection:
        row = connection.execute(sa.select(*COLUMNS).where(named)).first()
    if row is None and username is None:
        raise Invalid("user", f"There is no account {user_id}.")
    if row is None:
        raise Invalid("username", f"There is no account {username!r}.")
    account = Account(*row)
    if account.is_disabled:
        raise AccountDisabled(f"The account {account.username!r} is disabled.")
    return account


@writes
def update_account(
    connection: sa.Connection,
    *,
    user_id: int,
    is_staff: bool | None = None,
    is_disabled: bool | None = None,
    if_match: IfMatch | None = None,
    by: Actor,
    now: datetime | None = None,
) -> Account:
    """Give or take the staff role, disable an account, which ends its sessions, or enable it.

    Raises NotFound, ChangedMeanwhile, OwnAccount where staff would change their own, so that one
    member of staff is always left, and StaffOnly or SessionEnded where the caller is not staff, or
    not there, any more.
    """
    accounts = _lock_accounts(connection, {user_id, by.user_id or user_id})
    if by.user_id is not None:
        actor = accounts.get(by.user_id)
        if actor is None or actor["is_disabled"]:
            raise SessionEnded
        require_staff(Account(**actor))
    if user_id not in accounts:
        raise NotFound("account", user_id)
    require(if_match, account_edition(Account(**accounts[user_id])), "account")
    if user_id == by.user_id:
        raise OwnAccount("Another member of staff must change your account.")
    values = {"is_staff": is_staff, "is_disabled": is_disabled}
    changes = {name: value for name, value in values.items() if value is not None}
    before = accounts[user_id]
    if not changes:
        return Account(**before)
    change = sa.update(User).where(User.id == user_id).values(**changes).returning(*COLUMNS)
    after = connection.execute(change).mappings().one()
    if is_disabled:
        connection.execute(sa.delete(Session).where(Session.user_id == user_id))
    audit.record(
        connection, "account.changed", by=by, object_id=user_id, before=before, after=after, now=now
    )
    return Account(**after)


def account_edition(account: Account) -> str:
    """The edition of an account."""
    return digest(asdict(account))


def _lock_accounts(connection: sa.Connection, ids: set[int]) -> dict[int, Mapping[Any, Any]]:
    """Those of the accounts that are there, by id. Locked in one order: of two who take each
    other's role one comes too late."""
    query = sa.select(*COLUMNS).where(User.id.in_(ids)).order_by(User.id)
    rows = connection.execute(query.with_for_update(key_share=True)).mappings()
    return {row["id"]: row for row in rows}
