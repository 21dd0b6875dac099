"""Writing the entries of a catalogue file: each in a savepoint, so that one that is refused leaves
nothing behind, and what is in the way of one is found for all of them."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

import sqlalchemy as sa

from booking_app.audit.service import Actor
from booking_app.catalog.file_differences import Change
from booking_app.catalog.file_entries import Entry, Known, Pair
from booking_app.catalog.file_report import Added, Difference, Obstacle, Report
from booking_app.catalog.show_rules import ShowOverlap
from booking_app.catalog.times import by_clocks
from booking_app.core.errors import DomainError


class _Step(NamedTuple):
    """Work on one entry, and the differences that are left where it is refused."""

    where: str
    work: Callable[[], None]
    differences: Sequence[Difference]
    timezone: str


class Writes:
    """Writes entries within one transaction, and keeps what it did for the report.

    `update`: differences are taken over. A `dry_run` does all but the seats of shows, and is to be
    undone. `skip_overlaps`: shows that others are in the way of are no obstacles. `currency` is
    that of cinemas that name none.
    """

    def __init__(
        self,
        connection: sa.Connection,
        *,
        update: bool,
        dry_run: bool,
        skip_overlaps: bool,
        currency: str,
        by: Actor,
        present: datetime,
    ) -> None:
        self.connection = connection
        self.update = update
        self.dry_run = dry_run
        self.currency = currency
        self.by = by
        self.present = present
        self.obstacles: list[Obstacle] = []
        self.made_shows: dict[int, str] = {}  # where the entry of each stands in the file
        self._skip_overlaps = skip_overlaps
        self._added: list[Added] = []
        self._taken: list[Difference] = []
        self._left: list[Difference] = []
        self._overlapping: list[tuple[_Step, ShowOverlap]] = []

    def add(
        self, kind: str, where: str, work: Callable[[], None], *, timezone: str = "UTC"
    ) -> None:
        """Add the entry by `work`."""

        def added() -> None:
            work()
            self._added.append(Added(kind, where))

        self._try(_Step(where, added, (), timezone))

    def load(
        self,
        kind: str,
        pairs: Iterable[Pair],
        add: Callable[["Writes", Entry], None],
        compare: Callable[["Writes", Entry, Known], None],
    ) -> None:
        """`add` the entries that are new, and `compare` the others with what they are of."""
        for entry, known in pairs:
            if known is None:
                self.add(kind, entry.where, partial(add, self, entry))
            else:
                compare(self, entry, known)

    def compare(
        self,
        entry: Entry,
        found: Iterable[Change],
        take: Callable[[dict[str, object]], None],
        *,
        timezone: str = "UTC",
    ) -> None:
        """Note what differs; with `update`, `take` it over, with the arguments of all changes."""
        changes = list(found)
        differences = [change.difference for change in changes]
        if not self.update or not changes:
            self._left += differences
            return
        if refusals := [change.refusal for change in changes if change.refusal]:
            self._left += differences
            self.obstacles += [Obstacle(entry.where, refusal) for refusal in refusals]
            return
        arguments = {name: value for one in changes for name, value in one.arguments.items()}

        def taken() -> None:
            take(arguments)
            self._taken.extend(differences)

        self._try(_Step(entry.where, taken, differences, timezone))

    def leave(self, change: Change) -> None:
        """Note a difference that is left in any case."""
        self._left.append(change.difference)

    def finish(self) -> None:
        """Try again what other shows were in the way of, as long as some of it goes through: they
        may have moved meanwhile."""
        places = {id(step): place for place, (step, _) in enumerate(self._overlapping)}
        before = 0
        while self._overlapping and len(self._overlapping) != before:
            # The other way round each time: shows that move by less than they last wait for the
            # next one.
            steps = [step for step, _ in reversed(self._overlapping)]
            before = len(steps)
            self._overlapping = []
            for step in steps:
                self._try(step)
        for step, error in sorted(self._overlapping, key=lambda one: places[id(one[0])]):
            self._left += step.differences
            if not self._skip_overlaps:
                other = self.made_shows.get(error.facts["show"])
                why = f"Overlaps {other}." if other else error.detail
                self.obstacles.append(Obstacle(step.where, by_clocks(why, step.timezone)))

    def report(self) -> Report:
        return Report(
            tuple(self._added), tuple(self._taken), tuple(self._left), tuple(self.obstacles)
        )

    def _try(self, step: _Step) -> None:
        try:
            with self.connection.begin_nested():
                step.work()
        except ShowOverlap as error:
            self._overlapping.append((step, error))
        except DomainError as error:
            self._left += step.differences
            why = by_clocks(error.detail, step.timezone)
            self.obstacles.append(Obstacle(step.where, why))
