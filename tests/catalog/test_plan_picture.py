"""The picture of a seat plan: where its blocks, names and seats stand. No database."""

import json
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from booking_app.catalog import venue_schemas
from booking_app.catalog.seat_marks import BAND, SEAT, TEXT, text_width
from booking_app.catalog.seat_picture import HALF_SEAT, HEADING_SIZE, ROW_PITCH, plan_picture
from booking_app.catalog.seat_plans import PlanRow, PlanSeat, plan_seats, read_plan
from tests.serving import ROOT

SVG = "{http://www.w3.org/2000/svg}"
PLANS = sorted((ROOT / "tests" / "plans").glob("*.json"))
READ = venue_schemas.PlanRow(many=True)

Box = tuple[float, float, float, float]  # left, top, right, bottom


def a_plan(*rows: dict[str, Any]) -> tuple[PlanRow, ...]:
    return read_plan(READ.load(rows))


class Drawn:
    """What a picture of a plan has, by where it stands among its seats."""

    def __init__(self, plan: Sequence[PlanRow]) -> None:
        self.picture = ET.fromstring(plan_picture(plan))
        self.depth = SEAT + (
            1 + BAND if len({seat.category for seat in plan_seats(plan)}) > 1 else 0
        )
        self.seats: dict[str, tuple[int, int]] = {}
        self.headings: dict[str, tuple[int, int]] = {}
        self.labels: list[tuple[str, str, int, int]] = []  # with the text-anchor
        placed = self.picture[-1]
        for element in placed.iter():
            title = element.find(f"{SVG}title")
            if title is not None:
                x, y = re.findall(r"\d+", element.get("transform", ""))
                self.seats[(title.text or "").split(",")[0]] = int(x), int(y)
            elif element.tag == f"{SVG}text" and element.get("font-weight") == "bold":
                self.headings[element.text or ""] = at(element)
            elif element.get("text-anchor") in ("start", "end"):
                self.labels.append(
                    (element.text or "", element.get("text-anchor", ""), *at(element))
                )

    def boxes(self) -> list[Box]:
        """All that must not lie over each other."""
        boxes: list[Box] = [(x, y, x + SEAT, y + self.depth) for x, y in self.seats.values()]
        for name, (x, y) in self.headings.items():
            half = text_width(name) * HEADING_SIZE / TEXT / 2
            boxes.append((x - half, y - HEADING_SIZE, x + half, y + 4))
        for label, anchor, x, y in self.labels:
            left = x - text_width(label) if anchor == "end" else x
            boxes.append((left, y - TEXT, left + text_width(label), y + 4))
        return boxes


def at(element: ET.Element) -> tuple[int, int]:
    return int(element.get("x", "")), int(element.get("y", ""))


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def row(label: str, seats: object = 4, **kwargs: Any) -> dict[str, Any]:
    return {"label": label, "seats": seats, **kwargs}


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_is_drawn_with_all_its_seats(path: Path) -> None:
    plan = json.loads(path.read_text())
    drawn = Drawn(a_plan(*plan["rows"]))
    assert list(drawn.seats) == [seat["seat_number"] for seat in plan["seats"]]
    names = [row["label"] for row in plan["rows"]]
    assert sorted(label for label, *_ in drawn.labels) == sorted(names * 2)
    assert drawn.headings.keys() == {row.get("block", "") for row in plan["rows"]} - {""}


def test_there_are_plans() -> None:
    assert len(PLANS) == 4


def test_it_says_how_many_seats_and_rows_there_are() -> None:
    def description(*rows: dict[str, Any]) -> str | None:
        return Drawn(a_plan(*rows)).picture.findtext(f"{SVG}desc")

    assert description(row("A", 1)) == "1 seat in 1 row. The screen is at the top."
    # Two rows of the same label in blocks beside each other are two rows.
    assert description(row("A", block="Left"), row("A", block="Right", beside="Left")) == (
        "8 seats in 2 rows. The screen is at the top."
    )


def test_the_name_of_a_block_stands_above_the_middle_of_its_first_row() -> None:
    drawn = Drawn(
        a_plan(
            row("A", 6, block="Stalls"),
            row("B", 6, block="Stalls"),
            row("A", 3, block="Balcony", offset=4),
        )
    )
    for block in ("Stalls", "Balcony"):
        x, y = drawn.headings[block]
        first = [drawn.seats[seat] for seat in drawn.seats if seat.startswith(f"{block} A")]
        assert x == (first[0][0] + first[-1][0] + SEAT) // 2
        assert first[0][1] - ROW_PITCH / 2 < y < first[0][1]
    assert drawn.headings["Balcony"][1] > drawn.seats["Stalls B1"][1] + ROW_PITCH


