"""Booking and holding seats, one's bookings, cancelling."""

from typing import Any

from flask import current_app

from booking_app.auth.access import (
    actor,
    by_account,
    caller,
    current_account,
    current_session,
    current_user_id,
    signed_in,
    staff_only,
    with_token,
)
from booking_app.auth.accounts import get_customer, require_staff
from booking_app.booking import queries, schemas, service
from booking_app.booking.expectations import Expected
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.queries import BookingDetails
from booking_app.idempotency.retriable import retriable
from booking_app.web.limits import limited
from booking_app.web.openapi import Blueprint
from booking_app.web.paging import CURSOR_HEADERS, UNCOUNTED_HEADERS, cursor_headers
from booking_app.web.prefix import LOCATION, location

blp = Blueprint(
    "booking",
    __name__,
    url_prefix="/api",
    description="Book or hold seats, confirm, cancel, and list what is booked.",
)

REFUSALS = (
    "not_found",
    "not_on_sale",
    "not_on_sale_yet",
    "sales_closed",
    "seat_taken",
    "sold_out",
    "no_adjacent_seats",
    "single_gap",
    "pair_split",
    "companion_only",
    "too_many_seats",
    "show_moved",
    "price_changed",
    # Who of the staff books for an account
    "staff_only",
    "account_disabled",
)


@blp.route("/shows/<id:show_id>/book/", methods=["POST"])
@with_token
@retriable
@blp.arguments(schemas.BookBody, example={"seat_number": "5"})
@limited("booking", by_account)
@blp.response(201, schemas.Booking, headers=LOCATION)
@blp.problems(*REFUSALS)
@blp.leads_to("getBooking", "cancelBooking", booking_id="/id")
def book_seats(data: dict[str, Any], show_id: int) -> Any:
    """Book seats

    One by `seat_number`, several by `seat_numbers`: all of them or none, and where one is taken,
    the answer names exactly the `seats` in the way. Or the best `quantity` side by side. Staff book
    for any account (`user` or `username`), also after the start.
    """
    return _made(service.book(show_id=show_id, policy=_policy(), **_for_account(data)))


@blp.route("/shows/<id:show_id>/hold/", methods=["POST"])
@with_token
@retriable
@blp.arguments(schemas.BookBody, example={"quantity": 2})
@limited("booking", by_account)
@blp.response(201, schemas.Booking, headers=LOCATION)
@blp.problems(*REFUSALS, "too_many_holds")
@blp.leads_to("getBooking", "confirmBooking", "extendHold", "cancelBooking", booking_id="/id")
def hold_seats(data: dict[str, Any], show_id: int) -> Any:
    """Hold seats

    Nobody else can take them until `expires_at`. Confirm in time; a hold that is not confirmed
    becomes `expired`, and its seats are free again. Staff hold for any account.
    """
    return _made(service.hold(show_id=show_id, policy=_policy(), **_for_account(data)))


@blp.route("/bookings/<id:booking_id>/confirm/", methods=["POST"])
@with_token
@retriable
@blp.no_body
@limited("booking", by_account)
@blp.response(200, schemas.Booking)
@blp.problems("not_found", "not_your_booking", "already_cancelled", "not_held", "hold_expired")
@blp.problems("sales_closed")
@blp.leads_to("getBooking", "cancelBooking", booking_id="/id")
def confirm_booking(booking_id: int) -> Any:
    """Confirm a hold

    It becomes a booking. Staff confirm anybody's.
    """
    return service.confirm(
        user_id=current_user_id(), booking_id=booking_id, policy=_policy(), caller=caller()
    )


@blp.route("/bookings/<id:booking_id>/extend/", methods=["POST"])
@with_token
@retriable
@blp.no_body
@limited("booking", by_account)
@blp.response(200, schemas.Booking)
@blp.problems("not_found", "not_your_booking", "already_cancelled", "not_held", "hold_expired")
@blp.problems("sales_closed")
@blp.problems("hold_limit")
@blp.leads_to("confirmBooking", "cancelBooking", booking_id="/id")
def extend_hold(booking_id: int) -> Any:
    """Hold for longer

    From now, but not without end, and not beyond the start of the show.
    """
    return service.extend(
        user_id=current_user_id(),
        booking_id=booking_id,
        policy=_policy(),
        caller=caller(),
    )


