"""Catalogue files and currencies: prices are never taken for those of another one."""

from typing import Any

import pytest
from flask import Flask

from booking_app.catalog import catalog_export
from booking_app.catalog.models import Cinema, Show
from booking_app.core.database import db
from tests.catalog.file_making import house, load, told
from tests.conftest import NOON, empty, rows

SHOW = "movies[0] (Äpfel).shows[0] at 2030-06-02 14:00 UTC"


def sold_in() -> list[tuple[str, int]]:
    return [(show.currency, show.price_cents) for show in rows(Show)]


def in_currency(currency: str | None, **shows: dict[str, Any]) -> dict[str, Any]:
    file = house(**shows)
    file["cinemas"][0]["currency"] = currency
    return file


def test_a_new_cinema_sells_in_the_currency_of_its_file(app: Flask) -> None:
    load(in_currency("JPY", a={"price": "1800"}), currency="EUR")
    assert sold_in() == [("JPY", 1800)]


@pytest.mark.parametrize("update", [False, True])
def test_another_currency_than_here_is_told_and_no_show_is_sold_in_the_wrong_one(
    app: Flask, update: bool
) -> None:
    load(house(a={"price": "9.50"}), currency="EUR")
    file = in_currency("CHF", a={"price": "12.00"}, b={"price": "12.00"})
    report = load(file, update=update, skip_conflicts=True, currency="EUR")
    assert told(report.left) == [
        "cinemas[0] (Burg), currency: here EUR, in the file CHF",
        f"{SHOW}, price: here 9.50, in the file 12.00",
        f"{SHOW}, currency: here EUR, in the file CHF",
    ]
    new = SHOW.replace("[0] at 2030-06-02", "[1] at 2030-06-03")
    in_the_way = [f"{new}: currency: Its prices are in CHF; this hall sells in EUR."]
    if update:
        in_the_way = [
            "cinemas[0] (Burg): Shows to come are sold in another currency; delete them first.",
            f"{SHOW}: A show can't change its currency.",
            *in_the_way,
        ]
    assert told(report.obstacles) == in_the_way
    assert sold_in() == [("EUR", 950)]


def test_without_shows_to_come_a_cinema_takes_the_currency_of_the_file(app: Flask) -> None:
    load(house(), currency="EUR")
    report = load(in_currency("CHF", a={"price": "12.00"}), update=True, currency="EUR")
    assert report.obstacles == ()
    assert sold_in() == [("CHF", 1200)]


def test_the_currency_of_the_installation_may_be_named_or_not(app: Flask) -> None:
    load(house(a={}), currency="EUR")
    for currency in ("EUR", None):
        report = load(in_currency(currency, a={}), currency="EUR")
        assert (report.left, report.obstacles) == ((), ())
    assert [cinema.currency for cinema in rows(Cinema)] == [None]


def test_an_export_loaded_where_the_currency_is_another_keeps_its_own(app: Flask) -> None:
    load(house(a={"price": "9.50"}), currency="EUR")
    catalog = catalog_export.export_catalog(currency="EUR", now=NOON)
    empty(db.engine)
    load(catalog, currency="JPY")
    assert sold_in() == [("EUR", 950)]


def test_a_show_that_is_sold_in_another_currency_than_its_cinema_says_so(app: Flask) -> None:
    """CURRENCY was changed after it was made."""
    load(house(a={"price": "9.50"}), currency="EUR")
    catalog = catalog_export.export_catalog(currency="JPY", now=NOON)
    ((show,),) = [movie["shows"] for movie in catalog["movies"]]
    assert (catalog["cinemas"][0]["currency"], show["currency"]) == ("JPY", "EUR")
    here = load(catalog, currency="JPY")
    assert (here.left, here.obstacles) == ((), ())
    empty(db.engine)
    (obstacle,) = load(catalog, currency="JPY").obstacles
    assert obstacle.why == "currency: Its prices are in EUR; this hall sells in JPY."
