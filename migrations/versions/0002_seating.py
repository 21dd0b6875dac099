"""Seat plans, prices by category, holds by account, idempotency keys.

Shows that are there keep their seats: one row without a label.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("location", sa.String(length=200), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name="fk_idempotency_key_user_id"
        ),
        sa.PrimaryKeyConstraint("user_id", "key", name="pk_idempotency_key"),
    )
    op.create_index(
        "ix_idempotency_key_user_id_expires_at", "idempotency_key", ["user_id", "expires_at"]
    )
    op.create_index(
        "ix_booking_held",
        "booking",
        ["user_id", "show_id"],
        sqlite_where=sa.text("status = 'held'"),
        postgresql_where=sa.text("status = 'held'"),
    )
    op.add_column("cinema", sa.Column("city", sa.String(length=100), nullable=True))
    op.add_column("screen", sa.Column("rows", Json, server_default="[]", nullable=False))
    op.add_column("show", sa.Column("prices", Json, server_default="{}", nullable=False))
    op.add_column(
        "show", sa.Column("no_single_gaps", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    for column in (
        sa.Column("row_label", sa.String(length=5), server_default=sa.text("''"), nullable=False),
        sa.Column("category", sa.String(length=30), server_default="standard", nullable=False),
        sa.Column("accessible", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("aisle_after", sa.Boolean(), server_default=sa.false(), nullable=False),
    ):
        op.add_column("show_seat", column)


def downgrade() -> None:
    with op.batch_alter_table("show_seat") as batch:
        for column in ("aisle_after", "accessible", "category", "row_label"):
            batch.drop_column(column)
    with op.batch_alter_table("show") as batch:
        batch.drop_column("no_single_gaps")
        batch.drop_column("prices")
    with op.batch_alter_table("screen") as batch:
        batch.drop_column("rows")
    with op.batch_alter_table("cinema") as batch:
        batch.drop_column("city")
    op.drop_index("ix_booking_held", "booking")
    op.drop_index("ix_idempotency_key_user_id_expires_at", "idempotency_key")
    op.drop_table("idempotency_key")
