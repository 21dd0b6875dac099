"""Booking and holding seats, one's bookings, cancelling."""

import hashlib
import re
from typing import Any, ParamSpec

from flask import Response, current_app, json, request

from booking_app.audit.service import Actor
from booking_app.auth.access import (
    actor,
    by_account,
    current_account,
    current_user_id,
    signed_in,
    staff_only,
)
from booking_app.auth.accounts import get_customer, require_staff
from booking_app.booking import queries, schemas, service
from booking_app.booking.idempotency import Attempt, StoredAnswer
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.queries import BookingDetails
from booking_app.core.database import UseCase
from booking_app.web.fields import Coded
from booking_app.web.limits import limited
from booking_app.web.openapi import Blueprint, View
from booking_app.web.paging import HEADER, page_headers
from booking_app.web.problems import invalid

P = ParamSpec("P")

blp = Blueprint(
    "booking",
    __name__,
    url_prefix="/api",
    description="Book or hold seats, confirm, cancel, and list what is booked.",
)

LOCATION = {"Location": {"description": "The booking's path.", "schema": {"type": "string"}}}
KEY_HEADER = "Idempotency-Key"
BOOKING = schemas.Booking()
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
    # Who of the staff books for an account
    "staff_only",
    "account_disabled",
)


def retriable(view: View) -> View:
    """Decorator: the call takes an Idempotency-Key."""
    parameter = {
        "in": "header",
        "name": KEY_HEADER,
        "required": False,
        "description": "Made by you, new for each call, kept for 24 hours. Sent again with the "
        "same call it gives the first answer again, with `Idempotent-Replayed: true`.",
        "schema": {"type": "string", "pattern": f"^{schemas.KEY_PATTERN}$"},
    }
    replayed = {"description": "`true`: the first answer again.", "schema": {"type": "string"}}
    documented: View = Blueprint.doc(parameters=[parameter])(view)
    documented.answer_headers = {"Idempotent-Replayed": replayed}  # type: ignore[attr-defined]
    return Blueprint.problems("idempotency_key_reused", "idempotency_in_progress")(documented)


@blp.route("/shows/<id:show_id>/book/", methods=["POST"])
@signed_in
@retriable
@blp.arguments(schemas.BookBody, example={"seat_number": "5"})
@limited("booking", by_account)
@blp.response(201, schemas.Booking, headers=LOCATION)
@blp.problems(*REFUSALS)
@blp.leads_to("getBooking", "cancelBooking", booking_id="/id")
def book_seats(data: dict[str, Any], show_id: int) -> Response:
    """Book seats

    One by `seat_number`, several by `seat_numbers`: all of them or none, and where one is taken,
    the answer names exactly the `seats` in the way. Or the best `quantity` side by side. Staff book
    for any account (`user` or `username`), also after the start.
    """
    return _respond(
        201, service.book, show_id=show_id, policy=_policy(), by=_staff(), **_for_account(data)
    )


@blp.route("/shows/<id:show_id>/hold/", methods=["POST"])
@signed_in
@retriable
@blp.arguments(schemas.BookBody, example={"quantity": 2})
@limited("booking", by_account)
@blp.response(201, schemas.Booking, headers=LOCATION)
@blp.problems(*REFUSALS, "too_many_holds")
@blp.leads_to("getBooking", "confirmBooking", "extendHold", "cancelBooking", booking_id="/id")
def hold_seats(data: dict[str, Any], show_id: int) -> Response:
    """Hold seats

    Nobody else can take them until `expires_at`. Confirm in time; a hold that is not confirmed
    becomes `expired`, and its seats are free again. Staff hold for any account.
    """
    return _respond(
        201, service.hold, show_id=show_id, policy=_policy(), by=_staff(), **_for_account(data)
    )


@blp.route("/bookings/<id:booking_id>/confirm/", methods=["POST"])
@signed_in
@retriable
@blp.arguments(schemas.NoBody, required=False, example={})
@limited("booking", by_account)
@blp.response(200, schemas.Booking)
@blp.problems("not_found", "not_your_booking", "already_cancelled", "not_held", "hold_expired")
@blp.problems("sales_closed")
@blp.leads_to("getBooking", "cancelBooking", booking_id="/id")
def confirm_booking(data: dict[str, Any], booking_id: int) -> Response:
    """Confirm a hold

    It becomes a booking. Staff confirm anybody's.
    """
    user_id = current_user_id()
    return _respond(200, service.confirm, user_id=user_id, booking_id=booking_id, by=_staff())


