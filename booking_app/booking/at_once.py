"""Booking seats where nothing but the show and those seats has to be looked at: seats that are
named, and the best ones of the kept plan.

This is most of what a cinema sells, and what everybody wants at once when a sale begins. What is
looked at and what is written stands here once, for both databases: PostgreSQL gets it all as one
statement, which needs no transaction around it, and SQLite in three in the writer's turn, where
nobody else's come in between. What does not fit (staff, shows with caps or against gaps, pairs and
companion seats) is left alone, for `service` to book step by step. Refusals are the same both ways.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any

import sqlalchemy as sa

from booking_app.auth.accounts import SessionEnded
from booking_app.auth.models import User
from booking_app.auth.sessions import CALLER, Caller
from booking_app.booking.expectations import Expected
from booking_app.booking.locks import SHOW_ON_SALE, show_on_sale
from booking_app.booking.models import BOOKED, Booking
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.queries import BookingDetails
from booking_app.booking.receipts import TOTAL_MAX, Receipt, new_reference
from booking_app.booking.seats import (
    Sale,
    SeatRequest,
    blocks_of,
    refuse_taken,
    refuse_unknown,
    room_of,
    take,
)
from booking_app.catalog.kept_plans import read_plan
from booking_app.catalog.models import (
    COMPANION,
    KIND,
    STANDARD,
    WHEELCHAIR,
    ShowSeat,
    is_for_sale,
)
from booking_app.core.database import NOW, Query, has_writing_parts, is_alone, one_of
from booking_app.core.errors import NotFound
from booking_app.core.statements import Statement, constant

# Seats that are taken without a look at others.
ORDINARY = (STANDARD, WHEELCHAIR)
BLOCKS_TRIED = 5  # before others are waited for
FREE = is_for_sale(NOW).label("free")


@dataclass(frozen=True, slots=True)
class Order:
    """Whose booking of which seats: `caller` where the account itself asks."""

    user_id: int
    show_id: int
    wanted: SeatRequest
    expected: Expected
    caller: Caller | None
    now: datetime | None

    def params(self, reference: str) -> dict[str, Any]:
        """The parameters of all statements here."""
        labels = self.wanted.labels or ()
        return {
            "session": self.caller.session_id if self.caller else None,
            "user": self.user_id,
            "show": self.show_id,
            "labels": labels,
            "quantity": len(labels),
            "begins": self.expected.date_time,
            "reference": reference,
            "now": self.now,
        }


# --- the SQL ------------------------------------------------------------------------------------

# Whoever it is: it asks as a customer.
ACCOUNT = (
    sa.select(User.id, sa.false().label("is_staff"))
    .where(User.id == sa.bindparam("user"))
    .with_for_update(read=True, key_share=True)
)


class _Looked:
    """What is looked at, each part locked after the one before it, as everywhere: the account with
    its session, the show, the seats by label. A part whose condition fails locks nothing after it.
    """

    def __init__(self, *, has_session: bool, skips: bool) -> None:
        # The account while its session is open, or any account where no session is named.
        asked = CALLER.with_only_columns(User.id, User.is_staff) if has_session else ACCOUNT
        self.caller = asked.cte("caller")

        # The show, where there is such a caller. It can't be changed by staff from here on.
        self.show = SHOW_ON_SALE.where(sa.exists(sa.select(self.caller.c.id))).cte("sale")
        show = self.show.c

        # The same show, where its seats may be taken without a look at anything else.
        begins = sa.bindparam("begins", type_=show.starts_at.type)
        self.ordinary = (
            sa.select(show.id)
            .join(self.caller, sa.not_(self.caller.c.is_staff))
            .where(
                show.on_sale,
                show.cinema_name.is_not(None),
                show.now < show.starts_at,
                show.now < show.sales_end,
                sa.func.coalesce(show.sales_from <= show.now, sa.true()),
                sa.not_(show.no_single_gaps),
                show.max_seats_per_account.is_(None),
                sa.func.coalesce(show.starts_at == begins, sa.true()),
            )
            .cte("ordinary")
        )

        # The seats, each as it is once it is locked: PostgreSQL looks at a row again that somebody
        # else had, and what is said of it here is of the row as it stands then.
        self.seats = (
            sa.select(ShowSeat.label, ShowSeat.position, ShowSeat.category, KIND, FREE)
            .where(ShowSeat.show_id == sa.bindparam("show"), one_of(ShowSeat.label, "labels"))
            .where(sa.exists(sa.select(self.ordinary.c.id)))
            .order_by(ShowSeat.label)
            .with_for_update(of=ShowSeat, skip_locked=skips)
            .cte("seats")
        )

    def rows(self, *more: Any) -> Query:
        """One row for each seat that was found, or one without a seat; the caller and the show in
        each, empty where there is none."""
        show, seats = self.show.c, self.seats.c
        nothing = sa.select(sa.literal_column("1").label("one")).subquery()
        return sa.select(
            self.caller.c.id.label("caller_id"),
            self.caller.c.is_staff.label("caller_is_staff"),
            *show,
            sa.exists(sa.select(self.ordinary.c.id)).label("is_ordinary"),
            seats.label,
            seats.position,
            seats.category,
            seats.kind,
            seats.free,
            *more,
        ).select_from(
            nothing.outerjoin(self.caller, sa.true())
            .outerjoin(self.show, sa.true())
            .outerjoin(self.seats, sa.true())
        )


@cache
def look_statement(has_session: bool) -> Statement:
    """What is looked at, alone: SQLite's first step."""
    return Statement(_Looked(has_session=has_session, skips=False).rows())


