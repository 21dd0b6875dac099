"""Choosing seats: the best block, what stands together, and what leaves a lone seat.

Pure functions over a room: a list of `Seat` in the order of the room. Where seats stand, which are
side by side and where the middle of the room is follows from their `x` and `y`
(`catalog.seat_plans.Seat`). `seat_parties` splits a party that has no single block.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from booking_app.catalog.models import COMPANION, WHEELCHAIR
from booking_app.catalog.neighbours import (
    SEAT_WIDTH,
    beside,
    in_one_row,
    partners,
)

# Seats side by side, from left to right.
Run = Sequence["Seat"]
# The less, the better.
Rank = tuple[bool, int, bool, float, float, float]


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat of a show. `free` says whether the one who asks may take it now."""

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

    @property
    def reserved(self) -> bool:
        """Whether it is kept for wheelchairs and those who come with them."""
        return self.kind in (WHEELCHAIR, COMPANION)


def stretches(room: Sequence[Seat], wanted: Callable[[Seat], bool]) -> Iterator[Run]:
    """The longest runs of wanted seats; an aisle, an empty place and the row's end part them."""
    run: list[Seat] = []
    for seat in room:
        fits = wanted(seat)
        if run and not (fits and in_one_row(run[-1], seat) and beside(run[-1], seat)):
            yield run
            run = []
        if fits:
            run.append(seat)
    if run:
        yield run


# --- pairs and companions -------------------------------------------------------------------


def companions_without_wheelchair(
    room: Sequence[Seat], chosen: Collection[str], own: Collection[str]
) -> list[str]:
    """The chosen companion seats that have no wheelchair place of the account, in order.

    Wheelchair and companion places side by side belong together, whoever owns them: one of the
    wheelchair places must be chosen or be among the account's `own` labels.
    """
    return [
        seat.label
        for run in stretches(room, lambda seat: seat.reserved)
        if not any(seat.accessible and (seat.label in chosen or seat.label in own) for seat in run)
        for seat in run
        if seat.label in chosen
    ]


# --- the best block -------------------------------------------------------------------------


def best_blocks(
    room: Sequence[Seat], quantity: int, *, category: str | None = None, accessible: int = 0
) -> list[list[str]]:
    """Every block of `quantity` seats side by side that may be taken, best first.

    It has exactly `accessible` wheelchair places, no companion seat without one of them beside it,
    and only whole pairs. `category` is that of all its seats but the wheelchair places, which are
    where the room has them.

    For an odd quantity, blocks with pair seats come after all others. Then those with most
    companion seats are first; then those that leave no lone seat; then those nearest the middle of
    the room; of equals the one further in front, then left. Distances are in seats, rows being
    one apart.
    """
    categories = None if category is None else {category}
    ranked = [
        (rank, [seat.label for seat in block])
        for rank, block in Layout(room).ranked(quantity, categories, accessible)
    ]
    ranked.sort()
    return [labels for _, labels in ranked]


def largest_block(room: Sequence[Seat], *, category: str | None = None, accessible: int = 0) -> int:
    """The largest quantity for which `best_blocks` finds one; 0 where there is none."""
    categories = None if category is None else {category}
    spans = Layout(room).spans(categories, accessible)
    return max((len(span.seats) for span in spans), default=0)


@dataclass(frozen=True, slots=True)
class Span:
    """A longest run within which blocks may lie: those that hold its seats `first` to `last`.

    Where they need not hold any, `first` is past the end and `last` is -1. A pair is in it whole
    or not at all.
    """

    seats: Run
    first: int
    last: int


