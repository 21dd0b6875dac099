"""The floor: the measured endpoints, written with Flask and the bare driver alone.

It sends the application's statements, in the application's transactions, to the same tables,
and answers the same JSON; what it leaves out is SQLAlchemy, marshmallow and every check that
needs no database. It does not even look at a token: the caller's session is the one that the
header `X-Session-Id` names. That makes it a stricter floor than any API that could be put on
the internet, so a ratio below 1 also holds the price of signatures, validation, headers and the
log. `against_floor.py` compares the answers of the two before it measures them.
"""

import fcntl
import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
import psycopg
from flask import Flask, Response, abort, request
from psycopg.types.json import set_json_loads

DATABASE_URL = os.environ["DATABASE_URL"]
SQLITE = DATABASE_URL.startswith("sqlite:///")
LOCK_TIMEOUT_SECONDS = 5
PAGE_SIZE = 20

# --- the application's SQL ------------------------------------------------------------------


def sql(text: str) -> str:
    """Written for PostgreSQL; on SQLite as the application sends it there."""
    if not SQLITE:
        return text
    text = re.sub(r"%\((\w+)\)s(::\w+)?", r":\1", text)
    text = re.sub(r"FOR (KEY SHARE OF show|UPDATE)", "", text)
    return text.replace("statement_timestamp()", "strftime('%Y-%m-%d %H:%M:%f000', 'now')")


SESSION = sql("""
    SELECT user_account.id, user_account.username, user_account.email, user_account.is_staff,
           user_account.is_disabled, user_account.created_at
    FROM user_account JOIN user_session ON user_session.user_id = user_account.id
    WHERE user_session.id = %(session_id)s::BIGINT AND NOT user_account.is_disabled""")

SHOW_ON_SALE = sql("""
    SELECT show.starts_at, show.price_cents, show.prices, show.no_single_gaps,
           show.on_sale AND movie.on_sale, statement_timestamp()
    FROM show JOIN movie ON movie.id = show.movie_id
    WHERE show.id = %(show_id)s::BIGINT FOR KEY SHARE OF show""")

LOCK_SEATS = sql("""
    SELECT label, position, category,
           booking_id IS NULL OR held_until IS NOT NULL AND held_until <= %(now)s::TIMESTAMPTZ
    FROM show_seat
    WHERE show_id = %(show_id)s::BIGINT AND label IN (%(label)s::VARCHAR)
    ORDER BY label FOR UPDATE""")

INSERT_BOOKING = sql("""
    INSERT INTO booking (reference, user_id, show_id, status, seats, total_cents, currency,
                         created_at, expires_at)
    VALUES (%(reference)s::VARCHAR, %(user_id)s::BIGINT, %(show_id)s::BIGINT, 'booked',
            %(seats)s::JSONB, %(total_cents)s::INTEGER, %(currency)s::VARCHAR,
            %(now)s::TIMESTAMPTZ, NULL)
    RETURNING id""")

TAKE_SEATS = sql("""
    UPDATE show_seat SET booking_id = %(booking_id)s::BIGINT, held_until = NULL,
                         price_cents = %(price_cents)s::INTEGER
    WHERE show_id = %(show_id)s::BIGINT AND label IN (%(label)s::VARCHAR)
      AND (booking_id IS NULL
           OR held_until IS NOT NULL AND held_until <= %(now)s::TIMESTAMPTZ)""")

FILMS = sql("""
    SELECT id, title, duration_minutes, year, language, genres, age_rating, director,
           description, on_sale, original_title, sort_title, release_date, poster_url, trailer_url,
           external_id,
           (SELECT count(*) FROM (SELECT 1 FROM movie WHERE on_sale = true) AS matches)
    FROM movie WHERE on_sale = true ORDER BY coalesce(sort_key, title_key), id
    LIMIT %(limit)s::INTEGER OFFSET %(offset)s::INTEGER""")

SHOW = sql("""
    SELECT show.id, show.movie_id, movie.title, screen.cinema_id, show.screen_id, screen.name,
           show.starts_at, show.ends_at, show.total_seats,
           (SELECT count(*) FROM show_seat
            WHERE show_seat.show_id = show.id
              AND (show_seat.booking_id IS NULL
                   OR show_seat.held_until IS NOT NULL
                      AND show_seat.held_until <= statement_timestamp())),
           show.price_cents, show.prices, show.no_single_gaps, show.on_sale AND movie.on_sale
    FROM show JOIN movie ON movie.id = show.movie_id JOIN screen ON screen.id = show.screen_id
    WHERE show.id = %(show_id)s::BIGINT""")

