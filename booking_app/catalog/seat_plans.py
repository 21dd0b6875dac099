"""Seat plans: what a screen's rows look like, and the seats that follow from them. Pure functions.

A plan is a list of rows from the front, each `{"label": "B", "seats": 12, "category":
"standard", "gaps": [4, 8], "accessible": [1, 12]}`: seats numbered from 1; `gaps` are the
numbers after which there is an aisle, `accessible` those of wheelchair places.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from booking_app.catalog.models import LABEL_MAX, SEATS_MAX, STANDARD


class PlanError(ValueError):
    """A plan that can't be: `row` is the index of the row at fault, `field` its field."""

    def __init__(self, row: int, field: str, message: str) -> None:
        super().__init__(message)
        self.row = row
        self.field = field


def check_plan(rows: Sequence[Mapping[str, Any]]) -> None:
    """Raises PlanError for the first row that can't be.

    Each row's fields are of the right types already (`schemas.PlanRow`).
    """
    labels: set[str] = set()
    seats = 0
    for index, row in enumerate(rows):
        seats += row["seats"]
        if seats > SEATS_MAX:
            raise PlanError(index, "seats", f"A screen has at most {SEATS_MAX} seats.")
        for field, last in (("gaps", row["seats"] - 1), ("accessible", row["seats"])):
            if any(not 1 <= number <= last for number in row.get(field, ())):
                raise PlanError(index, field, f"Must be numbers from 1 to {last}.")
        for seat in _row_seats(row):
            if len(seat["label"]) > LABEL_MAX:
                raise PlanError(index, "label", "Is too long for the labels of its seats.")
            # A row "1" with a seat 11 and a row "11" with a seat 1 both make a "111".
            if seat["label"] in labels:
                raise PlanError(index, "label", f"Makes the seat {seat['label']} a second time.")
            labels.add(seat["label"])


def plan_seats(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The seats of a plan, from the front and by number, as the columns of `ShowSeat`."""
    seats = [seat for row in rows for seat in _row_seats(row)]
    return [seat | {"position": position} for position, seat in enumerate(seats, start=1)]


def numbered_seats(first: int, last: int) -> list[dict[str, Any]]:
    """The seats of the short form, "1" to "N" in a row without a label, from `first` to `last`."""
    return [_seat("", number) | {"position": number} for number in range(first, last + 1)]


def categories(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """The categories of a plan."""
    return {row.get("category", STANDARD) for row in rows}


def _row_seats(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    gaps, accessible = set(row.get("gaps", ())), set(row.get("accessible", ()))
    for number in range(1, row["seats"] + 1):
        yield _seat(row["label"], number) | {
            "category": row.get("category", STANDARD),
            "accessible": number in accessible,
            "aisle_after": number in gaps,
        }


def _seat(row_label: str, number: int) -> dict[str, Any]:
    return {
        "label": f"{row_label}{number}",
        "row_label": row_label,
        "category": STANDARD,
        "accessible": False,
        "aisle_after": False,
    }
