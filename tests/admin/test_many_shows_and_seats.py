"""Many shows at once, seats, bookings and accounts."""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from booking_app.audit.models import AuditEvent
from booking_app.audit.service import OPERATOR
from booking_app.auth import accounts
from booking_app.booking.models import Booking
from booking_app.catalog import many_shows, venues
from booking_app.catalog import shows as show_writes
from booking_app.catalog.blocked_seats import BlockedSeat, get_blocked_seats, set_blocked_seats
from booking_app.catalog.models import Show, ShowSeat
from tests.admin.pages import told, written
from tests.admin_site import Site, messages, table
from tests.conftest import NOON, Caller, present, rows
from tests.migrating import release_before_may_serve
from tests.system.test_statements import counted

# --- many shows -----------------------------------------------------------------------------


def many(movie: int, screen: int, **more: Any) -> dict[str, Any]:
    """Friday to Sunday, at two times."""
    return {
        "movie": str(movie),
        "screen": str(screen),
        "first_day": "2030-06-03",
        "last_day": "2030-06-09",
        "weekdays": ["4", "5", "6"],
        "times": "20:15, 17:00",
        "price": "9.50",
        "max_seats_per_account": "4",
        "on_sale": "y",
        **more,
    }


@pytest.mark.usefixtures("in_2030")
def test_many_shows_are_made_at_once(
    site: Site, staff: Caller, screen: int, make_movie: Callable[..., int]
) -> None:
    form = many(make_movie(), screen)
    looked = site.post("shows/many/", form | {"check": "1"})
    assert looked.status_code == 200
    planned = [
        [f"2030-06-0{day} {hour} CEST", "nothing"]
        for day in (7, 8, 9)
        for hour in ("17:00", "20:15")
    ]
    assert table(looked) == planned
    assert "Make them all" in looked.text
    assert rows(Show) == []
    assert written("show.created") == []

    checked = checked_in(looked)
    # What was not listed is not made, whatever button is pressed: neither another plan,
    for changed in ({"times": "21:00"}, {"price": "9.51"}, {"on_sale": ""}, {"checked": "x"}):
        form_now = {**form, "checked": checked, "make": "1", **changed}
        assert site.post("shows/many/", form_now).status_code == 200
    # nor what was in the way when it was listed, and is not any more.
    at = datetime(2030, 6, 7, 14, tzinfo=UTC)
    other = show_writes.create_show(movie_id=int(form["movie"]), screen=screen, date_time=at)["id"]
    some = checked_in(site.post("shows/many/", form | {"check": "1"}))
    show_writes.delete_show(show_id=other)
    again = site.post("shows/many/", form | {"make": "1", "checked": some})
    assert again.status_code == 200
    assert checked_in(again) == checked
    assert rows(Show) == []
    answer = site.post("shows/many/", form | {"make": "1", "checked": checked})
    assert answer.headers["Location"] == "/admin/shows/"
    assert messages(site.get("shows/")) == ["6 shows made."]
    shows = staff.get("/api/shows/").json
    assert [show["date_time"][5:16] for show in shows] == [
        f"06-0{day}T{hour}" for day in (7, 8, 9) for hour in ("15:00", "18:15")
    ]
    assert {show["max_seats_per_account"] for show in shows} == {4}
    events = written("show.created")[1:]
    assert [event.object_id for event in events] == [show["id"] for show in shows]
    assert {event.actor_name for event in events} == {"staff"}
    assert len(rows(ShowSeat)) == 6 * 4


