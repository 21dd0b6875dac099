"""Shows: what staff may make, change and delete.

Locks are taken in one order: film, show, screen, seats. Whoever changes a show holds its row
alone; whoever books holds it shared (`booking.service`), so a show stands still while a seat
of it is being sold.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Required, TypedDict, Unpack

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.catalog import currencies, plan_changes, screen_locks, seat_plans, venues
from booking_app.catalog.cinema_clocks import business_day
from booking_app.catalog.models import Movie, Screen, Show, ShowSeat, is_free
from booking_app.catalog.show_queries import read_show
from booking_app.catalog.show_rules import (
    HasBookings,
    SeatsSold,
    audited_shows,
    categories_of,
    check_ahead,
    check_prices,
    check_sale,
    delete_shows,
    forget_sums,
    insert_seats,
    lock_seats,
    minor_units,
    new_version,
    prices_in_minor_units,
    record_created,
    refuse_overlap,
    require_finished_upgrade,
    require_shows,
)
from booking_app.core.database import NOW, Row, fold, writes
from booking_app.core.editions import IfMatch
from booking_app.core.errors import Invalid, NotFound
from booking_app.core.formats import decimal_of

# What the release before does not know, and would sell or plan against.
NEW_RULES = {
    "preshow_minutes": "the time before the film",
    "intermission_minutes": "an intermission",
    "sales_from": "the begin of a sale",
    "sales_until": "the end of a sale",
}
KEYS = ("format", "language", "subtitles")  # what shows are filtered by, folded in `*_key`


class ShowChanges(TypedDict, total=False):
    """Columns of a show that are changed as they are. Without `max_seats_per_account` there is no
    cap; `sales_from` and `sales_until` are None where the show is on sale at once, and until it
    begins."""

    price: Decimal
    no_single_gaps: bool
    max_seats_per_account: int | None
    on_sale: bool
    format: str | None
    language: str | None
    subtitles: str | None
    note: str | None
    preshow_minutes: int
    intermission_minutes: int
    sales_from: datetime | None
    sales_until: datetime | None
    external_id: str | None


class ShowTerms(ShowChanges, total=False):
    """What a show is beside when it begins. Either a `screen`, whose seat plan the show copies (or
    `total_seats` where it has none), or the short form: the seats are "1" to `total_seats`, and
    `screen_name` is found or made in the default cinema (itself made in `timezone` where there is
    none yet). `prices` are by category. `currency` is that of cinemas that name none."""

    movie_id: Required[int]
    screen: int | None
    screen_name: str | None
    total_seats: int | None
    prices: Mapping[str, Decimal] | None
    timezone: str
    currency: str


@writes
def create_show(
    connection: sa.Connection,
    *,
    date_time: datetime,
    by: Actor = OPERATOR,
    now: datetime | None = None,
    **terms: Unpack[ShowTerms],
) -> dict[str, Any]:
    """Put a film on a screen; raises what `insert_show` raises."""
    show_id = insert_show(connection, date_time=date_time, by=by, now=now, **terms)
    record_created(connection, [show_id], by)
    return read_show(connection, show_id, now)


def insert_show(
    connection: sa.Connection,
    *,
    movie_id: int,
    date_time: datetime,
    screen: int | None = None,
    screen_name: str | None = None,
    cinema: int | None = None,
    total_seats: int | None = None,
    prices: Mapping[str, Decimal] | None = None,
    timezone: str = "UTC",
    currency: str = "EUR",
    with_seats: bool = True,
    by: Actor = OPERATOR,
    now: datetime | None = None,
    **columns: Unpack[ShowChanges],
) -> int:
    """Put a film on a screen, on the terms that `ShowTerms` describes, within the caller's
    transaction; the id of the new show. A `screen_name` is looked for in that `cinema`, or else in
    the default one, and made if it is not there. Without its seats it is no show, and must be
    undone.

    Raises NotFound for the film, Invalid for a time that does not lie ahead, a sale that can't
    be, a screen that is not there or has no plan and a category that its plan does not have,
    ShowOverlap, and UpgradeUnfinished for what the release before does not know.
    """
    # Shared, so that the running time stands still and shows of one film don't queue.
    duration = connection.execute(
        sa.select(Movie.duration_minutes).where(Movie.id == movie_id).with_for_update(read=True)
    ).scalar()
    if duration is None:
        raise NotFound("film", movie_id)
    check_ahead(connection, date_time, now)
    _refuse_new_rules(connection, columns)
    if screen is not None:
        place = _lock_screen(connection, screen)
        if place.rows:
            seats = seat_plans.plan_seats(seat_plans.read_plan(place.rows))
        elif total_seats is None:
            raise Invalid("screen", "This screen has no seat plan; give it one, or total_seats.")
        else:
            seats = seat_plans.numbered_seats(1, total_seats)
    else:
        if cinema is None:
            cinema = venues.default_cinema(connection, timezone, by)
        place = screen_locks.lock_named_screen(
            connection, cinema_id=cinema, name=screen_name or "", by=by
        )
        seats = seat_plans.numbered_seats(1, total_seats or 0)
    check_prices(prices or {}, {seat.category for seat in seats})
    ends_at = date_time + _lasts(duration, columns)
    check_sale(
        columns.get("sales_from"), columns.get("sales_until"), starts_at=date_time, ends_at=ends_at
    )
    refuse_overlap(connection, place.id, date_time, ends_at)
    sold_in = currencies.currency_of(connection, place.cinema_id) or currency
    terms = {"price": Decimal(0), "prices": prices or {}, "on_sale": True, **columns}
    show_id: int = connection.execute(
        sa.insert(Show)
        .values(
            movie_id=movie_id,
            screen_id=place.id,
            starts_at=date_time,
            ends_at=ends_at,
            local_date=business_day(connection, place.cinema_id, date_time),
            currency=sold_in,
            total_seats=len(seats),
            version=new_version(),
            **stored_terms(terms, sold_in),
        )
        .returning(Show.id)
    ).scalar_one()
    if with_seats:
        insert_seats(connection, show_id, seats, out_of_order=place.out_of_order)
    return show_id


@writes
def update_show(
    connection: sa.Connection,
    *,
    show_id: int,
    date_time: datetime | None = None,
    screen: int | None = None,
    screen_name: str | None = None,
    total_seats: int | None = None,
    prices: Mapping[str, Decimal] | None = None,
    currency: str = "EUR",
    if_match: IfMatch | None = None,
    by: Actor = OPERATOR,
    now: datetime | None = None,
    **columns: Unpack[ShowChanges],
) -> dict[str, Any]:
    """Change a show; what is left out stays. On another `screen`, or the one of its cinema that is
    called `screen_name`, it has the seats of that screen's plan. `currency` is that of cinemas that
    name none.

    Raises NotFound, ChangedMeanwhile, Invalid for a time that does not lie ahead, a sale that can't
    be, an unknown screen or category and a number of seats for a show whose screen has a plan,
    HasBookings where seats are sold or held and it would move, SeatsSold where a seat that would
    vanish is sold, ShowOverlap, and UpgradeUnfinished for what the release before does not know.
    """
    show = _lock_show(connection, show_id)
    require_shows(connection, [show_id], if_match)
    (before,) = audited_shows(connection, [show_id])
    _refuse_new_rules(connection, columns)
    terms = dict(columns) if prices is None else {"prices": prices, **columns}
    changes = stored_terms(terms, show.currency)
    place = _find_screen(connection, show, screen, screen_name)
    starts_at = date_time or show.starts_at
    if place.id != show.screen_id or starts_at != show.starts_at:
        _refuse_sold(connection, show_id, now)
        check_ahead(connection, starts_at, now)
        forget_sums(connection, [show_id])
        changes |= {
            "screen_id": place.id,
            "starts_at": starts_at,
            "local_date": business_day(connection, place.cinema_id, starts_at),
        }
    if place.cinema_id != show.cinema_id:
        _refuse_other_currency(connection, show, place.cinema_id, currency)
    if place.id != show.screen_id and (place.rows or _is_planned(connection, show_id)):
        kept = changes.get("prices", show.prices)
        _take_plan(connection, show_id, place, kept, total_seats)
    elif total_seats is not None and total_seats != show.total_seats:
        _resize(connection, show, total_seats, now)
        changes["total_seats"] = total_seats
    if prices is not None:
        check_prices(prices, categories_of(connection, [show_id])[show_id])
    after_columns = {**show._mapping, **changes}
    ends_at = starts_at + _lasts(show.duration_minutes, after_columns)
    if (place.id, starts_at, ends_at) != (show.screen_id, show.starts_at, show.ends_at):
        refuse_overlap(connection, place.id, starts_at, ends_at, but_show_id=show_id)
        changes["ends_at"] = ends_at
    if changes.keys() & {"sales_from", "sales_until", "starts_at", "ends_at"}:
        check_sale(
            after_columns["sales_from"],
            after_columns["sales_until"],
            starts_at=starts_at,
            ends_at=ends_at,
        )
    if changes:
        changes["version"] = new_version()
        connection.execute(sa.update(Show).where(Show.id == show_id).values(**changes))
    (after,) = audited_shows(connection, [show_id])
    audit.record(connection, "show.changed", by=by, object_id=show_id, before=before, after=after)
    return read_show(connection, show_id, now)


@writes
def delete_show(
    connection: sa.Connection,
    *,
    show_id: int,
    if_match: IfMatch | None = None,
    by: Actor = OPERATOR,
) -> None:
    """Delete a show; raises NotFound, ChangedMeanwhile, and HasBookings where it was ever
    booked."""
    connection.execute(sa.select(Show.id).where(Show.id == show_id).with_for_update()).all()
    require_shows(connection, [show_id], if_match)
    if not delete_shows(connection, Show.id == show_id, "show", by):
        raise NotFound("show", show_id)


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
            Show.ends_at,
            Show.total_seats,
            Show.prices,
            Show.currency,
            Show.preshow_minutes,
            Show.intermission_minutes,
            Show.sales_from,
            Show.sales_until,
            Movie.duration_minutes,
        )
        .join(Movie, Movie.id == Show.movie_id)
        .join(Screen, Screen.id == Show.screen_id)
        .where(Show.id == show_id)
    ).first()
    if show is None:
        raise NotFound("show", show_id)
    return show


def _lasts(duration_minutes: int, columns: Mapping[str, Any]) -> timedelta:
    """How long a show of the film lasts that has these columns."""
    pauses = columns.get("preshow_minutes", 0) + columns.get("intermission_minutes", 0)
    return timedelta(minutes=duration_minutes + pauses)


def prices_of(show: Mapping[Any, Any]) -> dict[str, Any]:
    """The `price` and `prices` of a show as `ShowTerms` has them, from its columns."""
    currency = show["currency"]
    return {
        "price": decimal_of(show["price_cents"], currency),
        "prices": {name: decimal_of(price, currency) for name, price in show["prices"].items()},
    }


def stored_terms(changes: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """The columns of `ShowChanges` and `prices`, amounts in minor units of the currency, and the
    folded ones beside them. Raises Invalid for amounts that the currency does not have."""
    columns = dict(changes)
    if "price" in columns:
        columns["price_cents"] = minor_units("price", columns.pop("price"), currency)
    if "prices" in columns:
        columns["prices"] = prices_in_minor_units(columns["prices"], currency)
    for name in KEYS:
        if name in columns:
            columns[f"{name}_key"] = columns[name] and fold(columns[name])
    return columns


def _refuse_other_currency(
    connection: sa.Connection, show: Row, cinema_id: int, currency: str
) -> None:
    """Raises Invalid for a screen where the show's prices would mean something else."""
    there = currencies.currency_of(connection, cinema_id) or currency
    if there != show.currency:
        raise Invalid(
            "screen",
            f"That cinema sells in {there}, and this show in {show.currency}; make a new one.",
        )


