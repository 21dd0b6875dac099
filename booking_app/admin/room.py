"""The seat map as the page for staff shows it: block by block, with spaces. Pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from booking_app.catalog.models import COMPANION, HOUSE, OUT_OF_ORDER, PAIR, WHEELCHAIR
from booking_app.catalog.neighbours import SEAT_WIDTH
from booking_app.catalog.seat_picture import lines_of

SIGNS = {WHEELCHAIR: "♿", COMPANION: "+", PAIR: "↔"}
BLOCK_NAMES = {HOUSE: "kept by the house", OUT_OF_ORDER: "out of order"}

Seat = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A row: each seat with the empty half seats on its left, from the left edge of the block."""

    legend: str
    seats: list[tuple[int, Seat]]
    behind_walkway: bool


@dataclass(frozen=True)
class Block:
    """A block; `name` is empty where it has none."""

    name: str
    lines: list[Line]


def blocks_of(rows: Iterable[Mapping[str, Any]]) -> list[Block]:
    """The blocks of the rows of `seat_map.SeatMap`, one after the other, even those that stand
    beside each other."""
    blocks = []
    for name, group in groupby(lines_of(rows), itemgetter("block")):
        in_block = list(group)
        wall = min(row["seats"][0]["x"] for row in in_block)
        next_y = in_block[0]["y"]
        lines = []
        for row in in_block:
            lines.append(Line(_legend(row), _spaced(row["seats"], wall), row["y"] > next_y))
            next_y = row["y"] + 1
        blocks.append(Block(name, lines))
    return blocks


def _legend(row: Mapping[str, Any]) -> str:
    if row["label"]:
        return f"Row {row['label']}"
    first, last = row["seats"][0]["number"], row["seats"][-1]["number"]
    return f"Seat {first}" if first == last else f"Seats {first} to {last}"


def _spaced(seats: Iterable[Seat], left: int) -> list[tuple[int, Seat]]:
    spaced = []
    for seat in seats:
        spaced.append((seat["x"] - left, seat))
        left = seat["x"] + SEAT_WIDTH
    return spaced
