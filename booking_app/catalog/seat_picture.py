"""The seat map as a picture: an SVG document drawn from the map as it is on the wire.

It holds under the strictest Content-Security-Policy: no script, no style (only presentation
attributes) and nothing from elsewhere. Lengths are in the units of the viewBox.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import ceil
from operator import itemgetter
from typing import Any
from xml.sax.saxutils import escape

from booking_app.catalog.models import AVAILABLE, BLOCKED, BOOKED, HELD, PAIR
from booking_app.catalog.neighbours import SEAT_WIDTH
from booking_app.catalog.seat_marks import (
    BAND,
    HALO,
    INK,
    KIND_NAMES,
    LEGEND_MARKS,
    MARGIN,
    MARKS,
    SEAT,
    SEAT_PITCH,
    SIGNS,
    TEXT,
    Entry,
    category_letters,
    definitions,
    entry_width,
    legend,
    screen,
    text_width,
)
from booking_app.catalog.seat_plans import PlanRow, plan_seats

LINE_MAX = 25  # seats side by side where the map has no rows
HALF_SEAT, ROW_PITCH = SEAT_PITCH // SEAT_WIDTH, 31
LABEL_SPACE = 8  # between a seat and the label of its row
HEADING_SIZE, HEADING = 14, 26  # the font size of a block's name, and the height it takes
BLOCK_SPACE = 12  # between a block and the one behind it
NUMBER_SIZE, NUMBER_SIZE_BELOW_SIGN = 10, 8  # the font sizes of a seat's number, if it fits
WIDTH_MIN = 520  # else a single seat would fill a window
# A wider picture is shown smaller, so its screen and legend grow; a higher one is scrolled.
WIDTH_PLAIN = HEIGHT_PLAIN = 900

Row = Mapping[str, Any]  # as `schemas.MapRow` dumps it


def seat_picture(seat_map: Mapping[str, Any]) -> str:
    """The SVG document (image/svg+xml) of a seat map as `schemas.SeatMap` dumps it.

    Each seat is a titled group, which browsers show as a tooltip.
    """
    seats = [seat for row in seat_map["rows"] for seat in row["seats"]]
    prices = {seat["category"]: f"{seat['price']} {seat_map['currency']}" for seat in seats}
    statuses = Counter(seat["status"] for seat in seats)
    blocked = f", {statuses[BLOCKED]} blocked" if statuses[BLOCKED] else ""
    return _picture(
        seat_map["rows"],
        prices,
        [
            (f'<use href="#{status}"/>', f"{statuses[status]} {status}")
            for status in MARKS
            if status != BLOCKED or blocked
        ],
        title=f"Seats of show {seat_map['show']}",
        description=f"{statuses[AVAILABLE]} of {len(seats)} seats available,"
        f" {statuses[HELD]} held, {statuses[BOOKED]} booked{blocked}.",
    )


def plan_picture(plan: Sequence[PlanRow]) -> str:
    """The SVG document of a seat plan."""
    seats = plan_seats(plan)
    rows = [
        {
            "label": label,
            "block": block,
            "y": y,
            "seats": [
                {
                    "seat_number": seat.label,
                    "number": seat.number,
                    "x": seat.x,
                    "status": AVAILABLE,
                    "category": seat.category,
                    "kind": seat.kind,
                }
                for seat in row
            ],
        }
        for (block, label, y), row in groupby(
            seats, key=lambda seat: (seat.block, seat.row_label, seat.y)
        )
    ]
    number = f"{len(seats)} seat{'' if len(seats) == 1 else 's'}"
    return _picture(
        rows,
        dict.fromkeys((seat.category for seat in seats), ""),
        [(f'<use href="#{AVAILABLE}"/>', number)],
        title="Seat plan",
        description=f"{number} in {len(rows)} row{'' if len(rows) == 1 else 's'}.",
    )


def lines_of(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows. One without a label is no row of the room: it is broken into even lines."""
    for row in rows:
        seats = row["seats"]
        if row["label"]:
            yield row
            continue
        length = ceil(len(seats) / ceil(len(seats) / LINE_MAX))
        for y, start in enumerate(range(0, len(seats), length), start=row["y"]):
            line = seats[start : start + length]
            left = length - len(line)  # so that the last line stands in the middle
            placed = [{**seat, "x": left + SEAT_WIDTH * i} for i, seat in enumerate(line)]
            yield {**row, "y": y, "seats": placed}


