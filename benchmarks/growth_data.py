"""A house that has just opened, and the same house years later: what it sold and whom it knows has
grown, what it offers has not, so a page of either has as many rows."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade

from benchmarks.servers import ROOT
from booking_app.auth import accounts
from booking_app.catalog import movies, shows, venues
from booking_app.catalog.models import Show
from booking_app.core.database import UtcDateTime, db

SCREENS, HOURS = 5, (10, 13, 16, 19)
SHOWS_A_DAY = SCREENS * len(HOURS)
ROWS, SEATS_OF_A_ROW = 10, 20
COMING = 300  # shows, of 15 days
COMING_BOOKINGS, PAST_BOOKINGS = 3, 100  # of each show
FILMS = 40  # on sale, for as many days back as ahead; before that others were
MINUTES = 100
SHOWS_OF_AN_OLD_FILM = 50
STAFF, CUSTOMER = 1, 2  # the ids of the accounts that have a password
KEYS_OF_AN_ACCOUNT = 2
# Nobody has booked it yet; the other shows copy its seats.
EMPTY_SHOW = 1


@dataclass(frozen=True)
class House:
    """`past` is how many shows are over. Their ids follow that of EMPTY_SHOW, and those of the
    shows to come theirs."""

    past: int
    accounts: int

    @property
    def bookings(self) -> int:
        """How many it has."""
        return self.past * PAST_BOOKINGS + COMING * COMING_BOOKINGS

    @property
    def past_show(self) -> int:
        """The id of the last show that is over."""
        return EMPTY_SHOW + self.past

    def coming_show(self, number: int) -> int:
        """The id of a show to come, from 0 on."""
        return self.past_show + 1 + number % COMING


SMALL = House(past=1, accounts=100)
LARGE = House(past=9_991, accounts=100_000)

# In the SQL that both databases share. By turns a booking has two seats and one, from the front row
# on. Of the bookings of a show that is over, 5 of 100 were cancelled and 5 were holds that expired.
STATUS = """CASE WHEN sold.past AND slot.n % 20 = 19 THEN 'cancelled'
                 WHEN sold.past AND slot.n % 20 = 17 THEN 'held' ELSE 'booked' END"""
LINE = """'{"seat_number": "' || %s.label || '", "price_cents": 950, "cancelled": false}'"""
FILL = (
    """
    CREATE TEMPORARY TABLE number AS
    WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < :most)
    SELECT n FROM number
    """,
    "CREATE TEMPORARY TABLE place (position INTEGER PRIMARY KEY, label TEXT)",
    "INSERT INTO place SELECT position, label FROM show_seat WHERE show_id = :empty",
    # `before` are the bookings of the shows before it.
    """
    CREATE TEMPORARY TABLE sold AS
    SELECT id AS show_id, id - 2 < :past AS past,
           CASE WHEN id - 2 < :past THEN (id - 2) * :past_bookings
                ELSE :past * :past_bookings + (id - 2 - :past) * :coming_bookings END AS before,
           CASE WHEN id - 2 < :past THEN :past_bookings ELSE :coming_bookings END AS bookings
    FROM show WHERE id <> :empty
    """,
    """
    INSERT INTO user_account (username, username_key, email, password_hash, is_staff, is_disabled,
                              created_at)
    SELECT 'Buyer' || n, 'buyer' || n, 'buyer' || n || '@example.com', '', FALSE, FALSE, :now
    FROM number WHERE n BETWEEN 3 AND :accounts ORDER BY n
    """,
    f"""
    INSERT INTO booking (id, reference, user_id, show_id, status, seats, total_cents, currency,
                         created_at, expires_at)
    SELECT sold.before + slot.n + 1,
           substr(CAST(10000000000 + (sold.before + slot.n) * 7919000003 % 10000000000 AS TEXT), 2),
           2 + (sold.before + slot.n) % (:accounts - 1), sold.show_id, {STATUS},
           CAST('[' || {LINE % "first"} || coalesce(', ' || {LINE % "second"}, '') || ']' AS @json),
           CASE WHEN second.label IS NULL THEN 950 ELSE 1900 END, 'EUR',
           CASE WHEN sold.past THEN show.starts_at ELSE :now END,
           CASE WHEN {STATUS} = 'held' THEN show.starts_at END
    FROM sold JOIN show ON show.id = sold.show_id JOIN number AS slot ON slot.n < sold.bookings
    JOIN place AS first ON first.position = 1 + 3 * (slot.n / 2) + 2 * (slot.n % 2)
    LEFT JOIN place AS second ON slot.n % 2 = 0 AND second.position = first.position + 1
    ORDER BY 1
    """,
    """
    INSERT INTO show_seat (show_id, label, position, block, row_label, number, kind, x, y, category,
                           booking_id, price_cents)
    SELECT sold.show_id, label, position, block, row_label, number, kind, x, y, category,
           booking.id, CASE WHEN booking.id IS NOT NULL THEN 950 END
    FROM sold CROSS JOIN show_seat AS seat
    LEFT JOIN booking ON booking.status = 'booked' AND booking.show_id = sold.show_id
      AND booking.id = sold.before + 1 + 2 * ((position - 1) / 3) + (position - 1) % 3 / 2
    WHERE seat.show_id = :empty ORDER BY sold.show_id, position
    """,
    """
    INSERT INTO audit_event (created_at, action, actor_id, actor_name, address, object_type,
                             object_id, after)
    SELECT created_at, CASE WHEN id % 20 = 1 THEN 'booking.created' ELSE 'account.logged_in' END,
           CASE WHEN id % 20 = 1 THEN :staff ELSE user_id END, 'Somebody', '192.0.2.1',
           CASE WHEN id % 20 = 1 THEN 'booking' ELSE 'account' END,
           CASE WHEN id % 20 = 1 THEN id ELSE user_id END,
           CASE WHEN id % 20 = 1 THEN CAST('{"seats": ["A1"]}' AS @json) END
    FROM booking WHERE id % 2 = 1 ORDER BY id
    """,
    """
    INSERT INTO user_session (user_id, refresh_hash, created_at, refreshed_at, expires_at, address,
                              user_agent)
    SELECT id, CAST(id AS TEXT), :now, :now, :tomorrow, '192.0.2.1', 'benchmark' FROM user_account
    """,
    """
    INSERT INTO idempotency_key (user_id, key, fingerprint, status, body, expires_at)
    SELECT user_account.id, 'key' || number.n, 'f', 201, '{}', :tomorrow
    FROM user_account JOIN number ON number.n < :keys
    """,
)


def fill(app: Flask, house: House, *, password: str, now: datetime) -> None:
    """Make and fill the app's database."""
    with app.app_context():
        upgrade(str(ROOT / "migrations"))
        furnish(house, password=password, now=now)


