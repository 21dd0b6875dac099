"""Cinemas and screens: what staff may change of them, and finding them for a show."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.catalog import blocked_seats, currencies, plan_changes, seat_plans
from booking_app.catalog.cinema_clocks import follow_clocks
from booking_app.catalog.models import MIDNIGHT, Cinema, Screen
from booking_app.catalog.plan_changes import Room
from booking_app.catalog.screen_plans import check_readable, in_order, read_rows
from booking_app.catalog.seat_plans import PlanRow
from booking_app.catalog.show_rules import require_finished_upgrade
from booking_app.catalog.venue_rows import (
    CINEMA,
    SCREEN,
    ScreenDetails,
    cinema_edition,
    read_cinema,
    read_screen,
    screen_details,
    screen_edition,
)
from booking_app.core.database import (
    Undo,
    fold,
    insert_or_ignore,
    reading,
    writes,
)
from booking_app.core.editions import IfMatch, require
from booking_app.core.errors import Conflict, Invalid
from booking_app.core.paging import Page, fetch_page, listing
from booking_app.core.violations import refusing

DEFAULT_CINEMA = "Main cinema"


class NameTaken(Conflict):
    code = "name_taken"


class InUse(Conflict):
    code = "in_use"


class CinemaChanges(TypedDict, total=False):
    """What can be changed of a cinema."""

    name: str
    city: str | None
    timezone: str
    day_starts_at: str
    currency: str | None
    external_id: str | None


# --- cinemas --------------------------------------------------------------------------------


def list_cinemas(*, page: int, page_size: int) -> Page:
    """Cinemas by name and id."""
    query = sa.select(*CINEMA).order_by(Cinema.name_key, Cinema.id)
    with reading() as connection:
        return fetch_page(connection, listing(query), page=page, page_size=page_size)


def get_cinema(*, cinema_id: int) -> sa.RowMapping:
    """One cinema; raises NotFound."""
    with reading() as connection:
        return read_cinema(connection, cinema_id)


@writes
def create_cinema(
    connection: sa.Connection,
    *,
    name: str,
    timezone: str,
    city: str | None = None,
    day_starts_at: str = MIDNIGHT,
    currency: str | None = None,
    by: Actor = OPERATOR,
) -> sa.RowMapping:
    """Add a cinema in an IANA time zone, which sells in an ISO 4217 currency (None: the setting
    CURRENCY); raises NameTaken and UpgradeUnfinished."""
    cinema = insert_cinema(
        connection,
        name=name,
        timezone=timezone,
        city=city,
        day_starts_at=day_starts_at,
        currency=currency,
    )
    audit.record(connection, "cinema.created", by=by, object_id=cinema["id"], after=cinema)
    return cinema


def insert_cinema(
    connection: sa.Connection,
    *,
    name: str,
    timezone: str,
    city: str | None = None,
    day_starts_at: str = MIDNIGHT,
    currency: str | None = None,
    external_id: str | None = None,
) -> sa.RowMapping:
    """Add a cinema within the caller's transaction; raises NameTaken and UpgradeUnfinished."""
    _check_day(connection, day_starts_at)
    currencies.check_upgrade(connection, currency)
    values = {"name": name, "name_key": fold(name), "city": city, "timezone": timezone}
    values |= {
        "day_starts_at": day_starts_at,
        "currency": currency,
        "external_id": external_id,
    }
    insert = sa.insert(Cinema).values(**values, is_default=False).returning(*CINEMA)
    with refusing(uq_cinema_name_key=_name_taken(name)):
        return connection.execute(insert).mappings().one()


@writes
def update_cinema(
    connection: sa.Connection,
    *,
    cinema_id: int,
    if_match: IfMatch | None = None,
    by: Actor = OPERATOR,
    now: datetime | None = None,
    **changes: Unpack[CinemaChanges],
) -> sa.RowMapping:
    """Change a cinema; in a new time zone its shows to come keep their local times.

    Raises NotFound, ChangedMeanwhile, NameTaken, InUse for another currency while shows lie ahead,
    UpgradeUnfinished and what `follow_clocks` raises.
    """
    # While the row is locked, no screen is added.
    before = read_cinema(connection, cinema_id, lock=True)
    require(if_match, cinema_edition(before), "cinema")
    _check_day(connection, changes.get("day_starts_at", MIDNIGHT))
    if changes.get("currency", before["currency"]) != before["currency"]:
        currencies.check_upgrade(connection, changes["currency"])
    if changes:
        keys = {"name_key": fold(changes["name"])} if "name" in changes else {}
        change = sa.update(Cinema).where(Cinema.id == cinema_id).values(**changes, **keys)
        with refusing(uq_cinema_name_key=_name_taken(changes.get("name"))):
            connection.execute(change)
    after = read_cinema(connection, cinema_id)
    clocks = ("timezone", "day_starts_at")
    if any(after[name] != before[name] for name in clocks):
        follow_clocks(connection, before=before, after=after, now=now)
    # After the clocks, whose change locks shows before screens.
    if after["currency"] != before["currency"] and currencies.sells_otherwise(
        connection, cinema_id, after["currency"], now
    ):
        raise InUse("Shows to come are sold in another currency; delete them first.")
    audit.record(
        connection, "cinema.changed", by=by, object_id=cinema_id, before=before, after=after
    )
    return after


