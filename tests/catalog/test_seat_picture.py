"""The seat map as a picture: what is in it, not how it looks. No database."""

import re
from collections.abc import Collection
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from booking_app.catalog.seat_marks import LEGEND_MARKS, SEAT, SEAT_PITCH
from booking_app.catalog.seat_picture import HALF_SEAT, LINE_MAX, ROW_PITCH, seat_picture

SVG = "{http://www.w3.org/2000/svg}"
STATUSES = ["available", "held", "booked", "blocked"]
KINDS = {"wheelchair": "wheelchair place", "companion": "companion seat", "pair": "pair seat"}


def a_seat(label: str, number: str, x: int, **kwargs: Any) -> dict[str, Any]:
    return {
        "seat_number": label + number,
        "number": number,
        "x": x,
        "status": "available",
        "category": "standard",
        "kind": "standard",
        "price": "9.50",
        "accessible": kwargs.get("kind") == "wheelchair",
        "aisle_after": False,
    } | kwargs


def a_row(
    label: str,
    seats: int,
    gaps: Collection[int] = (),
    *,
    block: str = "",
    y: int = 0,
    left: int = 0,
    **kwargs: Any,
) -> dict[str, Any]:
    """A row with the seats 1 to `seats` from `left`, and an aisle behind each number of `gaps`."""
    xs = [left + 2 * (n - 1 + sum(gap < n for gap in gaps)) for n in range(1, seats + 1)]
    return {
        "label": label,
        "block": block,
        "y": y,
        "seats": [
            a_seat(f"{block} {label}".lstrip(), str(n), x, **kwargs)
            for n, x in enumerate(xs, start=1)
        ],
    }


def a_map(*rows: dict[str, Any]) -> dict[str, Any]:
    seats = [seat for row in rows for seat in row["seats"]]
    return {
        "show": 7,
        "total_seats": len(seats),
        "available_seats": sum(seat["status"] == "available" for seat in seats),
        "currency": "EUR",
        "rows": list(rows),
    }


def drawn(*rows: dict[str, Any]) -> ET.Element:
    return ET.fromstring(seat_picture(a_map(*rows)))


def seat_groups(picture: ET.Element) -> dict[str, ET.Element]:
    """The groups with a title, by it."""
    titled = [g for g in picture.iter(f"{SVG}g") if g.find(f"{SVG}title") is not None]
    groups = {g.findtext(f"{SVG}title", ""): g for g in titled}
    assert len(groups) == len(titled)
    return groups


def position(group: ET.Element) -> tuple[int, int]:
    found = re.fullmatch(r"translate\((\d+) (\d+)\)", group.get("transform", ""))
    assert found is not None
    return int(found[1]), int(found[2])


def marks(group: ET.Element) -> list[str]:
    return [use.get("href", "") for use in group.iter(f"{SVG}use")]


def texts(picture: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]


def test_the_picture_says_what_it_is() -> None:
    booked, held = a_seat("A", "4", 6, status="booked"), a_seat("A", "5", 8, status="held")
    row = a_row("A", 3)
    row["seats"] += [booked, held]
    picture = drawn(row)
    assert picture.tag == f"{SVG}svg"
    assert picture.get("role") == "img"
    title, desc = picture[0], picture[1]
    assert picture.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert title.text == "Seats of show 7"
    assert desc.text == ("3 of 5 seats available, 1 held, 1 booked. The screen is at the top.")
    assert "Screen" in texts(picture)


def test_every_seat_is_a_titled_group_with_its_number() -> None:
    a, b = a_row("A", 2), a_row("B", 3, y=1)
    a["seats"][1] |= {"status": "held"}
    b["seats"][0] |= {"status": "booked", "kind": "wheelchair"}
    groups = seat_groups(drawn(a, b))
    assert list(groups) == [
        "A1, 9.50 EUR, available",
        "A2, 9.50 EUR, held",
        "B1, 9.50 EUR, booked, wheelchair place",
        "B2, 9.50 EUR, available",
        "B3, 9.50 EUR, available",
    ]
    assert [g.findtext(f"{SVG}text") for g in groups.values()] == ["1", "2", "1", "2", "3"]
    assert [marks(g) for g in groups.values()] == [
        ["#available"],
        ["#held"],
        ["#booked", "#wheelchair"],
        ["#available"],
        ["#available"],
    ]


def test_categories_are_told_apart_where_there_are_several() -> None:
    picture = drawn(
        a_row("A", 1, category="standard", price="9.50"),
        a_row("B", 1, y=1, category="sofa", price="12.00", kind="wheelchair"),
    )
    groups = seat_groups(picture)
    assert list(groups) == [
        "A1, 9.50 EUR, available, standard",
        "B1, 12.00 EUR, available, wheelchair place, sofa",
    ]
    bands = [marks(g)[-1].removeprefix("#") for g in groups.values()]
    drawings = [picture.find(f".//{SVG}g[@id='{band}']") for band in bands]
    letters = [g.findtext(f"{SVG}text") for g in drawings if g is not None]
    assert letters == ["S", "O"]  # the S was taken


