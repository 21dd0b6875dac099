"""Data to measure on: accounts, shows and bookings beside the demo catalogue."""

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.servers import APPLICATION, Checkout, fetch

MAX_RATE = 5000  # bookings a second; nothing here is as fast. It decides how many seats are made.
SEATS = 5000  # of each show to book: the most that a show may have
ROOM_SEATS = 200  # of the show whose map is read, and of those where the best seats are taken
FILMS = 20
BUYERS = [f"buyer{number}" for number in range(8)]  # with one, all would lock one account's row
READER = "reader"  # whose bookings are listed: the runs add none
READERS_BOOKINGS = 1000
OTHER_READERS, OTHERS_BOOKINGS = 1000, 20
FLOOR_SALE = """
    CREATE TABLE floor_sale (booking_id BIGINT NOT NULL, label TEXT NOT NULL,
                             price_cents INTEGER NOT NULL, PRIMARY KEY (booking_id, label))"""
PASSWORD = secrets.token_urlsafe(12)


@dataclass(frozen=True)
class Seats:
    """The seats 1 to `each` of these shows, free until a load books them."""

    shows: range
    each: int

    def share(self, number: int, rounds: int) -> range:
        """Those of each show for a round, or for the warm-up, which is 0."""
        share = self.each // (rounds + 1)
        return range(number * share + 1, (number + 1) * share + 1)


@dataclass(frozen=True)
class Data:
    """What a database holds. `callers`: the header that stands for each account; the other fields
    are what the requests of `load` are for."""

    callers: dict[str, str]
    show: int
    named: Seats
    with_keys: Seats
    contended: Seats
    rooms: Seats

    def session(self, name: str) -> int:
        """The id of the session that the account's token names."""
        claims = self.callers[name].split(".")[1]
        return int(json.loads(base64.urlsafe_b64decode(claims + "=="))["sid"])


@dataclass(frozen=True)
class House:
    """What `furnish` made: the id of the READER's account, the show that has one booking, of the
    reader's, and the shows of other sizes, in which all is free."""

    callers: dict[str, str]
    reader: int
    show: int
    shows: list[int]


def furnish(checkout: Checkout, environ: dict[str, str], log: Path, *sizes: int) -> House:
    """Fill the database of `environ` by the checkout's own commands and API, with a show of each
    of these numbers of seats."""
    checkout.flask(environ, "db", "upgrade")
    checkout.flask(environ, "load-demo")
    checkout.flask(environ, "create-superuser", "--username", "staff", "--password", PASSWORD)
    with checkout.serve(APPLICATION, environ, log) as url:
        reader, *_ = (
            fetch(f"{url}/api/signup/", {"username": name, "password": PASSWORD})["id"]
            for name in (READER, *BUYERS)
        )
        callers = {name: _log_in(url, name) for name in (READER, *BUYERS)}
        staff = _log_in(url, "staff")
        for number in range(len(fetch(f"{url}/api/movies/")), FILMS):
            film = {"title": f"Film {number}", "duration_minutes": 100}
            fetch(f"{url}/api/movies/", film, staff)
        show = _add_show(url, staff, "Screen M", ROOM_SEATS)
        shows = [_add_show(url, staff, f"Screen of {size}", size) for size in sizes]
        fetch(f"{url}/api/shows/{show}/book/", {"seat_number": "1"}, callers[READER])
    return House(callers, reader, show, shows)