@blp.route("/bookings/<id:booking_id>/cancel/", methods=["POST"])
@with_token
@retriable
@blp.arguments(schemas.CancelBody, required=False, example={})
@limited("booking", by_account)
@blp.response(200, schemas.Booking)
@blp.problems("not_found", "not_your_booking", "already_cancelled", "hold_expired", "too_late")
@blp.problems("pair_split")
def cancel_booking(data: dict[str, Any], booking_id: int) -> Any:
    """Cancel a booking

    All of it, or some of its seats by `seat_numbers`; or let go of a hold. The seats can be booked
    by anyone at once. Not after the show has begun, nor in the last minutes before where the house
    has set that; staff cancel any booking, at any time.
    """
    return service.cancel(
        user_id=current_user_id(),
        booking_id=booking_id,
        policy=_policy(),
        caller=caller(),
        **data,
    )


@blp.route("/my-bookings/", methods=["GET"])
@with_token
@blp.own
@blp.arguments(schemas.BookingQuery, location="query")
@blp.response(200, schemas.Booking(many=True), headers=UNCOUNTED_HEADERS)
@blp.leads_to("getBooking", "cancelBooking", booking_id="/0/id")
def list_my_bookings(query: dict[str, Any]) -> Any:
    """List your bookings

    Newest first, cancelled ones too; narrowed by `status`, `upcoming`, `show` and `reference`. By
    cursor (`after`) none comes twice or is left out while others are added.
    """
    part = queries.list_bookings(**current_session(), policy=_policy(), **query)
    return part.items, cursor_headers(part, schemas.AFTER)


@blp.route("/bookings/<id:booking_id>/", methods=["GET"])
@signed_in
@blp.own
@blp.response(200, schemas.Booking)
@blp.problems("not_found", "not_your_booking")
def get_booking(booking_id: int) -> Any:
    """Show one of your bookings

    Also one that is cancelled or expired. Staff see any.
    """
    if current_account().is_staff:
        return queries.get_any_booking(booking_id=booking_id, policy=_policy())
    return queries.get_booking(user_id=current_user_id(), booking_id=booking_id, policy=_policy())


@blp.route("/bookings/", methods=["GET"])
@staff_only
@blp.tagged
@blp.arguments(schemas.AllBookingsQuery, location="query")
@blp.response(200, schemas.Booking(many=True), headers=CURSOR_HEADERS)
def list_bookings(query: dict[str, Any]) -> Any:
    """List everybody's bookings

    For staff. Newest first; narrowed by `show`, `user`, `status`, `upcoming`, `reference` and
    `search`. By cursor (`after`) none comes twice or is left out while others are added.
    """
    part = queries.list_all_bookings(policy=_policy(), **query)
    return part.items, cursor_headers(part, schemas.AFTER)


def _for_account(data: dict[str, Any]) -> dict[str, Any]:
    """The body as the service takes it, with what is `expected`, the `user_id` that it is for, and
    who asks: the `caller` for itself, or one of the staff (`by`) for an account that they name.
    Raises SessionEnded, StaffOnly, Invalid and AccountDisabled."""
    other = ("user", "username", "expected_date_time", "expected_total")
    wanted = {name: value for name, value in data.items() if name not in other}
    wanted["expected"] = Expected(data.get("expected_date_time"), data.get("expected_total"))
    if {"user", "username", "over_cap"}.isdisjoint(data):
        return wanted | {"user_id": current_user_id(), "caller": caller()}
    require_staff(current_account())
    wanted |= {"user_id": current_user_id(), "by": actor()}
    if "user" in data or "username" in data:
        customer = get_customer(user_id=data.get("user"), username=data.get("username"))
        wanted["user_id"] = customer.id
    return wanted


def _policy() -> BookingPolicy:
    return BookingPolicy.from_settings(current_app.config)


def _made(booking: BookingDetails) -> tuple[BookingDetails, dict[str, str]]:
    """A new booking, and where it is."""
    return booking, location(f"{blp.url_prefix}/bookings/{booking.id}/")
