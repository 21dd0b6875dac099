"""Seat plans: what can be, what seats are called, and where they stand."""

import json
import re
import unicodedata
from collections.abc import Callable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given

from booking_app.catalog import seat_plans, venue_schemas
from booking_app.catalog.kept_plans import get_seat_map
from booking_app.catalog.models import LABEL_MAX, Show
from booking_app.catalog.seat_plans import PlanError, PlanRow
from tests.catalog.test_venues import AT
from tests.conftest import ROOT, Caller, rows
from tests.plan_making import any_plan
from tests.wrong import wrong

PLANS = sorted((ROOT / "tests" / "plans").glob("*.json"))
SVG = "{http://www.w3.org/2000/svg}"
load = venue_schemas.PlanRow(many=True).load


def plan_of(*sent: dict[str, Any]) -> tuple[PlanRow, ...]:
    return seat_plans.read_plan(load(list(sent)))


def places(*sent: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {seat.label: (seat.x, seat.y) for seat in seat_plans.plan_seats(plan_of(*sent))}


# --- real halls -----------------------------------------------------------------------------


def test_there_are_four_plans_of_real_halls() -> None:
    assert len(PLANS) == 4


@pytest.mark.usefixtures("in_2030")
@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_real_hall_is_sold_as_it_stands(
    app: Flask,
    client: FlaskClient,
    staff: Caller,
    alice: Caller,
    make_movie: Callable[..., int],
    path: Any,
) -> None:
    """Over the API: the plan is answered in one form, which may be sent again; each seat of the
    show is the one that is said, from left to right by its x; and the picture has all of them."""
    expected = json.loads(path.read_text())
    made = staff.post("/api/screens/", {"name": "Saal", "rows": expected["rows"]})
    assert made.status_code == 201, made.text
    screen = made.json
    again = staff.patch(f"/api/screens/{screen['id']}/", {"rows": screen["rows"]})
    assert again.json == screen | {"still_sold": [], "shows_changed": [], "shows_kept": []}
    body = {"screen": screen["id"], "date_time": AT, "price": "9.50"}
    show = staff.post(f"/api/movies/{make_movie()}/shows/", body).json
    assert show["total_seats"] == screen["total_seats"] == len(expected["seats"])

    shown = client.get(f"/api/shows/{show['id']}/seats/").json
    seats = [
        {"block": row["block"], "row": row["label"]}
        | {name: seat[name] for name in ("number", "seat_number", "category", "kind")}
        for row in shown["rows"]
        for seat in row["seats"]
    ]
    assert seats == expected["seats"]
    for row in shown["rows"]:
        assert all(right["x"] >= left["x"] + 2 for left, right in pairwise(row["seats"]))
        for seat in row["seats"]:
            assert seat["accessible"] == (seat["kind"] == "wheelchair")

    drawn = client.get(f"/api/shows/{show['id']}/seats.svg")
    titles = [each.text or "" for each in ElementTree.fromstring(drawn.text).iter(f"{SVG}title")]
    named = {title.partition(", ")[0] for title in titles}
    assert named >= {seat["seat_number"] for seat in expected["seats"]}

    wanted = [seats[0]["seat_number"], seats[-1]["seat_number"]]
    booked = alice.post(f"/api/shows/{show['id']}/book/", {"seat_numbers": wanted[::-1]})
    assert booked.json["seat_numbers"] == wanted, "in the order of the room"


# --- what seats are called ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "row", "number", "label"),
    [
        ("", "B", "7", "B7"),
        ("", "", "5", "5"),
        ("", "11", "1", "11-1"),
        ("", "1", "11", "1-11"),
        ("", "A", "B1", "A-B1"),
        ("", "AA", "2a", "AA2a"),
        ("", "Loge 1", "8", "Loge 1-8"),
        ("Balcony", "A", "1", "Balcony A1"),
        ("Balcony", "3", "1", "Balcony 3-1"),
        ("", "٣", "1", "٣-1"),
    ],
)
def test_what_a_seat_is_called(block: str, row: str, number: str, label: str) -> None:
    assert seat_plans.seat_label(block, row, number) == label


