"""Numbers and times as JSON Schema and RFC 3339 define them."""

from datetime import UTC, datetime

import pytest
from marshmallow import ValidationError

from booking_app.web.fields import ByType, Instant, SeatLabel, StrictInteger


def test_wherever_a_whole_number_may_stand() -> None:
    assert SeatLabel(max_length=9).deserialize(5.0) == "5"
    either = ByType({int: StrictInteger(1), str: SeatLabel(max_length=9)}, told="Neither.")
    assert either.deserialize(5.0) == 5
    for field in (SeatLabel(max_length=9), either, StrictInteger(1)):
        for value in (5.5, float("inf"), float("nan")):
            with pytest.raises(ValidationError):
                field.deserialize(value)


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2030-01-31T20:00:00Z", at(2030, 1, 31, 20)),
        ("2030-01-31t20:00:00z", at(2030, 1, 31, 20)),
        ("2030-01-31T20:00:00.5Z", at(2030, 1, 31, 20, 0, 0, 500_000)),
        ("2030-01-31T20:00:00.1234567Z", at(2030, 1, 31, 20, 0, 0, 123_456)),
        ("2030-01-31T20:00:00.000000000000000000001Z", at(2030, 1, 31, 20)),
        ("2030-01-31T20:00:00+01:00", at(2030, 1, 31, 19)),
        ("2030-01-31T20:00:00-00:00", at(2030, 1, 31, 20)),
        ("2030-01-31T00:00:00+23:59", at(2030, 1, 30, 0, 1)),
        # Leap seconds, in the last minute of a day in UTC.
        ("2016-12-31T23:59:60Z", at(2017, 1, 1)),
        ("2017-01-01T00:59:60.5+01:00", at(2017, 1, 1, 0, 0, 0, 500_000)),
    ],
)
def test_rfc_3339_is_read(sent: str, read: datetime) -> None:
    assert Instant().deserialize(sent) == read


@pytest.mark.parametrize(
    "sent",
    [
        "2030-01-31T20:00Z",
        "2030-01-31 20:00:00Z",
        "2030-01-31T20:00:00",
        "2030-01-31T20:00:00.Z",
        "2030-01-31T20:00:00,5Z",
        "2030-01-31T24:00:00Z",
        "2030-01-31T20:60:00Z",
        "2030-01-31T20:00:60Z",
        "2030-01-31T20:00:61Z",
        "2030-01-31T20:00:00+24:00",
        "2030-01-31T20:00:00+01:60",
        "2030-01-31T20:00:00+0100",
        "2030-01-31T20:00:00+01",
        "2030-01-31T20:00:00+01:00:00",
        "2030-W05-4T20:00:00Z",
        "20300131T200000Z",
        "2030-02-29T20:00:00Z",
        "9999-12-31T23:59:60Z",
        "2030-01-31T20:00:00Z\n",
        " 2030-01-31T20:00:00Z",
    ],
)
def test_nothing_else_is(sent: str) -> None:
    with pytest.raises(ValidationError, match="Must be a time"):
        Instant().deserialize(sent)
