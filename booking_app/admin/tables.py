"""The lists of the admin site: of each its SELECT, its columns, what it is searched and filtered
by, and its order. And the choices that forms offer."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from booking_app.admin.lists import (
    LISTED_MAX,
    Column,
    Table,
    from_day,
    has_id,
    has_text,
    is_one_of,
    is_true,
    plain,
    planned_for,
)
from booking_app.audit.models import ACTIONS, OBJECT_TYPES, AuditEvent
from booking_app.auth.models import User
from booking_app.booking.models import BOOKED, CANCELLED, EXPIRED, HELD, Booking, status_at
from booking_app.booking.queries import receipt
from booking_app.booking.searches import found_bookings, search_params
from booking_app.catalog.models import (
    FILM_SEARCHED,
    MIDNIGHT,
    SORT_KEY,
    Cinema,
    Movie,
    Screen,
    Show,
    ShowSeat,
    with_places,
)
from booking_app.catalog.seat_plans import count_seats
from booking_app.catalog.times import local_time
from booking_app.core import database
from booking_app.core.database import reading
from booking_app.core.errors import NotFound
from booking_app.core.formats import decimal_string
from booking_app.core.search import Searched

Row = Mapping[Any, Any]
MANY = 2000  # choices in a form: more than any house has films on sale

NOW = database.NOW.params(now=None)
STATUS = status_at(NOW)
# What a booking costs now, as `_total` says it.
TOTAL = sa.case((STATUS.in_((BOOKED, HELD)), Booking.total_cents), else_=0)


def _starts(row: Row) -> str:
    return local_time(row["starts_at"], row["timezone"])


def _seats(row: Row) -> str:
    return ", ".join(
        seat.label for seat in receipt(row["seats"], row["status"]) if not seat.cancelled
    )


def _cancelled_seats(row: Row) -> str:
    return ", ".join(seat.label for seat in receipt(row["seats"], row["status"]) if seat.cancelled)


def _total(row: Row) -> str:
    """What the booking costs: one that is cancelled or expired, nothing."""
    amount = row["total_cents"] if row["status"] in (BOOKED, HELD) else 0
    return decimal_string(amount, row["currency"])


def _original_total(row: Row) -> str:
    """What all its seats cost."""
    amount = sum(seat.price_cents for seat in receipt(row["seats"], row["status"]))
    return decimal_string(amount, row["currency"])


def _price(row: Row) -> str:
    return decimal_string(row["price_cents"], row["currency"])


def _choices(query: sa.Select[int, str]) -> list[tuple[str, str]]:
    with reading() as connection:
        return [(str(key), text) for key, text in connection.execute(query.limit(MANY))]


def movies() -> list[tuple[str, str]]:
    """The films, by `(id, title)`; also those that are not on sale, or not yet."""
    return _choices(sa.select(Movie.id, Movie.title).order_by(SORT_KEY, Movie.id))


def cinemas() -> list[tuple[str, str]]:
    """The cinemas, by `(id, name)`."""
    return _choices(sa.select(Cinema.id, Cinema.name).order_by(Cinema.name_key, Cinema.id))


def screens() -> list[tuple[str, str]]:
    """The screens, by `(id, name)`, each name with its cinema's."""
    query = sa.select(Screen.id, Cinema.name + ": " + Screen.name).join(
        Cinema, Cinema.id == Screen.cinema_id
    )
    return _choices(query.order_by(Cinema.name_key, Screen.name_key, Screen.id))


def screens_beside(screen_id: int) -> list[str]:
    """The names of the screens of the same cinema, that one's too."""
    cinema = sa.select(Screen.cinema_id).where(Screen.id == screen_id).scalar_subquery()
    query = sa.select(Screen.name).where(Screen.cinema_id == cinema).order_by(Screen.name_key)
    with reading() as connection:
        return list(connection.execute(query).scalars())


def cinema_of(screen_id: int) -> str:
    """The name of the screen's cinema; raises NotFound."""
    query = sa.select(Cinema.name).join(Screen).where(Screen.id == screen_id)
    with reading() as connection:
        name = connection.execute(query).scalar()
    if name is None:
        raise NotFound("screen", screen_id)
    return name


