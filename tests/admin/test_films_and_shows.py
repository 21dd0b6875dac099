"""Films, cinemas, screens and shows, changed as over the API."""

import html
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from booking_app.audit.models import AuditEvent
from booking_app.catalog import venues
from booking_app.catalog.models import Movie, Screen, Show, ShowSeat
from booking_app.catalog.shows import create_show
from booking_app.catalog.times import local_time
from booking_app.catalog.venue_schemas import FORBIDDEN_IN_NAMES
from tests.admin.pages import PLAN, VIENNA, told, written
from tests.admin_site import Site, messages, table
from tests.conftest import Caller, present, rows

# --- the catalogue --------------------------------------------------------------------------


def test_films_are_made_changed_and_deleted_as_over_the_api(site: Site, staff: Caller) -> None:
    form = {
        "title": " Der dritte Mann ",
        "duration_minutes": "104",
        "year": "1949",
        "genres": "Crime, noir\r\n\r\nDrama",
        "description": "Wien.\r\nNacht.",
        "on_sale": "y",
    }
    answer = site.post("films/new/", form)
    assert answer.headers["Location"] == "/admin/films/"
    over_api = staff.post(
        "/api/movies/",
        {
            "title": "Der dritte Mann",
            "duration_minutes": 104,
            "year": 1949,
            "genres": ["Crime, noir", "Drama"],
            "description": "Wien.\nNacht.",
        },
    ).json
    one, two = rows(Movie)
    assert one[1:] == two[1:]
    first, second = written("movie.created")
    assert told(first)[:3] == told(second)[:3] == ("movie.created", "staff", "127.0.0.1")
    assert first.after | {"id": 0} == second.after | {"id": 0}

    page = site.get("films/edit/", id=one.id)
    assert 'value="Der dritte Mann"' in page.text
    assert "Crime, noir\nDrama</textarea>" in page.text
    assert "Edit film: Der dritte Mann</h1>" in page.text
    changed = form | {"title": "The Third Man", "year": "", "genres": ""}
    assert site.post("films/edit/", changed, {"id": one.id}).status_code == 302
    event = written("movie.changed")[-1]
    assert event.after == {"title": "The Third Man", "year": None, "genres": []}

    del changed["on_sale"]  # as a browser sends a box that is not ticked
    site.post("films/edit/", changed, {"id": one.id})
    assert staff.get(f"/api/movies/{one.id}/").json["on_sale"] is False
    site.post("films/delete/", {"id": one.id})
    assert [movie.id for movie in rows(Movie)] == [over_api["id"]]
    assert written("movie.deleted")[0].actor_name == "staff"


@pytest.mark.parametrize(
    ("form", "errors"),
    [
        ({}, ["Missing data for required field.", "Missing data for required field."]),
        (
            {"title": "F", "duration_minutes": "ninety"},
            ["Must be a whole number."],
        ),
        (
            {"title": "F", "duration_minutes": "1441", "year": "1"},
            [
                "Must be greater than or equal to 1 and less than or equal to 1440.",
                "Must be greater than or equal to 1870 and less than or equal to 2200.",
            ],
        ),
        ({"title": "a\x00b", "duration_minutes": "9"}, ["Must not contain control characters."]),
        ({"title": "F", "duration_minutes": "9", "genres": "a|b"}, ["Must not contain |."]),
    ],
)
def test_a_form_says_at_its_fields_what_the_api_says(
    site: Site, staff: Caller, form: dict[str, str], errors: list[str]
) -> None:
    answer = site.post("films/new/", form)
    assert answer.status_code == 422
    assert messages(answer) == errors
    assert 'aria-invalid="true"' in answer.text
    assert rows(Movie) == []


def test_the_further_facts_of_a_film_are_typed_too(site: Site, staff: Caller) -> None:
    facts = {
        "original_title": "Le Destin d'Amélie",
        "sort_title": "Amelie",
        "release_date": "2001-04-25",
        "poster_url": "https://example.com/poster.jpg",
        "trailer_url": "https://example.com/trailer",
        "external_id": "tt1",
    }
    form = {"title": "Amélie", "duration_minutes": "122", "on_sale": "y"} | facts
    site.post("films/new/", form)
    (film,) = staff.get("/api/movies/").json
    assert {name: film[name] for name in facts} == facts
    page = html.unescape(site.get("films/edit/", id=film["id"]).text)
    assert all(f'value="{value}"' in page for value in facts.values())
    taken = site.post("films/new/", form | {"title": "Other", "poster_url": "", "release_date": ""})
    assert messages(taken) == ["Another film has the external id 'tt1'."]
    site.post("films/edit/", form | dict.fromkeys(facts, ""), {"id": film["id"]})
    assert [staff.get(f"/api/movies/{film['id']}/").json[name] for name in facts] == [None] * 6


