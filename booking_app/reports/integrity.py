"""Whether the tables agree with each other, for `flask check-integrity`: each disagreement is one
line. Nothing is written, and nobody who writes meanwhile waits or causes a false line.

Shows are read in batches, each with its seats, bookings and sums in one snapshot, so that the
memory needed does not grow with the database.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from booking_app.booking.models import BOOKED, CANCELLED, HELD, Booking
from booking_app.catalog.models import Show, ShowSeat, ShowSum
from booking_app.core.database import NOW, Query, Row, db
from booking_app.core.formats import iso
from booking_app.core.snapshots import file_faults, snapshot
from booking_app.idempotency.models import IdempotencyKey
from booking_app.reports.service import FIGURES, SUMS

# A batch ends at whichever comes first.
SHOWS_AT_ONCE = 200
SEATS_AT_ONCE = 20_000
ROWS_AT_ONCE = 500
STREAMED = {"yield_per": ROWS_AT_ONCE}

OF_BATCH: sa.BindParameter[Any] = sa.bindparam("shows", expanding=True)
SEATS = sa.select(
    ShowSeat.show_id,
    ShowSeat.label,
    ShowSeat.booking_id,
    ShowSeat.held_until,
    ShowSeat.price_cents,
).where(ShowSeat.show_id.in_(OF_BATCH))
BOOKING = (
    Booking.id,
    Booking.reference,
    Booking.show_id,
    Booking.status,
    sa.cast(Booking.seats, sa.Text).label("receipt"),  # read here: it may be unreadable
    Booking.total_cents,
    Booking.expires_at,
)
BOOKINGS = (
    sa.select(*BOOKING).where(Booking.show_id.in_(OF_BATCH)).order_by(Booking.show_id, Booking.id)
)
ADDED_UP: Query = (
    sa.select(ShowSeat.show_id, ShowSeat.category, *FIGURES)
    .where(ShowSeat.show_id.in_(OF_BATCH))
    .group_by(ShowSeat.show_id, ShowSeat.category)
)
KEPT: Query = sa.select(
    ShowSum.show_id, ShowSum.category, *(getattr(ShowSum, name) for name in SUMS)
).where(ShowSum.show_id.in_(OF_BATCH))
REVISION: Query = sa.select(sa.column("version_num")).select_from(sa.table("alembic_version"))

# A seat, by its show and label.
Seat = tuple[int, str]


class WrongSchema(Exception):
    """The tables are not those of this release, so they can't be checked."""


@dataclass
class Counts:
    """How much was checked so far."""

    shows: int = 0
    seats: int = 0
    bookings: int = 0


class Line(NamedTuple):
    """A line of a receipt."""

    label: str
    price_cents: int
    cancelled: bool


class Figures(NamedTuple):
    """What reports say of a show or a category."""

    seats: int = 0
    blocked: int = 0
    sold: int = 0
    takings_cents: int = 0

    def __str__(self) -> str:
        sales = _sales((self.sold, self.takings_cents))
        return f"{self.seats} seats, {self.blocked} blocked, {sales}"


def schema_disagreements(revisions: Sequence[str]) -> Iterator[str]:
    """A line where the schema is none of this release's `revisions`, which begin with the oldest;
    raises WrongSchema where there is none or it is older than this release needs."""
    with snapshot() as connection:
        has_one = sa.inspect(connection).has_table("alembic_version")
        revision = connection.execute(REVISION).scalar() if has_one else None
    if revision is None:
        raise WrongSchema("The database has no tables yet; `flask db upgrade` makes them.")
    if revision in revisions[:-1]:
        raise WrongSchema(
            f"The database's schema is {revision}, this release needs {revisions[-1]}; "
            "`flask db upgrade` makes it so."
        )
    if revision not in revisions:
        yield f"schema: {revision} is unknown to this release, whose latest is {revisions[-1]}"


def disagreements(counts: Counts, *, now: datetime | None = None) -> Iterator[str]:
    """Each disagreement in the database, as it is found; `counts` is what was checked so far."""
    for fault in file_faults():
        yield f"file: {fault}"
    yield from _missing_parents()
    last: int | None = None
    more = True
    while more:
        with snapshot() as connection:
            shows, more = _next_shows(connection, last, now)
            if shows:
                last = shows[-1].id
                yield from _Batch(connection, shows, counts).disagreements()
    yield from _answers_of_no_booking()


def _next_shows(
    connection: sa.Connection, last: int | None, now: datetime | None
) -> tuple[list[Row], bool]:
    """Some shows after the `last` one by id, with not too many seats in all, and whether there may
    be more. With each the present, which is after the moment of the snapshot: what has ended a
    hold that is seen in it was before the present."""
    query = sa.select(Show.id, Show.total_seats, NOW.label("now")).order_by(Show.id)
    if last is not None:
        query = query.where(Show.id > last)
    found = connection.execute(query.limit(SHOWS_AT_ONCE), {"now": now}).all()
    seats = accumulate(show.total_seats for show in found)
    shows = [
        show
        for number, (show, seats_so_far) in enumerate(zip(found, seats, strict=True))
        if number == 0 or seats_so_far <= SEATS_AT_ONCE
    ]
    return shows, len(shows) < len(found) or len(found) == SHOWS_AT_ONCE


