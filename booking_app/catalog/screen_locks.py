"""The screen that a show is put on, found and locked: so no two shows overlap there."""

from collections.abc import Sequence
from difflib import get_close_matches

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import Actor
from booking_app.catalog.models import Screen
from booking_app.core.database import Row, fold, insert_or_ignore
from booking_app.core.errors import Invalid

NAMES_TOLD = 3


def lock_screen(connection: sa.Connection, screen_id: int) -> Row | None:
    """The screen with its row locked, `(id, cinema_id, rows, out_of_order)`; None where there is
    none.

    Its cinema's clocks are read after that (`cinema_clocks`): they are changed under this lock.
    """
    return connection.execute(
        sa.select(Screen.id, Screen.cinema_id, Screen.rows, Screen.out_of_order)
        .where(Screen.id == screen_id)
        .with_for_update()
    ).first()


def lock_named_screen(connection: sa.Connection, *, cinema_id: int, name: str, by: Actor) -> Row:
    """The cinema's screen of this name, made if there is none, its row locked.

    Two callers making the same screen at once get the same row.
    """
    values = {"cinema_id": cinema_id, "name": name, "name_key": fold(name), "rows": []}
    query = (
        sa.select(Screen.id, Screen.cinema_id, Screen.rows, Screen.out_of_order)
        .where(Screen.cinema_id == cinema_id, Screen.name_key == values["name_key"])
        .with_for_update()
    )
    # The one that was in the way of the insert may be renamed or deleted before it is locked.
    while (screen := connection.execute(query).first()) is None:
        if insert_or_ignore(connection, Screen, **values):
            made = connection.execute(query).one()
            after = {"id": made.id, "cinema_id": cinema_id, "name": name, "rows": []}
            audit.record(connection, "screen.created", by=by, object_id=made.id, after=after)
    return screen


def lock_known_screen(connection: sa.Connection, *, cinema_id: int, name: str) -> Row:
    """The cinema's screen of this name, its row locked; raises Invalid with the nearest names where
    there is none."""
    query = (
        sa.select(Screen.id, Screen.cinema_id, Screen.rows, Screen.out_of_order)
        .where(Screen.cinema_id == cinema_id, Screen.name_key == fold(name))
        .with_for_update()
    )
    screen = connection.execute(query).first()
    if screen is None:
        names = sa.select(Screen.name).where(Screen.cinema_id == cinema_id)
        known = connection.execute(names.order_by(Screen.name_key)).scalars().all()
        raise Invalid("screen_name", f"This cinema has no screen {name!r}; {nearest(name, known)}.")
    return screen


def nearest(name: str, known: Sequence[str]) -> str:
    """Which of the known names may be meant: `the nearest are Saal 1, Saal 2`."""
    by_key = {fold(one): one for one in known}
    found = [by_key[key] for key in get_close_matches(fold(name), by_key, NAMES_TOLD)]
    if found:
        return f"the nearest: {', '.join(found)}"
    more = ", ..." if len(known) > NAMES_TOLD else ""
    return f"there are {', '.join(known[:NAMES_TOLD])}{more}" if known else "it has none"