@pytest.mark.parametrize("categories", [3, 50, 200])
def test_every_category_has_a_sign_of_its_own(categories: int) -> None:
    rows = [a_row(f"R{i}", 1, y=i, category=f"&&{i}") for i in range(categories)]
    picture = drawn(*rows)
    bands = [g for g in picture.iter(f"{SVG}g") if g.get("id", "").startswith("band")]
    assert len({g.findtext(f"{SVG}text") for g in bands}) == categories


def test_statuses_differ_in_mark_and_fill() -> None:
    picture = drawn(a_row("A", 1))
    shapes, fills = [], []
    for status in STATUSES:
        mark = picture.find(f".//{SVG}g[@id='{status}']")
        assert mark is not None
        fills.append({shape.get("fill") for shape in mark} - {None, "none", "#fff"})
        # What is left of it without any colour
        shapes.append([(shape.tag, shape.get("d")) for shape in mark])
    assert all(fills)
    assert all(not one & other for one, other in combinations(fills, 2))
    assert all(one != other for one, other in combinations(shapes, 2))


def test_blocked_seats_are_spoken_of_where_there_are_any() -> None:
    row = a_row("A", 3)
    assert not any("blocked" in text for text in texts(drawn(row)))
    row["seats"][1]["status"] = "blocked"
    picture = drawn(row)
    groups = seat_groups(picture)
    assert marks(groups["A2, 9.50 EUR, blocked"]) == ["#blocked"]
    assert texts(picture).count("1 blocked") == 1
    assert picture[1].text == (
        "2 of 3 seats available, 0 held, 0 booked, 1 blocked. The screen is at the top."
    )


def test_an_aisle_is_a_gap_of_one_seat() -> None:
    groups = seat_groups(drawn(a_row("A", 6, gaps=[2, 4])))
    xs = [position(g)[0] for g in groups.values()]
    steps = [right - left for left, right in pairwise(xs)]
    one, two = SEAT_PITCH, 2 * SEAT_PITCH
    assert steps == [one, two, one, two, one]
    assert two - SEAT >= SEAT


def test_a_seat_stands_at_its_x() -> None:
    """Rows may be moved by half a seat, or by much."""
    a, b = a_row("A", 3, left=1), a_row("B", 2, y=1, left=40)
    xs = [position(group)[0] for group in seat_groups(drawn(a, b)).values()]
    assert [x - xs[0] for x in xs] == [HALF_SEAT * (x - 1) for x in (1, 3, 5, 40, 42)]


def test_a_walkway_is_as_deep_as_a_row() -> None:
    rows = [a_row(label, 1, y=y) for label, y in (("A", 0), ("B", 1), ("C", 3))]
    ys = [position(group)[1] for group in seat_groups(drawn(*rows)).values()]
    assert [y - ys[0] for y in ys] == [0, ROW_PITCH, 3 * ROW_PITCH]


def test_rows_stand_behind_each_other_in_the_middle_with_labels_at_both_ends() -> None:
    picture = drawn(
        a_row("A", 2, left=8), a_row("BB", 9, gaps=[3], y=1), a_row("C", 5, y=2, left=5)
    )
    ends: dict[str, list[tuple[int, int]]] = {"A": [], "B": [], "C": []}
    for title, group in seat_groups(picture).items():
        ends[title[0]].append(position(group))
    middles = {(row[0][0] + row[-1][0]) / 2 for row in ends.values()}
    assert len(middles) == 1
    ys = [{y for _, y in row} for row in ends.values()]
    assert all(len(y) == 1 for y in ys)
    assert sorted(ys, key=min) == ys
    assert [texts(picture).count(label) for label in ("A", "BB", "C")] == [2, 2, 2]


@pytest.mark.parametrize(
    ("seats", "lines"),
    [
        (1, [1]),
        (25, [25]),
        (26, [13, 13]),
        (80, [20] * 4),
        (101, [21] * 4 + [17]),
        (5000, [25] * 200),
    ],
)
def test_the_short_form_is_broken_into_even_lines(seats: int, lines: list[int]) -> None:
    picture = drawn(a_row("", seats))
    groups = seat_groups(picture)
    assert [title.split(",")[0] for title in groups] == [str(n) for n in range(1, seats + 1)]
    ys = [position(g)[1] for g in groups.values()]
    assert [ys.count(y) for y in sorted(set(ys))] == lines
    assert max(lines) <= LINE_MAX
    assert ys == sorted(ys)
    assert "" not in texts(picture)  # no labels


