"""The admin site's pure functions: plans as text, plots; and a cinema's clocks."""

from datetime import UTC, date, datetime, time
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking_app.admin.plan_text import EXAMPLE, PlanTextError, read_plan, write_plan
from booking_app.admin.plot import HEIGHT, WIDTH, lying_bars, standing_bars
from booking_app.catalog import schemas, seat_plans
from booking_app.catalog.models import CATEGORY_MAX, ROW_LABEL_MAX, STANDARD
from booking_app.catalog.times import instant, local_time

VIENNA = "Europe/Vienna"
SVG = "{http://www.w3.org/2000/svg}"


def _shown(text: str) -> bool:
    """Whether the fields of the wire take it as it is."""
    try:
        return schemas.PlanRow().load({"label": "A", "seats": 1, "category": text}) is not None
    except schemas.ma.ValidationError:
        return False


# Without what XML can't have, as the fields of the wire refuse it.
SIGNS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
LABELS = st.text(SIGNS, min_size=1, max_size=ROW_LABEL_MAX).filter(
    lambda text: _shown(text) and not any(c.isspace() for c in text)
)
CATEGORIES = st.text(SIGNS, min_size=1, max_size=CATEGORY_MAX).filter(
    lambda text: _shown(text) and text == text.strip()
)
NUMBERS = st.lists(st.integers(1, 60), max_size=5)
ROWS = st.fixed_dictionaries(
    {
        "label": LABELS,
        "seats": st.integers(1, 60),
        "category": st.one_of(
            st.sampled_from([STANDARD, "gaps=1", "accessible=", "category=x", "a = b", "a seat"]),
            CATEGORIES,
        ),
        "gaps": NUMBERS,
        "accessible": NUMBERS,
    }
)


@given(st.lists(ROWS, max_size=5))
def test_a_plan_is_read_as_it_was_written(rows: list[dict[str, Any]]) -> None:
    """Whatever a row may be called, so that saving an unchanged form changes nothing."""
    text = write_plan(rows, standard=STANDARD)
    assert schemas.PlanRow(many=True).load(read_plan(text)) == rows
    assert read_plan(text.replace("\n", "\r\n")) == read_plan(text)


@given(st.text())
def test_whatever_is_typed_is_a_plan_or_said_to_be_none(text: str) -> None:
    try:
        rows = read_plan(text)
    except PlanTextError as error:
        assert str(error).startswith("Line ")
    else:
        assert all({"label", "seats"} <= set(row) for row in rows)


def test_the_example_is_a_plan() -> None:
    rows = schemas.PlanRow(many=True).load(read_plan(EXAMPLE))
    seat_plans.check_plan(rows)
    assert [row["label"] for row in rows] == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("A", "Line 1: Give a label and the number of seats, such as B 12."),
        ("A 3\n\nB 4 'vip", "Line 3: No closing quotation."),
        ("A 3 vip gold", "Line 1: 'gold' is not understood"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text: str, error: str) -> None:
    with pytest.raises(PlanTextError) as raised:
        read_plan(text)
    assert str(raised.value).startswith(error)


BARS = st.lists(st.tuples(st.text(SIGNS, max_size=60), st.integers(0, 10**11)), max_size=400)


@given(BARS, st.sampled_from([standing_bars, lying_bars]))
def test_every_bar_is_within_its_plot_and_as_long_as_its_number(
    bars: list[tuple[str, int]], plot: Any
) -> None:
    svg = plot("Takings & more", bars, str)
    drawn = ElementTree.fromstring(svg.replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1))
    assert drawn.get("aria-label") == "Takings & more"
    rects = list(drawn.iter(f"{SVG}rect"))
    assert len(rects) == len(bars)
    _, _, width, height = map(float, (drawn.get("viewBox") or "").split())
    side = "height" if plot is standing_bars else "width"
    by_value = sorted(zip((value for _, value in bars), rects, strict=True), key=lambda b: b[0])
    lengths = [float(rect.get(side) or "") for _, rect in by_value]
    assert lengths == sorted(lengths)
    for rect in rects:
        x, y, w, h = (float(rect.get(name) or "") for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width == WIDTH
        assert 0 <= y <= y + h <= height
    assert plot is lying_bars or height == HEIGHT
    assert "style" not in svg.replace("font-style", "")


def test_a_time_is_by_the_clocks_of_the_place() -> None:
    assert instant(date(2030, 7, 1), time(20, 0), VIENNA) == datetime(2030, 7, 1, 18, tzinfo=UTC)
    assert local_time(datetime(2030, 7, 1, 18, tzinfo=UTC), VIENNA) == "2030-07-01 20:00 CEST"
    # 02:30 comes twice when they go back, and not at all when they go forward.
    first = datetime(2030, 10, 27, 0, 30, tzinfo=UTC)
    assert instant(date(2030, 10, 27), time(2, 30), VIENNA) == first
    with pytest.raises(ValueError, match=r"no 02:30 on 2030-03-31 in Europe/Vienna"):
        instant(date(2030, 3, 31), time(2, 30), VIENNA)
