"""What is sold to whom: blocked seats, caps, pairs and companions over the API, and staff."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from booking_app.audit.models import AuditEvent
from booking_app.audit.service import Actor
from booking_app.booking import caps, locks, queries, service
from booking_app.booking.policy import BookingPolicy
from booking_app.catalog import blocked_seats, shows, venue_schemas, venues
from booking_app.catalog.blocked_seats import BlockedSeat
from booking_app.catalog.models import ShowSeat, ShowSum
from booking_app.core.database import begin_writing, db
from booking_app.reports import service as reports
from tests.conftest import NOON, Caller, rows
from tests.migrating import release_before_may_serve
from tests.promise import at_once, broken_promises, somebody_waits
from tests.serving import wait_until

HALL = [
    {
        "label": "A",
        "seats": [
            {"number": 1, "kind": "wheelchair"},
            {"number": 2, "kind": "companion"},
            None,
            *(3, 4, 5, 6),
            None,
            *({"number": number, "kind": "pair"} for number in (7, 8, 9, 10)),
        ],
    },
    {"label": "B", "seats": 8},
]
BOSS = Actor(user_id=999, username="boss")
TERMS = {"starts_in": timedelta(hours=5), "now": NOON}


@pytest.fixture
def hall(app: Flask, make_movie: Callable[..., int]) -> int:
    """A show of the hall, five hours after noon."""
    cinema = venues.create_cinema(name="Roxy", timezone="UTC")["id"]
    screen = venues.create_screen(
        name="Saal", rows=venue_schemas.PlanRow(many=True).load(HALL), cinema=cinema
    )
    at = NOON + timedelta(hours=5)
    made = shows.create_show(movie_id=make_movie(), screen=screen.id, date_time=at, now=NOON)
    return int(made["id"])


def statuses(client: Any, show: int) -> dict[str, str]:
    shown = client.get(f"/api/shows/{show}/seats/").json
    return {seat["seat_number"]: seat["status"] for row in shown["rows"] for seat in row["seats"]}


def refusal(answer: Any) -> tuple[int, str, Any]:
    return (answer.status_code, answer.json["code"], answer.json.get("seats"))


# --- pairs ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_2030")
def test_one_seat_of_a_pair_is_neither_sold_nor_cancelled_nor_blocked(
    alice: Caller, staff: Caller, hall: int
) -> None:
    path = f"/api/shows/{hall}/"
    for call in ("book", "hold"):
        refused = alice.post(f"{path}{call}/", {"seat_numbers": ["A10", "A8", "B1"]})
        assert refusal(refused) == (409, "pair_split", ["A7", "A9"])
    booked = alice.post(f"{path}book/", {"seat_numbers": ["A7", "A8", "B1"]}).json
    cancel = f"/api/bookings/{booked['id']}/cancel/"
    refused = alice.post(cancel, {"seat_numbers": ["A8", "B1"]})
    assert refusal(refused) == (409, "pair_split", ["A7"])
    assert alice.post(cancel, {"seat_numbers": ["A8", "A7"]}).status_code == 200
    refused = staff.put(
        f"{path}blocked-seats/", {"seats": [{"seat_number": "A9", "kind": "house"}]}
    )
    assert refusal(refused) == (409, "pair_split", ["A10"])


# --- companions -----------------------------------------------------------------------------


def test_a_companion_seat_goes_with_a_wheelchair_place_of_the_account(
    app: Flask, alice: Caller, bob: Caller, hall: int
) -> None:
    book = partial(service.book, show_id=hall, now=NOON)
    with pytest.raises(service.seats.CompanionOnly) as refused:
        book(user_id=alice.id, seat_numbers=["A2"])
    assert refused.value.facts["seats"] == ["A2"]
    book(user_id=bob.id, seat_numbers=["A1"])
    with pytest.raises(service.seats.CompanionOnly):
        book(user_id=alice.id, seat_numbers=["A2"])
    assert book(user_id=bob.id, seat_numbers=["A2", "B1"]).labels == ["A2", "B1"]


def test_with_it_or_later_it_is_sold(app: Flask, alice: Caller, hall: int) -> None:
    held = service.hold(user_id=alice.id, show_id=hall, seat_numbers=["A1", "A2"], now=NOON)
    service.cancel(user_id=alice.id, booking_id=held.id, now=NOON)
    policy = BookingPolicy(companion_release_minutes=60)
    begins = NOON + timedelta(hours=5)
    book = partial(service.book, user_id=alice.id, show_id=hall, policy=policy)
    just_before = begins - timedelta(minutes=60, microseconds=1)
    with pytest.raises(service.seats.CompanionOnly):
        book(seat_numbers=["A2"], now=just_before)
    assert book(seat_numbers=["A2"], now=begins - timedelta(minutes=60)).labels == ["A2"]


@pytest.mark.usefixtures("in_2030")
def test_the_best_seats_are_neither_unless_asked_for(alice: Caller, hall: int) -> None:
    path = f"/api/shows/{hall}/book/"
    taken = alice.post(path, {"quantity": 8}).json["seat_numbers"]
    assert taken == [f"B{number}" for number in range(1, 9)]
    assert alice.post(path, {"quantity": 3}).json["seat_numbers"] == ["A4", "A5", "A6"]
    beside = alice.post(path, {"quantity": 2, "accessible": 1}).json["seat_numbers"]
    assert beside == ["A1", "A2"]
    none = alice.post(path, {"quantity": 1, "accessible": 1})
    assert (none.json["code"], none.json["largest_block"]) == ("no_adjacent_seats", 0)
    wrong = alice.post(path, {"quantity": 1, "accessible": 2})
    assert wrong.status_code == 422


@pytest.mark.usefixtures("in_2030")
def test_a_party_is_split_only_where_it_says_so(alice: Caller, bob: Caller, hall: int) -> None:
    path = f"/api/shows/{hall}/book/"
    bob.post(path, {"seat_numbers": ["B5"]})
    alone = alice.post(path, {"quantity": 6})
    assert (alone.json["code"], alone.json["largest_block"]) == ("no_adjacent_seats", 4)
    party = alice.post(path, {"quantity": 6, "split": True})
    assert party.status_code == 201, party.text
    assert len(party.json["seat_numbers"]) == 6
    assert broken_promises() == []


# --- blocked seats --------------------------------------------------------------------------


@pytest.mark.usefixtures("in_2030")
def test_blocked_seats_are_sold_by_staff_or_by_nobody(
    client: FlaskClient, alice: Caller, staff: Caller, hall: int
) -> None:
    path = f"/api/shows/{hall}/"
    body = {
        "seats": [
            {"seat_number": "B2", "kind": "out_of_order", "reason": "The spring is broken."},
            {"seat_number": "B1", "kind": "house"},
        ]
    }
    assert alice.put(f"{path}blocked-seats/", body).status_code == 403
    assert alice.get(f"{path}blocked-seats/").status_code == 403
    blocked = staff.put(f"{path}blocked-seats/", body).json
    assert blocked == {
        "show": hall,
        "seats": [
            {"seat_number": "B1", "kind": "house", "reason": None},
            {"seat_number": "B2", "kind": "out_of_order", "reason": "The spring is broken."},
        ],
    }
    assert staff.get(f"{path}blocked-seats/").json == blocked
    shown = statuses(client, hall)
    assert (shown["B1"], shown["B2"], shown["B3"]) == ("blocked", "blocked", "available")
    assert client.get(path).json["available_seats"] == 16
    assert "spring" not in client.get(f"{path}seats/").text

    refused = alice.post(f"{path}book/", {"seat_numbers": ["B3", "B2", "B1"]})
    assert refusal(refused) == (409, "seat_taken", ["B1", "B2"])
    refused = staff.post(f"{path}book/", {"seat_numbers": ["B1", "B2"]})
    assert refusal(refused) == (409, "seat_taken", ["B2"])
    assert alice.post(f"{path}book/", {"quantity": 7}).json["code"] == "no_adjacent_seats"
    booked = staff.post(f"{path}book/", {"seat_number": "B1", "username": "alice"}).json
    assert booked["user"] == alice.id
    assert statuses(client, hall)["B1"] == "booked"
    lifted = [event.before for event in rows(AuditEvent) if event.action == "show.changed"][-1]
    assert lifted == {"blocked_seats": [{"seat_number": "B1", "kind": "house", "reason": None}]}
    assert alice.post(f"/api/bookings/{booked['id']}/cancel/").status_code == 200
    assert statuses(client, hall)["B1"] == "available", "the block was lifted"

    sold = alice.post(f"{path}book/", {"seat_numbers": ["B3", "B4"]}).json
    body = {"seats": [{"seat_number": f"B{number}", "kind": "house"} for number in (3, 4, 5)]}
    refused = staff.put(f"{path}blocked-seats/", body)
    assert refusal(refused) == (409, "seats_sold", ["B3", "B4"])
    assert alice.post(f"/api/bookings/{sold['id']}/cancel/").status_code == 200
    assert staff.put(f"{path}blocked-seats/", body).status_code == 200
    assert statuses(client, hall)["B2"] == "available", "what is not named is for sale"
    unknown = {"seats": [{"seat_number": "Z1", "kind": "house"}]}
    assert staff.put(f"{path}blocked-seats/", unknown).status_code == 422
    twice = {"seats": [{"seat_number": "B8", "kind": "house"}] * 2}
    assert staff.put(f"{path}blocked-seats/", twice).status_code == 422
    assert staff.put(f"{path}blocked-seats/", {"seats": []}).json["seats"] == []


@pytest.mark.usefixtures("in_2030")
def test_a_screen_s_broken_seats_are_blocked_in_its_shows(
    client: FlaskClient, alice: Caller, staff: Caller, hall: int
) -> None:
    path = f"/api/shows/{hall}/"
    screen = f"/api/screens/{staff.get(path).json['screen']}/"
    sold = alice.post(f"{path}book/", {"seat_number": "B1"}).json
    changed = staff.patch(screen, {"out_of_order": ["B2", "B1"]}).json
    assert changed["out_of_order"] == ["B1", "B2"]
    (still,) = changed["still_sold"]
    assert (still["show"], still["seat_numbers"]) == (hall, ["B1"])
    shown = statuses(client, hall)
    assert (shown["B1"], shown["B2"]) == ("booked", "blocked")
    alice.post(f"/api/bookings/{sold['id']}/cancel/")
    assert statuses(client, hall)["B1"] == "available"
    again = staff.patch(screen, {"out_of_order": ["B1", "B2"]}).json
    assert again["still_sold"] == []
    assert statuses(client, hall)["B1"] == "blocked"
    film = staff.get(path).json["movie"]
    body = {"screen": staff.get(path).json["screen"], "date_time": "2030-09-01T20:00:00Z"}
    later = staff.post(f"/api/movies/{film}/shows/", body).json
    assert later["available_seats"] == later["total_seats"] - 2
    back = staff.patch(screen, {"out_of_order": []}).json
    assert back["still_sold"] == []
    assert statuses(client, hall)["B2"] == "available"
    assert statuses(client, later["id"])["B1"] == "available"
    assert staff.patch(screen, {"out_of_order": ["Z1"]}).status_code == 422
    refused = staff.patch(screen, {"out_of_order": ["A7"]})
    assert refusal(refused) == (409, "pair_split", ["A8"])
    # A show keeps the pairs of the plan that it copied.
    single = [{"label": "A", "seats": [7]}, {"label": "B", "seats": 8}]
    staff.patch(screen, {"rows": single, "out_of_order": ["A7"]})
    shown = statuses(client, hall)
    assert (shown["A7"], shown["A8"]) == ("blocked", "blocked")
    staff.patch(screen, {"out_of_order": []})
    shown = statuses(client, hall)
    assert (shown["A7"], shown["A8"]) == ("available", "available")
    staff.patch(screen, {"out_of_order": ["B2"]})
    gone = staff.patch(screen, {"rows": [{"label": "C", "seats": 2}]})
    assert gone.status_code == 422
    assert "B2" in gone.text


@pytest.mark.usefixtures("in_2030")
def test_no_seat_is_blocked_while_the_release_before_may_serve(staff: Caller, hall: int) -> None:
    path = f"/api/shows/{hall}/blocked-seats/"
    body = {"seats": [{"seat_number": "B1", "kind": "house"}]}
    screen = f"/api/screens/{staff.get(f'/api/shows/{hall}/').json['screen']}/"
    with release_before_may_serve():
        assert staff.put(path, body).json["code"] == "upgrade_unfinished"
        refused = staff.patch(screen, {"out_of_order": ["B1"]})
        assert refused.json["code"] == "upgrade_unfinished"
        assert staff.put(path, {"seats": []}).status_code == 200


@pytest.mark.promise
def test_a_seat_is_blocked_or_sold_but_not_both(
    app: Flask, alice: Caller, make_show: Callable[..., int], rounds: Callable[[int, int], int]
) -> None:
    """Staff block it while a customer books it: one of the two is refused."""
    outcomes = set()
    for _ in range(rounds(40, 10)):
        show = make_show(total_seats=1, **TERMS)

        def block(show: int = show) -> None:
            seats = [BlockedSeat("1", "out_of_order")]
            blocked_seats.set_blocked_seats(show_id=show, seats=seats, now=NOON)

        buy = partial(service.book, user_id=alice.id, show_id=show, seat_number="1", now=NOON)
        outcomes.add(tuple(at_once(app, block, buy)))
        (seat,) = [seat for seat in rows(ShowSeat) if seat.show_id == show]
        assert (seat.blocked is None) != (seat.booking_id is None)
    assert outcomes <= {("done", "seat_taken"), ("seats_sold", "done")}
    assert broken_promises(NOON) == []


# --- caps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("in_time", [service.confirm, service.extend])
def test_a_hold_that_is_kept_in_the_last_second_counts(
    app: Flask, alice: Caller, make_show: Callable[..., int], in_time: Callable[..., Any]
) -> None:
    """Who books in the next second waits for it, rather than take it for one that has ended."""
    show = make_show(total_seats=4, **TERMS)
    shows.update_show(show_id=show, max_seats_per_account=2, now=NOON)
    held = service.hold(user_id=alice.id, show_id=show, seat_numbers=["1", "2"], now=NOON)
    end = NOON + timedelta(minutes=10)

    def book() -> None:
        with app.app_context():
            after = end + timedelta(seconds=1)
            service.book(user_id=alice.id, show_id=show, seat_numbers=["3", "4"], now=after)

    with ThreadPoolExecutor(1) as pool:
        with db.engine.connect() as connection, begin_writing(connection):
            before = end - timedelta(seconds=1)
            keep: Any = in_time
            keep.within(connection, user_id=alice.id, booking_id=held.id, now=before)
            booked = pool.submit(book)
            wait_until(lambda: booked.done() or somebody_waits())
        with pytest.raises(caps.TooManySeats):
            booked.result()


def test_an_account_has_at_most_so_many_seats_of_a_show(
    app: Flask, alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(total_seats=30, **TERMS)
    shows.update_show(show_id=show, max_seats_per_account=4, now=NOON)
    taken = {"user_id": alice.id, "show_id": show, "now": NOON}
    first = service.book(seat_numbers=["1", "2", "3"], **taken)
    with pytest.raises(caps.TooManySeats) as refused:
        service.book(seat_numbers=["4", "5"], **taken)
    assert (refused.value.facts["held"], refused.value.facts["most"]) == (3, 4)
    service.hold(seat_numbers=["4"], **taken)
    with pytest.raises(caps.TooManySeats):
        service.hold(quantity=1, **taken)
    with pytest.raises(caps.TooManySeats):
        service.book(seat_number="9", by=BOSS, **taken)
    over = service.book(seat_number="9", by=BOSS, over_cap=True, **taken)
    assert [event.after.get("over_cap") for event in rows(AuditEvent)][-1] is True
    own = Actor(user_id=alice.id, username="alice")
    no_customer = service.book(seat_number="10", by=own, **taken)
    service.cancel(user_id=alice.id, booking_id=no_customer.id, now=NOON)
    service.cancel(user_id=alice.id, booking_id=first.id, seat_numbers=["1", "2"], now=NOON)
    service.cancel(user_id=alice.id, booking_id=over.id, now=NOON)
    # The hold is over after ten minutes, and counts no more.
    later = {**taken, "now": NOON + timedelta(minutes=11)}
    assert service.book(seat_numbers=["20", "21", "22"], **later).labels == ["20", "21", "22"]
    shows.update_show(show_id=show, max_seats_per_account=None, now=NOON)
    assert service.book(quantity=6, **later).labels


@pytest.mark.promise
def test_the_cap_holds_for_many_bookings_at_once(
    app: Flask, alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(total_seats=40, **TERMS)
    shows.update_show(show_id=show, max_seats_per_account=4, now=NOON)
    taken = {"user_id": alice.id, "show_id": show, "now": NOON}
    calls = [
        partial(service.hold if seat % 2 else service.book, seat_number=str(seat), **taken)
        for seat in range(1, 17)
    ]
    outcomes = at_once(app, *calls)
    assert sorted(outcomes) == ["done"] * 4 + ["too_many_seats"] * 12


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_without_the_account_s_lock_the_cap_would_not_hold(
    app: Flask,
    alice: Caller,
    make_show: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same calls, none of them waiting for another's account."""
    monkeypatch.setattr(service, "lock_row", lambda *args: None)
    monkeypatch.setattr(service, "may_wait", lambda connection: True)
    for _ in range(20):
        show = make_show(total_seats=40, **TERMS)
        shows.update_show(show_id=show, max_seats_per_account=4, now=NOON)
        taken = {"user_id": alice.id, "show_id": show, "now": NOON}
        calls = [partial(service.book, seat_number=str(seat), **taken) for seat in range(1, 17)]
        if at_once(app, *calls).count("done") > 4:
            return
    pytest.fail("the race never occurred")


