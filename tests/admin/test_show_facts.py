"""The facts and the sale of a show in the admin site."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask

from booking_app.catalog import show_queries, shows, venues
from tests.admin_site import Site, messages
from tests.conftest import Caller

FACTS = {
    "format": "3D",
    "language": "English",
    "subtitles": "Deutsch",
    "note": "With an introduction.",
    "preshow_minutes": 20,
    "intermission_minutes": 15,
}
TERMS = {"price": "9.50", "on_sale": "y", **FACTS}


@pytest.fixture
def vienna(app: Flask) -> int:
    """A screen in Vienna, by its id."""
    cinema = venues.create_cinema(name="Burg", timezone="Europe/Vienna")
    return venues.create_screen(
        name="Saal", rows=[{"label": "A", "seats": 4}], cinema=cinema["id"]
    ).id


def test_the_facts_and_the_sale_of_a_show(
    site: Site, staff: Caller, vienna: int, make_movie: Callable[..., int]
) -> None:
    form = {"movie": make_movie(), "screen": vienna, "date_time": "2030-07-01T20:00", **TERMS}
    window = {"sales_from": "2030-06-01T10:00", "sales_until": "2030-07-01T20:30"}
    assert site.post("shows/new/", form | window).status_code == 302
    (show,) = show_queries.list_shows(page=1, page_size=9).items
    assert {name: getattr(show, name) for name in FACTS} == FACTS
    assert show.sales_from == datetime(2030, 6, 1, 8, tzinfo=UTC)
    assert show.sales_until == datetime(2030, 7, 1, 18, 30, tzinfo=UTC)

    # What the form does not show, seconds, stays; what is emptied goes.
    to_the_second = datetime(2030, 6, 1, 8, 0, 30, tzinfo=UTC)
    shows.update_show(show_id=show.id, sales_from=to_the_second)
    page = site.get("shows/edit/", id=show.id)
    for value in ("2030-06-01T10:00", "2030-07-01T20:30", "3D", "With an introduction."):
        assert value in page.text
    edit = {"date_time": form["date_time"], "screen_name": "Saal", **TERMS, **window}
    edit |= {"sales_until": "", "format": ""}
    assert site.post("shows/edit/", edit, {"id": show.id}).status_code == 302
    site.get()
    after = show_queries.get_show(show_id=show.id)
    told = (after["sales_from"], after["sales_until"], after["format"], after["language"])
    assert told == (to_the_second, None, None, "English")

    late = site.post("shows/edit/", edit | {"sales_until": "2030-07-02T10:00"}, {"id": show.id})
    assert messages(late) == ["The show ends at 2030-07-01 22:19 CEST; end the sale by then."]
