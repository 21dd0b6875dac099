"""Reports: held against the bookings themselves, whatever was booked, held and given back."""

import csv
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import cycle
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from booking_app.booking import service as booking
from booking_app.booking.models import Booking
from booking_app.booking.policy import BookingPolicy
from booking_app.booking.queries import receipt
from booking_app.catalog import movies, venues
from booking_app.catalog.blocked_seats import BlockedSeat, set_blocked_seats
from booking_app.catalog.models import BLOCKS, Show, ShowSum
from booking_app.catalog.shows import create_show, delete_show, update_show
from booking_app.core import exports
from booking_app.core.database import begin_writing, db
from booking_app.core.engines import backend
from booking_app.reports import service
from tests.conftest import NOON, Caller, empty, rows
from tests.system.test_statements import counted, own
from tests.wrong import wrong

DAY = timedelta(days=1)
PLAN = [{"label": "A", "seats": 4}, {"label": "B", "seats": 2, "category": "vip"}]
POLICY = BookingPolicy(max_seats=100)
EVERYTHING = {"since": date(2030, 6, 1), "until": date(2030, 6, 30)}


@pytest.fixture
def house(app: Flask, alice: Caller) -> Callable[..., int]:
    """Makes shows of six seats, two of them dearer, in a cinema of Vienna."""
    cinema = venues.create_cinema(name="Roxy", timezone="Europe/Vienna")["id"]
    screen = venues.create_screen(name="Saal", rows=PLAN, cinema=cinema).id

    def make(title: str, starts_at: datetime, price_cents: int = 950) -> int:
        film = movies.create_movie(title=title, duration_minutes=60)["id"]
        show = create_show(
            movie_id=film,
            screen=screen,
            date_time=starts_at,
            price=Decimal(price_cents) / 100,
            prices={"vip": Decimal("12.10")},
            now=NOON,
        )
        return int(show["id"])

    return make


def book(caller: Caller, show: int, *labels: str) -> int:
    made = booking.book(user_id=caller.id, show_id=show, seat_numbers=labels, now=NOON)
    return int(made.id)


def figures(by: str, **period: Any) -> list[tuple[Any, ...]]:
    """Of each row: its name, shows, seats, sold and takings."""
    key = {"movie": "name", "screen": "name"}.get(by, by)
    found = service.sales(by=by, **{**EVERYTHING, **period})
    return [(r[key], r["shows"], r["seats"], r["sold"], r["takings_cents"]) for r in found]


def test_by_day_film_screen_and_category(alice: Caller, house: Callable[..., int]) -> None:
    # Half past midnight in Vienna is still the day before in UTC.
    late = house("Late", datetime.fromisoformat("2030-06-10T22:30:00Z"))
    early = house("Early", datetime.fromisoformat("2030-06-10T18:00:00Z"))
    house("Nobody's", datetime.fromisoformat("2030-06-12T18:00:00Z"))
    book(alice, late, "A1", "B1")
    gone = book(alice, early, "A1", "A2", "B2")
    booking.cancel(user_id=alice.id, booking_id=gone, seat_numbers=["A2"], now=NOON)
    whole = book(alice, early, "A4")
    booking.cancel(user_id=alice.id, booking_id=whole, now=NOON)
    booking.hold(user_id=alice.id, show_id=early, seat_numbers=["A3"], now=NOON)
    update_show(show_id=late, price=Decimal("0.01"), now=NOON)  # touches nothing that is sold
    assert figures("day") == [
        (date(2030, 6, 10), 1, 6, 2, 950 + 1210),
        (date(2030, 6, 11), 1, 6, 2, 950 + 1210),
        (date(2030, 6, 12), 1, 6, 0, 0),
    ]
    assert figures("movie") == [
        ("Early", 1, 6, 2, 2160),
        ("Late", 1, 6, 2, 2160),
        ("Nobody's", 1, 6, 0, 0),
    ]
    assert figures("screen") == [("Saal", 3, 18, 4, 4320)]
    assert figures("category") == [("standard", 3, 12, 2, 1900), ("vip", 3, 6, 2, 2420)]
    one = {"since": date(2030, 6, 11), "until": date(2030, 6, 11)}
    assert figures("movie", **one) == [("Late", 1, 6, 2, 2160)]
    assert figures("day", cinema=999) == []