def _refuse_new_rules(connection: sa.Connection, columns: Mapping[str, Any]) -> None:
    """Raises UpgradeUnfinished for what the release before does not know."""
    for name, what in NEW_RULES.items():
        if columns.get(name):
            require_finished_upgrade(connection, what)


def _lock_screen(connection: sa.Connection, screen_id: int) -> Row:
    screen = screen_locks.lock_screen(connection, screen_id)
    if screen is None:
        raise Invalid("screen", f"There is no screen {screen_id}.")
    return screen


def _find_screen(
    connection: sa.Connection, show: Row, screen: int | None, screen_name: str | None
) -> Row:
    """The screen that the show is to be on, its row locked; raises Invalid."""
    if screen_name is not None:
        return screen_locks.lock_known_screen(
            connection, cinema_id=show.cinema_id, name=screen_name
        )
    return _lock_screen(connection, show.screen_id if screen is None else screen)


def _refuse_sold(connection: sa.Connection, show_id: int, now: datetime | None) -> None:
    if sold := plan_changes.sold_or_held(connection, [show_id], now):
        raise HasBookings(
            f"{len(sold[show_id])} seats of this show are sold or held; it can't be moved. "
            "Withdraw it from sale instead."
        )


def _take_plan(
    connection: sa.Connection,
    show_id: int,
    place: Row,
    prices: Mapping[str, int],
    total_seats: int | None,
) -> None:
    """Give the show, of which no seat is sold, the seats of the screen's plan; where that has
    none, "1" to `total_seats`."""
    if place.rows:
        if total_seats is not None:
            raise Invalid("total_seats", "The seats are those of the screen's plan; leave it out.")
        room = plan_changes.Room.of_screen(place)
    elif total_seats is None:
        message = "The screen has no seat plan; give the number of seats."
        raise Invalid("total_seats", message, kind="required")
    else:
        seats = seat_plans.numbered_seats(1, total_seats)
        room = plan_changes.Room(seats, frozenset(), {})
    plan_changes.replace_seats(connection, show_id, room, prices=prices)


def _is_planned(connection: sa.Connection, show_id: int) -> bool:
    """Whether the show's seats are those of a plan, which have rows."""
    planned = sa.select(ShowSeat.label).where(ShowSeat.show_id == show_id, ShowSeat.row_label != "")
    return connection.execute(planned.limit(1)).first() is not None


def _resize(connection: sa.Connection, show: Row, total_seats: int, now: datetime | None) -> None:
    """Add seats after the last one, or take the last ones away where none of them is sold."""
    if _is_planned(connection, show.id):
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
