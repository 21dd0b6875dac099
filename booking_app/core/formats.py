"""Money and times as text.

Amounts are whole minor units of their currency: 950 are 9.50 EUR, 950 JPY and 0.950 KWD.
"""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

# Currencies that don't have two decimals, by their number (ISO 4217, table A.1).
DECIMALS = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"], 0
    ),
    **dict.fromkeys(["VND", "VUV", "XAF", "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
PRICE_MAX = 100_000_000  # minor units
# Times whose text is kept: most answers tell those of the same shows, and making one takes a
# microsecond.
TIMES_KEPT = 2048


def decimals(currency: str) -> int:
    """How many decimals amounts of a currency have (ISO 4217)."""
    return DECIMALS.get(currency, 2)


def decimal_string(amount: int, currency: str) -> str:
    """Minor units as text: 950 of EUR is "9.50", of JPY "950"."""
    places = decimals(currency)
    if places == 2:
        return f"{amount // 100}.{amount % 100:02d}"
    unit = 10**places
    return f"{amount // unit}.{amount % unit:0{places}d}" if places else str(amount)


def decimal_of(amount: int, currency: str) -> Decimal:
    """Minor units as a number: 950 of EUR is 9.50."""
    return Decimal(amount).scaleb(-decimals(currency))


def minor_units(amount: Decimal, currency: str) -> int:
    """A price in minor units; raises ValueError, in words, for more decimals than the currency has
    and more than PRICE_MAX."""
    places = decimals(currency)
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > places:
        has = f"{places} decimals" if places else "no decimals"
        raise ValueError(f"{currency} has {has}; {amount} has more.")
    scaled = amount.scaleb(places)
    if scaled > PRICE_MAX:
        raise ValueError(f"Must be at most {decimal_string(PRICE_MAX, currency)} {currency}.")
    return int(scaled)


def iso(value: datetime) -> str:
    """An instant as it stands in answers: `2030-01-31T19:00:00Z`."""
    return _utc_iso(value) if value.tzinfo is UTC else _iso(value)


def _iso(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


# Of UTC's alone: times of other zones that are the same instant count as equal.
_utc_iso = lru_cache(TIMES_KEPT)(_iso)


@lru_cache(TIMES_KEPT)
def local_iso(value: datetime, timezone: str) -> str:
    """An instant by the clocks of that IANA time zone, with their offset:
    `2030-01-31T20:00:00+01:00`."""
    return _iso(value.astimezone(ZoneInfo(timezone)))
