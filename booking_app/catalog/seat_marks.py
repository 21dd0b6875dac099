"""The marks of a seat picture and its legend, in SVG. Lengths are in the units of the viewBox."""

from collections.abc import Iterable
from itertools import chain, count, cycle
from string import ascii_uppercase
from xml.sax.saxutils import escape

from booking_app.catalog.models import (
    AVAILABLE,
    BLOCKED,
    BOOKED,
    COMPANION,
    HELD,
    PAIR,
    WHEELCHAIR,
)

SEAT, SEAT_PITCH = 24, 28
BAND = 10  # the height of the strip below a seat with the letter of its category
MARGIN = 16
TEXT = 13  # the font size of the screen, the rows' labels and the legend

# The colours are those of Okabe and Ito, which the colour-blind can tell apart. Without any
# colour the four still differ, in lightness and by their mark: full, half, crossed, hatched.
MARKS = {
    AVAILABLE: '<rect width="24" height="24" rx="5" fill="#0072B2"/>',
    HELD: '<rect x=".75" y=".75" width="22.5" height="22.5" rx="4.5" fill="#fff"/>'
    '<path d="M2 2 22 22A4 4 0 0 1 19 23H5A4 4 0 0 1 1 19V5A4 4 0 0 1 2 2z" fill="#E69F00"/>'
    '<rect x=".75" y=".75" width="22.5" height="22.5" rx="4.5" fill="none" stroke="#946600"'
    ' stroke-width="1.5"/>',
    BOOKED: '<rect x=".5" y=".5" width="23" height="23" rx="4.5" fill="#E4E4E4" stroke="#AAA"/>'
    '<path d="M2 2 22 22M22 2 2 22" stroke="#AAA" stroke-width="1.5"/>',
    BLOCKED: '<rect x=".75" y=".75" width="22.5" height="22.5" rx="4.5" fill="#F7E9F0"'
    ' stroke="#A3557F" stroke-width="1.5"/>'
    '<path d="M2 9 9 2M2 16 16 2M3 22 22 3M8 22 22 8M15 22 22 15" stroke="#CC79A7"'
    ' stroke-width="1.5"/>',
}
INK = {AVAILABLE: "#fff", HELD: "#000", BOOKED: "#333", BLOCKED: "#000"}  # written on them
# A halo, so that no line runs through the number
HALO = {
    status: f' stroke="{ground}" stroke-width="3" paint-order="stroke"'
    for status, ground in {BOOKED: "#E4E4E4", BLOCKED: "#F7E9F0"}.items()
}

KIND_NAMES = {WHEELCHAIR: "wheelchair place", COMPANION: "companion seat", PAIR: "pair seat"}
# These stand above the seat's number.
SIGNS = {
    WHEELCHAIR: '<circle cx="11" cy="3.2" r="1.5" fill="currentColor"/>'
    '<path d="M11 5.8V9.3H14.4L16 12.8M11 7.3H14M9 7.3A3.3 3.3 0 1 0 13.6 11.6" fill="none"'
    ' stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round"/>',
    COMPANION: '<circle cx="9" cy="4.2" r="2.3" fill="currentColor"/>'
    '<path d="M4.8 13V11.2A4.2 3.8 0 0 1 13.2 11.2V13z" fill="currentColor"/>'
    '<path d="M17.5 4.2V10.2M14.5 7.2H20.5" stroke="currentColor" stroke-width="1.6"/>',
}
# What joins a seat to the other of its pair, on its right
JOINT = f'<path d="M20 5H{SEAT_PITCH + 4}V19H20z" fill="#222"/>'
PAIR_MARK = (
    '<path d="M8 9H16V15H8z" fill="#222"/><g fill="#fff" stroke="#222" stroke-width="1.4">'
    '<rect x=".7" y="6.7" width="9.6" height="10.6" rx="2.5"/>'
    '<rect x="13.7" y="6.7" width="9.6" height="10.6" rx="2.5"/></g>'
)
LEGEND_MARKS = {
    WHEELCHAIR: f'<use href="#{WHEELCHAIR}" transform="translate(-6 -1) scale(1.6)"/>',
    COMPANION: f'<use href="#{COMPANION}" transform="translate(-7 0) scale(1.5)"/>',
    PAIR: PAIR_MARK,
}