@cache
def book_statement(has_session: bool, skips: bool) -> Statement:
    """All of it, for PostgreSQL: as `look_statement`, with the `booking_id` where there is one.
    Seats that somebody else has locked are waited for, or else are not found (`skips`)."""
    looked = _Looked(has_session=has_session, skips=skips)
    show, seats = looked.show.c, looked.seats.c

    # What each seat costs: what its category does, or else the base price.
    own_price = sa.cast(show.prices.op("->>")(seats.category), sa.Integer)
    price = sa.func.coalesce(own_price, show.price_cents).label("price")
    may_go = sa.and_(seats.free, sa.or_(*(seats.kind == kind for kind in ORDINARY))).label("may_go")
    priced = (
        sa.select(seats.label, seats.position, may_go, price)
        .join(looked.show, sa.true())
        .cte("priced")
    )

    # Their receipt, where all of them were found and each may be taken.
    line = sa.func.jsonb_build_object(
        *(constant("seat_number"), priced.c.label),
        *(constant("price_cents"), priced.c.price),
        *(constant("cancelled"), sa.false()),
    )
    total = sa.func.sum(priced.c.price)
    receipt = (
        sa.select(
            sa.func.jsonb_agg(line).aggregate_order_by(priced.c.position).label("seats"),
            total.label("total_cents"),
        )
        .having(
            sa.func.count() == sa.bindparam("quantity"),
            sa.func.bool_and(priced.c.may_go),
            total <= sa.literal_column(str(TOTAL_MAX)),
        )
        .cte("receipt")
    )

    # The booking, where there is a receipt.
    values = {
        "reference": sa.bindparam("reference", type_=Booking.reference.type),
        "user_id": sa.bindparam("user", type_=Booking.user_id.type),
        "show_id": show.id,
        "status": constant(BOOKED),
        "seats": receipt.c.seats,
        "total_cents": receipt.c.total_cents,
        "currency": show.currency,
        "created_at": show.now,
    }
    made = (
        sa.insert(Booking)
        .from_select(
            [*values], sa.select(*values.values()).select_from(looked.show.join(receipt, sa.true()))
        )
        .returning(Booking.id)
        .cte("made")
    )

    # Their owner, where there is a booking. That they are free is said of the locked rows above;
    # here it would be asked of the rows as they were when the statement began, and one that was
    # freed while it waited would be left out.
    taken = (
        sa.update(ShowSeat)
        .where(
            ShowSeat.show_id == sa.bindparam("show"),
            ShowSeat.label == priced.c.label,
            made.c.id.is_not(None),
        )
        .values(booking_id=made.c.id, held_until=sa.null(), price_cents=priced.c.price)
        .returning(ShowSeat.label)
        .cte("taken")
    )

    # As many seats as the receipt has; else the cast fails, and nothing at all is written.
    owned = sa.select(sa.func.count()).select_from(taken).scalar_subquery()
    complaint = sa.func.concat(constant("seats without their owner, booking "), made.c.id)
    guard = sa.select(
        sa.case((owned != sa.bindparam("quantity"), sa.cast(complaint, sa.Integer)), else_=0)
    ).select_from(made)
    booking_id = sa.select(made.c.id)
    return Statement(
        looked.rows(
            booking_id.scalar_subquery().label("booking_id"), guard.scalar_subquery().label("guard")
        )
    )


