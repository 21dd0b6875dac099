"""Many shows at once: making and changing them, and closing a screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import OPERATOR, Actor
from booking_app.catalog import plan_changes, seat_plans
from booking_app.catalog.models import SHOWS_AT_ONCE, Movie, Screen, Show
from booking_app.catalog.show_rules import (
    ShowOverlap,
    audited_shows,
    categories_of,
    check_prices,
    record_created,
    renew_versions,
)
from booking_app.catalog.shows import ShowTerms, insert_show, stored_terms
from booking_app.core.database import NOW, Row, Undo, writes
from booking_app.core.errors import Conflict, DomainError, Invalid, NotFound
from booking_app.core.formats import iso

SEATS_AT_ONCE = 100_000  # so that nobody else waits long for them to be written


class NotAllShows(Conflict):
    code = "not_all_shows"


# --- making them ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    """A show of `create_shows`: the `error` is what is in its way, None where nothing is."""

    date_time: datetime
    error: str | None


@writes
def create_shows(
    connection: sa.Connection,
    *,
    date_times: Sequence[datetime],
    dry_run: bool = False,
    by: Actor = OPERATOR,
    now: datetime | None = None,
    **terms: Unpack[ShowTerms],
) -> list[Planned]:
    """Put a film on a screen at each of these times.

    All of them or, where something is in the way of one, none, and each says what it is. A
    `dry_run` finds that out in the same way and writes nothing. Raises Invalid for too many, and
    what `insert_show` raises for the film and the screen.
    """
    if not 1 <= len(date_times) <= SHOWS_AT_ONCE:
        raise Invalid("date_times", f"1 to {SHOWS_AT_ONCE} shows can be made at once.")
    planned: list[Planned] = []
    made: dict[int, datetime] = {}
    _check_amount(connection, terms.get("screen"), len(date_times))
    for date_time in date_times:
        error = None
        try:
            # What is refused is refused before anything of it is written.
            show_id = insert_show(
                connection,
                date_time=date_time,
                with_seats=not dry_run,
                by=by,
                now=now,
                **terms,
            )
            made[show_id] = date_time
        except ShowOverlap as overlap:
            other = made.get(overlap.facts["show"])
            error = f"Overlaps the one at {iso(other)}." if other else overlap.detail
        except Invalid as invalid:
            if ("date_time",) not in invalid.errors:
                raise
            error = invalid.errors["date_time",]
        planned.append(Planned(date_time, error))
    if dry_run or any(show.error for show in planned):
        raise Undo(planned)
    record_created(connection, made, by)
    return planned


def _check_amount(connection: sa.Connection, screen: int | None, shows: int) -> None:
    """Raises Invalid for more seats than can be made at once."""
    rows = connection.execute(sa.select(Screen.rows).where(Screen.id == screen)).scalar() or ()
    seats = shows * seat_plans.count_seats(rows)
    if seats > SEATS_AT_ONCE:
        raise Invalid(
            "date_times",
            f"These shows have {seats} seats in all; at most {SEATS_AT_ONCE} can be made at once.",
        )


# --- changing them --------------------------------------------------------------------------


class SharedTerms(TypedDict, total=False):
    """Columns that many shows can be given at once, as in `ShowChanges`."""

    price: Decimal
    no_single_gaps: bool
    max_seats_per_account: int | None
    on_sale: bool
    note: str | None


TERMS = (
    Show.price_cents,
    Show.prices,
    Show.currency,
    Show.no_single_gaps,
    Show.max_seats_per_account,
    Show.on_sale,
    Show.note,
)


@dataclass(frozen=True, slots=True)
class ShowChange:
    """What is to change of a show, by the columns of TERMS. Where something is in the way, `code`
    and `detail` say what; of a show that is not there nothing else is known."""

    show_id: int
    movie_title: str | None = None
    starts_at: datetime | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    code: str | None = None
    detail: str | None = None

    @property
    def changed(self) -> list[str]:
        """The columns that differ."""
        if self.before is None or self.after is None:
            return []
        return [name for name in self.after if self.after[name] != self.before[name]]


@writes
def change_shows(
    connection: sa.Connection,
    *,
    show_ids: Sequence[int],
    prices: Mapping[str, Decimal] | None = None,
    dry_run: bool = False,
    by: Actor = OPERATOR,
    **columns: Unpack[SharedTerms],
) -> list[ShowChange]:
    """Give these shows the same terms, all of them or none; what changes of each. A `dry_run`
    writes nothing, and says of each what is in its way.

    Raises NotAllShows where something is, Invalid for too many shows.
    """
    ids = list(dict.fromkeys(show_ids))
    if not 1 <= len(ids) <= SHOWS_AT_ONCE:
        raise Invalid("ids", f"1 to {SHOWS_AT_ONCE} shows can be changed at once.")
    terms: dict[str, Any] = {**columns} | ({} if prices is None else {"prices": prices})
    shows = _lock_shows(connection, Show.id.in_(ids))
    categories = categories_of(connection, ids) if prices else {}
    changes = [_change(show_id, shows.get(show_id), terms, categories) for show_id in ids]
    if dry_run:
        raise Undo(changes)
    if wrong := [change for change in changes if change.code]:
        raise NotAllShows(
            f"Nothing was changed: {len(wrong)} of {len(ids)} shows can't be.",
            shows=[{"show": one.show_id, "code": one.code, "detail": one.detail} for one in wrong],
        )
    for currency in sorted({show.currency for show in shows.values()}):
        of_currency = [
            change.show_id
            for change in changes
            if change.changed and shows[change.show_id].currency == currency
        ]
        _write_terms(connection, of_currency, stored_terms(terms, currency), by)
    return changes


def _change(
    show_id: int,
    show: Row | None,
    terms: Mapping[str, Any],
    categories: Mapping[int, set[str]],
) -> ShowChange:
    if show is None:
        missing = NotFound("show", show_id)
        return ShowChange(show_id, code=missing.code, detail=missing.detail)
    before = {column.key: getattr(show, column.key) for column in TERMS}
    wrong: DomainError | None = None
    after = before
    try:
        after = {**before, **stored_terms(terms, show.currency)}
        check_prices(terms.get("prices") or {}, categories.get(show_id, set()))
    except Invalid as invalid:
        wrong = invalid
    return ShowChange(
        show_id,
        show.title,
        show.starts_at,
        before,
        after,
        wrong.code if wrong else None,
        wrong.detail if wrong else None,
    )


def _lock_shows(connection: sa.Connection, which: sa.ColumnElement[bool]) -> dict[int, Row]:
    """Those shows with their rows locked alone, and their films' titles, by time."""
    locked = sa.select(Show.id).where(which).order_by(Show.id).with_for_update()
    ids = connection.execute(locked).scalars().all()
    query = sa.select(Show.id, Show.starts_at, Movie.title, *TERMS).join(Movie)
    by_time = query.where(Show.id.in_(ids)).order_by(Show.starts_at, Show.id)
    return {show.id: show for show in connection.execute(by_time)}