@pytest.mark.usefixtures("in_2030")
def test_clashes_are_listed_before_anything_is_written(
    site: Site, staff: Caller, screen: int, make_movie: Callable[..., int]
) -> None:
    film = make_movie()
    at = datetime(2030, 6, 8, 19, tzinfo=UTC)
    other = show_writes.create_show(movie_id=film, screen=screen, date_time=at)
    # The third of the day would run into the second, as well as into what is there.
    form = many(film, screen, times="17:00, 20:15, 21:00")
    answer = site.post("shows/many/", form | {"check": "1"})
    checked = checked_in(answer)
    assert answer.status_code == 200
    in_the_way = {row[0]: row[1] for row in table(answer) if row[1] != "nothing"}
    clash = (
        f"The Third Man (show {other['id']}) is on Saal from 2030-06-08 21:00 CEST "
        "to 2030-06-08 22:44 CEST."
    )
    assert in_the_way == {
        "2030-06-07 21:00 CEST": "Overlaps the one at 2030-06-07 20:15 CEST.",
        "2030-06-08 20:15 CEST": clash,
        "2030-06-08 21:00 CEST": clash,
        "2030-06-09 21:00 CEST": "Overlaps the one at 2030-06-09 20:15 CEST.",
    }
    assert "Shows: 9; with something in the way: 4" in answer.text
    assert len(rows(Show)) == 1
    assert len(written("show.created")) == 1
    assert "Make the other 5" in answer.text
    answer = site.post("shows/many/", form | {"make": "1", "checked": checked})
    assert answer.status_code == 303
    assert len(rows(Show)) == 6


def checked_in(answer: Any) -> str:
    """What the page was made of."""
    found = re.search(r'name="checked" value="(\w+)"', answer.text)
    assert found is not None
    return found[1]


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"times": ""}, "Give a time, such as 20:15."),
        ({"times": "25:00"}, "Must be a time of day such as 14:00."),
        ({"first_day": ""}, "Must be a day such as 2030-01-31."),
        ({"first_day": "x"}, "Must be a day such as 2030-01-31."),
        ({"last_day": "2030-06-02"}, "Must not be before the first day, nor a year after it."),
        ({"last_day": "2031-06-05"}, "Must not be before the first day, nor a year after it."),
        ({"last_day": "2030-06-04"}, "None of these days lies between the first and the last."),
        ({"weekdays": []}, "None of these days lies between the first and the last."),
        ({"weekdays": ["9"]}, "None of these days lies between the first and the last."),
        (
            {"last_day": "2030-09-30", "times": ",".join(f"{h:02}:00" for h in range(24))},
            "At most 200 shows can be made at once.",
        ),
        ({"price": "-1"}, "Must be a decimal string"),
        ({"price": ""}, "Give an amount, such as 9.50; what is free costs 0."),
        ({"first_day": "٢٠٣٠-06-03"}, "Must be a day such as 2030-01-31."),
        ({"movie": ""}, "Choose one."),
        ({"screen": "77"}, "There is no screen 77."),
        ({"prices": "vip: 1"}, "No seat is"),
        ({"first_day": "9999-12-30", "last_day": "9999-12-31"}, ""),  # said of each show
        ({"screen": "abc"}, "Choose one."),
    ],
)
def test_many_shows_that_cannot_be_are_none(
    site: Site,
    screen: int,
    make_movie: Callable[..., int],
    wrong: dict[str, Any],
    error: str,
) -> None:
    form = many(make_movie(), screen) | wrong
    answer = site.post("shows/many/", form | {"check": "1"})
    if answer.status_code == 200:
        form["checked"] = checked_in(answer)
    else:
        assert answer.status_code == 422
    answer = site.post("shows/many/", form | {"make": "1"})
    if error:
        assert any(error in message for message in messages(answer))
    assert rows(Show) == []


def test_shows_made_at_once_are_all_there_or_none(
    app: Flask, screen: int, make_movie: Callable[..., int]
) -> None:
    """Also the seats and the audit, and whatever the order in which they are named."""
    times = [NOON + timedelta(days=day) for day in (3, 1, 2)]
    values: dict[str, Any] = {"movie_id": make_movie(), "screen": screen, "now": NOON}
    planned = many_shows.create_shows(date_times=[*times, NOON - timedelta(1)], **values)
    assert [one.error is None for one in planned] == [True, True, True, False]
    assert (rows(Show), rows(ShowSeat), written("show.created")) == ([], [], [])
    assert all(one.error is None for one in many_shows.create_shows(date_times=times, **values))
    assert len(rows(Show)) == 3