class _Batch:
    """Some shows with all that is about them, in one snapshot."""

    def __init__(self, connection: sa.Connection, shows: Sequence[Row], counts: Counts) -> None:
        self.connection = connection
        self.shows = shows
        self.counts = counts
        self.present: datetime = shows[0].now
        self.params = {"shows": [show.id for show in shows]}
        self.seats: dict[Seat, Row] = {
            (seat.show_id, seat.label): seat for seat in connection.execute(SEATS, self.params)
        }
        # Seats with an owner on whose receipt they have not been found yet.
        self.unfounded = {
            key: seat.booking_id for key, seat in self.seats.items() if seat.booking_id is not None
        }
        self.promised: dict[Seat, str] = {}
        # Of each show: how many seats were sold, and for how much.
        self.receipts: dict[int, tuple[int, int]] = {show.id: (0, 0) for show in shows}

    def disagreements(self) -> Iterator[str]:
        for booking in self.connection.execute(BOOKINGS, self.params, execution_options=STREAMED):
            self.counts.bookings += 1
            yield from self._of_booking(booking)
        yield from self._of_unfounded()
        yield from self._of_sums()
        self.counts.shows += len(self.shows)
        self.counts.seats += len(self.seats)

    def _of_booking(self, booking: Row) -> Iterator[str]:
        name = _name(booking)
        receipt = _receipt(booking.receipt)
        if receipt is None:
            yield f"{name}: its receipt can't be read"
            return
        live = [line for line in receipt if not line.cancelled]
        total = sum(line.price_cents for line in live)
        if total != booking.total_cents:
            yield (
                f"{name}: its total is {booking.total_cents}, its seats cost {total} minor units"
            )
        for label, times in Counter(line.label for line in receipt).items():
            if times > 1:
                yield f"{name}: its receipt names seat {label} {times} times"
        if booking.status == HELD and booking.expires_at is None:
            yield f"{name}: is held, and has no end"
        if booking.status != HELD and booking.expires_at is not None:
            yield f"{name}: is {booking.status}, and ends at {iso(booking.expires_at)}"
        if booking.status == CANCELLED:
            return
        if not live:
            yield f"{name}: is {booking.status}, and has no seat"
        if booking.status == BOOKED:
            sold, takings = self.receipts[booking.show_id]
            self.receipts[booking.show_id] = (sold + len(live), takings + total)
        for line in live:
            yield from self._of_line(booking, name, line)

    def _of_line(self, booking: Row, name: str, line: Line) -> Iterator[str]:
        """Of a seat that the booking was promised. After the end of a hold it may be another's."""
        key = (booking.show_id, line.label)
        seat = self.seats.get(key)
        ended = booking.expires_at is not None and booking.expires_at <= self.present
        if not ended or booking.status == BOOKED:
            first = self.promised.setdefault(key, name)
            if first != name:
                yield f"seat {_label(key)}: promised to {first} and to {name}"
            if seat is None or seat.booking_id != booking.id:
                yield f"{name}: seat {_label(key)} {_whose(seat)}"
        if seat is None or seat.booking_id != booking.id:
            return
        self.unfounded.pop(key, None)
        end = booking.expires_at if booking.status == HELD else None
        if seat.held_until != end and (end is not None or booking.status == BOOKED):
            yield f"{name}: {_until(end)}, its seat {_label(key)} {_until(seat.held_until)}"
        if seat.price_cents != line.price_cents:
            paid = "no price" if seat.price_cents is None else seat.price_cents
            yield (
                f"{name}: seat {_label(key)} costs {line.price_cents} on its "
                f"receipt, {paid} in its row"
            )

    def _of_unfounded(self) -> Iterator[str]:
        """Of seats whose owner has no promise of them."""
        keys = sorted(self.unfounded)
        for start in range(0, len(keys), ROWS_AT_ONCE):
            some = keys[start : start + ROWS_AT_ONCE]
            owners = sa.select(*BOOKING).where(
                Booking.id.in_({self.unfounded[key] for key in some})
            )
            by_id = {owner.id: owner for owner in self.connection.execute(owners)}
            for key in some:
                seat = f"seat {_label(key)}"
                owner = by_id.get(self.unfounded[key])
                if owner is None:
                    yield f"{seat}: its owner, booking {self.unfounded[key]}, does not exist"
                elif owner.show_id != key[0]:
                    yield f"{seat}: its owner, {_name(owner)}, is of show {owner.show_id}"
                elif owner.status == CANCELLED:
                    yield f"{seat}: its owner, {_name(owner)}, is cancelled"
                else:
                    given_back = any(line.label == key[1] for line in _receipt(owner.receipt) or ())
                    why = "has given it back" if given_back else "does not have it on its receipt"
                    yield f"{seat}: its owner, {_name(owner)}, {why}"

    def _of_sums(self) -> Iterator[str]:
        added_up = self._by_show(ADDED_UP)
        kept = self._by_show(KEPT)
        for show in self.shows:
            own, sums = added_up.get(show.id, {}), kept.get(show.id, {})
            seats = sum(figures.seats for figures in own.values())
            if seats != show.total_seats:
                yield f"show {show.id}: total_seats is {show.total_seats}, it has {seats} seats"
            for category in sorted({*own, *sums} if sums else ()):
                there, here = sums.get(category, Figures()), own.get(category, Figures())
                if there != here:
                    yield (
                        f"show {show.id}: the sums kept of category {category!r} are {there}; "
                        f"those of its seats {here}"
                    )
            reported = [(figures.sold, figures.takings_cents) for figures in (sums or own).values()]
            report = (sum(sold for sold, _ in reported), sum(takings for _, takings in reported))
            if report != self.receipts[show.id]:
                yield (
                    f"show {show.id}: reports have {_sales(report)}, "
                    f"the receipts {_sales(self.receipts[show.id])}"
                )

    def _by_show(self, query: Query) -> dict[int, dict[str, Figures]]:
        """Figures by show and category."""
        found: dict[int, dict[str, Figures]] = {}
        for show_id, category, *figures in self.connection.execute(query, self.params):
            found.setdefault(show_id, {})[category] = Figures(*map(int, figures))
        return found


