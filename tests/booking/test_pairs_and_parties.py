"""Pairs, companion seats and parties: the pure functions, over many rooms."""

from collections.abc import Collection
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking_app.booking.seat_choice import (
    Seat,
    best_blocks,
    companions_without_wheelchair,
    largest_block,
    partners,
    single_gaps,
)
from booking_app.booking.seat_parties import best_party
from booking_app.catalog.neighbours import missing_partners
from tests.booking.test_best_available import (
    are_neighbours,
    has_pairs,
    lone_seats,
    open_seats,
    other_half,
    room_of,
    rooms,
    whole_pairs,
)

# --- pairs ----------------------------------------------------------------------------------


def test_pair_seats_side_by_side_are_paired_from_the_left_whoever_owns_them() -> None:
    room = room_of("hhHHhh|hh", ".hhc")
    assert {a: b for a, b in partners(room).items() if a < b} == {
        "A1": "A2",
        "A3": "A4",
        "A5": "A6",
        "A7": "A8",
        "B2": "B3",
    }
    assert all(partners(room)[b] == a for a, b in partners(room).items())
    assert partners(room_of("hhh")) == {"A1": "A2", "A2": "A1"}  # the third has no other


@pytest.mark.parametrize(
    ("chosen", "missing"),
    [
        ({"A1"}, ["A2"]),
        ({"A4"}, ["A3"]),
        ({"A2", "A3"}, ["A1", "A4"]),
        ({"A1", "A2"}, []),
        ({"A5"}, []),
        (set(), []),
    ],
)
def test_one_seat_of_a_pair_needs_the_other(chosen: set[str], missing: list[str]) -> None:
    assert missing_partners(room_of("hhhh."), chosen) == missing


@given(rooms, st.data())
def test_split_pairs_are_what_is_missing(room: list[Seat], data: st.DataObject) -> None:
    chosen = set(data.draw(st.lists(st.sampled_from([seat.label for seat in room]))))
    missing = missing_partners(room, chosen)
    assert chosen.isdisjoint(missing)
    assert whole_pairs(room, chosen | set(missing))
    assert (not missing) == whole_pairs(room, chosen)
    for place, seat in enumerate(room):
        other = other_half(room, place)
        assert partners(room).get(seat.label) == (None if other is None else room[other].label)


@pytest.mark.parametrize(
    ("room", "quantity", "blocks"),
    [
        (room_of("hhhh"), 1, []),
        (room_of("hhhh"), 2, [["A1", "A2"], ["A3", "A4"]]),
        (room_of("hhhh"), 3, []),
        (room_of("hhhh"), 4, [["A1", "A2", "A3", "A4"]]),
        (room_of("hhHh"), 2, [["A1", "A2"]]),  # the last lacks its other half
        (room_of(".hh", "..."), 3, [["B1", "B2", "B3"], ["A1", "A2", "A3"]]),
        (room_of(".hh", "x.x"), 3, [["A1", "A2", "A3"]]),  # nothing else is left for three
        (room_of("pphh"), 4, [["A1", "A2", "A3", "A4"]]),
    ],
)
def test_best_available_gives_pairs_whole(
    room: list[Seat], quantity: int, blocks: list[list[str]]
) -> None:
    assert best_blocks(room, quantity) == blocks


# --- wheelchair places and companions -------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "chosen", "own", "refused"),
    [
        ("cwc", {"A1"}, set(), ["A1"]),
        ("cwc", {"A1", "A2"}, set(), []),
        ("cwc", {"A1", "A3"}, {"A2"}, []),
        ("ccw", {"A1"}, {"A3"}, []),
        ("cw|cw", {"A3"}, {"A2"}, ["A3"]),  # the account's wheelchair place is across the aisle
        ("cWc", {"A1", "A3"}, set(), ["A1", "A3"]),  # another's
        ("cWcw", {"A1"}, {"A4"}, []),
        ("c.w", {"A1", "A3"}, set(), ["A1"]),
        ("..w", {"A1"}, set(), []),
    ],
)
def test_a_companion_seat_goes_with_a_wheelchair_place_of_its_run(
    room: str, chosen: set[str], own: set[str], refused: list[str]
) -> None:
    assert companions_without_wheelchair(room_of(room), chosen, own) == refused


