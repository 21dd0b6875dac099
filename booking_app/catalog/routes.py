"""Films, shows, seat maps, cinemas and screens."""

from typing import Any

from flask import Response, current_app

from booking_app.auth.access import actor, staff_only
from booking_app.catalog import (
    blocked_seats,
    cinema_schemas,
    many_schemas,
    many_shows,
    movies,
    schemas,
    seat_schemas,
    show_queries,
    shows,
    venue_schemas,
    venues,
)
from booking_app.catalog.blocked_seats import BlockedSeat
from booking_app.catalog.seat_map import get_seat_map
from booking_app.catalog.seat_picture import seat_picture
from booking_app.web.openapi import Blueprint
from booking_app.web.paging import HEADER, PageQuery, page_headers

blp = Blueprint(
    "catalog",
    __name__,
    url_prefix="/api",
    description="Films, shows and their seats, cinemas and screens.",
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
EXAMPLE_CINEMA = {"name": "Burg Kino", "city": "Wien", "timezone": "Europe/Vienna"}
EXAMPLE_SCREEN = {
    "name": "Saal 1",
    "rows": [
        {"label": "A", "seats": 8, "gaps": [4], "accessible": [1, 8]},
        {"label": "B", "seats": 10, "gaps": [5], "category": "premium"},
    ],
}
SEAT_MAP = seat_schemas.SeatMap()
A_MINUTE = 60  # that a CDN may keep what changes by hand; never what is on sale
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
@blp.arguments(schemas.MovieBody, example=EXAMPLE_MOVIE)
@blp.response(201, schemas.Movie)
@blp.problems("external_id_taken")
@blp.leads_to("getMovie", "updateMovie", "createShow", "deleteMovie", movie_id="/id")
def create_movie(data: dict[str, Any]) -> Any:
    """Add a film

    For staff. Only the title and the running time are needed.
    """
    return movies.create_movie(by=actor(), **data)


@blp.route("/movies/<id:movie_id>/", methods=["GET"])
@blp.public(A_MINUTE)
@blp.response(200, schemas.Movie)
@blp.problems("not_found")
def get_movie(movie_id: int) -> Any:
    """Show a film

    Also one that is withdrawn from sale.
    """
    return movies.get_movie(movie_id=movie_id)


@blp.route("/movies/<id:movie_id>/", methods=["PATCH"])
@staff_only
@blp.arguments(schemas.MoviePatch, required=False, example={"age_rating": "PG"})
@blp.response(200, schemas.Movie)
@blp.problems("not_found", "show_overlap", "external_id_taken")
def update_movie(data: dict[str, Any], movie_id: int) -> Any:
    """Change a film

    For staff. A new running time moves the ends of its shows to come, and is refused where one
    of them would run into the next show on its screen.
    """
    return movies.update_movie(movie_id=movie_id, by=actor(), **data)


@blp.route("/movies/<id:movie_id>/", methods=["DELETE"])
@staff_only
@blp.response(204)
@blp.problems("not_found", "has_bookings")
def delete_movie(movie_id: int) -> Any:
    """Delete a film

    For staff. Its shows go with it; a film with any booking, past and cancelled ones too, stays:
    withdraw it from sale instead.
    """
    movies.delete_movie(movie_id=movie_id, by=actor())


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
@blp.arguments(schemas.ShowBody, example=EXAMPLE_SHOW)
@blp.response(201, schemas.Show)
@blp.problems("not_found", "show_overlap", "upgrade_unfinished")
@blp.leads_to("getShow", "getShowSeats", "bookSeats", "holdSeats", show_id="/id")
@blp.leads_to("updateShow", "deleteShow", show_id="/id")
def create_show(data: dict[str, Any], movie_id: int) -> Any:
    """Add a show of a film

    For staff. On a `screen`, whose seat plan the show copies, or in the short form: with
    `screen_name`, found or made in the default cinema, and `total_seats`, numbered "1" to "N".
    """
    house = {name: current_app.config[name.upper()] for name in ("timezone", "currency")}
    return shows.create_show(movie_id=movie_id, by=actor(), **house, **data)


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
@blp.public()
@blp.response(200, schemas.Show)
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
    return get_seat_map(show_id=show_id)


@blp.route("/shows/<id:show_id>/seats.svg", methods=["GET"])
@blp.public()
@blp.response(200, {"type": "string"}, content_type=SVG, description="A picture.")
@blp.problems("not_found")
def draw_show_seats(show_id: int) -> Response:
    """Draw a show's seats

    The seat map as a picture: each seat with its status, category and price. To follow a show, ask
    again with `If-None-Match`.
    """
    return Response(seat_picture(SEAT_MAP.dump(get_seat_map(show_id=show_id))), mimetype=SVG)


@blp.route("/shows/<id:show_id>/", methods=["PATCH"])
@staff_only
@blp.arguments(schemas.ShowPatch, required=False, example={"price": "11.00"})
@blp.response(200, schemas.Show)
@blp.problems("not_found", "has_bookings", "seats_sold", "show_overlap", "upgrade_unfinished")
def update_show(data: dict[str, Any], show_id: int) -> Any:
    """Change a show

    For staff. Once seats are sold or held it can't be moved, nor lose one of them. On another
    screen it has the seats of that screen's plan. A new price does not touch bookings.
    """
    currency = current_app.config["CURRENCY"]
    return shows.update_show(show_id=show_id, currency=currency, by=actor(), **data)


@blp.route("/shows/", methods=["PATCH"])
@staff_only
@blp.arguments(
    many_schemas.ShowsPatch,
    example={"ids": [1, 2], "changes": {"price": "11.00"}, "dry_run": True},
)
@blp.response(200, many_schemas.ShowChange(many=True))
@blp.problems("not_all_shows")
def change_shows(data: dict[str, Any]) -> Any:
    """Change many shows

    For staff. All of them, or none where something is in the way of one. With `dry_run` nothing is
    written, and what is in the way is said of each.
    """
    changes = data.pop("changes")
    return many_shows.change_shows(show_ids=data.pop("ids"), by=actor(), **data, **changes)


@blp.route("/shows/<id:show_id>/", methods=["DELETE"])
@staff_only
@blp.response(204)
@blp.problems("not_found", "has_bookings")
def delete_show(show_id: int) -> Any:
    """Delete a show

    For staff. One with any booking, past and cancelled ones too, stays: withdraw it from sale
    instead.
    """
    shows.delete_show(show_id=show_id, by=actor())


@blp.route("/shows/<id:show_id>/blocked-seats/", methods=["GET"])
@staff_only
@blp.response(200, seat_schemas.BlockedSeats)
@blp.problems("not_found")
def get_blocked_seats(show_id: int) -> Any:
    """List a show's blocked seats

    For staff. With their reasons; the seat map says `blocked` only.
    """
    return {"show": show_id, "seats": blocked_seats.get_blocked_seats(show_id=show_id)}


@blp.route("/shows/<id:show_id>/blocked-seats/", methods=["PUT"])
@staff_only
@blp.arguments(
    seat_schemas.BlockedSeatsBody,
    example={"seats": [{"seat_number": "5", "kind": "house", "reason": "For the press"}]},
)
@blp.response(200, seat_schemas.BlockedSeats)
@blp.problems("not_found", "seats_sold", "pair_split", "upgrade_unfinished")
def set_blocked_seats(data: dict[str, Any], show_id: int) -> Any:
    """Block seats of a show

    For staff. Exactly these seats are not for sale from now on. `house` seats can be sold by staff,
    which lifts the block; `out_of_order` ones by nobody. Pairs are blocked together.
    """
    seats = [
        BlockedSeat(seat["seat_number"], seat["kind"], seat.get("reason")) for seat in data["seats"]
    ]
    after = blocked_seats.set_blocked_seats(show_id=show_id, seats=seats, by=actor())
    return {"show": show_id, "seats": after}


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
@blp.arguments(cinema_schemas.CinemaBody, example=EXAMPLE_CINEMA)
@blp.response(201, cinema_schemas.Cinema)
@blp.problems("name_taken", "upgrade_unfinished")
@blp.leads_to("getCinema", "updateCinema", "deleteCinema", cinema_id="/id")
def create_cinema(data: dict[str, Any]) -> Any:
    """Add a cinema

    For staff. Its time zone and `day_starts_at` decide which day a show belongs to: where the day
    starts at 06:00, a show at 01:45 belongs to the evening before.
    """
    return venues.create_cinema(by=actor(), **data)


@blp.route("/cinemas/<id:cinema_id>/", methods=["GET"])
@blp.public(A_MINUTE)
@blp.response(200, cinema_schemas.Cinema)
@blp.problems("not_found")
def get_cinema(cinema_id: int) -> Any:
    """Show a cinema

    With its time zone and when its business day starts.
    """
    return venues.get_cinema(cinema_id=cinema_id)


@blp.route("/cinemas/<id:cinema_id>/", methods=["PATCH"])
@staff_only
@blp.arguments(cinema_schemas.CinemaPatch, required=False, example={"city": "Wien"})
@blp.response(200, cinema_schemas.Cinema)
@blp.problems("not_found", "name_taken", "has_bookings", "in_use", "show_overlap")
@blp.problems("upgrade_unfinished")
def update_cinema(data: dict[str, Any], cinema_id: int) -> Any:
    """Change a cinema

    For staff. In another time zone its shows to come keep their local time, so it can't change
    while seats of them are sold or held. A new `day_starts_at` may give shows another day.
    """
    return venues.update_cinema(cinema_id=cinema_id, by=actor(), **data)


@blp.route("/cinemas/<id:cinema_id>/", methods=["DELETE"])
@staff_only
@blp.response(204)
@blp.problems("not_found", "in_use")
def delete_cinema(cinema_id: int) -> Any:
    """Delete a cinema

    For staff. Not the default one, nor one that has screens.
    """
    venues.delete_cinema(cinema_id=cinema_id, by=actor())


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
@blp.arguments(venue_schemas.ScreenBody, example=EXAMPLE_SCREEN)
@blp.response(201, venue_schemas.Screen)
@blp.problems("name_taken", "upgrade_unfinished", "pair_split")
@blp.leads_to("getScreen", "updateScreen", "deleteScreen", screen_id="/id")
def create_screen(data: dict[str, Any]) -> Any:
    """Add a screen

    For staff. Rows are given from the front, each with a count of seats or with a list of them from
    left to right, seen towards the screen. A seat is booked by its block, row and number: `B7`,
    `11-1`, `Balcony A1`. The answer gives every row as a list.
    """
    return venues.create_screen(timezone=current_app.config["TIMEZONE"], by=actor(), **data)


@blp.route("/screens/<id:screen_id>/", methods=["GET"])
@blp.public(A_MINUTE)
@blp.response(200, venue_schemas.Screen)
@blp.problems("not_found")
def get_screen(screen_id: int) -> Any:
    """Show a screen

    With its seat plan.
    """
    return venues.get_screen(screen_id=screen_id)


@blp.route("/screens/<id:screen_id>/", methods=["PATCH"])
@staff_only
@blp.arguments(venue_schemas.ScreenChange, required=False, example={"name": "Great hall"})
@blp.response(200, venue_schemas.ChangedScreen)
@blp.problems("not_found", "name_taken", "upgrade_unfinished", "pair_split")
def update_screen(data: dict[str, Any], screen_id: int) -> Any:
    """Change a screen

    For staff. A new plan is for shows made from now on; those that are made keep their seats. With
    `apply_to_unsold_shows` the plan, also one that stays as it is, goes to the shows to come that
    nobody has a seat of, too; what the house keeps of them stays blocked. The answer lists those
    that change, and those that don't and why; with `dry_run` nothing is written.
    """
    return venues.update_screen(screen_id=screen_id, by=actor(), **data)


@blp.route("/screens/<id:screen_id>/", methods=["DELETE"])
@staff_only
@blp.response(204)
@blp.problems("not_found", "in_use")
def delete_screen(screen_id: int) -> Any:
    """Delete a screen

    For staff. Not one that has shows, past ones counted.
    """
    venues.delete_screen(screen_id=screen_id, by=actor())