def test_rows_come_in_the_order_of_the_lists_and_of_one_cinema_only(
    alice: Caller, house: Callable[..., int]
) -> None:
    """Case does not count, whatever the database thinks of it."""
    for number, title in enumerate(("b", "A", "Ö", "a", "C")):
        house(title, NOON + (number + 1) * DAY)
    cinema = venues.create_cinema(name="arkade", timezone="UTC")["id"]
    rows_ = [{"label": "A", "seats": 1, "category": "b"}, {"label": "B", "seats": 1}]
    rows_.append({"label": "C", "seats": 1, "category": "A"})
    screen = venues.create_screen(name="x", rows=rows_, cinema=cinema).id
    film = movies.create_movie(title="B", duration_minutes=60)["id"]
    show = create_show(movie_id=film, screen=screen, date_time=NOON + DAY, now=NOON)["id"]
    assert [row[0] for row in figures("movie")] == ["A", "a", "b", "B", "C", "Ö"]
    assert [row[0] for row in figures("screen")] == ["x", "Saal"]
    assert [row[0] for row in figures("category")] == ["A", "b", "standard", "vip"]
    assert [row[:3] for row in figures("movie", cinema=cinema)] == [("B", 1, 3)]
    coming = service.coming_shows(page=1, page_size=20, cinema=cinema, now=NOON)
    assert [item["show"] for item in coming.items] == [show]


def test_a_show_that_is_deleted_meanwhile_is_no_defect(
    staff: Caller, show_id: int, make_show: Callable[..., int]
) -> None:
    """Between the statement of the shows and that of their seats."""
    make_show()

    deleted = []

    def delete(conn: object, cursor: object, statement: str, *rest: object) -> None:
        if "AS takings_cents" in statement and not deleted:
            deleted.append(show_id)
            delete_show(show_id=show_id)

    sa.event.listen(db.engine, "before_cursor_execute", delete)
    try:
        answer = staff.get("/api/reports/shows/")
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", delete)
    assert answer.status_code == 200
    assert deleted
    assert len(answer.json) == 2
    assert len(staff.get("/api/reports/shows/").json) == 1


def test_the_shows_to_come(alice: Caller, house: Callable[..., int]) -> None:
    shows = [house(f"Film {n}", NOON + n * DAY) for n in (1, 2)]
    book(alice, shows[0], "A1", "B1")
    booking.hold(user_id=alice.id, show_id=shows[0], seat_numbers=["A2"], now=NOON)

    def listed(now: datetime) -> list[tuple[Any, ...]]:
        page = service.coming_shows(page=1, page_size=20, now=now)
        names = ("show", "sold", "held", "seats", "takings_cents", "occupancy")
        return [tuple(item[name] for name in names) for item in page.items]

    assert listed(NOON) == [(shows[0], 2, 1, 6, 2160, 0.3333), (shows[1], 0, 0, 6, 0, 0.0)]
    assert listed(NOON + timedelta(minutes=10))[0][2] == 0  # the hold is over
    assert [show for show, *_ in listed(NOON + DAY)] == [shows[1]]


def block(show: int, *labels: str) -> None:
    """Block exactly these seats."""
    kinds = cycle(BLOCKS)
    seats = [BlockedSeat(label, kind) for label, kind in zip(labels, kinds, strict=False)]
    set_blocked_seats(show_id=show, seats=seats, now=NOON)


def test_blocked_seats_are_counted_apart(alice: Caller, house: Callable[..., int]) -> None:
    """Before and after the sums are kept; occupancy is of the others."""
    full, unsold = (house(title, NOON + DAY * n) for n, title in ((1, "A"), (2, "B")))
    block(full, "A1", "A2", "A3")
    block(unsold, "A1", "A2", "A3", "A4", "B1", "B2")
    book(alice, full, "A4", "B1")
    # A hold that ended does not make its seat less free.
    booking.hold(user_id=alice.id, show_id=full, seat_numbers=["B2"], now=NOON - DAY)
    block(full, "A1", "A2", "B2")

    def report(by: str, now: datetime) -> list[tuple[Any, ...]]:
        names = ("seats", "blocked", "sold", "occupancy")
        found = service.sales(by=by, **EVERYTHING, now=now)
        return [tuple(row[name] for name in names) for row in found]

    for now, with_sums in ((NOON, 0), (NOON + 1.5 * DAY, 1), (NOON + 9 * DAY, 2)):
        for by in ("day", "movie"):
            assert report(by, now) == [(6, 3, 2, 0.6667), (6, 6, 0, 0)]
        assert report("screen", now) == [(12, 9, 2, 0.6667)]
        assert report("category", now) == [(8, 6, 1, 0.5), (4, 3, 1, 1)]
        assert len({row.show_id for row in rows(ShowSum)}) == with_sums
    coming = service.coming_shows(page=1, page_size=20, now=NOON).items
    assert [(row["blocked"], row["occupancy"]) for row in coming] == [(3, 0.6667), (6, 0)]
    block(full)  # of a show that is over
    assert report("movie", NOON + 9 * DAY)[0] == (6, 0, 2, 0.3333)


