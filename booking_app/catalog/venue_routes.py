"""Cinemas and screens."""

from typing import Any

from flask import current_app

from booking_app.auth.access import actor, staff_only
from booking_app.catalog import cinema_schemas, venue_rows, venue_schemas, venues
from booking_app.core.editions import IfMatch
from booking_app.idempotency.retriable import retriable
from booking_app.web.conditional import edition, if_match
from booking_app.web.headers import A_MINUTE
from booking_app.web.openapi import Blueprint
from booking_app.web.paging import HEADER, PageQuery, page_headers
from booking_app.web.prefix import LOCATION, location

blp = Blueprint(
    "venues",
    __name__,
    url_prefix="/api",
    description="Cinemas and their screens.",
)

EXAMPLE_CINEMA = {"name": "Burg Kino", "city": "Wien", "timezone": "Europe/Vienna"}
EXAMPLE_SCREEN = {
    "name": "Saal 1",
    "rows": [
        {"label": "A", "seats": 8, "gaps": [4], "accessible": [1, 8]},
        {"label": "B", "seats": 10, "gaps": [5], "category": "premium"},
    ],
}


@blp.route("/cinemas/", methods=["GET"])
@blp.public(A_MINUTE)
@blp.arguments(PageQuery, location="query")
@blp.response(200, cinema_schemas.Cinema(many=True), headers=HEADER)
def list_cinemas(query: dict[str, Any]) -> Any:
    """List cinemas

    By name.
    """
    page = venues.list_cinemas(**query)
    return page.items, page_headers(page)


@blp.route("/cinemas/", methods=["POST"])
@staff_only
@retriable
@blp.arguments(cinema_schemas.CinemaBody, example=EXAMPLE_CINEMA)
@blp.response(201, cinema_schemas.Cinema, headers=LOCATION)
@edition(venue_rows.cinema_edition)
@blp.problems("name_taken", "upgrade_unfinished")
@blp.leads_to("getCinema", "updateCinema", "deleteCinema", cinema_id="/id")
def create_cinema(data: dict[str, Any]) -> Any:
    """Add a cinema

    For staff. Its time zone and `day_starts_at` decide which day a show belongs to: where the day
    starts at 06:00, a show at 01:45 belongs to the evening before.
    """
    made = venues.create_cinema(by=actor(), **data)
    return made, location(f"/api/cinemas/{made['id']}/")


@blp.route("/cinemas/<id:cinema_id>/", methods=["GET"])
@blp.public(A_MINUTE)
@blp.response(200, cinema_schemas.Cinema)
@edition(venue_rows.cinema_edition)
@blp.problems("not_found")
def get_cinema(cinema_id: int) -> Any:
    """Show a cinema

    With its time zone and when its business day starts.
    """
    return venues.get_cinema(cinema_id=cinema_id)


@blp.route("/cinemas/<id:cinema_id>/", methods=["PATCH"])
@staff_only
@if_match
@blp.arguments(cinema_schemas.CinemaPatch, required=False, example={"city": "Wien"})
@blp.response(200, cinema_schemas.Cinema)
@edition(venue_rows.cinema_edition)
@blp.problems("not_found", "name_taken", "has_bookings", "in_use", "show_overlap")
@blp.problems("upgrade_unfinished")
def update_cinema(data: dict[str, Any], cinema_id: int, if_match: IfMatch | None) -> Any:
    """Change a cinema

    For staff. In another time zone its shows to come keep their local time, so it can't change
    while seats of them are sold or held. A new `day_starts_at` may give shows another day.
    """
    return venues.update_cinema(cinema_id=cinema_id, if_match=if_match, by=actor(), **data)


@blp.route("/cinemas/<id:cinema_id>/", methods=["DELETE"])
@staff_only
@if_match
@blp.response(204)
@blp.problems("not_found", "in_use")
def delete_cinema(cinema_id: int, if_match: IfMatch | None) -> Any:
    """Delete a cinema

    For staff. Not the default one, nor one that has screens.
    """
    venues.delete_cinema(cinema_id=cinema_id, if_match=if_match, by=actor())


@blp.route("/screens/", methods=["GET"])
@blp.public(A_MINUTE)
@blp.arguments(venue_schemas.ScreenQuery, location="query")
@blp.response(200, venue_schemas.Screen(many=True), headers=HEADER)
def list_screens(query: dict[str, Any]) -> Any:
    """List screens

    By name, with their seat plans; `cinema` narrows the list.
    """
    page = venues.list_screens(**query)
    return page.items, page_headers(page)


@blp.route("/screens/", methods=["POST"])
@staff_only
@retriable
@blp.arguments(venue_schemas.ScreenBody, example=EXAMPLE_SCREEN)
@blp.response(201, venue_schemas.Screen, headers=LOCATION)
@edition(venue_rows.screen_edition)
@blp.problems("name_taken", "upgrade_unfinished", "pair_split")
@blp.leads_to("getScreen", "updateScreen", "deleteScreen", screen_id="/id")
def create_screen(data: dict[str, Any]) -> Any:
    """Add a screen

    For staff. Rows are given from the front, each with a count of seats or with a list of them from
    left to right, seen towards the screen. A seat is booked by its block, row and number: `B7`,
    `11-1`, `Balcony A1`. The answer gives every row as a list.
    """
    made = venues.create_screen(timezone=current_app.config["TIMEZONE"], by=actor(), **data)
    return made, location(f"/api/screens/{made.id}/")


@blp.route("/screens/<id:screen_id>/", methods=["GET"])
@blp.public(A_MINUTE)
@blp.response(200, venue_schemas.Screen)
@edition(venue_rows.screen_edition)
@blp.problems("not_found")
def get_screen(screen_id: int) -> Any:
    """Show a screen

    With its seat plan.
    """
    return venues.get_screen(screen_id=screen_id)


@blp.route("/screens/<id:screen_id>/", methods=["PATCH"])
@staff_only
@if_match
@blp.arguments(venue_schemas.ScreenChange, required=False, example={"name": "Great hall"})
@blp.response(200, venue_schemas.ChangedScreen)
@edition(venue_rows.screen_edition)
@blp.problems("not_found", "name_taken", "upgrade_unfinished", "pair_split")
def update_screen(data: dict[str, Any], screen_id: int, if_match: IfMatch | None) -> Any:
    """Change a screen

    For staff. A new plan is for shows made from now on; those that are made keep their seats. With
    `apply_to_unsold_shows` the plan, also one that stays as it is, goes to the shows to come that
    nobody has a seat of, too; what the house keeps of them stays blocked. The answer lists those
    that change, and those that don't and why; with `dry_run` nothing is written.
    """
    return venues.update_screen(screen_id=screen_id, if_match=if_match, by=actor(), **data)


@blp.route("/screens/<id:screen_id>/", methods=["DELETE"])
@staff_only
@if_match
@blp.response(204)
@blp.problems("not_found", "in_use")
def delete_screen(screen_id: int, if_match: IfMatch | None) -> Any:
    """Delete a screen

    For staff. Not one that has shows, past ones counted.
    """
    venues.delete_screen(screen_id=screen_id, if_match=if_match, by=actor())
