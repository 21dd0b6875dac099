"""Seats of a show may be blocked: kept by the house, or out of order."""

import sqlalchemy as sa
from alembic import op

from migrations.steps import refuse_downgrade

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("show_seat", sa.Column("blocked", sa.String(length=12), nullable=True))
    op.add_column("show_seat", sa.Column("blocked_reason", sa.String(length=200), nullable=True))


def downgrade() -> None:
    seat = sa.table("show_seat", sa.column("blocked"))
    blocked = sa.select(sa.func.count()).select_from(seat).where(seat.c.blocked.is_not(None))
    refuse_downgrade("seats of shows are blocked", blocked)
    op.drop_column("show_seat", "blocked_reason")
    op.drop_column("show_seat", "blocked")
