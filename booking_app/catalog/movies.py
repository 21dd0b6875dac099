"""Films: what is listed, and what staff may change.

Locks are taken in one order: film, show, screen, seats.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, Required, TypedDict, Unpack

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.catalog import show_rules
from booking_app.catalog.models import FILM_SEARCHED, IS_UPCOMING, SORT_KEY, Movie, Screen, Show
from booking_app.catalog.show_rules import ShowOverlap
from booking_app.catalog.title_keys import DIRECTOR, search_key, sort_key
from booking_app.core.database import NOW, Query, Row, fold, reading, writes
from booking_app.core.editions import IfMatch, edition_of, require
from booking_app.core.errors import Conflict, NotFound
from booking_app.core.formats import iso
from booking_app.core.paging import Listing, Page, fetch_page, kept_listing
from booking_app.core.search import like_pattern
from booking_app.core.statements import Statement
from booking_app.core.violations import refusing


class ExternalIdTaken(Conflict):
    code = "external_id_taken"


MOVIE = (
    Movie.id,
    Movie.title,
    Movie.duration_minutes,
    Movie.year,
    Movie.language,
    Movie.genres,
    Movie.age_rating,
    Movie.director,
    Movie.description,
    Movie.on_sale,
    Movie.original_title,
    Movie.sort_title,
    Movie.release_date,
    Movie.poster_url,
    Movie.trailer_url,
    Movie.external_id,
)
# Films whose keys are made anew in one transaction.
KEYS_AT_ONCE = 200


class _MovieFacts(TypedDict, total=False):
    year: int | None
    language: str | None
    genres: Sequence[str]
    age_rating: str | None
    director: str | None
    description: str | None
    on_sale: bool
    original_title: str | None
    sort_title: str | None
    release_date: date | None
    poster_url: str | None
    trailer_url: str | None
    external_id: str | None


class MovieChanges(_MovieFacts, total=False):
    """What can be changed of a film."""

    title: str
    duration_minutes: int


class NewMovie(_MovieFacts, total=False):
    """A film that is made. `is_demo`: it is of the demo catalogue."""

    title: Required[str]
    duration_minutes: Required[int]
    is_demo: bool


ONE_MOVIE: Query = sa.select(*MOVIE).where(Movie.id == sa.bindparam("movie"))
KEPT_MOVIE = Statement(ONE_MOVIE)


@cache
def _movie_list(filters: frozenset[str], now_showing: bool | None) -> Listing:
    """The list of films with those filters, built once for each set of them. `now_showing` or not,
    in the cinema where that is a filter; None: either."""
    on_sale = sa.bindparam("on_sale", type_=sa.Boolean)
    query = sa.select(*MOVIE).where(Movie.on_sale == on_sale)
    conditions = {
        "search": FILM_SEARCHED.like(sa.bindparam("search")),
        "director": FILM_SEARCHED.like(sa.bindparam("director")),
        "genre": Movie.genres_key.like(sa.bindparam("genre"), escape="/"),
        "language": Movie.language_key == sa.bindparam("language"),
    }
    for name in filters & conditions.keys():
        query = query.where(conditions[name])
    if now_showing is not None:
        showing = sa.exists().where(Show.movie_id == Movie.id, Show.on_sale, IS_UPCOMING)
        if "cinema" in filters:
            showing = showing.where(
                Screen.id == Show.screen_id, Screen.cinema_id == sa.bindparam("cinema")
            )
        query = query.where(showing if now_showing else sa.not_(showing))
    return kept_listing(query.order_by(SORT_KEY, Movie.id))


def list_movies(
    *,
    page: int,
    page_size: int,
    search: str | None = None,
    director: str | None = None,
    genre: str | None = None,
    language: str | None = None,
    now_showing: bool | None = None,
    cinema: int | None = None,
    on_sale: bool = True,
    now: datetime | None = None,
) -> Page:
    """Films as people sort them (`title_keys`), then by id. `search` is a part of the titles or the
    director, `director` of the director alone; case and accents don't count.

    `now_showing`: whether a show to come is on sale; with `cinema` there, and then true if left
    out.
    """
    filters: dict[str, Any] = {
        "search": None if search is None else FILM_SEARCHED.pattern(search),
        "director": None if director is None else f"%{DIRECTOR}{FILM_SEARCHED.pattern(director)}",
        "genre": None if genre is None else like_pattern(f"|{fold(genre)}|"),
        "language": None if language is None else fold(language),
        "cinema": cinema,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    if cinema is not None and now_showing is None:
        now_showing = True
    statements = _movie_list(frozenset(given), now_showing)
    with reading() as connection:
        params = {"on_sale": on_sale, **given, "now": now}
        return fetch_page(connection, statements, params, page=page, page_size=page_size)


def get_movie(*, movie_id: int) -> Mapping[Any, Any]:
    """One film, also one that is withdrawn; raises NotFound."""
    with reading() as connection:
        movie = KEPT_MOVIE.first(connection, {"movie": movie_id})
    if movie is None:
        raise NotFound("film", movie_id)
    found: dict[str, Any] = movie._asdict()
    return found


def movie_edition(movie: Mapping[Any, Any]) -> str:
    """The edition of a film."""
    return edition_of(MOVIE, movie)


def _read_movie(connection: sa.Connection, movie_id: int, *, lock: bool = False) -> sa.RowMapping:
    query = ONE_MOVIE.with_for_update() if lock else ONE_MOVIE
    movie = connection.execute(query, {"movie": movie_id}).mappings().first()
    if movie is None:
        raise NotFound("film", movie_id)
    return movie


@writes
def create_movie(
    connection: sa.Connection, *, by: Actor = OPERATOR, **movie_values: Unpack[NewMovie]
) -> sa.RowMapping:
    """Add a film; raises ExternalIdTaken."""
    movie = insert_movie(connection, **movie_values)
    audit.record(connection, "movie.created", by=by, object_id=movie["id"], after=movie)
    return movie


def insert_movie(connection: sa.Connection, **movie_values: Unpack[NewMovie]) -> sa.RowMapping:
    """Add a film within the caller's transaction; raises ExternalIdTaken."""
    values: dict[str, Any] = {"genres": [], "on_sale": True, "is_demo": False, **movie_values}
    values["genres"] = list(values["genres"])
    statement = sa.insert(Movie).values(**values, **_keys(values)).returning(*MOVIE)
    with _refusing_taken(values):
        return connection.execute(statement).mappings().one()


