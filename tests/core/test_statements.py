"""Statements on the driver's cursor do what SQLAlchemy's do, and meet its errors."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError, IntegrityError

from booking_app.auth.models import User
from booking_app.catalog.models import Show, ShowSeat
from booking_app.core.database import NOW, begin_writing, db, later, one_of, reading
from booking_app.core.engines import backend
from booking_app.core.outages import is_outage
from booking_app.core.statements import Statement
from tests.conftest import rows

SHOW = sa.select(*Show.__table__.columns).where(Show.id == sa.bindparam("show"))
NAMED = sa.and_(ShowSeat.show_id == sa.bindparam("show"), one_of(ShowSeat.label, "labels"))


def test_types_go_in_and_come_out_as_with_sqlalchemy(app: Flask, show_id: int) -> None:
    moment = datetime(2030, 1, 31, 19, tzinfo=UTC)
    present = sa.select(NOW.label("now"), sa.literal("O'Hara %").label("text"))
    with reading() as connection:
        by_sqlalchemy = connection.execute(SHOW, {"show": show_id}).one()
        assert tuple(Statement(SHOW).first(connection, {"show": show_id})) == tuple(by_sqlalchemy)
        row = Statement(present).first(connection, {"now": moment})
        assert (row.now, row.text) == (moment, "O'Hara %")
        assert Statement(SHOW).first(connection, {"show": show_id + 1}) is None


def test_a_parameter_may_stand_in_several_places(app: Flask) -> None:
    moment = datetime(2030, 1, 31, 19, tzinfo=UTC)
    minute = timedelta(minutes=1)
    both = Statement(sa.select(NOW.label("now"), later(minute).label("later")))
    with reading() as connection:
        assert both.first(connection, {"now": moment}) == (moment, moment + minute)


@pytest.mark.parametrize("labels", [[], ["1"], ["3", "1", "nowhere", "'"]])
def test_one_of_takes_any_number_of_texts(app: Flask, show_id: int, labels: list[str]) -> None:
    statement = Statement(sa.select(ShowSeat.label).where(NAMED).order_by(ShowSeat.label))
    with reading() as connection:
        found = statement.all(connection, {"show": show_id, "labels": labels})
    assert [row.label for row in found] == sorted({"1", "3"}.intersection(labels))


def test_changed_rows_are_counted_and_values_that_stand_in_it_are_written(
    app: Flask, show_id: int
) -> None:
    statement = Statement(sa.update(ShowSeat).where(NAMED).values(blocked="house"))
    with db.engine.connect() as connection, begin_writing(connection):
        assert statement.count(connection, {"show": show_id, "labels": ["1", "2"]}) == 2
    assert {row.label for row in rows(ShowSeat) if row.blocked == "house"} == {"1", "2"}


def test_an_error_is_sqlalchemys_own_and_leaves_the_connection_good(app: Flask) -> None:
    insert = sa.insert(ShowSeat).values(show_id=sa.bindparam("show"), label="1", position=1)
    with db.engine.connect() as connection:
        with pytest.raises(IntegrityError), begin_writing(connection):
            Statement(insert).count(connection, {"show": 999_999})
        assert not connection.invalidated
        assert Statement(sa.select(sa.literal(1).label("one"))).first(connection, {}).one == 1


def test_a_listener_is_told_and_may_change_the_statement(app: Flask) -> None:
    told = []

    def change(connection: Any, cursor: Any, statement: str, params: Any, *rest: Any) -> Any:
        told.append(statement)
        return statement.replace("1 AS", "2 AS"), params

    sa.event.listen(db.engine, "before_cursor_execute", change, retval=True)
    try:
        with reading() as connection:
            one = Statement(sa.select(sa.literal_column("1").label("one")))
            assert one.first(connection, {}).one == 2
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", change)
    assert len(told) == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_that_is_lost_is_given_up(app: Flask) -> None:
    me = Statement(sa.select(sa.func.pg_backend_pid().label("pid")))
    with db.engine.connect() as connection:
        pid = me.first(connection, {}).pid
        with db.engine.connect() as other:
            other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(DBAPIError) as raised:
            me.first(connection, {})
        assert connection.invalidated
    assert is_outage(raised.value)
    with reading() as connection:
        assert me.first(connection, {}).pid != pid


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_behind_a_pooler_each_is_a_transaction_with_the_settings_of_all(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = backend(db.engine)
    monkeypatch.setattr(kind, "has_pooler", True)
    monkeypatch.setattr(kind, "beginning", "BEGIN; SET LOCAL lock_timeout = '4321ms'")
    timeout = Statement(sa.select(sa.func.current_setting("lock_timeout").label("value")))
    with reading() as connection:
        assert timeout.first(connection, {}).value == "4321ms"
        assert timeout.first(connection, {}).value == "4321ms"
    monkeypatch.undo()
    with reading() as connection:
        assert timeout.first(connection, {}).value == "5s"


def test_an_insert_gives_back_what_it_made(app: Flask) -> None:
    values = {"username": "a", "username_key": "a", "password_hash": "", "created_at": NOW}
    insert = sa.insert(User).values(**values, is_staff=True, is_disabled=False)
    moment = datetime(2030, 1, 31, 19, tzinfo=UTC)
    with db.engine.connect() as connection, begin_writing(connection):
        made = Statement(insert.returning(User.id, User.created_at, User.is_staff)).first(
            connection, {"now": moment}
        )
    assert (made.created_at, made.is_staff) == (moment, True)
    assert [row.id for row in rows(User)] == [made.id]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_seat_is_found_by_its_whole_key(app: Flask, show_id: int) -> None:
    """Not by its show alone, all of whose seats would be looked at."""
    update = sa.update(ShowSeat).where(NAMED).values(blocked="house")
    for element in (sa.select(ShowSeat.position).where(NAMED), update):
        sql = str(element.compile(dialect=db.engine.dialect))
        with reading() as connection:
            values = ("house", show_id, "[]") if element is update else (show_id, "[]")
            plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all())
        assert "(show_id=? AND label=?)" in plan
