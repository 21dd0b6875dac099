"""Films and shows."""

from typing import Any

from flask import current_app

from booking_app.auth.access import staff_only
from booking_app.catalog import schemas, service
from booking_app.extensions import Blueprint
from booking_app.paging import HEADER

blp = Blueprint("catalog", __name__, url_prefix="/api", description="Films and shows")

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
    "date_time": "2030-01-31T20:00:00+01:00",
    "total_seats": 80,
    "price": "9.50",
}


@blp.route("/movies/", methods=["GET"])
@blp.arguments(schemas.MovieQuery, location="query")
@blp.response(200, schemas.Movie(many=True), headers=HEADER)
def list_movies(query: dict[str, Any]) -> Any:
    """List films

    By title. `search`, `genre` and `language` narrow the list; case never counts.
    """
    page = service.list_movies(**query)
    return page.items, page.headers


@blp.route("/movies/", methods=["POST"])
@staff_only
@blp.arguments(schemas.MovieBody, example=EXAMPLE_MOVIE)
@blp.response(201, schemas.Movie)
def create_movie(data: dict[str, Any]) -> Any:
    """Add a film

    For staff. Only the title and the running time are needed.
    """
    return service.create_movie(**data)


@blp.route("/movies/<id:movie_id>/", methods=["GET"])
@blp.response(200, schemas.Movie)
@blp.can_answer("not_found")
def get_movie(movie_id: int) -> Any:
    """Show a film

    Also one that is withdrawn from sale.
    """
    return service.get_movie(movie_id=movie_id)


@blp.route("/movies/<id:movie_id>/", methods=["PATCH"])
@staff_only
@blp.arguments(schemas.MoviePatch, required=False, example={"age_rating": "PG"})
@blp.response(200, schemas.Movie)
@blp.can_answer("not_found", "show_overlap")
def update_movie(data: dict[str, Any], movie_id: int) -> Any:
    """Change a film

    For staff. A new running time moves the ends of its shows to come, and is refused where one
    of them would run into the next show on its screen.
    """
    return service.update_movie(movie_id=movie_id, **data)


@blp.route("/movies/<id:movie_id>/", methods=["DELETE"])
@staff_only
@blp.response(204)
@blp.can_answer("not_found", "has_bookings")
def delete_movie(movie_id: int) -> Any:
    """Delete a film

    For staff. Its shows go with it; a film with any booking, past and cancelled ones too, stays:
    withdraw it from sale instead.
    """
    service.delete_movie(movie_id=movie_id)


@blp.route("/movies/<id:movie_id>/shows/", methods=["GET"])
@blp.arguments(schemas.MovieShowsQuery, location="query")
@blp.response(200, schemas.Show(many=True), headers=HEADER)
@blp.can_answer("not_found")
def list_movie_shows(query: dict[str, Any], movie_id: int) -> Any:
    """List a film's shows

    Those to come, by time; `when=past` or `when=all` for the others, `date` for one day.
    """
    page = service.list_movie_shows(movie_id=movie_id, **query)
    return page.items, page.headers


@blp.route("/movies/<id:movie_id>/shows/", methods=["POST"])
@staff_only
@blp.arguments(schemas.ShowBody, example=EXAMPLE_SHOW)
@blp.response(201, schemas.Show)
@blp.can_answer("not_found", "show_overlap")
def create_show(data: dict[str, Any], movie_id: int) -> Any:
    """Add a show of a film

    For staff. The screen is found or made by its name in the default cinema; the seats are
    numbered "1" to "N".
    """
    timezone = current_app.config["TIMEZONE"]
    return service.create_show(movie_id=movie_id, timezone=timezone, **data)


@blp.route("/shows/", methods=["GET"])
@blp.arguments(schemas.ShowQuery, location="query")
@blp.response(200, schemas.Show(many=True), headers=HEADER)
def list_shows(query: dict[str, Any]) -> Any:
    """List shows

    Of all films, those to come, by time.
    """
    page = service.list_shows(**query)
    return page.items, page.headers


@blp.route("/shows/<id:show_id>/", methods=["GET"])
@blp.response(200, schemas.Show)
@blp.can_answer("not_found")
def get_show(show_id: int) -> Any:
    """Show a show

    With the number of its seats and how many are available now.
    """
    return service.get_show(show_id=show_id)


@blp.route("/shows/<id:show_id>/", methods=["PATCH"])
@staff_only
@blp.arguments(schemas.ShowPatch, required=False, example={"price": "11.00"})
@blp.response(200, schemas.Show)
@blp.can_answer("not_found", "has_bookings", "seats_sold", "show_overlap")
def update_show(data: dict[str, Any], show_id: int) -> Any:
    """Change a show

    For staff. Once seats are sold it can't be moved, nor lose one that is sold. A new price
    does not touch bookings that are made.
    """
    return service.update_show(show_id=show_id, **data)


@blp.route("/shows/<id:show_id>/", methods=["DELETE"])
@staff_only
@blp.response(204)
@blp.can_answer("not_found", "has_bookings")
def delete_show(show_id: int) -> Any:
    """Delete a show

    For staff. One with any booking, past and cancelled ones too, stays: withdraw it from sale
    instead.
    """
    service.delete_show(show_id=show_id)
