"""Many shows at once: making them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Unpack

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.catalog import seat_plans
from booking_app.catalog.models import Screen, Show
from booking_app.catalog.show_rules import AUDITED, ShowOverlap
from booking_app.catalog.shows import ShowTerms, insert_show
from booking_app.core.database import Undo, writes
from booking_app.core.errors import Invalid
from booking_app.core.formats import iso

SHOWS_AT_ONCE = 200
SEATS_AT_ONCE = 100_000  # so that nobody else waits long for them to be written


@dataclass(frozen=True)
class Planned:
    """A show of `create_shows`: the `error` is what is in its way, None where nothing is."""

    date_time: datetime
    error: str | None


@writes
def create_shows(
    connection: sa.Connection,
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
        raise Undo(planned)
    for own in _audited(connection, made):
        audit.record(connection, "show.created", by=by, object_id=own["id"], after=own)
    return planned


def _check_amount(connection: sa.Connection, screen: int | None, shows: int) -> None:
    """Raises Invalid for more seats than can be made at once."""
    rows = connection.execute(sa.select(Screen.rows).where(Screen.id == screen)).scalar() or ()
    seats = shows * seat_plans.count_seats(rows)
    if seats > SEATS_AT_ONCE:
        raise Invalid(
            "date_times",
            f"These shows have {seats} seats in all; at most {SEATS_AT_ONCE} can be made at once.",
        )


def _audited(connection: sa.Connection, show_ids: Collection[int]) -> Sequence[sa.RowMapping]:
    query = sa.select(*AUDITED).where(Show.id.in_(show_ids)).order_by(Show.id)
    return connection.execute(query).mappings().all()
