"""What the fuzzer's calls are about: films, shows, bookings and accounts that are there."""

import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from flask import Flask

from tests.conftest import PASSWORD, bearer, open_tokens

SEATS = 40
PERIOD = {
    "since": "2026-01-01",
    "from": "2026-01-01",
    "until": "2026-06-30",
    "to": "2026-06-30",
}
LINKED_BODIES = ("logIn", "refreshTokens", "logOut")
SOON = "2030-01-31T20:00:00Z"


class World:
    """Makes, by the API, what a call needs, and puts its ids and names into a case."""

    def __init__(self, app: Flask, *, user_id: int, staff_id: int, is_staff: bool) -> None:
        self.client = app.test_client()
        self.app = app
        self.user_id, self.staff_id, self.is_staff = user_id, staff_id, is_staff
        self.makers: dict[str, Callable[[str], int]] = {
            "movie_id": lambda call: self.movie(),
            "show_id": lambda call: self.show(),
            "cinema_id": lambda call: self.cinema(),
            "screen_id": lambda call: self.screen(),
            "booking_id": self.booking,
            "account_id": lambda call: self.account()[0],
            "session_id": lambda call: self.session(),
        }

    def post(self, path: str, body: Any, by: int | None = None) -> Any:
        with self.app.app_context():
            headers = bearer(open_tokens(by or self.staff_id))
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json

    def movie(self) -> int:
        body = {"title": f"Film {uuid4().hex}", "duration_minutes": 90}
        return int(self.post("/api/movies/", body)["id"])

    def show(self) -> int:
        body = {"screen_name": uuid4().hex, "date_time": SOON, "total_seats": SEATS}
        return int(self.post(f"/api/movies/{self.movie()}/shows/", body)["id"])

    def cinema(self) -> int:
        return int(self.post("/api/cinemas/", {"name": uuid4().hex, "timezone": "UTC"})["id"])

    def screen(self) -> int:
        rows = [{"label": "A", "seats": 5}]
        return int(self.post("/api/screens/", {"name": uuid4().hex, "rows": rows})["id"])

    def booking(self, call: str) -> int:
        way = "hold" if call in ("confirmBooking", "extendHold") else "book"
        seat = {"seat_number": "1"}
        return int(self.post(f"/api/shows/{self.show()}/{way}/", seat, by=self.user_id)["id"])

    def account(self) -> tuple[int, str]:
        name = uuid4().hex
        made = self.client.post("/api/signup/", json={"username": name, "password": PASSWORD}).json
        return int(made["id"]), name

    def session(self) -> int:
        with self.app.app_context():
            headers = bearer(open_tokens(self.user_id))
        (first, *_) = self.client.get("/api/me/sessions/", headers=headers).json
        return int(first["id"])

    def settle(self, case: Any, *, by_links: bool) -> None:
        """Put what is there into the case; not what a link brought from the answer before."""
        call = case.operation.definition.raw["operationId"]
        for name in () if by_links else case.path_parameters or {}:
            case.path_parameters[name] = self.makers[name](call)
        if isinstance(case.body, dict) and not (by_links and call in LINKED_BODIES):
            self.settle_body(call, case.body)
        hour = "T00:00:00Z" if call == "listAuditEvents" else ""
        for name, day in PERIOD.items():
            if name in (case.query or {}):
                case.query[name] = day + hour

    def settle_body(self, call: str, body: dict[str, Any]) -> None:
        self.settle_account(call, body)
        self.settle_place(call, body)
        if call in ("bookSeats", "holdSeats"):
            self.settle_seats(body)
        if call == "cancelBooking" and "seat_numbers" in body:
            body["seat_numbers"] = ["1"]
        if call in ("createShow", "updateShow", "changeShows"):
            self.settle_show(call, body)
        if call in ("createMovie", "updateMovie"):
            body["external_id"] = uuid4().hex
            for name in ("poster_url", "trailer_url"):
                if body.get(name):
                    body[name] = "https://example.com/a"

    def settle_account(self, call: str, body: dict[str, Any]) -> None:
        if call in ("logIn", "signUp"):
            body["username"] = self.account()[1] if call == "logIn" else uuid4().hex
            body["password"] = PASSWORD
        if "refresh" in body or call == "refreshTokens":
            with self.app.app_context():
                body["refresh"] = open_tokens(self.user_id)["refresh"]
        if call == "changePassword":
            body |= {"old_password": PASSWORD, "new_password": PASSWORD}

    def settle_place(self, call: str, body: dict[str, Any]) -> None:
        if call in ("createScreen", "updateScreen"):
            body |= {"rows": [{"label": "A", "seats": 5}], "name": uuid4().hex}
            body.pop("cinema", None)
            body["out_of_order"] = ["A2"] if body.get("out_of_order") else []
        if call in ("createCinema", "updateCinema"):
            body |= {"name": uuid4().hex, "timezone": "Europe/Vienna"}
        if call == "setBlockedSeats":
            for number, seat in enumerate(body["seats"], start=1):
                seat["seat_number"] = str(number)

    def settle_seats(self, body: dict[str, Any]) -> None:
        if "seat_number" in body:
            body["seat_number"] = str(random.randint(1, SEATS))
        if "seat_numbers" in body:
            several = body["seat_numbers"][:5]
            body["seat_numbers"] = [str(number) for number in range(1, len(several) + 1)]
        if "quantity" in body:
            body["quantity"] = min(body["quantity"], 5)
        if "category" in body:
            body["category"] = "standard"
        if "accessible" in body:
            body["accessible"] = 0
        for name in ("user", "username", "over_cap"):
            body.pop(name, None)
        if self.is_staff:
            body["user"] = self.user_id

    def settle_show(self, call: str, body: dict[str, Any]) -> None:
        if call == "changeShows":
            body["ids"] = [self.show()]
        terms = body["changes"] if call == "changeShows" else body
        if "price" in terms:
            terms["price"] = "9.50"
        if "prices" in terms:
            terms["prices"] = {"standard": "8.00"} if terms["prices"] else {}
        for name in ("sales_from", "sales_until"):
            if terms.get(name):
                terms[name] = None
        if "date_time" in body:
            body["date_time"] = SOON
        if "screen" in body:
            body["screen"] = self.screen()
        if call == "updateShow":
            for name in ("screen", "screen_name", "total_seats"):
                body.pop(name, None)