# --- staff ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_2030")
def test_staff_book_for_any_account_and_see_its_bookings(
    alice: Caller, bob: Caller, staff: Caller, show_id: int
) -> None:
    path = f"/api/shows/{show_id}/"
    for forbidden in ({"user": bob.id}, {"username": "bob"}, {"over_cap": True}):
        refused = alice.post(f"{path}book/", {"seat_number": "1", **forbidden})
        assert (refused.status_code, refused.json["code"]) == (403, "staff_only")
    booked = staff.post(f"{path}book/", {"seat_number": "1", "user": bob.id}).json
    held = staff.post(f"{path}hold/", {"seat_number": "2", "username": "BOB"}).json
    assert (booked["user"], held["user"]) == (bob.id, bob.id)
    assert staff.post(f"{path}book/", {"seat_number": "3", "user": 99}).status_code == 422
    assert staff.post(f"{path}book/", {"seat_number": "3", "username": "x"}).status_code == 422
    both = {"seat_number": "3", "username": "bob", "user": bob.id}
    assert staff.post(f"{path}book/", both).status_code == 422
    assert staff.post(f"/api/bookings/{held['id']}/extend/").status_code == 200
    assert staff.post(f"/api/bookings/{held['id']}/confirm/").json["status"] == "booked"
    assert staff.get(f"/api/bookings/{booked['id']}/").json == booked
    assert alice.get(f"/api/bookings/{booked['id']}/").status_code == 403
    assert bob.get("/api/my-bookings/").json[1] == booked
    assert staff.post(f"/api/bookings/{booked['id']}/cancel/").json["status"] == "cancelled"
    done = [(event.action, event.actor_name) for event in rows(AuditEvent)]
    assert [one for one in done if one[0].startswith("booking.")] == [
        ("booking.created", "staff"),
        ("booking.held", "staff"),
        ("booking.extended", "staff"),
        ("booking.confirmed", "staff"),
        ("booking.cancelled", "staff"),
    ]