def test_what_the_services_refuse_is_refused_in_their_words(
    site: Site, staff: Caller, alice: Caller, show_id: int
) -> None:
    alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 10})
    show = staff.get(f"/api/shows/{show_id}/").json
    before = rows(Show), rows(Movie), rows(Screen), rows(ShowSeat)
    events = len(rows(AuditEvent))
    edit = {"price": "9.50", "on_sale": "y", "date_time": "2031-01-01T20:00", "total_seats": "10"}
    for path, form, query, method, api_path, body in (
        ("films/delete/", {"id": show["movie"]}, {}, "delete", f"movies/{show['movie']}/", None),
        ("shows/delete/", {"id": show_id}, {}, "delete", f"shows/{show_id}/", None),
        ("screens/delete/", {"id": show["screen"]}, {}, "delete", f"screens/{show['screen']}/", 0),
        ("cinemas/delete/", {"id": show["cinema"]}, {}, "delete", f"cinemas/{show['cinema']}/", 0),
        (
            "shows/edit/",
            edit,
            {"id": show_id},
            "patch",
            f"shows/{show_id}/",
            {"date_time": "2031-01-01T20:00:00Z"},
        ),
    ):
        over_api = getattr(staff, method)(f"/api/{api_path}", body or None).json
        answer = site.post(path, form, query)
        if method == "delete":
            answer = site.get(path.replace("delete/", ""))
        else:
            assert answer.status_code == over_api["status"] == 409
        assert messages(answer) == [over_api["detail"]]
    now_in = {"total_seats": "9", "price": "9.50", "on_sale": "y"}
    now_in["date_time"] = show["date_time"][:16]
    answer = site.post("shows/edit/", now_in, {"id": show_id})
    over_api = staff.patch(f"/api/shows/{show_id}/", {"total_seats": 9}).json
    assert messages(answer) == [over_api["detail"]]
    assert (rows(Show), rows(Movie), rows(Screen), rows(ShowSeat)) == before
    assert len(rows(AuditEvent)) == events


def test_a_screen_is_made_of_its_typed_plan_and_seen_before(site: Site, screen: int) -> None:
    text = 'A 3\r\nB 1,2 | 3,4 category="love seat" wheelchair=1\r\n'
    picture = site.post("screens/picture/", {"rows": text})
    assert picture.status_code == 200
    assert "<svg" in picture.text
    assert picture.text.count('<g transform="translate(') > 7
    assert "love seat" in picture.text
    assert len(rows(Screen)) == 1
    wrong = site.post("screens/picture/", {"rows": "A 3\nA 2"})
    assert wrong.status_code == 200
    assert "Line 2, seats: Two seats are A1" in wrong.text
    assert "\nA 2\n  ^" in wrong.text
    assert "Line 1: After the label" in site.post("screens/picture/", {"rows": "A"}).text

    cinema = rows(Screen)[0].cinema_id
    new = {"name": "Two", "rows": text, "cinema": cinema}
    assert messages(site.post("screens/new/", new | {"cinema": ""})) == ["Choose one."]
    assert site.post("screens/new/", new).status_code == 302
    made = rows(Screen)[-1]
    expected = [
        {"label": "A", "seats": 3, "category": "standard", "gaps": [], "accessible": []},
        {"label": "B", "seats": 4, "category": "love seat", "gaps": [2], "accessible": [1]},
    ]
    assert made.rows == expected
    page = site.get("screens/edit/", id=made.id)
    assert "B 1,2 _ 3,4 category=&#34;love seat&#34; wheelchair=1" in page.text
    assert "<svg" in page.text
    for typed, said in {
        "A 3 vip=4": "Line 1: The row has no seat 4.\nA 3 vip=4\n        ^",
        "A 3\r\nB 3 pair=1": "Line 2, seats: 1 pair seats stand side by side from B1; pairs need "
        "an even number.\nB 3 pair=1\n  ^",
        "block X\nA_ 3": f"Line 2, label: Must not contain any of {FORBIDDEN_IN_NAMES}.\nA_ 3\n^",
    }.items():
        refused = site.post("screens/edit/", {"name": "Two", "rows": typed}, {"id": made.id})
        assert messages(refused) == [said]
    long = site.post("screens/picture/", {"rows": "A" * 300_000})
    assert len(long.text) < 1000
    many_errors = site.post("screens/picture/", {"rows": "A x\n" * 5000})
    assert len(many_errors.text) < 5000
    assert rows(Screen)[-1].rows == expected


