"""Booking, one's bookings, cancelling."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient

from booking_app.booking import locks, service
from booking_app.booking.models import Booking
from booking_app.booking.policy import BookingPolicy
from booking_app.catalog.models import ShowSeat
from booking_app.core.errors import Invalid
from tests.conftest import NOON, Caller, present, rows
from tests.wrong import wrong


def owners() -> dict[str, int | None]:
    return {seat.label: seat.booking_id for seat in rows(ShowSeat)}


def test_book_see_and_cancel(client: FlaskClient, alice: Caller, show_id: int) -> None:
    before = present()
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": "5"})
    assert booked.status_code == 201
    assert booked.headers["Location"] == f"/api/bookings/{booked.json['id']}/"
    booking = booked.json
    assert booking["status"] == "booked"
    assert (booking["user"], booking["show"]) == (alice.id, show_id)
    assert (booking["seat_number"], booking["seat_numbers"]) == ("5", ["5"])
    assert (booking["total"], booking["currency"]) == ("9.50", "EUR")
    assert before <= datetime.fromisoformat(booking["created_at"]) <= present()
    assert alice.get("/api/my-bookings/").json == [booking]
    assert alice.get(booked.headers["Location"]).json == booking
    assert client.get(f"/api/shows/{show_id}/").json["available_seats"] == 9

    cancelled = alice.post(f"/api/bookings/{booking['id']}/cancel/")
    assert cancelled.status_code == 200
    assert cancelled.json == booking | {"status": "cancelled"}
    assert alice.get("/api/my-bookings/").json == [cancelled.json]
    assert client.get(f"/api/shows/{show_id}/").json["available_seats"] == 10


@pytest.mark.parametrize("seat", [5, "5", " 5 "])
def test_a_number_means_its_label(alice: Caller, show_id: int, seat: object) -> None:
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": seat})
    assert booked.json["seat_number"] == "5"


def test_several_seats_all_or_none(alice: Caller, bob: Caller, show_id: int) -> None:
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["10", 2, "9"]})
    assert booked.status_code == 201
    assert booked.json["seat_numbers"] == ["2", "9", "10"]
    assert booked.json["seat_number"] is None
    assert booked.json["total"] == "28.50"
    before = owners()
    refused = bob.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["1", "2", "3", "10"]})
    assert (refused.status_code, refused.json["code"]) == (409, "seat_taken")
    assert refused.json["seats"] == ["2", "10"]
    assert owners() == before
    assert len(rows(Booking)) == 1


def test_a_cancelled_seat_can_be_booked_by_anyone_at_once(
    alice: Caller, bob: Caller, show_id: int
) -> None:
    booking = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).json
    assert bob.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).status_code == 409
    alice.post(f"/api/bookings/{booking['id']}/cancel/")
    mine = bob.post(f"/api/shows/{show_id}/book/", {"seat_number": 1})
    assert mine.status_code == 201
    again = alice.post(f"/api/bookings/{booking['id']}/cancel/")
    assert (again.status_code, again.json["code"]) == (409, "already_cancelled")
    assert owners()["1"] == mine.json["id"]


def test_a_seat_that_the_show_does_not_have_is_422(alice: Caller, show_id: int) -> None:
    one = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": "11"})
    several = alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["1", "A1"]})
    for answer, field in ((one, "seat_number"), (several, "seat_numbers/1")):
        assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
        assert list(wrong(answer)) == [f"/{field}"]
    assert set(owners().values()) == {None}


def test_a_booking_has_a_most_of_seats(alice: Caller, make_show: Callable[..., int]) -> None:
    show = make_show(total_seats=20)
    ten = [str(number) for number in range(1, 11)]
    assert alice.post(f"/api/shows/{show}/book/", {"seat_numbers": ten}).status_code == 201
    refused = alice.post(
        f"/api/shows/{show}/book/", {"seat_numbers": [str(n) for n in range(10, 21)]}
    )
    assert refused.status_code == 422
    assert "10" in wrong(refused)["/seat_numbers"][0]


def test_a_show_that_has_begun_cannot_be_booked_or_cancelled(
    alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(starts_in=timedelta(minutes=-1))
    refused = alice.post(f"/api/shows/{show}/book/", {"seat_number": 1})
    assert (refused.status_code, refused.json["code"]) == (409, "sales_closed")
    earlier = present() - timedelta(hours=1)
    booking = service.book(user_id=alice.id, show_id=show, seat_number="1", now=earlier)
    refused = alice.post(f"/api/bookings/{booking.id}/cancel/")
    assert (refused.status_code, refused.json["code"]) == (409, "too_late")
    assert owners()["1"] == booking.id


@pytest.mark.parametrize(
    ("cutoff", "minutes_before", "allowed"),
    [(0, 1, True), (0, 0, False), (60, 61, True), (60, 60, False), (60, 1, False)],
)
def test_cancelling_closes_before_the_show(
    alice: Caller,
    make_show: Callable[..., int],
    cutoff: int,
    minutes_before: int,
    allowed: bool,
) -> None:
    show = make_show(now=NOON, starts_in=timedelta(0))
    booking = service.book(
        user_id=alice.id, show_id=show, seat_number="1", now=NOON - timedelta(hours=5)
    )

    def cancel() -> None:
        service.cancel(
            user_id=alice.id,
            booking_id=booking.id,
            policy=BookingPolicy(cancel_cutoff_minutes=cutoff),
            now=NOON - timedelta(minutes=minutes_before),
        )

    if allowed:
        cancel()
    else:
        with pytest.raises(service.TooLate):
            cancel()


def test_the_very_moment_of_the_start_is_too_late_to_book(
    alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(now=NOON, starts_in=timedelta(0))
    with pytest.raises(locks.SalesClosed):
        service.book(user_id=alice.id, show_id=show, seat_number="1", now=NOON)
    just_before = NOON - timedelta(microseconds=1)
    service.book(user_id=alice.id, show_id=show, seat_number="1", now=just_before)


def test_anothers_booking_is_403_and_none_is_404(alice: Caller, bob: Caller, show_id: int) -> None:
    booking = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).json
    for answer in (
        bob.get(f"/api/bookings/{booking['id']}/"),
        bob.post(f"/api/bookings/{booking['id']}/cancel/"),
    ):
        assert (answer.status_code, answer.json["code"]) == (403, "not_your_booking")
    assert bob.get("/api/my-bookings/").json == []
    assert bob.get("/api/bookings/999/").status_code == 404
    assert bob.post("/api/bookings/999/cancel/").status_code == 404
    assert bob.post("/api/shows/999/book/", {"seat_number": 1}).status_code == 404


def test_my_bookings_newest_first_by_page_and_status(alice: Caller, show_id: int) -> None:
    ids = [
        alice.post(f"/api/shows/{show_id}/book/", {"seat_number": number}).json["id"]
        for number in range(1, 6)
    ]
    alice.post(f"/api/bookings/{ids[0]}/cancel/")

    def listed(query: str) -> list[int]:
        return [booking["id"] for booking in alice.get(f"/api/my-bookings/?{query}").json]

    assert listed("") == ids[::-1]
    assert listed("page_size=2&page=2") == [ids[2], ids[1]]
    assert listed("status=cancelled") == [ids[0]]
    assert listed("status=booked") == ids[:0:-1]
    assert listed("status=held") == []


def test_references_are_distinct_and_readable(alice: Caller, show_id: int) -> None:
    references = {
        alice.post(f"/api/shows/{show_id}/book/", {"seat_number": n}).json["reference"]
        for n in range(1, 11)
    }
    assert len(references) == 10
    assert all(len(r) == 10 and set(r) <= set(service.REFERENCE_ALPHABET) for r in references)


def test_the_service_itself_refuses_no_seats_at_all(alice: Caller, show_id: int) -> None:
    with pytest.raises(Invalid):
        service.book(user_id=alice.id, show_id=show_id, seat_numbers=[])