def test_names_are_kept_in_one_form_of_unicode() -> None:
    (row,) = plan_of({"label": "E\u0301", "seats": ["e\u0301"], "block": "A\u0308"})
    assert (row.block, row.label) == ("Ä", "É")
    assert row.seats[0] is not None
    assert row.seats[0].number == "é"


# --- what can't be --------------------------------------------------------------------------

PAIR = {"kind": "pair"}


@pytest.mark.parametrize(
    ("sent", "place", "told"),
    [
        (
            [
                {"label": "A", "block": "B C", "seats": 1},
                {"label": "C A", "block": "B", "seats": 1},
            ],
            (1, "seats", 0),
            "Two seats are B C A1: block 'B C' row 'A' seat 1 and block 'B' row 'C A' seat 1.",
        ),
        ([{"label": "A", "seats": [None, None]}], (0, "seats"), "Has no seat."),
        (
            [{"label": "A", "seats": [1, *({"number": n} | PAIR for n in (2, 3, 4)), 5]}],
            (0, "seats", 1),
            "3 pair seats stand side by side from A2; pairs need an even number.",
        ),
        (
            [{"label": "A", "seats": [{"number": 1} | PAIR, None, {"number": 2} | PAIR]}],
            (0, "seats", 0),
            "1 pair seats",
        ),
        ([{"label": "A", "seats": [1, 2], "gaps": [1]}], (0, "gaps"), "Goes with a count"),
        ([{"label": "A", "seats": [1, 2], "accessible": [1]}], (0, "accessible"), "count of seats"),
        (
            [{"label": "A", "seats": [1]}, {"label": "A", "seats": [2]}],
            (1, "label"),
            "There is a row A already.",
        ),
        (
            [{"label": label, "block": block, "seats": 1} for label, block in ("AS", "AB", "BS")],
            (2, "block"),
            "The rows of a block must follow each other.",
        ),
        (
            [{"label": "A", "block": "S", "seats": 1, "beside": "S"}],
            (0, "beside"),
            "Must be a block in front of this one; there are: none.",
        ),
        (
            [
                {"label": "A", "block": "S", "seats": 1},
                {"label": "A", "block": "B", "seats": 1},
                {"label": "B", "block": "B", "seats": 1, "beside": "S"},
            ],
            (2, "beside"),
            "Only the first row of a block says this.",
        ),
        (
            [
                {"label": "A", "block": "S", "seats": 1},
                {"label": "A", "block": "B", "seats": 1, "beside": "S"},
                {"label": "A", "block": "C", "seats": 1, "beside": "S"},
            ],
            (2, "beside"),
            "S has a block on its right already.",
        ),
    ],
)
def test_what_can_not_be_is_told_with_its_place(
    sent: list[dict[str, Any]], place: tuple[Any, ...], told: str
) -> None:
    with pytest.raises(PlanError, match=re.escape(told)) as error:
        plan_of(*sent)
    assert (error.value.row, *error.value.path) == place


def test_the_answer_leads_to_the_seat(staff: Caller) -> None:
    pair = {"number": 2, "kind": "pair"}
    refused = staff.post(
        "/api/screens/", {"name": "1", "rows": [{"label": "A", "seats": [1, pair]}]}
    )
    assert refused.status_code == 422
    (message,) = wrong(refused)["/rows/0/seats/1"]
    assert "pairs need an even number" in message


# --- where seats stand ----------------------------------------------------------------------


def test_rows_are_centred_and_an_empty_place_is_as_wide_as_a_seat() -> None:
    found = places({"label": "A", "seats": 2}, {"label": "B", "seats": [1, None, 2]})
    assert found == {"A1": (1, 0), "A2": (3, 0), "B1": (0, 1), "B2": (4, 1)}


def test_an_offset_moves_a_row_by_half_seats_and_a_walkway_takes_a_row() -> None:
    found = places(
        {"label": "A", "seats": 2, "walkway": True}, {"label": "B", "seats": 2, "offset": -1}
    )
    assert found == {"A1": (1, 0), "A2": (3, 0), "B1": (0, 2), "B2": (2, 2)}


