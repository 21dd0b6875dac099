"""What a catalogue file says otherwise than the database. Pure functions.

A file says nothing about facts that it leaves out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import marshmallow as ma

from booking_app.catalog import seat_plans
from booking_app.catalog.file_entries import Entry, Known
from booking_app.catalog.file_report import Difference
from booking_app.catalog.times import local_time

NONE = "none"


@dataclass(frozen=True, slots=True)
class Change:
    """A difference, and what a use case is called with to take it over: its `arguments`; or why
    that can't be, the `refusal`."""

    difference: Difference
    arguments: Mapping[str, Any] = field(default_factory=dict)
    refusal: str = ""


def changes(
    schema: ma.Schema, entry: Entry, known: Known, timezone: str = "UTC"
) -> Iterator[Change]:
    """The id, and the facts of the schema that the row has under the same names. Times are told by
    the clocks of that IANA time zone."""
    if entry.id is not None and entry.id not in (known.external_id, known.file_id):
        yield change(entry, "id", known.external_id, entry.id, external_id=entry.id)
    for name, in_file in entry.values.items():
        if name in known.values and known.values[name] != in_file:
            fact = schema.fields[name]
            here, there = (
                clock(value, timezone)
                if isinstance(value, datetime)
                else fact.serialize(name, {name: value})
                for value in (known.values[name], in_file)
            )
            yield change(entry, fact.data_key or name, here, there, **{name: in_file})


def change(entry: Entry, fact: str, here: Any, in_file: Any, **arguments: Any) -> Change:
    """A change that a use case makes."""
    return Change(Difference(entry.where, fact, text(here), text(in_file)), arguments)


def refused(entry: Entry, fact: str, here: Any, in_file: Any, refusal: str) -> Change:
    """A change that none can make."""
    return Change(Difference(entry.where, fact, text(here), text(in_file)), refusal=refusal)


def plan_changes(entry: Entry, known: Known) -> Iterator[Change]:
    """The rows of a hall's plan and its seats out of order."""
    values, here = entry.values, known.values
    if "rows" in values:
        plan = seat_plans.stored_plan(seat_plans.read_plan(values["rows"]))
        stored = seat_plans.stored_plan(seat_plans.read_plan(here["rows"]))
        found = [
            change(entry, fact, was, is_, rows=values["rows"])
            for fact, was, is_ in _row_differences(stored, plan)
        ]
        if found and not plan:
            refusal = "A hall can't lose its seat plan."
            found = [Change(one.difference, refusal=refusal) for one in found]
        yield from found
    broken = values.get("out_of_order")
    if broken is not None and set(broken) != set(here["out_of_order"]):
        was, is_ = ", ".join(here["out_of_order"]), ", ".join(broken)
        yield change(entry, "out_of_order", was or None, is_ or None, out_of_order=broken)


def clock(moment: datetime, timezone: str) -> str:
    """An instant by the clocks of a time zone; with seconds where it has some."""
    if moment.microsecond:
        return local_time(moment, timezone, "%Y-%m-%d %H:%M:%S.%f %Z")
    return local_time(moment, timezone, f"%Y-%m-%d %H:%M{':%S' if moment.second else ''} %Z")


def text(value: Any) -> str:
    """A value as a person reads it."""
    if value is None or value in ("", [], {}):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {text(one)}" for name, one in sorted(value.items()))
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value))
    return str(value)


def _row_differences(
    here: Sequence[Mapping[str, Any]], in_file: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, str]]:
    """What differs between two stored plans: of rows that both have each fact, else whole rows."""
    if not here or not in_file:
        if here or in_file:
            yield "rows", _size(here), _size(in_file)
        return
    names = [_name(row) for row in here], [_name(row) for row in in_file]
    if names[0] != names[1]:
        yield "rows", ", ".join(names[0]), ", ".join(names[1])
    in_file_by_name = dict(zip(names[1], in_file, strict=True))
    for name, row in zip(names[0], here, strict=True):
        other = in_file_by_name.get(name, row)
        for fact in sorted(row.keys() | other.keys()):
            was, is_ = row.get(fact), other.get(fact)
            if was != is_:
                yield f"row {name}, {fact}", _json(was), _json(is_)


def _name(row: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (row.get("block"), row["label"])))


def _size(rows: Sequence[Mapping[str, Any]]) -> str:
    return f"{len(rows)} with {seat_plans.count_seats(rows)} seats" if rows else NONE


def _json(value: Any) -> str:
    return NONE if value is None else json.dumps(value, ensure_ascii=False)
