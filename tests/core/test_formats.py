"""Amounts of money as text and in minor units; times as text."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking_app.admin import amounts
from booking_app.core.formats import (
    PRICE_MAX,
    decimal_of,
    decimal_string,
    iso,
    local_iso,
    minor_units,
)

CURRENCIES = ["EUR", "JPY", "KWD", "CLF", "IDR", "USD"]


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (950, "EUR", "9.50"),
        (5, "EUR", "0.05"),
        (0, "EUR", "0.00"),
        (1800, "JPY", "1800"),
        (0, "JPY", "0"),
        (950, "KWD", "0.950"),
        (12345, "CLF", "1.2345"),
        (15_000_000, "IDR", "150000.00"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(amount: int, currency: str, text: str) -> None:
    assert decimal_string(amount, currency) == text
    assert minor_units(Decimal(text), currency) == amount


@given(amount=st.integers(0, PRICE_MAX), currency=st.sampled_from(CURRENCIES))
def test_what_is_written_is_read_as_the_same(amount: int, currency: str) -> None:
    assert minor_units(Decimal(decimal_string(amount, currency)), currency) == amount
    assert minor_units(decimal_of(amount, currency), currency) == amount
    for locale in ("en", "de", "fr_CH"):
        typed = amounts.typed(amounts.editable(amount, currency, locale))
        assert minor_units(Decimal(typed), currency) == amount


@pytest.mark.parametrize(
    ("text", "currency", "told"),
    [
        ("1800.5", "JPY", "JPY has no decimals; 1800.5 has more."),
        ("1800.0", "JPY", "JPY has no decimals; 1800.0 has more."),
        ("9.505", "EUR", "EUR has 2 decimals; 9.505 has more."),
        ("1.500", "EUR", "EUR has 2 decimals; 1.500 has more."),
        ("1000000.01", "EUR", "Must be at most 1000000.00 EUR."),
        ("100000001", "JPY", "Must be at most 100000000 JPY."),
    ],
)
def test_amounts_that_a_currency_does_not_have_are_refused(
    text: str, currency: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        minor_units(Decimal(text), currency)


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "shown"),
    [
        (950, "EUR", "en", "€9.50"),
        (950, "EUR", "de", "9,50\xa0€"),
        (1800, "JPY", "en", "¥1,800"),
        (950, "KWD", "en", "KWD\xa00.950"),
        # ISO 4217 has decimals that CLDR leaves out.
        (15_000_050, "IDR", "en", "150000.50 IDR"),
        (1234, "IQD", "en", "1.234 IQD"),
    ],
)
def test_amounts_are_shown_as_people_write_them(
    amount: int, currency: str, locale: str, shown: str
) -> None:
    assert amounts.shown(amount, currency, locale) == shown


def test_amounts_are_typed_with_a_point_or_a_comma() -> None:
    assert amounts.typed("9,50") == amounts.typed("9.50") == "9.50"
    for other in ("1.234,50", "9,5,0", "9.", "-1", "x", ""):
        assert amounts.typed(other) == other


def test_an_instant_is_told_by_the_clocks_that_it_has() -> None:
    """Whatever was told before: instants of two zones count as equal."""
    instant = datetime(2030, 7, 1, 19, 30, tzinfo=UTC)
    there = instant.astimezone(ZoneInfo("Europe/Berlin"))
    for _ in range(2):
        assert iso(instant) == "2030-07-01T19:30:00Z"
        assert iso(there) == "2030-07-01T21:30:00+02:00"
        for value in (instant, there):
            assert local_iso(value, "Europe/Berlin") == "2030-07-01T21:30:00+02:00"
            assert local_iso(value, "Etc/UTC") == "2030-07-01T19:30:00Z"