def test_looking_writes_no_seats_and_a_house_full_is_bounded(
    site: Site, make_movie: Callable[..., int], screen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = many(make_movie(), screen, check="1")
    with counted() as statements:
        assert site.post("shows/many/", form).status_code == 200
    assert not [one for one in statements if "INSERT INTO show_seat" in one]
    monkeypatch.setattr(many_shows, "SEATS_AT_ONCE", 23)
    answer = site.post("shows/many/", form)
    assert answer.status_code == 422
    assert messages(answer) == ["These shows have 24 seats in all; at most 23 can be made at once."]


# --- seats and bookings ---------------------------------------------------------------------


def test_staff_book_for_a_customer_from_the_map(
    site: Site, staff: Caller, alice: Caller, bob: Caller, show_id: int
) -> None:
    theirs = bob.post(f"/api/shows/{show_id}/book/", {"seat_number": 2}).json
    page = site.get(f"shows/{show_id}/seats/")
    assert page.text.count('type="checkbox"') == 9
    assert f'href="/admin/bookings/{theirs["id"]}/"' in page.text

    assert "2, standard, €9.50, booked, by bob" in page.text
    form = {"username": " ALICE ", "seat_numbers": ["3", "4"]}
    answer = site.post(f"shows/{show_id}/seats/", form)
    (booking,) = alice.get("/api/my-bookings/").json
    assert answer.headers["Location"] == f"/admin/bookings/{booking['id']}/"
    assert (booking["seat_numbers"], booking["total"]) == (["3", "4"], "19.00")
    (event,) = written("booking.created")
    assert told(event) == (
        "booking.created",
        "staff",
        "127.0.0.1",
        None,
        {"user_id": alice.id, "show_id": show_id, "seat_numbers": ["3", "4"]},
    )
    assert event.object_id == booking["id"]

    for wrong, status, error in (
        ({"seat_numbers": ["2", "5"]}, 409, "2"),
        ({"seat_numbers": []}, 422, "Choose a seat."),
        ({"seat_numbers": ["99"]}, 422, "The show has no seat 99"),
        ({"seat_numbers": [str(n) for n in range(1, 102)]}, 422, "100"),
        ({"username": "nobody"}, 422, "There is no account"),
        ({"username": ""}, 422, "Missing data for required field."),
        ({"username": "a\x00b"}, 422, "Must not contain control characters."),
        ({"username": "a" * 5000}, 422, "Must have at most 150 characters."),
    ):
        answer = site.post(f"shows/{show_id}/seats/", form | {"seat_numbers": ["5"]} | wrong)
        assert answer.status_code == status, wrong
        assert any(error in message for message in messages(answer)), wrong
    accounts.update_account(user_id=alice.id, is_disabled=True, by=OPERATOR)
    answer = site.post(f"shows/{show_id}/seats/", form | {"seat_numbers": ["5"]})
    assert (answer.status_code, messages(answer)) == (403, ["The account 'alice' is disabled."])
    assert len(rows(Booking)) == 2
    assert len(written("booking.created")) == 1


def test_a_refused_booking_leaves_the_chosen_seats_chosen(
    site: Site, alice: Caller, show_id: int
) -> None:
    answer = site.post(
        f"shows/{show_id}/seats/", {"username": "nobody", "seat_numbers": ["5", "7"]}
    )
    assert re.findall(r'value="(\d+)"[^>]*checked', answer.text) == ["5", "7"]
    assert 'value="nobody"' in answer.text


def boxes(page: Any) -> dict[str, str]:
    """The titles of the seats that can be chosen, by their labels."""
    found = re.findall(
        r'<label title="([^"]*)"><input type="checkbox" [^>]*value="(\w+)"', page.text
    )
    return {label: html.unescape(title) for title, label in found}


def kinds_of(show_id: int) -> dict[str, tuple[str, str | None]]:
    blocked = get_blocked_seats(show_id=show_id)
    return {seat.label: (seat.kind, seat.reason) for seat in blocked}


def test_seats_are_blocked_and_freed_on_the_map(
    site: Site, staff: Caller, alice: Caller, show_id: int
) -> None:
    path = f"shows/{show_id}/seats/"
    alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 9})
    alice.post(f"/api/shows/{show_id}/hold/", {"seat_number": 10})
    assert "blocked" not in re.sub(r"<section .*</section>", "", site.get(path).text, flags=re.S)

    house = {"block": "1", "kind": "house", "reason": " Friends\r\nof <the> house "}
    assert site.post(path, house | {"seat_numbers": ["1", "2"]}).status_code == 303
    assert messages(site.get(path)) == ["Seats blocked: 2."]
    broken = {"block": "1", "kind": "out_of_order", "reason": ""}
    site.post(path, broken | {"seat_numbers": ["3", "4"]})
    friends = ("house", "Friends of <the> house")
    expected = {"1": friends, "2": friends, "3": ("out_of_order", None)}
    assert kinds_of(show_id) == expected | {"4": ("out_of_order", None)}

    page = site.get(path)
    assert messages(page) == ["Seats blocked: 2."]
    assert ": 4 of 10 seats are free, 4 blocked." in page.text
    kept, out = "kept by the house", "out of order"
    titles = boxes(page)
    assert titles["1"] == f"1, standard, €9.50, blocked, {kept}, Friends of <the> house"
    assert titles["4"] == f"4, standard, €9.50, blocked, {out}"
    assert set(titles) == {str(number) for number in range(1, 9)}
    assert page.text.count('class="seat blocked house"') == 2
    assert page.text.count('class="seat blocked out_of_order"') == 2
    assert re.findall(r'class="seat blocked long \w+"><span>([^<]+)<', page.text) == [
        "house",
        "out of order",
    ]
    assert " style=" not in page.text

    # Chosen seats that are not blocked stay as they are.
    site.post(path, {"free": "1", "seat_numbers": ["4", "5"]})
    assert messages(site.get(path)) == ["Seats for sale again: 1."]
    assert kinds_of(show_id) == expected
    site.post(path, broken | {"seat_numbers": ["2"]})
    assert kinds_of(show_id) == expected | {"2": ("out_of_order", None)}
    assert [event.actor_name for event in written("show.changed")] == ["staff"] * 4


