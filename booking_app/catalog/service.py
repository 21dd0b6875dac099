"""Films, screens and shows: what is listed, and what staff may change.

Locks are taken in one order: film, show, screen, seats. Whoever changes a show holds its row
alone; whoever books holds it shared (`booking.service`), so a show stands still while a seat
of it is being sold.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.catalog import seating, venues
from booking_app.catalog.models import (
    Movie,
    Screen,
    Show,
    ShowSeat,
    ShowSum,
    available_seats,
    is_free,
)
from booking_app.catalog.times import local_date
from booking_app.core.database import (
    Query,
    Row,
    clock,
    clock_param,
    fold,
    like_pattern,
    now_params,
    reading,
    violates,
    write_transaction,
)
from booking_app.core.errors import Conflict, Invalid, NotFound
from booking_app.core.formats import iso
from booking_app.core.paging import Listing, Page, fetch_page, listing

# A show further ahead than this is a slip of the pen.
MAX_DAYS_AHEAD = 3653
SHOWS_AT_ONCE = 200
SEATS_AT_ONCE = 100_000  # so that nobody else waits long for them to be written


class HasBookings(Conflict):
    code = "has_bookings"


class ShowOverlap(Conflict):
    code = "show_overlap"


class SeatsSold(Conflict):
    code = "seats_sold"


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
)


# What of a show is its own, as the audit keeps it.
OWN = (
    Show.id,
    Show.movie_id,
    Show.screen_id,
    Show.starts_at,
    Show.ends_at,
    Show.total_seats,
    Show.price_cents,
    Show.prices,
    Show.no_single_gaps,
    Show.on_sale,
)


def _shows(now: sa.ColumnElement[datetime]) -> Query:
    """Shows as they are answered."""
    return (
        sa.select(
            Show.id,
            Show.movie_id,
            Movie.title.label("movie_title"),
            Screen.cinema_id,
            Show.screen_id,
            Screen.name.label("screen_name"),
            Show.starts_at,
            Show.ends_at,
            Show.total_seats,
            available_seats(now).label("available_seats"),
            Show.price_cents,
            Show.prices,
            Show.no_single_gaps,
            sa.and_(Show.on_sale, Movie.on_sale).label("on_sale"),
        )
        .join(Movie, Movie.id == Show.movie_id)
        .join(Screen, Screen.id == Show.screen_id)
    )


# --- reading --------------------------------------------------------------------------------


@cache
def _movie_list(filters: frozenset[str]) -> Listing:
    """The list of films with those filters, built once for each set of them."""
    on_sale = sa.bindparam("on_sale", type_=sa.Boolean)
    query = sa.select(*MOVIE).where(Movie.on_sale == on_sale)
    conditions = {
        "search": Movie.title_key.like(sa.bindparam("search"), escape="/"),
        "genre": Movie.genres_key.like(sa.bindparam("genre"), escape="/"),
        "language": Movie.language_key == sa.bindparam("language"),
    }
    for name in filters:
        query = query.where(conditions[name])
    return listing(query.order_by(Movie.title_key, Movie.id))


def list_movies(
    *,
    page: int,
    page_size: int,
    search: str | None = None,
    genre: str | None = None,
    language: str | None = None,
    on_sale: bool = True,
) -> Page:
    """Films by title and id. `search` is a part of the title; case never counts."""
    filters = {
        "search": None if search is None else like_pattern(fold(search)),
        "genre": None if genre is None else like_pattern(f"|{fold(genre)}|"),
        "language": None if language is None else fold(language),
    }
    given = {name: value for name, value in filters.items() if value is not None}
    statements = _movie_list(frozenset(given))
    with reading() as connection:
        params = {"on_sale": on_sale, **given}
        return fetch_page(connection, statements, params, page=page, page_size=page_size)


def get_movie(*, movie_id: int) -> sa.RowMapping:
    """One film, also one that is withdrawn; raises NotFound."""
    with reading() as connection:
        return _movie(connection, movie_id)


@cache
def _show_list(filters: frozenset[str], when: str, timed: bool) -> Listing:
    """The list of shows with those filters, built once for each set of them."""
    present = clock_param(timed)
    on_sale = sa.bindparam("on_sale", type_=sa.Boolean)
    query = _shows(present).where(sa.and_(Show.on_sale, Movie.on_sale) == on_sale)
    conditions = {
        "movie": Show.movie_id == sa.bindparam("movie"),
        "cinema": Screen.cinema_id == sa.bindparam("cinema"),
        "date": Show.local_date == sa.bindparam("date"),
    }
    for name in filters:
        query = query.where(conditions[name])
    if when == "upcoming":
        query = query.where(Show.starts_at > present)
    elif when == "past":
        query = query.where(Show.starts_at <= present)
    return listing(query.order_by(Show.starts_at, Show.id))


def list_shows(
    *,
    page: int,
    page_size: int,
    movie: int | None = None,
    cinema: int | None = None,
    date: date | None = None,
    when: str = "upcoming",
    on_sale: bool = True,
    now: datetime | None = None,
) -> Page:
    """Shows by time and id. `date` is the day in the cinema's time zone."""
    filters = {"movie": movie, "cinema": cinema, "date": date}
    given = {name: value for name, value in filters.items() if value is not None}
    statements = _show_list(frozenset(given), when, now is not None)
    with reading() as connection:
        params = {"on_sale": on_sale, **given, **now_params(now)}
        return fetch_page(connection, statements, params, page=page, page_size=page_size)


