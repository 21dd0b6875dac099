"""A seat plan as text, one line a row, from the front. Pure functions.

    block Stalls
    A 10
    B 1..4 _ 5..12 category=vip wheelchair=1,12
    block Balcony
    "Loge 1" 8..5 _ _ 4..1 pair=8..1

A line has the row's label, its seats from left to right, and attributes anywhere after the label:

    12              the seats 1 to 12; a count must be the only seats of the line
    12..12          one seat 12
    1..12  14..1    numbers that rise or fall by one
    1,3..21         numbers that step by 3 - 1: the odd ones
    5,3,1  2a       these seats
    _  |            an empty place, an aisle; both are null in the list and written back as `_`

    category=vip    the category of all seats of the row that name no other
    vip=3..11       the category of the row's own seats from 3 to 11, in the order of the row
    wheelchair=1,8 companion=2 pair=5..8      kinds of seats, in the same way
    offset=-1       the half seats by which the row is moved to the right
    walkway         free space behind the row
    beside=Stalls   in the first row of a block: it stands to the right of that block

`block Balcony` on a line of its own begins a block, `block` alone ends it. Blank lines mean
nothing. A name that has spaces or signs or equals a keyword, in any case, is quoted: `"pair"=1..4`
is a category; `""` within quotes is one quotation mark. In an attribute commas part seats and
ranges, `pair=1..4,7,8`; only `1,3..7` is refused, since among seats it steps. A seat has one
category and one kind.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from booking_app.admin.plan_tokens import (
    BESIDE,
    BLOCK,
    CATEGORY,
    INTEGER,
    KEYWORDS,
    OFFSET,
    REPLACED,
    TYPED_KINDS,
    WALKWAY,
    WORD,
    Line,
    PlanTextError,
    Token,
)
from booking_app.catalog.models import NUMBER_MAX, SEATS_MAX, STANDARD
from booking_app.catalog.seat_plans import PlanRow, PlanSeat

EXAMPLES = {
    "Plain room": "A 10\nB 12\nC 12\nD 1..4 | 5..12\nE 1..4 | 5..12 category=vip",
    "Odd and even numbers": (
        "A 5,3,1 | 101..106 | 2,4,6\n"
        "B 7,5..1 | 101..106 | 2,4..8\n"
        "C 9,7..1 | 101..106 | 2,4..10 premium=101..106"
    ),
    "Right to left with love seats": (
        'A 10..1\nB 12..1\nC 12..1 walkway\n"Loge 1" 8..5 | | 4..1 category=lounge pair=8..1'
    ),
    "Stalls and balcony": (
        "block Stalls\nA 10\nB 12\nC 12\n"
        "block Balcony\nA 1..4 | 5..8 category=premium\nB 1..4 | 5..8 category=premium"
    ),
    "Wheelchair places with companions": (
        "A 1,2 | 3..6 | 7,8 wheelchair=1,8 companion=2,7\nB 10\nC 10"
    ),
}


# --- reading --------------------------------------------------------------------------------


def read_plan(text: str) -> list[dict[str, Any]]:
    """The rows as they are on the wire (`venue_schemas.PlanRow`).

    Raises PlanTextError. Whether the values are allowed is for the schema to say.
    """
    return [row.wire() for row in _read_rows(text)]


def quote_errors(text: str, errors: Iterable[tuple[Sequence[str | int], str]]) -> Iterator[str]:
    """Messages about the rows that were read from `text`, with the line and the place of each.

    `errors` are messages after their paths, `(row index, field, ...)`, as the schema and
    `seat_plans.PlanError` have them; a message about the whole plan has an empty path.
    """
    rows = _read_rows(text)
    for path, message in errors:
        if not path or not isinstance(path[0], int):
            yield message
            continue
        row, inner = rows[path[0]], path[1:]
        field = f", {inner[0]}" if inner else ""
        yield str(PlanTextError(row.line, row.column(inner), f"{field}: {message}"))


def _read_rows(text: str) -> list["_Row"]:
    rows: list[_Row] = []
    block, seats = "", 0
    for number, line_text in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        line = Line(number, line_text)
        if line.next.kind == "end":
            continue
        if line.next.keyword == BLOCK and not line.at_attribute:
            line.take()
            block = "" if line.next.kind == "end" else line.take_name("Here comes a name").text
            if line.next.kind != "end":
                rule = 'A block stands on a line of its own, a name of several words in "quotes".'
                raise line.error(line.next, rule)
            continue
        row = _Row(line, block)
        seats += sum(seat is not None for seat, _ in row.seats)
        if seats > SEATS_MAX:
            raise line.error(line.tokens[0], f"A screen has at most {SEATS_MAX} seats.")
        rows.append(row)
    return rows


class _Row:
    """A row, read from its line. `seats` are the numbers of its seats, None for an empty place,
    each with its column."""

    def __init__(self, line: Line, block: str) -> None:
        self.line = line
        self.seats: list[tuple[str | None, int]] = []
        self.count: Token | None = None  # where the seats are one
        self.marks: dict[int, dict[str, str]] = {}  # category and kind of seats, by their places
        self.columns = {"label": line.next.column}
        if line.at_attribute:
            raise line.error(line.next, "A line begins with the row's label.")
        label = line.take_name("A line begins with the row's label")
        self.values: dict[str, Any] = {"label": label.text} | ({BLOCK: block} if block else {})
        marks: list[tuple[Token, list[list[Token]]]] = []
        while line.next.kind != "end":
            if not line.at_attribute:
                self._read_seats()
            elif line.next.keyword in KEYWORDS - {*TYPED_KINDS}:
                self._read_attribute()
            else:
                name = line.take()
                line.take_sign("=")
                marks.append((name, line.take_parts("After = comes the number of a seat")))
        if not self.seats and not self.count:
            raise line.error(
                line.next, "After the label come seats: a count such as 12, or numbers as 1..12."
            )
        self._mark(marks)

    def wire(self) -> dict[str, Any]:
        """The row as it is on the wire."""
        if self.count and not self.marks:
            return self.values | {"seats": self.count.integer}
        seats: list[Any] = [number for number, _ in self.seats]
        for place, mark in self.marks.items():
            seats[place] = {"number": seats[place], **mark}
        return self.values | {"seats": seats}

    def column(self, path: Sequence[str | int]) -> int:
        """The column of what the path leads to, else of the label."""
        match path:
            case ["seats", int(place), *_] if place < len(self.seats):
                return self.seats[place][1]
            case ["seats", *_] if self.seats:
                return self.seats[0][1]
            case [str(field), *_] if field in self.columns:
                return self.columns[field]
        return self.columns["label"]

    def _read_seats(self) -> None:
        line, token = self.line, self.line.next
        if line.take_sign("|"):
            self._add([None], token)
        elif token.kind == "word" and set(token.text) == {"_"}:
            self._add([None] * len(line.take().text), token)
        elif token.keyword == WALKWAY:
            self._set(line.take(), True)
        else:
            match line.take_parts("Here comes a seat or an attribute"):
                case [[single]] if single.kind == "word" and single.integer is not None:
                    numbers = range(1, single.integer + 1)
                    self._add(numbers, single, is_count=True)
                case [[first, last]]:
                    self._add(self._range(first, None, last), first)
                case [[first], [second, last]]:
                    self._add(self._range(first, second, last), first)
                case parts:
                    for first, *rest in parts:
                        if rest:
                            rule = "Put a space before and after a range, and no comma."
                            raise line.error(first, rule)
                        self._add([self._number(first)], first)

    def _add(
        self, numbers: Sequence[int | str | None], token: Token, *, is_count: bool = False
    ) -> None:
        if self.count or (is_count and self.seats):
            raise self.line.error(
                self.count or token,
                "A count must be the only seats of a row. Type 1..12 for the seats 1 to 12, 12..12 "
                "for one seat 12, and category=vip for a category.",
            )
        if len(self.seats) + len(numbers) > SEATS_MAX:
            raise self.line.error(token, f"A row has at most {SEATS_MAX} seats and empty places.")
        self.count = token if is_count else None
        column = token.column
        self.seats += [(None if one is None else str(one), column) for one in numbers]

    def _range(self, first: Token, second: Token | None, last: Token) -> range:
        low, high = self._integer(first), self._integer(last)
        step = self._integer(second) - low if second else 1 if low <= high else -1
        if second and (not step or (high - low) % step or (high - low) // step < 1):
            rule = f"Steps of {step} from {low} don't lead to {high}."
            raise self.line.error(last, rule)
        return range(low, high + (1 if step > 0 else -1), step)

    def _integer(self, token: Token) -> int:
        if token.integer is None:
            rule = f"A range is of whole numbers such as 1..12, not {token.shown}."
            raise self.line.error(token, rule)
        return token.integer

    def _number(self, token: Token) -> str:
        number = unicodedata.normalize("NFC", token.text)
        if not 0 < len(number) <= NUMBER_MAX or not all(
            c.isalpha() or c.isdecimal() for c in number
        ):
            raise self.line.error(
                token,
                f"{token.shown} is no seat: its number has 1 to {NUMBER_MAX} letters and digits. "
                "A range is 1..12, a category is category=vip.",
            )
        return number

    def _read_attribute(self) -> None:
        """One that the row has once, with a value of its own."""
        line = self.line
        name = line.take()
        equals = line.take()
        if name.keyword in REPLACED:
            raise line.error(name, REPLACED[name.keyword])
        if name.keyword in (BLOCK, WALKWAY):
            rule = f'Has no value; a category of that name is quoted, "{name.text}"=1..4.'
            raise line.error(equals, rule)
        value = line.take_name("After = comes a value")
        if name.keyword != OFFSET:
            self._set(name, value.text)
        elif re.fullmatch("[+-]?[0-9]{1,6}", value.text):
            self._set(name, int(value.text))
        else:
            rule = f"An offset is a whole number of half seats, not {value.shown}."
            raise line.error(value, rule)

    def _set(self, name: Token, value: Any) -> None:
        if name.keyword in self.values:
            raise self.line.error(name, f"{name.keyword} stands here a second time.")
        self.values[name.keyword] = value
        self.columns[name.keyword] = name.column

    def _mark(self, marks: Iterable[tuple[Token, list[list[Token]]]]) -> None:
        """Give categories and kinds to the seats that the parts name."""
        own = [place for place, (number, _) in enumerate(self.seats) if number is not None]
        order = {self.seats[place][0]: index for index, place in enumerate(own)}
        for name, parts in marks:
            field = "kind" if name.keyword else CATEGORY
            value = name.keyword or name.text
            if [len(part) for part in parts] == [1, 2]:
                rule = (
                    "Among seats this would step. Type the first as a range too, such as 1..1,3..7."
                )
                raise self.line.error(parts[0][0], rule)
            for part in parts:
                for token in part:
                    if self._number(token) not in order:
                        raise self.line.error(token, f"The row has no seat {token.shown}.")
                ends = [order[self._number(token)] for token in part]
                for place in own[min(ends) : max(ends) + 1]:
                    mark = self.marks.setdefault(place, {})
                    if field in mark:
                        rule = f"Seat {self.seats[place][0]} has a {field} already, {mark[field]}."
                        raise self.line.error(part[0], rule)
                    mark[field] = value


# --- writing --------------------------------------------------------------------------------


def write_plan(plan: Iterable[PlanRow]) -> str:
    """The text of a plan."""
    lines = []
    block = ""
    for row in plan:
        if row.block != block:
            block = row.block
            lines.append(f"{BLOCK} {_quoted(block)}" if block else BLOCK)
        lines.append(" ".join(_words(row)))
    return "\n".join(lines)


def _words(row: PlanRow) -> Iterator[str]:
    seats = [seat for seat in row.seats if seat is not None]
    yield _quoted(row.label)
    if [seat and seat.number for seat in row.seats] == [str(n + 1) for n in range(len(seats))]:
        yield str(len(seats))
    else:
        for is_empty, run in groupby(row.seats, key=lambda seat: seat is None):
            numbers = [seat.number if seat else "_" for seat in run]
            yield from numbers if is_empty else _items(numbers)
    ((usual, _),) = Counter(seat.category for seat in seats).most_common(1)
    if usual != STANDARD:
        yield f"{CATEGORY}={_quoted(usual)}"
    for category, parts in _parts(seats, lambda seat: seat.category):
        if category != usual:
            yield f"{_quoted(category)}={parts}"
    for kind, parts in _parts(seats, lambda seat: seat.kind):
        if kind != STANDARD:
            yield f"{kind}={parts}"
    if row.offset:
        yield f"{OFFSET}={row.offset}"
    if row.walkway:
        yield WALKWAY
    if row.beside is not None:
        yield f"{BESIDE}={_quoted(row.beside)}"


def _items(numbers: Sequence[str]) -> Iterator[str]:
    """Seats without an empty place between them: ranges, and lists of those that form none."""
    listed: list[str] = []
    at = 0
    while at < len(numbers):
        length, step = _steps(numbers, at)
        if length >= (3 if abs(step) == 1 else 4):
            yield from _listed(listed)
            listed = []
            second = "" if abs(step) == 1 else f",{numbers[at + 1]}"
            yield f"{numbers[at]}{second}..{numbers[at + length - 1]}"
            at += length
        else:
            listed.append(numbers[at])
            at += 1
    yield from _listed(listed)


def _listed(numbers: Sequence[str]) -> Iterator[str]:
    match numbers:
        case []:
            return
        case [single] if INTEGER.fullmatch(single):
            yield f"{single}..{single}"  # alone it would be a count
        case _:
            yield ",".join(map(_quoted, numbers))


def _steps(numbers: Sequence[str], at: int) -> tuple[int, int]:
    """How many numbers from there on differ by the same step, and the step."""
    values: list[int] = []
    for number in numbers[at:]:
        if not INTEGER.fullmatch(number):
            break
        value = int(number)
        if len(values) >= 2 and value - values[-1] != values[1] - values[0]:
            break
        values.append(value)
    return len(values), values[1] - values[0] if len(values) >= 2 else 0


def _parts(
    seats: Iterable[PlanSeat], value_of: Callable[[PlanSeat], str]
) -> Iterator[tuple[str, str]]:
    """Each value that seats have, with those seats as an attribute says them."""
    found: dict[str, list[str]] = {}
    for value, run in groupby(seats, key=value_of):
        numbers = [_quoted(seat.number) for seat in run]
        parts = numbers if len(numbers) <= 2 else [f"{numbers[0]}..{numbers[-1]}"]
        found.setdefault(value, []).extend(parts)
    for value, parts in found.items():
        if len(parts) == 2 and ".." in parts[1] and ".." not in parts[0]:
            parts[0] = f"{parts[0]}..{parts[0]}"  # else it would look like steps
        yield value, ",".join(parts)


def _quoted(name: str) -> str:
    """The name, in quotes where it needs them."""
    plain = re.fullmatch(WORD, name) and name.lower() not in KEYWORDS and name.strip("_")
    return name if plain else '"' + name.replace('"', '""') + '"'
