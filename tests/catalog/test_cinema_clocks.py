"""Business days of cinemas, and cinemas that change their clocks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.booking import service as booking
from booking_app.booking.models import Booking
from booking_app.catalog import movies, shows, venues
from booking_app.catalog.cinema_clocks import today
from booking_app.catalog.models import Cinema, Show
from booking_app.catalog.show_rules import HasBookings, ShowOverlap
from booking_app.catalog.times import local_time
from booking_app.core.database import begin_writing, db
from booking_app.core.errors import Invalid
from tests.conftest import NOON, Caller, rows
from tests.migrating import release_before_may_serve
from tests.promise import at_once, broken_promises, somebody_waits
from tests.serving import wait_until
from tests.wrong import wrong

VIENNA, KYIV = "Europe/Vienna", "Europe/Kyiv"
PLAN = [{"label": "A", "seats": 4}]
Make = Callable[..., int]


@pytest.fixture
def cinema(app: Flask) -> int:
    return int(venues.create_cinema(name="Gartenbau", timezone=VIENNA)["id"])


@pytest.fixture
def screen(cinema: int) -> int:
    return int(venues.create_screen(name="Saal", rows=PLAN, cinema=cinema).id)


@pytest.fixture
def show_at(screen: int) -> Make:
    """Puts a film of an hour on the screen at a time in UTC."""
    film = movies.create_movie(title="Film", duration_minutes=60)["id"]

    def make(at: str) -> int:
        date_time = datetime.fromisoformat(at).replace(tzinfo=UTC)
        now = date_time - timedelta(days=1)
        return int(
            shows.create_show(movie_id=film, screen=screen, date_time=date_time, now=now)["id"]
        )

    return make


def in_cinema(show_id: int) -> tuple[str, str, str]:
    """When a show begins and ends by the clocks of its cinema, and its day."""
    (show,) = [row for row in rows(Show) if row.id == show_id]
    (zone,) = [row.timezone for row in rows(Cinema) if not row.is_default]
    form = "%m-%d %H:%M"
    begins, ends = (local_time(time, zone, form) for time in (show.starts_at, show.ends_at))
    return begins, ends, f"{show.local_date:%m-%d}"


# --- the business day -----------------------------------------------------------------------


@pytest.mark.usefixtures("in_2030")
def test_a_show_after_midnight_belongs_to_the_evening_before(
    client: FlaskClient, staff: Caller, alice: Caller
) -> None:
    body = {"name": "Nacht", "timezone": VIENNA, "day_starts_at": "06:00"}
    cinema = staff.post("/api/cinemas/", body).json
    assert client.get(f"/api/cinemas/{cinema['id']}/").json["day_starts_at"] == "06:00"
    hall = {"name": "1", "rows": PLAN, "cinema": cinema["id"]}
    screen = staff.post("/api/screens/", hall).json["id"]
    film = staff.post("/api/movies/", {"title": "Film", "duration_minutes": 60}).json["id"]
    night, morning = (
        staff.post(
            f"/api/movies/{film}/shows/",
            {"screen": screen, "date_time": f"2030-06-02T{at}:00+02:00", "price": "9.00"},
        ).json["id"]
        for at in ("01:45", "06:00")
    )
    alice.post(f"/api/shows/{night}/book/", {"seat_number": "A1"})

    def on(day: str) -> list[list[int]]:
        paths = f"/api/shows/?date={day}", f"/api/movies/{film}/shows/?date={day}"
        return [[show["id"] for show in client.get(path).json] for path in paths]

    assert on("2030-06-01") == [[night], [night]]
    assert on("2030-06-02") == [[morning], [morning]]
    sales = staff.get("/api/reports/sales/?by=day&since=2030-06-01&until=2030-06-02").json
    assert [(row["day"], row["sold"]) for row in sales] == [("2030-06-01", 1), ("2030-06-02", 0)]
    moved = staff.patch(f"/api/shows/{morning}/", {"date_time": "2030-06-02T05:59:00+02:00"})
    assert (moved.status_code, on("2030-06-01")) == (200, [[night, morning]] * 2)


@pytest.mark.usefixtures("in_2030")
def test_another_start_of_the_day_gives_shows_another_day(
    cinema: int, show_at: Make, alice: Caller
) -> None:
    """Past ones too, and those of which seats are sold; nothing else of them."""
    past, night, evening = map(
        show_at, ("2029-06-01T22:30", "2030-06-01T22:30", "2030-06-02T18:00")
    )
    alice.post(f"/api/shows/{night}/book/", {"seat_number": "A1"})
    for day_starts_at, day in (("06:00", "06-01"), ("00:30", "06-02"), ("00:31", "06-01")):
        venues.update_cinema(cinema_id=cinema, day_starts_at=day_starts_at)
        assert in_cinema(past) == in_cinema(night) == ("06-02 00:30", "06-02 01:30", day)
        assert in_cinema(evening) == ("06-02 20:00", "06-02 21:00", "06-02")


def test_a_day_starts_at_noon_at_the_latest(staff: Caller, cinema: int) -> None:
    changed = staff.patch(f"/api/cinemas/{cinema}/", {"day_starts_at": "12:00"})
    assert (changed.status_code, changed.json["day_starts_at"]) == (200, "12:00")
    refused = staff.patch(f"/api/cinemas/{cinema}/", {"day_starts_at": "12:01"})
    assert wrong(refused)["/day_starts_at"] == [
        "Must be a time of day from 00:00 to 12:00, such as 06:00."
    ]


def test_the_release_before_would_count_the_days_wrong(staff: Caller, cinema: int) -> None:
    with_day = {"name": "Nacht", "timezone": VIENNA, "day_starts_at": "06:00"}
    path = f"/api/cinemas/{cinema}/"
    with release_before_may_serve():
        for answer in (
            staff.post("/api/cinemas/", with_day),
            staff.patch(path, {"day_starts_at": "06:00"}),
        ):
            assert (answer.status_code, answer.json["code"]) == (409, "upgrade_unfinished")
        assert staff.patch(path, {"day_starts_at": "00:00"}).status_code == 200
    assert staff.patch(path, {"day_starts_at": "06:00"}).status_code == 200


def test_today_is_the_business_day_of_the_default_cinema(app: Flask, make_show: Make) -> None:
    night = datetime(2030, 6, 2, 1, tzinfo=UTC)
    assert today(timezone="Pacific/Auckland", now=night) == date(2030, 6, 2)
    assert today(timezone="America/New_York", now=night) == date(2030, 6, 1)
    make_show()  # and with it the default cinema, in UTC
    assert today(timezone="America/New_York", now=night) == date(2030, 6, 2)
    venues.update_cinema(cinema_id=1, day_starts_at="03:00")
    assert today(timezone="America/New_York", now=night) == date(2030, 6, 1)


# --- another time zone ----------------------------------------------------------------------


def test_shows_to_come_keep_their_local_time(cinema: int, show_at: Make) -> None:
    """By summer and by winter time; one follows the other, and one runs over midnight."""
    ids = [
        show_at(f"2030-{day}T{at}")
        for day in ("07-01", "12-01")
        for at in ("17:00", "18:00", "21:30")
    ]
    before = list(map(in_cinema, ids))
    for zone in (KYIV, "America/Los_Angeles", "Pacific/Auckland", "Asia/Kathmandu", VIENNA):
        venues.update_cinema(cinema_id=cinema, timezone=zone, now=NOON)
        assert list(map(in_cinema, ids)) == before
    assert [show.starts_at.hour for show in rows(Show)] == [17, 18, 21] * 2


def test_shows_that_have_begun_keep_their_moment_and_day(cinema: int, show_at: Make) -> None:
    """NOON is on 1 June 2030."""
    over, running, coming = map(
        show_at, ("2030-05-01T22:30", "2030-06-01T11:30", "2030-06-01T22:30")
    )
    before = rows(Show)
    venues.update_cinema(cinema_id=cinema, timezone="Pacific/Auckland", now=NOON)
    after = rows(Show)
    assert after[:2] == before[:2]
    assert [show.id for show in after] == [over, running, coming]
    assert after[2].starts_at != before[2].starts_at
    assert after[2].version != before[2].version


def test_with_both_clocks_changed_what_has_begun_has_its_day_by_the_old_zone(
    cinema: int, show_at: Make
) -> None:
    show = show_at("2030-05-01T22:30")  # 00:30 in Vienna
    venues.update_cinema(cinema_id=cinema, timezone="UTC", day_starts_at="00:15", now=NOON)
    assert [row.local_date for row in rows(Show) if row.id == show] == [date(2030, 5, 2)]


def test_the_sale_keeps_its_local_times_too(cinema: int, show_at: Make) -> None:
    show_at("2030-07-01T17:00")
    opens, ends = datetime(2030, 6, 30, 22, tzinfo=UTC), datetime(2030, 7, 1, 17, 15, tzinfo=UTC)
    with db.engine.begin() as connection:
        connection.execute(sa.update(Show).values(sales_from=opens, sales_until=ends))
    venues.update_cinema(cinema_id=cinema, timezone=KYIV, now=NOON)
    (show,) = rows(Show)
    hour = timedelta(hours=1)
    assert (show.sales_from, show.sales_until) == (opens - hour, ends - hour)


@pytest.mark.parametrize("how", ["book", "hold"])
def test_sold_and_held_seats_to_come_keep_the_time_zone(
    cinema: int, show_at: Make, staff: Caller, alice: Caller, how: str
) -> None:
    free, taken = map(show_at, ("2030-06-02T17:00", "2030-06-03T17:00"))
    take = booking.book if how == "book" else booking.hold
    made = take(user_id=alice.id, show_id=taken, seat_number="A1", now=NOON)
    before = rows(Show)
    with pytest.raises(HasBookings, match=rf"held: 1, first show {taken} at 2030-06-03T17"):
        venues.update_cinema(cinema_id=cinema, timezone=KYIV, now=NOON)
    assert rows(Show) == before
    # Other changes are free, and so is the zone when the seats are.
    venues.update_cinema(cinema_id=cinema, name="Nacht", timezone=VIENNA, now=NOON)
    if how == "hold":
        later = NOON + timedelta(hours=1)  # the hold has expired
        venues.update_cinema(cinema_id=cinema, timezone=KYIV, now=later)
    else:
        booking.cancel(user_id=alice.id, booking_id=made.id, now=NOON)
        venues.update_cinema(cinema_id=cinema, timezone=KYIV, now=NOON)
    assert in_cinema(free) == ("06-02 19:00", "06-02 20:00", "06-02")


def test_seats_of_past_shows_and_of_other_cinemas_are_no_hindrance(
    cinema: int, show_at: Make, make_show: Make, alice: Caller
) -> None:
    past = show_at("2030-06-01T11:00")
    before = NOON - timedelta(hours=2)
    booking.book(user_id=alice.id, show_id=past, seat_number="A1", now=before)
    booking.book(user_id=alice.id, show_id=make_show(now=NOON), seat_number="1", now=NOON)
    venues.update_cinema(cinema_id=cinema, timezone=KYIV, now=NOON)


def test_a_local_time_that_the_new_zone_lacks_is_named(cinema: int, show_at: Make) -> None:
    show = show_at("2030-03-31T01:30")  # 03:30 in Vienna; in Kyiv it is 04:00 after 02:59
    before = rows(Show)
    with pytest.raises(Invalid) as refused:
        venues.update_cinema(cinema_id=cinema, timezone=KYIV, now=datetime(2030, 3, 1, tzinfo=UTC))
    assert list(refused.value.errors.values()) == [
        f"Show {show} can't keep its local time. There is no 03:30 on 2030-03-31 in Europe/Kyiv: "
        "the clocks go forward from 03:00 to 04:00. Change the show first."
    ]
    assert rows(Show) == before


def test_two_shows_that_the_clocks_push_together_are_refused(cinema: int, show_at: Make) -> None:
    """The clocks of Vienna go from 02:00 to 03:00, those of UTC don't, and the other way round."""
    now = datetime(2030, 10, 1, tzinfo=UTC)
    first, second = map(show_at, ("2030-10-27T00:10", "2030-10-27T01:10"))  # 02:10 twice
    before = rows(Show)
    with pytest.raises(ShowOverlap) as refused:
        venues.update_cinema(cinema_id=cinema, timezone="UTC", now=now)
    assert refused.value.detail.startswith(f"In the time zone UTC, show {second} would run from")
    assert refused.value.facts["show"] == first
    assert rows(Show) == before
    # Where both zones show 02:10 twice, each of the two stays the one that it is.
    venues.update_cinema(cinema_id=cinema, timezone="Europe/Berlin", now=now)
    assert [(show.starts_at, show.ends_at) for show in rows(Show)] == [
        (show.starts_at, show.ends_at) for show in before
    ]


