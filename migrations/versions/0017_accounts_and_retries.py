"""Refresh tokens that were spent lately; what the owner of an account is called.

Nullable: the release before writes none of it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("user_account", sa.Column("name", sa.String(length=150), nullable=True))
    op.add_column("user_session", sa.Column("spent_refreshes", JSON, nullable=True))


def downgrade() -> None:
    op.drop_column("user_session", "spent_refreshes")
    op.drop_column("user_account", "name")