@writes
def update_movie(
    connection: sa.Connection,
    *,
    movie_id: int,
    if_match: IfMatch | None = None,
    by: Actor = OPERATOR,
    now: datetime | None = None,
    **changes: Unpack[MovieChanges],
) -> sa.RowMapping:
    """Change a film. A new running time moves the ends of its shows to come.

    Raises NotFound, ChangedMeanwhile, ExternalIdTaken, and ShowOverlap where a longer film would
    run into the next show.
    """
    before = _read_movie(connection, movie_id, lock=True)
    require(if_match, movie_edition(before), "film")
    if changes:
        values = {**changes, **_keys({**before, **changes})}
        with _refusing_taken(changes):
            connection.execute(sa.update(Movie).where(Movie.id == movie_id).values(**values))
    after = _read_movie(connection, movie_id)
    if after["duration_minutes"] != before["duration_minutes"]:
        _move_ends(connection, after, before["duration_minutes"], now)
    if after["on_sale"] != before["on_sale"]:
        show_rules.renew_versions(connection, Show.movie_id == movie_id)
    audit.record(connection, "movie.changed", by=by, object_id=movie_id, before=before, after=after)
    return after


@writes
def delete_movie(
    connection: sa.Connection,
    *,
    movie_id: int,
    if_match: IfMatch | None = None,
    by: Actor = OPERATOR,
) -> None:
    """Delete a film and its shows; raises NotFound, ChangedMeanwhile, and HasBookings where one was
    ever booked."""
    before = _read_movie(connection, movie_id, lock=True)
    require(if_match, movie_edition(before), "film")
    show_rules.delete_shows(connection, Show.movie_id == movie_id, "film", by)
    connection.execute(sa.delete(Movie).where(Movie.id == movie_id))
    audit.record(connection, "movie.deleted", by=by, object_id=movie_id, before=before)


def renew_keys() -> None:
    """Sort and find films by what they are called now, also those that release 1.2, which doesn't
    know `title_keys`, added and renamed."""
    after: int | None = 0
    while after is not None:
        after = _renew_some_keys(after=after)