@writes
def delete_cinema(
    connection: sa.Connection,
    *,
    cinema_id: int,
    if_match: IfMatch | None = None,
    by: Actor = OPERATOR,
) -> None:
    """Delete a cinema; raises NotFound, ChangedMeanwhile, and InUse for the default one and one
    with screens."""
    before = read_cinema(connection, cinema_id, lock=True)
    require(if_match, cinema_edition(before), "cinema")
    if before["is_default"]:
        raise InUse("This is the default cinema, for what names none; it stays.")
    with refusing(fk_screen_cinema_id=InUse("This cinema has screens; delete them first.")):
        connection.execute(sa.delete(Cinema).where(Cinema.id == cinema_id))
    audit.record(connection, "cinema.deleted", by=by, object_id=cinema_id, before=before)


def default_cinema(connection: sa.Connection, timezone: str, by: Actor) -> int:
    """The id of the cinema for what names none, made in that time zone where there is none yet."""
    query = sa.select(Cinema.id).where(Cinema.is_default)
    found: int | None = connection.execute(query).scalar()
    if found is not None:
        return found
    is_new = insert_or_ignore(
        connection,
        Cinema,
        name=DEFAULT_CINEMA,
        name_key=fold(DEFAULT_CINEMA),
        timezone=timezone,
        is_default=True,
    )
    made: int | None = connection.execute(query).scalar()
    if made is None:
        # Staff have given that name to a cinema of their own: it becomes the default.
        named = sa.select(Cinema.id).where(Cinema.name_key == fold(DEFAULT_CINEMA))
        made = int(connection.execute(named).scalar_one())
        make_default(connection, made, by)
    elif is_new:
        after = read_cinema(connection, made)
        audit.record(connection, "cinema.created", by=by, object_id=made, after=after)
    return made


def make_default(connection: sa.Connection, cinema_id: int, by: Actor) -> None:
    """Make the cinema the one for what names none, where there is none yet."""
    connection.execute(sa.update(Cinema).where(Cinema.id == cinema_id).values(is_default=True))
    audit.record(
        connection,
        "cinema.changed",
        by=by,
        object_id=cinema_id,
        before={"is_default": False},
        after={"is_default": True},
    )


def _check_day(connection: sa.Connection, day_starts_at: str) -> None:
    if day_starts_at != MIDNIGHT:
        require_finished_upgrade(connection, "a business day that starts later than midnight")


# --- screens --------------------------------------------------------------------------------


def list_screens(*, page: int, page_size: int, cinema: int | None = None) -> Page:
    """Screens by name and id, with their seat plans."""
    query = sa.select(*SCREEN).order_by(Screen.name_key, Screen.id)
    if cinema is not None:
        query = query.where(Screen.cinema_id == cinema)
    with reading() as connection:
        screens = fetch_page(connection, listing(query), page=page, page_size=page_size)
    return screens.map(screen_details)


def get_screen(*, screen_id: int) -> ScreenDetails:
    """One screen with its seat plan; raises NotFound."""
    with reading() as connection:
        return screen_details(read_screen(connection, screen_id))


@writes
def create_screen(
    connection: sa.Connection,
    *,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    out_of_order: Sequence[str] = (),
    turnaround_minutes: int = 0,
    cinema: int | None = None,
    timezone: str = "UTC",
    by: Actor = OPERATOR,
) -> ScreenDetails:
    """Add a screen to a cinema, the default one if left out (made in `timezone` if need be).

    Raises Invalid for a plan that can't be (`rows`, by the row's index), seats `out_of_order` that
    it does not have and an unknown cinema, PairSplit for one seat of a pair, UpgradeUnfinished for
    what the release before can't read, and NameTaken.
    """
    plan = read_rows(rows)
    cinema_id = default_cinema(connection, timezone, by) if cinema is None else cinema
    screen_id = insert_screen(connection, cinema_id, name, plan, out_of_order, turnaround_minutes)
    screen = read_screen(connection, screen_id)
    audit.record(connection, "screen.created", by=by, object_id=screen["id"], after=screen)
    return screen_details(screen)


