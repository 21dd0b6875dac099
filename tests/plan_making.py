"""Seat plans as callers may send them, made by Hypothesis."""

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from booking_app.catalog import seat_plans, venue_schemas

SIGNS = "ABZaz019é٣-.' "
KEYWORDS = ("block", "walkway", "offset", "beside", "category", "pair", "wheelchair", "companion")


def names(longest: int) -> st.SearchStrategy[str]:
    made = st.text(SIGNS, min_size=1, max_size=longest).map(lambda text: " ".join(text.split()))
    plain = made.filter(lambda text: text and not text.endswith("-"))
    return st.one_of(plain, st.sampled_from([*KEYWORDS, "Loge 1", "3..5"]))


numbers = st.one_of(
    st.integers(0, 999_999), st.text("aZé019٣", min_size=1, max_size=6), st.integers(1, 20)
)
categories = st.one_of(
    st.sampled_from(["standard", "vip", "love seat"]), st.sampled_from(KEYWORDS), names(30)
)
kinds = st.sampled_from(["standard", "wheelchair", "companion"])


@st.composite
def _list(draw: st.DrawFn) -> list[Any]:
    """Seats as a list: numbers in runs, alone, empty places, pairs."""
    seats: list[Any] = []
    for _ in range(draw(st.integers(1, 4))):
        way = draw(st.sampled_from(["run", "alone", "empty", "pairs"]))
        if way == "empty":
            seats += [None] * draw(st.integers(1, 3))
        elif way == "run":
            start, step = draw(st.integers(1, 120)), draw(st.sampled_from([1, -1, 2, -2]))
            run = range(start, start + step * draw(st.integers(1, 6)), step)
            seats += [number for number in run if number > 0]
        else:
            objects = [
                {"number": draw(numbers)}
                | draw(st.fixed_dictionaries({}, optional={"category": categories, "kind": kinds}))
                for _ in range(draw(st.integers(1, 3)))
            ]
            if way == "pairs":
                objects = [one | {"kind": "pair"} for one in objects[:1]]
                objects = [None, *objects, {"number": draw(numbers), "kind": "pair"}, None]
            seats += objects
    return seats


@st.composite
def _row(draw: st.DrawFn) -> dict[str, Any]:
    row: dict[str, Any] = {"label": draw(names(20))}
    if draw(st.booleans()):
        row["seats"] = count = draw(st.integers(1, 12))
        if count > 1 and draw(st.booleans()):
            row["gaps"] = draw(st.lists(st.integers(1, count - 1), max_size=3))
        row["accessible"] = draw(st.lists(st.integers(1, count), max_size=2))
    else:
        row["seats"] = draw(_list())
    optional = {
        "category": categories,
        "offset": st.integers(-5, 5),
        "walkway": st.booleans(),
    }
    return row | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def _plan(draw: st.DrawFn) -> list[dict[str, Any]]:
    plan: list[dict[str, Any]] = []
    ends: list[str] = []  # blocks with nothing on their right
    for name in draw(st.lists(st.one_of(st.just(""), names(30)), max_size=3, unique=True)) or [""]:
        block = [row | {"block": name} for row in draw(st.lists(_row(), min_size=1, max_size=3))]
        if ends and draw(st.booleans()):
            block[0]["beside"] = ends.pop(draw(st.integers(0, len(ends) - 1)))
        if name:
            ends.append(name)
        plan += block
    return plan


def _can_be(plan: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The plan, where the API takes it: seats may have met by chance."""
    try:
        seat_plans.read_plan(venue_schemas.PlanRow(many=True).load(plan))
    except seat_plans.PlanError:
        assume(False)
    return plan


any_plan = _plan().map(_can_be)
