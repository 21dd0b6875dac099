"""Sessions: logging in, logging out, and who somebody is."""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.models import LOGGED_IN, AuditEvent
from booking_app.audit.service import Actor
from booking_app.auth.accounts import COLUMNS, Account, AccountDisabled, SessionEnded, StaffOnly
from booking_app.auth.models import USER_AGENT_MAX, Session, User
from booking_app.auth.passwords import matches
from booking_app.core.database import NOW, AfterCommit, Row, fold, later, reading, writes
from booking_app.core.errors import DomainError, NotFound, Unauthenticated
from booking_app.core.paging import Page, fetch_page, listing
from booking_app.core.statements import Statement

EXPIRED_SESSIONS_CLEANED = 20
SESSIONS_MAX = 50  # open ones of an account
ADDRESSES_KNOWN = 50


class InvalidCredentials(Unauthenticated):
    code = "invalid_credentials"


@dataclass(frozen=True, slots=True)
class OpenSession:
    """What the tokens of a session are made of. `refresh_id` is the secret of its next refresh
    token, which is good until `expires_at`; the database keeps only its hash."""

    id: int
    user_id: int
    refresh_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose access token came with a request, and from where: whether the session is open is looked
    at by the statement that needs it, or `lock_caller`."""

    session_id: int
    user_id: int
    address: str | None = None
    request_id: str | None = None

    def actor(self, username: str) -> Actor:
        """The same as the audit names it."""
        return Actor(self.user_id, username, self.address, self.request_id)


# --- opening --------------------------------------------------------------------------------


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
    account = _account_of_name(username)
    right = matches(account.password_hash if account else None, password)
    return _open_checked_session(
        account=account,
        right=right,
        lasts=lasts,
        user_agent=user_agent,
        by=by,
        staff_only=staff_only,
        now=now,
    )


def _account_of_name(username: str) -> Row | None:
    query = sa.select(User.id, User.username, User.password_hash)
    with reading() as connection:
        return connection.execute(query.where(User.username_key == fold(username))).first()


@writes
def _open_checked_session(
    connection: sa.Connection,
    *,
    account: Row | None,
    right: bool,
    lasts: timedelta,
    user_agent: str,
    by: Actor,
    staff_only: bool,
    now: datetime | None,
) -> OpenSession:
    """Open the session where all is well, and write down that it was, or that it was refused."""
    if account is None or not right:
        _refuse_log_in(connection, account, _wrong_credentials(), by, now)
    if refusal := _find_refusal(connection, account, staff_only=staff_only):
        _refuse_log_in(connection, account, refusal, by, now)
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


def _refuse_log_in(
    connection: sa.Connection,
    account: Row | None,
    refusal: DomainError,
    by: Actor,
    now: datetime | None,
) -> NoReturn:
    # Not the name that was tried: people type their password there by mistake.
    known = None if account is None else account.id
    audit.record(connection, "account.log_in_refused", by=by, object_id=known, now=now)
    raise AfterCommit(refusal)


def _wrong_credentials() -> InvalidCredentials:
    return InvalidCredentials("The user name or the password is wrong.")


def _find_refusal(
    connection: sa.Connection, account: Row, *, staff_only: bool
) -> DomainError | None:
    """Why an account whose password is right may not log in; None where it may.

    A change of the password waits for this lock and then ends the new session too; after one that
    came first there is no row with the password that was looked at. Log-ins of one account wait
    for each other, so that each counts the sessions that the others opened.
    """
    query = sa.select(User.is_disabled, User.is_staff).where(unchanged(account))
    locked = connection.execute(query.with_for_update(key_share=True)).first()
    if locked is None:
        return _wrong_credentials()
    if locked.is_disabled:
        return AccountDisabled("This account is disabled; ask the cinema's staff.")
    if staff_only and not locked.is_staff:
        return StaffOnly("Only staff may log in here.")
    return None


def open_session(
    connection: sa.Connection,
    *,
    user_id: int,
    lasts: timedelta,
    user_agent: str = "",
    address: str | None = None,
    now: datetime | None = None,
) -> OpenSession:
    """A new session of the account, which the caller's transaction has locked; ends its oldest
    where there are more than `SESSIONS_MAX`, and deletes a few expired ones, whosever they are."""
    over = sa.select(Session.id).where(Session.expires_at <= NOW)
    cleaned = over.limit(EXPIRED_SESSIONS_CLEANED).with_for_update(skip_locked=True)
    connection.execute(sa.delete(Session).where(Session.id.in_(cleaned)), {"now": now})
    open_ones = sa.select(Session.id).where(Session.user_id == user_id, Session.expires_at > NOW)
    oldest = open_ones.order_by(Session.id.desc()).offset(SESSIONS_MAX - 1)
    connection.execute(sa.delete(Session).where(Session.id.in_(oldest)), {"now": now})
    refresh_id = secrets.token_urlsafe(24)
    insert = sa.insert(Session).values(
        user_id=user_id,
        created_at=NOW,
        refreshed_at=NOW,
        expires_at=later(lasts),
        **refreshed_columns(refresh_id, address, user_agent),
    )
    made = insert.returning(Session.id, Session.expires_at)
    session_id, expires_at = connection.execute(made, {"now": now}).one()
    return OpenSession(session_id, user_id, refresh_id, expires_at)


# --- while it is open -----------------------------------------------------------------------


OF_OPEN_SESSION = sa.and_(
    Session.user_id == User.id,
    Session.id == sa.bindparam("session"),
    User.id == sa.bindparam("user"),
    Session.expires_at > NOW,
    sa.not_(User.is_disabled),
)
SESSION_ACCOUNT = Statement(sa.select(*COLUMNS).join(Session, OF_OPEN_SESSION))


# The account, and that its session is open until the transaction ends: an end of the session that
# came first is seen, and any other waits. Both tables' rows are locked, so that PostgreSQL looks at
# them again after a wait.
CALLER = (
    sa.select(User.id, User.username, User.is_staff)
    .join(Session, OF_OPEN_SESSION)
    .with_for_update(read=True, key_share=True)
)
LOCK_CALLER = Statement(CALLER)


def lock_caller(
    connection: sa.Connection, caller: Caller, now: datetime | None = None
) -> Actor | None:
    """Keep the caller's session open until the transaction ends; who they are where they are staff.
    Raises SessionEnded."""
    params = {"session": caller.session_id, "user": caller.user_id, "now": now}
    account = LOCK_CALLER.first(connection, params)
    if account is None:
        raise SessionEnded
    return caller.actor(account.username) if account.is_staff else None


def find_session(*, session_id: int, user_id: int, now: datetime | None = None) -> Account | None:
    """The account of an open session; None where the session is over or the account disabled.

    The one check of each request with an access token, and its one statement.
    """
    params = {"session": session_id, "user": user_id, "now": now}
    with reading() as connection:
        account = SESSION_ACCOUNT.first(connection, params)
    return None if account is None else Account(*account)


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
        .where(Session.user_id == user_id, Session.expires_at > NOW)
        .order_by(Session.id.desc())
    )
    with reading() as connection:
        return fetch_page(connection, listing(query), {"now": now}, page=page, page_size=page_size)


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


# --- ending ---------------------------------------------------------------------------------


@writes
def end_session(
    connection: sa.Connection,
    *,
    session_id: int,
    user_id: int,
    by: Actor,
    now: datetime | None = None,
) -> None:
    """End a session of the account: its tokens are refused from now on. Raises NotFound."""
    if not connection.execute(sa.delete(Session).where(own_session(session_id, user_id))).rowcount:
        raise NotFound("session", session_id)
    if by.username is None:  # known by a refresh token or a cookie alone
        name = sa.select(User.username).where(User.id == user_id)
        by = replace(by, username=connection.execute(name).scalar())
    audit.record(connection, "session.ended", by=by, object_id=session_id, now=now)


def log_out(*, session_id: int, user_id: int, by: Actor) -> None:
    """As `end_session`; raises SessionEnded where there is nothing left to end."""
    try:
        end_session(session_id=session_id, user_id=user_id, by=by)
    except NotFound as error:
        raise SessionEnded from error


# --- columns --------------------------------------------------------------------------------


def hash_refresh_id(refresh_id: str) -> str:
    """What is kept of the secret of a refresh token. It is random, so a fast hash will do."""
    return hashlib.sha256(refresh_id.encode()).hexdigest()


def own_session(session_id: int, user_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(Session.id == session_id, Session.user_id == user_id)


def unchanged(account: Row) -> sa.ColumnElement[bool]:
    """The account, while its password is the one that was looked at."""
    return sa.and_(User.id == account.id, User.password_hash == account.password_hash)


def refreshed_columns(refresh_id: str, address: str | None, user_agent: str) -> dict[str, Any]:
    """The columns of a session that a log-in sets and each refresh sets anew, beside its times."""
    return {
        "refresh_hash": hash_refresh_id(refresh_id),
        "address": address or "",
        "user_agent": "".join(c for c in user_agent if c.isprintable())[:USER_AGENT_MAX],
    }
