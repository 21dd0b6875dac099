"""Loading a catalogue from a file: what is new is added; what is there already is compared, and
changed only where that is wanted. Nothing of the file is dropped without a word.

An entry is found by its id (`external_id`), else a film by its title and year, a cinema and a hall
by their names, a show by its film, hall and time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.catalog import file_differences
from booking_app.catalog.file_entries import (
    Entry,
    Known,
    Pair,
    file_ids,
    paired,
    squash,
    without_twins,
)
from booking_app.catalog.file_places import Places
from booking_app.catalog.file_report import Obstacle, Report
from booking_app.catalog.file_schemas import CatalogMovie
from booking_app.catalog.file_shows import Film, load_shows
from booking_app.catalog.file_writes import Writes
from booking_app.catalog.models import Movie
from booking_app.catalog.movies import insert_movie, update_movie
from booking_app.core.database import LOADING, NOW, Undo, reading, take_turns, writes

MOVIE = CatalogMovie()


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
    currency: str = "EUR",
    update: bool = False,
    skip_conflicts: bool = False,
    dry_run: bool = False,
    is_demo: bool = False,
    reported: str | None = None,
    most_seats: int | None = None,
    by: Actor = OPERATOR,
    now: datetime | None = None,
) -> Report:
    """Load a catalogue file, all of it or nothing, and report what that does.

    `movies` and `cinemas` are as `file_schemas.read` gives them. `update`: what differs here is
    changed, by the rules of the API. `skip_conflicts`: what nothing is in the way of is loaded
    also where something is in the way of other entries. A `dry_run` writes nothing; nor is
    anything written where the report is another one than was `reported`, by its digest. `timezone`
    is of the default cinema, where there is none yet, `currency` of cinemas that name none. Raises
    Invalid (`file`) where the new shows would have more than `most_seats` seats.

    Where the demo catalogue is loaded again, only its daily shows are added, where nothing else is
    on, and only of films that are still there and on sale: films that an operator took out do not
    come back.
    """
    take_turns(connection, LOADING)  # of hosts that start at once, one loads the demo
    present = connection.execute(sa.select(NOW), {"now": now}).scalar_one()
    restock = is_demo and _any_film(connection)
    writes = Writes(
        connection,
        update=update,
        dry_run=dry_run,
        skip_overlaps=restock,
        currency=currency,
        by=by,
        present=present,
    )
    pairs = _find_films(writes, movies)
    if restock:
        pairs = [pair for pair in pairs if pair.known and pair.known.values["on_sale"]]
    places = Places(timezone, currency)
    places.load(writes, cinemas)
    films = _load_films(writes, pairs, movies, is_demo=is_demo)
    load_shows(writes, films, places, skip_missing=is_demo, most_seats=most_seats)
    writes.finish()
    report = writes.report()
    is_other = reported is not None and reported != report.digest()
    if dry_run or is_other or (report.obstacles and not skip_conflicts):
        raise Undo(report)
    if report.added:
        counts = report.counts
        audit.record(connection, "catalog.loaded", by=by, object_id=None, after=counts)
    return replace(report, written=True)


def _any_film(connection: sa.Connection) -> bool:
    return connection.execute(sa.select(Movie.id).limit(1)).first() is not None


def _find_films(writes: Writes, movies: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """The film of each entry. What is in the way of an entry is noted, and of its shows."""
    entries = [_entry(number, values) for number, values in enumerate(movies)]
    alone, twins = without_twins(entries, "film", "they have the same title and year", unique=False)
    pairs, _ = paired(alone, _known(writes.connection))
    # In one order, before their shows and halls, as whoever changes a film.
    _lock(writes, [pair.known.id for pair in pairs if pair.known])
    pairs, unclear = paired(alone, _known(writes.connection))
    writes.obstacles += [*twins, *unclear]
    found = {pair.entry.where for pair in pairs}
    for entry, values in zip(entries, movies, strict=True):
        if entry.where not in found and values.get("shows"):
            writes.obstacles.append(Obstacle(f"{entry.where}.shows", "Their film is not loaded."))
    return pairs


def _load_films(
    writes: Writes,
    pairs: Sequence[Pair],
    movies: Sequence[Mapping[str, Any]],
    *,
    is_demo: bool,
) -> list[Film]:
    """Add and compare the films; those that are there now."""
    shows = {
        _where(number, values): values.get("shows", ()) for number, values in enumerate(movies)
    }
    films = []
    for entry, known in pairs:
        where, name = entry.where, entry.name
        if known is not None:
            found = file_differences.changes(MOVIE, entry, known)
            writes.compare(entry, found, partial(_change, writes, known.id))
            films.append(Film(known.id, name, where, shows[where]))
            continue

        def add(entry: Entry = entry) -> None:
            values = {**entry.values, "external_id": entry.id, "is_demo": is_demo}
            made = insert_movie(writes.connection, **values)
            films.append(Film(made["id"], entry.name, entry.where, shows[entry.where]))

        writes.add("movies", where, add)
        if shows[where] and (not films or films[-1].where != where):
            writes.obstacles.append(Obstacle(f"{where}.shows", "Their film is not loaded."))
    return films


def _change(writes: Writes, movie_id: int, changes: dict[str, Any]) -> None:
    update_movie.within(
        writes.connection, movie_id=movie_id, by=writes.by, now=writes.present, **changes
    )


def _where(number: int, values: Mapping[str, Any]) -> str:
    return f"movies[{number}] ({values['title']})"


def _entry(number: int, values: Mapping[str, Any]) -> Entry:
    title, year = values["title"], values.get("year")
    own = {name: value for name, value in values.items() if name not in ("shows", "external_id")}
    key = (squash(title), year)
    return Entry(_where(number, values), title, values.get("external_id"), key, own)


def _known(connection: sa.Connection) -> list[Known]:
    """All films."""
    columns = sa.inspect(Movie).columns.keys()
    facts = [getattr(Movie, name) for name in MOVIE.fields if name in columns]
    query = sa.select(Movie.id, *facts).order_by(Movie.id)
    rows = connection.execute(query).mappings().all()
    ids = file_ids("movie", ((row["id"], row["external_id"]) for row in rows))
    return [
        Known(
            row["id"],
            row["title"],
            row["external_id"],
            ids[row["id"]],
            (squash(row["title"]), row["year"]),
            row,
        )
        for row in rows
    ]


def _lock(writes: Writes, film_ids: Collection[int]) -> None:
    films = sa.select(Movie.id).where(Movie.id.in_(film_ids)).order_by(Movie.id)
    writes.connection.execute(films.with_for_update(read=not writes.update)).all()