def test_a_hall_is_copied(site: Site, screen: int) -> None:
    venues.create_cinema(name="Other", timezone="UTC")
    edited = site.get("screens/edit/", id=screen, url="/admin/screens/?page=0")
    found = re.search(r'href="([^"]+)">Copy this hall', edited.text)
    assert found
    page = site.get(html.unescape(found[1]))
    assert page.status_code == 200
    cinema = rows(Screen)[0].cinema_id
    assert re.search(f'<option selected value="{cinema}">', page.text)
    assert re.search(r'<input [^>]*name="name"[^>]* value="">', page.text)
    assert re.search(r"<textarea [^>]*>\s*A 4</textarea>", page.text)
    assert "<svg" in page.text
    sent = {"name": "Copy", "cinema": cinema, "rows": "A 4"}
    assert site.post(html.unescape(found[1]), sent).status_code == 302
    first, second = rows(Screen)
    assert (second.name, second.rows, second.cinema_id) == ("Copy", first.rows, cinema)
    assert site.get("screens/new/", copy=99).status_code == 404
    assert "Copy this hall" not in page.text


def test_seats_that_are_out_of_order(
    site: Site, alice: Caller, screen: int, make_movie: Callable[..., int]
) -> None:
    """Where shows to come have sold them, the page says so and leads there."""
    movie = make_movie()
    tomorrow = present().replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    shows = [
        create_show(movie_id=movie, screen=screen, date_time=tomorrow + timedelta(hours=3 * n))
        for n in range(12)
    ]
    for show in shows[:-1]:
        alice.post(f"/api/shows/{show['id']}/book/", {"seat_number": "A2"})
    form = {"name": "Saal", "rows": "A 4", "out_of_order": "A3,  A2 ,"}
    assert site.post("screens/edit/", form, {"id": screen}).status_code == 302
    assert rows(Screen)[0].out_of_order == ["A2", "A3"]
    page = site.get("screens/edit/", id=screen)
    still_sold, saved = messages(page)
    assert saved == "Record was successfully saved."
    assert still_sold.startswith("Sold or held already: <a href=")
    assert still_sold.endswith("; 1 more shows.")
    first = local_time(shows[0]["starts_at"], VIENNA)
    link = f'<a href="/admin/shows/{shows[0]["id"]}/seats/">{first}</a>: A2; '
    assert link in still_sold
    assert 'name="out_of_order" type="text" value="A2, A3"' in page.text
    blocked = {(seat.show_id, seat.label) for seat in rows(ShowSeat) if seat.blocked}
    assert blocked == {*((show["id"], "A3") for show in shows), (shows[-1]["id"], "A2")}

    answer = site.post("screens/edit/", form | {"out_of_order": "B1"}, {"id": screen})
    assert (answer.status_code, messages(answer)) == (
        422,
        ["The plan has no seat B1; leave it out."],
    )
    site.post("screens/edit/", form | {"out_of_order": ""}, {"id": screen})
    assert messages(site.get("screens/")) == ["Record was successfully saved."]
    assert rows(Screen)[0].out_of_order == []
    assert not any(seat.blocked for seat in rows(ShowSeat))
    new = {"name": "Two", "rows": "A 4", "cinema": rows(Screen)[0].cinema_id}
    site.post("screens/new/", new | {"out_of_order": "A1"})
    assert rows(Screen)[1].out_of_order == ["A1"]


@pytest.mark.usefixtures("in_2030")
def test_what_is_taken_away_from_a_form_is_not_silently_kept(
    site: Site, screen: int, make_movie: Callable[..., int]
) -> None:
    before = rows(Screen)
    for form in (
        {"name": "", "rows": "A 4"},
        {"name": "Saal", "rows": ""},
        {"name": "", "rows": ""},
    ):
        answer = site.post("screens/edit/", form, {"id": screen})
        assert answer.status_code == 422
        assert set(messages(answer)) == {"Missing data for required field."}
    assert rows(Screen) == before
    movie = make_movie()
    when = {"movie": movie, "screen": screen, "price": "9.50", "date_time": "2030-07-01T20:00"}
    site.post("shows/new/", when)
    assert len(table(site.get("shows/"))) == 1
    answer = site.post("shows/edit/", {"price": "9.50", "date_time": ""}, {"id": 1})
    assert messages(answer) == ["Missing data for required field."]
    answer = site.post("screens/new/", {"name": "New", "rows": "A 4", "cinema": "abc"})
    assert messages(answer) == ["Choose one."]
    assert len(rows(Screen)) == 1


