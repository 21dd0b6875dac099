"""The requests whose cost is measured as the data grows (`growth`)."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from itertools import count
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from benchmarks.growth_data import CUSTOMER, EMPTY_SHOW, STAFF, House
from benchmarks.servers import Failure
from booking_app.auth import access, sessions
from booking_app.core.database import write_transaction

LIST_PAGE = 50  # rows of the admin site's lists


@dataclass
class Place:
    """The application on the database of a house. `numbers` never come twice."""

    app: Flask
    house: House
    password: str
    today: date
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.api, self.browser = self.app.test_client(), self.app.test_client()
        self.callers = {"customer": self.tokens(CUSTOMER), "staff": self.tokens(STAFF)}
        self._log_in_to_admin_site()
        first = self.call("/api/bookings/", by="staff").headers["X-Pagination"]
        self.cursor = json.loads(first)["next"]

    def tokens(self, user_id: int) -> dict[str, Any]:
        """Those of a new session."""
        begin = partial(sessions.open_session, user_id=user_id, lasts=timedelta(days=1))
        with self.app.app_context():
            return access.tokens(write_transaction(begin))

    def call(
        self, path: str, body: Any = None, *, by: str = "", method: str = "", key: str = ""
    ) -> TestResponse:
        """The answer to a request of the admin site, or `by` the customer, staff or nobody; raises
        Failure where it is refused."""
        client = self.browser if path.startswith("/admin/") else self.api
        headers = {"Authorization": f"Bearer {self.callers[by]['access']}"} if by else {}
        if key:
            headers["Idempotency-Key"] = key
        method = method or ("GET" if body is None else "POST")
        answer = client.open(path, method=method, json=body, headers=headers)
        if answer.status_code >= 300:
            raise Failure(f"{path}: {answer.status} {answer.text[:500]}")
        return answer

    def words(self) -> dict[str, Any]:
        """What stands for the names in a path."""
        house = self.house
        return {
            "past": house.past_show,
            "coming": house.coming_show(0),
            "customer": CUSTOMER,
            "today": self.today,
            "tomorrow": self.today + timedelta(days=1),
            "reference": f"{(house.bookings - 1) * 7919000003 % 10**10:010}",
            "cursor": self.cursor,
            "last_of_bookings": -(-house.bookings // LIST_PAGE) - 1,
            "last_of_accounts": -(-house.accounts // LIST_PAGE) - 1,
            "last_of_audit": house.bookings // 2 // LIST_PAGE - 1,
        }

    def _log_in_to_admin_site(self) -> None:
        page = self.browser.get("/admin/login/").text
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        if found is None:
            raise Failure("the page to log in has no form")
        form = {"username": "staff", "password": self.password, "csrf_token": found[1]}
        if self.browser.post("/admin/login/", data=form).status_code != 303:
            raise Failure("staff can't log in to the admin site")


Work = Callable[[], Any]


@dataclass(frozen=True)
class Request:
    """`prepare` does what must be done before, and gives the request to be sent."""

    name: str
    prepare: Callable[[Place], Work]


def reads(by: str, *paths: str) -> list[Request]:
    """GET requests by somebody; `Place.words` are filled in."""

    def prepare(path: str, place: Place) -> Work:
        return partial(place.call, path.format(**place.words()), by=by)

    return [Request(path, partial(prepare, path)) for path in paths]


# --- writes: each time in another show, and by another account where it is one ----------------


def _booking(action: str, row: str, place: Place, *, key: bool = False) -> Work:
    number = next(place.numbers)
    path = f"/api/shows/{place.house.coming_show(number)}/{action}/"
    body = {"seat_number": f"{row}{1 + number // 300}"}
    return partial(place.call, path, body, by="customer", key=f"new{number}" if key else "")


def _best(place: Place) -> Work:
    path = f"/api/shows/{place.house.coming_show(next(place.numbers))}/book/"
    return partial(place.call, path, {"quantity": 2}, by="customer")


def _change(action: str, made_by: str, row: str, place: Place) -> Work:
    made = _booking(made_by, row, place)().json
    path = f"/api/bookings/{made['id']}/{action}/"
    return partial(place.call, path, by="customer", method="POST")


def _log_in(place: Place) -> Work:
    body = {"username": "customer", "password": place.password}
    return partial(place.call, "/api/login/", body)


def _sign_up(place: Place) -> Work:
    body = {"username": f"new{next(place.numbers)}", "password": place.password}
    return partial(place.call, "/api/signup/", body)


def _refresh(place: Place) -> Work:
    body = {"refresh": place.tokens(CUSTOMER)["refresh"]}
    return partial(place.call, "/api/token/refresh/", body)


def _log_out(place: Place) -> Work:
    place.callers["leaving"] = place.tokens(CUSTOMER)
    return partial(place.call, "/api/logout/", by="leaving", method="POST")


def _new_name(place: Place) -> Work:
    body = {"name": f"Name {next(place.numbers)}"}
    return partial(place.call, "/api/me/", body, by="customer", method="PATCH")


def _show_changed(place: Place) -> Work:
    body = {"note": f"Note {next(place.numbers)}"}
    return partial(place.call, f"/api/shows/{EMPTY_SHOW}/", body, by="staff", method="PATCH")


WRITES = [
    Request("book one named seat", partial(_booking, "book", "B")),
    Request("the same with an Idempotency-Key", partial(_booking, "book", "C", key=True)),
    Request("book the best 2 of 200 seats", _best),
    Request("hold a named seat", partial(_booking, "hold", "D")),
    Request("confirm a hold", partial(_change, "confirm", "hold", "E")),
    Request("extend a hold", partial(_change, "extend", "hold", "F")),
    Request("cancel a booking", partial(_change, "cancel", "book", "G")),
    Request("log in", _log_in),
    Request("sign up", _sign_up),
    Request("refresh a token", _refresh),
    Request("log out", _log_out),
    Request("change one's own name", _new_name),
    Request("staff: change a show", _show_changed),
]

# --- reads ------------------------------------------------------------------------------------

ENDPOINTS = [
    *reads(
        "",
        "/api/",
        "/health/",
        "/readyz",
        "/openapi.json",
        "/api/movies/",
        "/api/movies/?search=film&now_showing=true",
        "/api/movies/?cinema=1",
        "/api/movies/1/",
        "/api/movies/1/shows/",
        "/api/movies/1/shows/?when=all&page_size=1",
        "/api/cinemas/",
        "/api/cinemas/1/",
        "/api/screens/",
        "/api/screens/1/",
        "/api/shows/",
        "/api/shows/?page=15",
        "/api/shows/?date={tomorrow}",
        "/api/shows/?search=film&cinema=1&from={today}",
        "/api/shows/?screen=1",
        "/api/shows/{coming}/",
        "/api/shows/{past}/",
        "/api/shows/{coming}/seats/",
        "/api/shows/{coming}/seats.svg",
    ),
    *reads(
        "customer",
        "/api/me/",
        "/api/me/sessions/?page_size=1",
        "/api/my-bookings/?page_size=5",
        "/api/my-bookings/?status=booked&page_size=5",
        "/api/my-bookings/?upcoming=false&page_size=1",
        "/api/bookings/1/",
    ),
    *reads(
        "staff",
        "/api/bookings/",
        "/api/bookings/?after={cursor}",
        "/api/bookings/?page=40",
        "/api/bookings/?user={customer}&page_size=5",
        "/api/bookings/?show={past}",
        "/api/bookings/?status=booked",
        "/api/bookings/?status=cancelled&page_size=5",
        "/api/bookings/?status=expired&page_size=5",
        "/api/bookings/?upcoming=true",
        "/api/bookings/?reference={reference}",
        "/api/bookings/?search={reference}",
        "/api/bookings/?search=buyer17&page_size=5",
        "/api/bookings/?search=no-such-thing",
        "/api/accounts/",
        "/api/accounts/?search=buyer17&page_size=1",
        "/api/accounts/2/",
        "/api/audit/",
        "/api/audit/?action=booking.created",
        "/api/audit/?actor={customer}&page_size=5",
        "/api/audit/?object_type=account&object=2&page_size=5",
        "/api/shows/{coming}/blocked-seats/",
        "/api/reports/shows/",
        "/api/reports/sales/?by=day&since={today}&until={tomorrow}",
        "/api/movies/1/shows/?when=past&page_size=1",
    ),
]

PAGES = reads(
    "",
    "/admin/",
    "/admin/?page=15",
    "/admin/sales/",
    "/admin/bookings/",
    "/admin/bookings/?page={last_of_bookings}",
    *(f"/admin/bookings/?sort={column}" for column in (0, 1, 2, 3, 4, 5, 8, 10, 11, 12)),
    *(f"/admin/bookings/?sort={column}&desc=1" for column in (0, 1, 2, 5, 8, 11, 12)),
    "/admin/bookings/?flt_status=booked",
    "/admin/bookings/?flt_status=held",
    "/admin/bookings/?flt_status=expired",
    "/admin/bookings/?flt_status=cancelled",
    "/admin/bookings/?flt_status=booked&sort=1",
    "/admin/bookings/?flt_shows_from={today}",
    "/admin/bookings/?flt_shows_to={today}",
    "/admin/bookings/?flt_film=1",
    "/admin/bookings/?flt_cinema=1",
    "/admin/bookings/?flt_show_id={past}",
    "/admin/bookings/?flt_account_id=2",
    "/admin/bookings/?search={reference}",
    "/admin/bookings/?search=0000000000",
    "/admin/bookings/?search=buyer17",
    "/admin/bookings/?search=buyer17@example.com",
    "/admin/bookings/?search=film+2",
    "/admin/bookings/?search=no-such-thing",
    "/admin/bookings/1/",
    "/admin/shows/",
    "/admin/shows/?page=5",
    *(f"/admin/shows/?sort={column}" for column in range(9)),
    "/admin/shows/?flt_to_come=yes",
    "/admin/shows/?flt_to_come=no",
    "/admin/shows/?flt_film=1",
    "/admin/shows/?search=film+2",
    "/admin/shows/{past}/seats/",
    "/admin/shows/{coming}/seats/",
    "/admin/shows/edit/?id={coming}",
    "/admin/shows/new/",
    "/admin/shows/many/",
    "/admin/shows/copy/",
    "/admin/shows/close/",
    "/admin/films/",
    "/admin/films/?search=film+2",
    "/admin/films/edit/?id=1",
    "/admin/films/new/",
    "/admin/screens/",
    "/admin/screens/edit/?id=1",
    "/admin/cinemas/",
    "/admin/cinemas/edit/?id=1",
    "/admin/catalog-file/",
    "/admin/accounts/",
    "/admin/accounts/?page={last_of_accounts}",
    *(f"/admin/accounts/?sort={column}" for column in (2, 3, 4, 5)),
    "/admin/accounts/?flt_staff=yes",
    "/admin/accounts/?search=buyer17",
    "/admin/accounts/?search=no-such-thing",
    "/admin/accounts/edit/?id=2",
    "/admin/audit/",
    "/admin/audit/?page=5",
    "/admin/audit/?page={last_of_audit}",
    *(f"/admin/audit/?sort={column}" for column in (0, 1, 2, 3, 4)),
    "/admin/audit/?flt_action=account.logged_in",
    "/admin/audit/?flt_action=booking.created",
    "/admin/audit/?flt_account_id=2",
    "/admin/audit/?flt_from_utc={today}",
    "/admin/audit/?search=customer",
    "/admin/audit/?search=buyer17",
)
