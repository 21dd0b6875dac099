"""The currency of a cinema: a show takes it when it is made, a booking takes its show's."""

from datetime import datetime

import sqlalchemy as sa

from booking_app.catalog.models import Cinema, Screen, Show
from booking_app.catalog.show_rules import require_finished_upgrade
from booking_app.core.database import NOW


def currency_of(connection: sa.Connection, cinema_id: int) -> str | None:
    """The currency that the cinema names. One of its screens is locked."""
    query = sa.select(Cinema.currency).where(Cinema.id == cinema_id)
    return connection.execute(query).scalar_one()


def sells_otherwise(
    connection: sa.Connection, cinema_id: int, currency: str | None, now: datetime | None
) -> bool:
    """Whether shows to come are sold in another currency. The screens are locked here: until the
    transaction ends, no show is added."""
    screens = sa.select(Screen.id).where(Screen.cinema_id == cinema_id).order_by(Screen.id)
    connection.execute(screens.with_for_update()).all()
    coming = sa.select(Show.currency).join(Screen).where(Screen.cinema_id == cinema_id)
    sold_in = connection.execute(coming.where(Show.starts_at > NOW).distinct(), {"now": now})
    return any(one != currency for one in sold_in.scalars())


def check_upgrade(connection: sa.Connection, currency: str | None) -> None:
    """Raises UpgradeUnfinished for a currency that the release before does not know."""
    if currency is not None:
        require_finished_upgrade(connection, "currencies of cinemas")