def list_movie_shows(*, movie_id: int, **filters: Any) -> Page:
    """The film's shows, as `list_shows`; raises NotFound for an unknown film."""
    shows = list_shows(movie=movie_id, **filters)
    if not shows.items:
        get_movie(movie_id=movie_id)
    return shows


def get_show(*, show_id: int, now: datetime | None = None) -> sa.RowMapping:
    """One show, also one that is withdrawn or over; raises NotFound."""
    with reading() as connection:
        return _show(connection, show_id, now)


@cache
def _seat_map(timed: bool) -> tuple[Query, Query]:
    """The show, and its seats in the order of the room."""
    show = sa.select(Show.id, Show.price_cents, Show.prices).where(Show.id == sa.bindparam("show"))
    seats = (
        sa.select(
            ShowSeat.label,
            ShowSeat.row_label,
            ShowSeat.category,
            ShowSeat.accessible,
            ShowSeat.aisle_after,
            is_free(clock_param(timed)).label("free"),
            ShowSeat.held_until.is_not(None).label("held"),
        )
        .where(ShowSeat.show_id == sa.bindparam("show"))
        .order_by(ShowSeat.position)
    )
    return show, seats


def get_seat_map(*, show_id: int, now: datetime | None = None) -> dict[str, Any]:
    """The seats of a show as `seating.seat_map` gives them; raises NotFound."""
    show_query, seats_query = _seat_map(now is not None)
    with reading() as connection:
        show = connection.execute(show_query, {"show": show_id}).mappings().first()
        if show is None:
            raise NotFound("show", show_id)
        seats = connection.execute(seats_query, {"show": show_id, **now_params(now)}).all()
    return seating.seat_map(dict(show), seats)


def bookable_example(*, now: datetime | None = None) -> dict[str, Any]:
    """Values that "Try it out" works with: a seat to book (`movie_id`, `show_id`, `seat_number`)
    where there is one, its cinema and screen, and the `date_time` of a show to make."""
    # An hour ahead, so that it can still be booked when the reader gets to it.
    after = clock(now, plus=timedelta(hours=1))
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
        .where(Show.on_sale, Movie.on_sale, is_free(clock(now)), Show.starts_at > after)
        .order_by(Show.starts_at, Show.id, ShowSeat.position)
        .limit(1)
    )
    with reading() as connection:
        row = connection.execute(query).mappings().first()
        present = connection.execute(sa.select(clock(now))).scalar_one()
    in_a_month = present.replace(microsecond=0) + timedelta(days=30)
    return {"date_time": iso(in_a_month), **(row or {})}


_MOVIE = sa.select(*MOVIE).where(Movie.id == sa.bindparam("movie"))


