"""The price at which a seat was taken stands in its row, where reports add it up."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# From the receipts of the owners.
BACKFILL = {
    "postgresql": """
        UPDATE show_seat SET price_cents = (seat->>'price_cents')::INTEGER
        FROM booking, jsonb_array_elements(booking.seats) AS seat
        WHERE booking.id = show_seat.booking_id AND seat->>'seat_number' = show_seat.label""",
    "sqlite": """
        UPDATE show_seat SET price_cents = (
            SELECT json_extract(seat.value, '$.price_cents')
            FROM booking, json_each(booking.seats) AS seat
            WHERE booking.id = show_seat.booking_id
              AND json_extract(seat.value, '$.seat_number') = show_seat.label)
        WHERE booking_id IS NOT NULL""",
}


def upgrade() -> None:
    op.add_column("show_seat", sa.Column("price_cents", sa.Integer(), nullable=True))
    op.execute(BACKFILL[op.get_bind().dialect.name])


def downgrade() -> None:
    op.drop_column("show_seat", "price_cents")
