"""Two who have seen the same and change it at once: one of them is told so."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from booking_app.audit.models import AuditEvent
from booking_app.auth import accounts
from booking_app.auth.accounts import account_edition, update_account
from booking_app.catalog import blocked_seats, movies, show_queries, shows, venue_rows, venues
from booking_app.catalog.blocked_seats import BlockedSeat
from booking_app.core.database import begin_writing, db
from booking_app.core.editions import IfMatch
from tests.conftest import Caller, rows
from tests.promise import at_once, somebody_waits
from tests.serving import Server, wait_until

KINDS = ("movie", "cinema", "screen", "show", "account", "blocked")
Change = Callable[..., Any]


@pytest.fixture
def changes(alice: Caller, staff: Caller, show_id: int) -> dict[str, tuple[str, Change, Change]]:
    """Of a thing of each kind its edition, and two changes of it, each by `if_match=`."""
    show = show_queries.get_show(show_id=show_id)
    movie, cinema, screen = (show[f"{name}_id"] for name in ("movie", "cinema", "screen"))
    by = movies.OPERATOR

    def block(label: str, if_match: IfMatch | None = None) -> object:
        seats = [BlockedSeat(label, "house")]
        return blocked_seats.set_blocked_seats(show_id=show_id, seats=seats, if_match=if_match)

    return {
        "movie": (
            movies.movie_edition(movies.get_movie(movie_id=movie)),
            partial(movies.update_movie, movie_id=movie, year=1949),
            partial(movies.update_movie, movie_id=movie, year=1950),
        ),
        "cinema": (
            venue_rows.cinema_edition(venues.get_cinema(cinema_id=cinema)),
            partial(venues.update_cinema, cinema_id=cinema, city="Wien"),
            partial(venues.update_cinema, cinema_id=cinema, city="Linz"),
        ),
        "screen": (
            venue_rows.screen_edition(venues.get_screen(screen_id=screen)),
            partial(venues.update_screen, screen_id=screen, name="One"),
            partial(venues.update_screen, screen_id=screen, out_of_order=[], name="Two"),
        ),
        "show": (
            show_queries.show_edition(show),
            partial(shows.update_show, show_id=show_id, note="One"),
            partial(shows.update_show, show_id=show_id, note="Two"),
        ),
        "account": (
            account_edition(accounts.get_account(user_id=alice.id)),
            partial(update_account, user_id=alice.id, is_staff=True, by=by),
            partial(update_account, user_id=alice.id, is_disabled=True, by=by),
        ),
        "blocked": (
            blocked_seats.blocked_edition(show=show_id, seats=[]),
            partial(block, "1"),
            partial(block, "2"),
        ),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_at_once_exactly_one_wins(
    kind: str, app: Flask, changes: dict[str, tuple[str, Change, Change]]
) -> None:
    edition, one, other = changes[kind]
    seen = IfMatch(frozenset({edition}))
    events = len(rows(AuditEvent))
    outcomes = at_once(app, partial(one, if_match=seen), partial(other, if_match=seen))
    assert sorted(outcomes) == ["changed_meanwhile", "done"]
    assert len(rows(AuditEvent)) == events + 1


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_condition_both_win(
    kind: str, app: Flask, changes: dict[str, tuple[str, Change, Change]]
) -> None:
    """The race above can be lost."""
    _, one, other = changes[kind]
    assert at_once(app, one, other) == ["done", "done"]


# --- whoever waits for the row --------------------------------------------------------------


@contextmanager
def changing(change: Change) -> Iterator[None]:
    """Within, somebody has changed the thing, and not committed yet."""
    with db.engine.connect() as connection, begin_writing(connection):
        change.func.within(connection, **change.keywords)  # type: ignore[attr-defined]
        yield


def waiting(app: Flask, first: Change, second: Change) -> str:
    """What the second gets, who waits until the first has committed."""
    with ThreadPoolExecutor(1) as pool:
        with changing(first):
            outcome = pool.submit(at_once, app, second)
            wait_until(somebody_waits)
        return outcome.result()[0]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kind", KINDS[:-1])
def test_who_waits_for_the_row_compares_what_it_is_then(
    kind: str, app: Flask, changes: dict[str, tuple[str, Change, Change]]
) -> None:
    edition, one, other = changes[kind]
    seen = IfMatch(frozenset({edition}))
    assert waiting(app, one, partial(other, if_match=seen)) == "changed_meanwhile"


@contextmanager
def nobody_locks_first() -> Iterator[None]:
    """Within, a SELECT locks no row."""

    def unlocked(
        connection: sa.Connection, cursor: Any, statement: str, parameters: Any, *others: Any
    ) -> tuple[str, Any]:
        return statement.replace(" FOR UPDATE", ""), parameters

    sa.event.listen(db.engine, "before_cursor_execute", unlocked, retval=True)
    try:
        yield
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", unlocked)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kind", ["movie", "cinema", "screen"])
def test_compared_before_the_lock_the_first_is_overwritten(
    kind: str, app: Flask, changes: dict[str, tuple[str, Change, Change]]
) -> None:
    """The test above can fail: whoever has not locked the row compares what it was."""
    edition, one, other = changes[kind]
    with nobody_locks_first():
        seen = IfMatch(frozenset({edition}))
        assert waiting(app, one, partial(other, if_match=seen)) == "done"


# --- processes ------------------------------------------------------------------------------

ROUNDS = 10


@pytest.fixture
def two_servers(app: Flask, database_url: str) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        servers = []
        for _ in range(2):
            server = Server(database_url, WEB_CONCURRENCY="1", RATELIMIT_ENABLED="off")
            stack.callback(server.stop)
            servers.append(server)
        yield servers


def changed_at_once(
    servers: list[Server], staff: Caller, path: str, *, seen: bool
) -> list[list[int]]:
    """The servers are asked at once to change the film, in each round with the tag of before."""
    found = []
    token = staff.headers["Authorization"].removeprefix("Bearer ")
    with ThreadPoolExecutor(2) as pool:
        for number in range(ROUNDS):
            tag = staff.get(path).headers["ETag"]
            headers = {"If-Match": tag} if seen else {}
            asked = [
                pool.submit(
                    server.call,
                    "PATCH",
                    path,
                    {"description": f"{number} {place}"},
                    token,
                    headers=headers,
                )
                for place, server in enumerate(servers)
            ]
            found.append(sorted(one.result()[0] for one in asked))
    return found


@pytest.mark.both_in_ci("postgresql")
def test_of_two_processes_exactly_one_wins(
    two_servers: list[Server], staff: Caller, make_movie: Callable[..., int]
) -> None:
    path = f"/api/movies/{make_movie()}/"
    assert changed_at_once(two_servers, staff, path, seen=True) == [[200, 412]] * ROUNDS
    assert changed_at_once(two_servers, staff, path, seen=False) == [[200, 200]] * ROUNDS