def facts_of_show(show_id: int) -> sa.RowMapping:
    """What the pages of a show need beside what the service tells: whether it is `on_sale` itself,
    whatever its film is, and whether its seats are `planned`; raises NotFound."""
    planned = sa.exists().where(ShowSeat.show_id == show_id, ShowSeat.row_label != "")
    query = sa.select(Show.on_sale, planned.label("planned")).where(Show.id == show_id)
    with reading() as connection:
        facts = connection.execute(query).mappings().first()
    if facts is None:
        raise NotFound("show", show_id)
    return facts


def clocks_of(screen_id: int | None) -> tuple[str, str]:
    """The time zone of the screen's cinema and when its business day starts; UTC and midnight where
    there is no such screen, which the service refuses."""
    query = (
        sa.select(Cinema.timezone, Cinema.day_starts_at).join(Screen).where(Screen.id == screen_id)
    )
    with reading() as connection:
        timezone, day_starts_at = connection.execute(query).first() or ("UTC", MIDNIGHT)
    return timezone, day_starts_at


def timezone_of(screen_id: int | None) -> str:
    """The first of `clocks_of`."""
    return clocks_of(screen_id)[0]


# Of which show a row is, and when and where that begins.
PLACE = (
    Movie.title,
    Cinema.name.label("cinema_name"),
    Cinema.timezone,
    Screen.name.label("screen_name"),
    Show.starts_at,
)
PLACE_COLUMNS = (
    plain("title", "Film", SORT_KEY, wraps=True),
    plain("cinema_name", "Cinema", Cinema.name_key),
    plain("screen_name", "Screen", Screen.name_key),
    Column("starts_at", "Begins", _starts, Show.starts_at),
)


def places_of(show_ids: Sequence[int]) -> dict[int, sa.RowMapping]:
    """PLACE of each of the shows, by its id."""
    query = with_places(sa.select(Show.id, *PLACE)).where(Show.id.in_(show_ids))
    with reading() as connection:
        return {row["id"]: row for row in connection.execute(query).mappings()}


MOVIES = Table(
    name="Films",
    thing="film",
    query=sa.select(
        Movie.id,
        Movie.title,
        Movie.year,
        Movie.duration_minutes,
        Movie.language,
        Movie.genres,
        Movie.age_rating,
        Movie.on_sale,
    ),
    id_column=Movie.id,
    order=(SORT_KEY, Movie.id),
    search=has_text(FILM_SEARCHED),
    columns=(
        plain("title", "Title", SORT_KEY, wraps=True),
        plain("year", "Year", Movie.year),
        plain("duration_minutes", "Minutes", Movie.duration_minutes),
        plain("language", "Language", Movie.language_key),
        plain("genres", "Genres", wraps=True),
        plain("age_rating", "Age rating"),
        plain("on_sale", "On sale", Movie.on_sale),
        plain("id", "Id", Movie.id),
    ),
    filters=(is_true("On sale", Movie.on_sale),),
)


CINEMAS = Table(
    name="Cinemas",
    thing="cinema",
    query=sa.select(
        Cinema.id,
        Cinema.name,
        Cinema.city,
        Cinema.timezone,
        Cinema.day_starts_at,
        Cinema.is_default,
    ),
    id_column=Cinema.id,
    order=(Cinema.name_key, Cinema.id),
    search=has_text(Searched(Cinema.name_key)),
    columns=(
        plain("name", "Name", Cinema.name_key),
        plain("city", "City"),
        plain("timezone", "Time zone", Cinema.timezone),
        plain("day_starts_at", "Day starts", Cinema.day_starts_at),
        plain("is_default", "Default"),
        plain("id", "Id", Cinema.id),
    ),
)


