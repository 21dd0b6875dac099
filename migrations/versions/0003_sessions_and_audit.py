"""Sessions that can be ended, accounts that can be disabled, and the audit of both.

Tokens from before belong to no session: their owners log in again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Instant = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "user_account",
        sa.Column("is_disabled", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_table(
        "user_session",
        sa.Column("id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("refresh_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("refreshed_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name="fk_user_session_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_user_session"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_user_session_user_id_id", "user_session", ["user_id", "id"])
    op.create_index("ix_user_session_expires_at", "user_session", ["expires_at"])
    op.create_table(
        "audit_event",
        sa.Column("id", BigId, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("actor_name", sa.String(length=150), nullable=True),
        sa.Column("address", sa.String(length=45), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("object_type", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=True),
        sa.Column("before", Json, nullable=True),
        sa.Column("after", Json, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit_event"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_event_action_id", "audit_event", ["action", "id"])
    op.create_index("ix_audit_event_actor_id_id", "audit_event", ["actor_id", "id"])
    op.create_index("ix_audit_event_object", "audit_event", ["object_type", "object_id", "id"])
    op.create_index("ix_audit_event_created_at", "audit_event", ["created_at"])
    op.create_index(
        "ix_audit_event_logged_in",
        "audit_event",
        ["actor_id", "id"],
        sqlite_where=sa.text("action = 'account.logged_in'"),
        postgresql_where=sa.text("action = 'account.logged_in'"),
    )


def downgrade() -> None:
    for index in ("logged_in", "created_at", "object", "actor_id_id", "action_id"):
        op.drop_index(f"ix_audit_event_{index}", "audit_event")
    op.drop_table("audit_event")
    op.drop_index("ix_user_session_expires_at", "user_session")
    op.drop_index("ix_user_session_user_id_id", "user_session")
    op.drop_table("user_session")
    # Not in a batch: a table made anew on SQLite would forget which ids it has given.
    op.drop_column("user_account", "is_disabled")
