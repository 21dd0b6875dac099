"""Plans as text: whatever the API takes is written and read again, and errors show their place."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from booking_app.admin.plan_text import (
    EXAMPLES,
    PlanTextError,
    quote_errors,
    read_plan,
    write_plan,
)
from booking_app.catalog import seat_plans, venue_schemas
from booking_app.catalog.models import (
    BLOCK_MAX,
    CATEGORY_MAX,
    NUMBER_MAX,
    PAIR,
    ROW_LABEL_MAX,
    SEATS_MAX,
)

ROWS = venue_schemas.PlanRow(many=True)
PLANS = sorted((Path(__file__).parent.parent / "plans").glob("*.json"))


def plan_of(rows: Any) -> tuple[seat_plans.PlanRow, ...]:
    """The plan that the API makes of rows on the wire."""
    return seat_plans.read_plan(ROWS.load(rows))


def told(row: str) -> list[Any]:
    """The seats of a typed row on the wire."""
    seats: list[Any] = read_plan(row)[0]["seats"]
    return seats


def taken(field: str, value: str) -> bool:
    """Whether the API takes the value for that field of a row."""
    row = {"label": "A", "seats": 1} | {field: value}
    if field == "number":
        row = {"label": "A", "seats": [value]}
    return not ROWS.validate([row])


# --- any plan -------------------------------------------------------------------------------

WORDS = ["block", "Block", "Pair", "category", "offset", "walkway", "beside", "gaps", "Accessible"]
WORDS += ["wheelchair", "12", "a..b", "-", "Loge 1", "Z'", "x.", "standard", "1-2", "#"]
SIGNS = st.characters(exclude_categories=["Cs", "Cc"])


def names(field: str, longest: int, *more: str) -> st.SearchStrategy[str]:
    text = st.one_of(st.sampled_from([*WORDS, *more]), st.text(SIGNS, min_size=1, max_size=longest))
    return text.filter(lambda name: taken(field, name))


LABELS = names("label", ROW_LABEL_MAX)
BLOCKS = names("block", BLOCK_MAX)
CATEGORIES = names("category", CATEGORY_MAX, 'a"b', "_", "__", "a=b", "a | b", "1..2", '"', "a  b")
NUMBERS = st.one_of(
    st.integers(0, 30).map(str),
    st.sampled_from(["2a", "007", "0", "pair", "block", "offset", "beside"]),
    st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=NUMBER_MAX),
).filter(lambda number: taken("number", number))
STEPS = st.builds(
    lambda first, step, amount: [str(first + step * index) for index in range(amount)],
    st.integers(200, 900),
    st.sampled_from([-10, -2, -1, 1, 2, 3]),
    st.integers(1, 12),
)


@st.composite
def seats(draw: st.DrawFn) -> list[Any]:
    """Runs of numbers, empty places and pairs, without a number twice."""
    few = draw(st.lists(CATEGORIES, min_size=1, max_size=3))
    kinds = st.sampled_from(["standard", "standard", "standard", "wheelchair", "companion"])
    runs = st.one_of(STEPS, st.lists(NUMBERS, min_size=1, max_size=6), st.just([None, None]))
    row: list[Any] = []
    numbers = set()
    for run in draw(st.lists(runs, min_size=1, max_size=6)):
        new = [one for one in run if one is None or one not in numbers]
        numbers |= set(new)
        category = draw(st.sampled_from(few))
        is_pairs = len(new) % 2 == 0 and draw(st.booleans())
        row += [
            number
            and {
                "number": number,
                "category": draw(st.sampled_from([category, category, *few])),
                "kind": PAIR if is_pairs else draw(kinds),
            }
            for number in new
        ]
    assume(any(row))
    return row


@st.composite
def plans(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows on the wire, each block of its own."""
    blocks = draw(st.lists(BLOCKS, unique=True, max_size=3))
    blocks.insert(draw(st.integers(0, len(blocks))), "")
    rows: list[dict[str, Any]] = []
    free: list[str] = []
    for block in blocks:
        labels = draw(st.lists(LABELS, unique=True, min_size=not rows, max_size=3))
        for index, label in enumerate(labels):
            row = {"label": label, "block": block, "seats": draw(st.integers(1, 20) | seats())}
            if isinstance(row["seats"], int):
                row["category"] = draw(CATEGORIES)
                row["gaps"] = draw(st.lists(st.integers(1, row["seats"]), max_size=2))
                row["gaps"] = [gap for gap in row["gaps"] if gap < row["seats"]]
                row["accessible"] = draw(st.lists(st.integers(1, row["seats"]), max_size=3))
            row["offset"] = draw(st.integers(-200, 200))
            row["walkway"] = draw(st.booleans())
            if not index and free and draw(st.booleans()):
                row["beside"] = free.pop()
            rows.append(row)
        if labels and block:
            free.append(block)
    return rows


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_a_plan_is_read_as_it_was_written(rows: list[dict[str, Any]]) -> None:
    """Whatever its names may be, so that saving an unchanged form changes nothing."""
    try:
        plan = plan_of(rows)
    except seat_plans.PlanError:  # two seats of one name
        assume(False)
    text = write_plan(plan)
    assert plan_of(read_plan(text)) == plan
    assert write_plan(plan_of(read_plan(text))) == text
    assert read_plan(text.replace("\n", "\r\n")) == read_plan(text)


