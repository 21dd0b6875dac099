"""How many seats of a show an account may have; a screen's seats that are out of order."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("show", sa.Column("max_seats_per_account", sa.Integer(), nullable=True))
    json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.add_column("screen", sa.Column("out_of_order", json, server_default="[]", nullable=False))
    op.add_column(
        "show_sum", sa.Column("blocked", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("show_sum", "blocked")
    op.drop_column("screen", "out_of_order")
    op.drop_column("show", "max_seats_per_account")
