"""The price at which a seat was taken stands in its row, where reports add it up.

The column alone: 0006 fills it in. Both in one transaction kept readers waiting for 9 s, on a table
of 1.3 million seats.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("show_seat", sa.Column("price_cents", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("show_seat", "price_cents")
