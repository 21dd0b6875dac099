"""The floor: the least work that the measured requests can be, by Flask and the bare driver.

For a booking PyJWT's check of the token, an INSERT of the booking, one conditional UPDATE of the
seat, an INSERT of what was sold, and a durable COMMIT; for a read one SELECT and its JSON. It looks
at no session, show, price, rule or limit, writes no log and answers errors without a word: no API
that could be put on the internet is as little. Where the application needs no database in
principle, the floor answers bytes that it has already.

What is sold stands in a table of its own (`data.FLOOR_SALE`), as one written by hand has it.
"""

import fcntl
import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import jwt
import orjson
import psycopg
from flask import Flask, Response, abort, request
from psycopg.types.json import set_json_loads

DATABASE_URL = os.environ["DATABASE_URL"]
SQLITE = DATABASE_URL.startswith("sqlite:///")
KEY = os.environ["SECRET_KEY"]
LOCK_TIMEOUT_SECONDS = 5
PAGE_SIZE = 20
PRICE_CENTS = 950  # of every seat that the benchmark makes

# --- SQL --------------------------------------------------------------------------------------


def sql(text: str) -> str:
    """Written for PostgreSQL; the same for SQLite."""
    if not SQLITE:
        return text
    text = re.sub(r"%\((\w+)\)s", r":\1", text)
    return text.replace("statement_timestamp()", "strftime('%Y-%m-%d %H:%M:%f000', 'now')")


INSERT_BOOKING = sql("""
    INSERT INTO booking (reference, user_id, show_id, status, seats, total_cents, currency,
                         created_at)
    VALUES (%(reference)s, %(user)s, %(show)s, 'booked', '[]', %(price)s, 'EUR',
            statement_timestamp())
    RETURNING id, created_at""")

TAKE_SEAT = sql("""
    UPDATE show_seat SET booking_id = %(booking)s, held_until = NULL, price_cents = %(price)s
    WHERE show_id = %(show)s AND label = %(label)s
      AND (booking_id IS NULL OR held_until <= statement_timestamp())""")

INSERT_SALE = sql("""
    INSERT INTO floor_sale (booking_id, label, price_cents)
    VALUES (%(booking)s, %(label)s, %(price)s)""")

SEATS = sql("""
    SELECT label, block, row_label, number, category, kind, x, y, accessible, aisle_after,
           booking_id IS NULL OR held_until IS NOT NULL AND held_until <= statement_timestamp(),
           held_until IS NOT NULL, blocked IS NOT NULL,
           show.price_cents, show.currency
    FROM show_seat JOIN show ON show.id = show_id WHERE show_id = %(show)s ORDER BY position""")

BOOKINGS = sql("""
    SELECT booking.id, reference, user_id, show_id, status, seats, booking.currency, created_at,
           expires_at, movie.title, starts_at, ends_at, screen.name, cinema.name, cinema.timezone
    FROM booking JOIN show ON show.id = show_id JOIN movie ON movie.id = movie_id
    JOIN screen ON screen.id = screen_id JOIN cinema ON cinema.id = cinema_id
    WHERE user_id = %(user)s ORDER BY booking.id DESC LIMIT %(limit)s""")

# --- connections and transactions -------------------------------------------------------------

set_json_loads(orjson.loads)

_local = threading.local()
_writer = threading.Lock()


def connect() -> Any:
    """This thread's own connection. The driver begins no transaction by itself."""
    connection = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = _connect_sqlite() if SQLITE else _connect_postgresql()
    return connection


