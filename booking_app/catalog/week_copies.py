"""Copying the shows of a week to a later one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from booking_app.audit.service import OPERATOR, Actor
from booking_app.catalog import currencies
from booking_app.catalog.many_shows import SEATS_AT_ONCE
from booking_app.catalog.models import Cinema, Movie, Screen, Show, with_places
from booking_app.catalog.show_rules import ShowOverlap, record_created
from booking_app.catalog.shows import ShowChanges, insert_show, prices_of
from booking_app.catalog.times import NoSuchTime, instant
from booking_app.core.database import Row, Undo, writes
from booking_app.core.errors import DomainError, Invalid, NotFound
from booking_app.core.formats import iso

DAYS = 7
COPIES_AT_ONCE = 500

KEPT = [name for name in ShowChanges.__annotations__ if name not in ("price", "external_id")]
# A show, with what its copy has as well.
COPIED = (
    Show.id,
    Show.movie_id,
    Show.screen_id,
    Show.starts_at,
    Show.total_seats,
    Show.prices,
    Movie.title,
    Screen.name.label("screen_name"),
    Show.currency,
    Show.price_cents,
    Screen.cinema_id,
    *(getattr(Show, name) for name in KEPT),
)


@dataclass(frozen=True, slots=True)
class CopiedShow:
    """A show of the week that is copied, and when its copy begins: `local` by the clocks of its
    cinema, `date_time` where they show that time. The `error` is what is in its way."""

    show_id: int
    movie_title: str
    screen_name: str
    local: datetime
    date_time: datetime | None
    error: str | None


@writes
def copy_week(
    connection: sa.Connection,
    *,
    cinema_id: int,
    first_day: date,
    to_first_day: date,
    screen: int | None = None,
    only: Collection[int] | None = None,
    currency: str = "EUR",
    dry_run: bool = False,
    by: Actor = OPERATOR,
    now: datetime | None = None,
) -> list[CopiedShow]:
    """Copy the shows of the seven business days from `first_day` in a cinema, or on one `screen` of
    it, to those from `to_first_day`: the same terms at the same local times, with the seats of the
    screens' plans. Shows that are withdrawn from sale are left out.

    All of them, or those of `only`; where something is in the way of one, none, and each says what
    it is. `currency` is that of a cinema that names none. A `dry_run` finds that out in the same
    way and writes nothing. Raises NotFound for the cinema, and Invalid for another cinema's screen,
    another weekday, an earlier week and too many shows.
    """
    days = (to_first_day - first_day).days
    if days <= 0 or days % DAYS:
        raise Invalid("to_first_day", "Must be the same weekday in a later week.")
    zone = connection.execute(sa.select(Cinema.timezone).where(Cinema.id == cinema_id)).scalar()
    if zone is None:
        raise NotFound("cinema", cinema_id)
    of_week = [
        Screen.cinema_id == cinema_id,
        Show.local_date >= first_day,
        Show.local_date < first_day + timedelta(days=DAYS),
        Show.on_sale,
    ]
    if screen is not None:
        of_cinema = sa.select(Screen.id).where(Screen.id == screen, Screen.cinema_id == cinema_id)
        if connection.execute(of_cinema).first() is None:
            raise Invalid("screen", "There is no such screen in this cinema.")
        of_week.append(Show.screen_id == screen)
    query = with_places(sa.select(*COPIED)).where(*of_week)
    if only is not None:
        query = query.where(Show.id.in_(only))
    shows = connection.execute(query.order_by(Show.starts_at, Show.id)).all()
    _lock_places(connection, shows)
    copies: list[CopiedShow] = []
    made: dict[int, str] = {}
    for show in shows:
        local = _later(show.starts_at, zone, days)
        date_time, error = None, None
        try:
            date_time = instant(local, zone)
            show_id = _copy(connection, show, date_time, zone, days, currency, not dry_run, by, now)
            made[show_id] = f"{show.title} at {iso(date_time)}"
        except NoSuchTime as missing:
            error = str(missing)
        except ShowOverlap as overlap:
            other = made.get(overlap.facts["show"])
            error = f"Overlaps the copy of {other}." if other else overlap.detail
        except DomainError as refused:
            error = refused.detail
        copies.append(CopiedShow(show.id, show.title, show.screen_name, local, date_time, error))
    if dry_run or any(copy.error for copy in copies):
        raise Undo(copies)
    record_created(connection, made, by)
    return copies


def _lock_places(connection: sa.Connection, shows: Sequence[Row]) -> None:
    """Lock the films of the shows, then their screens, before `insert_show` takes them one by one
    in another order. Raises Invalid for too many shows or seats."""
    seats = sum(show.total_seats for show in shows)
    if len(shows) > COPIES_AT_ONCE or seats > SEATS_AT_ONCE:
        raise Invalid(
            "first_day",
            f"These are {len(shows)} shows with {seats} seats; at most {COPIES_AT_ONCE} with "
            f"{SEATS_AT_ONCE} can be copied at once. Copy one screen after the other.",
        )
    films = sa.select(Movie.id).where(Movie.id.in_({show.movie_id for show in shows}))
    connection.execute(films.order_by(Movie.id).with_for_update(read=True)).all()
    screens = sa.select(Screen.id).where(Screen.id.in_({show.screen_id for show in shows}))
    connection.execute(screens.order_by(Screen.id).with_for_update()).all()


def _copy(
    connection: sa.Connection,
    show: Row,
    date_time: datetime,
    zone: str,
    days: int,
    currency: str,
    with_seats: bool,
    by: Actor,
    now: datetime | None,
) -> int:
    """The id of a copy of the show that begins then; raises what `insert_show` raises."""
    sells_in = currencies.currency_of(connection, show.cinema_id) or currency
    if sells_in != show.currency:
        raise Invalid("screen", f"It is sold in {show.currency}, and the cinema now in {sells_in}.")
    terms: dict[str, Any] = {name: getattr(show, name) for name in KEPT}
    terms |= prices_of(show._mapping)
    terms |= {"screen": show.screen_id, "total_seats": show.total_seats}
    for name in ("sales_from", "sales_until"):
        if terms[name] is not None:
            terms[name] = _moment(_later(terms[name], zone, days), zone)
    return insert_show(
        connection,
        movie_id=show.movie_id,
        date_time=date_time,
        currency=currency,
        with_seats=with_seats,
        by=by,
        now=now,
        **terms,
    )


def _later(moment: datetime, zone: str, days: int) -> datetime:
    """The local time of an instant, so many days later."""
    local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    return local + timedelta(days=days)


def _moment(local: datetime, zone: str) -> datetime:
    """The instant of a local time, or when the clocks go forward over it."""
    try:
        return instant(local, zone)
    except NoSuchTime as missing:
        return missing.moment