@pytest.mark.parametrize(
    ("room", "quantity", "accessible", "best"),
    [
        ("wc....", 2, 0, ["A3", "A4"]),  # A4 and A5 would leave A3 alone
        ("wc.c", 1, 1, ["A1"]),
        (".wc.", 2, 1, ["A2", "A3"]),  # companions first
        ("cwc.", 3, 1, ["A1", "A2", "A3"]),
        (".w..", 2, 1, ["A1", "A2"]),  # A2 and A3 would leave A4 alone
        ("cCw.", 2, 1, ["A3", "A4"]),
        ("cwwc", 4, 2, ["A1", "A2", "A3", "A4"]),
        ("ww", 2, 1, None),  # the second place is for another wheelchair
        ("w.c", 3, 1, None),  # the companion seat goes with no place
        ("w.cw", 2, 1, ["A3", "A4"]),
        ("whhh", 3, 1, ["A1", "A2", "A3"]),
        ("whh.", 2, 1, None),
        ("wcx", 3, 1, None),
        ("...", 2, 1, None),
        ("wc", 1, 2, None),
    ],
)
def test_wheelchair_places_are_given_to_who_asks(
    room: str, quantity: int, accessible: int, best: list[str] | None
) -> None:
    blocks = best_blocks(room_of(room), quantity, accessible=accessible)
    assert next(iter(blocks), None) == best


def test_companion_seats_are_given_before_a_lone_seat_is_avoided() -> None:
    assert best_blocks(room_of("..w..", "cw..x"), 2, accessible=1)[0] == ["B1", "B2"]
    assert best_blocks(room_of("cw.xx", "xxcwc"), 3, accessible=1)[0] == ["B3", "B4", "B5"]


def test_a_category_is_that_of_all_but_the_wheelchair_places() -> None:
    room = room_of("wpp", "w..", "cwp")
    assert best_blocks(room, 2, category="premium", accessible=1) == [["C2", "C3"], ["A1", "A2"]]
    assert largest_block(room, category="standard", accessible=1) == 3
    assert largest_block(room_of("wcp"), category="premium", accessible=1) == 1


def accessible_blocks(room: list[Seat], quantity: int, accessible: int) -> set[tuple[str, ...]]:
    """Every such block, found by trying all stretches of the room."""
    found = set()
    for start in range(len(room) - quantity + 1):
        block = room[start : start + quantity]
        labels = tuple(seat.label for seat in block)
        if (
            all(seat.free for seat in block)
            and all(are_neighbours(*two) for two in pairwise(block))
            and sum(seat.kind == "wheelchair" for seat in block) == accessible
            and whole_pairs(room, labels)
            and not companions_without_wheelchair(room, labels, ())
        ):
            found.add(labels)
    return found


@given(rooms, st.integers(1, 5), st.integers(1, 2))
def test_every_block_with_wheelchair_places_is_offered_companions_first(
    room: list[Seat], quantity: int, accessible: int
) -> None:
    offered = best_blocks(room, quantity, accessible=accessible)
    assert {tuple(block) for block in offered} == accessible_blocks(room, quantity, accessible)
    assert len(offered) == len({tuple(block) for block in offered})
    companions = {seat.label for seat in room if seat.kind == "companion"}
    before = lone_seats(room, set())
    ranks = [
        (
            quantity % 2 == 1 and has_pairs(room, block),
            -len(companions & set(block)),
            bool(lone_seats(room, set(block)) - before),
        )
        for block in offered
    ]
    assert ranks == sorted(ranks)
    assert largest_block(room, accessible=accessible) == max(
        (size for size in range(1, 21) if accessible_blocks(room, size, accessible)), default=0
    )
    if offered:
        assert single_gaps(room, set(offered[0])) == []