def fill(
    checkout: Checkout, environ: dict[str, str], log: Path, *, rounds: int, seconds: int
) -> Data:
    """`furnish`, and add copies of what that made: seats enough for so many rounds of so many
    seconds and a warm-up."""
    wanted = MAX_RATE * (rounds * seconds + 1)
    house = furnish(checkout, environ, log, SEATS)
    [large] = house.shows
    with opened(environ["DATABASE_URL"]) as connection:
        copies = Copies(connection)
        copies.bookings(house.reader, READERS_BOOKINGS - 1)
        copies.readers(house.reader)
        # A thread of the load books once in each room in a round.
        rooms = copies.shows(house.show, MAX_RATE * seconds // 2)
        named, with_keys = (copies.shows(large, -(-wanted // SEATS)) for _ in range(2))
        contended = copies.shows(large, 1)
    return Data(
        house.callers,
        house.show,
        named=Seats(named, SEATS),
        with_keys=Seats(with_keys, SEATS),
        contended=Seats(contended, SEATS),
        rooms=Seats(rooms, 2 * (rounds + 1)),
    )


def add_floor_table(database_url: str) -> None:
    """What the floor has beside the application's tables."""
    with opened(database_url) as connection:
        connection.execute(sa.text(FLOOR_SALE))


@contextmanager
def opened(database_url: str) -> Iterator[sa.Connection]:
    """A transaction on the database, committed at its end."""
    address = sa.make_url(database_url)
    if address.get_backend_name() == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    with sa.create_engine(address, poolclass=sa.NullPool).begin() as connection:
        yield connection


def _log_in(url: str, name: str) -> str:
    tokens = fetch(f"{url}/api/login/", {"username": name, "password": PASSWORD})
    return f"Authorization: Bearer {tokens['access']}"


def _add_show(url: str, staff: str, screen: str, seats: int) -> int:
    film = fetch(f"{url}/api/movies/")[0]["id"]
    date_time = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    body = {"screen_name": screen, "date_time": date_time, "total_seats": seats, "price": "9.50"}
    return int(fetch(f"{url}/api/movies/{film}/shows/", body, staff)["id"])


class Copies:
    """Makes many rows of one, by statements that both databases have; whatever columns the
    checkout's tables have, they are copied."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.account, self.booking, self.screen, self.show, self.show_seat = (
            sa.Table(name, sa.MetaData(), autoload_with=connection, resolve_fks=False)
            for name in ("user_account", "booking", "screen", "show", "show_seat")
        )

    def shows(self, show_id: int, number: int) -> range:
        """So many shows like this one, each on a screen of its own, all seats free: their ids."""
        screen, show, seat = self.screen, self.show, self.show_seat
        last_screen, last = self._last(screen), self._last(show)
        counted = _counted(number)
        on = sa.select(show.c.screen_id).where(show.c.id == show_id).scalar_subquery()
        name = sa.cast(counted.c.n + last_screen, sa.String)
        self._copy(screen, screen.join(counted, screen.c.id == on), name=name, name_key=name)
        other = screen.alias()
        source = show.join(other, sa.and_(show.c.id == show_id, other.c.id > last_screen))
        self._copy(show, source, screen_id=other.c.id)
        made = show.alias()
        source = seat.join(made, sa.and_(seat.c.show_id == show_id, made.c.id > last))
        self._copy(seat, source, show_id=made.c.id, booking_id=sa.null(), price_cents=sa.null())
        return range(last + 1, self._last(show) + 1)

    def bookings(self, account_id: int, number: int) -> None:
        """So many more bookings like the account's one."""
        booking, counted = self.booking, _counted(number)
        source = booking.join(counted, booking.c.user_id == account_id)
        reference = sa.literal("R") + sa.cast(counted.c.n, sa.String)
        self._copy(booking, source, reference=reference)

    def readers(self, account_id: int) -> None:
        """Other accounts, each with some bookings like the reader's. PostgreSQL plans by how many
        an account has on average, and no cinema's were all made by a few."""
        account, booking = self.account, self.booking
        counted = _counted(OTHER_READERS)
        name = sa.literal(READER) + sa.cast(counted.c.n, sa.String)
        source = account.join(counted, account.c.id == account_id)
        last = self._last(account)
        self._copy(account, source, username=name, username_key=name)
        other, nth = account.alias(), _counted(OTHERS_BOOKINGS)
        first = sa.select(sa.func.min(booking.c.id)).where(booking.c.user_id == account_id)
        source = booking.join(
            other, sa.and_(booking.c.id == first.scalar_subquery(), other.c.id > last)
        )
        reference = sa.cast(other.c.id * OTHERS_BOOKINGS + nth.c.n, sa.String)
        self._copy(booking, source.join(nth, sa.true()), user_id=other.c.id, reference=reference)

    def _last(self, table: sa.Table) -> int:
        return self.connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one()

    def _copy(self, table: sa.Table, source: sa.Join, **changes: Any) -> None:
        """Insert the rows of `source` into `table`, with changes in some columns."""
        columns = {c.name: changes.get(c.name, c) for c in table.c if c.name != "id"}
        rows = sa.select(*columns.values()).select_from(source)
        self.connection.execute(sa.insert(table).from_select([*columns], rows))


def _counted(number: int) -> sa.CTE:
    """The numbers `n` from 1 to `number`."""
    count = sa.select(sa.literal(1).label("n")).cte(recursive=True)
    return count.union_all(sa.select(count.c.n + 1).where(count.c.n < number))