@pytest.mark.usefixtures("in_2030")
def test_over_the_api_as_json_and_as_a_table(
    staff: Caller, alice: Caller, house: Callable[..., int]
) -> None:
    show = house('=HYPERLINK("x")', NOON + DAY)
    book(alice, show, "A1")
    block(show, "B2")
    query = "by=movie&since=2030-06-01&until=2030-06-30"
    (row,) = staff.get(f"/api/reports/sales/?{query}", headers={"Accept": "text/csv"}).json
    assert (row["name"], row["takings"], row["occupancy"]) == (
        '=HYPERLINK("x")',
        "9.50",
        0.2,
    )
    assert (row["day"], row["category"], row["shows"], row["blocked"]) == (None, None, 1, 1)
    table = staff.get(f"/api/reports/sales.csv?{query}", headers={"Accept": "application/json"})
    assert table.mimetype == "text/csv"
    ((cells),) = list(csv.DictReader(table.text.splitlines()))
    assert cells["name"] == '\'=HYPERLINK("x")'  # a text, not a formula
    assert (cells["takings"], cells["sold"], cells["blocked"], cells["day"]) == (
        "9.50",
        "1",
        "1",
        "",
    )
    assert staff.get("/api/reports/shows/?page_size=5").json[0]["show"] == show
    coming_table = staff.get("/api/reports/shows.csv")
    assert coming_table.mimetype == "text/csv"
    assert coming_table.text.startswith("seats,blocked,sold,occupancy,takings,currency,show,")


def test_the_table_of_coming_shows_is_whole(
    staff: Caller, alice: Caller, make_show: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More shows than a page of the list has, and than are read at a time; of one cinema too."""
    shows = [make_show(starts_in=timedelta(days=1, minutes=n)) for n in range(101)]
    alice.post(f"/api/shows/{shows[-1]}/book/", {"seat_number": "1"})
    monkeypatch.setattr(exports, "STREAMED_ROWS", 50)
    with counted() as statements:
        table = staff.get("/api/reports/shows.csv")
        assert table.is_streamed
        found = list(csv.DictReader(table.text.splitlines()))
    assert [int(row["show"]) for row in found] == shows
    assert [row["sold"] for row in found] == ["0"] * 100 + ["1"]
    assert len([one for one in statements if "FROM show_seat" in one]) == 3
    everywhere = staff.get("/api/reports/shows/?page_size=1").json
    assert {name: str(value) for name, value in everywhere[0].items()} == found[0]
    other = venues.create_cinema(name="Empty", timezone="UTC")["id"]
    for cinema, rows_found in ((1, 101), (other, 0)):
        of_cinema = staff.get(f"/api/reports/shows.csv?cinema={cinema}").text
        assert len(of_cinema.splitlines()) == 1 + rows_found
    assert staff.get("/api/reports/shows.csv?page=1").status_code == 422


def test_the_table_of_coming_shows_is_of_one_moment(
    staff: Caller, alice: Caller, make_show: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sold, moved or deleted while it is read is not in it; and no writer waits for it."""
    first, second, third = (make_show(starts_in=timedelta(days=n)) for n in (1, 2, 3))
    monkeypatch.setattr(exports, "STREAMED_ROWS", 1)
    shows = service.all_coming_shows()
    assert next(shows)["show"] == first
    assert alice.post(f"/api/shows/{second}/book/", {"seat_number": "1"}).status_code == 201
    delete_show(show_id=third)
    assert [(row["show"], row["seats"], row["sold"]) for row in shows] == [
        (second, 10, 0),
        (third, 10, 0),
    ]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("since=2030-01-01", "until"),
        ("until=2030-01-01", "since"),
        ("since=2030-01-02&until=2030-01-01", "until"),
        ("since=2030-01-01&until=2031-01-02", "until"),
        ("since=2030-01-01&until=2030-01-31&by=hour", "by"),
        ("since=x&until=2030-01-31", "since"),
        ("since=0001-01-01&until=9999-12-31", "until"),
    ],
)
def test_a_period_that_cannot_be(staff: Caller, query: str, name: str) -> None:
    answer = staff.get(f"/api/reports/sales/?{query}")
    assert answer.status_code == 422
    assert list(wrong(answer)) == [f"query {name}"]


