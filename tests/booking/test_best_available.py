"""Best available and single gaps: the pure functions, over many rooms."""

from collections.abc import Callable, Collection
from dataclasses import fields, replace
from functools import partial
from itertools import combinations, count, pairwise

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from booking_app.booking import service
from booking_app.booking.seat_choice import Seat, best_blocks, largest_block, single_gaps, stretches
from booking_app.booking.seats import NoAdjacentSeats
from booking_app.catalog.seat_plans import PlanRow, PlanSeat, plan_seats
from tests.conftest import Caller
from tests.promise import at_once, broken_promises
from tests.wrong import wrong

KINDS = {"w": "wheelchair", "c": "companion", "h": "pair"}


def room_of(*rows_: str) -> list[Seat]:
    """`.` available, `x` taken, `p` a premium seat, `w` a wheelchair place, `c` a companion seat,
    `hh` a pair, in capitals where they are taken; `|` an aisle. A row `-` is a walkway, and behind
    a row `=` begins the block Rear of the hall."""
    plan: list[PlanRow] = []
    labels, block = iter("ABCDEFGH"), ""
    for row in rows_:
        if row == "-":
            plan[-1] = replace(plan[-1], walkway=True)
        elif row == "=":
            block = "Rear"
        else:
            numbers = count(1)
            seats = [
                None
                if sign == "|"
                else PlanSeat(
                    str(next(numbers)),
                    "premium" if sign == "p" else "standard",
                    KINDS.get(sign.lower(), "standard"),
                )
                for sign in row
            ]
            plan.append(PlanRow(next(labels), tuple(seats), block))
    signs = "".join(rows_).translate(dict.fromkeys(map(ord, "|-=")))
    return [
        Seat(
            **{f.name: getattr(seat, f.name) for f in fields(seat) if f.name != "number"},
            free=sign not in "xWCH",
        )
        for seat, sign in zip(plan_seats(plan), signs, strict=True)
    ]


def are_neighbours(left: Seat, right: Seat) -> bool:
    return left.row_label == right.row_label and right.x == left.x + 2


@pytest.mark.parametrize(
    ("room", "quantity", "best"),
    [
        (room_of("....."), 1, ["A3"]),
        (room_of("......"), 2, ["A3", "A4"]),
        (room_of(".....", ".....", "....."), 3, ["B1", "B2", "B3"]),  # B2-B4 would leave two alone
        (room_of(".......", ".......", "......."), 3, ["B3", "B4", "B5"]),
        (room_of("xx.xx", "....", "xxxx"), 1, ["A3"]),  # was alone; B2 would leave B1 alone
        (room_of("..|.."), 2, ["A1", "A2"]),
        (room_of(".|..|."), 2, ["A2", "A3"]),
        (room_of("w.....w"), 2, ["A2", "A3"]),  # A3 and A4 would leave A2 alone
        (room_of("wwxx.."), 2, ["A5", "A6"]),
        (room_of("...."), 3, ["A1", "A2", "A3"]),  # leaves one alone, which can't be helped
    ],
)
def test_examples(room: list[Seat], quantity: int, best: list[str]) -> None:
    assert best_blocks(room, quantity)[0] == best


def test_of_a_category() -> None:
    room = room_of("....", "pppp", "....")
    assert best_blocks(room, 2, category="premium")[0] == ["B1", "B2"]
    assert best_blocks(room, 2, category="standard")[0][0][0] in "AC"
    assert best_blocks(room, 2, category="vip") == []
    assert largest_block(room, category="premium") == 4
    assert largest_block(room_of("..pp.."), category="standard") == 2
    assert largest_block(room_of("xx")) == 0


# A pair whose other half is taken was sold by halves once.
signs = st.lists(
    st.sampled_from([".", ".", ".", "x", "w", "c", "C", "p", "|", "hh", "hh", "HH", "hH"]),
    min_size=1,
    max_size=10,
).map(lambda row: "".join(row).strip("|") or ".")
rooms = st.lists(signs, min_size=1, max_size=5).map(lambda rows: room_of(*rows))
quantities = st.integers(1, 6)


def other_half(room: list[Seat], place: int) -> int | None:
    """Where the other half of a pair is, by counting the pair seats on the left."""
    before = place
    while (
        before > 0
        and room[before - 1].kind == "pair"
        and are_neighbours(room[before - 1], room[before])
    ):
        before -= 1
    return None if room[place].kind != "pair" else place + (-1 if (place - before) % 2 else 1)


def open_seats(room: list[Seat]) -> set[str]:
    """Those that anybody may take: no place for wheelchairs or companions, no half of a pair."""
    return {
        seat.label
        for place, seat in enumerate(room)
        if seat.free
        and seat.kind in ("standard", "pair")
        and ((other := other_half(room, place)) is None or room[other].free)
    }


def whole_pairs(room: list[Seat], labels: Collection[str]) -> bool:
    return all(
        room[other].label in labels
        for place, seat in enumerate(room)
        if seat.label in labels and (other := other_half(room, place)) is not None
    )


