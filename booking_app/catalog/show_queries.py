"""Shows as they are listed and answered."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from booking_app.catalog import movies
from booking_app.catalog.models import (
    FILM_SEARCHED,
    IS_UPCOMING,
    PRESENTATION,
    Cinema,
    Movie,
    Screen,
    Show,
    available_seats,
    with_places,
)
from booking_app.catalog.show_rules import EDITED
from booking_app.core.database import NOW, Query, fold, reading
from booking_app.core.editions import edition_of
from booking_app.core.errors import Invalid, NotFound
from booking_app.core.paging import Listing, Page, fetch_page, kept_listing
from booking_app.core.statements import Statement

# With the parameter `now`.
SHOWS: Query = with_places(
    sa.select(
        Show.id,
        Show.movie_id,
        Movie.title.label("movie_title"),
        Screen.cinema_id,
        Cinema.name.label("cinema_name"),
        Cinema.timezone,
        Show.screen_id,
        Screen.name.label("screen_name"),
        Show.starts_at,
        Show.ends_at,
        Show.total_seats,
        available_seats(NOW).label("available_seats"),
        Show.price_cents,
        Show.prices,
        Show.currency,
        Show.no_single_gaps,
        Show.max_seats_per_account,
        sa.and_(Show.on_sale, Movie.on_sale).label("on_sale"),
        *PRESENTATION,
    )
)
# With what its edition is made of besides.
ONE_SHOW = Statement(
    SHOWS.add_columns(Show.on_sale.label("own_on_sale"), Show.external_id).where(
        Show.id == sa.bindparam("show")
    )
)
ORDER = (Show.starts_at, Show.id)


@cache
def _show_list(filters: frozenset[str], when: str) -> Listing:
    """The list of shows with those filters, built once for each set of them."""
    on_sale = sa.bindparam("on_sale", type_=sa.Boolean)
    query = SHOWS.with_only_columns(Show.id, maintain_column_froms=True)
    query = query.where(sa.and_(Show.on_sale, Movie.on_sale) == on_sale)
    conditions = {
        "movie": Show.movie_id == sa.bindparam("movie"),
        "cinema": Screen.cinema_id == sa.bindparam("cinema"),
        "screen": Show.screen_id == sa.bindparam("screen"),
        "search": FILM_SEARCHED.like(sa.bindparam("search")),
        "date": Show.local_date == sa.bindparam("date"),
        "since": Show.local_date >= sa.bindparam("since"),
        "until": Show.local_date <= sa.bindparam("until"),
        "format": Show.format_key == sa.bindparam("format"),
        "language": Show.language_key == sa.bindparam("language"),
        "subtitles": Show.subtitles_key == sa.bindparam("subtitles"),
    }
    for name in filters:
        query = query.where(conditions[name])
    if when == "upcoming":
        query = query.where(IS_UPCOMING)
    elif when == "past":
        query = query.where(Show.starts_at <= NOW, sa.not_(IS_UPCOMING))
    return kept_listing(query.order_by(*ORDER), _with_seats)


def _with_seats(page: sa.Subquery) -> Query:
    """The shows of a page, whose free seats alone are counted: PostgreSQL counts those of every
    show before the page too where the number is a column of the whole list."""
    return SHOWS.join(page, page.c.id == Show.id).order_by(*ORDER)


def list_shows(
    *,
    page: int,
    page_size: int,
    movie: int | None = None,
    cinema: int | None = None,
    screen: int | None = None,
    search: str | None = None,
    date: date | None = None,
    since: date | None = None,
    until: date | None = None,
    format: str | None = None,
    language: str | None = None,
    subtitles: str | None = None,
    when: str = "upcoming",
    on_sale: bool = True,
    now: datetime | None = None,
) -> Page:
    """Shows by time and id. `date`, and `since` and `until` with all between, are business days;
    `search` finds films as in `movies.list_movies`. Raises Invalid for a period that can't be."""
    if since is not None and until is not None and until < since:
        raise Invalid("to", "Must not be before from.", place="query")
    presented = {"format": format, "language": language, "subtitles": subtitles}
    filters: dict[str, Any] = {
        "movie": movie,
        "cinema": cinema,
        "screen": screen,
        "search": None if search is None else FILM_SEARCHED.pattern(search),
        "date": date,
        "since": since,
        "until": until,
        **{name: None if text is None else fold(text) for name, text in presented.items()},
    }
    given = {name: value for name, value in filters.items() if value is not None}
    statements = _show_list(frozenset(given), when)
    with reading() as connection:
        params = {"on_sale": on_sale, **given, "now": now}
        return fetch_page(connection, statements, params, page=page, page_size=page_size)


def list_movie_shows(*, movie_id: int, **filters: Any) -> Page:
    """The film's shows, as `list_shows`; raises NotFound for an unknown film."""
    shows = list_shows(movie=movie_id, **filters)
    if not shows.items:
        movies.get_movie(movie_id=movie_id)
    return shows


def get_show(*, show_id: int, now: datetime | None = None) -> dict[str, Any]:
    """One show, also one that is withdrawn or over; raises NotFound."""
    with reading() as connection:
        return read_show(connection, show_id, now)


def read_show(connection: sa.Connection, show_id: int, now: datetime | None) -> dict[str, Any]:
    """As `get_show`, within the caller's transaction."""
    show = ONE_SHOW.first(connection, {"show": show_id, "now": now})
    if show is None:
        raise NotFound("show", show_id)
    found: dict[str, Any] = show._asdict()
    return found


def show_edition(show: Mapping[Any, Any]) -> str:
    """The edition of a show that was read by `get_show`. Whether its film is on sale is none of it:
    staff change that of the film."""
    return edition_of(EDITED, {**show, "on_sale": show["own_on_sale"]})
