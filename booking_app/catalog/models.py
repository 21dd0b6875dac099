"""The catalogue's tables: cinemas, screens, films, shows and the seats of shows."""

from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from booking_app.catalog.title_keys import searched_for
from booking_app.core.database import (
    NOW,
    Base,
    BigId,
    Json,
    KeyText,
    Query,
    UtcDateTime,
    later,
)
from booking_app.core.search import Searched

LABEL_MAX = 60
BLOCK_MAX, ROW_LABEL_MAX, NUMBER_MAX = 30, 20, 6
# SQLite keeps texts of any length, and would have to copy the table to say another one.
LabelText = sa.String(LABEL_MAX).with_variant(sa.String(), "sqlite")
RowLabelText = sa.String(ROW_LABEL_MAX).with_variant(sa.String(), "sqlite")
CATEGORY_MAX = 30
STANDARD = "standard"  # a category, and a kind
WHEELCHAIR, COMPANION, PAIR = "wheelchair", "companion", "pair"
KINDS = (STANDARD, WHEELCHAIR, COMPANION, PAIR)
# What a seat is, in the seat map.
AVAILABLE, HELD, BOOKED, BLOCKED = "available", "held", "booked", "blocked"
# Why a seat is not for sale: staff may sell the first kind.
HOUSE, OUT_OF_ORDER = "house", "out_of_order"
BLOCKS = (HOUSE, OUT_OF_ORDER)
REASON_MAX = 200
# Why a show keeps its seats where its screen's plan is applied to others.
SOLD, NO_CATEGORY, TOO_MANY = "has_bookings", "price_without_seats", "too_many_seats_at_once"
KEPT_BECAUSE = (SOLD, NO_CATEGORY, TOO_MANY)
SHOWS_AT_ONCE = 200  # that are made or changed together
LABELS_TOLD = 20  # of seats of a show, where many shows are listed
TITLE_MAX, URL_MAX, EXTERNAL_ID_MAX = 200, 500, 100
FORMAT_MAX, LANGUAGE_MAX, NOTE_MAX = 20, 50, 500
PAUSE_MAX_MINUTES = 240  # of what is shown before a film, an intermission, a turnaround
MIDNIGHT = "00:00"
DURATION_MAX_MINUTES = 1440
LONGEST_SHOW = timedelta(minutes=DURATION_MAX_MINUTES + 2 * PAUSE_MAX_MINUTES)
SEATS_MAX = 5000


