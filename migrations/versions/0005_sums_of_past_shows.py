"""What was sold of a show that is over can be kept as sums, which reports fill in."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "show_sum",
        sa.Column("show_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("category", sa.String(30), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("sold", sa.Integer(), nullable=False),
        sa.Column("takings_cents", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["show_id"], ["show.id"], name="fk_show_sum_show_id"),
        sa.PrimaryKeyConstraint("show_id", "category", name="pk_show_sum"),
    )


def downgrade() -> None:
    op.drop_table("show_sum")