def test_a_show_that_runs_is_not_run_into(cinema: int, show_at: Make) -> None:
    running, coming = map(show_at, ("2030-06-01T11:30", "2030-06-01T13:15"))
    with pytest.raises(ShowOverlap) as refused:
        venues.update_cinema(cinema_id=cinema, timezone=KYIV, now=NOON)
    assert refused.value.facts["show"] == running
    assert f"show {coming} would run" in refused.value.detail


def test_the_api_says_so(staff: Caller, alice: Caller, show_at: Make, cinema: int) -> None:
    path = f"/api/cinemas/{cinema}/"
    show = show_at("2035-06-02T17:00")
    alice.post(f"/api/shows/{show}/book/", {"seat_number": "A1"})
    refused = staff.patch(path, {"timezone": KYIV})
    assert (refused.status_code, refused.json["code"]) == (409, "has_bookings")
    assert staff.get(path).json["timezone"] == VIENNA


def test_the_api_takes_instants_only(staff: Caller, show_at: Make) -> None:
    show = show_at("2030-06-02T17:00")
    refused = staff.patch(f"/api/shows/{show}/", {"date_time": "2030-06-02T19:00"})
    assert refused.status_code == 422
    assert wrong(refused)["/date_time"] == [
        "Must be a time with an offset, such as 2030-01-31T20:00:00Z."
    ]


