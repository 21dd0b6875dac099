"""Entries of a catalogue file: which of them would become one, and which are there already. Pure
functions."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from booking_app.catalog.file_report import Obstacle
from booking_app.core.database import fold


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: `where` it stands in the file, and the `key` by which it is known where no `id`
    says more. `values` are its own facts."""

    where: str
    name: str
    id: str | None
    key: Hashable
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A row that is there. `file_id` is what an export calls it: its external id, or one made of
    its own id."""

    id: int
    name: str
    external_id: str | None
    file_id: str
    key: Hashable
    values: Mapping[Any, Any]


class Pair(NamedTuple):
    """An entry, and the row that it is of; None where it is new."""

    entry: Entry
    known: Known | None


def squash(name: str) -> str:
    """A name without regard to case and to how many spaces it has."""
    return " ".join(fold(name).split())


def file_ids(thing: str, rows: Iterable[tuple[int, str | None]]) -> dict[int, str]:
    """What an export calls each of the rows, which are all of their table: the external id, or one
    made of the `thing` and the row's own id, such as "show-12", that no other row has."""
    ids = dict(rows)
    taken = {external for external in ids.values() if external is not None}
    made = {}
    for key, external in ids.items():
        made[key] = external or _made(thing, key, taken)
        taken.add(made[key])
    return made


def _made(thing: str, key: int, taken: Collection[str]) -> str:
    made, more = f"{thing}-{key}", 1
    while made in taken:
        more += 1
        made = f"{thing}-{key}-{more}"
    return made


def without_twins(
    entries: Sequence[Entry], thing: str, same: str, *, unique: bool
) -> tuple[list[Entry], list[Obstacle]]:
    """The entries that are each a `thing` of its own, and what is in the way of the others: they
    have the same id, or the same key and not each an id. `unique`: nor may two with ids have the
    very same name. `same` says what those of one key have in common."""
    by_id: dict[str, list[Entry]] = defaultdict(list)
    by_key: dict[Hashable, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_key[entry.key].append(entry)
        if entry.id is not None:
            by_id[entry.id].append(entry)
    obstacles, out = [], set()
    for id_, group in by_id.items():
        if len(group) > 1:
            out |= {entry.where for entry in group}
            obstacles.append(Obstacle(_named(group), f"They have the same id, {id_!r}."))
    for group in by_key.values():
        have_ids = all(entry.id is not None for entry in group)
        one_name = unique and len({fold(entry.name) for entry in group}) < len(group)
        if len(group) > 1 and (one_name or not have_ids):
            out |= {entry.where for entry in group}
            advice = "Take out or rename" if unique else "Give each an id, or take out"
            why = f"They would become one {thing}: {same}. {advice} all but one."
            obstacles.append(Obstacle(_named(group), why))
    return [entry for entry in entries if entry.where not in out], obstacles


def paired(
    entries: Sequence[Entry],
    known: Collection[Known],
    may_be: Callable[[Entry, Known], bool] = lambda entry, known: True,
) -> tuple[list[Pair], list[Obstacle]]:
    """Each entry with the row that it is of, and what is in the way of the others.

    That is the row with its id; else the row of its key, if that `may_be` it and has no other id.
    Of several the one with the very name counts.
    """
    by_id = {one.external_id: one for one in known if one.external_id is not None}
    by_key: dict[Hashable, list[Known]] = defaultdict(list)
    for one in known:
        by_key[one.key].append(one)
    pairs: list[Pair] = []
    obstacles = []
    for entry in entries:
        found = [by_id[entry.id]] if entry.id in by_id else by_key[entry.key]
        if entry.id not in by_id:
            found = [one for one in found if may_be(entry, one) and _has_no_other_id(entry, one)]
        if len(found) > 1:
            found = [one for one in found if fold(one.name) == fold(entry.name)] or found
        if len(found) > 1:  # as in a file that was exported here
            found = [one for one in found if one.file_id == entry.id] or found
        if len(found) > 1:
            ids = ", ".join(one.file_id for one in found)
            why = f"{len(found)} are called so here ({ids}). Give the entry the id of one of them."
            obstacles.append(Obstacle(entry.where, why))
        else:
            pairs.append(Pair(entry, found[0] if found else None))
    return _once_each(pairs, obstacles)


def _once_each(
    pairs: Sequence[Pair], obstacles: list[Obstacle]
) -> tuple[list[Pair], list[Obstacle]]:
    """Without those of which several are of one row."""
    by_row: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.known is not None:
            by_row[pair.known.id].append(pair)
    out = set()
    for group in by_row.values():
        if len(group) > 1:
            out |= {pair.entry.where for pair in group}
            row = group[0].known
            named = _named([pair.entry for pair in group])
            why = f"Both are {row.name} ({row.file_id}) here." if row else ""
            obstacles.append(Obstacle(named, why))
    return [pair for pair in pairs if pair.entry.where not in out], obstacles


def _has_no_other_id(entry: Entry, known: Known) -> bool:
    return entry.id is None or known.external_id is None


def _named(entries: Sequence[Entry]) -> str:
    *first, last = (entry.where for entry in entries)
    return f"{', '.join(first)} and {last}"
