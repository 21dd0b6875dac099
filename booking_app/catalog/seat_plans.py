"""Seat plans: the rows of a screen, where each seat stands, and what it is called. Pure functions.

A plan is a list of rows from the front. On the wire a row is `{"label", "block", "seats",
"category", "gaps", "accessible", "offset", "walkway", "beside"}`; `seats` is a count (the seats 1
to N, with an aisle after each number of `gaps`, and wheelchair places `accessible`) or a list from
left to right, seen towards the screen, of numbers, `{"number", "category", "kind"}` and None for an
empty place.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from typing import Any, Protocol

from booking_app.catalog.models import PAIR, SEATS_MAX, STANDARD, WHEELCHAIR
from booking_app.catalog.neighbours import SEAT_WIDTH, beside, in_one_row
from booking_app.core.errors import Path

AISLE_WIDTH = 2  # between a block and the one beside it
# The longest names that release 1.2 can read.
LABEL_MAX_BEFORE, ROW_LABEL_MAX_BEFORE = 10, 5


class PlanError(ValueError):
    """A plan that can't be: `row` is the index of the row at fault, `path` leads to the fault."""

    def __init__(self, row: int, path: str | Path, message: str) -> None:
        super().__init__(message)
        self.row = row
        self.path = (path,) if isinstance(path, str) else path


@dataclass(frozen=True, slots=True)
class PlanSeat:
    """A seat of a row."""

    number: str
    category: str = STANDARD
    kind: str = STANDARD


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A row: `seats` from left to right, None being an empty place.

    `offset` moves it to the right by so many half seats. Behind a `walkway` the depth of a row is
    free. The block that the row begins stands to the right of the block `beside`, fronts level.
    """

    label: str
    seats: tuple[PlanSeat | None, ...]
    block: str = ""
    offset: int = 0
    walkway: bool = False
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat of the room. `x` is its left edge in half seats from the left wall, `y` counts rows
    from the front."""

    label: str
    block: str
    row_label: str
    number: str
    category: str
    kind: str
    x: int
    y: int


# --- reading and writing --------------------------------------------------------------------


def read_plan(rows: Iterable[Mapping[str, Any]]) -> tuple[PlanRow, ...]:
    """The plan of rows as they are on the wire or stored.

    The fields are of the right types already (`venue_schemas.PlanRow`). Raises PlanError for the
    first row that can't be.
    """
    plan = tuple(_read_rows(rows))
    _check_pairs(plan)
    _check_labels(plan)
    _check_blocks(plan)
    return plan


def stored_plan(plan: Iterable[PlanRow]) -> list[dict[str, Any]]:
    """What `screen.rows` keeps of a plan; `read_plan` reads it."""
    return [_counted(row) or _listed(row) for row in plan]


def unreadable_before(plan: Sequence[PlanRow]) -> int | None:
    """The index of the first row that release 1.2 can't read; None where it can read them all.

    It knows counts only, and calls a seat by its row and number without a separator.
    """
    labels: set[str] = set()
    for index, row in enumerate(plan):
        numbers = [seat.number for seat in row.seats if seat is not None]
        made = {row.label + number for number in numbers}
        if _counted(row) is None or len(max(made, key=len)) > LABEL_MAX_BEFORE or labels & made:
            return index
        labels |= made
    return None


def count_seats(stored: Iterable[Mapping[str, Any]]) -> int:
    """How many seats a plan has as `screen.rows` keeps it."""
    return sum(
        row["seats"]
        if isinstance(row["seats"], int)
        else len(row["seats"]) - row["seats"].count(None)
        for row in stored
    )


def _read_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[PlanRow]:
    """The rows of a plan; raises PlanError at the first one that goes beyond what a screen has."""
    seats = 0
    for index, stored in enumerate(rows):
        row = _read_row(index, stored)
        in_row = sum(seat is not None for seat in row.seats)
        if not in_row:
            raise PlanError(index, "seats", "Has no seat.")
        seats += in_row
        if seats > SEATS_MAX:
            raise PlanError(index, "seats", f"A screen has at most {SEATS_MAX} seats.")
        yield row


