"""Pages of films, cinemas and screens."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flask import Response, current_app, flash, g, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse
from wtforms import Form

from booking_app.admin import access, forms, tables
from booking_app.admin.views import (
    GET_AND_POST,
    at_most,
    chosen,
    delete_row,
    digest,
    edit_page,
    edited_id,
    id_of,
    list_pages,
    new_page,
    render,
    typed,
)
from booking_app.catalog import (
    cinema_schemas,
    movies,
    schemas,
    seat_plans,
    venue_rows,
    venue_schemas,
    venues,
)
from booking_app.catalog.blocked_seats import StillSold
from booking_app.catalog.plan_changes import ChangedShow, KeptShow
from booking_app.catalog.screen_plans import read_rows
from booking_app.catalog.seat_picture import plan_picture
from booking_app.catalog.times import local_time
from booking_app.core.editions import IfMatch

MOVIE, CINEMA = schemas.MovieBody(), cinema_schemas.CinemaBody()
SCREEN, SCREEN_PATCH = venue_schemas.ScreenBody(), venue_schemas.ScreenPatch()
ROWS = venue_schemas.ScreenPatch(only=["rows"])
# A message is kept in a cookie, of 4 KiB at most.
SHOWS_NAMED, SEATS_NAMED = 10, 6

films = list_pages(tables.MOVIES, more={"Catalogue file": "admin_catalog_file.index"})
cinemas = list_pages(tables.CINEMAS)
screens = list_pages(tables.SCREENS)


@films.route("/new/", endpoint="new", methods=GET_AND_POST)
def new_film() -> AnyResponse:
    form = forms.MovieForm(typed())
    return new_page(
        "film",
        form,
        lambda: movies.create_movie(**forms.read(form, MOVIE), by=access.actor()),
    )


@films.route("/edit/", endpoint="edit", methods=GET_AND_POST)
def edit_film() -> AnyResponse:
    film = movies.get_movie(movie_id=edited_id("film"))
    shown = forms.filled(MOVIE, film)
    form = forms.MovieForm(typed(), data=shown)
    return edit_page(
        f"film: {film['title']}",
        form,
        movies.movie_edition(film),
        lambda if_match: movies.update_movie(
            movie_id=film["id"], **forms.read(form, MOVIE), if_match=if_match, by=access.actor()
        ),
    )


@films.post("/delete/", endpoint="delete")
def delete_film() -> AnyResponse:
    return delete_row("film", lambda key: movies.delete_movie(movie_id=key, by=access.actor()))


@cinemas.route("/new/", endpoint="new", methods=GET_AND_POST)
def new_cinema() -> AnyResponse:
    form = forms.CinemaForm(typed())
    return new_page(
        "cinema",
        form,
        lambda: venues.create_cinema(**forms.read(form, CINEMA), by=access.actor()),
    )


@cinemas.route("/edit/", endpoint="edit", methods=GET_AND_POST)
def edit_cinema() -> AnyResponse:
    cinema = venues.get_cinema(cinema_id=edited_id("cinema"))
    g.timezone = cinema["timezone"]
    shown = forms.filled(CINEMA, cinema)
    form = forms.CinemaForm(typed(), data=shown)
    return edit_page(
        f"cinema: {cinema['name']}",
        form,
        venue_rows.cinema_edition(cinema),
        lambda if_match: venues.update_cinema(
            cinema_id=cinema["id"],
            **forms.read(form, CINEMA),
            if_match=if_match,
            by=access.actor(),
        ),
    )


@cinemas.post("/delete/", endpoint="delete")
def delete_cinema() -> AnyResponse:
    return delete_row("cinema", lambda key: venues.delete_cinema(cinema_id=key, by=access.actor()))


@screens.route("/new/", endpoint="new", methods=GET_AND_POST)
def new_screen() -> AnyResponse:
    form = forms.NewScreenForm(typed(), data=_copied())
    offered = tables.cinemas()
    form.cinema.offer(offered)

    def make() -> object:
        if offered:  # else the default one is made
            chosen(form, "cinema")
        values = forms.read(form, SCREEN)
        timezone = current_app.config["TIMEZONE"]
        return venues.create_screen(**values, timezone=timezone, by=access.actor())

    return new_page("screen", form, make, template="admin/screen.html", picture_of=picture_of)


def _copied() -> dict[str, Any] | None:
    """The first values of the form of a new screen: the cinema and plan of the screen that the
    query names, if any."""
    if request.method == "POST" or "copy" not in request.args:
        return None
    screen = venues.get_screen(screen_id=id_of(request.args["copy"], "screen"))
    return {"cinema": screen.cinema_id, "rows": screen.rows}


@screens.route("/edit/", endpoint="edit", methods=GET_AND_POST)
def edit_screen() -> AnyResponse:
    screen = venues.get_screen(screen_id=edited_id("screen"))
    title = f"screen: {screen.name}, {tables.cinema_of(screen.id)}"
    names = ("name", "rows", "out_of_order", "turnaround_minutes")
    stored = {name: getattr(screen, name) for name in names}
    shown = forms.filled(SCREEN, stored)
    form = forms.ScreenForm(typed(), data=shown)
    reached = _Reached()

    def change(if_match: IfMatch) -> object:
        # One that was made by the short form of a show has no plan, and needs none.
        values = forms.read(form, SCREEN_PATCH)
        if "rows" in values and read_rows(values["rows"]) != screen.rows:
            reached.look(screen.id, values, if_match)
            if reached and not reached.is_answered():
                return False
        changed = venues.update_screen(
            screen_id=screen.id,
            **values,
            apply_to_unsold_shows=bool(reached) and "apply" in request.form,
            if_match=if_match,
            by=access.actor(),
        )
        if changed.still_sold:
            flash(_still_sold(changed.still_sold, tables.clocks_of(screen.id)[0]), "info")
        return changed

    return edit_page(
        title,
        form,
        venue_rows.screen_edition(screen),
        change,
        template="admin/screen.html",
        picture_of=picture_of,
        copy=screen.id if screen.rows else None,
        reached=reached,
    )


class _Reached:
    """The shows to come that a plan is new to, as the page lists them before it is saved."""

    def __init__(self) -> None:
        self.changed: Sequence[ChangedShow] = ()
        self.kept: Sequence[KeptShow] = ()
        self.checked = self.timezone = ""

    def __bool__(self) -> bool:
        return bool(self.changed or self.kept)

    def look(self, screen_id: int, values: Mapping[str, Any], if_match: IfMatch) -> None:
        looked = venues.update_screen(
            screen_id=screen_id,
            **values,
            apply_to_unsold_shows=True,
            dry_run=True,
            if_match=if_match,
        )
        self.changed, self.kept = looked.shows_changed, looked.shows_kept
        self.timezone, _ = tables.clocks_of(screen_id)
        self.checked = digest({**values, "changed": self.changed, "kept": self.kept})

    def is_answered(self) -> bool:
        """Whether somebody has seen just this list, and said which shows get the plan."""
        return request.form.get("checked") == self.checked and bool(
            request.form.keys() & {"apply", "new_only"}
        )

    def rows(self) -> Iterator[tuple[bool, Markup, str, str]]:
        """The shows by time: whether one is kept, its link, when it begins and what happens."""
        shows: list[ChangedShow | KeptShow] = [*self.changed, *self.kept]
        for show in sorted(shows, key=lambda show: show.starts_at):
            kept = isinstance(show, KeptShow)
            link = Markup('<a href="{}">{}</a>').format(
                url_for("admin_shows.seats", show_id=show.show_id), show.movie_title
            )
            told = f"Stays: {show.detail}" if isinstance(show, KeptShow) else _told(show)
            yield kept, link, local_time(show.starts_at, self.timezone), told


def _told(show: ChangedShow) -> str:
    """Describe how the plan changes the show."""
    parts = [
        f"{len(labels)} seats {what}: {', '.join(at_most(labels, SEATS_NAMED))}"
        for labels, what in (
            (show.seats.won, "won"),
            (show.seats.lost, "lost"),
            (show.seats.changed, "changed"),
            (show.unblocked, "lost that the house kept"),
        )
        if labels
    ]
    return "; ".join(parts) or "The seats stand elsewhere."


def _still_sold(shows: Sequence[StillSold], timezone: str) -> Markup:
    """Which seats that are out of order are sold or held, each show with a link to its seat map."""
    named = [
        Markup('<a href="{}">{}</a>: {}').format(
            url_for("admin_shows.seats", show_id=show.show_id),
            local_time(show.starts_at, timezone),
            ", ".join(at_most(show.labels, SEATS_NAMED)),
        )
        for show in shows
    ]
    return Markup("Sold or held already: {}.").format(
        Markup("; ").join(at_most(named, SHOWS_NAMED, " shows"))
    )


@screens.post("/delete/", endpoint="delete")
def delete_screen() -> AnyResponse:
    return delete_row("screen", lambda key: venues.delete_screen(screen_id=key, by=access.actor()))


@screens.post("/picture/")
def picture() -> Response:
    """The picture of the plan that is being typed, or what is wrong with it."""
    form = forms.ScreenForm(request.form)
    return render("admin/plan_picture.html", form=form, picture=picture_of(form))


def picture_of(form: Form) -> str | None:
    """The picture of the form's plan; None where it is none, and the field says why."""
    if not form.rows.data or form.rows.errors:
        return None
    try:
        plan = seat_plans.read_plan(forms.read(form, ROWS)["rows"])
    except forms.Refused:
        return None
    except seat_plans.PlanError as error:
        form.rows.errors = list(form.rows.quoting([((error.row, *error.path), str(error))]))
        return None
    return plan_picture(plan)
