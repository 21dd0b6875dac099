"""Films, shows and seat maps."""

from collections.abc import Callable
from typing import Any

from flask import Response, current_app

from booking_app.auth.access import actor, staff_only
from booking_app.catalog import (
    blocked_seats,
    many_schemas,
    many_shows,
    movies,
    schemas,
    seat_schemas,
    show_queries,
    shows,
)
from booking_app.catalog.blocked_seats import BlockedSeat
from booking_app.catalog.kept_plans import get_seat_map
from booking_app.catalog.seat_map import SeatMap
from booking_app.catalog.seat_picture import seat_picture
from booking_app.core.editions import IfMatch
from booking_app.idempotency.retriable import retriable
from booking_app.web.conditional import edition, if_match
from booking_app.web.headers import A_MINUTE, unless_had
from booking_app.web.openapi import Blueprint
from booking_app.web.paging import HEADER, page_headers
from booking_app.web.prefix import LOCATION, location

blp = Blueprint(
    "catalog",
    __name__,
    url_prefix="/api",
    description="Films, shows and their seats.",
)

EXAMPLE_MOVIE = {
    "title": "The Third Man",
    "duration_minutes": 104,
    "year": 1949,
    "language": "English",
    "genres": ["Mystery", "Thriller"],
    "age_rating": "Not Rated",
    "director": "Carol Reed",
    "description": "A writer comes to Vienna to meet a friend and is told that he is dead.",
}
EXAMPLE_SHOW = {
    "screen_name": "Screen 9",
    "date_time": "2030-01-31T20:00:00Z",
    "total_seats": 80,
    "price": "9.50",
}
JSON = "application/json"
SVG = "image/svg+xml"


@blp.route("/movies/", methods=["GET"])
@blp.public(A_MINUTE)
@blp.arguments(schemas.MovieQuery, location="query")
@blp.response(200, schemas.Movie(many=True), headers=HEADER)
@blp.leads_to("getMovie", "listMovieShows", movie_id="/0/id")
def list_movies(query: dict[str, Any]) -> Any:
    """List films

    As people sort titles: accents, case and leading signs don't count, `sort_title` comes first.
    `search` and `director` find what is typed without accents and signs, `now_showing` and `cinema`
    films with shows to come.
    """
    page = movies.list_movies(**query)
    return page.items, page_headers(page)


@blp.route("/movies/", methods=["POST"])
@staff_only
@retriable
@blp.arguments(schemas.MovieBody, example=EXAMPLE_MOVIE)
@blp.response(201, schemas.Movie, headers=LOCATION)
@edition(movies.movie_edition)
@blp.problems("external_id_taken")
@blp.leads_to("getMovie", "updateMovie", "createShow", "deleteMovie", movie_id="/id")
def create_movie(data: dict[str, Any]) -> Any:
    """Add a film

    For staff. Only the title and the running time are needed.
    """
    made = movies.create_movie(by=actor(), **data)
    return made, location(f"/api/movies/{made['id']}/")


@blp.route("/movies/<id:movie_id>/", methods=["GET"])
@blp.public(A_MINUTE)
@blp.response(200, schemas.Movie)
@edition(movies.movie_edition)
@blp.problems("not_found")
def get_movie(movie_id: int) -> Any:
    """Show a film

    Also one that is withdrawn from sale.
    """
    return movies.get_movie(movie_id=movie_id)


@blp.route("/movies/<id:movie_id>/", methods=["PATCH"])
@staff_only
@if_match
@blp.arguments(schemas.MoviePatch, required=False, example={"age_rating": "PG"})
@blp.response(200, schemas.Movie)
@edition(movies.movie_edition)
@blp.problems("not_found", "show_overlap", "external_id_taken")
def update_movie(data: dict[str, Any], movie_id: int, if_match: IfMatch | None) -> Any:
    """Change a film

    For staff. A new running time moves the ends of its shows to come, and is refused where one
    of them would run into the next show on its screen.
    """
    return movies.update_movie(movie_id=movie_id, if_match=if_match, by=actor(), **data)