PRICES = sql("SELECT id, price_cents, prices FROM show WHERE id = %(show_id)s::BIGINT")

SEATS = sql("""
    SELECT label, block, row_label,
           coalesce(number, substr(label, length(row_label) + 1)), category,
           CASE WHEN accessible THEN 'wheelchair' ELSE kind END, x, y, accessible, aisle_after,
           booking_id IS NULL OR held_until IS NOT NULL AND held_until <= statement_timestamp(),
           held_until IS NOT NULL
    FROM show_seat WHERE show_id = %(show_id)s::BIGINT ORDER BY position""")

BOOKINGS = sql("""
    SELECT id, reference, user_id, show_id,
           CASE WHEN status = 'held' AND expires_at <= statement_timestamp() THEN 'expired'
                ELSE status END,
           seats, total_cents, currency, created_at, expires_at,
           (SELECT count(*) FROM (SELECT 1 FROM booking
                                  WHERE user_id = %(user_id)s::BIGINT) AS matches)
    FROM booking WHERE user_id = %(user_id)s::BIGINT ORDER BY id DESC
    LIMIT %(limit)s::INTEGER OFFSET %(offset)s::INTEGER""")

# --- connections and transactions, as in booking_app/core/database.py ----------------------------

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
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _connect_postgresql() -> psycopg.Connection[Any]:
    options = (
        f"-c lock_timeout={LOCK_TIMEOUT_SECONDS}s -c idle_in_transaction_session_timeout=15s "
        "-c plan_cache_mode=force_generic_plan -c timezone=UTC"
    )
    return psycopg.connect(DATABASE_URL, autocommit=True, options=options)


@contextmanager
def writing() -> Iterator[Any]:
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


# --- endpoints ------------------------------------------------------------------------------

app = Flask(__name__)


def caller() -> int:
    """Whose session it is."""
    which = {"session_id": int(request.headers["X-Session-Id"])}
    account = connect().execute(SESSION, which).fetchone() or abort(401)
    return int(account[0])


@app.post("/api/shows/<int:show_id>/book/")
def book(show_id: int) -> Response:
    user_id = caller()
    label = orjson.loads(request.get_data())["seat_number"]
    with writing() as connection:
        show = connection.execute(SHOW_ON_SALE, {"show_id": show_id}).fetchone() or abort(404)
        starts_at, price_cents, prices, no_single_gaps, on_sale, now = show
        if not on_sale or starts_at <= now:
            abort(409)
        if no_single_gaps:
            abort(501)  # the benchmark makes no such show
        which = {"show_id": show_id, "label": label, "now": now}
        seat = connection.execute(LOCK_SEATS, which).fetchone() or abort(422)
        if not seat[3]:
            abort(409)
        price_cents = _loaded(prices).get(seat[2], price_cents)
        receipt = [{"seat_number": label, "price_cents": price_cents, "cancelled": False}]
        values = {
            "reference": secrets.token_hex(5).upper(),
            "user_id": user_id,
            "show_id": show_id,
            "seats": orjson.dumps(receipt).decode(),
            "total_cents": price_cents,
            "currency": "EUR",
            "now": now,
        }
        (booking_id,) = connection.execute(INSERT_BOOKING, values).fetchone()
        owner = {"booking_id": booking_id, "price_cents": price_cents}
        if connection.execute(TAKE_SEATS, {**which, **owner}).rowcount != 1:
            abort(409)
    row = (booking_id, values["reference"], user_id, show_id, "booked", receipt, price_cents)
    answer = _json(_booking((*row, "EUR", now, None)), status=201)
    answer.headers["Location"] = f"/api/bookings/{booking_id}/"
    return answer


@app.get("/api/movies/")
def films() -> Response:
    rows = connect().execute(FILMS, {"limit": PAGE_SIZE, "offset": 0}).fetchall()
    return _json([_film(row) for row in rows], total=rows[0][-1] if rows else 0)


@app.get("/api/shows/<int:show_id>/")
def show(show_id: int) -> Response:
    return _json(_show(connect().execute(SHOW, {"show_id": show_id}).fetchone() or abort(404)))


