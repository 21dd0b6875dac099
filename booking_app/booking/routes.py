"""Booking seats, one's bookings, cancelling."""

from typing import Any

from flask import current_app, url_for

from booking_app.auth.access import current_user_id, signed_in
from booking_app.booking import schemas, service
from booking_app.extensions import Blueprint
from booking_app.paging import HEADER

blp = Blueprint("booking", __name__, url_prefix="/api", description="Bookings")

LOCATION = {"Location": {"description": "The booking's path.", "schema": {"type": "string"}}}


@blp.route("/shows/<id:show_id>/book/", methods=["POST"])
@signed_in
@blp.arguments(schemas.BookBody, example={"seat_number": "5"})
@blp.response(201, schemas.Booking, headers=LOCATION)
@blp.can_answer("not_found", "not_on_sale", "show_started", "seat_taken")
def book(data: dict[str, Any], show_id: int) -> Any:
    """Book seats

    One by `seat_number`, several by `seat_numbers`: all of them or none. Where one is taken,
    the answer names exactly the `seats` in the way.
    """
    booking = service.book(
        user_id=current_user_id(),
        show_id=show_id,
        max_seats=current_app.config["MAX_SEATS_PER_BOOKING"],
        currency=current_app.config["CURRENCY"],
        **data,
    )
    return booking, {"Location": url_for("booking.get_booking", booking_id=booking["id"])}


@blp.route("/bookings/<id:booking_id>/cancel/", methods=["POST"])
@signed_in
@blp.arguments(schemas.CancelBody, required=False, example={})
@blp.response(200, schemas.Booking)
@blp.can_answer("not_found", "not_your_booking", "already_cancelled", "too_late")
def cancel(data: dict[str, Any], booking_id: int) -> Any:
    """Cancel a booking

    Its seats can be booked by anyone at once. Not after the show has begun.
    """
    return service.cancel(
        user_id=current_user_id(),
        booking_id=booking_id,
        cutoff_minutes=current_app.config["CANCEL_CUTOFF_MINUTES"],
    )


@blp.route("/my-bookings/", methods=["GET"])
@signed_in
@blp.arguments(schemas.BookingQuery, location="query")
@blp.response(200, schemas.Booking(many=True), headers=HEADER)
def my_bookings(query: dict[str, Any]) -> Any:
    """List your bookings

    Newest first, cancelled ones too; `status` narrows the list.
    """
    page = service.list_bookings(user_id=current_user_id(), **query)
    return page.items, page.headers


@blp.route("/bookings/<id:booking_id>/", methods=["GET"])
@signed_in
@blp.response(200, schemas.Booking)
@blp.can_answer("not_found", "not_your_booking")
def get_booking(booking_id: int) -> Any:
    """Show one of your bookings

    Also one that is cancelled.
    """
    return service.get_booking(user_id=current_user_id(), booking_id=booking_id)