def test_seats_that_cannot_be_blocked_are_refused(
    site: Site, alice: Caller, make_movie: Callable[..., int]
) -> None:
    row = {"label": "A", "seats": [{"number": n, "kind": "pair"} for n in "12"]}
    hall = venues.create_screen(name="Sofa", rows=[row, {"label": "B", "seats": 3}]).id
    show = show_writes.create_show(
        movie_id=make_movie(), screen=hall, date_time=present() + timedelta(days=1)
    )["id"]
    path = f"shows/{show}/seats/"
    form = {"block": "1", "kind": "house", "username": "alice", "seat_numbers": ["B1"]}
    site.post(path, form)
    assert messages(site.get(path)) == ["Seats blocked: 1."]
    alice.post(f"/api/shows/{show}/book/", {"seat_number": "B2"})
    alice.post(f"/api/shows/{show}/hold/", {"seat_number": "B3"})
    sold = "Sold or held: B2, B3. They can't be blocked."
    alone = "Love seats go in pairs: A1 must come with them."
    for wrong, status, error in (
        ({"seat_numbers": ["B2", "B3"]}, 409, sold),
        ({"seat_numbers": ["A2"]}, 409, alone),
        ({"seat_numbers": []}, 422, "Choose a seat."),
        ({"seat_numbers": ["Z9"]}, 422, "The show has no seat Z9."),
        ({"kind": "other"}, 422, "Must be one of: house, out_of_order."),
        ({"reason": "x" * 201}, 422, "Must have at most 200 characters."),
    ):
        answer = site.post(path, form | wrong)
        assert (answer.status_code, messages(answer)) == (status, [error])
        chosen = (form | wrong)["seat_numbers"]
        assert re.findall(r'value="(\w+)" [^>]*checked', answer.text) == [
            label for label in chosen if label in boxes(answer)
        ]
    for labels in ([], ["A1", "A2"]):
        answer = site.post(path, {"free": "1", "seat_numbers": labels})
        assert (answer.status_code, messages(answer)) == (422, ["Choose seats that are blocked."])
    with release_before_may_serve():
        answer = site.post(path, form)
    assert answer.status_code == 409
    assert "can't read blocked seats" in messages(answer)[0]
    assert kinds_of(show) == {"B1": ("house", None)}