@cache
def _orphans() -> list[tuple[sa.ForeignKeyConstraint, Query]]:
    """For each foreign key the rows that it does not hold for: their keys, and what they refer to.
    Owners of seats are looked at with their shows."""
    orphans: list[tuple[sa.ForeignKeyConstraint, Query]] = []
    for table in db.metadata.sorted_tables:
        for constraint in sorted(table.foreign_key_constraints, key=lambda key: str(key.name)):
            if constraint.name == "fk_show_seat_booking_id":
                continue
            parent = constraint.referred_table.alias()
            same = (parent.c[key.column.name] == key.parent for key in constraint.elements)
            refers = (column.is_not(None) for column in constraint.columns)
            query = sa.select(*table.primary_key, *constraint.columns)
            orphans.append((constraint, query.where(*refers, sa.not_(sa.exists().where(*same)))))
    return orphans


def _missing_parents() -> Iterator[str]:
    with snapshot() as connection:
        found = connection.execute(sa.select(*(sa.exists(query) for _, query in _orphans()))).one()
        for (constraint, query), there_are in zip(_orphans(), found, strict=True):
            if not there_are:
                continue
            columns = constraint.column_keys
            for row in connection.execute(query, execution_options=STREAMED):
                values = [str(value) for value in row]
                key, reference = values[: -len(columns)], values[-len(columns) :]
                yield (
                    f"{constraint.table.name} {'/'.join(key)}: {'/'.join(columns)} "
                    f"{'/'.join(reference)} is no {constraint.referred_table.name}"
                )


def _answers_of_no_booking() -> Iterator[str]:
    """Answers kept for safe retries that give a booking which is not there."""
    keys = sa.select(IdempotencyKey.user_id, IdempotencyKey.key, IdempotencyKey.body)
    with snapshot() as connection:
        for part in connection.execute(keys, execution_options=STREAMED).partitions():
            yield from _of_answers(connection, part)


def _of_answers(connection: sa.Connection, answers: Sequence[Row]) -> Iterator[str]:
    given: list[tuple[str, int, str]] = []
    for answer in answers:
        name = f"Idempotency-Key {answer.key!r} of account {answer.user_id}"
        try:
            body = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            yield f"{name}: its answer can't be read"
            continue
        match body:
            case {"id": int(booking_id), "reference": str(reference), "show": int()}:
                given.append((name, booking_id, reference))
    wanted = {booking_id for _, booking_id, _ in given}
    query = sa.select(Booking.id, Booking.reference).where(Booking.id.in_(wanted))
    there = {(booking.id, booking.reference) for booking in connection.execute(query)}
    for name, booking_id, reference in given:
        if (booking_id, reference) not in there:
            yield f"{name}: its answer gives booking {booking_id} ({reference}), which is not there"


def _receipt(text: str) -> list[Line] | None:
    """The lines of a receipt, None where it is none."""
    try:
        lines = [
            Line(line["seat_number"], line["price_cents"], line["cancelled"])
            for line in orjson.loads(text)
        ]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return None
    types = {tuple(map(type, line)) for line in lines}
    return lines if types <= {(str, int, bool)} else None


def _name(booking: Row) -> str:
    return f"booking {booking.id} ({booking.reference})"


def _label(seat: Seat) -> str:
    """Show and label: `7/A5`."""
    return f"{seat[0]}/{seat[1]}"


def _whose(seat: Row | None) -> str:
    if seat is None:
        return "does not exist"
    return "is nobody's" if seat.booking_id is None else f"is booking {seat.booking_id}'s"


def _until(end: datetime | None) -> str:
    return "is booked" if end is None else f"is held until {iso(end)}"


def _sales(sales: tuple[int, int]) -> str:
    return f"{sales[0]} sold for {sales[1]} minor units"
