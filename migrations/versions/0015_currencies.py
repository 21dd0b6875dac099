"""The currency of cinemas and shows; amounts in minor units of their currency.

Until now every amount had two decimals, whatever its currency. Where ISO 4217 says otherwise, the
amounts are converted, and only this release may serve the database from then on: the release before
would read 1800 yen as 18.00. That is why it is done in one transaction: nobody sells meanwhile.
"""

from typing import Any

import click
import sqlalchemy as sa
from alembic import op
from flask import current_app
from sqlalchemy.dialects import postgresql

from booking_app.core.formats import DECIMALS
from migrations.steps import refuse_downgrade, require_release

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

RELEASE = "1.3.0"
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SHOW = sa.table(
    "show",
    sa.column("id"),
    sa.column("currency", sa.String),
    sa.column("price_cents", sa.Integer),
    sa.column("prices", JSON),
)
BOOKING = sa.table(
    "booking",
    sa.column("id"),
    sa.column("show_id"),
    sa.column("currency", sa.String),
    sa.column("seats", JSON),
    sa.column("total_cents", sa.Integer),
)
SEAT = sa.table(
    "show_seat", sa.column("show_id"), sa.column("booking_id"), sa.column("price_cents", sa.Integer)
)
SUM = sa.table("show_sum", sa.column("show_id"))


def upgrade() -> None:
    house = current_app.config["CURRENCY"]
    op.add_column("cinema", sa.Column("currency", sa.String(length=3), nullable=True))
    op.add_column(
        "show", sa.Column("currency", sa.String(length=3), server_default=house, nullable=False)
    )
    connection = op.get_bind()
    _follow_bookings(connection, house)
    converted = [_convert(connection, currency) for currency in DECIMALS]
    if any(converted) or house in DECIMALS:
        require_release(RELEASE)


def _follow_bookings(connection: sa.Connection, house: str) -> None:
    """Give shows the currency in which they were sold, where CURRENCY was another one then: that of
    the newest booking that owns a seat."""
    owners = sa.select(SEAT.c.booking_id).where(SEAT.c.show_id == SHOW.c.id)
    newest = (
        sa.select(BOOKING.c.currency)
        .where(BOOKING.c.show_id == SHOW.c.id, BOOKING.c.id.in_(owners))
        .order_by(BOOKING.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    others = sa.select(BOOKING.c.show_id).where(BOOKING.c.currency != house)
    followed = sa.func.coalesce(newest, house)
    connection.execute(sa.update(SHOW).where(SHOW.c.id.in_(others)).values(currency=followed))
    mixed = (
        sa.select(SHOW.c.id, SHOW.c.currency)
        .join(BOOKING, BOOKING.c.show_id == SHOW.c.id)
        .join(SEAT, sa.and_(SEAT.c.show_id == SHOW.c.id, SEAT.c.booking_id == BOOKING.c.id))
        .where(SHOW.c.id.in_(others), BOOKING.c.currency != SHOW.c.currency)
        .distinct()
        .order_by(SHOW.c.id)
    )
    for show in connection.execute(mixed):
        click.echo(
            f"Show {show.id} was sold in two currencies, since CURRENCY was changed between: "
            f"reports count all its seats in {show.currency}."
        )


def _convert(connection: sa.Connection, currency: str) -> bool:
    """Give the amounts of the currency, which have two decimals, those that it has; whether there
    are any."""
    places = DECIMALS[currency]

    def minor(amount: int) -> int:
        return round(amount * 10**places / 100)

    shows = connection.execute(sa.select(SHOW).where(SHOW.c.currency == currency)).all()
    for show in shows:
        prices = {category: minor(price) for category, price in show.prices.items()}
        values = {"price_cents": minor(show.price_cents), "prices": prices}
        connection.execute(sa.update(SHOW).where(SHOW.c.id == show.id).values(values))
    of_currency = sa.select(SHOW.c.id).where(SHOW.c.currency == currency)
    connection.execute(sa.delete(SUM).where(SUM.c.show_id.in_(of_currency)))
    bookings = connection.execute(sa.select(BOOKING).where(BOOKING.c.currency == currency)).all()
    for booking in bookings:
        seats = [line | {"price_cents": minor(line["price_cents"])} for line in booking.seats]
        live = sum(line["price_cents"] for line in seats if not line["cancelled"])
        values = {"seats": seats, "total_cents": live}
        connection.execute(sa.update(BOOKING).where(BOOKING.c.id == booking.id).values(values))
        _convert_seats(connection, booking.show_id, booking.id, minor)
    return bool(shows or bookings)


def _convert_seats(connection: sa.Connection, show_id: int, booking_id: int, minor: Any) -> None:
    own = sa.and_(SEAT.c.show_id == show_id, SEAT.c.booking_id == booking_id)
    found = connection.execute(sa.select(SEAT.c.price_cents).where(own).distinct()).scalars().all()
    prices = {price: minor(price) for price in found if price is not None}
    if prices:
        changed = sa.case(prices, value=SEAT.c.price_cents)
        connection.execute(sa.update(SEAT).where(own).values(price_cents=changed))


def downgrade() -> None:
    house = current_app.config["CURRENCY"]
    other = sa.or_(SHOW.c.currency != house, SHOW.c.currency.in_(DECIMALS))
    count = sa.select(sa.func.count()).select_from(SHOW).where(other)
    refuse_downgrade("shows are sold in a currency other than CURRENCY or without cents", count)
    op.drop_column("show", "currency")
    op.drop_column("cinema", "currency")