@app.get("/api/shows/<int:show_id>/seats/")
def seats(show_id: int) -> Response:
    connection = connect()
    which = {"show_id": show_id}
    _, base, prices = connection.execute(PRICES, which).fetchone() or abort(404)
    response = _json(_seat_map(show_id, base, _loaded(prices), connection.execute(SEATS, which)))
    response.vary.add("Accept")
    response.add_etag()
    return response


@app.get("/api/my-bookings/")
def my_bookings() -> Response:
    which = {"user_id": caller(), "limit": PAGE_SIZE, "offset": 0}
    rows = connect().execute(BOOKINGS, which).fetchall()
    return _json([_booking(row) for row in rows], total=rows[0][-1] if rows else 0)


# --- JSON -----------------------------------------------------------------------------------


def _json(body: Any, *, status: int = 200, total: int | None = None) -> Response:
    response = Response(orjson.dumps(body), status, mimetype="application/json")
    if total is not None:
        pages = -(-total // PAGE_SIZE)
        page = {"total": total, "total_pages": pages, "page": 1, "page_size": PAGE_SIZE}
        response.headers["X-Pagination"] = orjson.dumps(page).decode()
    return response


def _film(row: Any) -> dict[str, Any]:
    return {
        "id": row[0],
        "title": row[1],
        "duration_minutes": row[2],
        "year": row[3],
        "language": row[4],
        "genres": _loaded(row[5]),
        "age_rating": row[6],
        "director": row[7],
        "description": row[8],
        "on_sale": bool(row[9]),
    }


def _show(row: Any) -> dict[str, Any]:
    return {
        "id": row[0],
        "movie": row[1],
        "movie_title": row[2],
        "cinema": row[3],
        "screen": row[4],
        "screen_name": row[5],
        "date_time": _instant(row[6]),
        "ends_at": _instant(row[7]),
        "total_seats": row[8],
        "available_seats": row[9],
        "price": _money(row[10]),
        "prices": {category: _money(cents) for category, cents in _loaded(row[11]).items()},
        "no_single_gaps": bool(row[12]),
        "on_sale": bool(row[13]),
    }


def _seat_map(show_id: int, base: int, prices: dict[str, int], rows: Any) -> dict[str, Any]:
    by_row: dict[tuple[str, str], list[dict[str, Any]]] = {}
    fronts: dict[tuple[str, str], int] = {}
    for row in rows:
        label, block, row_label, number, category, kind, x, y, accessible, aisle_after, *rest = row
        free, held = rest
        fronts.setdefault((block, row_label), y)
        by_row.setdefault((block, row_label), []).append(
            {
                "seat_number": label,
                "number": number,
                "x": x,
                "status": "available" if free else "held" if held else "booked",
                "category": category,
                "kind": kind,
                "price": _money(prices.get(category, base)),
                "accessible": bool(accessible),
                "aisle_after": bool(aisle_after),
            }
        )
    seats = [seat for row in by_row.values() for seat in row]
    return {
        "show": show_id,
        "total_seats": len(seats),
        "available_seats": sum(seat["status"] == "available" for seat in seats),
        "rows": [
            {"label": label, "block": block, "y": fronts[block, label], "seats": row}
            for (block, label), row in by_row.items()
        ],
    }


def _booking(row: Any) -> dict[str, Any]:
    seats = _loaded(row[5])
    live = [seat["seat_number"] for seat in seats if not seat["cancelled"]]
    return {
        "id": row[0],
        "reference": row[1],
        "user": row[2],
        "show": row[3],
        "status": row[4],
        "seat_number": live[0] if len(live) == 1 else None,
        "seat_numbers": live,
        "cancelled_seat_numbers": [seat["seat_number"] for seat in seats if seat["cancelled"]],
        "seats": [
            {
                "seat_number": seat["seat_number"],
                "price": _money(seat["price_cents"]),
                "cancelled": seat["cancelled"],
            }
            for seat in seats
        ],
        "total": _money(row[6]),
        "currency": row[7],
        "created_at": _instant(row[8]),
        "expires_at": None if row[9] is None else _instant(row[9]),
    }


def _loaded(value: Any) -> Any:
    """JSON: SQLite keeps it as text, psycopg has read it already."""
    return orjson.loads(value) if isinstance(value, str) else value


def _instant(value: str | datetime) -> str:
    """SQLite keeps `2026-11-23 18:45:59.000000`."""
    if isinstance(value, str):
        return f"{value[:10]}T{value[11:].removesuffix('.000000')}Z"
    return value.isoformat().replace("+00:00", "Z")


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