class Layout:
    """A room, and what follows from it for every choice.

    A seat is open where it is free, no wheelchair or companion place, and no half of a pair whose
    other half is taken. A lone seat is an open seat without an open neighbour: all others count
    like a wall.
    """

    def __init__(self, room: Sequence[Seat]) -> None:
        self.room = room
        self.partners = partners(room)
        across, deep = [seat.x for seat in room], [seat.y for seat in room]
        self.middle_x = (min(across, default=0) + max(across, default=0)) / 2
        self.middle_y = (min(deep, default=0) + max(deep, default=0)) / 2
        takeable = self._takeable(None)
        self.open = {seat.label for seat in room if seat.label in takeable and not seat.reserved}
        open_runs = list(self.runs_of(self.open))
        self.alone = {run[0].label for run in open_runs if len(run) == 1}
        self._second = {run[1].label for run in open_runs if len(run) > 1}
        self._second_last = {run[-2].label for run in open_runs if len(run) > 1}

    def runs_of(self, labels: Collection[str]) -> Iterator[Run]:
        """The longest runs of these seats."""
        return stretches(self.room, lambda seat: seat.label in labels)

    def _takeable(self, categories: Collection[str] | None) -> set[str]:
        """The free seats of the categories (a wheelchair place: of any), pairs whole."""
        free = {
            seat.label
            for seat in self.room
            if seat.free and (categories is None or seat.accessible or seat.category in categories)
        }
        return {label for label in free if self.partners.get(label, label) in free}

    def spans(self, categories: Collection[str] | None, accessible: int) -> Iterator[Span]:
        """Where blocks with so many wheelchair places may lie."""
        takeable = self._takeable(categories)
        if not accessible:
            for run in self.runs_of(takeable & self.open):
                yield Span(run, first=len(run), last=-1)
            return
        group = {
            seat.label: number
            for number, run in enumerate(stretches(self.room, lambda seat: seat.reserved))
            for seat in run
        }
        for run in self.runs_of(takeable):
            wheelchairs = [place for place, seat in enumerate(run) if seat.accessible]
            for start in range(len(wheelchairs) - accessible + 1):
                chosen = wheelchairs[start : start + accessible]
                groups = {group[run[place].label] for place in chosen}
                fits = [
                    place in chosen
                    if seat.accessible
                    else not seat.reserved or group[seat.label] in groups
                    for place, seat in enumerate(run)
                ]
                first, last = chosen[0], chosen[-1]
                if not all(fits[first:last]):
                    continue
                left, right = first, last + 1
                while left > 0 and fits[left - 1]:
                    left -= 1
                while right < len(run) and fits[right]:
                    right += 1
                yield Span(run[left:right], first - left, last - left)

    def ranked(
        self, quantity: int, categories: Collection[str] | None, accessible: int
    ) -> Iterator[tuple[Rank, Run]]:
        """Every block of `quantity` seats, as `best_blocks` says, with its rank."""
        for span in self.spans(categories, accessible):
            seats = span.seats
            whole = self.may_part(seats)
            first_start = max(0, span.last + 1 - quantity)
            for start in range(first_start, min(span.first, len(seats) - quantity) + 1):
                if whole[start] and whole[start + quantity]:
                    block = seats[start : start + quantity]
                    yield self.rank(block), block

    def may_part(self, run: Run) -> list[bool]:
        """For each place between seats, from before the first to after the last, whether no pair
        is cut there."""
        inner = [self.partners.get(left.label) != right.label for left, right in pairwise(run)]
        return [True, *inner, True]

    def rank(self, block: Run) -> Rank:
        """How good a block is, beside others of its size and as many wheelchair places."""
        pairs = len(block) % 2 == 1 and any(seat.label in self.partners for seat in block)
        companions = sum(seat.kind == COMPANION for seat in block)
        across = ((block[0].x + block[-1].x) / 2 - self.middle_x) / SEAT_WIDTH
        deep = block[0].y - self.middle_y
        distance = across * across + deep * deep
        return pairs, -companions, self.leaves_lone_seat(block), distance, deep, across

    def distance(self, seat: Seat) -> float:
        """How far a seat is from the middle of the room, squared."""
        return ((seat.x - self.middle_x) / SEAT_WIDTH) ** 2 + (seat.y - self.middle_y) ** 2

    def leaves_lone_seat(self, block: Run) -> bool:
        """Whether a seat on its left or its right had a neighbour and has none without it."""
        return not (self.may_begin(block[0]) and self.may_end(block[-1]))

    def may_begin(self, seat: Seat) -> bool:
        """Whether a block that begins with the seat leaves no lone seat on its left."""
        return seat.label not in self._second

    def may_end(self, seat: Seat) -> bool:
        """Whether a block that ends with the seat leaves no lone seat on its right."""
        return seat.label not in self._second_last


# --- single gaps ----------------------------------------------------------------------------


def single_gaps(room: Sequence[Seat], chosen: Collection[str]) -> list[str]:
    """The open seats that taking `chosen` would leave alone, where leaving none was possible.

    Left alone is a lone seat (`Layout`) which had an open neighbour before. It is let through
    where it can't be helped: where the best block of as many seats as are chosen side by side next
    to it, of the chosen categories and with as many wheelchair places, would leave one too.
    """
    layout = Layout(room)
    alone = {
        run[0].label for run in layout.runs_of(layout.open.difference(chosen)) if len(run) == 1
    }
    alone -= layout.alone
    if not alone:
        return []
    categories = {seat.category for seat in room if seat.label in chosen and not seat.accessible}
    cause = layout.open.intersection(chosen)
    group_of = {seat.label: group for group in layout.runs_of(chosen) for seat in group}

    @cache
    def avoidable(size: int, wheelchairs: int) -> bool:
        ranked = layout.ranked(size, categories, wheelchairs)
        best = min(ranked, key=lambda one: one[0], default=None)
        return best is not None and not layout.leaves_lone_seat(best[1])

    refused = set()
    for left, right in pairwise(room):
        if in_one_row(left, right) and beside(left, right):
            for seat, taken in ((left, right), (right, left)):
                if seat.label in alone and taken.label in cause:
                    group = group_of[taken.label]
                    if avoidable(len(group), sum(each.accessible for each in group)):
                        refused.add(seat.label)
    return [seat.label for seat in room if seat.label in refused]