def test_blocks_behind_each_other_are_set_apart_with_and_without_names() -> None:
    drawn = Drawn(a_plan(row("A", block="Stalls"), row("B", block="Stalls"), row("C"), row("D")))
    a, b, c, d = (y for _, y in sorted(drawn.seats.values(), key=lambda seat: seat[1])[::4])
    assert b - a == d - c == ROW_PITCH
    assert c - b > ROW_PITCH


def test_blocks_beside_each_other_keep_their_own_labels() -> None:
    """Level rows, each with its label at both ends, between the blocks too."""
    drawn = Drawn(
        a_plan(
            row("A", block="Left"),
            row("B", block="Left", walkway=True),
            row("C", block="Left"),
            row("A", block="Middle", beside="Left"),
            row("Loge 1", block="Middle"),
            row("A", block="Right", beside="Middle"),
            row("A", 30, block="Behind"),
        )
    )
    fronts = [drawn.seats[f"{block} A1"] for block in ("Left", "Middle", "Right")]
    assert len({y for _, y in fronts}) == 1
    assert [x for x, _ in fronts] == sorted(x for x, _ in fronts)
    level = sorted((x, anchor) for label, anchor, x, y in drawn.labels if y == fronts[0][1] + 17)
    assert [anchor for _, anchor in level] == ["end", "start"] * 3
    assert drawn.seats["Left C1"][1] - drawn.seats["Left B1"][1] == 2 * ROW_PITCH

    # The room that the labels take moves no block behind from the middle.
    left, right = drawn.seats["Left A1"][0], drawn.seats["Right A4"][0]
    behind = drawn.seats["Behind A1"][0], drawn.seats["Behind A30"][0]
    assert abs((left + right) - sum(behind)) <= 1


texts = st.text(alphabet="AMWil ", min_size=1, max_size=20)
names = texts.map(lambda text: " ".join(text.split())).filter(bool)
places = st.lists(st.sampled_from(["standard", "companion", "pair", None]), max_size=7)


@st.composite
def plans(draw: st.DrawFn) -> list[PlanRow]:
    rows: list[PlanRow] = []
    names_of_blocks = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    taken: set[str] = set()
    for place, block in enumerate(names_of_blocks):
        free = [name for name in names_of_blocks[:place] if name not in taken]
        beside = draw(st.sampled_from([None, *free]))
        taken |= {beside} if beside is not None else set()
        for label in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
            kinds = ["standard", *draw(places)]
            category = draw(st.sampled_from(["standard", "sofa"]))
            rows.append(
                PlanRow(
                    label,
                    tuple(
                        None if kind is None else PlanSeat(str(number), category, kind)
                        for number, kind in enumerate(kinds, start=1)
                    ),
                    block=block,
                    offset=draw(st.integers(-12, 12)),
                    walkway=draw(st.booleans()),
                    beside=beside if not rows or rows[-1].block != block else None,
                )
            )
    labels = [seat.label for seat in plan_seats(rows)]
    assume(len(set(labels)) == len(labels))  # as the API sees to
    return rows


@given(plan=plans())
def test_nothing_lies_over_anything_else(plan: list[PlanRow]) -> None:
    """Seats, labels and names, wherever blocks and rows are moved to; all within the picture."""
    drawn = Drawn(plan)
    boxes = drawn.boxes()
    assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]

    _, _, width, height = map(int, drawn.picture.get("viewBox", "").split())
    (top,) = re.findall(r"translate\(0 (\d+)\)", drawn.picture[-1].get("transform", ""))
    for left, above, right, below in boxes:
        assert left >= 0
        assert right <= width
        assert above >= 0
        assert int(top) + below <= height


@given(plan=plans())
def test_seats_of_a_block_stand_at_their_x(plan: list[PlanRow]) -> None:
    """Only whole blocks are moved to make room, and never towards each other."""
    drawn = Drawn(plan)
    assert len(drawn.seats) == len(plan_seats(plan))
    shifts: dict[str, int] = {}
    for seat, (x, _) in zip(plan_seats(plan), drawn.seats.values(), strict=True):
        shift = x - HALF_SEAT * seat.x
        assert shifts.setdefault(seat.block, shift) == shift
    for row in plan:
        if row.beside is not None:
            assert shifts[row.beside] <= shifts[row.block]