def _read_row(index: int, row: Mapping[str, Any]) -> PlanRow:
    category = row.get("category", STANDARD)
    gaps, accessible = row.get("gaps") or (), row.get("accessible") or ()
    seats: list[PlanSeat | None] = []
    if isinstance(row["seats"], int):
        last = row["seats"]
        for field, numbers, highest in (("gaps", gaps, last - 1), ("accessible", accessible, last)):
            if any(not 1 <= number <= highest for number in numbers):
                raise PlanError(index, field, f"Must be numbers from 1 to {highest}.")
        aisles, wheelchairs = set(gaps), set(accessible)
        for number in range(1, last + 1):
            kind = WHEELCHAIR if number in wheelchairs else STANDARD
            seats.append(PlanSeat(str(number), category, kind))
            if number in aisles:
                seats.append(None)
    else:
        for field, numbers in (("gaps", gaps), ("accessible", accessible)):
            if numbers:
                raise PlanError(
                    index,
                    field,
                    "Goes with a count of seats only; in a list null is an empty place, and a "
                    'wheelchair place is {"number": "1", "kind": "wheelchair"}.',
                )
        for seat in row["seats"]:
            if isinstance(seat, Mapping):
                seats.append(PlanSeat(**{"category": category, **seat}))
            else:
                seats.append(None if seat is None else PlanSeat(str(seat), category))
    return PlanRow(
        row["label"],
        tuple(seats),
        block=row.get("block") or "",
        offset=row.get("offset", 0),
        walkway=row.get("walkway", False),
        beside=row.get("beside"),
    )


def _counted(row: PlanRow) -> dict[str, Any] | None:
    """The row in the form with a count, which release 1.2 reads; None where that can't say it."""
    kinds = {seat.kind for seat in row.seats if seat is not None}
    (category, *more) = {seat.category for seat in row.seats if seat is not None}
    if more or kinds - {STANDARD, WHEELCHAIR} or len(row.label) > ROW_LABEL_MAX_BEFORE:
        return None
    if " " in row.label or row.block or row.offset or row.walkway or row.beside:
        return None
    numbered = [seat for seat in row.seats if seat is not None]
    counted = {
        "label": row.label,
        "seats": len(numbered),
        "category": category,
        "gaps": [
            int(seat.number)
            for seat, right in pairwise(row.seats)
            if seat is not None and right is None and seat.number.isdecimal()
        ],
        "accessible": [
            place for place, seat in enumerate(numbered, start=1) if seat.kind == WHEELCHAIR
        ],
    }
    try:
        same = _read_row(0, counted) == row
    except PlanError:  # an empty place behind the last seat
        return None
    return counted if same else None


def _listed(row: PlanRow) -> dict[str, Any]:
    return {
        "label": row.label,
        "block": row.block,
        "seats": [
            None
            if seat is None
            else {"number": seat.number, "category": seat.category, "kind": seat.kind}
            for seat in row.seats
        ],
        "offset": row.offset,
        "walkway": row.walkway,
        "beside": row.beside,
    }


# --- what can be ----------------------------------------------------------------------------


def _check_pairs(plan: Sequence[PlanRow]) -> None:
    for index, row in enumerate(plan):
        place = 0
        for is_pair, run in groupby(row.seats, key=lambda seat: bool(seat and seat.kind == PAIR)):
            seats = list(run)
            if is_pair and len(seats) % 2:
                first = seat_label(row.block, row.label, seats[0].number if seats[0] else "")
                raise PlanError(
                    index,
                    ("seats", place),
                    f"{len(seats)} pair seats stand side by side from {first}; pairs need an even "
                    "number.",
                )
            place += len(seats)


def _check_labels(plan: Sequence[PlanRow]) -> None:
    made: dict[str, str] = {}
    for index, row in enumerate(plan):
        for place, seat in enumerate(row.seats):
            if seat is None:
                continue
            label = seat_label(row.block, row.label, seat.number)
            named = f"row {row.label!r} seat {seat.number}"
            if row.block:
                named = f"block {row.block!r} {named}"
            if label in made:
                raise PlanError(
                    index,
                    ("seats", place),
                    f"Two seats are {label}: {made[label]} and {named}. Rename one of them.",
                )
            made[label] = named


def _check_blocks(plan: Sequence[PlanRow]) -> None:
    """Rows of a block stand together, each of its own label; `beside` names a block with nothing to
    its right yet."""
    rows: set[tuple[str, str]] = set()
    seen: set[str] = set()
    taken: set[str] = set()
    before: PlanRow | None = None
    for index, row in enumerate(plan):
        if (row.block, row.label) in rows:
            raise PlanError(index, "label", f"There is a row {row.label} already.")
        rows.add((row.block, row.label))
        begins = before is None or before.block != row.block
        before = row
        if begins and row.block in seen:
            raise PlanError(index, "block", "The rows of a block must follow each other.")
        if row.beside is not None:
            if not begins:
                raise PlanError(index, "beside", "Only the first row of a block says this.")
            if row.beside not in seen or not row.beside:
                known = ", ".join(sorted(seen - {""})) or "none"
                raise PlanError(
                    index, "beside", f"Must be a block in front of this one; there are: {known}."
                )
            if row.beside in taken:
                raise PlanError(index, "beside", f"{row.beside} has a block on its right already.")
            taken.add(row.beside)
        seen.add(row.block)


# --- the seats that follow ------------------------------------------------------------------


def seat_label(block: str, row_label: str, number: str) -> str:
    """What a seat is booked by: B7, 11-1, A-B1, "Balcony A1", and 5 where there is no row."""
    parted = bool(row_label) and (row_label[-1].isdecimal() or not number[0].isdecimal())
    return f"{block} {row_label}".lstrip() + ("-" if parted else "") + number