@writes
def _renew_some_keys(connection: sa.Connection, *, after: int) -> int | None:
    """Renew the keys of the films next after that id; the last one's id, None where there was
    none."""
    kept = (Movie.language_key, Movie.genres_key, Movie.title_key, Movie.sort_key, Movie.search_key)
    query = sa.select(*MOVIE, *kept).where(Movie.id > after).order_by(Movie.id)
    films = connection.execute(query.limit(KEYS_AT_ONCE).with_for_update()).mappings().all()
    for film in films:
        keys = _keys(film)
        if any(film[name] != key for name, key in keys.items()):
            connection.execute(sa.update(Movie).where(Movie.id == film["id"]).values(**keys))
    return films[-1]["id"] if films else None


def _keys(movie: Mapping[Any, Any]) -> dict[str, Any]:
    """The columns of a film that others of it are filtered, sorted and searched by."""
    title, sort_title, language = movie["title"], movie.get("sort_title"), movie.get("language")
    return {
        "title_key": fold(title),
        "language_key": None if language is None else fold(language),
        "genres_key": "".join(f"|{fold(genre)}" for genre in movie["genres"]) + "|",
        "sort_key": sort_key(title, sort_title),
        "search_key": search_key(
            title, movie.get("original_title"), sort_title, movie.get("director")
        ),
    }


def _refusing_taken(movie: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Raises ExternalIdTaken where another film has the `external_id`."""
    external_id = movie.get("external_id")
    return refusing(
        uq_movie_external_id=ExternalIdTaken(f"Another film has the external id {external_id!r}.")
    )


def _move_ends(
    connection: sa.Connection, movie: sa.RowMapping, minutes_before: int, now: datetime | None
) -> None:
    """Move the ends of the film's shows to come, as its running time changed; a sale ends with its
    show at the latest. The film's row is locked. Raises ShowOverlap for a longer film."""
    shows = connection.execute(
        sa.select(Show.id, Show.starts_at, Show.ends_at, Show.sales_until, Show.screen_id)
        .where(Show.movie_id == movie["id"], Show.starts_at > NOW)
        .order_by(Show.id)
        .with_for_update(),
        {"now": now},
    ).all()
    screens = (
        sa.select(Screen.id, Screen.turnaround_minutes)
        .where(Screen.id.in_({show.screen_id for show in shows}))
        .order_by(Screen.id)
        .with_for_update()
    )
    turnarounds = {screen.id: screen.turnaround_minutes for screen in connection.execute(screens)}
    longer = timedelta(minutes=movie["duration_minutes"] - minutes_before)
    ends = [(show, show.ends_at + longer) for show in shows]
    for show, ends_at in ends:
        sales_until = show.sales_until and min(show.sales_until, ends_at)
        values = {"ends_at": ends_at, "sales_until": sales_until}
        connection.execute(sa.update(Show).where(Show.id == show.id).values(values))
    overlaps = []
    for show, ends_at in ends if longer > timedelta(0) else ():
        try:
            show_rules.refuse_overlap(
                connection,
                show.screen_id,
                show.starts_at,
                ends_at,
                but_show_id=show.id,
                only_later=True,
            )
        except ShowOverlap as overlap:
            turnaround = timedelta(minutes=turnarounds[show.screen_id])
            free_until = datetime.fromisoformat(overlap.facts["date_time"]) - turnaround
            overlaps.append(_Overlap(show, ends_at - free_until, overlap.facts))
    if overlaps:
        raise _too_long(movie["duration_minutes"], overlaps)


class _Overlap(NamedTuple):
    """A show that would run into the next one on its screen: by how much, and what that one is."""

    show: Row
    excess: timedelta
    next: dict[str, Any]

    @property
    def minutes(self) -> int:
        """The minutes that the show is too long, rounded up."""
        return -(-self.excess // timedelta(minutes=1))


def _too_long(minutes: int, overlaps: Sequence[_Overlap]) -> ShowOverlap:
    """The error that says for which shows so many minutes are too long, and what to do."""
    first = min(overlaps, key=lambda one: (one.show.starts_at, one.show.id))
    fit = minutes - max(one.minutes for one in overlaps)
    more = len(overlaps) - 1
    others = f"The same holds for other shows of this film: {more}. " if more else ""
    return ShowOverlap(
        f"With {minutes} minutes, show {first.show.id} at {iso(first.show.starts_at)} is too long "
        f"by {first.minutes} min: show {first.next['show']} begins at {first.next['date_time']} on "
        f"its screen. {others}Move one of them first, or give the film at most {fit} minutes.",
        **first.next,
    )