def _write_terms(
    connection: sa.Connection, show_ids: Sequence[int], terms: Mapping[str, Any], by: Actor
) -> None:
    """Give the shows, whose rows are locked, these terms and new versions."""
    if not show_ids:
        return
    before = audited_shows(connection, show_ids)
    connection.execute(sa.update(Show).where(Show.id.in_(show_ids)).values(**terms))
    renew_versions(connection, Show.id.in_(show_ids))
    for was, is_ in zip(before, audited_shows(connection, show_ids), strict=True):
        audit.record(connection, "show.changed", by=by, object_id=was["id"], before=was, after=is_)


# --- closing a screen -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShowOfClosed:
    """A show of a screen that is closed: withdrawn from sale, unless seats of it are `taken`, sold
    or held."""

    show_id: int
    movie_title: str
    starts_at: datetime
    taken: list[str]


@writes
def close_screen(
    connection: sa.Connection,
    *,
    screen_id: int,
    since: date,
    until: date,
    dry_run: bool = False,
    by: Actor = OPERATOR,
    now: datetime | None = None,
) -> list[ShowOfClosed]:
    """Withdraw from sale the screen's shows to come on the business days from `since` to `until`,
    where nobody has a seat of them; the others stay as they are. Both, by time. Nothing is deleted,
    so it can be undone. A `dry_run` answers the same and writes nothing.

    Raises NotFound, and Invalid for a period that is none.
    """
    if until < since:
        raise Invalid("until", "Must not be before the first day.")
    if connection.execute(sa.select(Screen.id).where(Screen.id == screen_id)).first() is None:
        raise NotFound("screen", screen_id)
    present = connection.execute(sa.select(NOW), {"now": now}).scalar_one()
    of_period = sa.and_(
        Show.screen_id == screen_id,
        Show.local_date.between(since, until),
        Show.starts_at > present,
    )
    shows = _lock_shows(connection, of_period)
    taken = plan_changes.sold_or_held(connection, list(shows), now)
    closed = [
        ShowOfClosed(show.id, show.title, show.starts_at, taken.get(show.id, []))
        for show in shows.values()
        if show.on_sale or show.id in taken
    ]
    if dry_run:
        raise Undo(closed)
    unsold = [show.show_id for show in closed if not show.taken]
    _write_terms(connection, unsold, {"on_sale": False}, by)
    return closed