SCREENS = Table(
    name="Screens",
    thing="screen",
    query=sa.select(Screen.id, Screen.name, Screen.rows, Cinema.name.label("cinema_name")).join(
        Cinema, Cinema.id == Screen.cinema_id
    ),
    id_column=Screen.id,
    order=(Cinema.name_key, Screen.name_key, Screen.id),
    search=has_text(Searched(Screen.name_key), Searched(Cinema.name_key)),
    columns=(
        plain("name", "Name", Screen.name_key),
        plain("cinema_name", "Cinema", Cinema.name_key),
        Column("seats", "Seats", lambda row: str(count_seats(row["rows"]))),
        Column("rows", "Rows", lambda row: str(len(row["rows"]))),
        plain("id", "Id", Screen.id),
    ),
    filters=(has_id("Cinema", Screen.cinema_id, cinemas),),
)


SHOWS = Table(
    name="Shows",
    thing="show",
    named_by=("starts_at",),
    query=with_places(
        sa.select(Show.id, *PLACE, Show.total_seats, Show.price_cents, Show.currency, Show.on_sale)
    ),
    id_column=Show.id,
    order=(Show.starts_at, Show.id),
    desc=True,
    search=has_text(FILM_SEARCHED, Searched(Screen.name_key), Searched(Cinema.name_key)),
    columns=(
        *PLACE_COLUMNS,
        plain("total_seats", "Seats", Show.total_seats),
        Column("price_cents", "Price", _price, Show.price_cents),
        plain("currency", "Currency", Show.currency),
        plain("on_sale", "On sale", Show.on_sale),
        plain("id", "Id", Show.id, indexed=True),
    ),
    filters=(
        is_true("To come", Show.starts_at > NOW),
        from_day("From", lambda day: Show.local_date >= day),
        from_day("To", lambda day: Show.local_date <= day),
        has_id("Film", Show.movie_id, movies),
        has_id("Cinema", Screen.cinema_id, cinemas),
        is_true("On sale", Show.on_sale),
    ),
)


def _with_status(status: str) -> sa.ColumnElement[bool]:
    """Whether a booking has it now, in the words of the index of those that are not booked."""
    if status == BOOKED:
        return Booking.status == BOOKED
    kept: sa.ColumnElement[str] = sa.literal_column(f"'{HELD if status == EXPIRED else status}'")
    other: sa.ColumnElement[str] = sa.literal_column(f"'{BOOKED}'")
    same = sa.and_(Booking.status == kept, Booking.status != other)
    if status == CANCELLED:
        return same
    over = Booking.expires_at <= NOW
    return sa.and_(same, over if status == EXPIRED else sa.not_(over))


