"""Each taken seat has the price of its owner's receipt; the least release that may serve.

A release from before 0004 that went on selling after it wrote seats without a price, or left the
price of the owner before, and reports added that up. The kept sums of such shows go too, so that
reports add them up anew.
"""

import sqlalchemy as sa
from alembic import op

from migrations.steps import in_batches

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# A row for each seat of the bookings of some shows.
RECEIPTS = {
    "postgresql": """
        SELECT booking.id AS booking_id, seat->>'seat_number' AS label,
               CAST(seat->>'price_cents' AS INTEGER) AS price_cents
        FROM booking, jsonb_array_elements(booking.seats) AS seat
        WHERE booking.show_id > :after AND booking.show_id <= :upto""",
    "sqlite": """
        SELECT booking.id AS booking_id, json_extract(seat.value, '$.seat_number') AS label,
               json_extract(seat.value, '$.price_cents') AS price_cents
        FROM booking, json_each(booking.seats) AS seat
        WHERE booking.show_id > :after AND booking.show_id <= :upto""",
}
RECEIPT_COLUMNS = ("booking_id", "label", "price_cents")


def table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns))


SHOW, SHOW_SUM = table("show", "id"), table("show_sum", "show_id")
SEAT = table("show_seat", "show_id", *RECEIPT_COLUMNS)


def price_seats(connection: sa.Connection, after: int, upto: int) -> None:
    """Give the seats of these shows the prices of their receipts, where they have others."""
    receipts = sa.text(RECEIPTS[connection.dialect.name]).bindparams(after=after, upto=upto)
    receipt = receipts.columns(*map(sa.column, RECEIPT_COLUMNS)).subquery("receipt")
    wrong = sa.and_(
        SEAT.c.show_id > after,
        SEAT.c.show_id <= upto,
        SEAT.c.booking_id == receipt.c.booking_id,
        SEAT.c.label == receipt.c.label,
        SEAT.c.price_cents.is_distinct_from(receipt.c.price_cents),
    )
    shows = connection.execute(sa.select(SEAT.c.show_id).where(wrong).distinct()).scalars().all()
    if not shows:
        return
    # In the order of the application: the shows, which a report that is about to keep their sums
    # has locked too, then the seats by label.
    these = sa.select(SHOW.c.id).where(SHOW.c.id.in_(shows)).order_by(SHOW.c.id)
    connection.execute(these.with_for_update(key_share=True)).all()
    connection.execute(sa.delete(SHOW_SUM).where(SHOW_SUM.c.show_id.in_(shows)))
    seats = sa.select(SEAT.c.label).where(wrong).order_by(SEAT.c.show_id, SEAT.c.label)
    connection.execute(seats.with_for_update(of=SEAT)).all()
    connection.execute(sa.update(SEAT).where(wrong).values(price_cents=receipt.c.price_cents))


def upgrade() -> None:
    in_batches("show", price_seats)
    op.create_table(
        "schema_requirement",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("least_release", sa.String(length=20), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_schema_requirement_one_row")),
        sa.PrimaryKeyConstraint("id", name="pk_schema_requirement"),
    )


def downgrade() -> None:
    op.drop_table("schema_requirement")