PIECES = ["A", "12", "1", "..", ",", "=", "|", "_", '"', " ", "\n", "block", "vip", "walkway", "-3"]
PIECES += ["category", "offset", "pair", "beside", "gaps", "2a", "\t", "…", "8..1"]


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
@example("A 1..999999")
@example("A 1..4999 1..4999\n" * 300)
@example("A 5000\n" * 5000)
@example('A "' + '""' * 2000)
@example("A 1..5000 " + "x=1..5000 " * 2000)
@example("A 12 offset=" + "9" * 5000)
def test_whatever_is_typed_is_a_plan_or_said_to_be_none(text: str) -> None:
    try:
        rows = read_plan(text)
    except PlanTextError as error:
        assert str(error).startswith("Line ")
        assert len(str(error)) < 400
    else:
        assert all({"label", "seats"} <= set(row) for row in rows)
        errors = [((index, "seats", 0), "no") for index in range(len(rows))]
        assert len(list(quote_errors(text, errors))) == len(rows)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_plans_of_real_rooms_are_read_as_they_were_written(path: Path) -> None:
    whole = json.loads(path.read_text())
    plan = plan_of(whole["rows"])
    again = plan_of(read_plan(write_plan(plan)))
    assert again == plan
    labels = [seat.label for seat in seat_plans.plan_seats(again)]
    assert labels == [seat["seat_number"] for seat in whole["seats"]]


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_each_example_is_a_plan(text: str) -> None:
    plan = plan_of(read_plan(text))
    assert plan_of(read_plan(write_plan(plan))) == plan


# --- the grammar ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("A 12", 12),
        ("A 1", 1),
        ("A 12..12", ["12"]),
        ("A 3..5", ["3", "4", "5"]),
        ("A 14..12", ["14", "13", "12"]),
        ("A 1,3..7", ["1", "3", "5", "7"]),
        ("A 7,5..1", ["7", "5", "3", "1"]),
        ("A 5,3,1 _ 2a | 1..2", ["5", "3", "1", None, "2a", None, "1", "2"]),
        ("A 2a", ["2a"]),
        ('A "12"', ["12"]),
        ("A 007", ["007"]),
        ("A _ 1..2 __ 3..3|", [None, "1", "2", None, None, "3", None]),
        ("A 1 , 2 .. 4", ["1", "2", "3", "4"]),
        ("A\t1,2,\t3", ["1", "2", "3"]),
    ],
)
def test_seats(row: str, expected: Any) -> None:
    assert told(row) == expected