class Cinema(Base):
    """A house with its own time zone and currency (NULL: the setting CURRENCY). At most one is the
    default, for what names no cinema.

    Its business day begins at `day_starts_at`, local time ("06:00"): what is before that belongs
    to the day before. `external_id` is how another system names it.
    """

    __tablename__ = "cinema"
    __table_args__ = (
        sa.UniqueConstraint("name_key"),
        sa.Index(
            "uq_cinema_default",
            "is_default",
            unique=True,
            sqlite_where=sa.text("is_default"),
            postgresql_where=sa.text("is_default"),
        ),
        sa.Index("uq_cinema_external_id", "external_id", unique=True),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    name_key: Mapped[str] = mapped_column(KeyText)
    city: Mapped[str | None] = mapped_column(sa.String(100))
    timezone: Mapped[str] = mapped_column(sa.String(64))
    is_default: Mapped[bool] = mapped_column(sa.Boolean)
    day_starts_at: Mapped[str] = mapped_column(sa.String(5), server_default=MIDNIGHT)
    currency: Mapped[str | None] = mapped_column(sa.String(3))
    external_id: Mapped[str | None] = mapped_column(sa.String(EXTERNAL_ID_MAX))


class Screen(Base):
    """An auditorium. Whoever puts a show on it locks its row first, so two can't overlap.

    `rows` is its seat plan as `seat_plans.stored_plan` writes it; empty where the screen was made
    by the short form of a show. Shows copy it, so changing it never touches seats on sale.
    `out_of_order` are the labels of seats that shows made from it don't sell. Between the end of
    a show and the next one lie at least `turnaround_minutes`. `external_id` is how another system
    names it.
    """

    __tablename__ = "screen"
    __table_args__ = (
        sa.UniqueConstraint("cinema_id", "name_key"),
        sa.Index("uq_screen_external_id", "external_id", unique=True),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    cinema_id: Mapped[int] = mapped_column(sa.ForeignKey("cinema.id"))
    name: Mapped[str] = mapped_column(sa.String(100))
    name_key: Mapped[str] = mapped_column(KeyText)
    rows: Mapped[list[dict[str, Any]]] = mapped_column(Json, server_default="[]")
    out_of_order: Mapped[list[str]] = mapped_column(Json, server_default="[]")
    turnaround_minutes: Mapped[int] = mapped_column(sa.Integer, server_default=sa.text("0"))
    external_id: Mapped[str | None] = mapped_column(sa.String(EXTERNAL_ID_MAX))


class Movie(Base):
    """A film. The `*_key` columns hold the texts that filters compare, `search_key` and `sort_key`
    those of `title_keys`. Release 1.2 leaves these two out: read `SORT_KEY` and `SEARCH_KEY`.
    `external_id` is how another system names the film.
    """

    __tablename__ = "movie"
    __table_args__ = (
        sa.CheckConstraint(
            f"duration_minutes BETWEEN 1 AND {DURATION_MAX_MINUTES}", name="duration"
        ),
        sa.Index("uq_movie_external_id", "external_id", unique=True),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(200))
    title_key: Mapped[str] = mapped_column(KeyText)
    duration_minutes: Mapped[int] = mapped_column(sa.Integer)
    year: Mapped[int | None] = mapped_column(sa.Integer)
    language: Mapped[str | None] = mapped_column(sa.String(50))
    language_key: Mapped[str | None] = mapped_column(KeyText)
    genres: Mapped[list[str]] = mapped_column(Json)
    genres_key: Mapped[str] = mapped_column(KeyText)  # "|drama|war|"
    age_rating: Mapped[str | None] = mapped_column(sa.String(20))
    director: Mapped[str | None] = mapped_column(sa.String(200))
    description: Mapped[str | None] = mapped_column(sa.String(2000))
    on_sale: Mapped[bool] = mapped_column(sa.Boolean)
    is_demo: Mapped[bool] = mapped_column(sa.Boolean)
    original_title: Mapped[str | None] = mapped_column(sa.String(TITLE_MAX))
    sort_title: Mapped[str | None] = mapped_column(sa.String(TITLE_MAX))
    release_date: Mapped[date | None] = mapped_column(sa.Date)
    poster_url: Mapped[str | None] = mapped_column(sa.String(URL_MAX))
    trailer_url: Mapped[str | None] = mapped_column(sa.String(URL_MAX))
    external_id: Mapped[str | None] = mapped_column(sa.String(EXTERNAL_ID_MAX))
    sort_key: Mapped[str | None] = mapped_column(KeyText)
    search_key: Mapped[str | None] = mapped_column(KeyText)


class Show(Base):
    """A film on a screen at a time. `local_date` is its business day in the cinema's time zone.

    `ends_at` is when the audience leaves: after `preshow_minutes`, the film's running time and
    `intermission_minutes`. Customers buy from `sales_from` (NULL: at once) until `sales_until`
    (NULL: `starts_at`); read `SALES_END`.

    `price_cents` is the base price, `prices` those of the categories that cost otherwise, in minor
    units of `currency`, which the show took from its cinema.
    `version` is a new random number with each change of what the seat map is drawn from, other
    than who owns a seat; random, since SQLite gives the id of a deleted show again. The plans that
    workers keep hold for one version (`kept_plans`).
    A customer has at most `max_seats_per_account` seats of it.
    """

    __tablename__ = "show"
    __table_args__ = (
        sa.UniqueConstraint("screen_id", "starts_at"),
        sa.CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        sa.Index("uq_show_external_id", "external_id", unique=True),
        sa.CheckConstraint("price_cents >= 0", name="price"),
        sa.CheckConstraint(f"total_seats BETWEEN 1 AND {SEATS_MAX}", name="total_seats"),
        sa.Index("ix_show_movie_id_starts_at", "movie_id", "starts_at"),
        sa.Index("ix_show_starts_at", "starts_at"),
        sa.Index("ix_show_local_date", "local_date"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    movie_id: Mapped[int] = mapped_column(sa.ForeignKey("movie.id"))
    screen_id: Mapped[int] = mapped_column(sa.ForeignKey("screen.id"))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    local_date: Mapped[date] = mapped_column(sa.Date)
    price_cents: Mapped[int] = mapped_column(sa.Integer)
    prices: Mapped[dict[str, int]] = mapped_column(Json, server_default="{}")
    no_single_gaps: Mapped[bool] = mapped_column(sa.Boolean, server_default=sa.false())
    total_seats: Mapped[int] = mapped_column(sa.Integer)
    on_sale: Mapped[bool] = mapped_column(sa.Boolean)
    version: Mapped[int] = mapped_column(sa.BigInteger, server_default=sa.text("0"))
    max_seats_per_account: Mapped[int | None] = mapped_column(sa.Integer)
    format: Mapped[str | None] = mapped_column(sa.String(FORMAT_MAX))
    format_key: Mapped[str | None] = mapped_column(KeyText)
    language: Mapped[str | None] = mapped_column(sa.String(LANGUAGE_MAX))
    language_key: Mapped[str | None] = mapped_column(KeyText)
    subtitles: Mapped[str | None] = mapped_column(sa.String(LANGUAGE_MAX))
    subtitles_key: Mapped[str | None] = mapped_column(KeyText)
    note: Mapped[str | None] = mapped_column(sa.String(NOTE_MAX))
    preshow_minutes: Mapped[int] = mapped_column(sa.Integer, server_default=sa.text("0"))
    intermission_minutes: Mapped[int] = mapped_column(sa.Integer, server_default=sa.text("0"))
    sales_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sales_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    external_id: Mapped[str | None] = mapped_column(sa.String(EXTERNAL_ID_MAX))
    # The default, for the release before, is what CURRENCY was at the upgrade (migration 0015).
    currency: Mapped[str] = mapped_column(sa.String(3), server_default="EUR")


class ShowSeat(Base):
    """A seat of a show: one row, and the row says who owns it and until when.

    This row decides; a booking's `expires_at` is a copy of `held_until`. `booking_id` is the
    owner, who took it at `price_cents`; `held_until` is set while the owner only holds it. No
    index on `booking_id`: nothing looks for it, and without one PostgreSQL updates the row in
    place. `label` is what callers book by, made of `block`, `row_label` and `number`
    (`seat_plans.seat_label`); `position` counts through the room. `x` and `y` say where it stands
    (`seat_plans.Seat`). A seat that is `blocked` (one of BLOCKS) is not for sale, for a
    `blocked_reason` that staff see.

    Release 1.2 leaves out `block`, `number`, `kind`, `x` and `y`, and reads `accessible` (a
    wheelchair place) and `aisle_after` (an empty place follows in the row), which this release
    writes for it. Read `NUMBER`, `KIND` and `seat_plans.places`.
    """

    __tablename__ = "show_seat"
    __table_args__ = (
        sa.PrimaryKeyConstraint("show_id", "label"),
        sa.CheckConstraint("held_until IS NULL OR booking_id IS NOT NULL", name="hold_has_owner"),
    )

    show_id: Mapped[int] = mapped_column(sa.ForeignKey("show.id"))
    label: Mapped[str] = mapped_column(LabelText)
    position: Mapped[int] = mapped_column(sa.Integer)
    block: Mapped[str] = mapped_column(sa.String(BLOCK_MAX), server_default=sa.text("''"))
    row_label: Mapped[str] = mapped_column(RowLabelText, server_default=sa.text("''"))
    number: Mapped[str | None] = mapped_column(sa.String(NUMBER_MAX))
    kind: Mapped[str] = mapped_column(sa.String(12), server_default=STANDARD)
    x: Mapped[int | None] = mapped_column(sa.Integer)
    y: Mapped[int | None] = mapped_column(sa.Integer)
    category: Mapped[str] = mapped_column(sa.String(CATEGORY_MAX), server_default=STANDARD)
    accessible: Mapped[bool] = mapped_column(sa.Boolean, server_default=sa.false())
    aisle_after: Mapped[bool] = mapped_column(sa.Boolean, server_default=sa.false())
    booking_id: Mapped[int | None] = mapped_column(sa.ForeignKey("booking.id"))
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    price_cents: Mapped[int | None] = mapped_column(sa.Integer)
    blocked: Mapped[str | None] = mapped_column(sa.String(12))
    blocked_reason: Mapped[str | None] = mapped_column(sa.String(REASON_MAX))


# How a show is presented, and when it is on sale.
PRESENTATION = (
    Show.format,
    Show.language,
    Show.subtitles,
    Show.note,
    Show.preshow_minutes,
    Show.intermission_minutes,
    Show.sales_from,
    Show.sales_until,
)
# When customers can't buy any more.
SALES_END = sa.func.coalesce(Show.sales_until, Show.starts_at)
# Shows that have not begun or are still on sale, with the parameter `now`. The first condition,
# which follows from the second one, is for the index: a sale ends with its show at the latest.
IS_UPCOMING = sa.and_(
    Show.starts_at > later(-LONGEST_SHOW),
    sa.or_(Show.starts_at > NOW, sa.func.coalesce(Show.sales_until > NOW, sa.false())),
)
# What films are listed by and searched in, also one that release 1.2 made.
SORT_KEY = sa.func.coalesce(Movie.sort_key, Movie.title_key)
SEARCH_KEY = sa.func.coalesce(Movie.search_key, sa.func.replace(Movie.title_key, " ", ""))
FILM_SEARCHED = Searched(SEARCH_KEY, searched_for)
# The number and the kind of a seat, also of one that release 1.2 made.
NUMBER = sa.func.coalesce(
    ShowSeat.number, sa.func.substr(ShowSeat.label, sa.func.length(ShowSeat.row_label) + 1)
).label("number")
KIND = sa.case((ShowSeat.accessible, WHEELCHAIR), else_=ShowSeat.kind).label("kind")
# A seat of a show, as its plan describes it.
PLANNED_SEAT = (
    ShowSeat.label,
    ShowSeat.block,
    ShowSeat.row_label,
    NUMBER,
    ShowSeat.category,
    KIND,
    ShowSeat.x,
    ShowSeat.y,
)


class ShowSum(Base):
    """What was sold of a show that is over, by category: its seats change no more, so reports add
    them up once (`reports.service`). A show without rows here is added up each time."""

    __tablename__ = "show_sum"
    __table_args__ = (sa.PrimaryKeyConstraint("show_id", "category"),)

    show_id: Mapped[int] = mapped_column(sa.ForeignKey("show.id"))
    category: Mapped[str] = mapped_column(sa.String(CATEGORY_MAX))
    seats: Mapped[int] = mapped_column(sa.Integer)
    blocked: Mapped[int] = mapped_column(sa.Integer, server_default=sa.text("0"))
    sold: Mapped[int] = mapped_column(sa.Integer)
    takings_cents: Mapped[int] = mapped_column(sa.BigInteger)


def with_places(query: Query) -> Query:
    """A SELECT that reads `show`, joined with the film, the screen and the cinema of each."""
    return (
        query.join(Movie, Movie.id == Show.movie_id)
        .join(Screen, Screen.id == Show.screen_id)
        .join(Cinema, Cinema.id == Screen.cinema_id)
    )


def is_free(now: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    """Whether nobody owns a row of `show_seat` at `now`; never NULL, so NOT works too."""
    held_until_past = sa.and_(ShowSeat.held_until.is_not(None), ShowSeat.held_until <= now)
    return sa.or_(ShowSeat.booking_id.is_(None), held_until_past)


def is_for_sale(now: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    """Whether a customer may take a row of `show_seat` at `now`: it is free and not blocked."""
    return sa.and_(is_free(now), ShowSeat.blocked.is_(None))


def available_seats(now: sa.ColumnElement[datetime]) -> sa.ScalarSelect[Any]:
    """How many seats of the show in the enclosing SELECT may be taken at `now`."""
    return (
        sa.select(sa.func.count())
        .select_from(ShowSeat)
        .where(ShowSeat.show_id == Show.id, is_for_sale(now))
        .correlate(Show)
        .scalar_subquery()
    )
