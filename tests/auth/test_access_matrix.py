"""Who may call what: every endpoint, and the status for each kind of caller.

A new endpoint without a row fails.
"""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking_app.audit.models import AuditEvent
from booking_app.audit.service import OPERATOR
from booking_app.auth import accounts
from tests.conftest import PASSWORD, Caller, open_tokens, rows

# Who may do what does not depend on the database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# nobody, the customer whose things they are, another customer, staff, the customer once disabled
PUBLIC = (200, 200, 200, 200, 200)
ACCOUNT = (401, 200, 200, 200, 401)
OWNER_OR_STAFF = (401, 200, 403, 200, 401)
STAFF = (401, 403, 403, 200, 401)
CREATED = (401, 403, 403, 201, 401)
GONE = (401, 403, 403, 204, 401)
FOR_STAFF = (STAFF, CREATED, GONE)

MATRIX: dict[tuple[str, str], tuple[int, ...]] = {
    ("GET", "/api/"): PUBLIC,
    ("POST", "/api/signup/"): (201, 201, 201, 201, 201),
    ("POST", "/api/login/"): (200, 200, 200, 200, 403),
    ("POST", "/api/token/refresh/"): (401, 200, 200, 200, 401),
    ("POST", "/api/logout/"): (401, 204, 204, 204, 401),
    ("GET", "/api/me/"): ACCOUNT,
    ("PATCH", "/api/me/"): ACCOUNT,
    ("PUT", "/api/me/password/"): (401, 204, 204, 204, 401),
    ("GET", "/api/me/sessions/"): ACCOUNT,
    ("DELETE", "/api/me/sessions/{session}/"): (401, 204, 404, 404, 401),
    ("GET", "/api/accounts/"): STAFF,
    ("GET", "/api/accounts/{account}/"): STAFF,
    ("PATCH", "/api/accounts/{account}/"): STAFF,
    ("GET", "/api/audit/"): STAFF,
    ("GET", "/api/reports/sales/?since=2030-01-01&until=2030-01-31"): STAFF,
    ("GET", "/api/reports/sales.csv?since=2030-01-01&until=2030-01-31"): STAFF,
    ("GET", "/api/reports/shows/"): STAFF,
    ("GET", "/api/reports/shows.csv"): STAFF,
    ("GET", "/api/movies/"): PUBLIC,
    ("POST", "/api/movies/"): CREATED,
    ("GET", "/api/movies/{movie}/"): PUBLIC,
    ("PATCH", "/api/movies/{movie}/"): STAFF,
    ("DELETE", "/api/movies/{unused_movie}/"): GONE,
    ("GET", "/api/movies/{movie}/shows/"): PUBLIC,
    ("POST", "/api/movies/{movie}/shows/"): CREATED,
    ("GET", "/api/shows/"): PUBLIC,
    ("PATCH", "/api/shows/"): STAFF,
    ("GET", "/api/shows/{show}/"): PUBLIC,
    ("PATCH", "/api/shows/{show}/"): STAFF,
    ("DELETE", "/api/shows/{unused_show}/"): GONE,
    ("GET", "/api/shows/{show}/seats/"): PUBLIC,
    ("GET", "/api/shows/{show}/seats.svg"): PUBLIC,
    ("GET", "/api/shows/{show}/blocked-seats/"): STAFF,
    ("PUT", "/api/shows/{show}/blocked-seats/"): STAFF,
    ("GET", "/api/cinemas/"): PUBLIC,
    ("POST", "/api/cinemas/"): CREATED,
    ("GET", "/api/cinemas/{cinema}/"): PUBLIC,
    ("PATCH", "/api/cinemas/{cinema}/"): STAFF,
    ("DELETE", "/api/cinemas/{unused_cinema}/"): GONE,
    ("GET", "/api/screens/"): PUBLIC,
    ("POST", "/api/screens/"): CREATED,
    ("GET", "/api/screens/{screen}/"): PUBLIC,
    ("PATCH", "/api/screens/{screen}/"): STAFF,
    ("DELETE", "/api/screens/{unused_screen}/"): GONE,
    ("POST", "/api/shows/{show}/book/"): (401, 201, 201, 201, 401),
    ("POST", "/api/shows/{show}/hold/"): (401, 201, 201, 201, 401),
    # Staff do it before the owner, who then finds it done.
    ("POST", "/api/bookings/{held}/confirm/"): (401, 409, 403, 200, 401),
    ("POST", "/api/bookings/{held}/extend/"): OWNER_OR_STAFF,
    ("POST", "/api/bookings/{booking}/cancel/"): (401, 409, 403, 200, 401),
    ("GET", "/api/my-bookings/"): ACCOUNT,
    ("GET", "/api/bookings/"): STAFF,
    ("GET", "/api/bookings/{booking}/"): OWNER_OR_STAFF,
}
ROWS = [{"label": "A", "seats": 5}]
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/movies/"): {"title": "New", "duration_minutes": 90},
    ("POST", "/api/movies/{movie}/shows/"): {
        "screen_name": "New",
        "date_time": "2030-01-31T20:00:00Z",
        "total_seats": 5,
    },
    ("POST", "/api/cinemas/"): {"name": "New", "timezone": "UTC"},
    ("POST", "/api/screens/"): {"name": "New", "rows": ROWS},
    ("PATCH", "/api/me/"): {"name": "Changed"},
    ("PUT", "/api/me/password/"): {
        "old_password": PASSWORD,
        "new_password": "staple-battery-horse",
    },
    ("POST", "/api/shows/{show}/book/"): {"quantity": 1},
    ("POST", "/api/shows/{show}/hold/"): {"quantity": 1},
    ("PUT", "/api/shows/{show}/blocked-seats/"): {"seats": [{"seat_number": 9, "kind": "house"}]},
    ("PATCH", "/api/accounts/{account}/"): {"is_staff": True},
    ("PATCH", "/api/movies/{movie}/"): {"title": "Changed"},
    ("PATCH", "/api/shows/"): {"ids": [1], "changes": {"price": "1.00"}},
    ("PATCH", "/api/shows/{show}/"): {"price": "1.00"},
    ("PATCH", "/api/cinemas/{cinema}/"): {"city": "Wien"},
    ("PATCH", "/api/screens/{screen}/"): {"name": "Changed"},
}


