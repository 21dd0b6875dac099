"""What holds for every change of shows: overlaps, times, prices, and the seats that are sold."""

import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from booking_app.audit import service as audit
from booking_app.audit.service import Actor
from booking_app.catalog.models import (
    OUT_OF_ORDER,
    PRESENTATION,
    Movie,
    Screen,
    Show,
    ShowSeat,
    ShowSum,
)
from booking_app.catalog.neighbours import SeatInRow, missing_partners
from booking_app.catalog.seat_plans import Seat, seat_columns
from booking_app.core import formats
from booking_app.core.database import NOW
from booking_app.core.editions import IfMatch, edition_of, require
from booking_app.core.errors import Conflict, Invalid
from booking_app.core.formats import iso
from booking_app.core.schema import may_serve
from booking_app.core.violations import refusing

RELEASE_BEFORE = "1.2.0"
# Shows further ahead are surely typos.
MAX_DAYS_AHEAD = 3653


class HasBookings(Conflict):
    code = "has_bookings"


class ShowOverlap(Conflict):
    code = "show_overlap"


class SeatsSold(Conflict):
    code = "seats_sold"


class UpgradeUnfinished(Conflict):
    code = "upgrade_unfinished"


class PairSplit(Conflict):
    code = "pair_split"


# Columns of `show` that the audit log records.
AUDITED = (
    Show.id,
    Show.movie_id,
    Show.screen_id,
    Show.starts_at,
    Show.ends_at,
    Show.total_seats,
    Show.price_cents,
    Show.prices,
    Show.currency,
    Show.no_single_gaps,
    Show.max_seats_per_account,
    Show.on_sale,
    *PRESENTATION,
)
# What an edition of a show is made of: not its seats, which customers take.
EDITED = (*AUDITED, Show.external_id)


def refuse_overlap(
    connection: sa.Connection,
    screen_id: int,
    starts_at: datetime,
    ends_at: datetime,
    *,
    but_show_id: int = 0,
    only_later: bool = False,
) -> None:
    """Raises ShowOverlap where another show is on the screen then, or less than its
    `turnaround_minutes` away; with `only_later` one that begins after `starts_at`.

    The caller has locked the screen's row (`screen_locks`): only so is the answer certain.
    """
    screen = connection.execute(
        sa.select(Screen.name, Screen.turnaround_minutes).where(Screen.id == screen_id)
    ).one()
    turnaround = timedelta(minutes=screen.turnaround_minutes)
    other = connection.execute(
        sa.select(Show.id, Show.starts_at, Show.ends_at, Movie.title)
        .join(Movie, Movie.id == Show.movie_id)
        .where(
            Show.screen_id == screen_id,
            Show.starts_at < ends_at + turnaround,
            Show.ends_at > starts_at - turnaround,
            Show.id != but_show_id,
            Show.starts_at >= starts_at if only_later else sa.true(),
        )
        .order_by(Show.starts_at)
        .limit(1)
    ).first()
    if other is not None:
        told = (
            f"{other.title} (show {other.id}) is on {screen.name} from {iso(other.starts_at)} "
            f"to {iso(other.ends_at)}."
        )
        if turnaround:
            told += f" {screen.turnaround_minutes} minutes must lie between shows there."
        raise ShowOverlap(
            told,
            show=other.id,
            movie_title=other.title,
            date_time=iso(other.starts_at),
            ends_at=iso(other.ends_at),
        )


def refuse_split_pairs(
    room: Sequence[SeatInRow], labels: Collection[str], *, among: Collection[str] | None = None
) -> None:
    """Raises PairSplit where `labels` have one seat of a pair without the other (one of `among`, if
    that is given). `room` are all seats, in their order."""
    others = missing_partners(room, labels)
    if parted := [label for label in others if among is None or label in among]:
        raise PairSplit(
            f"Love seats go in pairs: {', '.join(parted)} must come with them.", seats=parted
        )


def require_finished_upgrade(connection: sa.Connection, what: str) -> None:
    """Raises UpgradeUnfinished for `what` the release before can't read, while it may serve."""
    if may_serve(connection, RELEASE_BEFORE):
        raise UpgradeUnfinished(
            f"Release {RELEASE_BEFORE}, which may still serve this database, can't read {what}. "
            "When its last server is stopped, run `flask --app wsgi finish-upgrade`."
        )


def check_ahead(connection: sa.Connection, date_time: datetime, now: datetime | None) -> None:
    present: datetime = connection.execute(sa.select(NOW), {"now": now}).scalar_one()
    if date_time <= present:
        raise Invalid("date_time", f"Must lie ahead; it is {iso(present)} now.")
    if date_time > present + timedelta(days=MAX_DAYS_AHEAD):
        raise Invalid("date_time", "Must lie within the next ten years.")


def check_sale(
    sales_from: datetime | None,
    sales_until: datetime | None,
    *,
    starts_at: datetime,
    ends_at: datetime,
) -> None:
    """Raises Invalid for a time of sale that is empty or goes on after the show's end."""
    if sales_until is not None and sales_until > ends_at:
        raise Invalid("sales_until", f"The show ends at {iso(ends_at)}; end the sale by then.")
    sales_end = sales_until or starts_at
    if sales_from is not None and sales_from >= sales_end:
        raise Invalid("sales_from", f"The sale ends at {iso(sales_end)}; begin it before that.")


