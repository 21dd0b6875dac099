"""The search for bookings: by reference, customer or film."""

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from booking_app.auth.models import User
from booking_app.booking.models import Booking
from booking_app.booking.references import ALPHABET, LENGTH, normalized
from booking_app.catalog.models import FILM_SEARCHED, Movie, Show
from booking_app.core.database import Query, fold
from booking_app.core.paging import exactly
from booking_app.core.search import like_pattern

# Of so many bookings any part of the reference is looked for, of the older ones how it begins:
# that an index tells, however many there are.
NEWEST = 10_000
NEWEST_SHOWS = 1000  # whose bookings are found by the film, where not all are wanted


@cache
def found_bookings(most: int | None = None) -> sa.CompoundSelect[Any]:
    """The ids of the bookings that have what is searched for, with the parameters of
    `search_params`. `most`: so many for each kind of match are enough.

    Each kind is a SELECT of its own, which has an index; one condition over all their tables
    would be tried on each booking.
    """
    reference, name, email = Booking.reference, User.username_key, sa.func.lower(User.email)
    newest = sa.select(sa.func.max(aliased(Booking).id)).scalar_subquery()
    by_reference = sa.select(Booking.id).where(
        reference.between(sa.bindparam("search_first"), sa.bindparam("search_last")),
        reference.like(sa.bindparam("search_begin"), escape="/"),
    )
    by_part = sa.select(Booking.id).where(
        Booking.id > newest - NEWEST, reference.like(sa.bindparam("search_part"), escape="/")
    )
    accounts = sa.select(User.id).where(
        sa.or_(*(one.like(sa.bindparam("search_name"), escape="/") for one in (name, email)))
    )
    shows = (
        sa.select(Show.id)
        .join(Movie, Movie.id == Show.movie_id)
        .where(FILM_SEARCHED.like(sa.bindparam("search_film")))
    )
    if most is not None:
        shows = shows.order_by(Show.starts_at.desc()).limit(exactly(NEWEST_SHOWS))
    by_account = sa.select(Booking.id).where(Booking.user_id.in_(accounts.correlate(None)))
    by_film = sa.select(Booking.id).where(Booking.show_id.in_(shows.correlate(None)))
    kinds: list[Query] = [by_reference, by_part, by_account, by_film]
    if most is not None:
        kinds = [sa.select(one.limit(exactly(most)).subquery().c.id) for one in kinds]
    return sa.union(*kinds)


def search_params(text: str) -> dict[str, Any]:
    """The parameters of `found_bookings` for what was typed."""
    reference = normalized(text)
    part = like_pattern(reference)
    return {
        "search_first": reference,
        "search_last": reference + ALPHABET[-1] * LENGTH,
        "search_begin": part.removeprefix("%"),
        "search_part": part,
        "search_name": like_pattern(fold(text)),
        "search_film": FILM_SEARCHED.pattern(text),
    }
