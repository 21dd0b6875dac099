"""Refresh tokens that were spent lately; what the owner of an account is called; what a
request with an Idempotency-Key means, and more headers of its answer.

Nullable: the release before writes none of it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("user_account", sa.Column("name", sa.String(length=150), nullable=True))
    op.add_column("user_session", sa.Column("spent_refreshes", JSON, nullable=True))
    op.add_column("idempotency_key", sa.Column("meaning", sa.String(length=64), nullable=True))
    op.add_column("idempotency_key", sa.Column("headers", JSON, nullable=True))


def downgrade() -> None:
    op.drop_column("idempotency_key", "headers")
    op.drop_column("idempotency_key", "meaning")
    op.drop_column("user_session", "spent_refreshes")
    op.drop_column("user_account", "name")