def brute_force(room: list[Seat], quantity: int) -> set[tuple[str, ...]]:
    """Every block, found by trying all stretches of the room."""
    found = set()
    may_be_taken = open_seats(room)
    for start in range(len(room) - quantity + 1):
        block = room[start : start + quantity]
        labels = tuple(seat.label for seat in block)
        if (
            may_be_taken.issuperset(labels)
            and all(are_neighbours(*two) for two in pairwise(block))
            and whole_pairs(room, labels)
        ):
            found.add(labels)
    return found


def lone_seats(room: list[Seat], taken: set[str]) -> set[str]:
    """Open seats with no open neighbour, by looking at each seat's two neighbours."""
    lone = set()
    may_be_taken = open_seats(room) - taken
    free = [seat.label in may_be_taken for seat in room]
    for i, seat in enumerate(room):
        left = i > 0 and are_neighbours(room[i - 1], seat) and free[i - 1]
        right = i + 1 < len(room) and are_neighbours(seat, room[i + 1]) and free[i + 1]
        if free[i] and not left and not right:
            lone.add(seat.label)
    return lone


@given(rooms, quantities)
def test_every_block_and_nothing_else_is_offered(room: list[Seat], quantity: int) -> None:
    offered = best_blocks(room, quantity)
    assert {tuple(block) for block in offered} == brute_force(room, quantity)
    assert len(offered) == len({tuple(block) for block in offered})
    assert largest_block(room) == max(
        (size for size in range(1, 21) if brute_force(room, size)), default=0
    )


def has_pairs(room: list[Seat], labels: Collection[str]) -> bool:
    return any(seat.kind == "pair" for seat in room if seat.label in labels)


@given(rooms, quantities)
def test_pairs_to_an_odd_party_last_then_no_lone_seat_then_the_middle(
    room: list[Seat], quantity: int
) -> None:
    before = lone_seats(room, set())
    middle = (max(seat.x for seat in room) + min(seat.x for seat in room)) / 2
    last_row = max(seat.y for seat in room)
    by_label = {seat.label: seat for seat in room}

    def rank(block: list[str]) -> tuple[bool, bool, float]:
        first, last = by_label[block[0]], by_label[block[-1]]
        across = ((first.x + last.x) / 2 - middle) / 2
        deep = first.y - last_row / 2
        gaps = bool(lone_seats(room, set(block)) - before)
        return quantity % 2 == 1 and has_pairs(room, block), gaps, across**2 + deep**2

    ranks = [rank(block) for block in best_blocks(room, quantity)]
    assert ranks == sorted(ranks)


@given(rooms, st.data())
def test_single_gaps_are_the_seats_newly_left_alone_unless_it_cannot_be_helped(
    room: list[Seat], data: st.DataObject
) -> None:
    free = [seat.label for seat in room if seat.label in open_seats(room)]
    if not free:
        return
    chosen = set(data.draw(st.lists(st.sampled_from(free), min_size=1, max_size=4, unique=True)))
    left = lone_seats(room, chosen) - lone_seats(room, set())
    kinds = {seat.category for seat in room if seat.label in chosen}
    by_label = {seat.label: seat for seat in room}

    def avoidable(size: int) -> bool:
        """Where pairs go to an odd party for want of others only, they are no way out."""
        blocks = [
            block
            for block in brute_force(room, size)
            if all(by_label[label].category in kinds for label in block)
        ]
        if size % 2:
            blocks = [block for block in blocks if not has_pairs(room, block)] or blocks
        return any(not lone_seats(room, set(block)) - lone_seats(room, set()) for block in blocks)

    # The groups of chosen seats, found by walking along the room
    groups: list[list[int]] = []
    for i, seat in enumerate(room):
        if seat.label not in chosen:
            continue
        if groups and groups[-1][-1] == i - 1 and are_neighbours(room[i - 1], seat):
            groups[-1].append(i)
        else:
            groups.append([i])
    expected = {
        room[i].label
        for i in range(len(room))
        if room[i].label in left
        and any(
            avoidable(len(group))
            for group in groups
            if (group[0] - 1 == i and are_neighbours(room[i], room[i + 1]))
            or (group[-1] + 1 == i and are_neighbours(room[i - 1], room[i]))
        )
    }
    assert set(single_gaps(room, chosen)) == expected


def test_a_choice_longer_than_any_row_does_not_turn_the_rule_off() -> None:
    room = room_of(".....", ".....", ".....", ".....")
    chosen = {"A2", "A4", "B2", "B4", "C2", "C4"}
    assert set(single_gaps(room, chosen)) == {f"{row}{n}" for row in "ABC" for n in (1, 3, 5)}


@given(rooms, quantities, st.sampled_from([None, "standard", "premium"]))
def test_the_best_block_is_never_refused_for_a_gap(
    room: list[Seat], quantity: int, category: str | None
) -> None:
    blocks = best_blocks(room, quantity, category=category)
    if blocks:
        assert single_gaps(room, set(blocks[0])) == []


def test_runs_end_at_aisles_rows_and_taken_seats() -> None:
    found = stretches(room_of("..x.|..", ".."), lambda seat: seat.free)
    assert [[seat.label for seat in run] for run in found] == [
        ["A1", "A2"],
        ["A4"],
        ["A5", "A6"],
        ["B1", "B2"],
    ]