def _movie(connection: sa.Connection, movie_id: int, *, lock: bool = False) -> sa.RowMapping:
    query = _MOVIE.with_for_update() if lock else _MOVIE
    movie = connection.execute(query, {"movie": movie_id}).mappings().first()
    if movie is None:
        raise NotFound("film", movie_id)
    return movie


@cache
def _one_show(timed: bool) -> Query:
    return _shows(clock_param(timed)).where(Show.id == sa.bindparam("show"))


def _show(connection: sa.Connection, show_id: int, now: datetime | None) -> sa.RowMapping:
    params = {"show": show_id, **now_params(now)}
    show = connection.execute(_one_show(now is not None), params).mappings().first()
    if show is None:
        raise NotFound("show", show_id)
    return show


# --- films ----------------------------------------------------------------------------------


def create_movie(*, by: Actor = OPERATOR, **values: Any) -> sa.RowMapping:
    """Add a film; `values` as for `insert_movie`."""

    def create(connection: sa.Connection) -> sa.RowMapping:
        movie = insert_movie(connection, **values)
        audit.record(connection, "movie.created", by=by, object_id=movie["id"], after=movie)
        return movie

    return write_transaction(create)


def insert_movie(
    connection: sa.Connection,
    *,
    title: str,
    duration_minutes: int,
    year: int | None = None,
    language: str | None = None,
    genres: Sequence[str] = (),
    age_rating: str | None = None,
    director: str | None = None,
    description: str | None = None,
    on_sale: bool = True,
    is_demo: bool = False,
) -> sa.RowMapping:
    """Add a film within the caller's transaction."""
    values = {
        "title": title,
        "duration_minutes": duration_minutes,
        "year": year,
        "language": language,
        "genres": list(genres),
        "age_rating": age_rating,
        "director": director,
        "description": description,
        "on_sale": on_sale,
        "is_demo": is_demo,
    }
    statement = sa.insert(Movie).values(**values, **_keys(values)).returning(*MOVIE)
    return connection.execute(statement).mappings().one()


def update_movie(
    *, movie_id: int, by: Actor = OPERATOR, now: datetime | None = None, **changes: Any
) -> sa.RowMapping:
    """Change a film. A new running time moves the ends of its shows to come.

    Raises NotFound, and ShowOverlap where a longer film would run into the next show.
    """

    def update(connection: sa.Connection) -> sa.RowMapping:
        before = _movie(connection, movie_id, lock=True)
        if changes:
            values = changes | _keys(changes)
            connection.execute(sa.update(Movie).where(Movie.id == movie_id).values(**values))
        after = _movie(connection, movie_id)
        if after["duration_minutes"] != before["duration_minutes"]:
            _move_ends(connection, movie_id, after["duration_minutes"], clock(now))
        audit.record(
            connection, "movie.changed", by=by, object_id=movie_id, before=before, after=after
        )
        return after

    return write_transaction(update)


def delete_movie(*, movie_id: int, by: Actor = OPERATOR) -> None:
    """Delete a film and its shows; raises NotFound, and HasBookings where one was ever booked."""

    def delete(connection: sa.Connection) -> None:
        before = _movie(connection, movie_id, lock=True)
        _delete_shows(connection, Show.movie_id == movie_id, "film", by)
        connection.execute(sa.delete(Movie).where(Movie.id == movie_id))
        audit.record(connection, "movie.deleted", by=by, object_id=movie_id, before=before)

    write_transaction(delete)


def _keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """The folded columns that belong to `values`."""
    keys: dict[str, Any] = {}
    if "title" in values:
        keys["title_key"] = fold(values["title"])
    if "language" in values:
        keys["language_key"] = None if values["language"] is None else fold(values["language"])
    if "genres" in values:
        keys["genres_key"] = "".join(f"|{fold(genre)}" for genre in values["genres"]) + "|"
    return keys