# --- what comes of it ---------------------------------------------------------------------------


def book(connection: sa.Connection, order: Order, policy: BookingPolicy) -> BookingDetails | None:
    """Book what is ordered; None, with nothing written, where it has to be done step by step.

    Raises SessionEnded, and what `service.book` raises for the show and the seats alone.
    """
    if order.wanted.labels is None:
        return _book_best(connection, order, policy)
    booking, rows = _try(connection, order, policy)
    if booking is None and rows:
        _receipt(rows, order, reference="")
    return booking


def _try(
    connection: sa.Connection, order: Order, policy: BookingPolicy, *, skips: bool = False
) -> tuple[BookingDetails | None, Sequence[Any]]:
    """The booking of named seats, where they can be had at once, and what was looked at."""
    has_session, reference = order.caller is not None, new_reference()
    params = order.params(reference)
    # What is expected of the total is in the show's currency, whose decimals no database knows.
    if has_writing_parts(connection) and order.expected.total is None:
        rows = book_statement(has_session, skips).all(connection, params)
        if rows[0].booking_id is None:
            return None, rows
        show = show_on_sale(rows[0], order.show_id, by=None)
        receipt = Receipt.of(_seats(rows), show, user_id=order.user_id, reference=reference)
        return receipt.details(rows[0].booking_id, policy), rows
    if is_alone(connection):
        return None, ()
    rows = look_statement(has_session).all(connection, params)
    wanted = _receipt(rows, order, reference)
    if wanted is None:
        return None, rows
    booking_id = wanted.insert(connection)
    sale = Sale(order.show_id, order.user_id, False, False, wanted.show.now)
    take(connection, sale=sale, booking_id=booking_id, seats=wanted.lines, held_until=None)
    return wanted.details(booking_id, policy), rows


def _book_best(
    connection: sa.Connection, order: Order, policy: BookingPolicy
) -> BookingDetails | None:
    """Book the best block of ordinary seats that is left, by the kept plan and who owns its seats
    at the moment. Seats that somebody else has taken or locked since are passed over, a few times.
    """
    try:
        plan, letters = read_plan(connection, order.show_id, order.now)
    except NotFound:  # first of all it is seen who asks
        return None
    if any(seat.kind == COMPANION for seat in plan.seats):
        return None  # whether these are for everybody by now depends on the show
    passed_over: set[str] = set()
    blocks = blocks_of(room_of(plan, letters), order.wanted)
    left_alone = (labels for labels in blocks if passed_over.isdisjoint(labels))
    for labels in islice(left_alone, BLOCKS_TRIED):
        named = replace(order, wanted=replace(order.wanted, labels=tuple(labels)))
        booking, rows = _try(connection, named, policy, skips=True)
        if booking is not None:
            return booking
        free = {row.label for row in rows if row.free}
        if not rows or not rows[0].is_ordinary or free.issuperset(labels):
            return None
        passed_over |= set(labels) - free
    return None


def _receipt(rows: Sequence[Any], order: Order, reference: str) -> Receipt | None:
    """The receipt for what was looked at; None where more has to be looked at. Raises what it is
    refused for."""
    first = rows[0]
    if first.caller_id is None:
        if order.caller is not None:
            raise SessionEnded
        return None
    if first.caller_is_staff:
        return None
    show = show_on_sale(None if first.id is None else first, order.show_id, by=None)
    order.expected.check_time(show)
    if not first.is_ordinary:
        return None
    seats = _seats(rows)
    refuse_unknown(order.wanted, seats)
    refuse_taken(seats)
    if any(seat.kind not in ORDINARY for seat in seats):
        return None
    receipt = Receipt.of(seats, show, user_id=order.user_id, reference=reference)
    receipt.check_total(order.wanted, order.expected)
    return receipt


def _seats(rows: Sequence[Any]) -> list[Any]:
    """Those of the rows that have a seat, in the order of the room."""
    return sorted((row for row in rows if row.label is not None), key=lambda row: row.position)
