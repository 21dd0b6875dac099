"""The texts by which films are sorted and found.

Both databases compare texts by code point, and so neither sorts as people do nor finds what is
typed without accents. `sort_key` and `search_key` are what to compare instead. Films are told apart
by neither: that is `fold`.

`sort_key` follows the Unicode collation algorithm (UTS 10): letters first, then accents; case never
counts. What is no letter or digit parts words, and is left out at the beginning. Numbers are sorted
by their value. No library does it that is maintained, small and needs no compiler. In most scripts
the code points are in the order of the alphabet; this module has tables of those where they aren't.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from anyascii import anyascii

from booking_app.core.database import fold

# What parts the levels of a sort key and the texts of a search key: no title or query has them.
LEVEL, TEXT, DIRECTOR = "\t", "\n", "\t"
# Letters of these are transliterated one by one, as people do. The others aren't: anyascii gives
# Chinese for Japanese, and no vowels for Hebrew and Arabic.
SPELT_IN_LATIN = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN")
APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}`\N{ACUTE ACCENT}"
LONG_VOWEL = "\N{KATAKANA-HIRAGANA PROLONGED SOUND MARK}"
# Combining classes of the marks that are letters: vowels and the virama of scripts of Asia.
LETTER_MARKS = (0, 9, 103, 118, 129, 130, 132)
# Marks of class 0 that are no letters: the joiner, selectors of variants, signs of Thai and Lao.
NO_LETTERS = re.compile(
    "[\u034f\u0e47\u0e4c-\u0e4e\u0ecc\u0ecd\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
# Thai and Lao write these vowels before the consonant that they are spoken after.
VOWEL_FIRST = re.compile("([\u0e40-\u0e44\u0ec0-\u0ec4])([\u0e01-\u0e2e\u0e81-\u0eae])")

# Forms of one letter: at the end of a Hebrew word, of Persian and Urdu, small and square kana.
SAME_LETTERS = str.maketrans(
    "ךםןףץ" + "ٱکیىہھ" + "ぁぃぅぇぉっゃゅょゎゕゖ",
    "כמנפצ" + "اكييهه" + "あいうえおつやゆよわかけ",
)
HIRAGANA = {katakana: katakana - 0x60 for katakana in range(0x30A1, 0x30F7)}
# Alphabets whose code points are not in order, each with the first code point of its script.
CYRILLIC = (
    "а ә ӕ б в г ґ ғ ӻ ҕ д ԁ ђ ԃ ҙ е є ж җ з ԅ ԑ ѕ ӡ ԇ и ҋ і й ј к қ ӄ ҡ ҟ ҝ ԛ л ӆ ԓ љ ԉ м ӎ н ӊ "
    "ң ӈ ҥ њ ԋ о ө п ҧ ҁ р ҏ ԗ с ԍ ҫ т ԏ ҭ ћ у ү ұ ѹ ф х ӽ ӿ ҳ һ ѡ ѿ ѽ ѻ ц ҵ ч ҷ ӌ ҹ ҽ ҿ џ ш щ ъ "
    "ы ь ҍ ѣ э ю я ԙ ѥ ѧ ѫ ѩ ѭ ѯ ѱ ѳ ѵ ҩ ԝ ӏ"
)
ARABIC = (
    "ء ا ب ٻ پ ة ت ث ٹ ټ ج چ ح خ څ د ذ ڈ ډ ر ز ڑ ړ ږ ژ س ش ښ ص ض ط ظ ع غ ف ڤ ق ك ڭ گ ل م ن ں "
    "ڼ ه ە و ۆ ۇ ۈ ۋ ي ۍ ې ے"
)
PLACES = {
    letter: chr(first + place)
    for first, alphabet in ((0x0400, CYRILLIC), (0x0620, ARABIC))
    for place, letters in enumerate(alphabet.split())
    for letter in letters
}


def sort_key(title: str, sort_title: str | None = None) -> str:
    """What a film is sorted by, by code point. Where two are the same, ids decide."""
    text = sort_title or title
    return f"{_in_order(text)}{LEVEL}{fold(text)}"


def search_key(
    title: str, original_title: str | None, sort_title: str | None, director: str | None
) -> str:
    """What a film is found by: `searched_for` of what is typed is a part of it.

    Each text stands there as `searched_for` has it, in Latin letters, and with its signs.
    """
    titles = _forms(text for text in (title, original_title, sort_title) if text)
    return f"{titles}{DIRECTOR}{_forms([director] if director else [])}"


def searched_for(text: str) -> str:
    """The letters and digits of `text`, without accents and case; its signs where it has nothing
    else, as the title "!!!"."""
    return "".join(map(_latin, fold(text))) or fold(text)


def _forms(texts: Iterable[str]) -> str:
    forms = ((searched_for(text), _transliterated(text), fold(text)) for text in texts)
    return TEXT.join(dict.fromkeys(form for three in forms for form in three if form))


def _transliterated(text: str) -> str:
    """The text as a whole in Latin letters."""
    words = (c for c in fold(text) if unicodedata.category(c)[0] in "LMN")
    return _letters_of(anyascii("".join(words)))


def _in_order(text: str) -> str:
    """The first level of the sort key."""
    spaced = (f" {c}" if unicodedata.category(c) == "No" else c for c in text)  # "8½" is not "812"
    folded = VOWEL_FIRST.sub(r"\2\1", fold("".join(spaced)))
    letters = " ".join("".join(map(_place, folded)).split())
    return re.sub("[0-9]+", _by_value, letters)


def _by_value(number: re.Match[str]) -> str:
    """The digits after their count, so that 9 comes before 10; from nine digits on as text."""
    digits = number[0].lstrip("0")
    return f"{min(len(digits), 9)}{digits}"


@lru_cache(maxsize=10_000)
def _place(c: str) -> str:
    """A character of folded text, as the first level has it."""
    if c in APOSTROPHES or c == LONG_VOWEL or unicodedata.category(c) == "Cf":
        return ""
    letter = c if c in PLACES else _base(c)
    if letter in PLACES:
        return PLACES[letter]
    if letter and unicodedata.category(letter)[0] not in "LMN":
        return " "
    return _spelt(letter, ("LATIN",))


@lru_cache(maxsize=10_000)
def _latin(c: str) -> str:
    """A character of folded text, as searches compare it."""
    letter = _base(c)
    return _spelt(letter, SPELT_IN_LATIN) if unicodedata.category(letter or " ")[0] in "LMN" else ""


def _base(c: str) -> str:
    """The character without accents, in the form that stands for all of its letter."""
    parts = unicodedata.normalize("NFD", c)
    # Where others than accents follow the first part, it is a syllable.
    base = parts[0] if all(map(_is_accent, parts[1:])) else c
    return "" if _is_accent(base) else base.translate(HIRAGANA).translate(SAME_LETTERS)


def _is_accent(c: str) -> bool:
    if unicodedata.category(c) not in ("Mn", "Me"):
        return False
    return unicodedata.combining(c) not in LETTER_MARKS or NO_LETTERS.match(c) is not None


def _spelt(letter: str, scripts: tuple[str, ...]) -> str:
    """A letter of one of these scripts, or a number, in the letters and digits of ASCII; of
    other scripts as it is."""
    if not letter:
        return ""
    if letter.isdecimal():
        return str(unicodedata.decimal(letter))
    name = unicodedata.name(letter, "").removeprefix("MODIFIER LETTER ")
    if letter.isascii() or name.startswith(scripts) or unicodedata.category(letter)[0] == "N":
        return _letters_of(anyascii(letter))
    return letter


def _letters_of(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