def _move_ends(
    connection: sa.Connection, movie_id: int, minutes: int, now: sa.ColumnElement[datetime]
) -> None:
    """Give the film's shows to come their new ends. The film's row is locked."""
    shows = connection.execute(
        sa.select(Show.id, Show.starts_at, Show.screen_id)
        .where(Show.movie_id == movie_id, Show.starts_at > now)
        .order_by(Show.id)
        .with_for_update()
    ).all()
    screens = sa.select(Screen.id).where(Screen.id.in_({show.screen_id for show in shows}))
    connection.execute(screens.order_by(Screen.id).with_for_update()).all()
    ends = [(show, show.starts_at + timedelta(minutes=minutes)) for show in shows]
    for show, ends_at in ends:
        connection.execute(sa.update(Show).where(Show.id == show.id).values(ends_at=ends_at))
    for show, ends_at in ends:
        _refuse_overlap(connection, show.screen_id, show.starts_at, ends_at, but_show_id=show.id)


# --- shows ----------------------------------------------------------------------------------


def create_show(
    *, by: Actor = OPERATOR, now: datetime | None = None, **values: Any
) -> sa.RowMapping:
    """Put a film on a screen; `values` as for `insert_show`, which says what is raised."""

    def create(connection: sa.Connection) -> sa.RowMapping:
        show_id = insert_show(connection, **values, by=by, now=now)
        own = _own(connection, show_id)
        audit.record(connection, "show.created", by=by, object_id=show_id, after=own)
        return _show(connection, show_id, now)

    return write_transaction(create)


@dataclass(frozen=True)
class Planned:
    """A show of `create_shows`: the `error` is what is in its way, None where nothing is."""

    date_time: datetime
    error: str | None


class _Undo(Exception):
    """Ends a transaction whose work is not wanted."""


def create_shows(
    *,
    date_times: Sequence[datetime],
    dry_run: bool = False,
    by: Actor = OPERATOR,
    now: datetime | None = None,
    **values: Any,
) -> list[Planned]:
    """Put a film on a screen at each of these times; `values` as for `insert_show`.

    All of them or, where something is in the way of one, none, and each says what it is. A
    `dry_run` finds that out in the same way and writes nothing. Raises Invalid for too many, and
    what `insert_show` raises for the film and the screen.
    """
    if not 1 <= len(date_times) <= SHOWS_AT_ONCE:
        raise Invalid("date_times", f"1 to {SHOWS_AT_ONCE} shows can be made at once.")
    planned: list[Planned] = []
    values["with_seats"] = not dry_run

    def create(connection: sa.Connection) -> None:
        planned.clear()
        made: dict[int, datetime] = {}
        _check_amount(connection, values.get("screen"), len(date_times))
        for date_time in date_times:
            error = None
            try:
                # What is refused is refused before anything of it is written.
                show_id = insert_show(connection, date_time=date_time, **values, by=by, now=now)
                made[show_id] = date_time
            except ShowOverlap as overlap:
                other = made.get(overlap.facts["show"])
                error = f"Overlaps the one at {iso(other)}." if other else overlap.detail
            except Invalid as invalid:
                if "date_time" not in invalid.facts["errors"]["json"]:
                    raise
                (error,) = invalid.facts["errors"]["json"]["date_time"]
            planned.append(Planned(date_time, error))
        if dry_run or any(show.error for show in planned):
            raise _Undo
        for show_id in made:
            own = _own(connection, show_id)
            audit.record(connection, "show.created", by=by, object_id=show_id, after=own)

    with suppress(_Undo):
        write_transaction(create)
    return planned