# --- at the same moment ---------------------------------------------------------------------


@pytest.mark.promise
def test_what_is_sold_is_not_moved_at_the_same_moment(
    app: Flask, cinema: int, show_at: Make, alice: Caller, rounds: Callable[[int, int], int]
) -> None:
    show = show_at("2030-07-01T17:00")
    seen: list[datetime] = []

    def buy() -> None:
        booking.book(user_id=alice.id, show_id=show, seat_number="A1", now=NOON)
        seen.append(rows(Show)[0].starts_at)

    def move(zone: str) -> None:
        venues.update_cinema(cinema_id=cinema, timezone=zone, now=NOON)

    for _ in range(rounds(30, 10)):
        old = rows(Cinema)[0].timezone
        bought, moved = at_once(app, buy, partial(move, KYIV if old == VIENNA else VIENNA))
        assert (bought, rows(Show)[0].starts_at) == ("done", seen[-1])
        assert moved == ("has_bookings" if rows(Cinema)[0].timezone == old else "done")
        booking.cancel(user_id=alice.id, booking_id=rows(Booking)[-1].id, now=NOON)
    assert broken_promises(NOON) == []


def begun(app: Flask, work: Callable[[sa.Connection], Any], other: Callable[[], Any]) -> str:
    """Do `work` in a transaction that ends only when the `other` waits for it; "done" or the code
    of the other's refusal."""

    def run() -> str:
        (outcome,) = at_once(app, other)
        return outcome

    with ThreadPoolExecutor(1) as pool:
        with db.engine.connect() as connection, begin_writing(connection):
            work(connection)
            outcome = pool.submit(run)
            with app.app_context():
                wait_until(somebody_waits)
        return outcome.result()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