@pytest.mark.parametrize("shape", [("", 1), ("A", 1), ("", 5000), ("Z", 70)])
def test_every_seat_lies_within_the_picture(shape: tuple[str, int]) -> None:
    label, seats = shape
    picture = drawn(a_row(label, seats), *([a_row("B", 3, y=1)] if label else []))
    _, _, width, height = map(int, picture.get("viewBox", "").split())
    _, top = position(picture[-1])  # of the seats' own group
    for group in seat_groups(picture).values():
        x, y = position(group)
        assert 0 < x < width - SEAT
        assert 0 < top + y < height - SEAT
    assert picture.get("width") == "100%"
    assert re.fullmatch(r"[1-9]\d*%", picture.get("height", ""))


def test_the_legend_has_every_status_and_category() -> None:
    front = a_row("A", 4, category="front", price="7.50")
    front["seats"][0]["status"] = "booked"
    back = a_row("B", 4, y=1, category="back", price="12.00")
    shown = texts(drawn(front, back))
    for entry in ("7 available", "0 held", "1 booked", "front, 7.50 EUR", "back, 12.00 EUR"):
        assert shown.count(entry) == 1
    assert not set(KINDS.values()) & set(shown)
    assert "standard, 9.50 EUR" in texts(drawn(a_row("", 3)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_seat_is_in_the_tooltip_and_the_legend(kind: str) -> None:
    row = a_row("A", 2)
    row["seats"][1]["kind"] = kind
    picture = drawn(row)
    assert list(seat_groups(picture)) == [
        "A1, 9.50 EUR, available",
        f"A2, 9.50 EUR, available, {KINDS[kind]}",
    ]
    assert texts(picture).count(KINDS[kind]) == 1


def test_kinds_of_seats_differ_in_shape() -> None:
    assert LEGEND_MARKS.keys() == KINDS.keys()
    row = a_row("A", 4)
    for seat, kind in zip(row["seats"], ["wheelchair", "companion", "pair", "pair"], strict=True):
        seat["kind"] = kind
    picture = drawn(row)
    assert [marks(group)[:2] for group in seat_groups(picture).values()] == [
        ["#available", "#wheelchair"],
        ["#available", "#companion"],
        ["#joint", "#available"],
        ["#available"],
    ]
    shapes = []
    for name in ("wheelchair", "companion", "joint"):
        mark = picture.find(f".//{SVG}g[@id='{name}']")
        assert mark is not None
        shapes.append([(shape.tag, shape.get("d"), shape.get("r")) for shape in mark])
    assert all(one != other for one, other in combinations(shapes, 2))


@pytest.mark.parametrize(
    ("seats", "joined"),
    [
        ("pp", [0]),
        ("pppp", [0, 2]),
        ("pp.pp", [0, 3]),
        (".ssppsppp", [3, 6]),
        ("p.ps", []),
    ],
)
def test_pairs_are_joined_from_the_left(seats: str, joined: list[int]) -> None:
    """Pair seats (p) beside others (s) and empty places; the places of the seats joined to the
    one on their right."""
    row = a_row("A", 0)
    row["seats"] = [
        a_seat("A", str(place), 2 * place, kind="pair" if sign == "p" else "standard")
        for place, sign in enumerate(seats)
        if sign != "."
    ]
    groups = seat_groups(drawn(row))
    assert [
        int(group.findtext(f"{SVG}text", ""))
        for group in groups.values()
        if "#joint" in marks(group)
    ] == joined


@pytest.mark.parametrize("text", ["<&\"'>", "]]>", "&amp;", "日本語", "</title><script>"])
def test_texts_are_escaped(text: str) -> None:
    rows = a_row(text, 1, block=text, category=text), a_row("B", 1, y=1)
    rows[0]["seats"][0]["number"] = text
    picture = ET.fromstring(seat_picture({**a_map(*rows), "currency": text}))
    assert f"{text} {text}1, 9.50 {text}, available, {text}" in seat_groups(picture)
    assert texts(picture).count(text) == 4  # the block's name, the row's twice, the number
    assert f"{text}, 9.50 {text}" in texts(picture)
    assert not list(picture.iter(f"{SVG}script"))


def test_a_sign_that_xml_forbids_does_not_break_the_picture() -> None:
    picture = drawn(a_row("\ufffe", 1, block="\uffff", category="\uffff"))
    assert list(seat_groups(picture)) == ["\ufffd \ufffd1, 9.50 EUR, available"]


def test_it_holds_under_a_strict_policy() -> None:
    """No script, no inline style, nothing that is fetched."""
    rows = [
        a_row("A", 4, block=kind, y=y, status=status, kind=kind, category=status)
        for y, (status, kind) in enumerate(zip(STATUSES, ["standard", *KINDS], strict=True))
    ]
    svg = seat_picture(a_map(*rows))
    assert svg.count("http") == 1  # the namespace
    picture = ET.fromstring(svg)
    ids = {element.get("id") for element in picture.iter()}
    for element in picture.iter():
        assert element.tag not in (f"{SVG}script", f"{SVG}style", f"{SVG}image", f"{SVG}a")
        for name, value in element.attrib.items():
            assert name != "style"
            assert not name.startswith("on")
            assert "url(" not in value
            if name.endswith("href"):
                assert value.startswith("#")
                assert value[1:] in ids
