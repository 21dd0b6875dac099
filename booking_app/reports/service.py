"""What was sold: seats, occupancy and takings of the shows of a period, added up by the database.

A seat counts as sold while a booking owns it; one that is only held, or was given back, does not.
Takings are the prices at which the seats were taken, in minor units of the show's
currency; those of two currencies are never added up. A seat that is blocked was not for
sale, so occupancy leaves it out; one that is sold is never blocked.

The seats of a show that is over change no more, so they are added up once and the sums kept
(`ShowSum`): a year of a million bookings is some thousand shows.
"""

import logging
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from booking_app.catalog.models import (
    SORT_KEY,
    Cinema,
    Movie,
    Screen,
    Show,
    ShowSeat,
    ShowSum,
    is_free,
    with_places,
)
from booking_app.core.database import (
    NOW,
    Query,
    fold,
    later,
    reading,
    upsert,
    writes,
)
from booking_app.core.errors import Invalid
from booking_app.core.exports import exporting, streamed
from booking_app.core.outages import is_unavailable
from booking_app.core.paging import Listing, Page, fetch_page, listing

log = logging.getLogger(__name__)

MAX_DAYS = 366
SHOWS_AT_ONCE = 1000
# So long after a show began nothing that was decided before it is still being written.
OVER_FOR = timedelta(hours=1)
SEATS_ADDED_UP_AT_ONCE = 100_000  # seats, so that nobody else waits long for them to be added up
TURNS = 20  # of that, in one report: the year of a large house

SOLD = sa.and_(ShowSeat.booking_id.is_not(None), ShowSeat.held_until.is_(None))
SOLD_SEATS = sa.func.count().filter(SOLD).label("sold")
BLOCKED_SEATS = (
    sa.func.count().filter(ShowSeat.blocked.is_not(None), sa.not_(SOLD)).label("blocked")
)
TAKINGS = sa.func.coalesce(sa.func.sum(ShowSeat.price_cents).filter(SOLD), 0).label("takings_cents")

FIGURES = (sa.func.count().label("seats"), BLOCKED_SEATS, SOLD_SEATS, TAKINGS)
SUMS = tuple(figure.name for figure in FIGURES)

# What a report may be by: the columns that name a row, and those that rows are ordered by, the same
# on both databases.
GROUPS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "day": ((Show.local_date.label("day"),), (Show.local_date,)),
    "movie": (
        (Movie.title.label("name"), Show.movie_id.label("movie")),
        (SORT_KEY, Show.movie_id),
    ),
    "screen": (
        (
            Cinema.name.label("cinema_name"),
            Screen.name.label("name"),
            Show.screen_id.label("screen"),
        ),
        (Cinema.name_key, Screen.name_key, Show.screen_id),
    ),
    "category": ((), ()),
}
# What a row of another report would be named by.
NOTHING: dict[str, Any] = dict.fromkeys(
    ("day", "movie", "screen", "category", "name", "cinema_name")
)


def occupancy(figures: Mapping[str, Any]) -> float:
    """The part of the seats that could be sold which was sold, 0 to 1; 0 where none could be."""
    for_sale = figures["seats"] - figures["blocked"]
    return figures["sold"] / for_sale if for_sale else 0.0


def sales(
    *,
    by: str,
    since: date,
    until: date,
    cinema: int | None = None,
    now: datetime | None = None,
) -> list[dict[str, Any]]:
    """The sales of the shows from the business day `since` to `until`, one row for each of `by` (of
    `GROUPS`) and `currency`: `shows`, `seats`, `blocked`, `sold`, `occupancy` (0 to 1) and
    `takings_cents`. Raises Invalid for a period that can't be."""
    if until < since:
        raise Invalid("until", "Must not be before since.", place="query")
    if (until - since).days >= MAX_DAYS:
        raise Invalid("until", f"A report is of at most {MAX_DAYS} days.", place="query")
    params: dict[str, Any] = {"since": since, "until": until}
    if cinema is not None:
        params["cinema"] = cinema
    _cache_sums(since, until, now)
    with reading() as connection:
        rows = connection.execute(_sales(by, cinema is not None), params).mappings().all()
    if by == "category":
        rows = sorted(rows, key=lambda row: (fold(row["category"]), row["currency"]))
    return [NOTHING | _row(row) for row in rows]


def _over_without_sums() -> Query:
    """The shows of a period that are over and have no sums yet."""
    return (
        sa.select(Show.id, Show.total_seats)
        .where(
            Show.local_date.between(sa.bindparam("since"), sa.bindparam("until")),
            Show.starts_at <= later(-OVER_FOR),
            sa.not_(_has_sums(Show.id)),
        )
        .order_by(Show.id)
    )


@writes
def _cache_some_sums(connection: sa.Connection, period: Mapping[str, Any]) -> bool:
    """Keep the sums of some shows of the period; whether more are left. They are locked in a
    statement before the one that reads their seats; what staff are changing just now is left for
    another time."""
    locked = _over_without_sums().limit(SHOWS_AT_ONCE).with_for_update(skip_locked=True)
    found = connection.execute(locked, period).all()
    shows: list[int] = []
    seats = 0
    for show in found:
        seats += show.total_seats
        if shows and seats > SEATS_ADDED_UP_AT_ONCE:
            break
        shows.append(show.id)
    sums = (
        sa.select(ShowSeat.show_id, ShowSeat.category, *FIGURES)
        .where(ShowSeat.show_id.in_(shows))
        .group_by(ShowSeat.show_id, ShowSeat.category)
    )
    names = [column.name for column in sums.selected_columns]
    insert = upsert(connection)(ShowSum).from_select(names, sums)
    connection.execute(insert.on_conflict_do_nothing())  # another report may be at it
    return len(shows) < len(found) or len(found) == SHOWS_AT_ONCE


