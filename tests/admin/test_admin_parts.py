"""The admin site's pure functions: plots."""

from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from booking_app.admin.plot import HEIGHT, WIDTH, lying_bars, standing_bars

SVG = "{http://www.w3.org/2000/svg}"


SIGNS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
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