def insert_screen(
    connection: sa.Connection,
    cinema_id: int,
    name: str,
    plan: Sequence[PlanRow],
    out_of_order: Sequence[str] = (),
    turnaround_minutes: int = 0,
    external_id: str | None = None,
) -> int:
    """Add a screen within the caller's transaction; its id. Raises what `create_screen` raises."""
    check_readable(connection, plan)
    _check_turnaround(connection, turnaround_minutes)
    values: dict[str, Any] = {
        "cinema_id": cinema_id,
        "name": name,
        "name_key": fold(name),
        "out_of_order": in_order(connection, plan, out_of_order),
        "turnaround_minutes": turnaround_minutes,
        "external_id": external_id,
    }
    insert = sa.insert(Screen).values(**values, rows=seat_plans.stored_plan(plan))
    with refusing(
        fk_screen_cinema_id=Invalid("cinema", f"There is no cinema {cinema_id}."),
        uq_screen_cinema_id_name_key=_name_taken(name),
    ):
        return int(connection.execute(insert.returning(Screen.id)).scalar_one())


@writes
def update_screen(
    connection: sa.Connection,
    *,
    screen_id: int,
    name: str | None = None,
    rows: Sequence[Mapping[str, Any]] | None = None,
    out_of_order: Sequence[str] | None = None,
    turnaround_minutes: int | None = None,
    external_id: str | None = None,
    apply_to_unsold_shows: bool = False,
    dry_run: bool = False,
    if_match: IfMatch | None = None,
    by: Actor = OPERATOR,
    now: datetime | None = None,
) -> ScreenDetails:
    """Change a screen's name, plan, seats out of order, external id or the minutes between its
    shows, which count where shows are made or moved from now on; what is None stays. Shows keep the
    plan they copied, but `apply_to_unsold_shows` gives it to the shows to come without sold or held
    seats. Seats that are said to be out of order are blocked in all shows to come where they are
    free, and the others are `still_sold`. A `dry_run` answers the same and writes nothing.

    Raises NotFound, ChangedMeanwhile and what `create_screen` raises, and Invalid for a plan to
    apply that is none.
    """
    changes: dict[str, Any] = {}
    if external_id is not None:
        changes["external_id"] = external_id
    if name is not None:
        changes |= {"name": name, "name_key": fold(name)}
    if turnaround_minutes is not None:
        changes["turnaround_minutes"] = turnaround_minutes
    if rows is not None:
        plan = read_rows(rows)
        changes["rows"] = seat_plans.stored_plan(plan)
    if out_of_order is not None or apply_to_unsold_shows:  # shows before screens, as who moves one
        blocked_seats.lock_coming_shows(connection, screen_id, now)
    before = read_screen(connection, screen_id, lock=True)
    require(if_match, screen_edition(screen_details(before)), "screen")
    _check_turnaround(connection, turnaround_minutes or 0)
    if rows is not None and changes["rows"] != before["rows"]:
        check_readable(connection, plan)
    if rows is None:
        plan = seat_plans.read_plan(before["rows"])
    if rows is not None or out_of_order is not None:
        wanted = before["out_of_order"] if out_of_order is None else out_of_order
        changes["out_of_order"] = in_order(connection, plan, wanted)
    if changes:
        change = sa.update(Screen).where(Screen.id == screen_id).values(**changes)
        with refusing(uq_screen_cinema_id_name_key=_name_taken(name)):
            connection.execute(change)
    after = read_screen(connection, screen_id)
    audit.record(
        connection, "screen.changed", by=by, object_id=screen_id, before=before, after=after
    )
    screen = screen_details(after)
    if apply_to_unsold_shows:
        applied = plan_changes.apply_plan(
            connection,
            screen_id=screen_id,
            room=Room.of_plan(screen.rows, screen.out_of_order),
            out_of_order_before=before["out_of_order"],
            by=by,
            now=now,
            dry_run=dry_run,
        )
        screen = replace(
            screen, shows_changed=tuple(applied.changed), shows_kept=tuple(applied.kept)
        )
    was, is_ = set(before["out_of_order"]), set(after["out_of_order"])
    if out_of_order is not None and was | is_:
        sold = blocked_seats.move_out_of_order(
            connection, screen_id=screen_id, out_of_order=is_, removed=was - is_, now=now
        )
        screen = replace(screen, still_sold=tuple(sold))
    if dry_run:
        raise Undo(replace(screen, kept_edition=screen_edition(screen_details(before))))
    return screen


@writes
def delete_screen(
    connection: sa.Connection,
    *,
    screen_id: int,
    if_match: IfMatch | None = None,
    by: Actor = OPERATOR,
) -> None:
    """Delete a screen; raises NotFound, ChangedMeanwhile, and InUse where it has shows, past ones
    too."""
    before = read_screen(connection, screen_id, lock=True)
    require(if_match, screen_edition(screen_details(before)), "screen")
    with refusing(fk_show_screen_id=InUse("This screen has shows, past ones counted; it stays.")):
        connection.execute(sa.delete(Screen).where(Screen.id == screen_id))
    audit.record(connection, "screen.deleted", by=by, object_id=screen_id, before=before)


def _check_turnaround(connection: sa.Connection, minutes: int) -> None:
    if minutes:
        require_finished_upgrade(connection, "the minutes between shows")


def _name_taken(name: str | None) -> NameTaken:
    return NameTaken(f"The name {name!r} is taken; choose another.")
