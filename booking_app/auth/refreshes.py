"""Refreshing a session: its refresh token is spent for the next one.

Two tabs send the same token at once, and answers get lost. So for a while a spent token is given
the same next one again. That is not kept anywhere: it is derived from the spent one by the
servers' key, so neither the database nor the key alone opens a session.
"""

import base64
import hmac
from datetime import datetime, timedelta

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import Actor
from booking_app.auth.accounts import SessionEnded
from booking_app.auth.models import Session
from booking_app.auth.sessions import (
    OpenSession,
    hash_refresh_id,
    own_session,
    refreshed_columns,
)
from booking_app.core.database import NOW, AfterCommit, Row, writes

SAME_NEXT_FOR = timedelta(seconds=30)
SPENT_REMEMBERED = 20  # of one session; who refreshes more often in 30 s is out of order


@writes
def refresh_session(
    connection: sa.Connection,
    *,
    session_id: int,
    user_id: int,
    refresh_id: str,
    keys: tuple[str, ...],
    lasts: timedelta,
    user_agent: str,
    by: Actor,
    now: datetime | None = None,
) -> OpenSession:
    """Spend the session's refresh token and give it the next one; the session lasts anew. A token
    that was spent less than `SAME_NEXT_FOR` ago is given the same next one, and nothing changes.

    `keys`: the servers' present key, by which the next token is derived, and the one before.
    Raises SessionEnded. A token that was spent earlier is in two hands, and nobody can tell
    which are the thief's: the session ends (RFC 9700, section 4.14.2).
    """
    own = own_session(session_id, user_id)
    columns = (Session.refresh_hash, Session.expires_at, Session.spent_refreshes)
    query = sa.select(*columns, NOW.label("now")).where(own).with_for_update(key_share=True)
    session = connection.execute(query, {"now": now}).first()
    if session is None:
        raise SessionEnded
    spent_hash = hash_refresh_id(refresh_id)
    recent = _spent_lately(session)
    if session.expires_at > session.now and session.refresh_hash == spent_hash:
        next_id = _next_id(keys[0], session_id, refresh_id)
        expires_at = session.now + lasts
        recent[spent_hash] = {
            "hash": spent_hash,
            "spent_at": session.now.isoformat(),
            "expires_at": expires_at.isoformat(),
        }
        spend = sa.update(Session).where(own)
        spend = spend.values(**refreshed_columns(next_id, by.address, user_agent))
        remembered = list(recent.values())[-SPENT_REMEMBERED:]
        connection.execute(
            spend.values(
                refreshed_at=session.now, expires_at=expires_at, spent_refreshes=remembered
            )
        )
        return OpenSession(session_id, user_id, next_id, expires_at)
    if spent_hash in recent:
        expires_at = datetime.fromisoformat(recent[spent_hash]["expires_at"])
        for key in keys:
            next_id = _next_id(key, session_id, refresh_id)
            # Not so where a server of the release before, or with other keys, gave the next one.
            if hash_refresh_id(next_id) in {session.refresh_hash, *recent}:
                return OpenSession(session_id, user_id, next_id, expires_at)
    connection.execute(sa.delete(Session).where(own))
    if session.refresh_hash == spent_hash:  # unspent, but over
        raise AfterCommit(SessionEnded())
    audit.record(
        connection,
        "session.refresh_token_reused",
        by=by,
        object_id=session_id,
        before={"user_id": user_id},
        now=now,
    )
    raise AfterCommit(
        SessionEnded(
            "This refresh token was used before, so somebody else may have it; its session is "
            "ended. Log in again."
        )
    )


def _spent_lately(session: Row) -> dict[str, dict[str, str]]:
    """What the session remembers of the tokens that still get the same next one, by their hash."""
    earliest = session.now - SAME_NEXT_FOR
    return {
        spent["hash"]: spent
        for spent in session.spent_refreshes or ()
        if datetime.fromisoformat(spent["spent_at"]) > earliest
    }


def _next_id(key: str, session_id: int, refresh_id: str) -> str:
    """The secret of the token that follows the one with the secret `refresh_id`."""
    # The words keep it apart from all else that the key signs.
    message = f"next refresh token\n{session_id}\n{refresh_id}"
    digest = hmac.digest(key.encode(), message.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
