"""The seat map for staff: what stands in which line, and how far apart. No database."""

from collections.abc import Sequence
from typing import Any

import pytest

from booking_app.admin.forms import BlockForm
from booking_app.admin.room import BLOCK_NAMES, SIGNS, Block, blocks_of
from booking_app.catalog.models import BLOCKS, KINDS, STANDARD
from booking_app.catalog.seat_marks import KIND_NAMES


def a_row(label: str, xs: Sequence[int], *, block: str = "", y: int = 0) -> dict[str, Any]:
    seats = [{"number": str(number), "x": x} for number, x in enumerate(xs, start=1)]
    return {"label": label, "block": block, "y": y, "seats": seats}


def spaces(block: Block) -> list[list[int]]:
    return [[space for space, _ in line.seats] for line in block.lines]


def test_the_blocks_are_listed_one_after_the_other() -> None:
    """Each from its own left edge, so that one on the right is not far from its rows' names."""
    blocks = blocks_of(
        [
            a_row("A", [0, 2], block="Left"),
            a_row("B", [0, 2], block="Left", y=1),
            a_row("A", [7, 9], block="Right"),
            a_row("B", [6, 8], block="Right", y=1),
            a_row("C", [3, 5], y=2),
        ]
    )
    assert [block.name for block in blocks] == ["Left", "Right", ""]
    assert [[line.legend for line in block.lines] for block in blocks] == [
        ["Row A", "Row B"],
        ["Row A", "Row B"],
        ["Row C"],
    ]
    assert [spaces(block) for block in blocks] == [[[0, 0]] * 2, [[1, 0], [0, 0]], [[0, 0]]]


def test_spaces_are_in_half_seats_on_the_left_of_a_seat() -> None:
    (block,) = blocks_of([a_row("A", [5, 7, 11, 14]), a_row("B", [2, 4], y=1)])
    assert spaces(block) == [[3, 0, 2, 1], [0, 0]]


def test_a_walkway_is_before_the_row_behind_it() -> None:
    left, right = blocks_of(
        [
            *(a_row(str(y), [0], block="Left", y=y) for y in (3, 4, 6, 7)),
            *(a_row(str(y), [4], block="Right", y=y) for y in (3, 5)),
        ]
    )
    assert [line.behind_walkway for line in left.lines] == [False, False, True, False]
    assert [line.behind_walkway for line in right.lines] == [False, True]


@pytest.mark.parametrize(
    ("seats", "legends"),
    [
        (1, ["Seat 1"]),
        (25, ["Seats 1 to 25"]),
        (53, ["Seats 1 to 18", "Seats 19 to 36", "Seats 37 to 53"]),
    ],
)
def test_the_short_form_is_broken_into_lines(seats: int, legends: list[str]) -> None:
    (block,) = blocks_of([a_row("", [2 * n for n in range(seats)])])
    assert [line.legend for line in block.lines] == legends
    assert not any(line.behind_walkway for line in block.lines)
    numbers = [seat["number"] for line in block.lines for _, seat in line.seats]
    assert numbers == [str(number) for number in range(1, seats + 1)]


def test_every_kind_of_seat_has_a_sign_and_a_name() -> None:
    assert SIGNS.keys() == KIND_NAMES.keys() == {*KINDS} - {STANDARD}
    assert len(set(SIGNS.values())) == len(SIGNS)


def test_every_kind_of_block_has_a_name_and_can_be_chosen() -> None:
    assert BLOCK_NAMES.keys() == {*BLOCKS}
    assert [kind for kind, *_ in BlockForm().kind.iter_choices()] == [*BLOCKS]
