"""References, as they are read out and typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking_app.booking.references import ALPHABET, LENGTH, normalized

REFERENCES = st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH)


@pytest.mark.parametrize(
    ("typed", "reference"),
    [
        ("5T90SDT3VZ", "5T90SDT3VZ"),
        ("5t90sdt3vz", "5T90SDT3VZ"),
        (" 5T9O sdt3-VZ ", "5T90SDT3VZ"),
        ("5t9\N{EN DASH}0sd\N{NON-BREAKING HYPHEN}t3\N{MINUS SIGN}vz", "5T90SDT3VZ"),
        ("5t90\N{NO-BREAK SPACE}sdt3\N{ZERO WIDTH SPACE}vz\N{SOFT HYPHEN}", "5T90SDT3VZ"),
        ("\N{FULLWIDTH DIGIT FIVE}T9\N{FULLWIDTH LATIN SMALL LETTER O}SDT3VZ", "5T90SDT3VZ"),
        ("oOiIlL10", "00111110"),
        ("", ""),
        ("- -", "- -"),  # no part of any; nothing would be a part of each
        ("100%", "100%"),
    ],
)
def test_a_reference_is_read_however_it_is_typed(typed: str, reference: str) -> None:
    assert normalized(typed) == reference


@given(REFERENCES, st.data())
def test_any_way_of_typing_gives_the_reference(reference: str, data: st.DataObject) -> None:
    ways = {"0": "0Oo", "1": "1IiLl"}
    typed = ""
    for sign in reference:
        typed += data.draw(st.sampled_from(["", " ", "-", "\N{EN DASH}"]))
        typed += data.draw(st.sampled_from(ways.get(sign, sign + sign.lower())))
    assert normalized(typed) == reference
