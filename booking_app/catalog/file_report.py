"""What loading a catalogue file does, would do, and can't do. Pure functions."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# As the file calls them; and what a person calls one of them, and several.
KINDS = {
    "cinemas": ("cinema", "cinemas"),
    "screens": ("hall", "halls"),
    "movies": ("film", "films"),
    "shows": ("show", "shows"),
}


@dataclass(frozen=True, slots=True)
class Added:
    """An entry that was not there: its `kind` (of KINDS), and `where` it stands in the file."""

    kind: str
    where: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact of an entry that is there otherwise, both as texts."""

    where: str
    fact: str
    here: str
    in_file: str

    def __str__(self) -> str:
        return f"{self.where}, {self.fact}: here {self.here}, in the file {self.in_file}"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why an entry, or several that are in each other's way, can't be loaded."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a file does: what it adds, the differences that are taken over from it and those that
    are left, and what is in the way. `written`: it was done; otherwise nothing was."""

    added: tuple[Added, ...]
    taken: tuple[Difference, ...]
    left: tuple[Difference, ...]
    obstacles: tuple[Obstacle, ...]
    written: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind are added."""
        found = Counter(added.kind for added in self.added)
        return {kind: found[kind] for kind in KINDS}

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.added or self.taken)

    def digest(self) -> str:
        """Names what the file does. Why something is in the way may be worded otherwise the next
        time: it can name a show of the same file by an id that it never gets."""
        does = (self.added, self.taken, self.left, [one.where for one in self.obstacles])
        return hashlib.sha256(repr(does).encode()).hexdigest()[:32]


def counted(catalog: Mapping[str, Any]) -> dict[str, int]:
    """How many of each kind a catalogue has that is exported."""
    return {
        "cinemas": len(catalog["cinemas"]),
        "screens": sum(len(cinema["screens"]) for cinema in catalog["cinemas"]),
        "movies": len(catalog["movies"]),
        "shows": sum(len(movie["shows"]) for movie in catalog["movies"]),
    }


def in_words(counts: dict[str, int]) -> str:
    """`1 cinema, 2 halls, 12 shows`; `nothing`."""
    named = [f"{count:,} {KINDS[kind][count != 1]}" for kind, count in counts.items() if count]
    return ", ".join(named) or "nothing"


def lines(report: Report, *, dry_run: bool, update: bool, skip_conflicts: bool) -> Iterator[str]:
    """The report as it is read at a terminal."""
    if report.obstacles:
        yield f"In the way ({len(report.obstacles):,}):"
        yield from (f"  {one}" for one in report.obstacles)
    if report.left:
        hint = "" if update else "; --update takes over what the file says"
        yield f"Different, and left as it is here ({len(report.left):,}{hint}):"
        yield from (f"  {one}" for one in report.left)
    if report.taken:
        verb = "Taken over" if report.written else "Would be taken over"
        yield f"{verb} from the file ({len(report.taken):,}):"
        yield from (f"  {one}" for one in report.taken)
    verb = "Added" if report.written else "Would be added"
    yield f"{verb}: {in_words(report.counts)}."
    if not report.written:
        hint = ""
        if report.obstacles and not skip_conflicts:
            hint = " --skip-conflicts loads what nothing is in the way of."
        yield ("Nothing was written: a dry run." if dry_run else "Nothing was written.") + hint