def minor_units(field: str, amount: Decimal, currency: str) -> int:
    """A price in minor units of the currency; raises Invalid for one that can't be."""
    try:
        return formats.minor_units(amount, currency)
    except ValueError as error:
        raise Invalid(field, str(error)) from error


def prices_in_minor_units(prices: Mapping[str, Decimal], currency: str) -> dict[str, int]:
    """Prices by category, in minor units of the currency; raises Invalid as `minor_units`."""
    return {
        category: minor_units("prices", amount, currency) for category, amount in prices.items()
    }


def check_prices(priced: Collection[str], known: set[str]) -> None:
    """Raises Invalid for a price of a category that the show's seats don't have."""
    if unknown := sorted(set(priced) - known):
        raise Invalid(
            "prices",
            f"No seat is {unknown[0]!r}; the categories are {', '.join(sorted(known))}.",
        )


def categories_of(
    connection: sa.Connection, show_ids: Collection[int]
) -> defaultdict[int, set[str]]:
    """The categories of the seats of each of these shows."""
    query = sa.select(ShowSeat.show_id, ShowSeat.category).where(ShowSeat.show_id.in_(show_ids))
    found: defaultdict[int, set[str]] = defaultdict(set)
    for show_id, category in connection.execute(query.distinct()):
        found[show_id].add(category)
    return found


def audited_shows(connection: sa.Connection, show_ids: Collection[int]) -> Sequence[sa.RowMapping]:
    """The columns of these shows that the audit log records, by their ids."""
    query = sa.select(*AUDITED).where(Show.id.in_(show_ids)).order_by(Show.id)
    return connection.execute(query).mappings().all()


def show_editions(connection: sa.Connection, show_ids: Collection[int]) -> dict[int, str]:
    """The editions of these shows, by their ids."""
    query = sa.select(*EDITED).where(Show.id.in_(show_ids)).order_by(Show.id)
    return {show["id"]: edition_of(EDITED, show) for show in connection.execute(query).mappings()}


def require_shows(
    connection: sa.Connection, show_ids: Collection[int], if_match: IfMatch | None
) -> None:
    """Raises ChangedMeanwhile where the change is not meant for these shows as they are. Their rows
    are locked."""
    if if_match is not None:
        for show_id, edition in show_editions(connection, show_ids).items():
            require(if_match, edition, f"show {show_id}")


def record_created(connection: sa.Connection, show_ids: Collection[int], by: Actor) -> None:
    """Write down that these shows were made."""
    for show in audited_shows(connection, show_ids):
        audit.record(connection, "show.created", by=by, object_id=show["id"], after=show)


def lock_seats(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Lock those seats, in a statement before the one that looks at them: a hold that is being
    confirmed does not lock its show, so only then is it certain whether it was in time."""
    in_order = sa.select(ShowSeat.label).where(which).order_by(ShowSeat.show_id, ShowSeat.label)
    connection.execute(in_order.with_for_update()).all()


def forget_sums(connection: sa.Connection, show_ids: Sequence[int]) -> None:
    """Let reports add up anew what is about to change. The shows' rows are locked."""
    connection.execute(sa.delete(ShowSum).where(ShowSum.show_id.in_(show_ids)))


def insert_seats(
    connection: sa.Connection,
    show_id: int,
    seats: Sequence[Seat],
    *,
    first_position: int = 1,
    out_of_order: Collection[str] = (),
) -> None:
    columns = seat_columns(seats, first_position)
    blocked = dict.fromkeys(out_of_order, OUT_OF_ORDER)
    rows = [{"show_id": show_id, "blocked": blocked.get(seat["label"]), **seat} for seat in columns]
    connection.execute(sa.insert(ShowSeat), rows)


def new_version() -> int:
    """A version for a show (`Show.version`): 63 random bits."""
    return secrets.randbits(63)


def renew_versions(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Give those shows new versions."""
    locked = sa.select(Show.id).where(which).order_by(Show.id).with_for_update(key_share=True)
    shows = connection.execute(locked).scalars().all()
    renew = sa.update(Show).where(Show.id == sa.bindparam("show_id"))
    if shows:
        connection.execute(renew, [{"show_id": id_, "version": new_version()} for id_ in shows])


def delete_shows(
    connection: sa.Connection, which: sa.ColumnElement[bool], what: str, by: Actor
) -> int:
    """Delete those shows and their seats; how many. Raises HasBookings.

    Whether there are bookings is not looked up: the foreign key of a booking, past and
    cancelled ones too, does not let its show go.
    """
    locked = sa.select(*AUDITED).where(which).order_by(Show.id).with_for_update()
    shows = connection.execute(locked).mappings().all()
    show_ids = [show["id"] for show in shows]
    lock_seats(connection, ShowSeat.show_id.in_(show_ids))
    connection.execute(sa.delete(ShowSeat).where(ShowSeat.show_id.in_(show_ids)))
    forget_sums(connection, show_ids)
    booked = HasBookings(
        f"This {what} has bookings and can't be deleted. Withdraw it from sale instead "
        "(on_sale: false)."
    )
    with refusing(fk_booking_show_id=booked):
        connection.execute(sa.delete(Show).where(Show.id.in_(show_ids)))
    for show in shows:
        audit.record(connection, "show.deleted", by=by, object_id=show["id"], before=show)
    return len(show_ids)