def test_wheelchair_and_companion_places_neither_cause_nor_end_a_single_gap() -> None:
    row = room_of("w....w", "......")
    assert single_gaps(row, {"A5", "A4"}) == []  # A6 is no lone seat
    assert single_gaps(row, {"A4", "A3"}) == ["A2", "A5"]
    assert single_gaps(room_of("..c", "..."), {"A2"}) == ["A1"]
    assert single_gaps(room_of("..wc.."), {"A3", "A4"}) == []
    assert single_gaps(room_of("w.w", "..."), {"A1", "A3"}) == []


def test_a_pair_is_no_way_out_for_one_seat() -> None:
    assert single_gaps(room_of("..", "hh"), {"A1"}) == []
    assert single_gaps(room_of("..", "..."), {"A1"}) == ["A2"]
    assert single_gaps(room_of("...", "hhx"), {"A1", "A2"}) == ["A3"]


# --- parties --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "quantity", "party"),
    [
        # Two blocks in adjoining rows, in one row, and never across a walkway or two rows.
        (room_of("xxx", "..x", "..x"), 4, ["B1", "B2", "C1", "C2"]),
        (room_of("..x.."), 4, ["A1", "A2", "A4", "A5"]),
        (room_of("..|.."), 4, ["A1", "A2", "A3", "A4"]),
        (room_of("..", "-", ".."), 4, None),
        (room_of("..", "xx", ".."), 4, None),
        (room_of("..", "=", ".."), 4, None),
        (room_of("..", "=", "..", ".."), 4, ["Rear B1", "Rear B2", "Rear C1", "Rear C2"]),
        # None of one seat where that can be had; otherwise rather one than a block more.
        (room_of("...x", "xxx.", "..x."), 4, ["A1", "A2", "A3", "B4"]),
        (room_of("...", "..x"), 4, ["A1", "A2", "B1", "B2"]),
        (room_of("...", "x.x"), 4, ["A1", "A2", "A3", "B2"]),
        (room_of("...|.", "..x.."), 5, ["A1", "A2", "A3", "B1", "B2"]),
        # Pairs whole
        (room_of("hh", "hh"), 4, ["A1", "A2", "B1", "B2"]),
        (room_of("hh", "hh"), 3, None),
        (room_of("hh.hh"), 4, ["A1", "A2", "A4", "A5"]),
        (room_of("hhx...", "-", "xx..xx"), 5, ["A1", "A2", "A4", "A5", "A6"]),
        (room_of("hhx...", "xx..xx"), 5, ["A4", "A5", "A6", "B3", "B4"]),
        # No wheelchair and companion places
        (room_of("..wc", "..wc", "xxxx"), 4, ["A1", "A2", "B1", "B2"]),
        (room_of("..wc", "x.wc"), 4, None),
        # No lone seat where that can be had
        (room_of("...", "...", "...."), 5, ["B1", "B2", "B3", "C1", "C2"]),
        (room_of("..", ".."), 5, None),
        (room_of("xx"), 2, None),
    ],
)
def test_parties(room: list[Seat], quantity: int, party: list[str] | None) -> None:
    assert best_party(room, quantity) == party


def test_a_party_sits_near_the_middle() -> None:
    room = room_of(*["...|...|..."] * 6)
    assert best_party(room, 6) == ["C4", "C5", "C6", "D4", "D5", "D6"]
    assert best_party(room_of("...", "...", "ppp", "ppp"), 6, category="premium") == [
        f"{row}{number}" for row in "CD" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("room", "quantity", "accessible", "party"),
    [
        (room_of("wcxx", "..xx"), 4, 1, ["A1", "A2", "B1", "B2"]),
        (room_of("wc.x", "..xx"), 4, 1, ["A1", "A2", "B1", "B2"]),  # three would leave one
        (room_of("wc.x", ".xxx"), 4, 1, ["A1", "A2", "A3", "B1"]),
        (room_of("wcxx", "xxxx", "..xx"), 4, 1, None),
        (room_of("wcxx", "=", "..xx"), 4, 1, None),
        (room_of("wx..", "xxxx"), 3, 1, ["A1", "A3", "A4"]),
        (room_of("wxw.", "...."), 4, 2, None),  # they are not side by side
        (room_of("ww..", "xxxx", "...."), 5, 2, None),
        (room_of("wwxx", "..xx"), 4, 2, ["A1", "A2", "B1", "B2"]),
        (room_of("wwxx", "..xx"), 3, 1, ["A2", "B1", "B2"]),
    ],
)
def test_one_block_of_a_party_has_the_wheelchair_places(
    room: list[Seat], quantity: int, accessible: int, party: list[str] | None
) -> None:
    assert best_party(room, quantity, accessible=accessible) == party


