"""`flask check-integrity`: each way in which tables can disagree is named, and none where all
agree, also in the middle of a sale."""

import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.booking import service
from booking_app.booking.models import Booking
from booking_app.core.database import db, write_transaction
from booking_app.core.errors import DomainError
from booking_app.reports import integrity
from booking_app.reports.service import sales
from tests.conftest import Caller, make_app, rows
from tests.promise import PROCESSES
from tests.serving import wait_until

HOUR = timedelta(hours=1)


def check(app: Flask) -> tuple[int, list[str]]:
    """The command's exit status and the lines that it prints, references and times as `@`."""
    done = app.test_cli_runner().invoke(args=["check-integrity"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    output = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "@", done.output)
    return done.exit_code, re.sub(r"\([0-9A-Z]{10}\)", "@", output).splitlines()


def corrupt(*statements: str) -> None:
    """Run the statements on a connection that does not look at foreign keys."""
    sqlite = db.engine.dialect.name == "sqlite"
    off, on = ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON")
    if not sqlite:
        off, on = "SET session_replication_role = replica", "RESET session_replication_role"
    with db.engine.connect() as connection:
        try:
            connection.exec_driver_sql(off)
        except sa.exc.ProgrammingError:
            pytest.skip("the user of TEST_DATABASE_URL is no superuser")
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount > 0, statement
        connection.exec_driver_sql(on)


@pytest.fixture
def house(alice: Caller, bob: Caller, make_show: Callable[..., int]) -> None:
    """Show 1 to come and show 2 that is over, with bookings in every state."""
    show, past = make_show(), make_show(starts_in=timedelta(days=-2))
    now = datetime.now(UTC)

    def take(caller: Caller, *labels: str, at: datetime = now, hold: bool = False) -> None:
        how = service.hold if hold else service.book
        how(user_id=caller.id, show_id=show, seat_numbers=labels, now=at)

    booked = {"seat_numbers": ["1", "2"]}
    alice.post(f"/api/shows/{show}/book/", booked, headers={"Idempotency-Key": "first"})
    take(bob, "3", "4")
    service.cancel(user_id=bob.id, booking_id=2, seat_numbers=["4"])
    take(alice, "5", hold=True)
    take(bob, "6", at=now - HOUR, hold=True)
    take(alice, "7", at=now - HOUR, hold=True)
    take(bob, "7")
    take(alice, "8")
    service.cancel(user_id=alice.id, booking_id=7)
    service.book(user_id=alice.id, show_id=past, seat_number="1", now=now - timedelta(days=3))
    sales(by="day", since=now.date() - timedelta(days=4), until=now.date())
    states = ["booked", "booked", "held", "held", "held", "booked", "cancelled", "booked"]
    assert [booking.status for booking in rows(Booking)] == states


def test_a_database_in_which_all_agree(app: Flask, house: None) -> None:
    assert check(app) == (0, ["checked 2 shows, 20 seats, 8 bookings: all agree."])


def test_an_empty_database(app: Flask) -> None:
    assert check(app) == (0, ["checked 0 shows, 0 seats, 0 bookings: all agree."])


def seat(label: int, changes: str) -> str:
    return f"UPDATE show_seat SET {changes} WHERE show_id = 1 AND label = '{label}'"


def booking(number: int, changes: str) -> str:
    return f"UPDATE booking SET {changes} WHERE id = {number}"


SEAT_1 = '{"seat_number": "1", "price_cents": 950, "cancelled": false}'
NOT_ON_RECEIPT = "its owner, booking 1 @, does not have it on its receipt"
SOME_TIME = "'2000-01-01 00:00:00.000000'"


def reports(sold: str, *, receipts: str = "4 sold for 3800 minor units") -> str:
    return f"show 1: reports have {sold}, the receipts {receipts}"


CASES: dict[str, tuple[str, list[str]]] = {
    "a booked seat is free": (
        seat(1, "booking_id = NULL"),
        ["booking 1 @: seat 1/1 is nobody's", reports("3 sold for 2850 minor units")],
    ),
    "a booked seat is another's": (
        seat(1, "booking_id = 2"),
        [
            "booking 1 @: seat 1/1 is booking 2's",
            "seat 1/1: its owner, booking 2 @, does not have it on its receipt",
        ],
    ),
    "a booked seat is of a booking of another show": (
        seat(1, "booking_id = 8"),
        [
            "booking 1 @: seat 1/1 is booking 8's",
            "seat 1/1: its owner, booking 8 @, is of show 2",
        ],
    ),
    "a booked seat does not exist": (
        "DELETE FROM show_seat WHERE show_id = 1 AND label = '1'",
        [
            "booking 1 @: seat 1/1 does not exist",
            "show 1: total_seats is 10, it has 9 seats",
            reports("3 sold for 2850 minor units"),
        ],
    ),
    "a booked seat is held": (
        seat(1, f"held_until = {SOME_TIME}"),
        [
            "booking 1 @: is booked, its seat 1/1 is held until @",
            reports("3 sold for 2850 minor units"),
        ],
    ),
    "a booked seat has another price": (
        seat(1, "price_cents = 800"),
        [
            "booking 1 @: seat 1/1 costs 950 on its receipt, 800 in its row",
            reports("4 sold for 3650 minor units"),
        ],
    ),
    "a booked seat has no price": (
        seat(1, "price_cents = NULL"),
        [
            "booking 1 @: seat 1/1 costs 950 on its receipt, no price in its row",
            reports("4 sold for 2850 minor units"),
        ],
    ),
    "a held seat is free": (
        seat(5, "booking_id = NULL, held_until = NULL"),
        ["booking 3 @: seat 1/5 is nobody's"],
    ),
    "a held seat is another's": (
        seat(5, "booking_id = 4"),
        [
            "booking 3 @: seat 1/5 is booking 4's",
            "seat 1/5: its owner, booking 4 @, does not have it on its receipt",
        ],
    ),
    "a held seat is booked": (
        seat(5, "held_until = NULL"),
        [
            "booking 3 @: is held until @, its seat 1/5 is booked",
            reports("5 sold for 4750 minor units"),
        ],
    ),
    "a held seat has another end": (
        seat(5, f"held_until = {SOME_TIME}"),
        ["booking 3 @: is held until @, its seat 1/5 is held until @"],
    ),
    "the seat of an expired hold is booked": (
        seat(6, "held_until = NULL"),
        [
            "booking 4 @: is held until @, its seat 1/6 is booked",
            reports("5 sold for 4750 minor units"),
        ],
    ),
    "a seat is a cancelled booking's": (
        seat(8, "booking_id = 7"),
        ["seat 1/8: its owner, booking 7 @, is cancelled", reports("5 sold for 4750 minor units")],
    ),
    "a booking with seats is cancelled": (
        booking(1, "status = 'cancelled'"),
        [
            "seat 1/1: its owner, booking 1 @, is cancelled",
            "seat 1/2: its owner, booking 1 @, is cancelled",
            reports("4 sold for 3800 minor units", receipts="2 sold for 1900 minor units"),
        ],
    ),
    "a seat was given back": (
        seat(4, "booking_id = 2"),
        [
            "seat 1/4: its owner, booking 2 @, has given it back",
            reports("5 sold for 4750 minor units"),
        ],
    ),
    "a seat's owner does not exist": (
        seat(9, "booking_id = 99"),
        ["seat 1/9: its owner, booking 99, does not exist", reports("5 sold for 3800 minor units")],
    ),
    "a hold is booked": (
        booking(3, "status = 'booked', expires_at = NULL"),
        [
            "booking 3 @: is booked, its seat 1/5 is held until @",
            reports("4 sold for 3800 minor units", receipts="5 sold for 4750 minor units"),
        ],
    ),
    "a seat is promised twice": (
        booking(2, "seats = (SELECT seats FROM booking WHERE id = 1), total_cents = 1900"),
        [
            "seat 1/1: promised to booking 1 @ and to booking 2 @",
            "booking 2 @: seat 1/1 is booking 1's",
            "seat 1/2: promised to booking 1 @ and to booking 2 @",
            "booking 2 @: seat 1/2 is booking 1's",
            "seat 1/3: its owner, booking 2 @, does not have it on its receipt",
            reports("4 sold for 3800 minor units", receipts="5 sold for 4750 minor units"),
        ],
    ),
    "a total": (
        booking(1, "total_cents = 0"),
        ["booking 1 @: its total is 0, its seats cost 1900 minor units"],
    ),
    "a booking without seats": (
        booking(1, "seats = '[]', total_cents = 0"),
        [
            "booking 1 @: is booked, and has no seat",
            f"seat 1/1: {NOT_ON_RECEIPT}",
            f"seat 1/2: {NOT_ON_RECEIPT}",
            reports("4 sold for 3800 minor units", receipts="2 sold for 1900 minor units"),
        ],
    ),
    "a receipt that names a seat twice": (
        booking(1, f"seats = '[{SEAT_1}, {SEAT_1}]'"),
        [
            "booking 1 @: its receipt names seat 1 2 times",
            f"seat 1/2: {NOT_ON_RECEIPT}",
        ],
    ),
    "a receipt that is none": (
        booking(1, """seats = '{"seat_number": "1"}'"""),
        [
            "booking 1 @: its receipt can't be read",
            f"seat 1/1: {NOT_ON_RECEIPT}",
            f"seat 1/2: {NOT_ON_RECEIPT}",
            reports("4 sold for 3800 minor units", receipts="2 sold for 1900 minor units"),
        ],
    ),
    "a booking with an end": (
        booking(1, f"expires_at = {SOME_TIME}"),
        ["booking 1 @: is booked, and ends at @"],
    ),
    "a hold without an end": (
        booking(3, "expires_at = NULL"),
        ["booking 3 @: is held, and has no end"],
    ),
    "the number of seats": (
        "UPDATE show SET total_seats = 11 WHERE id = 1",
        ["show 1: total_seats is 11, it has 10 seats"],
    ),
    "sums that are kept": (
        "UPDATE show_sum SET takings_cents = 0",
        [
            "show 2: the sums kept of category 'standard' are 10 seats, 0 blocked, 1 sold "
            "for 0 minor units; those of its seats 10 seats, 0 blocked, 1 sold for 950 "
            "minor units",
            "show 2: reports have 1 sold for 0 minor units, the receipts 1 sold for 950 "
            "minor units",
        ],
    ),
    "blocked seats of sums": (
        "UPDATE show_sum SET blocked = 1",
        [
            "show 2: the sums kept of category 'standard' are 10 seats, 1 blocked, 1 sold "
            "for 950 minor units; those of its seats 10 seats, 0 blocked, 1 sold for 950 "
            "minor units",
        ],
    ),
    "the category of sums": (
        "UPDATE show_sum SET category = 'vip'",
        [
            "show 2: the sums kept of category 'standard' are 0 seats, 0 blocked, 0 sold "
            "for 0 minor units; those of its seats 10 seats, 0 blocked, 1 sold for 950 "
            "minor units",
            "show 2: the sums kept of category 'vip' are 10 seats, 0 blocked, 1 sold for 950 "
            "minor units; those of its seats 0 seats, 0 blocked, 0 sold for 0 minor units",
        ],
    ),
    "a booking's account does not exist": (
        booking(1, "user_id = 99"),
        ["booking 1: user_id 99 is no user_account"],
    ),
    "a booking's show does not exist": (
        booking(7, "show_id = 99"),
        ["booking 7: show_id 99 is no show"],
    ),
    "a seat's show does not exist": (
        "INSERT INTO show_seat (show_id, label, position) VALUES (99, 'A1', 1)",
        ["show_seat 99/A1: show_id 99 is no show"],
    ),
    "a kept answer of no booking": (
        booking(1, "reference = 'ANOTHER000'"),
        ["Idempotency-Key 'first' of account 1: its answer gives booking 1 @, which is not there"],
    ),
    "a kept answer that is none": (
        "UPDATE idempotency_key SET body = '{'",
        ["Idempotency-Key 'first' of account 1: its answer can't be read"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_disagreement_is_named(app: Flask, house: None, case: str) -> None:
    statement, lines = CASES[case]
    corrupt(statement)
    status, (*named, summary) = check(app)
    assert (status, named) == (1, lines)
    found = f"{len(lines)} disagreement{'s' * (len(lines) > 1)}."
    assert re.fullmatch(rf"checked 2 shows, \d+ seats, \d bookings: {found}", summary), summary


def test_in_the_smallest_batches_the_same_is_found(
    app: Flask, house: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [
        statement for name, (statement, _) in CASES.items() if "sums" in name or "total" in name
    ]
    corrupt(*every, seat(3, "booking_id = 99"), seat(1, "booking_id = 99"))
    at_once = check(app)
    for name, size in (("SHOWS_AT_ONCE", 1), ("SEATS_AT_ONCE", 1), ("ROWS_AT_ONCE", 1)):
        with monkeypatch.context() as patched:
            patched.setattr(integrity, name, size)
            patched.setattr(integrity, "STREAMED", {"yield_per": size})
            assert check(app) == at_once
    assert at_once[0] == 1


@pytest.fixture
def revision(app: Flask) -> Iterator[Callable[[str], None]]:
    """Sets the revision that the database says it has; afterwards it is as before."""
    update = sa.text("UPDATE alembic_version SET version_num = :revision")

    def set_revision(revision: str) -> None:
        write_transaction(lambda connection: connection.execute(update, {"revision": revision}))

    with db.engine.connect() as connection:
        before = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    yield set_revision
    set_revision(before)


def test_a_schema_that_does_not_fit(
    app: Flask, house: None, revision: Callable[[str], None]
) -> None:
    revision("9999")
    status, (named, summary) = check(app)
    assert (status, summary[-17:]) == (1, ": 1 disagreement.")
    assert named.startswith("schema: 9999 is unknown to this release, whose latest is 0")
    revision("0001")
    status, lines = check(app)
    assert (status, len(lines)) == (2, 1)
    assert "schema is 0001, this release needs 0" in lines[0]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_broken_file_is_named(app: Flask, house: None, tmp_path: Path) -> None:
    """An index of a copy misses a row."""
    file = tmp_path / "broken.db"
    with db.engine.connect() as connection:
        connection.exec_driver_sql(f"VACUUM INTO '{file}'")
    broken = make_app(f"sqlite:///{file}")
    with broken.app_context():
        with db.engine.connect() as connection:
            for statement in (
                "PRAGMA writable_schema = ON",
                "UPDATE sqlite_master SET sql = sql || ' WHERE id <> 3'"
                " WHERE name = 'ix_booking_show_id'",
                "PRAGMA writable_schema = RESET",
                booking(3, "show_id = show_id + 0"),
            ):
                connection.exec_driver_sql(statement)
        status, lines = check(broken)
        db.engine.dispose()
    assert status == 1
    assert [line for line in lines if line.startswith("file: ")], lines


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://nobody@127.0.0.1:1/none", "The database can't be used"),
        ("sqlite:///{folder}/new.db", "The database can't be used"),
        ("sqlite:///{folder}/empty.db", "The database has no tables yet"),
    ],
)
def test_a_database_that_can_not_be_checked(tmp_path: Path, url: str, reason: str) -> None:
    (tmp_path / "empty.db").touch()
    app = make_app(url.format(folder=tmp_path))
    with app.app_context():
        status, lines = check(app)
        db.engine.dispose()
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith(f"Error: {reason}")


def trade(database_url: str, users: list[int], shows: list[int], stop: Any) -> None:
    """Each of the users holds, confirms, extends and cancels seats, over and over; many holds end
    after a moment and are taken over."""
    app = make_app(database_url)
    choose = random.Random(users[0])

    def work(user_id: int) -> None:
        with app.app_context():
            while not stop.is_set():
                labels = [str(label) for label in choose.sample(range(1, 11), 3)]
                soon_over = datetime.now(UTC) - timedelta(minutes=10) + timedelta(milliseconds=30)
                with suppress(DomainError):
                    mine = service.hold(
                        user_id=user_id,
                        show_id=choose.choice(shows),
                        seat_numbers=labels,
                        now=choose.choice([None, soon_over]),
                    ).id
                    act = choose.choice([service.confirm, service.extend])
                    act(user_id=user_id, booking_id=mine)
                    some = labels[: choose.randint(1, 3)]
                    service.cancel(user_id=user_id, booking_id=mine, seat_numbers=some)
                    service.cancel(user_id=user_id, booking_id=mine)

    threads = [threading.Thread(target=work, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_while_seats_are_sold_there_is_no_false_alarm(
    app: Flask,
    database_url: str,
    make_caller: Callable[..., Caller],
    make_show: Callable[..., int],
) -> None:
    """Buyers in two other processes; each batch is seen as it was at one moment."""
    shows = [make_show() for _ in range(3)]
    users = [make_caller(f"buyer{number}").id for number in range(6)]
    stop = PROCESSES.Event()
    traders: list[Any] = [
        PROCESSES.Process(target=trade, args=(database_url, users[part::2], shows, stop))
        for part in range(2)
    ]
    for trader in traders:
        trader.start()
    seen = set()

    def enough() -> bool:
        counts = integrity.Counts()
        assert list(integrity.disagreements(counts)) == []
        seen.add(counts.bookings)
        return len(seen) > 20

    try:
        wait_until(enough, seconds=60)
    finally:
        stop.set()
        for trader in traders:
            trader.join()
    assert [trader.exitcode for trader in traders] == [0, 0]
    assert check(app)[0] == 0
