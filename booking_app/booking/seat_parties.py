"""Splitting a party that has no single block left. Pure functions over a room.

The fewest blocks are searched for with one block more each time. Each time the windows (series of
adjoining rows) are tried from the middle of the room outwards, and in each of them only the sizes
of blocks are worked out; where a block of that size lies in its run is decided at the end.

A run never needs more than two blocks. Where no block of n seats lies in it because of pairs, but
it has a seat that is no half of a pair, a block of n + 1 has such a seat in between, and n are left
without it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, product
from math import ceil
from operator import itemgetter

from booking_app.booking.seat_choice import Layout, Run, Seat

# A set of numbers from 0 on, as the bits of one integer: adding n to each of them is one shift.
Numbers = int


@dataclass(frozen=True, slots=True)
class _Offer:
    """A run, how many seats one block of it may have, and how many two may have together."""

    run: Run
    one: Numbers
    two: Numbers
    odd: bool  # whether an odd number is among them

    @property
    def most(self) -> int:
        return (self.one | self.two).bit_length() - 1

    def blocks(self, size: int) -> int:
        """In how many blocks it may have so many seats; 0 where it may not."""
        if self.one >> size & 1:
            return 1
        return 2 if self.two >> size & 1 else 0


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a block of the hall with its runs, the furthest from the middle first.

    `most` are the most seats of each run, the largest number first. `distances` are those of its
    nearest seat, of its two nearest ..., squared, on average. A row that is `begun` has a block of
    the party already.
    """

    block: str
    y: int
    offers: Sequence[_Offer]
    most: Sequence[int]
    distances: Sequence[float]
    begun: bool


# Adjoining rows, from the front.
Window = Sequence[_Row]


def best_party(
    room: Sequence[Seat], quantity: int, *, category: str | None = None, accessible: int = 0
) -> list[str] | None:
    """The best seats for a party in more than one block, in the order of the room; else None.

    They are in the fewest blocks as `best_blocks` knows them, in adjoining rows of one block of the
    hall; with that number, none is of one seat where that can be had; then an odd party gets no
    pair seats, and no lone seat is left, where that can be had; then it is near the middle.

    With `accessible`, one block has all the wheelchair places; it is as large as can be, and the
    fewest blocks are of those that go with it.
    """
    if accessible:
        return _party_with_wheelchairs(room, quantity, category, accessible)
    party = _fewest_blocks(room, quantity, category, odd=quantity % 2 == 1)
    return None if party is None else _in_order(room, party)


def _party_with_wheelchairs(
    room: Sequence[Seat], quantity: int, category: str | None, accessible: int
) -> list[str] | None:
    layout = Layout(room)
    categories = None if category is None else {category}
    largest = max((len(span.seats) for span in layout.spans(categories, accessible)), default=0)
    around = _seats_around(layout, categories)
    # Sizes that make a block of one seat come last.
    sizes = sorted(
        range(accessible, min(largest, quantity - 1) + 1),
        key=lambda size: (1 in (size, quantity - size), -size),
    )
    odd = quantity % 2 == 1
    for size in sizes:
        rows = set()  # the best block of each row is tried
        for _, block in sorted(layout.ranked(size, categories, accessible), key=itemgetter(0)):
            first = block[0]
            row = first.block, first.y
            if row in rows:
                continue
            rows.add(row)
            # A quick test: a search through a large room takes long, and it has many rows.
            others_most, others_single = around(*row)
            of_block = [seat for seat in block if not seat.reserved]
            others_most -= len(of_block)
            others_single -= sum(seat.label not in layout.partners for seat in of_block)
            left_over = quantity - size
            if others_most < left_over or (left_over % 2 and not others_single):
                continue
            labels = {seat.label for seat in block}
            left = [replace(seat, free=False) if seat.label in labels else seat for seat in room]
            others = _fewest_blocks(left, left_over, category, odd=odd, beside=first)
            if others is not None:
                return _in_order(room, [*labels, *others])
    return None


def _seats_around(
    layout: Layout, categories: Collection[str] | None
) -> Callable[[str, int], tuple[int, int]]:
    """How many seats others of a party can have in a row of a block of the hall (by its `y`) and in
    the rows that adjoin it without a break, and how many of them are no halves of pairs."""
    seats = [seat for span in layout.spans(categories, 0) for seat in span.seats]
    in_row = Counter((seat.block, seat.y) for seat in seats)
    singles = Counter((seat.block, seat.y) for seat in seats if seat.label not in layout.partners)

    @cache
    def around(block: str, y: int) -> tuple[int, int]:
        first = last = y
        while in_row[block, first - 1]:
            first -= 1
        while in_row[block, last + 1]:
            last += 1
        rows = [(block, each) for each in range(first, last + 1)]
        return sum(map(in_row.__getitem__, rows)), sum(map(singles.__getitem__, rows))

    return around