def plan_seats(plan: Sequence[PlanRow]) -> list[Seat]:
    """The seats of a plan, row by row from the front and each from left to right.

    Rows are centred in their block. A block stands behind the one before it, both centred, or to
    the right of the one that it is `beside`.
    """
    edges = {(row.block, row.label): (left, y) for row, left, y in _placed_rows(plan)}
    placed = []
    for row in plan:
        left, y = edges[row.block, row.label]
        for place, seat in enumerate(row.seats):
            if seat is not None:
                placed.append((row, left + SEAT_WIDTH * place, y, seat))
    wall = min((x for _, x, _, _ in placed), default=0)
    return [
        Seat(
            label=seat_label(row.block, row.label, seat.number),
            block=row.block,
            row_label=row.label,
            number=seat.number,
            category=seat.category,
            kind=seat.kind,
            x=x - wall,
            y=y,
        )
        for row, x, y, seat in placed
    ]


def numbered_seats(first: int, last: int) -> list[Seat]:
    """The seats of the short form, "1" to "N" in a row without a label, from `first` to `last`."""
    return [
        Seat(str(number), "", "", str(number), STANDARD, STANDARD, SEAT_WIDTH * (number - 1), 0)
        for number in range(first, last + 1)
    ]


def seat_columns(seats: Sequence[Seat], first_position: int = 1) -> list[dict[str, Any]]:
    """The columns of `show_seat` for seats in the order of the room."""
    return [
        {
            "label": seat.label,
            "position": position,
            "block": seat.block,
            "row_label": seat.row_label,
            "number": seat.number,
            "category": seat.category,
            "kind": seat.kind,
            "x": seat.x,
            "y": seat.y,
            "accessible": seat.kind == WHEELCHAIR,
            "aisle_after": right is not None
            and in_one_row(seat, right)
            and not beside(seat, right),
        }
        for position, (seat, right) in enumerate(
            zip(seats, [*seats[1:], None], strict=True), start=first_position
        )
    ]


class StoredSeat(Protocol):
    """A row of `show_seat`."""

    @property
    def row_label(self) -> str: ...
    @property
    def aisle_after(self) -> bool: ...
    @property
    def x(self) -> int | None: ...
    @property
    def y(self) -> int | None: ...


def places(seats: Sequence[StoredSeat]) -> list[tuple[int, int]]:
    """The `x` and `y` of all seats of a show, which are in the order of the room.

    Release 1.2 kept none: then they follow from the rows and aisles, as for a plan.
    """
    kept = [(seat.x, seat.y) for seat in seats if seat.x is not None and seat.y is not None]
    if len(kept) == len(seats):
        return kept
    any_seat = PlanSeat("1")
    plan = []
    for label, row in groupby(seats, key=lambda seat: seat.row_label):
        parted = [(any_seat, None) if seat.aisle_after else (any_seat,) for seat in row]
        plan.append(PlanRow(label, tuple(chain.from_iterable(parted))))
    return [(seat.x, seat.y) for seat in plan_seats(plan)]


@dataclass(slots=True)
class _Block:
    """Rows of a block; `axis` is where its rows' middles are, from the room's, in half seats."""

    rows: list[PlanRow]
    axis: int = 0

    @property
    def half_width(self) -> int:
        """Half the width of its longest row, without offsets."""
        return max(len(row.seats) for row in self.rows)

    @property
    def left(self) -> int:
        return min(row.offset - len(row.seats) for row in self.rows)

    @property
    def right(self) -> int:
        return max(row.offset + len(row.seats) for row in self.rows)


def _placed_rows(plan: Sequence[PlanRow]) -> Iterator[tuple[PlanRow, int, int]]:
    """Each row with its left edge, from the room's middle in half seats, and its `y`; band by
    band."""
    front = 0
    for band in _bands(plan):
        for block, right in pairwise(band):
            right.axis = block.axis + block.right + AISLE_WIDTH - right.left
        first, last = band[0], band[-1]
        middle = (last.axis + last.half_width - first.half_width) // 2
        behind = front
        for block in band:
            y = front
            for row in block.rows:
                yield row, block.axis - middle + row.offset - len(row.seats), y
                y += 2 if row.walkway else 1
            behind = max(behind, y)
        front = behind


def _bands(plan: Sequence[PlanRow]) -> list[list[_Block]]:
    """Blocks that stand level, from left to right; bands from the front."""
    bands: list[list[_Block]] = []
    band_of: dict[str, list[_Block]] = {}
    for name, rows in groupby(plan, key=lambda row: row.block):
        block = _Block(list(rows))
        beside = block.rows[0].beside
        if beside is None:
            bands.append(band := [block])
        else:
            (band := band_of[beside]).append(block)
        band_of[name] = band
    return bands