def test_a_report_takes_two_statements(
    app: Flask, staff: Caller, make_show: Callable[..., int]
) -> None:
    for _ in range(30):
        make_show()
    period = "since=2020-01-01&until=2020-12-31"
    for path in (f"sales/?{period}", "shows/?page_size=100"):
        with counted() as statements:
            assert staff.get(f"/api/reports/{path}").status_code == 200
        assert len(own(statements)) == 2, statements


def test_what_is_over_is_added_up_once(
    alice: Caller, house: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two statements more, some shows at a time; after that the seats are not read again."""
    for n in (1, 2, 3, 4):
        book(alice, house(f"Film {n}", NOON + n * DAY), "A1")
    monkeypatch.setattr(service, "SEATS_ADDED_UP_AT_ONCE", 12)  # seats: of two shows
    monkeypatch.setattr(service, "TURNS", 1)
    over = NOON + 3 * DAY + timedelta(hours=1)  # of the third the hour is just over
    for with_sums, statements_sent in ((2, 4), (3, 4), (3, 2)):
        with counted() as statements:
            report = service.sales(by="movie", **EVERYTHING, now=over)
        assert [row["sold"] for row in report] == [1, 1, 1, 1]
        assert len(statements) == statements_sent, statements
        assert len({row.show_id for row in rows(ShowSum)}) == with_sums
    # Now they are all that is read of those that are over.
    with db.engine.connect() as connection:
        connection.execute(sa.update(ShowSum).values(sold=0))
    assert [r["sold"] for r in service.sales(by="movie", **EVERYTHING, now=over)] == [0, 0, 0, 1]


def test_a_show_larger_than_what_is_added_up_at_once_is_added_up_alone(
    alice: Caller, house: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in (1, 2):
        house(f"Film {n}", NOON + n * DAY)
    house("Film 3", NOON + 3 * DAY)
    monkeypatch.setattr(service, "SEATS_ADDED_UP_AT_ONCE", 1)
    monkeypatch.setattr(service, "TURNS", 2)
    for with_sums in (2, 3):
        service.sales(by="day", **EVERYTHING, now=NOON + 9 * DAY)
        assert len({row.show_id for row in rows(ShowSum)}) == with_sums


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # which has one writer
def test_a_report_is_answered_while_others_write(
    alice: Caller, house: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It adds up for itself, and keeps the sums another time."""
    book(alice, house("Film", NOON + DAY), "A1")
    monkeypatch.setattr("booking_app.core.engines.LOCK_TIMEOUT_SECONDS", 0.01)
    queue: Any = backend(db.engine)
    with queue.queue.thread:
        report = service.sales(by="day", **EVERYTHING, now=NOON + 9 * DAY)
    assert [row["sold"] for row in report] == [1]
    assert rows(ShowSum) == []


def test_a_show_that_began_less_than_an_hour_ago_is_still_added_up(
    alice: Caller, house: Callable[..., int]
) -> None:
    house("Film", NOON + DAY)
    service.sales(by="day", **EVERYTHING, now=NOON + DAY + timedelta(minutes=59))
    assert rows(ShowSum) == []


def test_what_staff_change_of_a_past_show_is_added_up_anew(app: Flask, alice: Caller) -> None:
    """More or fewer seats, another time, and deleting it."""
    values = {"screen_name": "Old", "total_seats": 5, "now": NOON - 9 * DAY}
    film = movies.create_movie(title="Film", duration_minutes=60)["id"]
    shows = [
        create_show(movie_id=film, date_time=NOON - n * DAY, **values)["id"] for n in (1, 2, 3)
    ]
    month = {"since": date(2030, 5, 1), "until": date(2030, 6, 30), "by": "movie", "now": NOON}
    assert service.sales(**month)[0]["seats"] == 15
    assert len(rows(ShowSum)) == 3
    update_show(show_id=shows[0], total_seats=7, now=NOON)
    assert service.sales(**month)[0]["seats"] == 17
    update_show(show_id=shows[0], total_seats=2, now=NOON)
    assert service.sales(**month)[0]["seats"] == 12
    update_show(show_id=shows[1], date_time=NOON + DAY, now=NOON)
    assert service.sales(**month)[0]["seats"] == 12
    assert {row.show_id for row in rows(ShowSum)} == {shows[0], shows[2]}
    delete_show(show_id=shows[2])
    assert service.sales(**month)[0]["seats"] == 7
    assert {row.show_id for row in rows(ShowSum)} == {shows[0]}
    movies.delete_movie(movie_id=film)
    assert rows(ShowSum) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
def test_of_a_show_that_staff_are_changing_no_sums_are_kept(app: Flask) -> None:
    """They would be those from before; and no report waits for it."""
    film = movies.create_movie(title="Film", duration_minutes=60)["id"]
    values = {"screen_name": "Old", "total_seats": 5, "now": NOON - 9 * DAY}
    create_show(movie_id=film, date_time=NOON - DAY, **values)
    month = {"since": date(2030, 5, 1), "until": date(2030, 6, 30), "by": "movie", "now": NOON}
    with db.engine.connect() as connection, begin_writing(connection):
        connection.execute(sa.select(Show.id).with_for_update()).all()
        assert service.sales(**month)[0]["seats"] == 5
    assert rows(ShowSum) == []
    assert service.sales(**month)[0]["seats"] == 5
    assert len(rows(ShowSum)) == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["book", "hold", "cancel", "part", "confirm", "price"]),
        st.integers(0, 2),
        st.sets(st.sampled_from(["A1", "A2", "A3", "A4", "B1", "B2"]), min_size=1, max_size=3),
    ),
    max_size=12,
)