def test_staff_book_what_the_house_keeps_and_nothing_that_is_out_of_order(
    site: Site, alice: Caller, show_id: int
) -> None:
    path = f"shows/{show_id}/seats/"
    seats = [BlockedSeat("1", "house"), BlockedSeat("2", "out_of_order")]
    set_blocked_seats(show_id=show_id, seats=seats)
    form = {"username": "alice", "seat_numbers": ["1", "2"]}
    answer = site.post(path, form)
    assert answer.status_code == 422
    assert messages(answer) == ["Out of order: 2. They can't be booked."]
    assert rows(Booking) == []
    assert site.post(path, form | {"seat_numbers": ["1"]}).status_code == 303
    assert alice.get("/api/my-bookings/").json[0]["seat_numbers"] == ["1"]
    assert kinds_of(show_id) == {"2": ("out_of_order", None)}


def test_staff_exceed_the_cap_of_a_show_when_they_say_so(
    site: Site, alice: Caller, make_show: Callable[..., int]
) -> None:
    capped, free = make_show(max_seats_per_account=1), make_show()
    assert 'name="over_cap"' not in site.get(f"shows/{free}/seats/").text
    path, form = f"shows/{capped}/seats/", {"username": "alice", "seat_numbers": ["1", "2"]}
    assert 'name="over_cap"' in site.get(path).text
    answer = site.post(path, form)
    assert answer.status_code == 409
    assert "at most 1 of this show's seats" in messages(answer)[0]
    assert site.post(path, form | {"over_cap": "y"}).status_code == 303


def test_staff_cancel_for_a_customer(
    site: Site, alice: Caller, make_show: Callable[..., int], show_id: int
) -> None:
    made = alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["1", "2", "3"]}).json
    path = f"bookings/{made['id']}/"
    assert site.get(path).text.count('type="checkbox"') == 3
    assert site.post(path, {"seat_numbers": ["2"]}).status_code == 303
    assert messages(site.get(path)) == ["Cancelled."]
    assert alice.get(f"/api/bookings/{made['id']}/").json["cancelled_seat_numbers"] == ["2"]
    assert site.post(path).status_code == 422  # nothing chosen is not everything
    assert site.post(path, {"whole": "1"}).status_code == 303
    assert messages(site.get(path)) == ["Cancelled."]
    assert alice.get(f"/api/bookings/{made['id']}/").json["status"] == "cancelled"
    answer = site.post(path, {"seat_numbers": ["1"]})
    assert (answer.status_code, messages(answer)) == (409, ["This booking is cancelled already."])
    assert [event.after["seat_numbers"] for event in written("booking.cancelled")] == [
        ["2"],
        ["1", "3"],
    ]
    assert all(event.actor_name == "staff" for event in written("booking.cancelled"))
    assert site.get("bookings/999/").status_code == 404


def test_what_customers_do_themselves_is_not_in_the_audit(alice: Caller, show_id: int) -> None:
    made = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).json
    alice.post(f"/api/bookings/{made['id']}/cancel/")
    assert [row for row in rows(AuditEvent) if row.object_type == "booking"] == []


# --- accounts -------------------------------------------------------------------------------


def test_accounts_are_disabled_and_made_staff_but_never_ones_own(
    site: Site, staff: Caller, alice: Caller
) -> None:
    assert site.post("accounts/edit/", {"is_staff": "y"}, {"id": alice.id}).status_code == 302
    assert accounts.get_account(user_id=alice.id).is_staff
    site.post("accounts/edit/", {"is_disabled": "y"}, {"id": alice.id})
    account = accounts.get_account(user_id=alice.id)
    assert (account.is_staff, account.is_disabled) == (False, True)
    assert alice.get("/api/me/").status_code == 401
    assert len(written("account.changed")) == 2
    assert messages(site.get("accounts/")) == ["Record was successfully saved."] * 2
    answer = site.post("accounts/edit/", {}, {"id": staff.id})
    assert answer.status_code == 409
    assert messages(answer) == ["Another member of staff must change your account."]
    assert accounts.get_account(user_id=staff.id).is_staff