@blp.route("/movies/<id:movie_id>/", methods=["DELETE"])
@staff_only
@if_match
@blp.response(204)
@blp.problems("not_found", "has_bookings")
def delete_movie(movie_id: int, if_match: IfMatch | None) -> Any:
    """Delete a film

    For staff. Its shows go with it; a film with any booking, past and cancelled ones too, stays:
    withdraw it from sale instead.
    """
    movies.delete_movie(movie_id=movie_id, if_match=if_match, by=actor())


@blp.route("/movies/<id:movie_id>/shows/", methods=["GET"])
@blp.public()
@blp.arguments(schemas.MovieShowsQuery, location="query")
@blp.response(200, schemas.Show(many=True), headers=HEADER)
@blp.problems("not_found")
@blp.leads_to("getShow", "getShowSeats", "bookSeats", "holdSeats", show_id="/0/id")
def list_movie_shows(query: dict[str, Any], movie_id: int) -> Any:
    """List a film's shows

    Those to come, by time; `when=past` or `when=all` for the others, `date` for one day, `from` and
    `to` for several.
    """
    page = show_queries.list_movie_shows(movie_id=movie_id, **query)
    return page.items, page_headers(page)


@blp.route("/movies/<id:movie_id>/shows/", methods=["POST"])
@staff_only
@retriable
@blp.arguments(schemas.ShowBody, example=EXAMPLE_SHOW)
@blp.response(201, schemas.Show, headers=LOCATION)
@edition(show_queries.show_edition)
@blp.problems("not_found", "show_overlap", "upgrade_unfinished")
@blp.leads_to("getShow", "getShowSeats", "bookSeats", "holdSeats", show_id="/id")
@blp.leads_to("updateShow", "deleteShow", show_id="/id")
def create_show(data: dict[str, Any], movie_id: int) -> Any:
    """Add a show of a film

    For staff. On a `screen`, whose seat plan the show copies, or in the short form: with
    `screen_name`, found or made in the default cinema, and `total_seats`, numbered "1" to "N".
    """
    house = {name: current_app.config[name.upper()] for name in ("timezone", "currency")}
    made = shows.create_show(movie_id=movie_id, by=actor(), **house, **data)
    return made, location(f"/api/shows/{made['id']}/")


@blp.route("/shows/", methods=["GET"])
@blp.public()
@blp.arguments(schemas.ShowQuery, location="query")
@blp.response(200, schemas.Show(many=True), headers=HEADER)
@blp.leads_to("getShow", "getShowSeats", "bookSeats", "holdSeats", show_id="/0/id")
def list_shows(query: dict[str, Any]) -> Any:
    """List shows

    Of all films, those to come, by time; `search` finds films as in the list of films.
    """
    page = show_queries.list_shows(**query)
    return page.items, page_headers(page)


@blp.route("/shows/<id:show_id>/", methods=["GET"])
@blp.response(200, schemas.Show)
@edition(show_queries.show_edition)
@blp.problems("not_found")
@blp.leads_to("getShowSeats", "bookSeats", "holdSeats", show_id="/id")
def get_show(show_id: int) -> Any:
    """Show a show

    With the number of its seats and how many are available now.
    """
    return show_queries.get_show(show_id=show_id)


@blp.route("/shows/<id:show_id>/seats/", methods=["GET"])
@blp.public()
@blp.response(200, seat_schemas.SeatMap)
@blp.problems("not_found")
def get_show_seats(show_id: int) -> Any:
    """Show a show's seats

    By row from the front, with the status, category and price of each. To follow a show, ask again
    with `If-None-Match`.
    """
    found = get_seat_map(show_id=show_id)
    return _drawn(found, JSON, lambda: seat_schemas.seat_map_json(*found))


@blp.route("/shows/<id:show_id>/seats.svg", methods=["GET"])
@blp.public()
@blp.response(200, {"type": "string"}, content_type=SVG, description="A picture.")
@blp.problems("not_found")
def draw_show_seats(show_id: int) -> Response:
    """Draw a show's seats

    The seat map as a picture: each seat with its status, category and price. To follow a show, ask
    again with `If-None-Match`.
    """
    found = get_seat_map(show_id=show_id)
    return _drawn(
        found, SVG, lambda: seat_picture(seat_schemas.SEAT_MAP.dump(found.as_dict())).encode()
    )


