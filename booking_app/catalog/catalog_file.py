"""Loading a catalogue from a file: all of it or nothing; what is there already is left alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.catalog import venues
from booking_app.catalog.models import MIDNIGHT, Cinema, Movie, Screen, Show
from booking_app.catalog.movies import insert_movie
from booking_app.catalog.screen_plans import read_rows
from booking_app.catalog.show_rules import ShowOverlap
from booking_app.catalog.shows import ShowChanges, insert_show
from booking_app.catalog.times import NoSuchTime, business_day, instant, on_business_day
from booking_app.core.database import LOADING, NOW, fold, reading, take_turns, writes
from booking_app.core.errors import DomainError
from booking_app.core.formats import iso

# A daily show is made for today and this many days after, so a whole week always lies ahead.
DAYS_AHEAD = 7
# What a show's entry says beside where and when.
TERMS = ("prices", *ShowChanges.__annotations__)


class EntryError(Exception):
    """An entry that can't be loaded; its message names the entry."""


def may_load_demo() -> bool:
    """Whether the catalogue is empty or all of it is the demo catalogue."""
    with reading() as connection:
        own = connection.execute(sa.select(Movie.id).where(~Movie.is_demo).limit(1)).first()
    return own is None


@writes
def load_catalog(
    connection: sa.Connection,
    *,
    movies: Sequence[Mapping[str, Any]],
    cinemas: Sequence[Mapping[str, Any]] = (),
    timezone: str,
    is_demo: bool = False,
    now: datetime | None = None,
) -> tuple[int, int]:
    """Add the cinemas, screens, films and shows that are not there yet; how many films and shows.

    `movies` and `cinemas` are as `schemas.Catalog` loads them. A film is known by its title and
    year, a cinema and a screen by their names, a show by its screen and time. `timezone` is of
    the default cinema, for shows in the short form. Where the demo catalogue is loaded again,
    only its daily shows are added, and only of films that are still there and on sale: films that
    an operator took out do not come back. Raises EntryError, and then nothing was added.
    """
    take_turns(connection, LOADING)  # of hosts that start at once, one loads the demo
    present = connection.execute(sa.select(NOW), {"now": now}).scalar_one()
    places = _Places(connection, cinemas, timezone)
    known = _known_movies(connection)
    restock = is_demo and bool(known)
    films = shows = 0
    for number, entry in enumerate(movies):
        key = (fold(entry["title"]), entry.get("year"))
        if key not in known:
            if restock:
                continue
            values = {name: value for name, value in entry.items() if name != "shows"}
            try:
                known[key] = insert_movie(connection, **values, is_demo=is_demo)
            except DomainError as error:
                raise EntryError(f"movies[{number}] ({entry['title']}): {error}") from error
            films += 1
        if restock and not known[key]["on_sale"]:
            continue
        shows += _add_shows(
            connection,
            known[key]["id"],
            entry.get("shows", ()),
            where=f"movies[{number}] ({entry['title']})",
            places=places,
            present=present,
            is_demo=is_demo,
            skip_overlaps=restock,
        )
    added = {**places.added, "movies": films, "shows": shows}
    if any(added.values()):
        audit.record(connection, "catalog.loaded", by=audit.OPERATOR, object_id=None, after=added)
    return films, shows


def show_times(
    entry: Mapping[str, Any],
    timezone: str,
    now: datetime,
    *,
    day_starts_at: str = MIDNIGHT,
    skip_missing: bool = False,
) -> list[datetime]:
    """When the shows of a catalogue file's entry begin, in UTC, in order.

    That is its `date_time`, or each of its `daily` times that lies ahead of `now`, on today's
    business day by the clocks of that IANA time zone and the `DAYS_AHEAD` days after. Where the
    clocks show a time twice, the first counts. Raises NoSuchTime for a time to come that they leave
    out; with `skip_missing` there is no show on that day.
    """
    if "date_time" in entry:
        return [instant(entry["date_time"], timezone)]
    today = business_day(now, timezone, day_starts_at)
    times = []
    for days in range(DAYS_AHEAD + 1):
        for daily in map(time.fromisoformat, entry["daily"]):
            local = on_business_day(today + timedelta(days=days), daily, day_starts_at)
            try:
                times.append(instant(local, timezone))
            except NoSuchTime as error:
                if error.moment > now and not skip_missing:
                    raise
    return sorted(date_time for date_time in times if date_time > now)


class _Clocks(NamedTuple):
    """The clocks of a cinema: its IANA time zone, and when its business day starts."""

    timezone: str
    day_starts_at: str