def blocks_of(room: list[Seat], labels: Collection[str]) -> list[list[Seat]]:
    """The chosen seats, those side by side together."""
    blocks: list[list[Seat]] = []
    for seat in room:
        if seat.label in labels:
            if blocks and are_neighbours(blocks[-1][-1], seat):
                blocks[-1].append(seat)
            else:
                blocks.append([seat])
    return blocks


def adjoin(blocks: list[list[Seat]]) -> bool:
    """Whether the blocks are in adjoining rows of one block of the hall."""
    rows = sorted({block[0].y for block in blocks})
    return len({block[0].block for block in blocks}) == 1 and rows[-1] - rows[0] < len(rows)


def how_good(room: list[Seat], labels: Collection[str]) -> tuple[int, bool, bool, bool]:
    """The less, the better: how many blocks, one of one seat, pairs to an odd party, lone seats."""
    blocks = blocks_of(room, labels)
    return (
        len(blocks),
        any(len(block) == 1 for block in blocks),
        len(labels) % 2 == 1 and has_pairs(room, labels),
        bool(lone_seats(room, set(labels)) - lone_seats(room, set())),
    )


halls = st.lists(
    st.one_of(
        st.sampled_from(["-", "="]),
        st.lists(
            st.sampled_from([".", ".", "..", "x", "x", "|", "w", "hh", "HH", "hH"]),
            min_size=1,
            max_size=5,
        ).map(lambda row: "".join(row).strip("|") or "x"),
    ),
    min_size=1,
    max_size=6,
).map(lambda rows: room_of("x", *rows))


@given(halls, st.integers(1, 7))
def test_a_party_has_the_fewest_blocks_and_none_of_one_seat_where_that_can_be_had(
    room: list[Seat], quantity: int
) -> None:
    """Compared with every choice of as many seats of the room."""
    free = [seat.label for seat in room if seat.label in open_seats(room)][:13]
    room = [seat if seat.label in free else replace(seat, free=False) for seat in room]
    choices = [
        how_good(room, labels)
        for labels in combinations([label for label in free if label in open_seats(room)], quantity)
        if whole_pairs(room, labels) and adjoin(blocks_of(room, labels))
    ]
    party = best_party(room, quantity)
    assert (party is None) == (not choices)
    if party is not None:
        assert len(party) == len(set(party)) == quantity
        assert open_seats(room).issuperset(party)
        assert whole_pairs(room, party)
        assert adjoin(blocks_of(room, party))
        assert how_good(room, party) == min(choices)
        assert party == [seat.label for seat in room if seat.label in party]


@given(rooms, st.integers(2, 12), st.integers(1, 2))
def test_a_party_with_wheelchair_places_keeps_the_rules(
    room: list[Seat], quantity: int, accessible: int
) -> None:
    party = best_party(room, quantity, accessible=accessible)
    if party is None:
        return
    assert len(party) == len(set(party)) == quantity
    assert all(seat.free for seat in room if seat.label in party)
    assert whole_pairs(room, party)
    assert companions_without_wheelchair(room, party, ()) == []
    blocks = blocks_of(room, party)
    assert adjoin(blocks)
    wheelchairs = [sum(seat.kind == "wheelchair" for seat in block) for block in blocks]
    assert sorted(wheelchairs)[-1] == sum(wheelchairs) == accessible
