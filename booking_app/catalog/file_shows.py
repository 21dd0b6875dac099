"""The shows of a catalogue file: when they begin, adding them, and comparing them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from booking_app.catalog import file_differences
from booking_app.catalog.file_differences import Change, change, clock, refused
from booking_app.catalog.file_entries import Entry, Known, file_ids, paired, squash, without_twins
from booking_app.catalog.file_places import Place, Places, UnknownPlace
from booking_app.catalog.file_report import Obstacle
from booking_app.catalog.file_schemas import CatalogShow
from booking_app.catalog.file_writes import Writes
from booking_app.catalog.models import MIDNIGHT, Movie, Show, ShowSeat
from booking_app.catalog.shows import ShowChanges, insert_show, prices_of, update_show
from booking_app.catalog.times import NoSuchTime, business_day, instant, on_business_day
from booking_app.core.errors import Invalid

# A daily show is made for today and this many days after, so a whole week always lies ahead.
DAYS_AHEAD = 7
SHOW = CatalogShow()
# What a show's entry says beside where and when.
TERMS = ("prices", *(name for name in ShowChanges.__annotations__ if name != "external_id"))


@dataclass(frozen=True, slots=True)
class Film:
    """A film of the file that is there now, and its entry's shows."""

    id: int
    title: str
    where: str
    shows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Show:
    """What an `Entry` has in its values: a show at its place and time."""

    film: Film
    place: Place
    starts_at: datetime
    terms: Mapping[str, Any]
    total_seats: int | None
    priced_in: str | None


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


def load_shows(
    writes: Writes,
    films: Sequence[Film],
    places: Places,
    *,
    skip_missing: bool,
    most_seats: int | None,
) -> None:
    """Add the shows that are not there yet, and compare those that are. Raises Invalid (`file`) for
    more than `most_seats` seats to add."""
    entries = [
        entry
        for film in films
        for number, values in enumerate(film.shows)
        for entry in _entries(writes, film, number, values, places, skip_missing)
    ]
    alone, twins = without_twins(entries, "show", "they are in one hall at one time", unique=True)
    pairs, unclear = paired(alone, _known(writes.connection, alone), _is_of_its_film)
    writes.obstacles += [*twins, *unclear]
    new = [pair.entry for pair in pairs if pair.known is None]
    seats = sum(_of(entry).place.seats for entry in new)
    if most_seats is not None and seats > most_seats:
        raise Invalid(
            "file",
            f"The new shows have {seats:,} seats in all; at most {most_seats:,} can be made here. "
            "Load the file at the server: flask --app wsgi load-catalog FILE.",
        )
    # Those that are there may make room for the new ones.
    for pair in pairs:
        if pair.known is not None:
            own = _of(pair.entry)
            found = _changes(pair.entry, own, pair.known, places)
            take = partial(_take, writes, pair.known)
            timezone = own.place.clocks.timezone
            writes.compare(pair.entry, found, take, timezone=timezone)
    for entry in new:
        timezone = _of(entry).place.clocks.timezone
        writes.add("shows", entry.where, partial(_add, writes, entry), timezone=timezone)


def _entries(
    writes: Writes,
    film: Film,
    number: int,
    values: Mapping[str, Any],
    places: Places,
    skip_missing: bool,
) -> Iterator[Entry]:
    """The shows of one entry, several where it is `daily`; what is in their way is noted."""
    where = f"{film.where}.shows[{number}]"
    try:
        place = places.of(values)
        times = show_times(
            values,
            place.clocks.timezone,
            writes.present,
            day_starts_at=place.clocks.day_starts_at,
            skip_missing=skip_missing,
        )
    except (UnknownPlace, NoSuchTime) as error:
        writes.obstacles.append(Obstacle(where, str(error)))
        return
    terms = {name: values[name] for name in TERMS if name in values}
    for starts_at in times:
        external_id = values.get("external_id")
        if external_id is not None and "daily" in values:
            local = starts_at.astimezone(ZoneInfo(place.clocks.timezone))
            external_id = f"{external_id}/{local:%Y-%m-%dT%H:%M}"
        shown = clock(starts_at, place.clocks.timezone)
        own = _Show(
            film,
            place,
            starts_at,
            terms,
            values.get("total_seats"),
            values.get("currency", place.priced_in),
        )
        key = (place.screen or squash(place.name), starts_at)
        yield Entry(f"{where} at {shown}", shown, external_id, key, {"show": own})


