"""Accounts: signing up, logging in, sessions, who somebody is."""

import hashlib
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from booking_app.audit import service as audit
from booking_app.audit.models import LOGGED_IN, AuditEvent
from booking_app.audit.service import OPERATOR, Actor
from booking_app.auth.models import (
    PASSWORD_MAX,
    PASSWORD_MIN,
    USER_AGENT_MAX,
    USERNAME_MAX,
    Session,
    User,
)
from booking_app.core.database import (
    Query,
    Row,
    clock,
    clock_param,
    fold,
    like_pattern,
    now_params,
    reading,
    violates,
    write_transaction,
)
from booking_app.core.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
)
from booking_app.core.paging import Listing, Page, fetch_page, listing

T = TypeVar("T")

USERNAME_SIGNS = "@.+-_"
EXPIRED_SESSIONS_CLEANED = 20
ADDRESSES_KNOWN = 50

ACCOUNT = (
    User.id,
    User.username,
    User.email,
    User.is_staff,
    User.is_disabled,
    User.created_at,
)

ONE_ACCOUNT = sa.select(*ACCOUNT).where(User.id == sa.bindparam("user"))

hasher = PasswordHasher()  # argon2id


class UsernameTaken(Conflict):
    code = "username_taken"


class OwnAccount(Conflict):
    code = "own_account"


class InvalidCredentials(Unauthenticated):
    code = "invalid_credentials"


class SessionEnded(Unauthenticated):
    """The token is good, but its session, or its whole account, is gone."""

    code = "invalid_token"


class WrongPassword(Forbidden):
    code = "wrong_password"


class AccountDisabled(Forbidden):
    code = "account_disabled"


class StaffOnly(Forbidden):
    code = "staff_only"


# --- signing up -----------------------------------------------------------------------------


