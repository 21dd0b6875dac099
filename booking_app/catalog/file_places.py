"""The cinemas and halls of a catalogue file: adding them, comparing them, and finding them for its
shows by their names."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from booking_app.catalog import (
    file_differences,
    screen_locks,
    screen_plans,
    seat_plans,
    venue_rows,
    venues,
)
from booking_app.catalog.file_differences import Change
from booking_app.catalog.file_entries import (
    Entry,
    Known,
    file_ids,
    paired,
    squash,
    without_twins,
)
from booking_app.catalog.file_report import Obstacle
from booking_app.catalog.file_schemas import CatalogCinema, CatalogScreen
from booking_app.catalog.file_writes import Writes
from booking_app.catalog.models import MIDNIGHT, Cinema, Screen
from booking_app.core.database import fold
from booking_app.core.errors import DomainError

CINEMA, SCREEN = CatalogCinema(), CatalogScreen()


class UnknownPlace(Exception):
    """A show can't be where its entry says; the message says why."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of a cinema: its IANA time zone, and when its business day starts."""

    timezone: str
    day_starts_at: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a show is: in a `hall` of the `cinema`; the `name` is the hall's, with its cinema.
    `screen` is None where its short form is to make the hall in the default cinema. `planned`: it
    has the seats of the hall's plan. A new show is sold in the `currency`; the prices in the file
    are `priced_in` what its cinema says there, None where that says nothing."""

    cinema: int | None
    screen: int | None
    hall: str
    name: str
    planned: bool
    seats: int
    clocks: Clocks
    currency: str
    priced_in: str | None


class Places:
    """The cinemas and halls, by the names that they have in the file, else here."""

    def __init__(self, timezone: str, currency: str) -> None:
        self._no_default = Clocks(timezone, MIDNIGHT)
        self._currency = currency
        self._priced_in: dict[int, str] = {}
        self._cinemas: dict[str, int] = {}
        self._screens: dict[int, dict[str, int]] = defaultdict(dict)
        self._left_out: dict[Any, str] = {}  # where the entries stand that could not be loaded
        self._default_in_file: int | None = None
        self._rows: dict[int, sa.RowMapping] = {}
        self._screen_rows: dict[int, sa.RowMapping] = {}

    def load(self, writes: Writes, cinemas: Sequence[Mapping[str, Any]]) -> None:
        """Add what is not there yet, and compare what is."""
        entries = [_cinema_entry(number, values) for number, values in enumerate(cinemas)]
        alone, twins = without_twins(entries, "cinema", "they have the same name", unique=True)
        self._read(writes.connection)
        pairs, unclear = paired(alone, _known_cinemas(self._rows))
        writes.obstacles += [*twins, *unclear]
        writes.load("cinemas", pairs, self._add_cinema, self._compare_cinema)
        self._left_out = {
            entry.key: entry.where for entry in entries if fold(entry.name) not in self._cinemas
        }
        self._read(writes.connection)
        for key, row in self._rows.items():
            self._cinemas.setdefault(fold(row["name"]), key)
        self._load_screens(writes, cinemas, entries)
        self._read(writes.connection)
        for key, row in self._screen_rows.items():
            self._screens[row["cinema_id"]].setdefault(fold(row["name"]), key)

    def of(self, show: Mapping[str, Any]) -> Place:
        """Where the entry's show is. Raises UnknownPlace."""
        planned = "screen" in show
        hall = show["screen"] if planned else show["screen_name"]
        cinema = self._cinema_of(show)
        if cinema is None:
            seats, currency = show["total_seats"], self._currency
            return Place(None, None, hall, hall, False, seats, self._no_default, currency, None)
        row = self._rows[cinema]
        if planned or not row["is_default"]:
            key = (cinema, squash(hall))
            screen: int | None = self._find(self._screens[cinema], hall, "hall", key, cinema)
        else:
            screen = _named(self._screens[cinema], hall)
        found = self._screen_rows[screen] if screen else {"name": hall}
        return Place(
            cinema=cinema,
            screen=screen,
            hall=found["name"],
            name=f"{found['name']}, {row['name']}",
            planned=planned,
            seats=seat_plans.count_seats(found["rows"]) if planned else show["total_seats"],
            clocks=Clocks(row["timezone"], row["day_starts_at"]),
            currency=row["currency"] or self._currency,
            priced_in=self._priced_in.get(cinema),
        )

    def _cinema_of(self, show: Mapping[str, Any]) -> int | None:
        """The cinema of a show: the default one where it names none; None where there is none."""
        if "cinema" in show:
            return self._find(self._cinemas, show["cinema"], "cinema", squash(show["cinema"]))
        default = next((key for key, row in self._rows.items() if row["is_default"]), None)
        if self._default_in_file not in (None, default):
            own = self._rows[self._default_in_file or 0]["name"]
            here = self._rows[default]["name"] if default else "none"
            raise UnknownPlace(
                f"The default cinema is {own} in the file, and {here} here. Name the cinema and "
                "its hall."
            )
        return default

    def screen_name(self, screen: int) -> str:
        """A hall that is there, with its cinema."""
        row = self._screen_rows[screen]
        return f"{row['name']}, {self._rows[row['cinema_id']]['name']}"

    def _find(
        self, names: Mapping[str, int], name: str, thing: str, key: Any, cinema: int = 0
    ) -> int:
        found = _named(names, name)
        if key in self._left_out:
            raise UnknownPlace(f"Its {thing}, {self._left_out[key]}, is not loaded.")
        if found is not None:
            return found
        if cinema:
            known = [self._screen_rows[screen]["name"] for screen in names.values()]
            there = f"{self._rows[cinema]['name']} has no hall {name!r}"
        else:
            known = [self._rows[one]["name"] for one in names.values()]
            there = f"There is no cinema {name!r}"
        if known:
            raise UnknownPlace(f"{there}; {screen_locks.nearest(name, sorted(known))}.")
        raise UnknownPlace(f"{there}.")

    def _read(self, connection: sa.Connection) -> None:
        cinemas = sa.select(*venue_rows.CINEMA).order_by(Cinema.id)
        screens = sa.select(*_columns(Screen, SCREEN), Screen.id, Screen.cinema_id)
        self._rows = {row["id"]: row for row in connection.execute(cinemas).mappings()}
        found = connection.execute(screens.order_by(Screen.id)).mappings()
        self._screen_rows = {row["id"]: row for row in found}

    # --- cinemas ----------------------------------------------------------------------------

    def _add_cinema(self, writes: Writes, entry: Entry) -> None:
        values = {name: value for name, value in entry.values.items() if name != "is_default"}
        if values.get("currency") == self._currency:
            del values["currency"]
        row = venues.insert_cinema(writes.connection, **values, external_id=entry.id)
        self._cinemas[fold(entry.name)] = row["id"]
        self._note_currency(entry, row["id"])
        if entry.values.get("is_default"):
            self._default_in_file = row["id"]
            if other := self._default_cinema():
                writes.leave(_not_default(entry, other))
            else:
                venues.make_default(writes.connection, row["id"], writes.by)
                self._read(writes.connection)

    def _compare_cinema(self, writes: Writes, entry: Entry, known: Known) -> None:
        self._cinemas[fold(entry.name)] = known.id
        special = ("is_default", "currency")
        facts = {name: value for name, value in entry.values.items() if name not in special}
        plain = Entry(entry.where, entry.name, entry.id, entry.key, facts)
        found = list(file_differences.changes(CINEMA, plain, known))
        self._note_currency(entry, known.id)
        here = known.values["currency"] or self._currency
        if (in_file := self._priced_in.get(known.id, here)) != here:
            named = entry.values["currency"]
            found.append(file_differences.change(entry, "currency", here, in_file, currency=named))
        is_default = entry.values.get("is_default")
        if is_default is False and known.values["is_default"]:
            refusal = "A default cinema stays it until another one is made it."
            found.append(file_differences.refused(entry, "is_default", True, False, refusal))
        if is_default:
            self._default_in_file = known.id
            if not known.values["is_default"]:
                found.append(_not_default(entry, self._default_cinema()))

        def take(changes: dict[str, Any]) -> None:
            if changes.pop("is_default", False):
                venues.make_default(writes.connection, known.id, writes.by)
                self._read(writes.connection)
            venues.update_cinema.within(
                writes.connection,
                cinema_id=known.id,
                by=writes.by,
                now=writes.present,
                **changes,
            )

        timezone = entry.values["timezone"]
        writes.compare(entry, found, take, timezone=timezone)

    def _note_currency(self, entry: Entry, cinema: int) -> None:
        if "currency" in entry.values:
            self._priced_in[cinema] = entry.values["currency"] or self._currency

    def _default_cinema(self) -> str | None:
        return next((row["name"] for row in self._rows.values() if row["is_default"]), None)

    # --- halls ------------------------------------------------------------------------------

    def _load_screens(
        self, writes: Writes, cinemas: Sequence[Mapping[str, Any]], owners: Sequence[Entry]
    ) -> None:
        entries = []
        for owner, values in zip(owners, cinemas, strict=True):
            if owner.key in self._left_out:
                if values["screens"]:
                    why = f"Their cinema, {owner.where}, is not loaded."
                    writes.obstacles.append(Obstacle(f"{owner.where}.screens", why))
                continue
            cinema = self._cinemas[fold(owner.name)]
            entries += [
                _screen_entry(f"{owner.where}.screens[{number}]", cinema, screen)
                for number, screen in enumerate(values["screens"])
            ]
        alone, twins = without_twins(
            entries, "hall", "they have the same name in one cinema", unique=True
        )
        pairs, unclear = paired(alone, _known_screens(self._screen_rows))
        writes.obstacles += [*twins, *unclear]
        writes.load("screens", pairs, self._add_screen, self._compare_screen)
        self._left_out |= {
            entry.key: entry.where
            for entry in entries
            if fold(entry.name) not in self._screens[_cinema_of(entry)]
        }

    def _add_screen(self, writes: Writes, entry: Entry) -> None:
        values = dict(entry.values)
        plan = screen_plans.read_rows(values.pop("rows", []))
        cinema = values.pop("cinema")
        made = venues.insert_screen(
            writes.connection, cinema, plan=plan, **values, external_id=entry.id
        )
        self._screens[cinema][fold(entry.name)] = made

    def _compare_screen(self, writes: Writes, entry: Entry, known: Known) -> None:
        self._screens[_cinema_of(entry)][fold(entry.name)] = known.id
        try:
            found = self._screen_changes(entry, known)
        except DomainError as error:
            writes.obstacles.append(Obstacle(entry.where, error.detail))
            return

        def take(changes: dict[str, Any]) -> None:
            venues.update_screen.within(
                writes.connection,
                screen_id=known.id,
                by=writes.by,
                now=writes.present,
                **changes,
            )

        timezone = self._rows[known.values["cinema_id"]]["timezone"]
        writes.compare(entry, found, take, timezone=timezone)

    def _screen_changes(self, entry: Entry, known: Known) -> list[Change]:
        screen_plans.read_rows(entry.values.get("rows", []))  # says which row can't be
        special = ("rows", "out_of_order", "cinema")
        facts = {name: value for name, value in entry.values.items() if name not in special}
        plain = Entry(entry.where, entry.name, entry.id, entry.key, facts)
        found = list(file_differences.changes(SCREEN, plain, known))
        here, in_file = known.values["cinema_id"], _cinema_of(entry)
        if here != in_file:
            names = (self._rows[here]["name"], self._rows[in_file]["name"])
            refusal = "A hall can't move to another cinema."
            found.append(file_differences.refused(entry, "cinema", *names, refusal))
        return [*found, *file_differences.plan_changes(entry, known)]