@blp.route("/bookings/<id:booking_id>/extend/", methods=["POST"])
@signed_in
@retriable
@blp.arguments(schemas.NoBody, required=False, example={})
@limited("booking", by_account)
@blp.response(200, schemas.Booking)
@blp.problems("not_found", "not_your_booking", "already_cancelled", "not_held", "hold_expired")
@blp.problems("sales_closed")
@blp.problems("hold_limit")
@blp.leads_to("confirmBooking", "cancelBooking", booking_id="/id")
def extend_hold(data: dict[str, Any], booking_id: int) -> Response:
    """Hold for longer

    From now, but not without end, and not beyond the start of the show.
    """
    return _respond(
        200,
        service.extend,
        user_id=current_user_id(),
        booking_id=booking_id,
        policy=_policy(),
        by=_staff(),
    )


@blp.route("/bookings/<id:booking_id>/cancel/", methods=["POST"])
@signed_in
@retriable
@blp.arguments(schemas.CancelBody, required=False, example={})
@limited("booking", by_account)
@blp.response(200, schemas.Booking)
@blp.problems("not_found", "not_your_booking", "already_cancelled", "hold_expired", "too_late")
@blp.problems("pair_split")
def cancel_booking(data: dict[str, Any], booking_id: int) -> Response:
    """Cancel a booking

    All of it, or some of its seats by `seat_numbers`; or let go of a hold. The seats can be booked
    by anyone at once. Not after the show has begun, nor in the last minutes before where the house
    has set that; staff cancel any booking, at any time.
    """
    return _respond(
        200,
        service.cancel,
        user_id=current_user_id(),
        booking_id=booking_id,
        policy=_policy(),
        by=_staff(),
        **data,
    )


@blp.route("/my-bookings/", methods=["GET"])
@signed_in
@blp.arguments(schemas.BookingQuery, location="query")
@blp.response(200, schemas.Booking(many=True), headers=HEADER)
@blp.leads_to("getBooking", "cancelBooking", booking_id="/0/id")
def list_my_bookings(query: dict[str, Any]) -> Any:
    """List your bookings

    Newest first, cancelled ones too; `status` narrows the list.
    """
    page = queries.list_bookings(user_id=current_user_id(), **query)
    return page.items, page_headers(page)


@blp.route("/bookings/<id:booking_id>/", methods=["GET"])
@signed_in
@blp.response(200, schemas.Booking)
@blp.problems("not_found", "not_your_booking")
def get_booking(booking_id: int) -> Any:
    """Show one of your bookings

    Also one that is cancelled or expired. Staff see any.
    """
    if current_account().is_staff:
        return queries.get_any_booking(booking_id=booking_id)
    return queries.get_booking(user_id=current_user_id(), booking_id=booking_id)


@blp.route("/bookings/", methods=["GET"])
@staff_only
@blp.arguments(schemas.AllBookingsQuery, location="query")
@blp.response(200, schemas.Booking(many=True), headers=HEADER)
def list_bookings(query: dict[str, Any]) -> Any:
    """List everybody's bookings

    For staff. Newest first; narrowed by `show`, `user`, `status`, `reference` and `search`.
    """
    page = queries.list_all_bookings(**query)
    return page.items, page_headers(page)


def _staff() -> Actor | None:
    """The caller, where it is one of the staff; they are bound by fewer rules."""
    return actor() if current_account().is_staff else None


def _for_account(data: dict[str, Any]) -> dict[str, Any]:
    """The body with the `user_id` that it is for: the caller's own, or the account that a member of
    the staff names. Raises StaffOnly, Invalid and AccountDisabled."""
    wanted = {name: value for name, value in data.items() if name not in ("user", "username")}
    if not {"user", "username", "over_cap"}.isdisjoint(data):
        require_staff(current_account())
    if "user" in data or "username" in data:
        customer = get_customer(user_id=data.get("user"), username=data.get("username"))
        return wanted | {"user_id": customer.id}
    return wanted | {"user_id": current_user_id()}


def _policy() -> BookingPolicy:
    return BookingPolicy.from_settings(current_app.config)


def _respond(
    status: int, use_case: UseCase[P, BookingDetails], *args: P.args, **kwargs: P.kwargs
) -> Response:
    """Run the use case, and answer its booking; once only, where the caller sent a key."""
    key = request.headers.get(KEY_HEADER)
    fingerprint = ""
    if key is not None:
        if not re.fullmatch(schemas.KEY_PATTERN, key):
            message = Coded("Must be 1 to 255 visible ASCII characters.", "invalid_format")
            raise invalid("headers", {KEY_HEADER: [message]})
        place = f"{request.method} {request.path.rstrip('/')}\n".encode()
        fingerprint = hashlib.sha256(place + request.get_data()).hexdigest()

    def render(booking: BookingDetails) -> StoredAnswer:
        location = f"{blp.url_prefix}/bookings/{booking.id}/" if status == 201 else None
        return StoredAnswer(status, json.dumps(BOOKING.dump(booking)), location)

    attempt = Attempt(current_user_id(), render, key, fingerprint)
    answer = attempt.run(use_case, *args, **kwargs)
    response = Response(answer.body, answer.status, mimetype="application/json")
    if answer.location is not None:
        response.headers["Location"] = answer.location
    if answer.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response