def create_user(
    *,
    username: str,
    password: str,
    email: str | None = None,
    is_staff: bool = False,
    by: Actor = OPERATOR,
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
        statement = sa.insert(User).values(**values).returning(*ACCOUNT)
        account = connection.execute(statement).mappings().one()
        after = {"username": username, "is_staff": is_staff}
        audit.record(
            connection, "account.signed_up", by=by, object_id=account["id"], after=after, now=now
        )
        return account

    try:
        return write_transaction(insert)
    except sa.exc.IntegrityError as error:
        if violates(error, "uq_user_account_username_key"):
            raise UsernameTaken(f"The user name {username!r} is taken; choose another.") from error
        raise


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


def check_password(password: str, *, username: str, field: str = "password") -> None:
    """Raises Invalid for a password that is short, endless, the name or one of the commonest.

    The rules are those of NIST SP 800-63B, section 5.1.1.2: length and a block list, no
    demands on what kinds of characters it has. `field` is its name in the body.
    """
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Invalid(field, f"Must have {PASSWORD_MIN} to {PASSWORD_MAX} characters.")
    if fold(password) == fold(username):
        raise Invalid(field, "Must not be the user name.")
    if fold(password) in _common_passwords():
        raise Invalid(field, "Is one of the commonest passwords; choose another.")


@cache
def _common_passwords() -> frozenset[str]:
    text = files(__package__).joinpath("common_passwords.txt").read_text()
    return frozenset(text.split())


# --- sessions -------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenSession:
    """What the tokens of a session are made of. `refresh_id` is the secret of its next refresh
    token; the database keeps only its fingerprint."""

    id: int
    user_id: int
    refresh_id: str


def log_in(
    *,
    username: str,
    password: str,
    lasts: timedelta,
    user_agent: str,
    by: Actor,
    staff_only: bool = False,
    now: datetime | None = None,
) -> OpenSession:
    """Open a session for the account with this name and password.

    It ends when it has not been refreshed for as long as it `lasts`. Raises InvalidCredentials
    and, where the password is right, AccountDisabled, and StaffOnly for a customer where only
    staff may. An unknown name costs the same time as a wrong password: one look-up, one hash and
    one row of the audit.
    """
    with reading() as connection:
        account = connection.execute(
            sa.select(User.id, User.username, User.password_hash).where(
                User.username_key == fold(username)
            )
        ).first()
    right = _matches(account.password_hash if account else _nobodys_hash(), password)

    def open_(connection: sa.Connection) -> OpenSession | DomainError:
        error: DomainError = InvalidCredentials("The user name or the password is wrong.")
        if account is not None and right:
            # A change of the password waits for this lock and then ends this session too; after
            # one that came first there is no row with the password that was looked at.
            query = sa.select(User.is_disabled, User.is_staff).where(_unchanged(account))
            locked = connection.execute(query.with_for_update(read=True)).first()
            if locked and locked.is_disabled:
                error = AccountDisabled("This account is disabled; ask the cinema's staff.")
            elif locked and staff_only and not locked.is_staff:
                error = StaffOnly("Only staff may log in here.")
            elif locked:
                opened = open_session(
                    connection,
                    user_id=account.id,
                    lasts=lasts,
                    user_agent=user_agent,
                    address=by.address,
                    now=now,
                )
                audit.record(
                    connection,
                    LOGGED_IN,
                    by=replace(by, user_id=account.id, username=account.username),
                    object_id=account.id,
                    after={"session": opened.id},
                    now=now,
                )
                return opened
        # Not the name that was tried: people type their password there by mistake.
        known = None if account is None else account.id
        audit.record(connection, "account.log_in_refused", by=by, object_id=known, now=now)
        return error

    return _raise_after_commit(open_)


def open_session(
    connection: sa.Connection,
    *,
    user_id: int,
    lasts: timedelta,
    user_agent: str = "",
    address: str | None = None,
    now: datetime | None = None,
) -> OpenSession:
    """A new session of the account, within the caller's transaction; takes a few expired ones,
    whosever they are, away."""
    over = sa.select(Session.id).where(Session.expires_at <= clock(now))
    cleaned = over.limit(EXPIRED_SESSIONS_CLEANED).with_for_update(skip_locked=True)
    connection.execute(sa.delete(Session).where(Session.id.in_(cleaned)))
    refresh_id = secrets.token_urlsafe(24)
    insert = sa.insert(Session).values(
        user_id=user_id,
        created_at=clock(now),
        **_refreshed(refresh_id, lasts, address, user_agent, now),
    )
    insert = insert.returning(Session.id)
    return OpenSession(connection.execute(insert).scalar_one(), user_id, refresh_id)


def refresh_session(
    *,
    session_id: int,
    user_id: int,
    refresh_id: str,
    lasts: timedelta,
    user_agent: str,
    by: Actor,
    now: datetime | None = None,
) -> OpenSession:
    """Spend the session's refresh token and give it the next one; the session lasts anew.

    Raises SessionEnded. A token that is spent already is in two hands, and nobody can tell
    which are the thief's: the session ends (RFC 9700, section 4.14.2).
    """
    next_id = secrets.token_urlsafe(24)
    own = sa.and_(Session.id == session_id, Session.user_id == user_id)
    unspent = Session.refresh_hash == fingerprint(refresh_id)
    spend = (
        sa.update(Session)
        .where(own, unspent, Session.expires_at > clock(now))
        .values(**_refreshed(next_id, lasts, by.address, user_agent, now))
    )

    def refresh(connection: sa.Connection) -> OpenSession | DomainError:
        if connection.execute(spend).rowcount:
            return OpenSession(session_id, user_id, next_id)
        ended = sa.delete(Session).where(own).returning(unspent.label("unspent"))
        session = connection.execute(ended).first()
        if session is None or session.unspent:  # unspent, but over
            return _session_ended()
        audit.record(
            connection,
            "session.refresh_token_reused",
            by=by,
            object_id=session_id,
            before={"user_id": user_id},
            now=now,
        )
        return SessionEnded(
            "This refresh token was used before, so somebody else may have it; its session is "
            "ended. Log in again."
        )

    return _raise_after_commit(refresh)


def find_session(
    *, session_id: int, user_id: int, now: datetime | None = None
) -> sa.RowMapping | None:
    """The account of an open session; None where the session is over or the account disabled.

    The one check of each request with an access token, and its one statement.
    """
    params = {"session": session_id, "user": user_id, **now_params(now)}
    with reading() as connection:
        return connection.execute(_session_account(now is not None), params).mappings().first()


@cache
def _session_account(timed: bool) -> Query:
    return (
        sa.select(*ACCOUNT)
        .join(Session, Session.user_id == User.id)
        .where(
            Session.id == sa.bindparam("session"),
            User.id == sa.bindparam("user"),
            Session.expires_at > clock_param(timed),
            sa.not_(User.is_disabled),
        )
    )


def end_session(*, session_id: int, user_id: int, by: Actor, now: datetime | None = None) -> None:
    """End a session of the account: its tokens are refused from now on. Raises NotFound."""

    def end(connection: sa.Connection) -> None:
        own = sa.and_(Session.id == session_id, Session.user_id == user_id)
        if not connection.execute(sa.delete(Session).where(own)).rowcount:
            raise NotFound("session", session_id)
        who = by
        if by.username is None:  # known by a refresh token or a cookie alone
            name = sa.select(User.username).where(User.id == user_id)
            who = replace(by, username=connection.execute(name).scalar())
        audit.record(connection, "session.ended", by=who, object_id=session_id, now=now)

    write_transaction(end)


def log_out(*, session_id: int, user_id: int, by: Actor) -> None:
    """As `end_session`; raises SessionEnded where there is nothing left to end."""
    try:
        end_session(session_id=session_id, user_id=user_id, by=by)
    except NotFound as error:
        raise _session_ended() from error


def list_sessions(
    *, user_id: int, session_id: int, page: int, page_size: int, now: datetime | None = None
) -> Page:
    """The account's open sessions, newest first; `session_id` is the caller's `current` one."""
    query = (
        sa.select(
            Session.id,
            Session.created_at,
            Session.refreshed_at,
            Session.expires_at,
            Session.address,
            Session.user_agent,
            (Session.id == session_id).label("current"),
        )
        .where(Session.user_id == user_id, Session.expires_at > clock(now))
        .order_by(Session.id.desc())
    )
    with reading() as connection:
        return fetch_page(connection, listing(query), page=page, page_size=page_size)


def known_addresses(*, username: str) -> set[str]:
    """Where the account of this name was logged into from lately; none where there is none."""
    query = (
        sa.select(AuditEvent.address)
        .join(User, User.id == AuditEvent.actor_id)
        .where(User.username_key == fold(username), AuditEvent.action == LOGGED_IN)
        .order_by(AuditEvent.id.desc())
        .limit(ADDRESSES_KNOWN)
    )
    with reading() as connection:
        return {address for address in connection.execute(query).scalars() if address}


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
    with reading() as connection:
        query = sa.select(User.id, User.username, User.password_hash).where(User.id == user_id)
        account = connection.execute(query).first()
    if account is None:
        raise _session_ended()
    check_password(new_password, username=account.username, field="new_password")
    right = _matches(account.password_hash, old_password)
    new_hash = hasher.hash(new_password) if right else ""

    def change(connection: sa.Connection) -> DomainError | None:
        # Where another change was first, the old password is wrong by now.
        update = sa.update(User).where(_unchanged(account)).values(password_hash=new_hash)
        if not right or not connection.execute(update).rowcount:
            audit.record(connection, "account.password_refused", by=by, object_id=user_id, now=now)
            return WrongPassword("The old password is wrong.")
        others = sa.and_(Session.user_id == user_id, Session.id != session_id)
        connection.execute(sa.delete(Session).where(others))
        audit.record(connection, "account.password_changed", by=by, object_id=user_id, now=now)
        return None

    _raise_after_commit(change)


def fingerprint(refresh_id: str) -> str:
    """What is kept of the secret of a refresh token. It is random, so a fast hash will do."""
    return hashlib.sha256(refresh_id.encode()).hexdigest()


def _raise_after_commit(work: Callable[[sa.Connection], T | DomainError]) -> T:
    """Run `work`, and raise the error that it returns once it is committed: raised within, it
    would undo what is written down about it."""
    result = write_transaction(work)
    if isinstance(result, DomainError):
        raise result
    return result


def _session_ended() -> SessionEnded:
    return SessionEnded("The token's session has ended; log in again.")


def _refreshed(
    refresh_id: str, lasts: timedelta, address: str | None, user_agent: str, now: datetime | None
) -> dict[str, Any]:
    """The columns of a session that a log-in sets and each refresh sets anew."""
    return {
        "refresh_hash": fingerprint(refresh_id),
        "refreshed_at": clock(now),
        "expires_at": clock(now, plus=lasts),
        "address": address or "",
        "user_agent": "".join(c for c in user_agent if c.isprintable())[:USER_AGENT_MAX],
    }


def _unchanged(account: Row) -> sa.ColumnElement[bool]:
    """The account, while its password is the one that was looked at."""
    return sa.and_(User.id == account.id, User.password_hash == account.password_hash)


def _matches(password_hash: str, password: str) -> bool:
    try:
        return hasher.verify(password_hash, password)
    except VerifyMismatchError:
        return False


@cache
def _nobodys_hash() -> str:
    return hasher.hash("nobody's password")


# --- what staff do with accounts ------------------------------------------------------------


def require_staff(account: Mapping[Any, Any]) -> None:
    """Raises StaffOnly unless the account is staff now, whatever it was when it logged in."""
    if not account["is_staff"]:
        raise StaffOnly("Only staff may do this.")


@cache
def _account_list(searched: bool) -> Listing:
    query = sa.select(*ACCOUNT)
    if searched:
        query = query.where(User.username_key.like(sa.bindparam("search"), escape="/"))
    return listing(query.order_by(User.username_key, User.id))


def list_accounts(*, page: int, page_size: int, search: str | None = None) -> Page:
    """Accounts by name. `search` is a part of the name; case never counts."""
    params = {} if search is None else {"search": like_pattern(fold(search))}
    with reading() as connection:
        statements = _account_list(search is not None)
        return fetch_page(connection, statements, params, page=page, page_size=page_size)


def get_account(*, user_id: int) -> sa.RowMapping:
    """One account; raises NotFound."""
    with reading() as connection:
        account = connection.execute(ONE_ACCOUNT, {"user": user_id}).mappings().first()
    if account is None:
        raise NotFound("account", user_id)
    return account


def find_customer(*, username: str) -> sa.RowMapping:
    """The account of this name, in any case, that staff do something for; raises Invalid where
    there is none, and AccountDisabled."""
    query = sa.select(*ACCOUNT).where(User.username_key == fold(username))
    with reading() as connection:
        account = connection.execute(query).mappings().first()
    if account is None:
        raise Invalid("username", f"There is no account {username!r}.")
    if account["is_disabled"]:
        raise AccountDisabled(f"The account {account['username']!r} is disabled.")
    return account


def update_account(
    *,
    user_id: int,
    is_staff: bool | None = None,
    is_disabled: bool | None = None,
    by: Actor,
    now: datetime | None = None,
) -> sa.RowMapping:
    """Give or take the staff role, disable an account, which ends its sessions, or enable it.

    Raises NotFound, OwnAccount where staff would change their own, so that one member of staff
    is always left, and StaffOnly or SessionEnded where the caller is not staff, or not there, any
    more.
    """

    def update(connection: sa.Connection) -> sa.RowMapping:
        # Both rows in one order: of two who take each other's role one comes too late.
        locked = sa.select(*ACCOUNT).where(User.id.in_({user_id, by.user_id or user_id}))
        rows = connection.execute(locked.order_by(User.id).with_for_update(key_share=True))
        accounts = {row["id"]: row for row in rows.mappings()}
        if by.user_id is not None:
            actor = accounts.get(by.user_id)
            if actor is None or actor["is_disabled"]:
                raise _session_ended()
            require_staff(actor)
        if user_id not in accounts:
            raise NotFound("account", user_id)
        if user_id == by.user_id:
            raise OwnAccount("Another member of staff must change your account.")
        values = {"is_staff": is_staff, "is_disabled": is_disabled}
        changes = {name: value for name, value in values.items() if value is not None}
        before = accounts[user_id]
        if not changes:
            return before
        change = sa.update(User).where(User.id == user_id).values(**changes).returning(*ACCOUNT)
        after = connection.execute(change).mappings().one()
        if is_disabled:
            connection.execute(sa.delete(Session).where(Session.user_id == user_id))
        audit.record(
            connection,
            "account.changed",
            by=by,
            object_id=user_id,
            before=before,
            after=after,
            now=now,
        )
        return after

    return write_transaction(update)
