"""Forms that were opened before somebody else saved: nothing is overwritten unseen, and nothing
that was typed is lost."""

import html
import re
from typing import Any

import pytest

from booking_app.audit.models import AuditEvent
from booking_app.catalog.models import Movie, Show, ShowSeat
from tests.admin.pages import PLAN
from tests.admin_site import Site, messages
from tests.conftest import Caller, rows

CHANGED = (
    "Somebody changed this after you opened the page, so nothing was saved. What you typed is "
    "still here. To compare, open the page again beside this one; save again to overwrite the "
    "change."
)


def seen(page: Any) -> str:
    """What the page's form says it was made of."""
    found = re.search(r'name="seen" value="(\w+)"', page.text)
    assert found is not None
    return found[1]


@pytest.fixture
def forms(
    staff: Caller, alice: Caller, show_id: int
) -> dict[str, tuple[str, int, str, dict[str, Any], dict[str, str]]]:
    """Of each form its page and row, the path of the row in the API and what a colleague changes
    there; and what is typed."""
    show = staff.get(f"/api/shows/{show_id}/").json
    screen = staff.post("/api/screens/", {"name": "Saal", "rows": PLAN}).json["id"]
    movie, cinema = show["movie"], show["cinema"]
    starts = show["date_time"][:16]
    return {
        "film": (
            "films/edit/",
            movie,
            f"/api/movies/{movie}/",
            {"year": 1949},
            {"title": "Typed", "duration_minutes": "90"},
        ),
        "cinema": (
            "cinemas/edit/",
            cinema,
            f"/api/cinemas/{cinema}/",
            {"city": "Wien"},
            {"name": "Typed", "timezone": "UTC", "day_starts_at": "00:00"},
        ),
        "screen": (
            "screens/edit/",
            screen,
            f"/api/screens/{screen}/",
            {"out_of_order": ["A1"]},
            {"name": "Typed", "rows": "A 4", "turnaround_minutes": "0"},
        ),
        "show": (
            "shows/edit/",
            show_id,
            f"/api/shows/{show_id}/",
            {"price": "8.00"},
            {"date_time": starts, "price": "9.50", "note": "Typed", "on_sale": "y"},
        ),
        "account": (
            "accounts/edit/",
            alice.id,
            f"/api/accounts/{alice.id}/",
            {"is_disabled": True},
            {"is_staff": "y"},
        ),
    }


@pytest.mark.parametrize("name", ["film", "cinema", "screen", "show", "account"])
def test_a_form_from_before_anothers_change_is_refused_and_keeps_what_was_typed(
    name: str, forms: dict[str, Any], site: Site, staff: Caller
) -> None:
    page, key, path, change, typed = forms[name]
    opened = seen(site.get(page, id=key))
    assert staff.patch(path, change).status_code == 200  # a colleague
    events = len(rows(AuditEvent))
    refused = site.post(page, {**typed, "seen": opened}, {"id": key})
    assert refused.status_code == 412
    assert messages(refused) == [CHANGED]
    assert len(rows(AuditEvent)) == events
    if name == "account":
        assert re.search(r'<input[^>]*checked[^>]*name="is_staff"', refused.text)
    else:
        assert re.search(r'value="Typed"|>\s*Typed</textarea>', refused.text)
    # Who knows of the change may overwrite it, until there is another one.
    told = seen(refused)
    assert told == seen(site.get(page, id=key)) != opened
    assert site.post(page, {**typed, "seen": told}, {"id": key}).status_code == 302
    assert len(rows(AuditEvent)) == events + 1
    again = site.post(page, {**typed, "seen": told}, {"id": key})
    assert (again.status_code, messages(again)[-1]) == (412, CHANGED)


def test_what_else_is_wrong_with_a_form_does_not_make_it_newer(
    forms: dict[str, Any], site: Site, staff: Caller
) -> None:
    """Whoever mends a typo has not seen the change by that."""
    page, key, path, change, typed = forms["film"]
    opened = seen(site.get(page, id=key))
    assert staff.patch(path, change).status_code == 200
    mistyped = site.post(page, {**typed, "duration_minutes": "9x", "seen": opened}, {"id": key})
    assert (mistyped.status_code, seen(mistyped)) == (422, opened)
    assert site.post(page, {**typed, "seen": seen(mistyped)}, {"id": key}).status_code == 412
    assert rows(Movie)[0].year == 1949


def test_a_plan_is_not_applied_to_shows_where_the_screen_changed_after_they_were_listed(
    forms: dict[str, Any], site: Site, staff: Caller
) -> None:
    page, key, path, change, typed = forms["screen"]
    film = rows(Movie)[0].id
    planned = {"screen": key, "date_time": "2030-01-31T20:00:00Z"}
    show = staff.post(f"/api/movies/{film}/shows/", planned).json["id"]
    opened = seen(site.get(page, id=key))
    larger = {**typed, "rows": "A 6", "seen": opened}
    listed = site.post(page, larger, {"id": key})
    checked = re.search(r'name="checked" value="(\w+)"', listed.text)
    assert checked is not None
    assert staff.patch(path, change).status_code == 200
    confirmed = {**larger, "seen": seen(listed), "checked": checked[1], "apply": "1"}
    refused = site.post(page, confirmed, {"id": key})
    assert (refused.status_code, messages(refused)) == (412, [CHANGED])
    assert len([seat for seat in rows(ShowSeat) if seat.show_id == show]) == 4


def test_seats_are_blocked_by_who_sees_which_are(site: Site, staff: Caller, show_id: int) -> None:
    page, path = f"shows/{show_id}/seats/", f"/api/shows/{show_id}/blocked-seats/"
    opened = seen(site.get(page))
    broken = {"seat_number": "1", "kind": "out_of_order", "reason": "Broken"}
    assert staff.put(path, {"seats": [broken]}).status_code == 200
    typed = {"seat_numbers": "1", "kind": "house", "reason": "For the press", "block": "1"}
    refused = site.post(page, {**typed, "seen": opened})
    assert (refused.status_code, messages(refused)) == (412, [CHANGED])
    assert staff.get(path).json["seats"] == [broken]
    assert "For the press" in html.unescape(refused.text)
    assert re.search(r'value="1"[^>]*checked', refused.text)
    # The page shows them as they are now.
    assert site.post(page, {**typed, "seen": seen(refused)}).status_code == 303
    assert staff.get(path).json["seats"][0]["reason"] == "For the press"


def test_many_shows_that_changed_after_they_were_listed_are_listed_anew(
    site: Site, staff: Caller, show_id: int
) -> None:
    """Also where it is another field than those that are to change."""
    typed = {"id": str(show_id), "price": "7.00"}
    page = "shows/change/"
    site.get(page, id=show_id)
    listed = site.post(page, typed)
    checked = re.search(r'name="checked" value="(\w+)"', listed.text)
    assert checked is not None
    assert staff.patch(f"/api/shows/{show_id}/", {"format": "3D"}).status_code == 200
    again = site.post(page, {**typed, "checked": checked[1], "do": "1"})
    assert again.status_code == 200
    assert rows(Show)[0].price_cents == 950
    checked = re.search(r'name="checked" value="(\w+)"', again.text)
    assert checked is not None
    assert site.post(page, {**typed, "checked": checked[1], "do": "1"}).status_code == 303
    assert rows(Show)[0].price_cents == 700