def test_a_block_stands_behind_the_one_before_or_beside_one() -> None:
    found = places(
        {"label": "A", "block": "Left", "seats": 2},
        {"label": "B", "block": "Left", "seats": 2},
        {"label": "A", "block": "Right", "seats": 4, "beside": "Left"},
        {"label": "A", "block": "Balcony", "seats": 1},
    )
    assert found["Left A1"] == (0, 0)
    assert found["Right A1"] == (2 * 2 + 2, 0)
    assert found["Balcony A1"] == ((2 * 2 + 2 + 4 * 2) // 2 - 1, 2), "behind both, in the middle"


# --- every plan that the API takes ----------------------------------------------------------


@given(any_plan)
def test_every_form_of_a_plan_says_the_same(sent: list[dict[str, Any]]) -> None:
    plan = plan_of(*sent)
    stored = seat_plans.stored_plan(plan)
    assert seat_plans.read_plan(json.loads(json.dumps(stored))) == plan
    answered = venue_schemas.PlanRowAnswer(many=True).dump(plan)
    assert seat_plans.read_plan(load(answered)) == plan
    seats = seat_plans.plan_seats(plan)
    assert seat_plans.count_seats(stored) == len(seats)
    if seat_plans.unreadable_before(plan) is None:
        assert all(isinstance(row["seats"], int) for row in stored)


@given(any_plan)
def test_every_seat_has_a_name_and_a_place_of_its_own(sent: list[dict[str, Any]]) -> None:
    seats = seat_plans.plan_seats(plan_of(*sent))
    labels = [seat.label for seat in seats]
    assert len(set(labels)) == len(labels)
    assert all(len(label) <= LABEL_MAX for label in labels)
    assert all(unicodedata.is_normalized("NFC", label) for label in labels)
    assert min(seat.x for seat in seats) == min(seat.y for seat in seats) == 0
    by_y: dict[int, list[int]] = {}
    for seat in seats:
        by_y.setdefault(seat.y, []).append(seat.x)
    for xs in by_y.values():
        assert all(right - left >= 2 for left, right in pairwise(sorted(xs)))
    for _, row in groupby(seats, key=lambda seat: (seat.block, seat.row_label)):
        in_row = list(row)
        assert [seat.x for seat in in_row] == sorted(seat.x for seat in in_row)
        assert len({seat.y for seat in in_row}) == 1


@given(any_plan)
def test_release_1_2_finds_aisles_and_wheelchair_places(sent: list[dict[str, Any]]) -> None:
    plan = plan_of(*sent)
    columns = seat_plans.seat_columns(seat_plans.plan_seats(plan))
    assert [seat["position"] for seat in columns] == list(range(1, len(columns) + 1))
    after = iter(columns)
    for row in plan:
        for place, seat in enumerate(row.seats):
            if seat is not None:
                column = next(after)
                assert column["accessible"] == (seat.kind == "wheelchair")
                rest = row.seats[place + 1 :]
                assert column["aisle_after"] == (any(rest) and rest[0] is None)


@pytest.mark.usefixtures("in_2030")
def test_real_halls_stand_in_the_catalogue_file_as_they_are(app: Flask, tmp_path: Path) -> None:
    halls = {path.stem: json.loads(path.read_text()) for path in PLANS}
    screens = [{"name": name, "rows": hall["rows"]} for name, hall in halls.items()]
    shows = [
        {"cinema": "Roxy", "screen": name, "date_time": f"2030-09-0{day}T20:00:00Z"}
        for day, name in enumerate(halls, start=1)
    ]
    catalog = {
        "cinemas": [{"name": "Roxy", "timezone": "UTC", "screens": screens}],
        "movies": [{"title": "Film", "duration_minutes": 90, "shows": shows}],
    }
    file = tmp_path / "catalog.json"
    file.write_text(json.dumps(catalog))
    loaded = app.test_cli_runner().invoke(args=["load-catalog", str(file)])
    assert loaded.exit_code == 0, loaded.output
    for row, hall in zip(rows(Show), halls.values(), strict=True):
        seats = [
            {"block": row["block"], "row": row["label"]}
            | {name: seat[name] for name in ("number", "seat_number", "category", "kind")}
            for row in get_seat_map(show_id=row.id).as_dict()["rows"]
            for seat in row["seats"]
        ]
        assert seats == hall["seats"]
