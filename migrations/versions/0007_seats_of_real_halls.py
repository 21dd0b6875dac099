"""A seat is (block, row, number), has a kind and a place, and may have a longer label.

No label changes: seats of shows that exist keep theirs, sold or free.
"""

import sqlalchemy as sa
from alembic import op

from migrations.steps import is_unused, refuse_downgrade

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Not said on SQLite, which would copy the table and keeps texts of any length anyway. Where the
# release before may serve, `flask finish-upgrade` says it: a server fails at the statements that it
# has prepared with a column whose type is changed.
LENGTHS = {"label": (10, 60), "row_label": (5, 20)}


def upgrade() -> None:
    op.add_column(
        "show_seat",
        sa.Column("block", sa.String(length=30), server_default=sa.text("''"), nullable=False),
    )
    op.add_column("show_seat", sa.Column("number", sa.String(length=6), nullable=True))
    op.add_column(
        "show_seat",
        sa.Column("kind", sa.String(length=12), server_default="standard", nullable=False),
    )
    op.add_column("show_seat", sa.Column("x", sa.Integer(), nullable=True))
    op.add_column("show_seat", sa.Column("y", sa.Integer(), nullable=True))
    if op.get_bind().dialect.name == "postgresql" and is_unused():
        for column, (_, length) in LENGTHS.items():
            op.alter_column("show_seat", column, type_=sa.String(length=length))


def downgrade() -> None:
    seat = sa.table("show_seat", *map(sa.column, ("label", "row_label", "block", "kind")))
    refuse_downgrade(
        "seats of shows have a block, a kind or a long name",
        sa.select(sa.func.count())
        .select_from(seat)
        .where(
            sa.or_(
                seat.c.block != "",
                seat.c.kind.not_in(["standard", "wheelchair"]),
                *(sa.func.length(seat.c[name]) > old for name, (old, _) in LENGTHS.items()),
            )
        ),
    )
    screen = sa.table("screen", sa.column("rows"))
    text = sa.cast(screen.c.rows, sa.Text)
    refuse_downgrade(
        "screens have rows with a list of seats",
        sa.select(sa.func.count())
        .select_from(screen)
        .where(sa.or_(text.like('%"seats":[%'), text.like('%"seats": [%'))),
    )
    if op.get_bind().dialect.name == "postgresql":
        for column, (length, _) in LENGTHS.items():
            op.alter_column("show_seat", column, type_=sa.String(length=length))
    for column in ("y", "x", "kind", "number", "block"):
        op.drop_column("show_seat", column)
