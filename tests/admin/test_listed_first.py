"""Pages that first list what they would do to shows: ticked ones, a week, a closed screen, and a
changed seat plan."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from booking_app.booking import service
from booking_app.catalog import shows as show_writes
from booking_app.catalog import venues
from booking_app.catalog.models import Screen, Show, ShowSeat
from tests.admin_site import Site, messages, table
from tests.conftest import Caller, rows

pytestmark = pytest.mark.usefixtures("in_2030")
EVENING = datetime(2030, 6, 7, 18, tzinfo=UTC)


@pytest.fixture
def make(screen: int, make_movie: Callable[..., int]) -> Callable[..., int]:
    """A show of Solaris on the screen, so many days after Friday, 2030-06-07, at 20:00."""
    film = make_movie("Solaris", 100)

    def make(days: int, **terms: Any) -> int:
        begins = EVENING + timedelta(days)
        terms = {"screen": screen, "price": Decimal(9), **terms}
        return int(show_writes.create_show(movie_id=film, date_time=begins, **terms)["id"])

    return make


def checked_in(answer: Any) -> str:
    (found,) = re.findall(r'name="checked" value="(\w+)"', answer.text)
    return str(found)


def confirmed(site: Site, path: str, form: dict[str, Any], button: str = "do") -> Any:
    """What comes of the button under what the page lists."""
    looked = site.post(path, form)
    assert looked.status_code == 200
    assert button in looked.text
    return site.post(path, form | {button: "1", "checked": checked_in(looked)})


# --- those that are ticked ------------------------------------------------------------------


def test_ticked_shows_are_changed_together(site: Site, make: Callable[..., int]) -> None:
    first, second, other = (make(days) for days in range(3))
    listed = site.get("shows/")
    for show in first, second, other:
        assert f'name="id" value="{show}" form="ticked"' in listed.text
    page = site.get("shows/change/", id=[first, second], url="/admin/shows/?page=1")
    assert "Change 2 shows" in page.text
    form = {
        "id": [str(first), str(second)],
        "url": "/admin/shows/?page=1",
        "price": "12,00",
        "prices": "",
        "sale": "withdraw",
        "note": "Moved",
    }
    before = rows(Show)
    looked = site.post("shows/change/", form)
    told = "Price: €9.00 → €12.00; On sale: yes → no; Note for customers: - → Moved"
    assert table(looked) == [
        ["Solaris", "Gartenbau: Saal", f"2030-06-0{day} 20:00 CEST", told] for day in (7, 8)
    ]
    assert f'href="/admin/shows/{first}/seats/"' in looked.text
    # Neither other terms are written, nor shows that have changed since.
    checked = {"do": "1", "checked": checked_in(looked)}
    assert site.post("shows/change/", form | checked | {"price": "1.00"}).status_code == 200
    assert rows(Show) == before
    done = site.post("shows/change/", form | checked)
    assert (done.status_code, done.headers["Location"]) == (303, "/admin/shows/?page=1")
    assert [(show.price_cents, show.on_sale, show.note) for show in rows(Show)] == [
        (1200, False, "Moved"),
        (1200, False, "Moved"),
        (900, True, None),
    ]
    assert messages(site.get("shows/")) == ["Shows changed: 2."]
    form = {"id": [str(first)], "sale": "put", "no_note": "y", "price": "", "note": ""}
    assert confirmed(site, "shows/change/", form).status_code == 303
    assert (rows(Show)[0].on_sale, rows(Show)[0].note) == (True, None)


def test_what_is_in_the_way_of_ticked_shows(site: Site, make: Callable[..., int]) -> None:
    show = make(0)
    form = {"id": [str(show), "999"], "prices": "vip: 15.00", "note": "", "price": ""}
    looked = site.post("shows/change/", form)
    assert [row[-1] for row in table(looked)] == [
        "prices: No seat is 'vip'; the categories are standard.",
        "There is no show 999.",
    ]
    assert 'name="do"' not in looked.text
    nothing = site.post("shows/change/", form | {"prices": ""})
    assert (nothing.status_code, messages(nothing)) == (422, ["Say what to change."])
    both = site.post("shows/change/", form | {"note": "x", "no_note": "y", "prices": ""})
    assert messages(both) == ["Leave it empty to take the notes away."]
    wrong = site.post("shows/change/", form | {"price": "x", "prices": ""})
    assert wrong.status_code == 422
    assert site.get("shows/change/").headers["Location"] == "/admin/shows/"
    assert site.get("shows/change/", id="x").status_code == 404


# --- a week ---------------------------------------------------------------------------------


def test_a_week_is_copied_once_it_is_listed(
    site: Site, screen: int, make: Callable[..., int]
) -> None:
    make(0)
    make(1)
    taken = make(7)
    cinema = rows(Screen)[0].cinema_id
    form = {
        "cinema": str(cinema),
        "screen": "",
        "first_day": "2030-06-03",
        "to_first_day": "2030-06-10",
    }
    looked = site.post("shows/copy/", form)
    clash, free = table(looked)
    assert clash[:3] == ["Solaris", "Saal", "2030-06-14 20:00"]
    assert clash[3].startswith(f"Solaris (show {taken}) is on Saal from 2030-06-14 20:00 CEST")
    assert f'<a href="/admin/shows/{taken}/seats/">show {taken}</a>' in looked.text
    assert free == ["Solaris", "Saal", "2030-06-15 20:00", "nothing"]
    assert "Copy the other 1" in looked.text
    assert len(rows(Show)) == 3
    done = confirmed(site, "shows/copy/", form)
    assert done.status_code == 303
    assert rows(Show)[3].starts_at == EVENING + timedelta(8)
    assert messages(site.get("shows/")) == ["Shows copied: 1."]
    again = site.post("shows/copy/", form)
    assert 'name="do"' not in again.text


def test_weeks_that_can_not_be_copied(site: Site, screen: int, make: Callable[..., int]) -> None:
    cinema = str(rows(Screen)[0].cinema_id)
    other = venues.create_cinema(name="Other", timezone="UTC")["id"]
    form = {"cinema": cinema, "first_day": "2030-06-03", "to_first_day": "2030-06-11"}
    answer = site.post("shows/copy/", form)
    assert answer.status_code == 422
    assert messages(answer) == ["Must be the same weekday in a later week."]
    answer = site.post("shows/copy/", {"cinema": "", "first_day": "x", "to_first_day": ""})
    assert answer.status_code == 422
    assert "Choose one." in messages(answer)
    form |= {"cinema": str(other), "screen": str(screen), "to_first_day": "2030-06-10"}
    assert messages(site.post("shows/copy/", form)) == ["There is no such screen in this cinema."]


# --- a closed screen ------------------------------------------------------------------------


def test_a_screen_is_closed_once_its_shows_are_listed(
    site: Site, alice: Caller, screen: int, make: Callable[..., int]
) -> None:
    sold, unsold, after = make(0), make(1), make(2)
    service.book(user_id=alice.id, show_id=sold, seat_numbers=["A1", "A2"])
    form = {"screen": str(screen), "since": "2030-06-07", "until": "2030-06-08"}
    looked = site.post("shows/close/", form)
    assert table(looked) == [
        ["Solaris", "2030-06-07 20:00 CEST", "stays as it is; 2 sold or held: A1, A2"],
        ["Solaris", "2030-06-08 20:00 CEST", "is withdrawn from sale"],
    ]
    assert all(show.on_sale for show in rows(Show))
    assert confirmed(site, "shows/close/", form).status_code == 303
    assert {show.id: show.on_sale for show in rows(Show)} == {
        sold: True,
        unsold: False,
        after: True,
    }
    (told,) = messages(site.get("shows/"))
    assert told == "Shows withdrawn from sale: 1. Sold or held, and not changed: 1."
    wrong = site.post("shows/close/", form | {"until": "2030-06-01"})
    assert messages(wrong) == ["Must not be before the first day."]


# --- a changed plan -------------------------------------------------------------------------


def test_a_changed_plan_asks_about_the_shows_that_are_there(
    site: Site, alice: Caller, screen: int, make: Callable[..., int]
) -> None:
    path = f"screens/edit/?id={screen}"
    form = {"name": "Saal", "rows": "A 4\nB 2", "out_of_order": ""}
    # Nobody is asked where there are no shows, or the plan stays.
    assert site.post(path, form).status_code == 302
    sold, unsold = make(0), make(1)
    service.book(user_id=alice.id, show_id=sold, seat_number="A1")
    assert site.post(path, form | {"name": "Saal 1"}).status_code == 302

    form = {"name": "Saal 1", "rows": "A 3\nC 2", "out_of_order": ""}
    before = rows(Screen), rows(ShowSeat)
    looked = site.post(path, form)
    assert looked.status_code == 200
    assert table(looked) == [
        ["Solaris", "2030-06-07 20:00 CEST", "Stays: 1 sold or held: A1."],
        ["Solaris", "2030-06-08 20:00 CEST", "2 seats won: C1, C2; 3 seats lost: A4, B1, B2"],
    ]
    assert "Nothing is saved yet." in looked.text
    checked = {"checked": checked_in(looked)}
    # Neither another plan is saved, nor where the shows are others by now.
    site.post(path, form | checked | {"rows": "A 2", "apply": "1"})
    service.book(user_id=alice.id, show_id=sold, seat_number="A2")
    assert site.post(path, form | checked | {"apply": "1"}).status_code == 200
    assert rows(Screen) == before[0]

    assert confirmed(site, path, form, "new_only").status_code == 302
    assert len(rows(ShowSeat)) == 12
    form["rows"] = "A 2"
    assert confirmed(site, path, form, "apply").status_code == 302
    labels = rows(ShowSeat, ShowSeat.show_id, ShowSeat.label)
    assert [label for show, label in labels if show == unsold] == ["A1", "A2"]
    assert len([label for show, label in labels if show == sold]) == 6