def _connect_sqlite() -> sqlite3.Connection:
    path = DATABASE_URL.removeprefix("sqlite:///")
    connection = sqlite3.connect(path, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _connect_postgresql() -> psycopg.Connection[Any]:
    options = "-c plan_cache_mode=force_generic_plan -c timezone=UTC"
    return psycopg.connect(DATABASE_URL, autocommit=True, options=options)


@contextmanager
def writing() -> Iterator[Any]:
    """A transaction, durable at its end."""
    connection = connect()
    with _turn():
        connection.execute("BEGIN IMMEDIATE" if SQLITE else "BEGIN")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


@contextmanager
def _turn() -> Iterator[None]:
    """SQLite's writers queue here: its own busy handler would sleep."""
    if not SQLITE:
        yield
        return
    path = DATABASE_URL.removeprefix("sqlite:///") + ".writer-lock"
    with _writer, open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- requests ---------------------------------------------------------------------------------

app = Flask(__name__)


def caller() -> int:
    """Whose token it is."""
    token = request.headers["Authorization"].removeprefix("Bearer ")
    return int(jwt.decode(token, KEY, algorithms=["HS256"])["sub"])


@app.post("/api/shows/<int:show_id>/book/")
def book(show_id: int) -> Response:
    values = {"user": caller(), "show": show_id, "price": PRICE_CENTS}
    values["label"] = orjson.loads(request.get_data())["seat_number"]
    values["reference"] = secrets.token_hex(5).upper()
    with writing() as connection:
        booking_id, created_at = connection.execute(INSERT_BOOKING, values).fetchone()
        values["booking"] = booking_id
        if connection.execute(TAKE_SEAT, values).rowcount != 1:
            abort(409)
        connection.execute(INSERT_SALE, values)
    made = {
        "id": booking_id,
        "reference": values["reference"],
        "show": show_id,
        "status": "booked",
        "seat_number": values["label"],
        "total": _money(PRICE_CENTS),
        "created_at": _instant(created_at),
    }
    return _json(made, status=201)


@app.get("/api/shows/<int:show_id>/seats/")
def seats(show_id: int) -> Response:
    return _json(_seat_map(show_id, connect().execute(SEATS, {"show": show_id}).fetchall()))


@app.get("/api/my-bookings/")
def my_bookings() -> Response:
    rows = connect().execute(BOOKINGS, {"user": caller(), "limit": PAGE_SIZE}).fetchall()
    return _json([_booking(row) for row in rows])


@app.get("/constant/<int:size>")
def constant(size: int) -> Response:
    """So many bytes."""
    return Response(bytes(size), mimetype="application/json")


# --- JSON -------------------------------------------------------------------------------------


def _json(body: Any, *, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, mimetype="application/json")


def _seat_map(show_id: int, seats: list[Any]) -> dict[str, Any]:
    statuses = [_status(seat) for seat in seats]
    pairs = zip(seats, statuses, strict=True)
    return {
        "show": show_id,
        "total_seats": len(seats),
        "available_seats": statuses.count("available"),
        "currency": seats[0][14],
        "rows": [
            {"label": label, "block": block, "y": y, "seats": [_seat(*pair) for pair in row]}
            for (block, label, y), row in groupby(
                pairs, lambda pair: (pair[0][1], pair[0][2], pair[0][7])
            )
        ],
    }


def _status(seat: Any) -> str:
    free, held, blocked = seat[10:13]
    if not free:
        return "held" if held else "booked"
    return "blocked" if blocked else "available"


def _seat(seat: Any, status: str) -> dict[str, Any]:
    return {
        "seat_number": seat[0],
        "number": seat[3],
        "x": seat[6],
        "status": status,
        "category": seat[4],
        "kind": seat[5],
        "price": _money(seat[13]),
        "accessible": bool(seat[8]),
        "aisle_after": bool(seat[9]),
    }


def _booking(row: Any) -> dict[str, Any]:
    seats = orjson.loads(row[5]) if SQLITE else row[5]
    labels = [seat["seat_number"] for seat in seats]
    total = _money(sum(seat["price_cents"] for seat in seats))
    begins = _instant(row[10])
    local = datetime.fromisoformat(begins).astimezone(ZoneInfo(row[14])).isoformat()
    return {
        "id": row[0],
        "reference": row[1],
        "user": row[2],
        "show": row[3],
        "status": row[4],
        "seat_number": labels[0] if len(labels) == 1 else None,
        "seat_numbers": labels,
        "cancelled_seat_numbers": [],
        "seats": [
            {
                "seat_number": seat["seat_number"],
                "price": _money(seat["price_cents"]),
                "cancelled": False,
            }
            for seat in seats
        ],
        "total": total,
        "original_total": total,
        "currency": row[6],
        "created_at": _instant(row[7]),
        "expires_at": row[8],
        "movie_title": row[9],
        "date_time": begins,
        "local_date_time": local.replace("+00:00", "Z"),
        "ends_at": _instant(row[11]),
        "screen_name": row[12],
        "cinema_name": row[13],
        "timezone": row[14],
        "can_cancel": datetime.now(UTC) < datetime.fromisoformat(begins),
        "cancel_until": begins,
    }


def _instant(value: str | datetime) -> str:
    """SQLite keeps `2026-11-23 18:45:59.000000`."""
    if isinstance(value, str):
        return f"{value[:10]}T{value[11:].removesuffix('.000000')}Z"
    return value.isoformat().replace("+00:00", "Z")


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