@pytest.mark.usefixtures("in_2030")
def test_staff_list_everybody_s_bookings(
    alice: Caller, bob: Caller, staff: Caller, make_show: Callable[..., int]
) -> None:
    first, second = make_show(), make_show()
    mine = alice.post(f"/api/shows/{first}/book/", {"seat_number": "1"}).json
    theirs = bob.post(f"/api/shows/{second}/hold/", {"seat_number": "1"}).json
    assert alice.get("/api/bookings/").status_code == 403

    def found(**query: Any) -> list[int]:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        return [booking["id"] for booking in staff.get(f"/api/bookings/?{asked}").json]

    assert found() == [theirs["id"], mine["id"]]
    assert found(show=first) == [mine["id"]]
    assert found(user=bob.id) == [theirs["id"]]
    assert found(status="held") == [theirs["id"]]
    assert found(reference=mine["reference"].lower()) == [mine["id"]]
    assert found(search=mine["reference"][2:6].lower(), user=alice.id) == [mine["id"]]
    assert found(search="ALI") == [mine["id"]]
    assert found(search="100%25") == []
    assert found(page_size=1) == [theirs["id"]]


def test_cut_offs_and_the_start_do_not_bind_staff(
    app: Flask, alice: Caller, make_show: Callable[..., int]
) -> None:
    show = make_show(total_seats=120, **TERMS)
    policy = BookingPolicy(cancel_cutoff_minutes=60, max_seats=10, max_seats_staff=100)
    begun = NOON + timedelta(hours=6, minutes=30)
    of_alice = {"user_id": alice.id, "show_id": show, "policy": policy}
    booked = service.book(seat_numbers=["1", "2"], now=NOON, **of_alice)
    sold = reports.sales(by="movie", since=NOON.date(), until=NOON.date(), now=begun)
    assert [row["sold"] for row in sold] == [2]
    assert len(rows(ShowSum)) == 1, "kept, for the show is over for reports"

    with pytest.raises(locks.SalesClosed):
        service.book(seat_number="9", now=begun, **of_alice)
    walk_in = service.book(seat_number="9", now=begun, by=BOSS, **of_alice)
    assert rows(ShowSum) == [], "to be added up anew"
    held = service.hold(seat_number="10", now=begun, by=BOSS, **of_alice)
    assert held.expires_at == begun + timedelta(minutes=10)
    more = {"booking_id": held.id, "user_id": 0, "by": BOSS}
    later = begun + timedelta(minutes=5)
    extended = service.extend(policy=policy, now=later, **more)
    assert extended.expires_at == later + timedelta(minutes=10)
    assert service.confirm(now=later, **more).status == "booked"
    with pytest.raises(service.TooLate):
        service.cancel(user_id=alice.id, booking_id=booked.id, policy=policy, now=begun)
    service.cancel(user_id=0, booking_id=booked.id, policy=policy, by=BOSS, now=begun)
    sold = reports.sales(by="movie", since=NOON.date(), until=NOON.date(), now=begun)
    assert [row["sold"] for row in sold] == [2]
    assert queries.get_any_booking(booking_id=walk_in.id, now=begun).status == "booked"

    class_ = [str(number) for number in range(11, 111)]
    assert len(service.hold(seat_numbers=class_, now=NOON, by=BOSS, **of_alice).labels) == 100
    with pytest.raises(caps.TooManyHolds):
        service.hold(seat_numbers=["111"], now=NOON, by=BOSS, **of_alice)
    assert broken_promises(begun) == []


def test_the_seats_row_decides_about_the_block(
    app: Flask, alice: Caller, make_show: Callable[..., int]
) -> None:
    """A customer's update takes no blocked seat even where the look before it saw none."""
    show = make_show(total_seats=2, **TERMS)
    seats = [BlockedSeat("1", "house")]
    blocked_seats.set_blocked_seats(show_id=show, seats=seats, now=NOON)
    from booking_app.booking.queries import BookedSeat
    from booking_app.booking.seats import Sale, SeatTaken, take
    from booking_app.core.database import write_transaction

    def bypassing(connection: sa.Connection, is_staff: bool) -> None:
        sale = Sale(show, alice.id, is_staff, True, NOON)
        lines = [BookedSeat("1", 950)]
        take(connection, sale=sale, booking_id=booking.id, seats=lines, held_until=None)

    booking = service.book(user_id=alice.id, show_id=show, seat_number="2", now=NOON)
    with pytest.raises(SeatTaken):
        write_transaction(lambda connection: bypassing(connection, False))
    write_transaction(lambda connection: bypassing(connection, True))
