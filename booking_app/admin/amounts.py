"""Amounts of money as the people of a house type and read them."""

import re
from decimal import Decimal

from babel.numbers import format_currency, get_currency_precision, get_decimal_symbol

from booking_app.core.formats import decimal_string, decimals

TYPED = r"([0-9]+)(?:[.,]([0-9]+))?"


def shown(amount: int, currency: str, locale: str) -> str:
    """Minor units with the sign of the currency, as the Unicode locale writes them: `9,50 €`."""
    text = decimal_string(amount, currency)
    if get_currency_precision(currency) != decimals(currency):
        # Where people leave out decimals that ISO 4217 has, none of them may be lost.
        return f"{text} {currency}"
    formatted = format_currency(Decimal(text), currency, locale=locale)
    # A code is kept apart from the number (CLDR, currencySpacing), which Babel does not do.
    return re.sub(r"^([A-Z]{3})(?=[0-9])", "\\1\u00a0", formatted)


def typed(text: str) -> str:
    """Turn a typed amount into its form on the wire: "9,50" and "9.50" are both "9.50". Other texts
    stay as they are, for the API to refuse."""
    found = re.fullmatch(TYPED, text)
    return text if found is None else ".".join(part for part in found.groups() if part)


def editable(amount: int, currency: str, locale: str) -> str:
    """Minor units as they are typed in that locale: `9,50`."""
    return decimal_string(amount, currency).replace(".", get_decimal_symbol(locale))