def insert_show(
    connection: sa.Connection,
    *,
    movie_id: int,
    date_time: datetime,
    screen: int | None = None,
    screen_name: str | None = None,
    total_seats: int | None = None,
    price_cents: int = 0,
    prices: Mapping[str, int] | None = None,
    no_single_gaps: bool = False,
    on_sale: bool = True,
    timezone: str = "UTC",
    with_seats: bool = True,
    by: Actor = OPERATOR,
    now: datetime | None = None,
) -> int:
    """Put a film on a screen, within the caller's transaction; the id of the new show. Without its
    seats it is no show, and must be undone.

    Either on a `screen` with a seat plan, which the show copies, or in the short form:
    `screen_name` is found or made in the default cinema (itself made in `timezone` where there
    is none yet) and the seats are "1" to `total_seats`. `prices` are cents by category.
    Raises NotFound for the film, Invalid for a time that does not lie ahead, a screen that is
    not there or has no plan and a category that its plan does not have, and ShowOverlap.
    """
    # Shared, so that the running time stands still and shows of one film don't queue.
    duration = connection.execute(
        sa.select(Movie.duration_minutes).where(Movie.id == movie_id).with_for_update(read=True)
    ).scalar()
    if duration is None:
        raise NotFound("film", movie_id)
    _check_ahead(connection, date_time, now)
    if screen is not None:
        place = venues.lock_screen(connection, screen)
        if place is None:
            raise Invalid("screen", f"There is no screen {screen}.")
        if not place.rows:
            raise Invalid("screen", "This screen has no seat plan; give it one, or total_seats.")
        seats = seating.plan_seats(place.rows)
    else:
        cinema_id = venues.default_cinema(connection, timezone, by)
        place = venues.lock_named_screen(
            connection, cinema_id=cinema_id, name=screen_name or "", by=by
        )
        seats = seating.numbered_seats(1, total_seats or 0)
    _check_prices(prices or {}, {seat["category"] for seat in seats})
    ends_at = date_time + timedelta(minutes=duration)
    _refuse_overlap(connection, place.id, date_time, ends_at)
    show_id: int = connection.execute(
        sa.insert(Show)
        .values(
            movie_id=movie_id,
            screen_id=place.id,
            starts_at=date_time,
            ends_at=ends_at,
            local_date=local_date(date_time, venues.timezone_of(connection, place.cinema_id)),
            price_cents=price_cents,
            prices=dict(prices or {}),
            no_single_gaps=no_single_gaps,
            total_seats=len(seats),
            on_sale=on_sale,
        )
        .returning(Show.id)
    ).scalar_one()
    if with_seats:
        _insert_seats(connection, show_id, seats)
    return show_id


def _check_amount(connection: sa.Connection, screen: int | None, shows: int) -> None:
    """Raises Invalid for more seats than can be made at once."""
    rows = connection.execute(sa.select(Screen.rows).where(Screen.id == screen)).scalar() or ()
    seats = shows * sum(row["seats"] for row in rows)
    if seats > SEATS_AT_ONCE:
        raise Invalid(
            "date_times",
            f"These shows have {seats} seats in all; at most {SEATS_AT_ONCE} can be made at once.",
        )


def update_show(
    *,
    show_id: int,
    date_time: datetime | None = None,
    screen_name: str | None = None,
    total_seats: int | None = None,
    price_cents: int | None = None,
    prices: Mapping[str, int] | None = None,
    no_single_gaps: bool | None = None,
    on_sale: bool | None = None,
    by: Actor = OPERATOR,
    now: datetime | None = None,
) -> sa.RowMapping:
    """Change a show; what is None stays.

    Raises NotFound, Invalid for a time that does not lie ahead, an unknown category and a
    number of seats for a show whose screen has a plan, HasBookings where seats are sold and it
    would move, SeatsSold where a seat that would vanish is sold, and ShowOverlap.
    """

    def update(connection: sa.Connection) -> sa.RowMapping:
        show = _lock_show(connection, show_id)
        before = _own(connection, show_id)
        values = {
            "price_cents": price_cents,
            "prices": prices,
            "no_single_gaps": no_single_gaps,
            "on_sale": on_sale,
        }
        changes = {name: value for name, value in values.items() if value is not None}
        if prices:
            _check_prices(prices, _categories(connection, show_id))
        if date_time is not None or screen_name is not None:
            changes |= _move(connection, show, screen_name, date_time or show.starts_at, by, now)
        if total_seats is not None and total_seats != show.total_seats:
            _resize(connection, show, total_seats, clock(now))
            changes["total_seats"] = total_seats
        if changes:
            connection.execute(sa.update(Show).where(Show.id == show_id).values(**changes))
        after = _own(connection, show_id)
        audit.record(
            connection, "show.changed", by=by, object_id=show_id, before=before, after=after
        )
        return _show(connection, show_id, now)

    return write_transaction(update)


