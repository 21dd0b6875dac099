"""Indexes for lists that have grown long: bookings that are not booked, and shows by day.

On PostgreSQL they are made while others go on writing.
"""

import sqlalchemy as sa
from alembic import op

from migrations import steps

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

NOT_BOOKED = sa.text("status <> 'booked'")


def upgrade() -> None:
    with steps.outside_transaction():
        for name, table, columns, where in (
            ("ix_booking_not_booked", "booking", ["status", "id", "expires_at"], NOT_BOOKED),
            ("ix_show_local_date", "show", ["local_date"], None),
        ):
            # One that was broken off is of no use.
            op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
            op.create_index(
                name,
                table,
                columns,
                sqlite_where=where,
                postgresql_where=where,
                postgresql_concurrently=True,
            )


def downgrade() -> None:
    op.drop_index("ix_show_local_date", "show")
    op.drop_index("ix_booking_not_booked", "booking")
