"""Catalogue files, made by Hypothesis, and loading them at a time of 2030."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from booking_app.catalog import catalog_file, file_schemas
from booking_app.catalog.file_report import Report
from booking_app.core.formats import iso
from tests.conftest import NOON

PLANS = (
    [{"label": "A", "seats": 3}, {"label": "B", "seats": 4, "category": "vip", "gaps": [2]}],
    [{"label": "A", "seats": 3}],
    [{"label": "R", "seats": [3, 2, None, {"number": "1a", "kind": "wheelchair"}]}],
)
TITLES = ("Äpfel", "ÄPFEL", "Birnen", "Zwei  Tage")
HALLS = ("1", "1 ", "Saal", "SAAL", "Saal  2", "Saal 2")
IDS = ("a", "b", 5, "5", "movie-1", "show-2")
PLAN = [{"label": "A", "seats": 3}]
TIMES = ("Europe/Vienna", "UTC", "America/New_York")


def load(file: dict[str, Any], **options: Any) -> Report:
    """Load the content of a file, at noon."""
    options = {"timezone": "UTC", "now": NOON} | options
    return catalog_file.load_catalog(**file_schemas.Catalog().load(file), **options)


def at(**delta: float) -> str:
    return iso(NOON + timedelta(**delta))


def house(**shows: dict[str, Any]) -> dict[str, Any]:
    """A file with one hall, and one film with these shows, by id, each two hours after noon of its
    own day unless it says otherwise."""
    listed = [
        {
            "id": name,
            "cinema": "Burg",
            "screen": "Saal",
            "date_time": at(days=number + 1, hours=2),
            **facts,
        }
        for number, (name, facts) in enumerate(shows.items())
    ]
    return {
        "cinemas": [
            {
                "id": "c",
                "name": "Burg",
                "timezone": "UTC",
                "screens": [{"id": "h", "name": "Saal", "rows": PLAN}],
            }
        ],
        "movies": [{"id": "f", "title": "Äpfel", "duration_minutes": 90, "shows": listed}],
    }


def told(found: Any) -> list[str]:
    return [str(one) for one in found]


@st.composite
def any_file(draw: st.DrawFn) -> dict[str, Any]:
    """A file of a few cinemas, halls, films and shows, with duplicates of all kinds."""
    cinemas = [_cinema(draw) for _ in range(draw(st.integers(0, 2)))]
    halls = [
        (cinema["name"], hall["name"], "rows" in hall)
        for cinema in cinemas
        for hall in cinema["screens"]
    ]
    return {
        "cinemas": cinemas,
        "movies": [_film(draw, halls) for _ in range(draw(st.integers(0, 3)))],
    }


def _cinema(draw: st.DrawFn) -> dict[str, Any]:
    cinema: dict[str, Any] = {
        "name": draw(st.sampled_from(["Burg", "Roxy", "BURG"])),
        "timezone": draw(st.sampled_from(TIMES)),
        "screens": [_hall(draw) for _ in range(draw(st.integers(0, 3)))],
    }
    optional = {
        "id": st.sampled_from(IDS),
        "city": st.sampled_from(["Wien", None]),
        "day_starts_at": st.just("06:00"),
        "is_default": st.booleans(),
        "currency": st.sampled_from(["EUR", "JPY", None]),
    }
    return cinema | draw(st.fixed_dictionaries({}, optional=optional))


def _hall(draw: st.DrawFn) -> dict[str, Any]:
    optional = {
        "id": st.sampled_from(IDS),
        "rows": st.sampled_from(PLANS),
        "out_of_order": st.just([]),
    }
    hall = {"name": draw(st.sampled_from(HALLS))}
    return hall | draw(st.fixed_dictionaries({}, optional=optional))


def _film(draw: st.DrawFn, halls: list[tuple[str, str, bool]]) -> dict[str, Any]:
    film = {
        "title": draw(st.sampled_from(TITLES)),
        "duration_minutes": draw(st.integers(60, 200)),
        "shows": [_show(draw, halls) for _ in range(draw(st.integers(0, 3)))],
    }
    optional = {
        "id": st.sampled_from(IDS),
        "year": st.sampled_from([1990, None]),
        "genres": st.sampled_from([["Drama", "War"], []]),
        "on_sale": st.booleans(),
    }
    return film | draw(st.fixed_dictionaries({}, optional=optional))


def _show(draw: st.DrawFn, halls: list[tuple[str, str, bool]]) -> dict[str, Any]:
    begins = NOON + timedelta(days=draw(st.integers(1, 3)), hours=draw(st.integers(0, 4)))
    show: dict[str, Any] = {"date_time": iso(begins)}
    if halls and draw(st.booleans()):
        show["cinema"], hall, has_plan = draw(st.sampled_from(halls))
        show |= {"screen": hall} if has_plan and draw(st.booleans()) else _short_form(draw, hall)
    else:
        show |= _short_form(draw, draw(st.sampled_from(HALLS)))
    optional = {
        "id": st.sampled_from(IDS),
        "price": st.sampled_from(["9.50", "0.00", "9"]),
        "currency": st.sampled_from(["EUR", "JPY"]),
        "format": st.sampled_from(["3D", None]),
        "preshow_minutes": st.integers(0, 20),
        "sales_until": st.just(iso(begins)),
        "max_seats_per_account": st.sampled_from([2, None]),
    }
    return show | draw(st.fixed_dictionaries({}, optional=optional))


def _short_form(draw: st.DrawFn, hall: str) -> dict[str, Any]:
    return {"screen_name": hall, "total_seats": draw(st.integers(1, 3))}
