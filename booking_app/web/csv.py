"""Tables as CSV, made line by line, so that they may be longer than the memory."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

MEDIA_TYPE = "text/csv"
Row = TypeVar("Row")
LINES_AT_ONCE = 100
# With one of these signs at its beginning a spreadsheet takes a text for a formula; and some part
# cells at semicolons too, whatever quotes there are.
FORMULA = re.compile(r"(^|[;\t\r\n])(?=[^\S\t\r\n]*[=+\-@＝＋－＠\t\r])")
# What a spreadsheet takes for a day: the seat 11-1, and a row March with a seat 1.
MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
DAY = re.compile(
    rf"\s*(?:[0-9]{{1,4}}[-/][0-9]{{1,4}}|[0-9]{{1,4}}[- ]?{MONTH}|{MONTH}[- ]?[0-9]{{1,4}})\s*",
    re.IGNORECASE,
)


class _Echo:
    """A file that gives back what is written."""

    @staticmethod
    def write(line: str) -> str:
        return line


def lines(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """A line with the columns' names, and one for each row; several at a time."""
    writer = csv.writer(_Echo())
    yield writer.writerow(names)
    written = (writer.writerow([_cell(value) for value in row]) for row in rows)
    while some := list(islice(written, LINES_AT_ONCE)):
        yield "".join(some)


def begun(rows: Iterator[Row]) -> Iterator[Row]:
    """The rows, with the first one read at once: what fails there is answered as an error, not with
    a table that ends early."""
    return chain(list(islice(rows, 1)), rows)


def _cell(value: Any) -> Any:
    """A text that a spreadsheet leaves a text (OWASP, CSV Injection)."""
    if not isinstance(value, str):
        return value
    return f"'{value}" if DAY.fullmatch(value) else FORMULA.sub(r"\1'", value)