def delete_show(*, show_id: int, by: Actor = OPERATOR) -> None:
    """Delete a show; raises NotFound, and HasBookings where it was ever booked."""

    def delete(connection: sa.Connection) -> None:
        if not _delete_shows(connection, Show.id == show_id, "show", by):
            raise NotFound("show", show_id)

    write_transaction(delete)


def _own(connection: sa.Connection, show_id: int) -> sa.RowMapping:
    return connection.execute(sa.select(*OWN).where(Show.id == show_id)).mappings().one()


def _lock_show(connection: sa.Connection, show_id: int) -> Row:
    """The show with its row locked, after its film's, so that the running time stands still.

    The rows are locked one by one and read after that: a lock waited for within a join looks
    at the other table as it was before the wait.
    """
    film = (
        sa.select(Movie.id)
        .join(Show, Show.movie_id == Movie.id)
        .where(Show.id == show_id)
        .with_for_update(read=True, of=Movie)
    )
    connection.execute(film).all()
    connection.execute(sa.select(Show.id).where(Show.id == show_id).with_for_update()).all()
    show = connection.execute(
        sa.select(
            Show.id,
            Show.screen_id,
            Screen.cinema_id,
            Show.starts_at,
            Show.total_seats,
            Movie.duration_minutes,
        )
        .join(Movie, Movie.id == Show.movie_id)
        .join(Screen, Screen.id == Show.screen_id)
        .where(Show.id == show_id)
    ).first()
    if show is None:
        raise NotFound("show", show_id)
    return show


def _move(
    connection: sa.Connection,
    show: Row,
    screen_name: str | None,
    starts_at: datetime,
    by: Actor,
    now: datetime | None,
) -> dict[str, Any]:
    """The columns of a show moved to that time and, where one is named, that screen."""
    screen = (
        venues.lock_screen(connection, show.screen_id)
        if screen_name is None
        else venues.lock_named_screen(connection, cinema_id=show.cinema_id, name=screen_name, by=by)
    )
    if screen is None or (starts_at, screen.id) == (show.starts_at, show.screen_id):
        return {}
    _lock_seats(connection, ShowSeat.show_id == show.id)
    sold = connection.execute(
        sa.select(ShowSeat.label)
        .where(ShowSeat.show_id == show.id, sa.not_(is_free(clock(now))))
        .limit(1)
    ).first()
    if sold is not None:
        raise HasBookings(
            "Seats of this show are sold; it can't be moved. Withdraw it from sale instead."
        )
    _check_ahead(connection, starts_at, now)
    ends_at = starts_at + timedelta(minutes=show.duration_minutes)
    _refuse_overlap(connection, screen.id, starts_at, ends_at, but_show_id=show.id)
    _forget_sums(connection, [show.id])
    return {
        "screen_id": screen.id,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "local_date": local_date(starts_at, venues.timezone_of(connection, screen.cinema_id)),
    }


def _resize(
    connection: sa.Connection, show: Row, total_seats: int, now: sa.ColumnElement[datetime]
) -> None:
    """Add seats after the last one, or take the last ones away where none of them is sold."""
    planned = sa.select(ShowSeat.label).where(ShowSeat.show_id == show.id, ShowSeat.row_label != "")
    if connection.execute(planned.limit(1)).first() is not None:
        raise Invalid("total_seats", "This show has the seats of its screen's plan.")
    _forget_sums(connection, [show.id])
    if total_seats > show.total_seats:
        added = seating.numbered_seats(show.total_seats + 1, total_seats)
        _insert_seats(connection, show.id, added)
        return
    beyond = sa.and_(ShowSeat.show_id == show.id, ShowSeat.position > total_seats)
    _lock_seats(connection, beyond)
    seats = connection.execute(
        sa.select(ShowSeat.label, sa.not_(is_free(now)).label("sold"))
        .where(beyond)
        .order_by(ShowSeat.position)
    ).all()
    sold = [seat.label for seat in seats if seat.sold]
    if sold:
        raise SeatsSold(
            f"{len(sold)} of the seats that would vanish are sold; keep at least those.", seats=sold
        )
    connection.execute(sa.delete(ShowSeat).where(beyond))


