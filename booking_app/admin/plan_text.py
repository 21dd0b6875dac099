"""A seat plan as text that is typed: a line for each row, from the front. Pure functions.

`B 12 vip gaps=4,8 accessible=1,12` is the row B with 12 seats of the category vip, an aisle after
the seats 4 and 8, and wheelchair places 1 and 12. Only the label and the number of seats must be
there; a category of several words stands in quotes.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

EXAMPLE = "A 10\nB 12 gaps=4,8\nC 12 gaps=4,8 accessible=1,12\nD 12 vip gaps=4,8"
LISTS = ("gaps", "accessible")
CATEGORY = "category"
LINE_MAX = 60_000  # room for aisles and wheelchair places at each seat of the longest row


class PlanTextError(ValueError):
    """A line that can't be read, which the message names."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"Line {line}: {message}")


def read_plan(text: str) -> list[dict[str, Any]]:
    """The rows as they are on the wire (`schemas.PlanRow`); blank lines count for nothing.

    Raises PlanTextError. Whether the values are allowed is for the schema to say.
    """
    return [
        _row(number, line)
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
        if line.strip()
    ]


def _row(number: int, line: str) -> dict[str, Any]:
    if len(line) > LINE_MAX:
        raise PlanTextError(number, "Is too long.")
    try:
        label, *words = shlex.split(line)
    except ValueError as error:
        raise PlanTextError(number, f"{error}.") from error
    if not words:
        raise PlanTextError(number, "Give a label and the number of seats, such as B 12.")
    row: dict[str, Any] = {"label": label, "seats": _number(words.pop(0))}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            name, value = CATEGORY, word
        if name not in (*LISTS, CATEGORY) or name in row:
            raise PlanTextError(
                number,
                f"{word!r} is not understood: after label and seats may come a category (in quotes "
                "if it has several words), gaps=4,8 and accessible=1,12, each once.",
            )
        listed = name in LISTS
        row[name] = [_number(one) for one in value.split(",") if one] if listed else value
    return row


def _number(text: str) -> int | str:
    """The number, or what stands in its place, for the schema to refuse."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else text


def write_plan(rows: Iterable[Mapping[str, Any]], *, standard: str) -> str:
    """The text of a plan; the category `standard` is left out."""
    return "\n".join(_line(row, standard) for row in rows)


def _line(row: Mapping[str, Any], standard: str) -> str:
    words = [str(row["label"]), str(row["seats"])]
    if row["category"] != standard:
        # One that looks like something else is named as what it is.
        words.append((f"{CATEGORY}=" if "=" in row["category"] else "") + row["category"])
    for name in LISTS:
        if row[name]:
            words.append(f"{name}={','.join(map(str, row[name]))}")
    return shlex.join(words)
