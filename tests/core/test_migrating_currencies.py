"""Amounts become minor units of their currency where they were something else."""

from typing import Any

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade

from tests.migrating import MIGRATIONS, content, fill, rows_of_0013


def rows_in(currency: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of 0013, all amounts of which are in that currency, with two decimals."""
    filled = rows_of_0013()
    for booking in filled["booking"]:
        booking |= {"currency": currency}
    return filled


def amounts() -> dict[str, Any]:
    """What stands in the tables."""
    tables = content()
    return {
        "shows": [(show["price_cents"], show["currency"]) for show in tables["show"]],
        "seats": [seat["price_cents"] for seat in tables["show_seat"] if seat["booking_id"]],
        "totals": [booking["total_cents"] for booking in tables["booking"]],
        "sums": [row["takings_cents"] for row in tables["show_sum"]],
        "least": [row["least_release"] for row in tables["schema_requirement"]],
    }


@pytest.mark.parametrize(
    ("currency", "price"), [("EUR", 950), ("JPY", 10), ("KWD", 9500), ("CLF", 95_000)]
)
def test_amounts_get_the_decimals_of_their_currency(
    fresh_app: Flask, currency: str, price: int
) -> None:
    """9.50 yen are rounded; in 1.2 there was no other way to write 10."""
    fresh_app.config["CURRENCY"] = currency
    upgrade(MIGRATIONS, "0013")
    fill(rows_in(currency))
    upgrade(MIGRATIONS, "0015")
    after = amounts()
    is_converted = currency != "EUR"
    assert after["shows"] == [(price, currency)] * 2
    assert after["seats"] == [price]
    assert after["totals"] == [price, price]
    assert after["sums"] == ([] if is_converted else [950]), "added up anew"
    assert after["least"] == (["1.3.0"] if is_converted else ["1.2.0"])
    if is_converted:
        with pytest.raises(SystemExit, match="Can't go back: 2 shows"):
            downgrade(MIGRATIONS, revision="0013")
    else:
        downgrade(MIGRATIONS, revision="0013")
        upgrade(MIGRATIONS, "0015")
        assert amounts() == after


def test_a_show_has_the_currency_that_its_bookings_have(
    fresh_app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    """CURRENCY was another one when they were made."""
    fresh_app.config["CURRENCY"] = "EUR"
    upgrade(MIGRATIONS, "0013")
    fill(rows_in("CHF"))
    upgrade(MIGRATIONS, "0015")
    assert amounts()["shows"] == [(950, "CHF"), (950, "EUR")]
    assert "two currencies" not in capsys.readouterr().out
    with pytest.raises(SystemExit, match="Can't go back: 1 shows"):
        downgrade(MIGRATIONS, revision="0013")


def test_a_show_that_was_sold_in_two_currencies_is_named(
    fresh_app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gets that of its newest booking with a seat, not that of a newer one without."""
    fresh_app.config["CURRENCY"] = "EUR"
    upgrade(MIGRATIONS, "0013")
    filled = rows_of_0013()
    first, cancelled = filled["booking"]
    second = first | {"id": 3, "reference": "A3", "currency": "CHF"}
    newest = cancelled | {"id": 4, "reference": "A4", "currency": "JPY"}
    filled["booking"] += [second, newest]
    filled["show_seat"][1] |= {"booking_id": 3, "price_cents": 950}
    fill(filled)
    upgrade(MIGRATIONS, "0015")
    assert amounts()["shows"] == [(950, "CHF"), (950, "EUR")]
    assert capsys.readouterr().out == (
        "Show 1 was sold in two currencies, since CURRENCY was changed between: reports count all "
        "its seats in CHF.\n"
    )