def test_a_screen_without_a_plan_keeps_its_name_editable(site: Site, make_show: Any) -> None:
    """One that was made by the short form of a show."""
    make_show()
    only = rows(Screen)[0]
    assert (
        site.post("screens/edit/", {"name": "New", "rows": ""}, {"id": only.id}).status_code == 302
    )
    assert (rows(Screen)[0].name, rows(Screen)[0].rows) == ("New", [])


@pytest.mark.usefixtures("in_2030")
def test_a_show_begins_by_the_clocks_of_its_cinema(
    site: Site, staff: Caller, screen: int, make_movie: Callable[..., int]
) -> None:
    form = {
        "movie": str(make_movie()),
        "screen": str(screen),
        "date_time": "2030-07-01T20:00",
        "price": "9.50",
        "prices": "standard: 12.50\n",
        "on_sale": "y",
    }
    assert site.post("shows/new/", form).status_code == 302
    (show,) = staff.get("/api/shows/").json
    assert show["date_time"] == "2030-07-01T18:00:00Z"
    assert (show["price"], show["prices"]) == ("9.50", {"standard": "12.50"})
    page = site.get("shows/edit/", id=show["id"])
    assert 'value="2030-07-01T20:00"' in page.text
    assert table(site.get("shows/"))[0][:6] == [
        "The Third Man",
        "Gartenbau",
        "Saal",
        "2030-07-01 20:00 CEST",
        "4",
        "9.50",
    ]

    again = site.post("shows/new/", form | {"date_time": "2030-07-01T21:00"})
    assert again.status_code == 409
    link = f'<a href="/admin/shows/{show["id"]}/seats/">show {show["id"]}</a>'
    assert messages(again) == [
        f"The Third Man ({link}) is on Saal from 2030-07-01 20:00 CEST to 2030-07-01 21:44 CEST."
    ]
    for wrong, error in (
        ({"date_time": "2031-03-30T02:30"}, "There is no 02:30 on 2031-03-30"),
        ({"date_time": "tomorrow"}, "Must be a day and a time"),
        ({"date_time": "٢٠٣٠-01-01T00:00"}, "Must be a day and a time"),
        ({"date_time": "2031-1-1T1:1"}, "Must be a day and a time"),
        ({"date_time": "9999-12-31T23:59"}, "Must lie within the next ten years."),
        ({"date_time": "0001-01-01T00:00"}, "is too far away."),
        ({"price": ""}, "Give an amount, such as 9.50; what is free costs 0."),
        ({"date_time": "2000-01-01T20:00"}, "Must lie ahead"),
        ({"date_time": ""}, "Missing data"),
        ({"movie": ""}, "Choose one."),
        ({"movie": "9" * 18}, "There is no film"),
        ({"screen": ""}, "Choose one."),
        ({"screen": "9" * 18}, "There is no screen"),
        ({"prices": "vip: 3"}, "No seat is &#39;vip&#39;"),
        ({"prices": "vip"}, "Give a category and its price"),
        ({"prices": "vip: 1\nstandard: 2\nvip: 3"}, "There are two prices of vip."),
        ({"prices": "9999-99-99T99:99:99Z: 5"}, "9999-99-99T99:99:99Z"),
        ({"prices": "standard: x"}, "standard: Must be a decimal string"),
        ({"price": "1e3"}, "Must be a decimal string"),
    ):
        answer = site.post("shows/new/", form | {"date_time": "2030-07-02T20:00"} | wrong)
        assert answer.status_code in (404, 422), wrong
        assert error in answer.text, wrong
    assert len(rows(Show)) == 1