def _lock_seats(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Lock those seats, in a statement before the one that looks at them: a hold that is being
    confirmed does not lock its show, so only then is it certain whether it was in time."""
    in_order = sa.select(ShowSeat.label).where(which).order_by(ShowSeat.show_id, ShowSeat.label)
    connection.execute(in_order.with_for_update()).all()


def _forget_sums(connection: sa.Connection, show_ids: Sequence[int]) -> None:
    """Let reports add up anew what is about to change. The shows' rows are locked."""
    connection.execute(sa.delete(ShowSum).where(ShowSum.show_id.in_(show_ids)))


def _insert_seats(
    connection: sa.Connection, show_id: int, seats: Sequence[Mapping[str, Any]]
) -> None:
    connection.execute(sa.insert(ShowSeat), [{"show_id": show_id, **seat} for seat in seats])


def _categories(connection: sa.Connection, show_id: int) -> set[str]:
    query = sa.select(ShowSeat.category).where(ShowSeat.show_id == show_id).distinct()
    return set(connection.execute(query).scalars())


def _check_prices(prices: Mapping[str, int], known: set[str]) -> None:
    """Raises Invalid for a price of a category that the show's seats don't have."""
    if unknown := sorted(set(prices) - known):
        raise Invalid(
            "prices",
            f"No seat is {unknown[0]!r}; the categories are {', '.join(sorted(known))}.",
        )


def _delete_shows(
    connection: sa.Connection, which: sa.ColumnElement[bool], what: str, by: Actor
) -> int:
    """Delete those shows and their seats; how many. Raises HasBookings.

    Whether there are bookings is not looked up: the foreign key of a booking, past and
    cancelled ones too, does not let its show go.
    """
    locked = sa.select(*OWN).where(which).order_by(Show.id).with_for_update()
    shows = connection.execute(locked).mappings().all()
    show_ids = [show["id"] for show in shows]
    _lock_seats(connection, ShowSeat.show_id.in_(show_ids))
    connection.execute(sa.delete(ShowSeat).where(ShowSeat.show_id.in_(show_ids)))
    _forget_sums(connection, show_ids)
    try:
        connection.execute(sa.delete(Show).where(Show.id.in_(show_ids)))
    except sa.exc.IntegrityError as error:
        if violates(error, "fk_booking_show_id"):
            raise HasBookings(
                f"This {what} has bookings and can't be deleted. Withdraw it from sale instead "
                "(on_sale: false)."
            ) from error
        raise
    for show in shows:
        audit.record(connection, "show.deleted", by=by, object_id=show["id"], before=show)
    return len(show_ids)


def _refuse_overlap(
    connection: sa.Connection,
    screen_id: int,
    starts_at: datetime,
    ends_at: datetime,
    *,
    but_show_id: int = 0,
) -> None:
    """Raises ShowOverlap where another show is on the screen then. The screen's row is locked."""
    other = connection.execute(
        sa.select(Show.id, Show.starts_at, Show.ends_at, Screen.name)
        .join(Screen, Screen.id == Show.screen_id)
        .where(
            Show.screen_id == screen_id,
            Show.starts_at < ends_at,
            Show.ends_at > starts_at,
            Show.id != but_show_id,
        )
        .order_by(Show.starts_at)
        .limit(1)
    ).first()
    if other is not None:
        raise ShowOverlap(
            f"Show {other.id} is on {other.name} from {iso(other.starts_at)} "
            f"to {iso(other.ends_at)}.",
            show=other.id,
            date_time=iso(other.starts_at),
            ends_at=iso(other.ends_at),
        )


def _check_ahead(connection: sa.Connection, date_time: datetime, now: datetime | None) -> None:
    present = connection.execute(sa.select(clock(now))).scalar_one()
    if date_time <= present:
        raise Invalid("date_time", f"Must lie ahead; it is {iso(present)} now.")
    if date_time > present + timedelta(days=MAX_DAYS_AHEAD):
        raise Invalid("date_time", "Must lie within the next ten years.")
