"""The accounts' table."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from booking_app.database import Base, BigId, KeyText, UtcDateTime

USERNAME_MAX = 150
EMAIL_MAX = 254
PASSWORD_MIN, PASSWORD_MAX = 8, 128


class User(Base):
    """An account. `username_key` is the folded name: names are unique without regard to case."""

    __tablename__ = "user_account"
    __table_args__ = (
        sa.UniqueConstraint("username_key"),
        # An id is never given twice, so a token can't come to mean another account.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    username: Mapped[str] = mapped_column(sa.String(USERNAME_MAX))
    username_key: Mapped[str] = mapped_column(KeyText)
    email: Mapped[str | None] = mapped_column(sa.String(EMAIL_MAX))
    password_hash: Mapped[str] = mapped_column(sa.String(255))
    is_staff: Mapped[bool] = mapped_column(sa.Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