def _cache_sums(since: date, until: date, now: datetime | None) -> None:
    """Keep the sums of the shows of the period that are over and have none yet."""
    period = {"since": since, "until": until, "now": now}
    with reading() as connection:
        more = connection.execute(_over_without_sums().limit(1), period).first() is not None
    try:
        for _ in range(TURNS):
            if not more:
                break
            more = _cache_some_sums(period)
    except Exception as error:
        if not is_unavailable(error):
            raise
        # Others are writing; the report adds up for itself what has no sums.
        log.info("no sums kept just now: %r", error)


def _has_sums(show_id: Any) -> sa.Exists:
    return sa.exists().where(ShowSum.show_id == show_id)


@cache
def _sales(by: str, of_cinema: bool) -> Query:
    """Each show's seats are added up first, and then the shows: there are far fewer of them."""
    of_period = sa.select(Show.id).where(
        Show.local_date.between(sa.bindparam("since"), sa.bindparam("until"))
    )
    if of_cinema:
        of_period = of_period.join(Screen).where(Screen.cinema_id == sa.bindparam("cinema"))
    key = ["show_id", "category"] if by == "category" else ["show_id"]
    kept = [getattr(ShowSum, name) for name in key]
    added = [getattr(ShowSeat, name) for name in key]
    kept_sums = (sa.func.sum(getattr(ShowSum, name)).label(name) for name in SUMS)
    seats = sa.union_all(
        sa.select(*kept, *kept_sums).where(ShowSum.show_id.in_(of_period)).group_by(*kept),
        sa.select(*added, *FIGURES)
        .where(ShowSeat.show_id.in_(of_period.where(sa.not_(_has_sums(Show.id)))))
        .group_by(*added),
    ).subquery()
    columns, order = GROUPS[by]
    if by == "category":
        columns = order = (seats.c.category,)
    sums = (sa.cast(sa.func.sum(seats.c[name]), sa.BigInteger).label(name) for name in SUMS)
    columns, order = (*columns, Show.currency), (*order, Show.currency)
    query = with_places(
        sa.select(*columns, sa.func.count().label("shows"), *sums)
        .select_from(seats)
        .join(Show, Show.id == seats.c.show_id)
    )
    return query.group_by(*order, *columns).order_by(*order)


def coming_shows(
    *, page: int, page_size: int, cinema: int | None = None, now: datetime | None = None
) -> Page:
    """Shows to come, by time, each with what is blocked, sold, held and taken in so far."""
    with reading() as connection:
        found = fetch_page(
            connection,
            _coming_listing(cinema is not None),
            _coming_params(cinema, now),
            page=page,
            page_size=page_size,
        )
        return replace(found, items=_with_figures(connection, found.items, now))


def all_coming_shows(
    *, cinema: int | None = None, now: datetime | None = None
) -> Generator[dict[str, Any], None, None]:
    """Every show to come, as `coming_shows` has them, as they are at one moment; some at a time."""
    query, params = _coming(cinema is not None), _coming_params(cinema, now)
    with exporting() as connection, streamed(connection, query, params) as shows:
        for some in shows.partitions():
            yield from _with_figures(connection, some, now)


def _coming_params(cinema: int | None, now: datetime | None) -> dict[str, Any]:
    return {"now": now} if cinema is None else {"now": now, "cinema": cinema}


def _with_figures(
    connection: sa.Connection, shows: Sequence[Any], now: datetime | None
) -> list[dict[str, Any]]:
    """The shows, each with what is blocked, sold, held and taken in so far."""
    of_shows = {"shows": [show["show"] for show in shows], "now": now}
    sold = connection.execute(SOLD_OF_SHOWS, of_shows).mappings()
    by_show = {row["show_id"]: row for row in sold}
    # One that was deleted between the two statements has no seats any more.
    none = {"blocked": 0, "sold": 0, "held": 0, "takings_cents": 0}
    return [_row({**show, **by_show.get(show["show"], none)}) for show in shows]


@cache
def _coming_listing(of_cinema: bool) -> Listing:
    return listing(_coming(of_cinema))


@cache
def _coming(of_cinema: bool) -> Query:
    shows = sa.select(
        Show.id.label("show"),
        Show.movie_id.label("movie"),
        Movie.title.label("movie_title"),
        Cinema.name.label("cinema_name"),
        Cinema.timezone,
        Screen.name.label("screen_name"),
        Show.starts_at,
        Show.total_seats.label("seats"),
        Show.currency,
    )
    query = with_places(shows).where(Show.starts_at > NOW)
    if of_cinema:
        query = query.where(Screen.cinema_id == sa.bindparam("cinema"))
    return query.order_by(Show.starts_at, Show.id)


HELD_SEATS = sa.func.count().filter(sa.not_(SOLD), sa.not_(is_free(NOW))).label("held")
# The figures of some shows.
SOLD_OF_SHOWS = (
    sa.select(ShowSeat.show_id, *FIGURES, HELD_SEATS)
    .where(ShowSeat.show_id.in_(sa.bindparam("shows", expanding=True)))
    .group_by(ShowSeat.show_id)
)


def _row(row: Any) -> dict[str, Any]:
    return {**row, "occupancy": round(occupancy(row), 4)}
