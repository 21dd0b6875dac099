"""Cinemas and screens as they are read, and their editions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from booking_app.catalog import seat_plans
from booking_app.catalog.blocked_seats import StillSold
from booking_app.catalog.models import Cinema, Screen
from booking_app.catalog.plan_changes import ChangedShow, KeptShow
from booking_app.catalog.seat_plans import PlanRow
from booking_app.core.editions import digest, edition_of
from booking_app.core.errors import NotFound


@dataclass(frozen=True, slots=True)
class ScreenDetails:
    """A screen with its seat plan, which is empty where it was made by the short form of a show."""

    id: int
    cinema_id: int
    name: str
    rows: tuple[PlanRow, ...]
    out_of_order: list[str]
    turnaround_minutes: int
    external_id: str | None
    # Where saving what is out of order found seats in use, those of shows to come.
    still_sold: tuple[StillSold, ...] = ()
    # Where its plan was applied to shows to come.
    shows_changed: tuple[ChangedShow, ...] = ()
    shows_kept: tuple[KeptShow, ...] = ()
    # After a dry run: the edition that it still is.
    kept_edition: str | None = None

    @property
    def total_seats(self) -> int:
        """The seats of its plan."""
        return sum(seat is not None for row in self.rows for seat in row.seats)


CINEMA = (
    Cinema.id,
    Cinema.name,
    Cinema.city,
    Cinema.timezone,
    Cinema.day_starts_at,
    Cinema.currency,
    Cinema.is_default,
    Cinema.external_id,
)
SCREEN = (
    Screen.id,
    Screen.cinema_id,
    Screen.name,
    Screen.rows,
    Screen.out_of_order,
    Screen.turnaround_minutes,
    Screen.external_id,
)


def read_cinema(connection: sa.Connection, cinema_id: int, *, lock: bool = False) -> sa.RowMapping:
    query = sa.select(*CINEMA).where(Cinema.id == cinema_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise NotFound("cinema", cinema_id)
    return row


def read_screen(connection: sa.Connection, screen_id: int, *, lock: bool = False) -> sa.RowMapping:
    query = sa.select(*SCREEN).where(Screen.id == screen_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise NotFound("screen", screen_id)
    return row


def screen_details(row: sa.RowMapping) -> ScreenDetails:
    plan = seat_plans.read_plan(row["rows"])
    return ScreenDetails(
        id=row["id"],
        cinema_id=row["cinema_id"],
        name=row["name"],
        rows=plan,
        out_of_order=row["out_of_order"],
        turnaround_minutes=row["turnaround_minutes"],
        external_id=row["external_id"],
    )


def cinema_edition(row: Mapping[Any, Any]) -> str:
    """The edition of a cinema."""
    return edition_of(CINEMA, row)


def screen_edition(screen: ScreenDetails) -> str:
    """The edition of a screen: of its columns, with the plan as it is written now."""
    if screen.kept_edition is not None:
        return screen.kept_edition
    columns = {column.key: getattr(screen, column.key) for column in SCREEN}
    return digest(columns | {"rows": seat_plans.stored_plan(screen.rows)})
