"""Buys a seat and reads two refusals, with the client that openapi-python-client makes."""

import json
import sys

from booking_client import AuthenticatedClient, Client
from booking_client.api.auth import log_in, sign_up
from booking_client.api.booking import book_seats, cancel_booking, confirm_booking, hold_seats
from booking_client.api.catalog import draw_show_seats, get_show_seats, list_shows
from booking_client.models import (
    Account,
    BookBody,
    Booking,
    BookingStatus,
    CancelBody,
    LoginBody,
    MapSeatKind,
    MapSeatStatus,
    Problem,
    SeatMap,
    SignupBody,
    Tokens,
)

URL = sys.argv[1]
NAME, PASSWORD = "python_client", "correct horse battery"

anyone = Client(URL)
account = sign_up.sync(client=anyone, body=SignupBody(username=NAME, password=PASSWORD))
assert isinstance(account, Account), account
tokens = log_in.sync(client=anyone, body=LoginBody(username=NAME, password=PASSWORD))
assert isinstance(tokens, Tokens), tokens
customer = AuthenticatedClient(URL, token=tokens.access)

pages = [list_shows.sync_detailed(client=anyone, page=page, page_size=5) for page in (1, 2)]
shows = [show for page in pages if isinstance(page.parsed, list) for show in page.parsed]
assert len({show.id for show in shows}) == 10, pages
assert json.loads(pages[1].headers["X-Pagination"])["total"] >= 10
show_id = shows[-1].id

seat_map = get_show_seats.sync(show_id, client=anyone)
assert isinstance(seat_map, SeatMap), seat_map
label = next(
    seat.seat_number
    for row in seat_map.rows
    for seat in row.seats
    if seat.status == MapSeatStatus.AVAILABLE and seat.kind == MapSeatKind.STANDARD
)
picture = draw_show_seats.sync(show_id, client=anyone)
assert isinstance(picture, str), picture
assert picture.startswith("<svg"), picture

held = hold_seats.sync(
    show_id,
    client=customer,
    body=BookBody(seat_numbers=[label]),
    idempotency_key="python-1",
)
assert isinstance(held, Booking), held
assert (held.status, held.seat_number) == (BookingStatus.HELD, label)
assert held.expires_at is not None
booked = confirm_booking.sync(held.id, client=customer)
assert isinstance(booked, Booking), booked
assert (booked.id, booked.status) == (held.id, BookingStatus.BOOKED)

taken = book_seats.sync(show_id, client=customer, body=BookBody(seat_numbers=[label]))
assert isinstance(taken, Problem), taken
assert (taken.status, taken.code, taken.seats) == (409, "seat_taken", [label])
wrong = book_seats.sync(show_id, client=customer, body=BookBody(seat_numbers=[label, ""]))
assert isinstance(wrong, Problem), wrong
assert (wrong.status, wrong.code) == (422, "validation_failed")
assert isinstance(wrong.errors, list), wrong
assert [error.pointer for error in wrong.errors] == ["/seat_numbers/1"]

cancelled = cancel_booking.sync(held.id, client=customer, body=CancelBody())
assert isinstance(cancelled, Booking), cancelled
assert cancelled.status == BookingStatus.CANCELLED
