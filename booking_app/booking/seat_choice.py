"""Choosing seats: the best block, and what leaves a lone seat. Pure functions over a room.

A room is a list of `Seat` in the order of the room, as `show_seat` has them. Seats are side by
side where they follow each other in a row with no aisle between.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

# A run is a longest stretch of available seats side by side; a lone seat is a run of one.
Run = Sequence["Seat"]


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat of a show and whether it may be taken now."""

    label: str
    row_label: str
    free: bool
    category: str = "standard"
    accessible: bool = False
    aisle_after: bool = False


def best_blocks(
    room: Sequence[Seat], quantity: int, category: str | None = None
) -> list[list[str]]:
    """Every block of `quantity` available seats side by side (of `category`), best first.

    Before all else, blocks with fewer accessible places; then those that leave no lone seat;
    then those nearest the middle of the room; of equals the one further in front, then left.
    Distances are in seats, rows being one apart and an aisle one seat wide. Rows are centred.
    """
    ranked = []
    for run, places in _runs_with_places(room):
        for start in range(len(run) - quantity + 1):
            block = run[start : start + quantity]
            if category is not None and any(seat.category != category for seat in block):
                continue
            accessible = sum(seat.accessible for seat in block)
            gaps = _leaves_lone_seat(len(run), start, quantity)
            first, last = places[start], places[start + quantity - 1]
            across, deep = (first[0] + last[0]) / 2, first[1]
            rank = (accessible, gaps, across * across + deep * deep, deep, across)
            ranked.append((rank, [seat.label for seat in block]))
    ranked.sort()
    return [labels for _, labels in ranked]


def largest_block(room: Sequence[Seat], category: str | None = None) -> int:
    """The most available seats (of `category`) side by side."""
    wanted = _with_free(room, lambda seat: seat.free and category in (None, seat.category))
    return max(map(len, runs(wanted)), default=0)


def single_gaps(room: Sequence[Seat], chosen: Collection[str]) -> list[str]:
    """The seats that taking `chosen` would leave alone, where leaving none was possible.

    Left alone is an available seat with a taken one, an aisle or the row's end on either side,
    which had an available neighbour before. It is let through where it can't be helped: where
    no block of as many seats as are chosen side by side next to it, of the chosen categories and
    without accessible places, would leave none.
    """
    alone_before = {run[0].label for run in runs(room) if len(run) == 1}
    after = _with_free(room, lambda seat: seat.free and seat.label not in chosen)
    alone = [run[0].label for run in runs(after) if len(run) == 1]
    sizes = {
        seat.label: len(group)
        for group in runs(_with_free(room, lambda seat: seat.label in chosen))
        for seat in group
    }
    kinds = {seat.category for seat in room if seat.label in chosen}
    avoidable = {size: _block_without_gap_exists(room, size, kinds) for size in set(sizes.values())}
    place = {seat.label: index for index, seat in enumerate(room)}

    def helped(label: str) -> bool:
        beside = room[max(place[label] - 1, 0) : place[label] + 2]
        return any(avoidable[sizes[seat.label]] for seat in beside if seat.label in sizes)

    return [label for label in alone if label not in alone_before and helped(label)]


def _with_free(room: Sequence[Seat], free: Callable[[Seat], bool]) -> list[Seat]:
    """The room with other seats counting as available."""
    return [replace(seat, free=free(seat)) for seat in room]


def runs(room: Sequence[Seat]) -> Iterator[Run]:
    """The runs of the room."""
    for run, _ in _runs_with_places(room):
        yield run


def _block_without_gap_exists(
    room: Sequence[Seat], quantity: int, categories: Collection[str]
) -> bool:
    return any(
        not _leaves_lone_seat(len(run), start, quantity)
        and all(
            seat.category in categories and not seat.accessible
            for seat in run[start : start + quantity]
        )
        for run in runs(room)
        for start in range(len(run) - quantity + 1)
    )


def _leaves_lone_seat(run_length: int, start: int, quantity: int) -> bool:
    """Whether a block at `start` of a run leaves one seat on its left or on its right."""
    return start == 1 or run_length - start - quantity == 1


def _runs_with_places(
    room: Sequence[Seat],
) -> Iterator[tuple[list[Seat], list[tuple[float, float]]]]:
    """Each run with its seats' places: seats to the right of, and rows behind, the middle."""
    rows = [list(row) for _, row in groupby(room, key=lambda seat: seat.row_label)]
    for index, row in enumerate(rows):
        deep = index - (len(rows) - 1) / 2
        aisles = sum(seat.aisle_after for seat in row[:-1])
        across = -(len(row) + aisles - 1) / 2
        run: list[Seat] = []
        places: list[tuple[float, float]] = []
        for seat in row:
            if seat.free:
                run.append(seat)
                places.append((across, deep))
            if run and (seat.aisle_after or not seat.free):
                yield run, places
                run, places = [], []
            across += 2 if seat.aisle_after else 1
        if run:
            yield run, places