def _picture(
    rows: Iterable[Row],
    prices: Mapping[str, str],
    entries: list[Entry],
    *,
    title: str,
    description: str,
) -> str:
    """`prices` are by category, "" where there are none; `entries` are the first of the legend."""
    lines = list(lines_of(rows))
    # With one category only there is nothing to tell apart, so no seat names it.
    letters = category_letters(prices) if len(prices) > 1 else {}
    kinds = {seat["kind"] for line in lines for seat in line["seats"]}
    marks = [(LEGEND_MARKS[kind], name) for kind, name in KIND_NAMES.items() if kind in kinds]
    named = [
        (
            f'<use href="#band{index}" y="-18"/>' if letters else "",
            f"{category}, {price}" if price else category,
        )
        for index, (category, price) in enumerate(prices.items())
    ]
    # Several categories begin a line of their own.
    parts = [entries + marks, named] if letters else [entries + named + marks]

    row_pitch = ROW_PITCH + (BAND if letters else 0)
    blocks, depth = _laid_out(lines, row_pitch)
    middle, half = _sides(blocks)
    widest = max(entry_width(*entry) for part in parts for entry in part)
    width = ceil(max(WIDTH_MIN, 2 * (half + MARGIN), widest + 2 * MARGIN))
    zoom = round(max(1, width / WIDTH_PLAIN), 2)

    # The legend comes first, where it is seen without scrolling.
    drawn_legend, legend_height = legend(parts, width / zoom)
    drawn_screen, screen_height = screen(width / zoom)
    top = ceil((legend_height + screen_height) * zoom)
    height = top + depth + MARGIN
    svg = "".join(
        [
            # By itself in a window a picture is fitted into it, so a high one would be tiny;
            # a height beyond 100% lets it be scrolled. Inside a page it binds nobody.
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc"'
            f' viewBox="0 0 {width} {height}" preserveAspectRatio="xMidYMin" width="100%"'
            f' height="{max(100, 100 * height // HEIGHT_PLAIN)}%"'
            f' font-family="Arial, Helvetica, sans-serif" font-size="{TEXT}">'
            f'<title id="title">{title}</title>'
            f'<desc id="desc">{description} The screen is at the top.</desc>'
            f"<defs>{definitions(letters.values())}</defs>"
            # White also where the browser's own ground is dark
            f'<rect width="{width}" height="{height}" fill="#fff"/>'
            f'<g transform="scale({zoom})" fill="#222">{drawn_legend}'
            f'<g transform="translate(0 {legend_height})">{drawn_screen}</g></g>'
            f'<g transform="translate(0 {top})">',
            *_drawn_blocks(blocks, width // 2 - middle, row_pitch, prices, list(letters)),
            "</g></svg>\n",
        ]
    )
    # The two characters that may stand in a label but in no XML document
    return svg.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


# --- where the blocks stand -----------------------------------------------------------------


@dataclass(slots=True)
class _Block:
    """The lines of one block.

    `left` and `right` are the edges of its seats, `reach` those of all that is drawn of it, from
    where `x` is 0. `shift` moves it to the right, so that names fit between it and its neighbours;
    `drop` away from the screen.
    """

    name: str
    lines: list[Row]
    left: int
    right: int
    reach: tuple[int, int]
    shift: int = 0
    drop: int = 0

    @property
    def front(self) -> int:
        y: int = self.lines[0]["y"]
        return y


def _block(name: str, lines: list[Row]) -> _Block:
    ends = [(*_ends(line), _label_width(line["label"])) for line in lines]
    left, right = min(left for left, _, _ in ends), max(right for _, right, _ in ends)
    middle, half = (left + right) // 2, ceil(text_width(name) * HEADING_SIZE / TEXT / 2)
    reach = (
        min(middle - half, *(left - label for left, _, label in ends)),
        max(middle + half, *(right + label for _, right, label in ends)),
    )
    return _Block(name, lines, left, right, reach)


def _ends(line: Row) -> tuple[int, int]:
    first, last = line["seats"][0], line["seats"][-1]
    return HALF_SEAT * first["x"], HALF_SEAT * last["x"] + SEAT


def _label_width(label: str) -> int:
    return LABEL_SPACE + ceil(text_width(label)) if label else 0


def _laid_out(lines: Iterable[Row], row_pitch: int) -> tuple[list[_Block], int]:
    """The blocks in their places, and how far from the first row the last one ends.

    Blocks whose first rows are level stand beside each other.
    """
    blocks = [_block(name, list(rows)) for name, rows in groupby(lines, itemgetter("block"))]
    in_bands = sorted(blocks, key=lambda block: (block.front, block.left))
    depth = drop = 0
    for front, level in groupby(in_bands, lambda block: block.front):
        band = list(level)
        drop += BLOCK_SPACE if front else 0
        drop += HEADING if any(block.name for block in band) else 0
        for block, right in pairwise(band):
            right.shift = block.shift + max(0, block.reach[1] + MARGIN - right.reach[0])
        widening = band[-1].shift
        for block in band:
            block.shift -= widening // 2
            block.drop = drop
            depth = max(depth, drop + row_pitch * (block.lines[-1]["y"] + 1))
    return blocks, depth


def _sides(blocks: Iterable[_Block]) -> tuple[int, int]:
    """The middle of all seats, and how far from it the drawing reaches to either side."""
    edges = [(block.shift + block.left, block.shift + block.right) for block in blocks]
    middle = (min(left for left, _ in edges) + max(right for _, right in edges)) // 2
    return middle, max(
        max(middle - block.shift - block.reach[0], block.shift + block.reach[1] - middle)
        for block in blocks
    )


# --- drawing --------------------------------------------------------------------------------


def _drawn_blocks(
    blocks: Iterable[_Block],
    origin: int,
    row_pitch: int,
    prices: Mapping[str, str],
    banded: Sequence[str],
) -> Iterator[str]:
    """The rows from the front with their labels at both ends; `origin` is where `x` is 0."""
    looks: dict[tuple[str, str, str], tuple[str, str, str]] = {}  # there are but a few
    yield f'<g font-size="{NUMBER_SIZE}" fill="currentColor" text-anchor="middle">'
    for block in blocks:
        left = origin + block.shift
        if block.name:
            middle = left + (block.left + block.right) // 2
            y = block.drop + row_pitch * block.front - 9
            yield (
                f'<text x="{middle}" y="{y}" font-size="{HEADING_SIZE}" font-weight="bold"'
                f' fill="#222">{escape(block.name)}</text>'
            )
        for line in block.lines:
            top = block.drop + row_pitch * line["y"]
            yield _drawn_label(line, left, top)
            joined = _joined(line["seats"])
            for seat in line["seats"]:
                look = seat["status"], seat["category"], seat["kind"]
                if look not in looks:
                    looks[look] = _look(*look, prices, banded)
                ink, facts, drawn = looks[look]
                joint = '<use href="#joint"/>' if seat["x"] in joined else ""
                yield (
                    f'<g transform="translate({left + HALF_SEAT * seat["x"]} {top})"'
                    f' color="{ink}"><title>{escape(seat["seat_number"])}{facts}</title>'
                    f"{joint}{drawn}{_drawn_number(seat)}</g>"
                )
    yield "</g>"


def _drawn_label(line: Row, left: int, top: int) -> str:
    if not line["label"]:
        return ""
    label, (first, last) = escape(line["label"]), _ends(line)
    return (
        f'<g font-size="{TEXT}" fill="#222">'
        f'<text x="{left + first - LABEL_SPACE}" y="{top + 17}" text-anchor="end">{label}</text>'
        f'<text x="{left + last + LABEL_SPACE}" y="{top + 17}" text-anchor="start">{label}'
        "</text></g>"
    )


def _joined(seats: Iterable[Mapping[str, Any]]) -> set[int]:
    """The `x` of the left seats of pairs: pair seats side by side are paired from the left."""
    left: set[int] = set()
    alone: int | None = None  # the x of the pair seat that has no partner yet
    for seat in seats:
        x = seat["x"]
        if seat["kind"] == PAIR and alone is not None and x == alone + SEAT_WIDTH:
            left.add(alone)
            alone = None
        else:
            alone = x if seat["kind"] == PAIR else None
    return left


def _look(
    status: str,
    category: str,
    kind: str,
    prices: Mapping[str, str],
    banded: Sequence[str],
) -> tuple[str, str, str]:
    """What seats of the same look share: ink, the end of the title, the drawing but the number."""
    facts = ["", prices[category], status] if prices[category] else [""]
    drawn = f'<use href="#{status}"/>'
    if kind in KIND_NAMES:
        facts.append(KIND_NAMES[kind])
    if kind in SIGNS:
        drawn += f'<use href="#{kind}"/>'
    if banded:
        facts.append(category)
        drawn += f'<use href="#band{banded.index(category)}"/>'
    return INK[status], escape(", ".join(facts)), drawn


def _drawn_number(seat: Mapping[str, Any]) -> str:
    # The number makes room for a sign.
    y, size = (22.0, NUMBER_SIZE_BELOW_SIGN) if seat["kind"] in SIGNS else (15.5, NUMBER_SIZE)
    fitting = min(size, round((SEAT - 2) * TEXT / text_width(seat["number"]), 1))
    own_size = "" if fitting == NUMBER_SIZE else f' font-size="{fitting}"'
    halo = HALO.get(seat["status"], "")
    return f'<text x="12" y="{y:g}"{own_size}{halo}>{escape(seat["number"])}</text>'