def _drawn(found: SeatMap, mimetype: str, make: Callable[[], bytes]) -> Response:
    """The map in one of its forms, which is made only where the caller has another edition."""
    edition = found.edition(current_app.config["API_VERSION"])
    if edition is None:
        return Response(make(), mimetype=mimetype)
    return unless_had(edition, mimetype, make)


@blp.route("/shows/<id:show_id>/", methods=["PATCH"])
@staff_only
@if_match
@blp.arguments(schemas.ShowPatch, required=False, example={"price": "11.00"})
@blp.response(200, schemas.Show)
@edition(show_queries.show_edition)
@blp.problems("not_found", "has_bookings", "seats_sold", "show_overlap", "upgrade_unfinished")
def update_show(data: dict[str, Any], show_id: int, if_match: IfMatch | None) -> Any:
    """Change a show

    For staff. Once seats are sold or held it can't be moved, nor lose one of them. On another
    screen it has the seats of that screen's plan. A new price does not touch bookings.
    """
    currency = current_app.config["CURRENCY"]
    return shows.update_show(
        show_id=show_id, currency=currency, if_match=if_match, by=actor(), **data
    )


@blp.route("/shows/", methods=["PATCH"])
@staff_only
@if_match
@blp.arguments(
    many_schemas.ShowsPatch,
    example={"ids": [1, 2], "changes": {"price": "11.00"}, "dry_run": True},
)
@blp.response(200, many_schemas.ShowChange(many=True))
@blp.problems("not_all_shows")
def change_shows(data: dict[str, Any], if_match: IfMatch | None) -> Any:
    """Change many shows

    For staff. All of them, or none where something is in the way of one. With `dry_run` nothing is
    written, and what is in the way is said of each.
    """
    changes = data.pop("changes")
    return many_shows.change_shows(
        show_ids=data.pop("ids"), if_match=if_match, by=actor(), **data, **changes
    )


@blp.route("/shows/<id:show_id>/", methods=["DELETE"])
@staff_only
@if_match
@blp.response(204)
@blp.problems("not_found", "has_bookings")
def delete_show(show_id: int, if_match: IfMatch | None) -> Any:
    """Delete a show

    For staff. One with any booking, past and cancelled ones too, stays: withdraw it from sale
    instead.
    """
    shows.delete_show(show_id=show_id, if_match=if_match, by=actor())


@blp.route("/shows/<id:show_id>/blocked-seats/", methods=["GET"])
@staff_only
@blp.tagged
@blp.response(200, seat_schemas.BlockedSeats)
@edition(lambda body: blocked_seats.blocked_edition(**body))
@blp.problems("not_found")
def get_blocked_seats(show_id: int) -> Any:
    """List a show's blocked seats

    For staff. With their reasons; the seat map says `blocked` only.
    """
    return {"show": show_id, "seats": blocked_seats.get_blocked_seats(show_id=show_id)}


@blp.route("/shows/<id:show_id>/blocked-seats/", methods=["PUT"])
@staff_only
@if_match
@blp.arguments(
    seat_schemas.BlockedSeatsBody,
    example={"seats": [{"seat_number": "5", "kind": "house", "reason": "For the press"}]},
)
@blp.response(200, seat_schemas.BlockedSeats)
@edition(lambda body: blocked_seats.blocked_edition(**body))
@blp.problems("not_found", "seats_sold", "pair_split", "upgrade_unfinished")
def set_blocked_seats(data: dict[str, Any], show_id: int, if_match: IfMatch | None) -> Any:
    """Block seats of a show

    For staff. Exactly these seats are not for sale from now on. `house` seats can be sold by staff,
    which lifts the block; `out_of_order` ones by nobody. Pairs are blocked together.
    """
    seats = [
        BlockedSeat(seat["seat_number"], seat["kind"], seat.get("reason")) for seat in data["seats"]
    ]
    after = blocked_seats.set_blocked_seats(
        show_id=show_id, seats=seats, if_match=if_match, by=actor()
    )
    return {"show": show_id, "seats": after}
