"""Values with which the calls in Swagger UI work as they stand."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from booking_app.catalog.models import Movie, Screen, Show, ShowSeat, is_for_sale
from booking_app.core.database import NOW, later, reading
from booking_app.core.formats import iso

# So that the show can still be booked when the reader gets to it.
AHEAD = timedelta(hours=1)


def bookable_example(*, now: datetime | None = None) -> dict[str, Any]:
    """Values that "Try it out" works with: a seat to book (`movie_id`, `show_id`, `seat_number`)
    where there is one, its cinema and screen, and the `date_time` of a show to make."""
    query = (
        sa.select(
            Show.movie_id,
            Show.id.label("show_id"),
            ShowSeat.label.label("seat_number"),
            Show.screen_id,
            Screen.cinema_id,
        )
        .join(Movie, Movie.id == Show.movie_id)
        .join(Screen, Screen.id == Show.screen_id)
        .join(ShowSeat, ShowSeat.show_id == Show.id)
        .where(Show.on_sale, Movie.on_sale, is_for_sale(NOW), Show.starts_at > later(AHEAD))
        .order_by(Show.starts_at, Show.id, ShowSeat.position)
        .limit(1)
    )
    with reading() as connection:
        row = connection.execute(query, {"now": now}).mappings().first()
        present: datetime = connection.execute(sa.select(NOW), {"now": now}).scalar_one()
    # The same all day long, so that whoever asks again finds the document unchanged.
    noon = present.replace(hour=12, minute=0, second=0, microsecond=0)
    return {"date_time": iso(noon + timedelta(days=30)), **(row or {})}