def _of(entry: Entry) -> _Show:
    own: _Show = entry.values["show"]
    return own


def _known(connection: sa.Connection, entries: Sequence[Entry]) -> list[Known]:
    """The shows that entries may be of."""
    all_ids = connection.execute(sa.select(Show.id, Show.external_id))
    ids = file_ids("show", ((row.id, row.external_id) for row in all_ids))
    least = min((_of(entry).starts_at for entry in entries), default=None)
    named = {entry.id for entry in entries} - {None}
    if least is None:
        return []
    columns = sa.inspect(Show).columns.keys()
    facts = [getattr(Show, name) for name in SHOW.fields if name in columns]
    of_plan = sa.exists().where(ShowSeat.show_id == Show.id, ShowSeat.row_label != "")
    query = (
        sa.select(
            Show.id,
            Show.screen_id,
            Show.movie_id,
            Show.starts_at,
            Movie.title,
            Show.price_cents,
            of_plan.label("planned"),
            *facts,
        )
        .join(Movie, Movie.id == Show.movie_id)
        .where(sa.or_(Show.starts_at >= least, Show.external_id.is_not(None)))
        .order_by(Show.id)
    )
    return [
        Known(
            row["id"],
            row["title"],
            row["external_id"],
            ids[row["id"]],
            (row["screen_id"], row["starts_at"]),
            {**row, **prices_of(row)},
        )
        for row in connection.execute(query).mappings()
        if row["starts_at"] >= least or row["external_id"] in named
    ]


def _is_of_its_film(entry: Entry, known: Known) -> bool:
    return bool(known.values["movie_id"] == _of(entry).film.id)


def _changes(entry: Entry, own: _Show, known: Known, places: Places) -> Iterator[Change]:
    here, place, timezone = known.values, own.place, own.place.clocks.timezone
    facts = replace(entry, values=own.terms)
    yield from file_differences.changes(SHOW, facts, known, timezone)
    if own.priced_in not in (None, here["currency"]):
        refusal = "A show can't change its currency."
        yield refused(entry, "currency", here["currency"], own.priced_in, refusal)
    if here["movie_id"] != own.film.id:
        refusal = "A show can't change its film. Withdraw it from sale and make another."
        yield refused(entry, "film", here["title"], own.film.title, refusal)
    if here["starts_at"] != own.starts_at:
        was = clock(here["starts_at"], timezone)
        yield change(entry, "date_time", was, entry.name, date_time=own.starts_at)
    moves = here["screen_id"] != place.screen
    if moves:
        where: dict[str, Any] = {"screen": place.screen}
        if place.screen is None:
            where = {"screen_name": place.hall}
        yield change(entry, "screen", places.screen_name(here["screen_id"]), place.name, **where)
    if own.total_seats is None:
        if not here["planned"] and not moves:
            refusal = "A show without a plan takes that of a hall only where it moves there."
            yield refused(entry, "seats", f"1 to {here['total_seats']}", "of the plan", refusal)
    elif here["planned"] or here["total_seats"] != own.total_seats:
        was = "of the plan" if here["planned"] else f"1 to {here['total_seats']}"
        is_ = f"1 to {own.total_seats}"
        yield change(entry, "total_seats", was, is_, total_seats=own.total_seats)


def _take(writes: Writes, known: Known, changes: dict[str, Any]) -> None:
    update_show.within(
        writes.connection,
        show_id=known.id,
        currency=writes.currency,
        by=writes.by,
        now=writes.present,
        **changes,
    )


def _add(writes: Writes, entry: Entry) -> None:
    own = _of(entry)
    if own.priced_in not in (None, own.place.currency):
        told = f"Its prices are in {own.priced_in}; this hall sells in {own.place.currency}."
        raise Invalid("currency", told)
    where: dict[str, Any] = {"screen": own.place.screen}
    if not own.place.planned:
        where = {"screen_name": own.place.hall, "total_seats": own.total_seats}
        where |= {"cinema": own.place.cinema, "timezone": own.place.clocks.timezone}
    show_id = insert_show(
        writes.connection,
        movie_id=own.film.id,
        date_time=own.starts_at,
        with_seats=not writes.dry_run,
        by=writes.by,
        now=writes.present,
        currency=writes.currency,
        external_id=entry.id,
        **where,
        **own.terms,
    )
    writes.made_shows[show_id] = entry.where
