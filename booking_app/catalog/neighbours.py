"""Which seats are side by side, and which are a pair. Pure functions."""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Protocol

from booking_app.catalog.models import PAIR

SEAT_WIDTH = 2  # in half seats


class Placed(Protocol):
    """A seat that knows its row and its place."""

    @property
    def block(self) -> str: ...
    @property
    def row_label(self) -> str: ...
    @property
    def x(self) -> int: ...


class SeatInRow(Placed, Protocol):
    """A seat of a kind that knows its row and its place. Every pair seat does: release 1.2, which
    kept no places, knows no pairs."""

    @property
    def label(self) -> str: ...
    @property
    def kind(self) -> str: ...


def missing_partners(room: Sequence[SeatInRow], labels: Collection[str]) -> list[str]:
    """The seats that `labels` lack to have whole pairs only, in the order of the room."""
    others = partners(room)
    lacking = {others[label] for label in labels if label in others} - set(labels)
    return [seat.label for seat in room if seat.label in lacking]


def partners(room: Sequence[SeatInRow]) -> dict[str, str]:
    """The other seat of each pair seat, by its label. `room` are all seats in their order; pairs
    are the pair seats that stand side by side, from the left."""
    found: dict[str, str] = {}
    for left, right in pairwise(room):
        if (
            left.kind == right.kind == PAIR
            and left.label not in found
            and in_one_row(left, right)
            and beside(left, right)
        ):
            found |= {left.label: right.label, right.label: left.label}
    return found


def in_one_row(seat: Placed, other: Placed) -> bool:
    """Whether the seats are of the same row."""
    return (seat.block, seat.row_label) == (other.block, other.row_label)


def beside(seat: Placed, right: Placed) -> bool:
    """Whether no aisle and no empty place parts two seats of a row, one right of the other."""
    return right.x - seat.x == SEAT_WIDTH
