"""The table of answers that are kept for retries."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from booking_app.core.database import Base, Json, UtcDateTime

KEY_MAX = 255
KEY_PATTERN = rf"[\x21-\x7e]{{1,{KEY_MAX}}}"  # visible ASCII


class IdempotencyKey(Base):
    """The answer that was given to a request with this key, written in its transaction.

    `fingerprint` is of the request's method, path and bytes, `meaning` of its method, path and what
    the bytes mean. The release before writes no `meaning` and no `headers`, and compares the
    `fingerprint`.
    """

    __tablename__ = "idempotency_key"
    __table_args__ = (
        sa.PrimaryKeyConstraint("user_id", "key"),
        sa.Index("ix_idempotency_key_user_id_expires_at", "user_id", "expires_at"),
    )

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    key: Mapped[str] = mapped_column(sa.String(KEY_MAX))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    meaning: Mapped[str | None] = mapped_column(sa.String(64))
    status: Mapped[int] = mapped_column(sa.Integer)
    body: Mapped[str] = mapped_column(sa.Text)
    location: Mapped[str | None] = mapped_column(sa.String(200))
    headers: Mapped[dict[str, str] | None] = mapped_column(Json)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
