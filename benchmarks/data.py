"""Data to measure on: accounts, shows and bookings beside the demo catalogue."""

import base64
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.servers import APPLICATION, Checkout, fetch

MAX_RATE = 6000  # bookings a second; nothing here is as fast. It decides how many seats are made.
SEATS = 5000  # of each show to book: the most that a show may have
SHOW_SEATS = 120  # of the show whose availability is asked for
BUYERS = [f"buyer{number}" for number in range(8)]  # with one, all would lock one account's row
READER = "reader"  # whose bookings are listed: a few, and the runs add none
READERS_BOOKINGS = 12
OTHER_READERS = 1000
PASSWORD = secrets.token_urlsafe(12)


@dataclass(frozen=True)
class Data:
    """What `fill` put into a database. `callers`: the header that stands for each account."""

    callers: dict[str, str]
    show: int  # whose availability is asked for
    shows_to_book: range

    def session(self, name: str) -> int:
        """The id of the session that the account's token names."""
        claims = self.callers[name].split(".")[1]
        return int(json.loads(base64.urlsafe_b64decode(claims + "=="))["sid"])


def fill(
    checkout: Checkout, environ: dict[str, str], log: Path, *, rounds: int, seconds: int
) -> Data:
    """Fill the database of `environ` by the checkout's own commands and API, with seats enough
    for so many rounds of so many seconds and a warm-up."""
    number_of_shows = -(-MAX_RATE * seconds * (rounds + 1) // SEATS) + 1
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
        show, *shows = (
            _add_show(url, staff, f"Screen X{number}", seats)
            for number, seats in enumerate([SHOW_SEATS, *[SEATS] * number_of_shows])
        )
        for seat in range(1, READERS_BOOKINGS + 1):
            body = {"seat_number": str(seat)}
            fetch(f"{url}/api/shows/{show}/book/", body, callers[READER])
    _add_readers(environ["DATABASE_URL"], reader)
    return Data(callers, show, range(shows[0], shows[-1] + 1))


def _log_in(url: str, name: str) -> str:
    tokens = fetch(f"{url}/api/login/", {"username": name, "password": PASSWORD})
    return f"Authorization: Bearer {tokens['access']}"


def _add_show(url: str, staff: str, screen: str, seats: int) -> int:
    film = fetch(f"{url}/api/movies/")[0]["id"]
    date_time = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    body = {"screen_name": screen, "date_time": date_time, "total_seats": seats, "price": "9.50"}
    return int(fetch(f"{url}/api/movies/{film}/shows/", body, staff)["id"])


def _add_readers(database_url: str, reader: int) -> None:
    """Other accounts, each with a copy of the reader's bookings. PostgreSQL plans by how many
    an account has on average, and no cinema's were all made by a few."""
    address = sa.make_url(database_url)
    if address.get_backend_name() == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.begin() as connection:
        account, booking = (
            sa.Table(name, sa.MetaData(), autoload_with=connection, resolve_fks=False)
            for name in ("user_account", "booking")
        )
        count = sa.select(sa.literal(1).label("n")).cte(recursive=True)
        count = count.union_all(sa.select(count.c.n + 1).where(count.c.n < OTHER_READERS))
        name = sa.literal(READER) + sa.cast(count.c.n, sa.String)
        source = account.join(count, account.c.id == reader)
        connection.execute(_copy(account, source, username=name, username_key=name))
        other = account.alias()
        others = sa.and_(booking.c.user_id == reader, other.c.username.like(f"{READER}_%"))
        source = booking.join(other, others)
        reference = sa.cast(other.c.id * READERS_BOOKINGS + booking.c.id, sa.String)
        connection.execute(_copy(booking, source, user_id=other.c.id, reference=reference))


def _copy(table: sa.Table, source: sa.Join, **changes: Any) -> sa.Insert:
    """An INSERT of the rows of `source` into `table`, with changes in some columns."""
    columns = {c.name: changes.get(c.name, c) for c in table.c if c.name != "id"}
    rows = sa.select(*columns.values()).select_from(source)
    return sa.insert(table).from_select([*columns], rows)
