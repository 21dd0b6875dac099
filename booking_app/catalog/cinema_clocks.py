"""How shows follow the clocks of their cinema: its time zone, and when its business day starts.

The clocks are read and changed with the rows of the cinema's screens locked, so no show is put on
a screen by clocks that hold no more.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from booking_app.catalog import times
from booking_app.catalog.models import MIDNIGHT, Cinema, Screen, Show, ShowSeat, is_free
from booking_app.catalog.show_rules import (
    HasBookings,
    ShowOverlap,
    lock_seats,
    new_version,
    refuse_overlap,
)
from booking_app.core.database import NOW, Row, reading
from booking_app.core.errors import Invalid
from booking_app.core.formats import iso

# Of a show that moves, the times that stay what they are by the clocks; its end follows its start.
KEPT = ("starts_at", "sales_from", "sales_until")
# While shows are moved, they all wait this far back, off everything else on their screens, and are
# put to their new times one after the other: no two of a screen may begin at once.
ASIDE = timedelta(days=365 * 400)


def business_day(connection: sa.Connection, cinema_id: int, moment: datetime) -> date:
    """The day that the cinema counts this instant to. One of its screens is locked."""
    query = sa.select(Cinema.timezone, Cinema.day_starts_at).where(Cinema.id == cinema_id)
    timezone, day_starts_at = connection.execute(query).one()
    return times.business_day(moment, timezone, day_starts_at)


def today(*, timezone: str, now: datetime | None = None) -> date:
    """The present business day of the default cinema; the date in that time zone where there is
    no such cinema yet."""
    query = sa.select(Cinema.timezone, Cinema.day_starts_at).where(Cinema.is_default)
    with reading() as connection:
        zone, day_starts_at = connection.execute(query).first() or (timezone, MIDNIGHT)
        present = connection.execute(sa.select(NOW), {"now": now}).scalar_one()
    return times.business_day(present, zone, day_starts_at)


def follow_clocks(
    connection: sa.Connection,
    *,
    before: Mapping[Any, Any],
    after: Mapping[Any, Any],
    now: datetime | None = None,
) -> None:
    """Let the shows of a cinema follow a change of its row, which is locked.

    In a new time zone the shows to come keep their local times; those that have begun keep their
    instants and days. A new start of the business day counts for all of them.

    Raises HasBookings where seats of shows to come are sold or held, Invalid for a local time that
    the new time zone does not have, and ShowOverlap.
    """
    moves = after["timezone"] != before["timezone"]
    shows = _lock_shows(connection, after["id"], alone=moves, now=now)
    if moves:
        coming = [show for show in shows if show.to_come]
        shows = [show for show in shows if not show.to_come]
        _refuse_sold(connection, coming, now)
        _move(connection, coming, before["timezone"], after, now)
    if after["day_starts_at"] != before["day_starts_at"]:
        days = {
            show.id: times.business_day(show.starts_at, before["timezone"], after["day_starts_at"])
            for show in shows
        }
        changed = [show.id for show in shows if show.local_date != days[show.id]]
        _update(connection, [{"show_id": id_, "local_date": days[id_]} for id_ in changed])


def _lock_shows(
    connection: sa.Connection, cinema_id: int, *, alone: bool, now: datetime | None
) -> Sequence[Row]:
    """The shows of the cinema with their rows locked, by id. Whoever books holds a show's row
    shared, and waits for this only where it is locked `alone`."""
    # Shows before screens, as whoever moves one. What a show says is read after that.
    of_cinema = Screen.cinema_id == cinema_id
    screens = sa.select(Screen.id).where(of_cinema)
    there = sa.select(Show.id).where(Show.screen_id.in_(screens)).order_by(Show.id)
    connection.execute(there.with_for_update(key_share=not alone)).all()
    connection.execute(screens.order_by(Screen.id).with_for_update()).all()
    # Also those that were put there while the screens were waited for.
    connection.execute(there.with_for_update(key_share=not alone)).all()
    shows = (
        sa.select(
            Show.id,
            Show.screen_id,
            Show.starts_at,
            Show.ends_at,
            Show.sales_from,
            Show.sales_until,
            Show.local_date,
            (Show.starts_at > NOW).label("to_come"),
        )
        .join(Screen, Screen.id == Show.screen_id)
        .where(of_cinema)
        .order_by(Show.id)
    )
    return connection.execute(shows, {"now": now}).all()


def _refuse_sold(connection: sa.Connection, shows: Sequence[Row], now: datetime | None) -> None:
    """Raises HasBookings where seats of the shows are sold or held. The shows are locked."""
    if not shows:
        return
    owned = sa.and_(
        ShowSeat.show_id.in_(
            sa.select(Show.id).where(
                Show.screen_id.in_({show.screen_id for show in shows}),
                Show.starts_at >= min(show.starts_at for show in shows),
            )
        ),
        ShowSeat.booking_id.is_not(None),
    )
    lock_seats(connection, owned)
    sold = connection.execute(
        sa.select(Show.id, Show.starts_at)
        .join(ShowSeat, ShowSeat.show_id == Show.id)
        .where(owned, sa.not_(is_free(NOW)))
        .distinct()
        .order_by(Show.starts_at, Show.id),
        {"now": now},
    ).all()
    if sold:
        raise HasBookings(
            f"Shows to come with seats that are sold or held: {len(sold)}, first show {sold[0].id} "
            f"at {iso(sold[0].starts_at)}. In another time zone they would begin at another time "
            "than people were told. Cancel those bookings first, or wait until the shows are over."
        )


def _move(
    connection: sa.Connection,
    shows: Sequence[Row],
    old: str,
    cinema: Mapping[Any, Any],
    now: datetime | None,
) -> None:
    """Move the shows, which are locked and unsold, from the old time zone to the cinema's. Raises
    Invalid and ShowOverlap."""
    changes = [{"show_id": show.id, **_moved(show, old, cinema)} for show in shows]
    present = connection.execute(sa.select(NOW), {"now": now}).scalar_one()
    for change in changes:
        if change["starts_at"] <= present:
            begun = f"Show {change['show_id']} would have begun already. Delete or move it first."
            raise Invalid("timezone", begun)
    _update(
        connection,
        [
            {
                "show_id": show.id,
                "starts_at": show.starts_at - ASIDE,
                "ends_at": show.ends_at - ASIDE,
            }
            for show in shows
        ],
    )
    for show, change in zip(shows, changes, strict=True):
        starts_at, ends_at = change["starts_at"], change["ends_at"]
        try:
            refuse_overlap(connection, show.screen_id, starts_at, ends_at, but_show_id=show.id)
        except ShowOverlap as error:
            raise ShowOverlap(
                f"In the time zone {cinema['timezone']}, show {show.id} would run from "
                f"{iso(starts_at)} to {iso(ends_at)}. {error.detail} Move one of them first.",
                **error.facts,
            ) from error
        _update(connection, [change])


def _moved(show: Row, old: str, cinema: Mapping[Any, Any]) -> dict[str, Any]:
    """The columns of the show that follow its cinema to a new time zone. Raises Invalid."""
    new = cinema["timezone"]
    kept = {name: getattr(show, name) for name in KEPT}
    try:
        kept = {
            name: moment and times.moved_to_zone(moment, old, new) for name, moment in kept.items()
        }
    except times.NoSuchTime as error:
        message = f"Show {show.id} can't keep its local time. {error} Change the show first."
        raise Invalid("timezone", message) from error
    starts_at = kept["starts_at"]
    ends_at = starts_at + (show.ends_at - show.starts_at)
    if kept["sales_until"] is not None:  # the clocks may change between the two
        kept["sales_until"] = min(kept["sales_until"], ends_at)
    return {
        **kept,
        "ends_at": ends_at,
        "local_date": times.business_day(starts_at, new, cinema["day_starts_at"]),
        "version": new_version(),
    }


def _update(connection: sa.Connection, changes: Sequence[Mapping[str, Any]]) -> None:
    """Write the changes of shows, each with its `show_id`."""
    if changes:
        connection.execute(sa.update(Show).where(Show.id == sa.bindparam("show_id")), changes)
