"""The seat map as a picture: an SVG document drawn from the map as it is on the wire.

It holds under the strictest Content-Security-Policy: no script, no style (only presentation
attributes) and nothing from elsewhere. Lengths are in the units of the viewBox.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, cycle
from math import ceil
from string import ascii_uppercase
from typing import Any
from xml.sax.saxutils import escape

from booking_app.catalog.models import AVAILABLE, BOOKED, HELD
from booking_app.catalog.seat_plans import plan_seats

LINE_MAX = 25  # seats side by side where the map has no rows
SEAT, SEAT_PITCH, ROW_PITCH = 24, 28, 31
BAND = 10  # the height of the strip below a seat with the letter of its category
MARGIN = 16
TEXT = 13  # the font size of the screen, the rows' labels and the legend
NUMBER_MAX = 10  # the font size of the seats' numbers, smaller where they have many digits
WIDTH_MIN = 520  # else a single seat would fill a window
# A wider picture is shown smaller, so its screen and legend grow; a higher one is scrolled.
WIDTH_PLAIN = HEIGHT_PLAIN = 900

# The colours are those of Okabe and Ito, which the colour-blind can tell apart. Without any
# colour the three still differ, in lightness and by their mark: full, half, crossed.
MARKS = {
    AVAILABLE: '<rect width="24" height="24" rx="5" fill="#0072B2"/>',
    HELD: '<rect x=".75" y=".75" width="22.5" height="22.5" rx="4.5" fill="#fff"/>'
    '<path d="M2 2 22 22A4 4 0 0 1 19 23H5A4 4 0 0 1 1 19V5A4 4 0 0 1 2 2z" fill="#E69F00"/>'
    '<rect x=".75" y=".75" width="22.5" height="22.5" rx="4.5" fill="none" stroke="#946600"'
    ' stroke-width="1.5"/>',
    BOOKED: '<rect x=".5" y=".5" width="23" height="23" rx="4.5" fill="#E4E4E4" stroke="#AAA"/>'
    '<path d="M2 2 22 22M22 2 2 22" stroke="#AAA" stroke-width="1.5"/>',
}
INK = {AVAILABLE: "#fff", HELD: "#000", BOOKED: "#333"}  # of what is written on them
# A halo, so that the cross does not run through the number
HALO = {BOOKED: ' stroke="#E4E4E4" stroke-width="3" paint-order="stroke"'}
WHEELCHAIR = (
    '<circle cx="11" cy="3.2" r="1.5" fill="currentColor"/>'
    '<path d="M11 5.8V9.3H14.4L16 12.8M11 7.3H14M9 7.3A3.3 3.3 0 1 0 13.6 11.6" fill="none"'
    ' stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round"/>'
)
# The grounds of the categories' bands: the same colours, but pale, since the status matters
# more. Beyond six only the letters tell them apart.
BANDS = ["#F8F2A1", "#ABDAF4", "#EAAF80", "#E6BCD3", "#80CEB9", "#BBB"]

NARROW = set(" !'(),-.:;I[]fijlrt|")  # letters and signs

Line = tuple[str, Sequence[Mapping[str, Any]]]  # the label of the row or "", and seats
Entry = tuple[str, str]  # of the legend: the mark, if any, and text


def seat_picture(seat_map: Mapping[str, Any], *, currency: str) -> str:
    """The SVG document (image/svg+xml) of a seat map as `schemas.SeatMap` dumps it.

    Each seat is a titled group, which browsers show as a tooltip.
    """
    seats = [seat for row in seat_map["rows"] for seat in row["seats"]]
    prices = {seat["category"]: f"{seat['price']} {currency}" for seat in seats}
    statuses = Counter(seat["status"] for seat in seats)
    return _picture(
        seat_map["rows"],
        prices,
        [(f'<use href="#{status}"/>', f"{statuses[status]} {status}") for status in MARKS],
        title=f"Seats of show {seat_map['show']}",
        description=f"{statuses[AVAILABLE]} of {len(seats)} seats available,"
        f" {statuses[HELD]} held, {statuses[BOOKED]} booked.",
    )


def plan_picture(rows: Iterable[Mapping[str, Any]]) -> str:
    """The SVG document of a seat plan, a list of rows as in `seat_plans`."""
    in_rows = [
        {
            "label": row["label"],
            "seats": [
                {**seat, "seat_number": seat["label"], "status": AVAILABLE}
                for seat in plan_seats([row])
            ],
        }
        for row in rows
    ]
    seats = [seat for row in in_rows for seat in row["seats"]]
    number = f"{len(seats)} seat{'' if len(seats) == 1 else 's'}"
    return _picture(
        in_rows,
        dict.fromkeys((seat["category"] for seat in seats), ""),
        [(f'<use href="#{AVAILABLE}"/>', number)],
        title="Seat plan",
        description=f"{number} in {len(in_rows)} row{'' if len(in_rows) == 1 else 's'}.",
    )


def _picture(
    rows: Iterable[Mapping[str, Any]],
    prices: Mapping[str, str],
    entries: list[Entry],
    *,
    title: str,
    description: str,
) -> str:
    """`prices` are by category, "" where there are none; `entries` are the first of the legend."""
    lines = list(_lines(rows))
    seats = [seat for _, line in lines for seat in line]
    # With one category only there is nothing to tell apart, so no seat names it.
    letters = category_letters(prices) if len(prices) > 1 else {}
    if any(seat["accessible"] for seat in seats):
        mark = '<use href="#wheelchair" transform="translate(-6 -1) scale(1.6)"/>'
        entries = [*entries, (mark, "wheelchair place")]
    named = [
        (
            f'<use href="#band{index}" y="-18"/>' if letters else "",
            f"{category}, {price}" if price else category,
        )
        for index, (category, price) in enumerate(prices.items())
    ]
    # Several categories begin a line of their own.
    blocks = [entries, named] if letters else [entries + named]

    gutter = max((_text_width(label) for label, _ in lines), default=0) + 2 * MARGIN
    room = max((_places(line)[-1] + SEAT for _, line in lines), default=0)
    widest = max(_entry_width(*entry) for entry in entries + named)
    width = ceil(max(WIDTH_MIN, room + 2 * gutter, widest + 2 * MARGIN))
    zoom = round(max(1, width / WIDTH_PLAIN), 2)
    row_pitch = ROW_PITCH + (BAND if letters else 0)

    # The legend comes first, where it is seen without scrolling.
    legend, legend_height = _legend(blocks, width / zoom)
    screen, screen_height = _screen(width / zoom)
    top = ceil((legend_height + screen_height) * zoom)
    height = top + row_pitch * len(lines) + MARGIN
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
            f"<defs>{_definitions(letters.values())}</defs>"
            # White also where the browser's own ground is dark
            f'<rect width="{width}" height="{height}" fill="#fff"/>'
            f'<g transform="scale({zoom})" fill="#222">{legend}'
            f'<g transform="translate(0 {legend_height})">{screen}</g></g>'
            f'<g transform="translate(0 {top})">',
            *_drawn_lines(lines, width, row_pitch, prices, list(letters)),
            "</g></svg>\n",
        ]
    )
    # The two characters that may stand in a label but in no XML document
    return svg.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


def _lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[Line]:
    """The rows. One without a label is no row of the room: it is broken into even lines."""
    for row in rows:
        label, seats = row["label"], row["seats"]
        length = len(seats) if label else ceil(len(seats) / ceil(len(seats) / LINE_MAX))
        for start in range(0, len(seats), length):
            yield label, seats[start : start + length]


def _places(seats: Iterable[Mapping[str, Any]]) -> list[int]:
    """How far from the first seat of its line each one stands."""
    places, place = [], 0
    for seat in seats:
        places.append(place)
        place += 2 * SEAT_PITCH if seat["aisle_after"] else SEAT_PITCH
    return places


def category_letters(categories: Iterable[str]) -> dict[str, str]:
    """A letter or number for each category: a letter of its name, if one is left."""
    letters: dict[str, str] = {}
    for category in categories:
        signs = chain(category.upper(), ascii_uppercase, map(str, count(1)))
        taken = letters.values()
        letters[category] = next(s for s in signs if s.isalnum() and s not in taken)
    return letters


def _definitions(letters: Iterable[str]) -> str:
    """What seats and legend are drawn with."""
    bands = {
        f"band{index}": f'<rect y="25" width="24" height="{BAND}" rx="2.5" fill="{ground}"'
        ' stroke="#777" stroke-width=".5"/><text x="12" y="33" font-size="8.5" fill="#000"'
        f' font-weight="bold" text-anchor="middle">{letter}</text>'
        for index, (letter, ground) in enumerate(zip(letters, cycle(BANDS), strict=False))
    }
    marks = MARKS | {"wheelchair": WHEELCHAIR} | bands
    return "".join(f'<g id="{name}">{mark}</g>' for name, mark in marks.items())


def _screen(width: float) -> tuple[str, int]:
    left, right, middle = width * 0.2, width * 0.8, width / 2
    return (
        f'<path d="M{left:g} 26Q{middle:g} 8 {right:g} 26" fill="none" stroke="#222"'
        ' stroke-width="4" stroke-linecap="round"/>'
        f'<text x="{middle:g}" y="36" text-anchor="middle">Screen</text>',
        60,
    )


def _drawn_lines(
    lines: Sequence[Line],
    width: int,
    row_pitch: int,
    prices: Mapping[str, str],
    banded: Sequence[str],
) -> Iterator[str]:
    """The lines from the front, each in the middle and with its label at both ends."""
    number_size = _number_size(lines)
    looks: dict[tuple[str, str, bool], tuple[str, str, str]] = {}  # there are but a few
    yield f'<g font-size="{number_size}" fill="currentColor" text-anchor="middle">'
    for index, (label, seats) in enumerate(lines):
        top = index * row_pitch
        places = _places(seats)
        left = (width - places[-1] - SEAT) // 2
        if label:
            yield (
                f'<g font-size="{TEXT}" fill="#222">'
                f'<text x="{left - 8}" y="{top + 17}" text-anchor="end">{escape(label)}</text>'
                f'<text x="{width - left + 8}" y="{top + 17}" text-anchor="start">{escape(label)}'
                "</text></g>"
            )
        for seat, place in zip(seats, places, strict=True):
            kind = seat["status"], seat["category"], seat["accessible"]
            if kind not in looks:
                looks[kind] = _look(*kind, prices, banded, number_size)
            ink, facts, drawn = looks[kind]
            yield (
                f'<g transform="translate({left + place} {top})" color="{ink}">'
                f"<title>{escape(seat['seat_number'])}{facts}</title>"
                f"{drawn}{escape(_number(seat, label))}</text></g>"
            )
    yield "</g>"


def _look(
    status: str,
    category: str,
    accessible: bool,
    prices: Mapping[str, str],
    banded: Sequence[str],
    number_size: float,
) -> tuple[str, str, str]:
    """What the seats of a kind share: ink, the end of the title, the drawing up to the number."""
    facts = ["", prices[category], status] if prices[category] else [""]
    drawn = f'<use href="#{status}"/>'
    if accessible:
        facts.append("wheelchair place")
        drawn += '<use href="#wheelchair"/>'
    if banded:
        facts.append(category)
        drawn += f'<use href="#band{banded.index(category)}"/>'
    halo = HALO.get(status, "")
    if accessible:  # the number makes room for the wheelchair
        drawn += f'<text x="12" y="22" font-size="{min(8, number_size)}"{halo}>'
    else:
        drawn += f'<text x="12" y="15.5"{halo}>'
    return INK[status], escape(", ".join(facts)), drawn


def _number(seat: Mapping[str, Any], label: str) -> str:
    number: str = seat["seat_number"]
    return number.removeprefix(label)


def _number_size(lines: Iterable[Line]) -> float:
    """The font size at which the longest number fits on its seat."""
    longest = max((len(_number(seat, label)) for label, line in lines for seat in line), default=1)
    return min(NUMBER_MAX, round((SEAT - 2) / (longest * 0.58), 1))


def _legend(blocks: Iterable[Iterable[Entry]], width: float) -> tuple[str, int]:
    """The entries in as many centred lines as it takes, and the height."""
    lines: list[list[Entry]] = []
    for block in blocks:
        free = 0.0
        for entry in block:
            if _entry_width(*entry) > free:
                lines.append([])
                free = width - MARGIN  # the last entry's own margin may reach the edge
            lines[-1].append(entry)
            free -= _entry_width(*entry)
    drawn = []
    for index, line in enumerate(lines):
        x = (width + MARGIN - sum(_entry_width(*entry) for entry in line)) / 2
        y = MARGIN + index * (SEAT + 8)
        for mark, text in line:
            text_x = SEAT + 7 if mark else 0
            drawn.append(
                f'<g transform="translate({x:.0f} {y})">{mark}'
                f'<text x="{text_x}" y="16.5">{escape(text)}</text></g>'
            )
            x += _entry_width(mark, text)
    return "".join(drawn), MARGIN + len(lines) * (SEAT + 8)


def _entry_width(mark: str, text: str) -> float:
    return (SEAT + 7 if mark else 0) + _text_width(text) + MARGIN


def _text_width(text: str) -> float:
    """About the width of a text of the size TEXT, rather too much: the font is the viewer's."""
    return TEXT * sum(
        0.34 if c in NARROW else 0.56 if c.islower() or c.isdigit() else 1 for c in text
    )