@pytest.fixture
def things(
    owner: Caller,
    staff: Caller,
    show_id: int,
    make_show: Callable[..., int],
    make_movie: Callable[..., int],
) -> dict[str, int]:
    """The ids for the paths. Bookings and the session are the owner's."""

    def made(path: str, body: dict[str, Any]) -> int:
        return int(staff.post(path, body).json["id"])

    show = staff.get(f"/api/shows/{show_id}/").json
    return {
        "session": owner.get("/api/me/sessions/").json[0]["id"],
        "account": owner.id,
        "movie": show["movie"],
        "unused_movie": make_movie("Unused"),
        "show": show_id,
        "unused_show": make_show(),
        "cinema": show["cinema"],
        "unused_cinema": made("/api/cinemas/", {"name": "Unused", "timezone": "UTC"}),
        "screen": show["screen"],
        "unused_screen": made("/api/screens/", {"name": "Unused", "rows": ROWS}),
        "booking": owner.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).json["id"],
        "held": owner.post(f"/api/shows/{show_id}/hold/", {"seat_number": 2}).json["id"],
    }


@pytest.fixture
def owner(make_caller: Callable[..., Caller]) -> Caller:
    return make_caller("owner")


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize(
    ("method", "template"), MATRIX, ids=[f"{method} {path}" for method, path in MATRIX]
)
def test_who_may_call_it(
    client: FlaskClient,
    owner: Caller,
    bob: Caller,
    staff: Caller,
    things: dict[str, int],
    method: str,
    template: str,
) -> None:
    """The owner of a thing comes last, so that it is there when the others call. What staff
    change is written down, without exception."""
    path = template.format(**things)
    nobody = Caller(0, "nobody", client, {})
    names = ("nobody", "owner", "other", "staff", "disabled")
    callers = dict(zip(names, (nobody, owner, bob, staff, owner), strict=True))
    expected = dict(zip(names, MATRIX[method, template], strict=True))
    order = ["nobody", "other", "staff", "owner", "disabled"]
    if "accounts" in template:
        order = ["nobody", "other", "owner", "staff", "disabled"]  # who becomes staff by that
    refresh = {who: open_tokens(callers[who].id)["refresh"] for who in order if who != "nobody"}
    answered = {}
    for who in order:
        if who == "disabled":
            accounts.update_account(user_id=owner.id, is_disabled=True, by=OPERATOR)
        body = dict(BODIES.get((method, template), {}))
        if path == "/api/signup/":
            body = {"username": f"new-{who}", "password": PASSWORD}
        elif path == "/api/login/":
            name = callers[who].username if who != "nobody" else owner.username
            body = {"username": name, "password": PASSWORD}
        elif path == "/api/token/refresh/" and who != "nobody":
            body = {"refresh": refresh[who]}
        written = len(rows(AuditEvent))
        answered[who] = getattr(callers[who], method.lower())(path, body or None).status_code
        if who == "staff" and method != "GET" and MATRIX[method, template] in FOR_STAFF:
            assert len(rows(AuditEvent)) > written
    assert answered == expected


def test_every_endpoint_has_its_row(app: Flask) -> None:
    names = {"unused_movie": "movie", "unused_show": "show", "held": "booking"}
    names |= {"unused_cinema": "cinema", "unused_screen": "screen"}
    rows = set()
    for method, path in MATRIX:
        template = path.partition("?")[0]
        for alias, name in names.items():
            template = template.replace(f"{{{alias}}}", f"{{{name}}}")
        rows.add((method, template))
    routes = {
        (method, rule.rule.replace("<id:", "{").replace("_id>", "}"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert rows == routes
