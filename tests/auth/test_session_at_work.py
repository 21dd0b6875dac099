"""Where the first statement of a call sees whether its session is open (`access.with_token`)."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from booking_app.booking.models import Booking
from booking_app.web import limits
from tests.conftest import Caller, bearer, make_app, open_tokens, rows

# Each call, and the same with something wrong in it.
CALLS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/api/shows/{show}/book/", {"seat_number": 5}),
    ("POST", "/api/shows/{show}/book/", {"quantity": 2}),
    ("POST", "/api/shows/{show}/book/", {"seat_number": 5, "username": "bob"}),
    ("POST", "/api/shows/{show}/book/", {"no such": 1}),
    ("POST", "/api/shows/999/book/", {"seat_number": 5}),
    ("POST", "/api/shows/{show}/hold/", {"seat_number": 5}),
    ("POST", "/api/bookings/{hold}/confirm/", None),
    ("POST", "/api/bookings/{hold}/extend/", None),
    ("POST", "/api/bookings/{hold}/extend/", {"no such": 1}),
    ("POST", "/api/bookings/{hold}/cancel/", None),
    ("GET", "/api/my-bookings/", None),
    ("GET", "/api/my-bookings/?page=2", None),
    ("GET", "/api/my-bookings/?page=no", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
@pytest.mark.parametrize("key", [None, "the-same"])
def test_whose_session_is_over_gets_401_whatever_else_is_wrong(
    alice: Caller,
    client: FlaskClient,
    show_id: int,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    key: str | None,
) -> None:
    """Also by a key that has an answer; and nothing is written."""
    headers = bearer(open_tokens(alice.id)) | ({"Idempotency-Key": key} if key else {})
    asked = {"headers": headers, "json": body} if body else {"headers": headers}
    hold = alice.post(f"/api/shows/{show_id}/hold/", {"seat_number": 1}).json["id"]
    where = path.format(show=show_id, hold=hold)
    if key and method == "POST":
        client.open(where, method=method, **asked)
    client.post("/api/logout/", headers=headers)
    before = rows(Booking)
    answer = client.open(where, method=method, **asked)
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")
    assert rows(Booking) == before


def test_an_ended_session_does_not_use_up_its_accounts_limit(
    alice: Caller, database_url: str, show_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = limits.RULES["booking"]
    monkeypatch.setitem(limits.RULES, "booking", limits.Rule(rule.calls, 3, 1, rule.by))
    client = make_app(database_url, RATELIMIT_ENABLED="on").test_client()
    over, still = (bearer(open_tokens(alice.id)) for _ in range(2))
    client.post("/api/logout/", headers=over)
    path = f"/api/shows/{show_id}/book/"

    def book(headers: dict[str, str], seat: int) -> int:
        return client.post(path, json={"seat_number": seat}, headers=headers).status_code

    assert [book(over, 1) for _ in range(5)] == [401] * 5
    assert [book(still, seat) for seat in (1, 2, 3, 4)] == [201, 201, 201, 429]
    assert [book(over, 5), book(still, 5)] == [401, 429]


def test_an_open_session_without_bookings_has_an_empty_list(alice: Caller) -> None:
    answer = alice.get("/api/my-bookings/")
    assert (answer.status_code, answer.json) == (200, [])
    assert alice.get("/api/my-bookings/?status=held&upcoming=true&page=3").json == []


def test_who_turns_out_to_be_staff_books_as_staff(
    make_caller: Callable[..., Caller], make_show: Callable[..., int]
) -> None:
    staff = make_caller("boss", is_staff=True)
    show = make_show(total_seats=40)
    seats = [str(number) for number in range(1, 21)]  # more than a customer may have
    answer = staff.post(f"/api/shows/{show}/book/", {"seat_numbers": seats})
    assert (answer.status_code, answer.json["user"]) == (201, staff.id)