# --- through the service --------------------------------------------------------------------


def test_best_available_through_the_api(alice: Caller, make_show: Callable[..., int]) -> None:
    show = f"/api/shows/{make_show(total_seats=10)}"
    assert alice.post(f"{show}/book/", {"quantity": 2}).json["seat_numbers"] == ["5", "6"]
    assert alice.post(f"{show}/book/", {"quantity": 4}).json["seat_numbers"] == ["1", "2", "3", "4"]
    refused = alice.post(f"{show}/hold/", {"quantity": 5})
    assert (refused.status_code, refused.json["code"]) == (409, "no_adjacent_seats")
    assert refused.json["largest_block"] == 4
    unknown = alice.post(f"{show}/book/", {"quantity": 1, "category": "vip"})
    assert list(wrong(unknown)) == ["/category"]
    alice.post(f"{show}/book/", {"quantity": 4, "category": "standard"})
    sold_out = alice.post(f"{show}/book/", {"quantity": 1})
    assert (sold_out.status_code, sold_out.json["code"]) == (409, "sold_out")


@pytest.mark.parametrize("path", ["book", "hold"])
def test_no_single_gaps_is_one_rule_on_every_path(
    staff: Caller, alice: Caller, make_show: Callable[..., int], path: str
) -> None:
    show = f"/api/shows/{make_show(total_seats=7)}"
    assert staff.patch(f"{show}/", {"no_single_gaps": True}).json["no_single_gaps"] is True
    for seats, alone in ((["2"], ["1"]), (["1", "3"], ["2"]), (["6", "5"], ["7"])):
        refused = alice.post(f"{show}/{path}/", {"seat_numbers": seats})
        assert (refused.status_code, refused.json["code"]) == (409, "single_gap")
        assert refused.json["seats"] == alone
    best = alice.post(f"{show}/{path}/", {"quantity": 3})
    assert best.json["seat_numbers"] == ["3", "4", "5"]
    # 1, 2 and 6, 7 are left: one seat can only be had by leaving its neighbour alone.
    assert alice.post(f"{show}/{path}/", {"seat_number": "1"}).status_code == 201


@pytest.mark.promise
def test_two_at_once_leave_no_single_gap_between_them(
    app: Flask, alice: Caller, bob: Caller, make_show: Callable[..., int]
) -> None:
    """Each may have their seats of these seven; both together would leave the 3 alone."""
    for _ in range(20):
        show = make_show(total_seats=7, no_single_gaps=True)
        outcomes = at_once(
            app,
            partial(service.book, user_id=alice.id, show_id=show, seat_numbers=["1", "2"]),
            partial(service.book, user_id=bob.id, show_id=show, seat_numbers=["4", "5"]),
        )
        assert sorted(outcomes) == ["done", "single_gap"]


@pytest.mark.promise
def test_sixty_four_at_once_get_different_seats_while_a_block_is_left(
    app: Flask, make_caller: Callable[..., Caller], make_show: Callable[..., int]
) -> None:
    """500 seats, 64 callers of 7 each: 448 seats. Nobody is refused, and no seat is given twice."""
    import threading

    show = make_show(total_seats=500)
    users = [make_caller(f"caller{n}").id for n in range(8)]
    outcomes: list[object] = []
    together = threading.Barrier(64)

    def take(user_id: int) -> None:
        with app.app_context():
            together.wait()
            try:
                booking = service.book(user_id=user_id, show_id=show, quantity=7)
                outcomes.append(booking.labels)
            except BaseException as error:
                outcomes.append(error)

    threads = [threading.Thread(target=take, args=(users[n % 8],)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    blocks = [set(outcome) for outcome in outcomes if isinstance(outcome, list)]
    assert len(blocks) == 64, [o for o in outcomes if not isinstance(o, list)][:3]
    assert all(not a & b for a, b in combinations(blocks, 2))
    assert broken_promises() == []


@pytest.mark.promise
def test_the_last_blocks_are_waited_for(
    app: Flask, make_caller: Callable[..., Caller], make_show: Callable[..., int]
) -> None:
    """Ten callers for exactly ten blocks: whoever finds all of them in others' hands waits."""
    import threading

    users = [make_caller(f"caller{n}").id for n in range(10)]
    for _ in range(3):
        show = make_show(total_seats=20)
        barrier = threading.Barrier(10)
        outcomes: list[object] = []

        def take(user_id: int, show=show, barrier=barrier, outcomes=outcomes) -> None:
            with app.app_context():
                barrier.wait()
                try:
                    service.book(user_id=user_id, show_id=show, quantity=2)
                    outcomes.append("booked")
                except NoAdjacentSeats as error:
                    # Possible only where blocks begin at odd places; then two seats are apart.
                    outcomes.append(error.code)

        threads = [threading.Thread(target=take, args=(user,)) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 10
        assert set(outcomes) <= {"booked", "no_adjacent_seats"}
        assert outcomes.count("booked") >= 7
        assert broken_promises() == []