def _in_order(room: Sequence[Seat], labels: Sequence[str]) -> list[str]:
    chosen = set(labels)
    return [seat.label for seat in room if seat.label in chosen]


# --- the search -----------------------------------------------------------------------------


def _fewest_blocks(
    room: Sequence[Seat],
    quantity: int,
    category: str | None,
    *,
    odd: bool,
    beside: Seat | None = None,
) -> list[str] | None:
    """The seats of the fewest blocks, also of one; in rows that adjoin the row of `beside`."""
    layout = Layout(room)
    categories = None if category is None else {category}
    spans = [span.seats for span in layout.spans(categories, accessible=0)]
    series = [
        [
            rows
            for rows in _series(layout, _offers(layout, runs, quantity, smallest, clean), beside)
            if beside is None or any(row.begun for row in rows)
        ]
        for smallest, runs, clean in product(
            (2, 1),
            (_without_pairs(layout, spans), spans) if odd else (spans,),
            (True, False),
        )
    ]
    for count in range(1, quantity + 1):
        for rows in series:
            for window in _windows(rows, count, quantity):
                sizes = _sizes(window, count, quantity)
                if sizes is not None:
                    return [
                        seat.label
                        for offer, size in sizes
                        for block in _blocks(layout, offer, size)
                        for seat in block
                    ]
    return None


def _without_pairs(layout: Layout, runs: Sequence[Run]) -> list[Run]:
    singles = {seat.label for run in runs for seat in run} - layout.partners.keys()
    return list(layout.runs_of(singles))


def _offers(
    layout: Layout, runs: Sequence[Run], quantity: int, smallest: int, clean: bool
) -> Iterator[_Offer]:
    """What runs offer; where `clean`, only by blocks that leave no lone seat."""
    wanted = (2 << quantity) - (1 << smallest)
    for run in runs:
        parts = layout.may_part(run)
        ends = sum(
            1 << end
            for end in range(1, len(run) + 1)
            if parts[end] and not (clean and not layout.may_end(run[end - 1]))
        )
        one = 0
        for start, seat in enumerate(run):
            if parts[start] and not (clean and not layout.may_begin(seat)):
                one |= ends >> start
        one &= wanted
        two = 0
        if not clean and any(seat.label not in layout.partners for seat in run):
            two = ((2 << len(run)) - 2) & wanted & ~one
        if one:
            odd = any((one | two) >> size & 1 for size in range(1, quantity + 1, 2))
            yield _Offer(run, one, two, odd)


def _series(layout: Layout, offers: Iterator[_Offer], beside: Seat | None) -> Iterator[list[_Row]]:
    """The longest series of adjoining rows that each offer something, or have `beside`."""
    by_row: dict[tuple[str, int], list[_Offer]] = {}
    if beside is not None:
        by_row[beside.block, beside.y] = []
    for offer in offers:
        by_row.setdefault((offer.run[0].block, offer.run[0].y), []).append(offer)

    def nearness(offer: _Offer) -> tuple[float, int]:
        return min(map(layout.distance, offer.run)), offer.run[0].x

    rows: list[_Row] = []
    for block, y in sorted(by_row):
        if rows and (rows[-1].block, rows[-1].y + 1) != (block, y):
            yield rows
            rows = []
        nearest_last = sorted(by_row[block, y], key=nearness, reverse=True)
        seats = [seat for offer in nearest_last for seat in offer.run]
        begun = beside is not None and (beside.block, beside.y) == (block, y)
        if beside is not None and begun:
            seats.append(beside)
        distances = sorted(layout.distance(seat) for seat in seats)
        means = [total / number for number, total in enumerate(accumulate(distances), start=1)]
        most = sorted((offer.most for offer in nearest_last), reverse=True)
        rows.append(_Row(block, y, nearest_last, most, means, begun))
    if rows:
        yield rows