def test_a_sale_that_is_under_way_is_waited_for(
    app: Flask, cinema: int, show_at: Make, alice: Caller
) -> None:
    show = show_at("2030-07-01T17:00")
    buy = partial(booking.book.within, user_id=alice.id, show_id=show, seat_number="A1", now=NOON)
    move = partial(venues.update_cinema, cinema_id=cinema, timezone=KYIV, now=NOON)
    assert begun(app, buy, move) == "has_bookings"
    assert in_cinema(show)[0] == "07-01 19:00"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_hold_that_is_being_confirmed_is_waited_for(
    app: Flask, cinema: int, show_at: Make, alice: Caller
) -> None:
    """Though it has expired when staff look: it was confirmed in time."""
    show = show_at("2030-07-01T17:00")
    held = booking.hold(user_id=alice.id, show_id=show, seat_number="A1", now=NOON)
    confirm = partial(booking.confirm.within, user_id=alice.id, booking_id=held.id, now=NOON)
    later = NOON + timedelta(hours=1)
    move = partial(venues.update_cinema, cinema_id=cinema, timezone=KYIV, now=later)
    assert begun(app, confirm, move) == "has_bookings"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_move_that_is_under_way_is_waited_for(
    app: Flask, cinema: int, screen: int, show_at: Make, alice: Caller
) -> None:
    """Whoever buys, or puts a show on a screen, does it by the new clocks."""
    show = show_at("2030-06-01T17:00")
    move = partial(venues.update_cinema.within, cinema_id=cinema, timezone="Asia/Dubai", now=NOON)
    at_16 = NOON + timedelta(hours=4)  # at 19:00 in Dubai it was 15:00
    buy = partial(booking.book, user_id=alice.id, show_id=show, seat_number="A1", now=at_16)
    assert begun(app, move, buy) == "sales_closed"
    back = partial(venues.update_cinema.within, cinema_id=cinema, timezone=VIENNA, now=NOON)
    at = datetime(2030, 6, 1, 22, 30, tzinfo=UTC)
    film = rows(Show)[0].movie_id
    make = partial(shows.create_show, movie_id=film, screen=screen, date_time=at, now=NOON)
    assert begun(app, back, make) == "done"
    assert in_cinema(rows(Show)[-1].id) == ("06-02 00:30", "06-02 01:30", "06-02")
