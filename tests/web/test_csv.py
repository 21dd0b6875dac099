"""Tables for spreadsheets: texts stay texts."""

import csv

import pytest

from booking_app.web.csv import lines


def cell(value: object) -> str:
    """What stands in the only cell of a table, as a spreadsheet reads the file."""
    (_, row) = csv.reader("".join(lines(["x"], [[value]])).splitlines())
    return row[0]


def test_no_seat_becomes_a_day() -> None:
    for day in range(1, 32):
        for month in range(1, 13):
            assert cell(f"{day}-{month}") == f"'{day}-{month}"


@pytest.mark.parametrize("label", ["1-11", "2030-1", "1/2", "MARCH1", "Sept2", "Dec-1", "1-mar"])
def test_nor_anything_else_that_looks_like_one(label: str) -> None:
    assert cell(label) == f"'{label}"


@pytest.mark.parametrize(
    "text", ["9.50", "1200.00", "2030-01-31", "A1", "11-1, 11-2", "A-B1", "Loge 1-8", "20:00", "12"]
)
def test_what_is_no_day_stays_as_it_is(text: str) -> None:
    assert cell(text) == text