def _of_shows(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether a booking is of one of these shows."""
    shows = sa.select(Show.id).join(Screen, Screen.id == Show.screen_id).where(*conditions)
    return Booking.show_id.in_(shows.correlate(None))


def _with_customer_and_place(listed: sa.CTE) -> sa.Join:
    """The tables of what a list of bookings tells of others."""
    return (
        listed.join(User, User.id == listed.c.user_id)
        .join(Show, Show.id == listed.c.show_id)
        .join(Movie, Movie.id == Show.movie_id)
        .join(Screen, Screen.id == Show.screen_id)
        .join(Cinema, Cinema.id == Screen.cinema_id)
    )


def _is_found(text: str) -> sa.ColumnElement[bool]:
    return Booking.id.in_(found_bookings().params(search_params(text)))


def _some_found(text: str) -> sa.Subquery:
    return found_bookings(LISTED_MAX + 1).params(search_params(text)).subquery()


BOOKINGS = Table(
    name="Bookings",
    thing="booking",
    query=with_places(
        sa.select(
            Booking.id,
            Booking.reference,
            User.username,
            *PLACE,
            Booking.seats,
            STATUS.label("status"),
            Booking.total_cents,
            Booking.currency,
            Booking.created_at,
        )
        .join(User, User.id == Booking.user_id)
        .join(Show, Show.id == Booking.show_id)
    ),
    id_column=Booking.id,
    order=(Booking.id,),
    desc=True,
    search=_is_found,
    find=_some_found,
    found=sa.select(Booking.id),
    carried=(Booking.user_id, Booking.show_id),
    places=_with_customer_and_place,
    columns=(
        plain("reference", "Reference", Booking.reference, indexed=True),
        plain("username", "Customer", User.username_key),
        *PLACE_COLUMNS,
        Column("seats", "Seats", _seats, wraps=True),
        Column("cancelled_seats", "Cancelled seats", _cancelled_seats, wraps=True),
        Column("total_cents", "Total", _total, TOTAL),
        Column("original_total", "Original total", _original_total),
        plain("currency", "Currency", Booking.currency),
        plain("status", "Status", STATUS),
        plain("created_at", "Made", Booking.id, indexed=True),
        plain("id", "Id", Booking.id, indexed=True),
    ),
    filters=(
        is_one_of("Status", _with_status, [BOOKED, HELD, CANCELLED, EXPIRED]),
        from_day("Shows from", lambda day: _of_shows(Show.local_date >= planned_for(day))),
        from_day("Shows to", lambda day: _of_shows(Show.local_date <= planned_for(day))),
        has_id("Film", lambda film: _of_shows(Show.movie_id == planned_for(film)), movies),
        has_id(
            "Cinema", lambda cinema: _of_shows(Screen.cinema_id == planned_for(cinema)), cinemas
        ),
        has_id("Show id", Booking.show_id),
        has_id("Account id", Booking.user_id),
    ),
)


ACCOUNTS = Table(
    name="Accounts",
    thing="account",
    query=sa.select(
        User.id, User.username, User.email, User.is_staff, User.is_disabled, User.created_at
    ),
    id_column=User.id,
    order=(User.username_key, User.id),
    found=sa.select(User.id),
    search=has_text(Searched(User.username_key), Searched(sa.func.lower(User.email))),
    columns=(
        plain("username", "User name", User.username_key, indexed=True),
        plain("email", "E-mail"),
        plain("is_staff", "Staff", User.is_staff),
        plain("is_disabled", "Disabled", User.is_disabled),
        plain("created_at", "Made", User.id, indexed=True),
        plain("id", "Id", User.id, indexed=True),
    ),
    filters=(is_true("Staff", User.is_staff), is_true("Disabled", User.is_disabled)),
)


def _found_events(text: str) -> sa.ColumnElement[bool]:
    """Whether an event is of an account whose name has the text."""
    name = Searched(User.username_key)
    accounts = sa.select(User.id).where(name.like(name.pattern(text)))
    return AuditEvent.actor_id.in_(accounts.correlate(None))


AUDIT = Table(
    name="Audit",
    thing="event",
    query=sa.select(*sa.inspect(AuditEvent).columns),
    id_column=AuditEvent.id,
    order=(AuditEvent.id,),
    desc=True,
    found=sa.select(AuditEvent.id),
    search=_found_events,
    columns=(
        plain("created_at", "When", AuditEvent.id, indexed=True),
        plain("action", "Action", AuditEvent.action),
        plain("actor_name", "Account", AuditEvent.actor_name),
        plain("address", "Address", AuditEvent.address),
        plain("object_type", "Object", AuditEvent.object_type),
        plain("object_id", "Object id"),
        plain("before", "Before", wraps=True),
        plain("after", "After", wraps=True),
        plain("id", "Id", AuditEvent.id, indexed=True),
    ),
    filters=(
        is_one_of("Action", AuditEvent.action, ACTIONS),
        is_one_of("Object", AuditEvent.object_type, OBJECT_TYPES),
        has_id("Object id", AuditEvent.object_id),
        has_id("Account id", AuditEvent.actor_id),
        from_day("From (UTC)", lambda day: AuditEvent.created_at >= _begin_of(day)),
        from_day("To (UTC)", lambda day: AuditEvent.created_at < _begin_of(day, later=1)),
    ),
)


def _begin_of(day: date, later: int = 0) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(days=later)


def seat_owners(show_id: int) -> dict[str, tuple[int, str]]:
    """Whose the seats of a show are: the booking's id and the user name, by the seat's label. Of a
    seat whose hold is over it is the last owner."""
    query = (
        sa.select(ShowSeat.label, Booking.id, User.username)
        .join(Booking, Booking.id == ShowSeat.booking_id)
        .join(User, User.id == Booking.user_id)
        .where(ShowSeat.show_id == show_id)
    )
    with reading() as connection:
        return {label: (key, username) for label, key, username in connection.execute(query)}