# The grounds of the categories' bands: the same colours, but pale, since the status matters
# more. Beyond six only the letters tell them apart.
BANDS = ["#F8F2A1", "#ABDAF4", "#EAAF80", "#E6BCD3", "#80CEB9", "#BBB"]

NARROW = set(" !'(),-.:;I[]fijlrt|")  # letters and signs

Entry = tuple[str, str]  # of the legend: the mark, if any, and text


def category_letters(categories: Iterable[str]) -> dict[str, str]:
    """A letter or number for each category: a letter of its name, if one is left."""
    letters: dict[str, str] = {}
    for category in categories:
        signs = chain(category.upper(), ascii_uppercase, map(str, count(1)))
        taken = letters.values()
        letters[category] = next(s for s in signs if s.isalnum() and s not in taken)
    return letters


def definitions(letters: Iterable[str]) -> str:
    """What seats and legend are drawn with; `letters` are those of the categories' bands."""
    bands = {
        f"band{index}": f'<rect y="25" width="24" height="{BAND}" rx="2.5" fill="{ground}"'
        ' stroke="#777" stroke-width=".5"/><text x="12" y="33" font-size="8.5" fill="#000"'
        f' font-weight="bold" text-anchor="middle">{letter}</text>'
        for index, (letter, ground) in enumerate(zip(letters, cycle(BANDS), strict=False))
    }
    marks = MARKS | SIGNS | {"joint": JOINT} | bands
    return "".join(f'<g id="{name}">{mark}</g>' for name, mark in marks.items())


def screen(width: float) -> tuple[str, int]:
    """The screen in a picture of that width, and its height."""
    left, right, middle = width * 0.2, width * 0.8, width / 2
    return (
        f'<path d="M{left:g} 26Q{middle:g} 8 {right:g} 26" fill="none" stroke="#222"'
        ' stroke-width="4" stroke-linecap="round"/>'
        f'<text x="{middle:g}" y="36" text-anchor="middle">Screen</text>',
        60,
    )


def legend(parts: Iterable[Iterable[Entry]], width: float) -> tuple[str, int]:
    """The entries in as many centred lines as it takes, and the height. A part begins a line."""
    lines: list[list[Entry]] = []
    for part in parts:
        free = 0.0
        for entry in part:
            if entry_width(*entry) > free:
                lines.append([])
                free = width - MARGIN  # the last entry's own margin may reach the edge
            lines[-1].append(entry)
            free -= entry_width(*entry)
    drawn = []
    for index, line in enumerate(lines):
        x = (width + MARGIN - sum(entry_width(*entry) for entry in line)) / 2
        y = MARGIN + index * (SEAT + 8)
        for mark, text in line:
            text_x = SEAT + 7 if mark else 0
            drawn.append(
                f'<g transform="translate({x:.0f} {y})">{mark}'
                f'<text x="{text_x}" y="16.5">{escape(text)}</text></g>'
            )
            x += entry_width(mark, text)
    return "".join(drawn), MARGIN + len(lines) * (SEAT + 8)


def entry_width(mark: str, text: str) -> float:
    """The width of an entry of the legend, with the space behind it."""
    return (SEAT + 7 if mark else 0) + text_width(text) + MARGIN


def text_width(text: str) -> float:
    """About the width of a text of the size TEXT, rather too much: the font is the viewer's."""
    return TEXT * sum(
        0.34 if c in NARROW else 0.56 if c.islower() or c.isdigit() else 1 for c in text
    )