class _Places:
    """The cinemas and screens of the file and of the database, by their names."""

    def __init__(
        self, connection: sa.Connection, cinemas: Sequence[Mapping[str, Any]], timezone: str
    ) -> None:
        self.default_clocks = _Clocks(timezone, MIDNIGHT)
        query = sa.select(
            Cinema.id, Cinema.name_key, Cinema.timezone, Cinema.day_starts_at, Cinema.is_default
        )
        self.cinemas: dict[str, tuple[int, _Clocks]] = {}
        for row in connection.execute(query):
            clocks = _Clocks(row.timezone, row.day_starts_at)
            self.cinemas[row.name_key] = (row.id, clocks)
            if row.is_default:
                self.default_clocks = clocks
        screens = connection.execute(sa.select(Screen.id, Screen.cinema_id, Screen.name_key))
        self.screens = {(row.cinema_id, row.name_key): row.id for row in screens}
        self.added = {"cinemas": 0, "screens": 0}
        for number, entry in enumerate(cinemas):
            self._add(connection, entry, f"cinemas[{number}] ({entry['name']})")

    def _add(self, connection: sa.Connection, entry: Mapping[str, Any], where: str) -> None:
        key = fold(entry["name"])
        if key not in self.cinemas:
            values = {name: value for name, value in entry.items() if name != "screens"}
            try:
                cinema = venues.insert_cinema(connection, **values)
            except DomainError as error:
                raise EntryError(f"{where}: {error}") from error
            clocks = _Clocks(cinema["timezone"], cinema["day_starts_at"])
            self.cinemas[key] = (cinema["id"], clocks)
            self.added["cinemas"] += 1
        cinema_id, _ = self.cinemas[key]
        for number, screen in enumerate(entry["screens"]):
            screen_key = (cinema_id, fold(screen["name"]))
            if screen_key not in self.screens:
                try:
                    plan = read_rows(screen["rows"])
                    self.screens[screen_key] = venues.insert_screen(
                        connection, cinema_id, screen["name"], plan
                    )
                except DomainError as error:
                    raise EntryError(f"{where}.screens[{number}]: {error}") from error
                self.added["screens"] += 1

    def of(self, show: Mapping[str, Any]) -> tuple[dict[str, Any], _Clocks]:
        """Where the entry's show is, as arguments of `shows.insert_show`, and by which clocks.

        Raises KeyError with the name that nobody knows.
        """
        if "cinema" not in show:
            place = {"screen_name": show["screen_name"], "total_seats": show["total_seats"]}
            return place | {"timezone": self.default_clocks.timezone}, self.default_clocks
        if fold(show["cinema"]) not in self.cinemas:
            raise KeyError(show["cinema"])
        cinema_id, clocks = self.cinemas[fold(show["cinema"])]
        key = (cinema_id, fold(show["screen"]))
        if key not in self.screens:
            raise KeyError(show["screen"])
        return {"screen": self.screens[key]}, clocks


def _add_shows(
    connection: sa.Connection,
    movie_id: int,
    shows: Sequence[Mapping[str, Any]],
    *,
    where: str,
    places: _Places,
    present: datetime,
    is_demo: bool,
    skip_overlaps: bool,
) -> int:
    """Add the film's shows that are not there yet; how many."""
    added = 0
    there = _known_shows(connection, movie_id)
    for number, show in enumerate(shows):
        try:
            place, clocks = places.of(show)
        except KeyError as error:
            unknown = f"there is no cinema or screen {error}"
            raise EntryError(f"{where}.shows[{number}]: {unknown}") from error
        try:
            date_times = show_times(
                show,
                clocks.timezone,
                present,
                day_starts_at=clocks.day_starts_at,
                skip_missing=is_demo,
            )
        except NoSuchTime as error:
            raise EntryError(f"{where}.shows[{number}]: {error}") from error
        terms = {name: show[name] for name in TERMS if name in show}
        for date_time in date_times:
            if (place.get("screen") or fold(show["screen_name"]), date_time) in there:
                continue
            try:
                insert_show(
                    connection,
                    movie_id=movie_id,
                    date_time=date_time,
                    now=present,
                    **place,
                    **terms,
                )
            except DomainError as error:
                if skip_overlaps and isinstance(error, ShowOverlap):
                    continue  # staff has put something else there
                raise EntryError(f"{where}.shows[{number}] at {iso(date_time)}: {error}") from error
            added += 1
    return added


def _known_movies(connection: sa.Connection) -> dict[tuple[str, int | None], sa.RowMapping]:
    query = sa.select(Movie.id, Movie.title_key, Movie.year, Movie.on_sale)
    rows = connection.execute(query).mappings()
    return {(row["title_key"], row["year"]): row for row in rows}


def _known_shows(connection: sa.Connection, movie_id: int) -> set[tuple[int | str, datetime]]:
    """The film's shows by screen and time; a screen of the default cinema also by its name."""
    query = (
        sa.select(Show.screen_id, Screen.name_key, Cinema.is_default, Show.starts_at)
        .join(Screen, Screen.id == Show.screen_id)
        .join(Cinema, Cinema.id == Screen.cinema_id)
        .where(Show.movie_id == movie_id)
    )
    known: set[tuple[int | str, datetime]] = set()
    for row in connection.execute(query):
        known.add((row.screen_id, row.starts_at))
        if row.is_default:
            known.add((row.name_key, row.starts_at))
    return known
