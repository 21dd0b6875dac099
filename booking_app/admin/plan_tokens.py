"""The lines of a plan that is typed (`plan_text`): their words, and errors that show the place in a
line. Pure functions."""

import re
from typing import NamedTuple

from booking_app.catalog.models import COMPANION, PAIR, SEATS_MAX, WHEELCHAIR

BLOCK, CATEGORY, OFFSET, WALKWAY, BESIDE = "block", "category", "offset", "walkway", "beside"
TYPED_KINDS = (WHEELCHAIR, COMPANION, PAIR)
# Forms that earlier releases took, each with what to type now.
REPLACED = {
    "gaps": "Aisles are typed between the seats: 1..4 | 5..12.",
    "accessible": "Wheelchair places are typed wheelchair=1,12.",
}
KEYWORDS = {BLOCK, CATEGORY, OFFSET, WALKWAY, BESIDE, *TYPED_KINDS, *REPLACED}

WORD = r'(?:(?!\.\.)[^\s",=|])+'
TOKEN = re.compile(rf'(?P<quoted>"(?:[^"]|"")*")|(?P<open>")|(?P<sign>\.\.|[,=|])|(?P<word>{WORD})')
INTEGER = re.compile("0|[1-9][0-9]{0,5}")
TOKENS_MAX = 16 * SEATS_MAX  # of a line: `1..1`, `vip=1` and `pair=1`, and a comma, for each seat
EXCERPT = 30  # characters of a line that an error shows on each side of the place


class PlanTextError(ValueError):
    """Text that is no plan. The message names the line, quotes it and marks the place below."""

    def __init__(self, line: "Line", column: int, message: str) -> None:
        start = max(0, column - EXCERPT)
        shown = line.text[start : column + EXCERPT]
        before = "…" if start else ""
        after = "…" if column + EXCERPT < len(line.text) else ""
        # A tab or another control character would move the mark away from its place.
        quoted = "".join(c if c.isprintable() else " " for c in shown)
        mark = " " * (len(before) + column - start) + "^"
        super().__init__(f"Line {line.number}{message}\n{before}{quoted}{after}\n{mark}")


class Token(NamedTuple):
    """A word, a quoted text without its quotes, a sign, or the end of the line."""

    kind: str  # "word", "quoted", "open", "sign" or "end"
    text: str
    column: int  # from 0

    @property
    def keyword(self) -> str:
        """The keyword that it is, else an empty text."""
        word = self.text.lower()
        return word if self.kind == "word" and word in KEYWORDS else ""

    @property
    def integer(self) -> int | None:
        """Its value, None where it is no whole number or begins with a needless 0."""
        return int(self.text) if INTEGER.fullmatch(self.text) else None

    @property
    def shown(self) -> str:
        """How an error names it."""
        return self.text[:EXCERPT] or ("the end of the line" if self.kind == "end" else '""')


class Line:
    """The tokens of a line, taken from left to right."""

    def __init__(self, number: int, text: str) -> None:
        self.number, self.text = number, text
        self.tokens: list[Token] = []
        for match in TOKEN.finditer(text):
            token = Token(match.lastgroup or "", match[0], match.start())
            if len(self.tokens) == TOKENS_MAX:
                raise self.error(token, "The line is too long.")
            if token.kind == "open":
                raise self.error(token, "The quotation mark is never closed.")
            if token.kind == "quoted":
                token = Token(token.kind, token.text[1:-1].replace('""', '"'), token.column)
            self.tokens.append(token)
        self.tokens.append(Token("end", "", len(text.rstrip())))
        self.at = 0

    @property
    def next(self) -> Token:
        """What comes next."""
        return self.tokens[self.at]

    @property
    def at_attribute(self) -> bool:
        """Whether a name with = comes next."""
        following = self.tokens[self.at + 1 : self.at + 2]
        return self.next.kind in ("word", "quoted") and any(
            token.kind == "sign" and token.text == "=" for token in following
        )

    def take(self) -> Token:
        """Take what comes next."""
        self.at += 1
        return self.tokens[self.at - 1]

    def take_sign(self, sign: str) -> bool:
        """Take the sign, if it comes next."""
        found = self.next.kind == "sign" and self.next.text == sign
        self.at += found
        return found

    def take_name(self, rule: str) -> Token:
        """Take a word or a quoted text; the rule says so where something else comes."""
        if self.next.kind not in ("word", "quoted"):
            raise self.error(self.next, f"{rule}, not {self.next.shown}.")
        return self.take()

    def take_parts(self, rule: str) -> list[list[Token]]:
        """Take single names and ranges between commas: `1,3..21` is [[1], [3, 21]]."""
        parts = [[self.take_name(rule)]]
        while True:
            if self.take_sign(".."):
                if len(parts[-1]) == 2:
                    raise self.error(self.tokens[self.at - 1], "A range has two ends only.")
                parts[-1].append(self.take_name("After .. comes a number"))
            elif self.take_sign(","):
                parts.append([self.take_name("After , comes a number")])
            else:
                return parts

    def error(self, token: Token, message: str) -> PlanTextError:
        """An error at the token."""
        return PlanTextError(self, token.column, f": {message}")