def _not_default(entry: Entry, default: str | None) -> Change:
    """That the entry's cinema is to be the default one, which it is not here."""
    if default is None:
        return file_differences.change(entry, "is_default", False, True, is_default=True)
    refusal = f"The default cinema is {default}, and stays it."
    return file_differences.refused(entry, "is_default", f"it is {default}", True, refusal)


def _cinema_entry(number: int, values: Mapping[str, Any]) -> Entry:
    name = values["name"]
    own = {key: value for key, value in values.items() if key not in ("screens", "external_id")}
    where = f"cinemas[{number}] ({name})"
    return Entry(where, name, values.get("external_id"), squash(name), own)


def _screen_entry(where: str, cinema: int, values: Mapping[str, Any]) -> Entry:
    name = values["name"]
    own = {key: value for key, value in values.items() if key != "external_id"}
    key = (cinema, squash(name))
    return Entry(
        f"{where} ({name})", name, values.get("external_id"), key, own | {"cinema": cinema}
    )


def _cinema_of(entry: Entry) -> int:
    return int(entry.values["cinema"])


def _known_cinemas(rows: Mapping[int, sa.RowMapping]) -> list[Known]:
    ids = file_ids("cinema", ((key, row["external_id"]) for key, row in rows.items()))
    return [
        Known(key, row["name"], row["external_id"], ids[key], squash(row["name"]), row)
        for key, row in rows.items()
    ]


def _known_screens(rows: Mapping[int, sa.RowMapping]) -> list[Known]:
    ids = file_ids("screen", ((key, row["external_id"]) for key, row in rows.items()))
    return [
        Known(
            key,
            row["name"],
            row["external_id"],
            ids[key],
            (row["cinema_id"], squash(row["name"])),
            row,
        )
        for key, row in rows.items()
    ]


def _columns(table: Any, schema: Any) -> list[Any]:
    """The columns of the facts that an entry may have."""
    columns = sa.inspect(table).columns.keys()
    return [getattr(table, name) for name in schema.fields if name in columns]


def _named(names: Mapping[str, int], name: str) -> int | None:
    """What has this name, or one that differs in spaces only."""
    if fold(name) in names:
        return names[fold(name)]
    found = {key for other, key in names.items() if squash(other) == squash(name)}
    return found.pop() if len(found) == 1 else None