def _windows(series: Sequence[Sequence[_Row]], count: int, quantity: int) -> Iterator[Window]:
    """The windows that may have `quantity` seats in `count` blocks, the nearest ones first."""
    found = []
    for rows in series:
        if not _may_hold(rows, count, quantity, in_each=False):
            continue
        begun = [place for place, row in enumerate(rows) if row.begun]
        most = count + len(begun)
        starts = [
            start
            for start in range(len(rows))
            if _may_hold(rows[start : start + most], count, quantity, in_each=False)
        ]
        for length in range(1, min(most, len(rows)) + 1):
            share = ceil(quantity / length)
            means = (row.distances[min(share, len(row.distances)) - 1] for row in rows)
            totals = [0.0, *accumulate(means)]
            for start in starts:
                stop = start + length
                if stop <= len(rows) and all(start <= place < stop for place in begun):
                    mean = (totals[stop] - totals[start]) / length
                    found.append((mean, length, rows[start].y, rows[start:stop]))
    for *_, window in sorted(found, key=itemgetter(0, 1, 2)):
        if _may_hold(window, count, quantity, in_each=True):
            yield window


def _may_hold(rows: Window, count: int, quantity: int, *, in_each: bool) -> bool:
    """Whether the largest runs hold the party: a quick test that many windows fail."""
    first: list[int] = []
    rest: list[int] = []
    if quantity % 2 and not any(offer.odd for row in rows for offer in row.offers):
        return False
    for row in rows:
        in_row = 1 if in_each and not row.begun else 0
        first += row.most[:in_row]
        rest += row.most[in_row:]
    if len(first) > count:
        return False
    rest.sort(reverse=True)
    return sum(first) + sum(rest[: count - len(first)]) >= quantity


# --- sizes of blocks ------------------------------------------------------------------------


def _sizes(window: Window, count: int, quantity: int) -> list[tuple[_Offer, int]] | None:
    """How many seats to take of which runs, for `quantity` seats in `count` blocks.

    For each run it is noted which totals the runs before can have in each number of blocks, with
    the row begun (`used`) and not; then the way is followed back. It takes most from the runs
    nearest the middle, which come last.
    """
    limit = (2 << quantity) - 1
    complete = [1] + [0] * count  # with a block in each row so far
    steps = []
    for row in sorted(window, key=lambda row: -row.distances[0]):
        used = list(complete) if row.begun else [0] * (count + 1)
        row_steps = []
        for offer in row.offers:
            before = [done | begun for done, begun in zip(complete, used, strict=True)]
            row_steps.append((offer, complete, used))
            used = [
                used[blocks]
                | (_sums(before[blocks - 1], offer.one) if blocks >= 1 else 0)
                | (_sums(before[blocks - 2], offer.two) if blocks >= 2 else 0)
                for blocks in range(count + 1)
            ]
            used = [totals & limit for totals in used]
        steps.append(row_steps)
        complete = used
    if not complete[count] >> quantity & 1:
        return None
    return _followed_back(steps, count, quantity)


def _followed_back(
    steps: Sequence[Sequence[tuple[_Offer, list[Numbers], list[Numbers]]]], count: int, left: int
) -> list[tuple[_Offer, int]]:
    taken = []
    for row_steps in reversed(steps):
        for offer, complete, used in reversed(row_steps):
            for size in range(min(left, len(offer.run)), 0, -1):
                blocks = offer.blocks(size)
                if not 1 <= blocks <= count:
                    continue
                others = used[count - blocks] >> (left - size) & 1
                if others or complete[count - blocks] >> (left - size) & 1:
                    taken.append((offer, size))
                    count, left = count - blocks, left - size
                    break
            else:
                continue
            if not others:  # it is the first of its row
                break
    return taken


def _sums(numbers: Numbers, others: Numbers) -> Numbers:
    """Each of the numbers added to each of the others."""
    if numbers.bit_count() < others.bit_count():
        numbers, others = others, numbers
    sums = 0
    while others:
        lowest = others & -others
        sums |= numbers * lowest
        others ^= lowest
    return sums


def _blocks(layout: Layout, offer: _Offer, size: int) -> list[Run]:
    """The best place for one block of so many seats of a run; for two where one can't be."""
    run, parts = offer.run, layout.may_part(offer.run)
    if offer.blocks(size) == 1:
        blocks = [
            run[start : start + size]
            for start in range(len(run) - size + 1)
            if parts[start] and parts[start + size]
        ]
        return [min(blocks, key=layout.rank)]
    left_out = [
        [run[start:single], run[single + 1 : start + size + 1]]
        for start in range(len(run) - size)
        if parts[start] and parts[start + size + 1]
        for single in range(start + 1, start + size)
        if run[single].label not in layout.partners
    ]
    return min(left_out, key=lambda two: layout.rank([*two[0], *two[1]]))