def test_a_show_is_capped_and_the_cap_taken_away(
    site: Site, screen: int, make_movie: Callable[..., int]
) -> None:
    new = {"movie": make_movie(), "screen": screen, "date_time": "2030-07-01T20:00", "price": "9"}
    for wrong, error in (("0", "Must be greater than or equal to 1"), ("x", "whole number")):
        answer = site.post("shows/new/", new | {"max_seats_per_account": wrong})
        assert answer.status_code == 422
        assert error in messages(answer)[0]
    site.post("shows/new/", new | {"max_seats_per_account": "4"})
    (show,) = rows(Show)
    assert show.max_seats_per_account == 4
    page = site.get("shows/edit/", id=show.id)
    assert re.search(r'<input [^>]*name="max_seats_per_account"[^>]* value="4">', page.text)
    edited = {"date_time": "2030-07-01T20:00", "price": "9", "max_seats_per_account": ""}
    assert site.post("shows/edit/", edited, {"id": show.id}).status_code == 302
    assert rows(Show)[0].max_seats_per_account is None


def test_saving_a_show_anew_does_not_move_it(
    site: Site, alice: Caller, make_show: Callable[..., int]
) -> None:
    """Its time may have seconds, which the form does not show; with seats sold it can't move."""
    show = make_show(starts_in=timedelta(days=2, seconds=7))
    alice.post(f"/api/shows/{show}/book/", {"seat_number": 1})
    page = site.get("shows/edit/", id=show)
    local = re.search(r'value="(20[^"]*T[^"]*)"', page.text)
    assert local is not None
    form = {"date_time": local[1], "price": "11.00", "on_sale": "y", "no_single_gaps": "y"}
    starts = rows(Show)[0].starts_at
    assert site.post("shows/edit/", form, {"id": show}).status_code == 302
    assert (rows(Show)[0].starts_at, rows(Show)[0].price_cents) == (starts, 1100)


def test_a_form_that_is_out_of_date_overwrites_nothing_unasked(
    site: Site, staff: Caller, alice: Caller, make_movie: Callable[..., int]
) -> None:
    movie = make_movie()
    form = {"title": "Mine", "duration_minutes": "90"}
    for path, key, changed, typed in (
        ("films/edit/", movie, (f"/api/movies/{movie}/", {"year": 1949}), form),
        ("accounts/edit/", alice.id, (f"/api/accounts/{alice.id}/", {"is_disabled": True}), {}),
    ):
        page = site.get(path, id=key)
        seen = re.search(r'name="seen" value="(\w+)"', page.text)
        assert seen is not None
        assert staff.patch(*changed).status_code == 200  # a colleague
        events = len(rows(AuditEvent))
        answer = site.post(path, {**typed, "seen": seen[1]}, {"id": key})
        assert answer.status_code == 409
        assert messages(answer) == [
            "Somebody changed this meanwhile. Save again to overwrite that."
        ]
        assert len(rows(AuditEvent)) == events
        now = re.search(r'name="seen" value="(\w+)"', answer.text)
        assert now is not None
        assert site.post(path, {**typed, "seen": now[1]}, {"id": key}).status_code == 302
        assert len(rows(AuditEvent)) == events + 1


def test_a_show_of_a_withdrawn_film_stays_as_it_is(site: Site, staff: Caller, show_id: int) -> None:
    """Its own flag is shown, not whether its film is on sale too."""
    show = staff.get(f"/api/shows/{show_id}/").json
    staff.patch(f"/api/movies/{show['movie']}/", {"on_sale": False})
    assert 'name="on_sale" type="checkbox" value="y"' in site.get("shows/edit/", id=show_id).text
    form = {"date_time": show["date_time"][:16], "price": "8.00", "on_sale": "y"}
    assert site.post("shows/edit/", form, {"id": show_id}).status_code == 302
    assert rows(Show)[0].on_sale is True
    staff.patch(f"/api/shows/{show_id}/", {"on_sale": False})
    assert re.search(r'<input[^>]*name="on_sale"[^>]*>', site.get("shows/edit/", id=show_id).text)
    assert (
        "checked"
        not in re.findall(
            r'<input[^>]*name="on_sale"[^>]*>', site.get("shows/edit/", id=show_id).text
        )[0]
    )


def test_a_show_moves_to_screens_that_are_there_only(
    site: Site, staff: Caller, show_id: int
) -> None:
    show = staff.get(f"/api/shows/{show_id}/").json
    staff.post("/api/screens/", {"name": "Two", "rows": PLAN})
    form = {"date_time": show["date_time"][:16], "price": "8.00", "on_sale": "y"}
    answer = site.post("shows/edit/", {**form, "screen_name": "Three"}, {"id": show_id})
    assert messages(answer) == ["There is no such screen in this cinema."]
    assert len(rows(Screen)) == 2
    site.post("shows/edit/", {**form, "screen_name": "Two"}, {"id": show_id})
    assert staff.get(f"/api/shows/{show_id}/").json["screen_name"] == "Two"
