"""How another system names cinemas and screens."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("cinema", "screen"):
        op.add_column(table, sa.Column("external_id", sa.String(length=100), nullable=True))
        op.create_index(f"uq_{table}_external_id", table, ["external_id"], unique=True)


def downgrade() -> None:
    for table in ("screen", "cinema"):
        op.drop_index(f"uq_{table}_external_id", table)
        op.drop_column(table, "external_id")
