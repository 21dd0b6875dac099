"""Films and shows: lists, filters, and what staff may change."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking_app.booking import service as booking
from booking_app.catalog import examples, show_queries, show_rules, shows
from booking_app.catalog.models import Cinema, Movie, Screen, Show, ShowSeat
from tests.conftest import NOON, Caller, present, rows
from tests.promise import at_once
from tests.wrong import wrong


def titles(answer: Any) -> list[str]:
    assert answer.status_code == 200
    return [movie["title"] for movie in answer.json]


def ahead(**delta: int) -> str:
    return (present() + timedelta(**delta)).isoformat()


@pytest.fixture
def films(make_movie: Callable[..., int]) -> None:
    make_movie("Élégie", language="Français", genres=["Drama"])
    make_movie("alpha", language="English", genres=["Drama", "War"])
    make_movie("Äpfel", language="Deutsch", genres=["Science Fiction"])
    make_movie("100% Wolf_", language="English", genres=["War Film"])
    make_movie("alpha", language="English")
    make_movie("Withdrawn", on_sale=False)


@pytest.mark.usefixtures("films")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["100% Wolf_", "alpha", "alpha", "Äpfel", "Élégie"]),
        ("search=ALPHA", ["alpha", "alpha"]),
        ("search=élÉ", ["Élégie"]),
        ("search=ÄPFEL", ["Äpfel"]),
        ("search=%25", ["100% Wolf_"]),
        ("search=_", ["100% Wolf_"]),
        ("genre=war", ["alpha"]),
        ("genre=drama", ["alpha", "Élégie"]),
        ("genre=SCIENCE%20fiction", ["Äpfel"]),
        ("language=FRANÇAIS", ["Élégie"]),
        ("language=english&genre=war", ["alpha"]),
        ("search=nothing", []),
        ("on_sale=false", ["Withdrawn"]),
    ],
)
def test_films_are_filtered_without_regard_to_case(
    client: FlaskClient, query: str, expected: list[str]
) -> None:
    assert titles(client.get(f"/api/movies/?{query}")) == expected


def test_pages_of_films_are_a_partition_in_one_order(
    client: FlaskClient, make_movie: Callable[..., int]
) -> None:
    ids = [make_movie("same title") for _ in range(7)]
    seen = []
    for page in (1, 2, 3, 4):
        answer = client.get(f"/api/movies/?page={page}&page_size=3")
        seen += [movie["id"] for movie in answer.json]
        header = json.loads(answer.headers["X-Pagination"])
        assert header == {"total": 7, "total_pages": 3, "page": page, "page_size": 3}
    assert seen == ids


@pytest.mark.usefixtures("in_2030")
def test_a_show_tells_its_seats_times_and_price(client: FlaskClient, staff: Caller) -> None:
    movie = staff.post("/api/movies/", {"title": "Film", "duration_minutes": 90}).json
    body = {
        "screen_name": "Screen 1",
        "date_time": "2030-01-31T20:00:00+01:00",
        "total_seats": 3,
        "price": "9.5",
    }
    made = staff.post(f"/api/movies/{movie['id']}/shows/", body)
    assert made.status_code == 201
    show = client.get(f"/api/shows/{made.json['id']}/").json
    assert show == made.json
    assert show["date_time"] == "2030-01-31T19:00:00Z"
    assert show["ends_at"] == "2030-01-31T20:30:00Z"
    assert (show["total_seats"], show["available_seats"], show["price"]) == (3, 3, "9.50")
    staff.post(f"/api/shows/{show['id']}/book/", {"seat_number": 2})
    assert client.get(f"/api/shows/{show['id']}").json["available_seats"] == 2
    assert client.get(f"/api/movies/{movie['id']}/shows/").json[0]["available_seats"] == 2


def test_a_film_needs_only_title_and_running_time_and_a_show_no_price(staff: Caller) -> None:
    movie = staff.post("/api/movies/", {"title": "Film", "duration_minutes": 90}).json
    assert movie["genres"] == []
    body = {"screen_name": "1", "date_time": ahead(days=1), "total_seats": 1}
    assert staff.post(f"/api/movies/{movie['id']}/shows/", body).json["price"] == "0.00"


def test_shows_to_come_by_default_past_ones_when_asked(
    client: FlaskClient, make_movie: Callable[..., int], make_show: Callable[..., int]
) -> None:
    movie = make_movie()
    past = make_show(movie_id=movie, starts_in=timedelta(hours=-30))
    coming = make_show(movie_id=movie, starts_in=timedelta(hours=30))
    later = make_show(starts_in=timedelta(hours=40))
    withdrawn = make_show(movie_id=movie, on_sale=False)

    def ids(path: str) -> list[int]:
        return [show["id"] for show in client.get(path).json]

    assert ids(f"/api/movies/{movie}/shows/") == [coming]
    assert ids(f"/api/movies/{movie}/shows/?when=past") == [past]
    assert ids(f"/api/movies/{movie}/shows/?when=all") == [past, coming]
    assert ids("/api/shows/") == [coming, later]
    assert ids(f"/api/shows/?movie={movie}&when=all") == [past, coming]
    assert ids("/api/shows/?cinema=1") == [coming, later]
    assert ids("/api/shows/?cinema=99") == []
    assert ids("/api/shows/?on_sale=false") == [withdrawn]
    day = client.get(f"/api/shows/{coming}/").json["date_time"][:10]
    assert coming in ids(f"/api/shows/?date={day}")
    assert ids("/api/shows/?date=1999-01-01&when=all") == []
    assert client.get("/api/movies/999/shows/").status_code == 404


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize(
    ("moment", "day"),
    [
        # The clocks of Berlin change on 2030-03-31 at 01:00 UTC and 2030-10-27 at 01:00 UTC.
        (datetime(2030, 3, 30, 22, 59, tzinfo=UTC), date(2030, 3, 30)),
        (datetime(2030, 3, 30, 23, 0, tzinfo=UTC), date(2030, 3, 31)),
        (datetime(2030, 3, 31, 21, 59, tzinfo=UTC), date(2030, 3, 31)),
        (datetime(2030, 3, 31, 22, 0, tzinfo=UTC), date(2030, 4, 1)),
        (datetime(2030, 10, 27, 22, 59, tzinfo=UTC), date(2030, 10, 27)),
        (datetime(2030, 10, 27, 23, 0, tzinfo=UTC), date(2030, 10, 28)),
    ],
)
def test_a_date_is_the_day_in_the_cinemas_time_zone(
    client: FlaskClient, make_movie: Callable[..., int], moment: datetime, day: date
) -> None:
    show = shows.create_show(
        movie_id=make_movie(),
        screen_name="Saal",
        date_time=moment,
        total_seats=1,
        timezone="Europe/Berlin",
        now=NOON - timedelta(days=180),
    )
    found = {
        str(d): [s["id"] for s in client.get(f"/api/shows/?date={d}").json]
        for d in (day - timedelta(days=1), day, day + timedelta(days=1))
    }
    assert found == {
        str(day - timedelta(days=1)): [],
        str(day): [show["id"]],
        str(day + timedelta(days=1)): [],
    }


@pytest.mark.usefixtures("in_2030")
def test_the_examples_are_of_the_databases_time(make_show: Callable[..., int]) -> None:
    """A show that begins within the hour may have begun before the reader books it."""
    make_show(starts_in=timedelta(minutes=59))
    later = make_show(starts_in=timedelta(minutes=65))
    example = examples.bookable_example()
    assert (example["show_id"], example["seat_number"]) == (later, "1")
    assert example["date_time"].startswith("2030-01-31T09:0")


# --- staff ----------------------------------------------------------------------------------

STAFF_CALLS = [
    ("post", "/api/movies/", {"title": "New", "duration_minutes": 90}),
    ("patch", "/api/movies/{movie}/", {"title": "Other"}),
    ("delete", "/api/movies/{movie}/", None),
    (
        "post",
        "/api/movies/{movie}/shows/",
        {"screen_name": "1", "date_time": "2030-01-31T20:00:00Z", "total_seats": 5},
    ),
    ("patch", "/api/shows/{show}/", {"price": "1.00"}),
    ("delete", "/api/shows/{show}/", None),
]


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize(("method", "path", "body"), STAFF_CALLS)
def test_only_staff_change_the_catalogue(
    client: FlaskClient,
    alice: Caller,
    staff: Caller,
    make_show: Callable[..., int],
    method: str,
    path: str,
    body: Any,
) -> None:
    show = make_show()
    path = path.format(movie=client.get(f"/api/shows/{show}/").json["movie"], show=show)
    before = rows(Movie), rows(Show)
    nobody = getattr(client, method)(path, json=body)
    assert (nobody.status_code, nobody.json["code"]) == (401, "not_authenticated")
    customer = getattr(alice, method)(path, body)
    assert (customer.status_code, customer.json["code"]) == (403, "staff_only")
    assert (rows(Movie), rows(Show)) == before
    assert getattr(staff, method)(path, body).status_code in (200, 201, 204)


def test_changing_a_film(staff: Caller, make_movie: Callable[..., int]) -> None:
    movie = make_movie(genres=["Drama"], language="English")
    changed = staff.patch(
        f"/api/movies/{movie}/", {"title": "Ölfilm", "genres": ["War"], "language": None}
    )
    assert changed.status_code == 200
    assert (changed.json["title"], changed.json["language"]) == ("Ölfilm", None)
    assert titles(staff.get("/api/movies/?search=öLFILM&genre=war")) == ["Ölfilm"]
    assert titles(staff.get("/api/movies/?language=english")) == []
    assert staff.patch(f"/api/movies/{movie}/", {}).json == changed.json
    assert staff.patch(f"/api/movies/{movie}/").json == changed.json
    assert staff.patch("/api/movies/999/", {"title": "x"}).status_code == 404


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_was_ever_booked_cannot_be_deleted(
    staff: Caller, alice: Caller, show_id: int, cancelled: bool
) -> None:
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).json
    if cancelled:
        alice.post(f"/api/bookings/{booked['id']}/cancel/")
    before = rows(ShowSeat)
    movie = staff.get(f"/api/shows/{show_id}/").json["movie"]
    for path in (f"/api/shows/{show_id}/", f"/api/movies/{movie}/"):
        refused = staff.delete(path)
        assert (refused.status_code, refused.json["code"]) == (409, "has_bookings")
        assert staff.get(path).status_code == 200
    assert rows(ShowSeat) == before


def test_deleting_a_film_takes_its_unbooked_shows(staff: Caller, show_id: int) -> None:
    movie = staff.get(f"/api/shows/{show_id}/").json["movie"]
    assert staff.delete(f"/api/movies/{movie}/").status_code == 204
    assert staff.delete(f"/api/movies/{movie}/").status_code == 404
    assert staff.delete(f"/api/shows/{show_id}/").status_code == 404
    assert (rows(Movie), rows(Show), rows(ShowSeat)) == ([], [], [])


@pytest.mark.parametrize("what", ["show", "movie"])
def test_withdrawn_from_sale(staff: Caller, alice: Caller, show_id: int, what: str) -> None:
    movie = staff.get(f"/api/shows/{show_id}/").json["movie"]
    path = f"/api/shows/{show_id}/" if what == "show" else f"/api/movies/{movie}/"
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).json
    assert staff.patch(path, {"on_sale": False}).json["on_sale"] is False
    refused = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 2})
    assert (refused.status_code, refused.json["code"]) == (409, "not_on_sale")
    assert staff.get("/api/shows/").json == []
    assert staff.get(f"/api/shows/{show_id}/").json["on_sale"] is False
    assert alice.post(f"/api/bookings/{booked['id']}/cancel/").status_code == 200
    staff.patch(path, {"on_sale": True})
    assert alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 2}).status_code == 201


def test_a_show_with_sold_seats_cannot_be_moved(
    staff: Caller, alice: Caller, make_show: Callable[..., int], show_id: int
) -> None:
    make_show(screen_name="Another", starts_in=timedelta(days=9))
    show = staff.get(f"/api/shows/{show_id}/").json
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 1}).json
    for change in ({"date_time": ahead(days=5)}, {"screen_name": "Another"}):
        refused = staff.patch(f"/api/shows/{show_id}/", change)
        assert (refused.status_code, refused.json["code"]) == (409, "has_bookings")
    # What does not move it is allowed, also naming its time and screen as they are.
    same = {"date_time": show["date_time"], "screen_name": show["screen_name"], "price": "20.00"}
    assert staff.patch(f"/api/shows/{show_id}/", same).json["price"] == "20.00"
    alice.post(f"/api/bookings/{booked['id']}/cancel/")
    moved = staff.patch(f"/api/shows/{show_id}/", {"screen_name": "Another"})
    assert moved.json["screen_name"] == "Another"


def test_a_show_cannot_be_shrunk_below_what_is_sold(
    staff: Caller, alice: Caller, show_id: int
) -> None:
    alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["9", "3", "10"]})
    refused = staff.patch(f"/api/shows/{show_id}/", {"total_seats": 5})
    assert (refused.status_code, refused.json["code"]) == (409, "seats_sold")
    assert refused.json["seats"] == ["9", "10"]
    assert staff.patch(f"/api/shows/{show_id}/", {"total_seats": 12}).json["available_seats"] == 9
    alice.post(f"/api/shows/{show_id}/book/", {"seat_number": 12})
    assert staff.patch(f"/api/shows/{show_id}/", {"total_seats": 11}).status_code == 409
    assert staff.get(f"/api/shows/{show_id}/").json["total_seats"] == 12


def test_a_later_price_does_not_touch_a_booking(staff: Caller, alice: Caller, show_id: int) -> None:
    booked = alice.post(f"/api/shows/{show_id}/book/", {"seat_numbers": ["1", "2"]}).json
    assert booked["total"] == "19.00"
    staff.patch(f"/api/shows/{show_id}/", {"price": "20.00"})
    assert alice.get(f"/api/bookings/{booked['id']}/").json == booked


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize(
    ("minutes", "overlaps"), [(-104, False), (-103, True), (0, True), (103, True), (104, False)]
)
def test_two_shows_cannot_overlap_on_a_screen(
    staff: Caller, make_movie: Callable[..., int], minutes: int, overlaps: bool
) -> None:
    """The film runs 104 minutes; one may begin as the other ends."""
    movie = make_movie(duration_minutes=104)
    start = datetime(2030, 6, 1, 20, 0, tzinfo=UTC)
    body = {"screen_name": "Große Halle", "total_seats": 5, "date_time": start.isoformat()}
    first = staff.post(f"/api/movies/{movie}/shows/", body).json
    other = body | {"screen_name": "GROSSE HALLE"}
    other["date_time"] = (start + timedelta(minutes=minutes)).isoformat()
    answer = staff.post(f"/api/movies/{movie}/shows/", other)
    assert answer.status_code == (409 if overlaps else 201)
    assert len(rows(Screen)) == 1
    if overlaps:
        assert answer.json["code"] == "show_overlap"
        assert answer.json["show"] == first["id"]
        assert answer.json["date_time"] == first["date_time"]
        assert answer.json["ends_at"] == first["ends_at"]
        body["screen_name"] = "Other"
        elsewhere = staff.post(f"/api/movies/{movie}/shows/", body | {"date_time": ahead(days=9)})
        moved = staff.patch(
            f"/api/shows/{elsewhere.json['id']}/",
            {"screen_name": "große halle", "date_time": other["date_time"]},
        )
        assert moved.json["code"] == "show_overlap"


def test_a_longer_film_moves_the_ends_of_its_shows_unless_they_would_overlap(
    staff: Caller, make_movie: Callable[..., int], make_show: Callable[..., int]
) -> None:
    movie = make_movie(duration_minutes=100)
    first = make_show(movie_id=movie, starts_in=timedelta(hours=50), screen_name="One")
    make_show(movie_id=movie, starts_in=timedelta(hours=52), screen_name="One")
    past = make_show(movie_id=movie, starts_in=timedelta(hours=-50), screen_name="One")
    before = rows(Show)
    refused = staff.patch(f"/api/movies/{movie}/", {"duration_minutes": 130})
    assert (refused.status_code, refused.json["code"]) == (409, "show_overlap")
    assert rows(Show) == before
    assert staff.patch(f"/api/movies/{movie}/", {"duration_minutes": 115}).status_code == 200
    ends = {show.id: show.ends_at - show.starts_at for show in rows(Show)}
    assert ends[first] == timedelta(minutes=115)
    assert ends[past] == timedelta(minutes=100)


@pytest.mark.parametrize("date_time", ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_a_show_must_lie_ahead_but_not_in_another_age(
    staff: Caller, show_id: int, date_time: str
) -> None:
    movie = staff.get(f"/api/shows/{show_id}/").json["movie"]
    body = {"screen_name": "1", "total_seats": 5, "date_time": date_time}
    made = staff.post(f"/api/movies/{movie}/shows/", body)
    moved = staff.patch(f"/api/shows/{show_id}/", {"date_time": date_time})
    for answer in (made, moved):
        assert answer.status_code == 422
        assert list(wrong(answer)) == ["/date_time"]


@pytest.mark.promise
def test_two_staff_members_at_once_cannot_make_overlapping_shows(
    app: Flask, make_movie: Callable[..., int]
) -> None:
    """8 threads put a show on one screen, which does not exist yet, at 8 overlapping times."""
    movie = make_movie(duration_minutes=100)
    barrier = threading.Barrier(8)
    outcomes: list[str] = []

    def make(number: int) -> None:
        with app.app_context():
            barrier.wait()
            try:
                shows.create_show(
                    movie_id=movie,
                    screen_name="Screen",
                    date_time=NOON + timedelta(minutes=10 * number),
                    total_seats=1,
                    now=NOON - timedelta(days=1),
                )
                outcomes.append("made")
            except show_rules.ShowOverlap:
                outcomes.append("overlap")

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made"] + ["overlap"] * 7
    assert (len(rows(Cinema)), len(rows(Screen)), len(rows(Show))) == (1, 1, 1)


@pytest.mark.promise
def test_shows_made_at_once_never_overlap_on_a_screen_that_is_there(
    app: Flask, make_movie: Callable[..., int]
) -> None:
    movie = make_movie(duration_minutes=100)

    def make(number: int) -> None:
        shows.create_show(
            movie_id=movie,
            screen_name="Screen",
            date_time=NOON + timedelta(minutes=10 * number),
            total_seats=1,
            now=NOON - timedelta(days=1),
        )

    make(0)
    for day in range(1, 7):
        numbers = range(day * 144, day * 144 + 4)
        outcomes = at_once(app, *(partial(make, number) for number in numbers))
        assert sorted(outcomes) == ["done"] + ["show_overlap"] * 3


@pytest.mark.promise
def test_a_show_cannot_be_moved_while_a_seat_of_it_is_being_sold(
    app: Flask, alice: Caller, make_show: Callable[..., int]
) -> None:
    """Whichever comes first: either the show has moved and is then sold, or it stays."""
    for number in range(20):
        elsewhere = f"Moved {number}"
        make_show(screen_name=elsewhere, starts_in=timedelta(days=9))
        show = make_show()
        barrier = threading.Barrier(2)
        outcome: dict[str, str] = {}

        def run(name: str, work: Callable[[], Any], barrier=barrier, outcome=outcome) -> None:
            with app.app_context():
                barrier.wait()
                try:
                    work()
                    outcome[name] = "done"
                except show_rules.HasBookings:
                    outcome[name] = "refused"

        def sell(show: int = show) -> None:
            booking.book(user_id=alice.id, show_id=show, seat_number="1")

        def move(show: int = show, elsewhere: str = elsewhere) -> None:
            shows.update_show(show_id=show, screen_name=elsewhere)

        threads = [
            threading.Thread(target=run, args=("sell", sell)),
            threading.Thread(target=run, args=("move", move)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcome["sell"] == "done"
        moved = show_queries.get_show(show_id=show)["screen_name"] == elsewhere
        assert moved == (outcome["move"] == "done")
