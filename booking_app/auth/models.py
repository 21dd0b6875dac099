"""The tables of accounts and their sessions."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from booking_app.audit.models import ADDRESS_MAX
from booking_app.core.database import Base, BigId, Json, KeyText, UtcDateTime

USERNAME_MAX = 150
NAME_MAX = 150
EMAIL_MAX = 254
PASSWORD_MIN, PASSWORD_MAX = 8, 128
USER_AGENT_MAX = 200


class User(Base):
    """An account. `username_key` is the folded name: names are unique without regard to case.
    `name` is what its owner is called; nobody logs in with it.
    """

    __tablename__ = "user_account"
    __table_args__ = (
        sa.UniqueConstraint("username_key"),
        # An id is never given twice, so a token can't come to mean another account.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    username: Mapped[str] = mapped_column(sa.String(USERNAME_MAX))
    username_key: Mapped[str] = mapped_column(KeyText)
    name: Mapped[str | None] = mapped_column(sa.String(NAME_MAX))
    email: Mapped[str | None] = mapped_column(sa.String(EMAIL_MAX))
    password_hash: Mapped[str] = mapped_column(sa.String(255))
    is_staff: Mapped[bool] = mapped_column(sa.Boolean)
    is_disabled: Mapped[bool] = mapped_column(sa.Boolean, server_default=sa.false())
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Session(Base):
    """What a log-in opened. Its tokens are good as long as its row is there, and no longer.

    `refresh_hash` is of the one refresh token that is not spent yet (`sessions.hash_refresh_id`).
    `spent_refreshes` has those spent in the last seconds, oldest first: `{hash, spent_at,
    expires_at}`, the latter two of the next token (`refreshes`). NULL: none is known; the release
    before writes none.
    """

    __tablename__ = "user_session"
    __table_args__ = (
        sa.Index("ix_user_session_user_id_id", "user_id", "id"),
        sa.Index("ix_user_session_expires_at", "expires_at"),
        # An id is never given twice, so a token can't come to mean another session.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id", ondelete="CASCADE"))
    refresh_hash: Mapped[str] = mapped_column(sa.String(64))
    spent_refreshes: Mapped[list[dict[str, str]] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    refreshed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    address: Mapped[str] = mapped_column(sa.String(ADDRESS_MAX))
    user_agent: Mapped[str] = mapped_column(sa.String(USER_AGENT_MAX))
