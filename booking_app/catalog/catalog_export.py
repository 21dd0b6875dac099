"""The catalogue as a file: cinemas, halls, films and shows to come. Loading it elsewhere gives the
same.

Seats of shows are not exported: a show takes those of its hall's plan, and what the house keeps
of them is blocked anew by staff.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from booking_app.catalog import seat_plans
from booking_app.catalog.file_entries import file_ids
from booking_app.catalog.file_schemas import (
    Catalog,
    CatalogCinema,
    CatalogMovie,
    CatalogScreen,
    CatalogShow,
)
from booking_app.catalog.models import STANDARD, Cinema, Movie, Screen, Show, ShowSeat
from booking_app.catalog.seat_plans import PlanRow, PlanSeat
from booking_app.catalog.shows import prices_of
from booking_app.core.database import NOW
from booking_app.core.snapshots import snapshot

# Lists whose items stand each on a line of its own, or several.
SPREAD = ("cinemas", "screens", "rows", "movies", "shows")
# What an entry begins with, as far as it has it.
FIRST = ("id", "name", "title", "cinema", "screen", "screen_name", "total_seats", "date_time")
LAST = ("screens", "rows", "shows")


def export_catalog(*, currency: str, now: datetime | None = None) -> dict[str, Any]:
    """The catalogue on the wire, as `file_schemas.Catalog` reads it. The shows are those that have
    not begun. `currency` is that of cinemas that name none: elsewhere that may be another."""
    with snapshot() as connection:
        cinemas = _rows(connection, Cinema, CatalogCinema())
        screens = _rows(connection, Screen, CatalogScreen(), Screen.cinema_id)
        movies = _rows(connection, Movie, CatalogMovie())
        shows = _coming_shows(connection, now)
    names = {row["id"]: row["name"] for row in cinemas}
    sold_in = {row["id"]: row["currency"] or currency for row in cinemas}
    for screen in screens:
        screen["rows"] = [_plan_row(row) for row in seat_plans.read_plan(screen["rows"])]
    halls = {row["id"]: row for row in screens}
    for show in shows:
        hall = halls[show["screen_id"]]
        show["cinema"] = names[hall["cinema_id"]]
        if show["planned"]:
            show["screen"] = hall["name"]
            del show["total_seats"]
        else:
            show["screen_name"] = hall["name"]
        if show["currency"] == sold_in[hall["cinema_id"]]:
            del show["currency"]
    for cinema in cinemas:
        cinema["currency"] = sold_in[cinema["id"]]
        cinema["screens"] = [one for one in screens if one["cinema_id"] == cinema["id"]]
        if not cinema["is_default"]:
            del cinema["is_default"]
    for movie in movies:
        movie["shows"] = [one for one in shows if one["movie_id"] == movie["id"]]
    catalog: dict[str, Any] = Catalog().dump({"cinemas": cinemas, "movies": movies})
    return {
        "cinemas": [
            _in_order(cinema | {"screens": [_in_order(one) for one in cinema["screens"]]})
            for cinema in catalog["cinemas"]
        ],
        "movies": [
            _in_order(movie | {"shows": [_in_order(one) for one in movie["shows"]]})
            for movie in catalog["movies"]
        ],
    }


def written(catalog: Mapping[str, Any]) -> str:
    """The catalogue as JSON, a row of a plan and a show in a line each."""
    return "".join(_spread(catalog, "")) + "\n"


def _rows(
    connection: sa.Connection,
    table: Any,
    schema: Any,
    *more: Any,
    where: Sequence[sa.ColumnElement[bool]] = (),
) -> list[dict[str, Any]]:
    """The rows of a table with the facts of the schema and the ids of the file."""
    columns = sa.inspect(table).columns.keys()
    facts = [getattr(table, name) for name in schema.fields if name in columns]
    all_ids = connection.execute(sa.select(table.id, table.external_id).order_by(table.id))
    ids = file_ids(table.__tablename__, ((row.id, row.external_id) for row in all_ids))
    query = sa.select(table.id, *facts, *more).where(*where).order_by(table.id)
    found = connection.execute(query).mappings()
    return [{**row, "external_id": ids[row["id"]]} for row in found]


def _coming_shows(connection: sa.Connection, now: datetime | None) -> list[dict[str, Any]]:
    of_plan = sa.exists().where(ShowSeat.show_id == Show.id, ShowSeat.row_label != "")
    more = (
        Show.movie_id,
        Show.screen_id,
        Show.starts_at.label("date_time"),
        Show.price_cents,
        of_plan.label("planned"),
    )
    present = connection.execute(sa.select(NOW), {"now": now}).scalar_one()
    shows = _rows(connection, Show, CatalogShow(), *more, where=[Show.starts_at > present])
    shows = [{**show, **prices_of(show)} for show in shows]
    return sorted(shows, key=lambda show: (show["date_time"], show["id"]))


def _in_order(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry as a person looks for its facts."""
    first = {name: entry[name] for name in FIRST if name in entry}
    last = {name: entry[name] for name in LAST if name in entry}
    between = {name: one for name, one in entry.items() if name not in (*FIRST, *LAST)}
    return first | between | last


def _plan_row(row: PlanRow) -> dict[str, Any]:
    """The row with a list of its seats. Those that are not of the category of most say theirs."""
    categories = [seat.category for seat in row.seats if seat is not None]
    usual = max(categories, key=categories.count)
    told: dict[str, Any] = {"label": row.label}
    if row.block:
        told["block"] = row.block
    if usual != STANDARD:
        told["category"] = usual
    told["seats"] = [seat and _plan_seat(seat, usual) for seat in row.seats]
    for name in ("offset", "walkway", "beside"):
        if getattr(row, name):
            told[name] = getattr(row, name)
    return told


def _plan_seat(seat: PlanSeat, usual: str) -> Any:
    number = int(seat.number) if _is_plain(seat.number) else seat.number
    other = {}
    if seat.category != usual:
        other["category"] = seat.category
    if seat.kind != STANDARD:
        other["kind"] = seat.kind
    return {"number": number, **other} if other else number


def _is_plain(number: str) -> bool:
    """Whether a JSON number is read as this text."""
    return number.isascii() and number.isdecimal() and str(int(number)) == number


def _spread(value: Any, indent: str, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping) and any(value.get(one) for one in SPREAD):
        inner = indent + "  "
        yield "{"
        for number, (key, one) in enumerate(value.items()):
            yield f"{',' if number else ''}\n{inner}{json.dumps(key)}: "
            yield from _spread(one, inner, key)
        yield f"\n{indent}}}"
    elif name in SPREAD and isinstance(value, Sequence) and value:
        inner = indent + "  "
        yield "["
        for number, one in enumerate(value):
            yield f"{',' if number else ''}\n{inner}"
            yield from _spread(one, inner)
        yield f"\n{indent}]"
    else:
        yield json.dumps(value, ensure_ascii=False)
