"""The references of bookings, which people read out and type."""

import unicodedata

# Crockford's base 32: no I, L, O or U to misread. 32**10 is 10**15: in a million bookings the
# next reference is one of theirs once in 10**9 times.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 10
# What is typed for a digit that looks like it.
MISREAD = str.maketrans("OIL", "011")
MINUS = "\N{MINUS SIGN}"  # to Unicode no dash
# Dashes, spaces, and what can't be seen, which comes along with copied text.
PARTING = ("Pd", "Zs", "Cf")


def normalized(text: str) -> str:
    """A reference, or a part of one, as the table has it, however it was typed: in small letters,
    with spaces and dashes, O for 0, I and L for 1."""
    folded = unicodedata.normalize("NFKC", text).upper()
    signs = (sign for sign in folded if sign != MINUS and unicodedata.category(sign) not in PARTING)
    # Of nothing but dashes, those are kept: they are a part of no reference, nothing is of each.
    return "".join(signs).translate(MISREAD) or folded