def test_attributes_name_seats_in_the_order_of_the_row() -> None:
    def of(row: str, field: str, value: str) -> list[str]:
        return [
            seat["number"]
            for seat in told(row)
            if isinstance(seat, dict) and seat.get(field) == value
        ]

    assert of("A 12 vip=3..5", "category", "vip") == ["3", "4", "5"]
    assert of("A vip=3..5 12", "category", "vip") == ["3", "4", "5"]
    assert of("A 14..1 vip=3..1", "category", "vip") == ["3", "2", "1"]
    assert of("A 14..1 vip=1..3", "category", "vip") == ["3", "2", "1"]
    assert of("A 3,1 _ 101..104 vip=1..102", "category", "vip") == ["1", "101", "102"]
    assert of("A 1,2,2a,3 vip=2..2a", "category", "vip") == ["2", "2a"]
    assert of("A 9 wheelchair=1,8 companion=2", "kind", "wheelchair") == ["1", "8"]
    assert of("A 9 pair=1..2,5..6", "kind", "pair") == ["1", "2", "5", "6"]
    assert of("A 9 Pair=1..2", "kind", "pair") == ["1", "2"]
    assert of('A 9 "pair"=1..2', "category", "pair") == ["1", "2"]
    assert of('A 9 "love seat"=1 "love seat"=3..4', "category", "love seat") == ["1", "3", "4"]
    assert of('A 9 "a""b"=1', "category", 'a"b') == ["1"]


def test_blocks_and_the_attributes_of_a_row() -> None:
    text = """
        A 1 category=vip offset=-3 walkway
        block Stalls
        "Loge 1" 2

        block "Upper circle"
        A 3 beside=Stalls category="love seat"
        block
        "block" 4 offset=+2
    """
    assert read_plan(text) == [
        {"label": "A", "seats": 1, "category": "vip", "offset": -3, "walkway": True},
        {"label": "Loge 1", "block": "Stalls", "seats": 2},
        {
            "label": "A",
            "block": "Upper circle",
            "seats": 3,
            "beside": "Stalls",
            "category": "love seat",
        },
        {"label": "block", "seats": 4, "offset": 2},
    ]


def row_of(label: str, seats: Sequence[Any], **more: Any) -> dict[str, Any]:
    return {"label": label, "seats": seats, **more}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"label": "A", "seats": 12}, "A 12"),
        ({"label": "A", "seats": 12, "gaps": [4], "accessible": [1, 12]}, "A 1..4 _ 5..12 "),
        (row_of("A", [12]), "A 12..12"),
        (row_of("A", ["2a"]), "A 2a"),
        (row_of("A", [5, 3, 1, None, 101, 102, 103]), "A 5,3,1 _ 101..103"),
        (row_of("A", [7, 5, 3, 1, None, 10, 9, 8]), "A 7,5..1 _ 10..8"),
        (row_of("A", [1, 2, "2a", 3]), "A 1,2,2a,3"),
        (row_of("A", [{"number": n, "category": "vip"} for n in "123"]), "A 3 category=vip"),
        (row_of("B", [1, {"number": 2, "category": "x y"}, 3]), 'B 3 "x y"=2'),
        (row_of("B", [{"number": n, "kind": "pair"} for n in "4321"]), "B 4..1 pair=4..1"),
        ({"label": "Loge 1", "seats": 2, "offset": -1, "walkway": True}, '"Loge 1" 2 offset=-1 w'),
    ],
)
def test_text_is_short(row: dict[str, Any], text: str) -> None:
    assert write_plan(plan_of([row])).startswith(text)


