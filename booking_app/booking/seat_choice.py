"""Choosing seats: the best block, and what leaves a lone seat. Pure functions over a room.

A room is a list of `Seat` in the order of the room. Where seats stand, which are side by side and
where the middle of the room is follows from their `x` and `y` (`catalog.seat_plans.Seat`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from booking_app.catalog.models import WHEELCHAIR
from booking_app.catalog.seat_plans import SEAT_WIDTH, beside, in_one_row, missing_partners

# A run is a longest stretch of available seats side by side; a lone seat is a run of one.
Run = Sequence["Seat"]


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat of a show and whether it may be taken now."""

    label: str
    block: str
    row_label: str
    free: bool
    category: str
    kind: str
    x: int
    y: int

    @property
    def accessible(self) -> bool:
        """Whether it is a wheelchair place."""
        return self.kind == WHEELCHAIR


def best_blocks(
    room: Sequence[Seat], quantity: int, category: str | None = None
) -> list[list[str]]:
    """Every block of `quantity` available seats side by side (of `category`), best first.

    Before all else, blocks with fewer accessible places; then those that leave no lone seat;
    then those nearest the middle of the room; of equals the one further in front, then left.
    Distances are in seats, rows being one apart.
    """
    middle_x, middle_y = _middle(room)
    ranked = []
    for run in runs(room):
        for start in range(len(run) - quantity + 1):
            block = run[start : start + quantity]
            if category is not None and any(seat.category != category for seat in block):
                continue
            accessible = sum(seat.accessible for seat in block)
            gaps = _leaves_lone_seat(len(run), start, quantity)
            across = ((block[0].x + block[-1].x) / 2 - middle_x) / SEAT_WIDTH
            deep = block[0].y - middle_y
            rank = (accessible, gaps, across * across + deep * deep, deep, across)
            ranked.append((rank, [seat.label for seat in block]))
    ranked.sort()
    return [labels for _, labels in ranked]


def _middle(room: Sequence[Seat]) -> tuple[float, float]:
    """Half way between the outermost seats, in `x` and in `y`."""
    across, deep = [seat.x for seat in room], [seat.y for seat in room]
    return (min(across) + max(across)) / 2, (min(deep) + max(deep)) / 2


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
    run: list[Seat] = []
    for seat in room:
        if run and not (seat.free and in_one_row(run[-1], seat) and beside(run[-1], seat)):
            yield run
            run = []
        if seat.free:
            run.append(seat)
    if run:
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


def split_pairs(room: Sequence[Seat], chosen: Collection[str]) -> list[str]:
    """The other seats of pairs that are missing from `chosen`, in the order of the room."""
    return missing_partners(room, chosen)