def furnish(house: House, *, password: str, now: datetime) -> None:
    """Fill the empty tables of the app whose context this is; the accounts STAFF and CUSTOMER have
    that password."""
    values = {
        "most": max(house.accounts, PAST_BOOKINGS),
        "past": house.past,
        "past_bookings": PAST_BOOKINGS,
        "coming_bookings": COMING_BOOKINGS,
        "empty": EMPTY_SHOW,
        "accounts": house.accounts,
        "staff": STAFF,
        "keys": KEYS_OF_AN_ACCOUNT,
        "now": now,
        "tomorrow": now + timedelta(days=1),
    }
    accounts.create_user(username="staff", password=password, is_staff=True)
    accounts.create_user(username="customer", password=password)
    _make_catalogue(house, now)
    with db.engine.connect() as connection:
        postgresql = connection.dialect.name == "postgresql"
        if not postgresql:  # the random references of an index would be read again and again
            connection.exec_driver_sql("PRAGMA cache_size = -500000")
        for statement in FILL:
            text = statement.replace("@json", "JSONB" if postgresql else "TEXT")
            _run(connection, text.replace('": ', '"\\: '), values)
        if postgresql:  # whose ids go on after those that were given here
            connection.exec_driver_sql(
                "SELECT setval(pg_get_serial_sequence('booking', 'id'), max(id)) FROM booking"
            )
    db.engine.dispose()  # and with the connections the temporary tables


def _run(connection: sa.Connection, statement: str, values: dict[str, Any]) -> None:
    """Run it with those of the values that it names."""
    text = sa.text(statement)
    named = {name: values[name] for name in text.compile().params}
    # Numbers are written into the text: psycopg sends small ones as SMALLINT, which overflows.
    typed = (
        sa.bindparam(name, type_=UtcDateTime())
        if isinstance(value, datetime)
        else sa.bindparam(name, type_=sa.Integer(), literal_execute=True)
        for name, value in named.items()
    )
    connection.execute(text.bindparams(*typed), named)


def _make_catalogue(house: House, now: datetime) -> None:
    """The films, the screens and the shows; of these only EMPTY_SHOW has its seats."""
    venues.create_cinema(name="Palace", timezone="UTC")
    rows = [{"label": label, "seats": SEATS_OF_A_ROW} for label in "ABCDEFGHIJ"[:ROWS]]
    rows[-1]["category"] = "vip"
    for number in range(1, SCREENS + 1):
        venues.create_screen(name=f"Screen {number}", rows=rows, cinema=1)
    old_films = -(-max(house.past - COMING, 0) // SHOWS_OF_AN_OLD_FILM)
    for number in range(FILMS + old_films):
        title, on_sale = f"Film {number + 1}", number < FILMS
        movies.create_movie(title=title, duration_minutes=MINUTES, on_sale=on_sale)
    tomorrow = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    after_the_others = tomorrow + timedelta(days=COMING // SHOWS_A_DAY)
    shows.create_show(movie_id=1, screen=1, date_time=after_the_others)
    with db.engine.connect() as connection:
        made = connection.execute(sa.select(*sa.inspect(Show).columns)).mappings().one()
        like_it = {name: value for name, value in made.items() if name != "id"}
        numbers = range(-house.past, COMING)
        others = [like_it | _of_show(number, tomorrow) for number in numbers]
        connection.execute(sa.insert(Show), others)


def _of_show(number: int, tomorrow: datetime) -> dict[str, Any]:
    """Which film is shown when and where; the shows that are over have numbers below 0."""
    day, place = divmod(number, SHOWS_A_DAY)
    hour, screen = divmod(place, SCREENS)
    starts_at = tomorrow + timedelta(days=day, hours=HOURS[hour])
    if number < -COMING:
        film = FILMS + (-number - COMING - 1) // SHOWS_OF_AN_OLD_FILM
    else:
        film = number % FILMS
    return {
        "movie_id": 1 + film,
        "screen_id": 1 + screen,
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(minutes=MINUTES),
        "local_date": starts_at.date(),
        "version": COMING + number if number >= 0 else -number,
    }
