"""Loading a catalogue from a file: all of it or nothing; what is there already is left alone."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from booking_app.catalog import service
from booking_app.catalog.models import Cinema, Movie, Screen, Show
from booking_app.database import clock, fold, reading, write_transaction
from booking_app.errors import DomainError
from booking_app.fields import iso

# A daily show is made for today and this many days after, so a whole week always lies ahead.
DAYS_AHEAD = 7


class EntryError(Exception):
    """An entry that can't be loaded; its message names the entry."""


def may_load_demo() -> bool:
    """Whether the catalogue is empty or all of it is the demo catalogue."""
    with reading() as connection:
        own = connection.execute(sa.select(Movie.id).where(~Movie.is_demo).limit(1)).first()
    return own is None


def load_catalog(
    *,
    movies: Sequence[Mapping[str, Any]],
    timezone: str,
    is_demo: bool = False,
    now: datetime | None = None,
) -> tuple[int, int]:
    """Add the films and shows that are not there yet; how many of each.

    `movies` are as `schemas.Catalog` loads them. A film is known by its title and year, a show
    by its screen and time. Where the demo catalogue is loaded again, only its daily shows
    are added, and only of films that are still there and on sale: what an operator took
    out does not come back. Raises EntryError, and then nothing was added.
    """

    def load(connection: sa.Connection) -> tuple[int, int]:
        present = connection.execute(sa.select(clock(now))).scalar_one()
        zone = connection.execute(sa.select(Cinema.timezone).where(Cinema.is_default)).scalar()
        known = _known_movies(connection)
        restock = is_demo and bool(known)
        films = shows = 0
        for number, entry in enumerate(movies):
            key = (fold(entry["title"]), entry.get("year"))
            if key not in known:
                if restock:
                    continue
                values = {name: value for name, value in entry.items() if name != "shows"}
                known[key] = service.insert_movie(connection, **values, is_demo=is_demo)
                films += 1
            if restock and not known[key]["on_sale"]:
                continue
            shows += _add_shows(
                connection,
                known[key]["id"],
                entry.get("shows", ()),
                where=f"movies[{number}] ({entry['title']})",
                timezone=zone or timezone,
                present=present,
                skip_overlaps=restock,
            )
        return films, shows

    return write_transaction(load)


def _add_shows(
    connection: sa.Connection,
    movie_id: int,
    shows: Sequence[Mapping[str, Any]],
    *,
    where: str,
    timezone: str,
    present: datetime,
    skip_overlaps: bool,
) -> int:
    """Add the film's shows that are not there yet; how many."""
    added = 0
    there = _known_shows(connection, movie_id)
    for number, show in enumerate(shows):
        values = {name: value for name, value in show.items() if name not in ("date_time", "daily")}
        for date_time in _times(show, timezone, present):
            if (fold(show["screen_name"]), date_time) in there:
                continue
            try:
                service.insert_show(
                    connection,
                    movie_id=movie_id,
                    date_time=date_time,
                    timezone=timezone,
                    now=present,
                    **values,
                )
            except DomainError as error:
                if skip_overlaps and isinstance(error, service.ShowOverlap):
                    continue  # staff has put something else there
                raise EntryError(f"{where}.shows[{number}] at {iso(date_time)}: {error}") from error
            added += 1
    return added


def _times(show: Mapping[str, Any], timezone: str, present: datetime) -> Iterator[datetime]:
    """When the entry's shows begin: its one `date_time`, or each `daily` time that is to come."""
    if "date_time" in show:
        yield show["date_time"]
        return
    zone = ZoneInfo(timezone)
    today = present.astimezone(zone).date()
    for days in range(DAYS_AHEAD + 1):
        for daily in show["daily"]:
            local = datetime.combine(today + timedelta(days=days), time.fromisoformat(daily), zone)
            date_time = local.astimezone(present.tzinfo)
            if date_time > present:
                yield date_time


def _known_movies(connection: sa.Connection) -> dict[tuple[str, int | None], sa.RowMapping]:
    query = sa.select(Movie.id, Movie.title_key, Movie.year, Movie.on_sale)
    rows = connection.execute(query).mappings()
    return {(row["title_key"], row["year"]): row for row in rows}


def _known_shows(connection: sa.Connection, movie_id: int) -> set[tuple[str, datetime]]:
    query = (
        sa.select(Screen.name_key, Show.starts_at)
        .join(Screen, Screen.id == Show.screen_id)
        .join(Cinema, Cinema.id == Screen.cinema_id)
        .where(Show.movie_id == movie_id, Cinema.is_default)
    )
    return {(row.name_key, row.starts_at) for row in connection.execute(query)}