# --- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("A 2\n\nB 12..x", "x", "Line 3: A range is of whole numbers such as 1..12, not x."),
        ("A 12..", "", "After .. comes a number, not the end of the line."),
        ("A 12..,", ",", "After .. comes a number, not ,."),
        ("A 1..2..3", "..3", "A range has two ends only."),
        ("A 1,3..8", "8", "Steps of 2 from 1 don't lead to 8."),
        ("A 1,3..1", "1", "Steps of 2 from 1 don't lead to 1."),
        ("A 5,3,1..4", "1..4", "Put a space before and after a range, and no comma."),
        ("A 1-12", "1-12", "1-12 is no seat: its number has 1 to 6 letters and digits."),
        ("A", "", "After the label come seats"),
        ("A vip=3", "", "After the label come seats"),
        ("pair=3..4", "pair=3..4", "A line begins with the row's label."),
        ("= 3", "= 3", "A line begins with the row's label, not =."),
        ("A 4 _ 6", "4 _ 6", "A count must be the only seats of a row."),
        ("A 1..4 _ 6", "6", "A count must be the only seats of a row."),
        ("D 12 vip", "12 vip", "category=vip for a category."),
        ('B 4 "vip', '"vip', "The quotation mark is never closed."),
        ("A 12 gaps=4,8", "gaps=4,8", "Aisles are typed between the seats: 1..4 | 5..12."),
        ("A 12 accessible=1", "accessible=1", "Wheelchair places are typed wheelchair=1,12."),
        ("A 12 vip=13", "13", "The row has no seat 13."),
        ("A 12 vip=", "", "After = comes the number of a seat, not the end of the line."),
        ("A 12 vip=3..5 gold=5", "5", "Seat 5 has a category already, vip."),
        ("A 12 pair=1..2 companion=2", "2", "Seat 2 has a kind already, pair."),
        ("A 12 vip=1,3..7", "1,3..7", "Among seats this would step."),
        ("A 12 offset=far", "far", "An offset is a whole number of half seats, not far."),
        ("A 12 offset=1 offset=1", "offset=1", "offset stands here a second time."),
        ("A 12 walkway=1", "=1", 'is quoted, "walkway"=1..4.'),
        ("A 1..12 = 3", "= 3", "Here comes a seat or an attribute, not =."),
        ("block Upper circle", "circle", "A block stands on a line of its own"),
        (f"A {SEATS_MAX}\nB 1", "B 1", "Line 2: A screen has at most 5000 seats."),
        ("A 5001", "5001", "A row has at most 5000 seats and empty places."),
    ],
)
def test_an_error_quotes_the_line_and_marks_the_place(text: str, place: str, message: str) -> None:
    with pytest.raises(PlanTextError) as raised:
        read_plan(text)
    said, quoted, mark = str(raised.value).split("\n")
    assert message in said
    assert quoted in text.split("\n")
    assert mark.strip() == "^"
    assert quoted[mark.index("^") :] == place


def test_a_line_has_room_for_any_row_and_no_more() -> None:
    row = [
        {"number": n, "category": f"a {n}", "kind": ("wheelchair", "companion")[n % 2]}
        for n in (number * 7919 % 100_003 for number in range(SEATS_MAX))
    ]
    plan = plan_of([{"label": "A", "seats": row}])
    assert plan_of(read_plan(write_plan(plan))) == plan
    with pytest.raises(PlanTextError, match="Line 2: The line is too long"):
        read_plan("A 1\nA " + "1," * 200_000)


def test_of_a_long_line_the_place_is_quoted() -> None:
    with pytest.raises(PlanTextError) as raised:
        read_plan("A\t" + "1..1 _ " * 99 + "x-y" + " _ 2..2" * 99)
    _, quoted, mark = str(raised.value).split("\n")
    assert len(quoted) < 70
    assert quoted[0] == quoted[-1] == "…"
    assert quoted[mark.index("^") :].startswith("x-y _ 2..2")


def test_errors_of_schema_and_plan_name_the_line() -> None:
    text = "block _\n\nA 1..2 3..3 offset=900\nblock Stalls\nB 1..2 _ 1..2"
    errors: list[tuple[Sequence[str | int], str]] = [
        ((0, "offset"), "Too far."),
        ((0, "seats", 2, "number"), "Bad."),
        ((0, "block"), "Bad."),
        ((1, "seats", 3), "Two seats are B1."),
        ((1,), "Bad."),
        ((), "Too many."),
    ]
    first, second = "A 1..2 3..3 offset=900", "B 1..2 _ 1..2"
    assert list(quote_errors(text, errors)) == [
        f"Line 3, offset: Too far.\n{first}\n            ^",
        f"Line 3, seats: Bad.\n{first}\n       ^",
        f"Line 3, block: Bad.\n{first}\n^",
        f"Line 5, seats: Two seats are B1.\n{second}\n         ^",
        f"Line 5: Bad.\n{second}\n^",
        "Too many.",
    ]
