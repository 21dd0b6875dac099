"""Shows: what staff may make, change and delete.

Locks are taken in one order: film, show, screen, seats. Whoever changes a show holds its row
alone; whoever books holds it shared (`booking.service`), so a show stands still while a seat
of it is being sold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Required, TypedDict, Unpack

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.catalog import seat_plans, venues
from booking_app.catalog.cinema_clocks import business_day
from booking_app.catalog.models import Movie, Screen, Show, ShowSeat, is_free
from booking_app.catalog.show_queries import read_show
from booking_app.catalog.show_rules import (
    AUDITED,
    HasBookings,
    SeatsSold,
    ShowOverlap,
    check_ahead,
    check_prices,
    delete_shows,
    forget_sums,
    insert_seats,
    lock_seats,
    new_version,
    refuse_overlap,
)
from booking_app.core.database import NOW, Row, writes
from booking_app.core.errors import Invalid, NotFound
from booking_app.core.formats import iso

SHOWS_AT_ONCE = 200
SEATS_AT_ONCE = 100_000  # so that nobody else waits long for them to be written


class ShowTerms(TypedDict, total=False):
    """What a show is beside when it begins. Either a `screen` with a seat plan, which the show
    copies, or the short form: the seats are "1" to `total_seats`, and `screen_name` is found or
    made in the default cinema (itself made in `timezone` where there is none yet). `prices` are
    cents by category."""

    movie_id: Required[int]
    screen: int | None
    screen_name: str | None
    total_seats: int | None
    price_cents: int
    prices: Mapping[str, int] | None
    no_single_gaps: bool
    max_seats_per_account: int | None
    on_sale: bool
    timezone: str


@writes
def create_show(
    connection: sa.Connection,
    *,
    date_time: datetime,
    by: Actor = OPERATOR,
    now: datetime | None = None,
    **terms: Unpack[ShowTerms],
) -> sa.RowMapping:
    """Put a film on a screen; raises what `insert_show` raises."""
    show_id = insert_show(connection, date_time=date_time, by=by, now=now, **terms)
    own = _audited(connection, show_id)
    audit.record(connection, "show.created", by=by, object_id=show_id, after=own)
    return read_show(connection, show_id, now)


class ShowChanges(TypedDict, total=False):
    """Columns of a show that are changed as they are. Without `max_seats_per_account` there is no
    cap."""

    price_cents: int
    no_single_gaps: bool
    max_seats_per_account: int | None
    on_sale: bool


@dataclass(frozen=True)
class Planned:
    """A show of `create_shows`: the `error` is what is in its way, None where nothing is."""

    date_time: datetime
    error: str | None


class _Undo(Exception):
    """Ends a transaction whose work is not wanted."""

    def __init__(self, planned: list[Planned]) -> None:
        super().__init__()
        self.planned = planned


def create_shows(
    *,
    date_times: Sequence[datetime],
    dry_run: bool = False,
    by: Actor = OPERATOR,
    now: datetime | None = None,
    **terms: Unpack[ShowTerms],
) -> list[Planned]:
    """Put a film on a screen at each of these times.

    All of them or, where something is in the way of one, none, and each says what it is. A
    `dry_run` finds that out in the same way and writes nothing. Raises Invalid for too many, and
    what `insert_show` raises for the film and the screen.
    """
    if not 1 <= len(date_times) <= SHOWS_AT_ONCE:
        raise Invalid("date_times", f"1 to {SHOWS_AT_ONCE} shows can be made at once.")
    try:
        return _create_all(date_times=date_times, dry_run=dry_run, by=by, now=now, **terms)
    except _Undo as undone:
        return undone.planned


@writes
def _create_all(
    connection: sa.Connection,
    *,
    date_times: Sequence[datetime],
    dry_run: bool,
    by: Actor,
    now: datetime | None,
    **terms: Unpack[ShowTerms],
) -> list[Planned]:
    planned: list[Planned] = []
    made: dict[int, datetime] = {}
    _check_amount(connection, terms.get("screen"), len(date_times))
    for date_time in date_times:
        error = None
        try:
            # What is refused is refused before anything of it is written.
            show_id = insert_show(
                connection,
                date_time=date_time,
                with_seats=not dry_run,
                by=by,
                now=now,
                **terms,
            )
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
        raise _Undo(planned)
    for show_id in made:
        own = _audited(connection, show_id)
        audit.record(connection, "show.created", by=by, object_id=show_id, after=own)
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
    max_seats_per_account: int | None = None,
    on_sale: bool = True,
    timezone: str = "UTC",
    with_seats: bool = True,
    by: Actor = OPERATOR,
    now: datetime | None = None,
) -> int:
    """Put a film on a screen, on the terms that `ShowTerms` describes, within the caller's
    transaction; the id of the new show. Without its seats it is no show, and must be undone.

    Raises NotFound for the film, Invalid for a time that does not lie ahead, a screen that is
    not there or has no plan and a category that its plan does not have, and ShowOverlap.
    """
    # Shared, so that the running time stands still and shows of one film don't queue.
    duration = connection.execute(
        sa.select(Movie.duration_minutes).where(Movie.id == movie_id).with_for_update(read=True)
    ).scalar()
    if duration is None:
        raise NotFound("film", movie_id)
    check_ahead(connection, date_time, now)
    if screen is not None:
        place = venues.lock_screen(connection, screen)
        if place is None:
            raise Invalid("screen", f"There is no screen {screen}.")
        if not place.rows:
            raise Invalid("screen", "This screen has no seat plan; give it one, or total_seats.")
        seats = seat_plans.plan_seats(seat_plans.read_plan(place.rows))
    else:
        cinema_id = venues.default_cinema(connection, timezone, by)
        place = venues.lock_named_screen(
            connection, cinema_id=cinema_id, name=screen_name or "", by=by
        )
        seats = seat_plans.numbered_seats(1, total_seats or 0)
    check_prices(prices or {}, {seat.category for seat in seats})
    ends_at = date_time + timedelta(minutes=duration)
    refuse_overlap(connection, place.id, date_time, ends_at)
    show_id: int = connection.execute(
        sa.insert(Show)
        .values(
            movie_id=movie_id,
            screen_id=place.id,
            starts_at=date_time,
            ends_at=ends_at,
            local_date=business_day(connection, place.cinema_id, date_time),
            price_cents=price_cents,
            prices=dict(prices or {}),
            no_single_gaps=no_single_gaps,
            max_seats_per_account=max_seats_per_account,
            total_seats=len(seats),
            on_sale=on_sale,
            version=new_version(),
        )
        .returning(Show.id)
    ).scalar_one()
    if with_seats:
        insert_seats(connection, show_id, seats, out_of_order=place.out_of_order)
    return show_id


def _check_amount(connection: sa.Connection, screen: int | None, shows: int) -> None:
    """Raises Invalid for more seats than can be made at once."""
    rows = connection.execute(sa.select(Screen.rows).where(Screen.id == screen)).scalar() or ()
    seats = shows * seat_plans.count_seats(rows)
    if seats > SEATS_AT_ONCE:
        raise Invalid(
            "date_times",
            f"These shows have {seats} seats in all; at most {SEATS_AT_ONCE} can be made at once.",
        )


@writes
def update_show(
    connection: sa.Connection,
    *,
    show_id: int,
    date_time: datetime | None = None,
    screen_name: str | None = None,
    total_seats: int | None = None,
    prices: Mapping[str, int] | None = None,
    by: Actor = OPERATOR,
    now: datetime | None = None,
    **columns: Unpack[ShowChanges],
) -> sa.RowMapping:
    """Change a show; what is None or left out stays.

    Raises NotFound, Invalid for a time that does not lie ahead, an unknown category and a
    number of seats for a show whose screen has a plan, HasBookings where seats are sold and it
    would move, SeatsSold where a seat that would vanish is sold, and ShowOverlap.
    """
    show = _lock_show(connection, show_id)
    before = _audited(connection, show_id)
    changes: dict[str, Any] = {**columns}
    if prices is not None:
        check_prices(prices, _categories(connection, show_id))
        changes["prices"] = prices
    if date_time is not None or screen_name is not None:
        changes |= _move(connection, show, screen_name, date_time or show.starts_at, by, now)
    if total_seats is not None and total_seats != show.total_seats:
        _resize(connection, show, total_seats, now)
        changes["total_seats"] = total_seats
    if changes:
        changes["version"] = new_version()
        connection.execute(sa.update(Show).where(Show.id == show_id).values(**changes))
    after = _audited(connection, show_id)
    audit.record(connection, "show.changed", by=by, object_id=show_id, before=before, after=after)
    return read_show(connection, show_id, now)


@writes
def delete_show(connection: sa.Connection, *, show_id: int, by: Actor = OPERATOR) -> None:
    """Delete a show; raises NotFound, and HasBookings where it was ever booked."""
    if not delete_shows(connection, Show.id == show_id, "show", by):
        raise NotFound("show", show_id)


def _audited(connection: sa.Connection, show_id: int) -> sa.RowMapping:
    return connection.execute(sa.select(*AUDITED).where(Show.id == show_id)).mappings().one()


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
    lock_seats(connection, ShowSeat.show_id == show.id)
    sold = connection.execute(
        sa.select(ShowSeat.label)
        .where(ShowSeat.show_id == show.id, sa.not_(is_free(NOW)))
        .limit(1),
        {"now": now},
    ).first()
    if sold is not None:
        raise HasBookings(
            "Seats of this show are sold; it can't be moved. Withdraw it from sale instead."
        )
    check_ahead(connection, starts_at, now)
    ends_at = starts_at + timedelta(minutes=show.duration_minutes)
    refuse_overlap(connection, screen.id, starts_at, ends_at, but_show_id=show.id)
    forget_sums(connection, [show.id])
    return {
        "screen_id": screen.id,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "local_date": business_day(connection, screen.cinema_id, starts_at),
    }


def _resize(connection: sa.Connection, show: Row, total_seats: int, now: datetime | None) -> None:
    """Add seats after the last one, or take the last ones away where none of them is sold."""
    planned = sa.select(ShowSeat.label).where(ShowSeat.show_id == show.id, ShowSeat.row_label != "")
    if connection.execute(planned.limit(1)).first() is not None:
        raise Invalid("total_seats", "This show has the seats of its screen's plan.")
    forget_sums(connection, [show.id])
    if total_seats > show.total_seats:
        added = seat_plans.numbered_seats(show.total_seats + 1, total_seats)
        insert_seats(connection, show.id, added, first_position=show.total_seats + 1)
        return
    beyond = sa.and_(ShowSeat.show_id == show.id, ShowSeat.position > total_seats)
    lock_seats(connection, beyond)
    seats = connection.execute(
        sa.select(ShowSeat.label, sa.not_(is_free(NOW)).label("sold"))
        .where(beyond)
        .order_by(ShowSeat.position),
        {"now": now},
    ).all()
    sold = [seat.label for seat in seats if seat.sold]
    if sold:
        raise SeatsSold(
            f"{len(sold)} of the seats that would vanish are sold; keep at least those.", seats=sold
        )
    connection.execute(sa.delete(ShowSeat).where(beyond))


def _categories(connection: sa.Connection, show_id: int) -> set[str]:
    query = sa.select(ShowSeat.category).where(ShowSeat.show_id == show_id).distinct()
    return set(connection.execute(query).scalars())
