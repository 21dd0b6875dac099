"""User names: which are allowed. Names from before a rule stay good."""

import unicodedata

from booking_app.auth.models import USERNAME_MAX
from booking_app.core.errors import Invalid

SIGNS = ".+-_"  # no @: a name with one looks like somebody's e-mail address
# What one language writes together counts as one script (UTS #39, section 5.1).
TOGETHER = (
    frozenset({"CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"CJK", "HANGUL"}),
    frozenset({"CJK", "BOPOMOFO"}),
)
# Characters of a script whose names begin with another word.
OTHER_NAMES = {
    "ARABIC-INDIC": "ARABIC",
    "EXTENDED": "ARABIC",  # EXTENDED ARABIC-INDIC DIGIT, the only ones that are letters or digits
    "IDEOGRAPHIC": "CJK",
    "KATAKANA-HIRAGANA": "KATAKANA",
    "VERTICAL": "KATAKANA",
}
# Letters and marks of every script.
COMMON = frozenset({"DIGIT", "COMBINING", "MODIFIER"})
INVISIBLE = ("VARIATION SELECTOR", "FILLER", "GRAPHEME JOINER", "VOWEL INHERENT")


def checked_username(username: str) -> str:
    """The name as it is kept (NFKC); raises Invalid.

    Letters of several scripts are refused, as some look the same: with a Cyrillic "a", one name
    would pass for another.
    """
    username = unicodedata.normalize("NFKC", username)
    letters = [c for c in username if c not in SIGNS]
    if not letters or not all(_is_letter(c) for c in letters):
        raise Invalid("username", "Must have letters or digits, and besides . + - _ only.")
    if len(username) > USERNAME_MAX:
        raise Invalid("username", f"Must have at most {USERNAME_MAX} characters.")
    scripts = {_script(c) for c in letters} - COMMON
    if len(scripts) > 1 and not any(scripts <= together for together in TOGETHER):
        raise Invalid("username", "Must have letters and digits of one script only.")
    return username


def _is_letter(c: str) -> bool:
    """Whether it is a letter, a digit, or one of the marks that letters are written with."""
    if any(words in unicodedata.name(c, "") for words in INVISIBLE):
        return False
    return c.isalnum() or unicodedata.category(c)[0] == "M"


def _script(c: str) -> str:
    """The script of a letter, digit or mark, by the first word of its name, which Unicode never
    changes; Python does not know the property itself."""
    word = unicodedata.name(c, "").partition(" ")[0]
    return OTHER_NAMES.get(word, word)