def test_takings_are_those_of_the_bookings_to_the_cent(
    app: Flask, make_caller: Callable[..., Caller]
) -> None:
    """Whatever is done, the reports add up to what the live bookings cost."""

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=STEPS)
    def add_up(steps: list[tuple[str, int, set[str]]]) -> None:
        empty(db.engine)
        alice = make_caller("alice")
        cinema = venues.create_cinema(name="Roxy", timezone="Europe/Vienna")["id"]
        screen = venues.create_screen(name="Saal", rows=PLAN, cinema=cinema).id
        film = movies.create_movie(title="Film", duration_minutes=60)["id"]
        shows = [
            create_show(
                movie_id=film,
                screen=screen,
                date_time=NOON + n * DAY,
                price=Decimal("3.33"),
                prices={"vip": Decimal("10.01")},
                now=NOON,
            )["id"]
            for n in (1, 2, 3)
        ]
        made: list[int] = []
        for what, which, labels in steps:
            who: dict[str, Any] = {"user_id": alice.id, "now": NOON}
            try:
                if what in ("book", "hold"):
                    take = booking.book if what == "book" else booking.hold
                    names = sorted(labels)
                    taken = take(show_id=shows[which], seat_numbers=names, policy=POLICY, **who)
                    made.append(taken.id)
                elif what == "price":
                    update_show(show_id=shows[which], price=Decimal(len(labels)) / 100, now=NOON)
                elif made:
                    mine = made[which % len(made)]
                    if what == "confirm":
                        booking.confirm(booking_id=mine, **who)
                    else:
                        some = sorted(labels) if what == "part" else None
                        booking.cancel(booking_id=mine, seat_numbers=some, **who)
            except (booking.Conflict, booking.Invalid):
                continue
        booked = [b for b in rows(Booking) if b.status == "booked"]
        total = sum(b.total_cents for b in booked)
        sold = sum(not seat.cancelled for b in booked for seat in receipt(b.seats, b.status))
        added_up = {}
        for by in service.GROUPS:
            report = added_up[by] = service.sales(by=by, **EVERYTHING, now=NOON)
            assert sum(row["takings_cents"] for row in report) == total
            assert sum(row["sold"] for row in report) == sold
        # The same once their sums are kept, of the first two and then of all.
        for later, with_sums in ((2.5, 2), (2.5, 2), (9, 3)):
            for by in service.GROUPS:
                kept = service.sales(by=by, **EVERYTHING, now=NOON + later * DAY)
                assert kept == added_up[by]
            assert len({row.show_id for row in rows(ShowSum)}) == with_sums
        coming = service.coming_shows(page=1, page_size=20, now=NOON).items
        assert sum(row["takings_cents"] for row in coming) == total

    add_up()
