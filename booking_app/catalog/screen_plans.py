"""The seat plan that a screen is given, and its seats that are out of order."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from booking_app.catalog import seat_plans
from booking_app.catalog.seat_plans import PlanRow
from booking_app.catalog.show_rules import refuse_split_pairs, require_finished_upgrade
from booking_app.core.errors import Invalid


def read_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[PlanRow, ...]:
    """The plan of rows as they are on the wire; raises Invalid for one that can't be, naming the
    row."""
    try:
        return seat_plans.read_plan(rows)
    except seat_plans.PlanError as error:
        raise Invalid(
            "rows",
            f"Row {error.row} ({rows[error.row]['label']}), {error.path[0]}: {error}",
            within={(error.row, *error.path): str(error)},
        ) from error


def check_readable(connection: sa.Connection, plan: Sequence[PlanRow]) -> None:
    """Raises UpgradeUnfinished for a plan that the release before can't read, and may have to."""
    index = seat_plans.unreadable_before(plan)
    if index is not None:
        require_finished_upgrade(connection, f"row {index} ({plan[index].label})")


def in_order(
    connection: sa.Connection, plan: Sequence[PlanRow], out_of_order: Sequence[str]
) -> list[str]:
    """The seats that are out of order, in the order of the room. Raises Invalid for one that the
    plan does not have, PairSplit and UpgradeUnfinished."""
    seats = seat_plans.plan_seats(plan)
    known = {seat.label for seat in seats}
    if unknown := {n: label for n, label in enumerate(out_of_order) if label not in known}:
        raise Invalid(
            "out_of_order",
            f"The plan has no seat {', '.join(sorted(unknown.values()))}; leave it out.",
            within={
                (n,): f"The plan has no seat {label}; leave it out." for n, label in unknown.items()
            },
            kind="unknown_seat",
        )
    if out_of_order:
        require_finished_upgrade(connection, "seats that are out of order")
        refuse_split_pairs(seats, out_of_order)
    return [seat.label for seat in seats if seat.label in set(out_of_order)]
