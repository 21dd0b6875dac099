"""What the pages of the admin site share: how they answer, how a list is shown, and how a form goes
through a service."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import marshmallow as ma
from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from markupsafe import Markup
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.wrappers import Response as AnyResponse
from wtforms import Form

from booking_app.admin import amounts, forms, tables
from booking_app.admin.lists import PAGE_SIZE, Table, asked_of, export
from booking_app.catalog.times import by_clocks
from booking_app.core.errors import DomainError, Invalid, NotFound
from booking_app.web.problems import CODES, invalid
from booking_app.web.requests import IdConverter

GET_AND_POST = ("GET", "POST")
NAMED_SHOW = re.compile(r"\b([Ss]how [0-9]{1,18})\b")
METHODS = {"new": GET_AND_POST, "edit": GET_AND_POST, "delete": ("POST",)}
Row = Mapping[Any, Any]


def render(template: str, **values: Any) -> Response:
    """A page; where something was refused, with the status of that."""
    page = render_template(template, account=g.get("staff"), money=money, **values)
    answer = make_response(page)
    answer.status_code = g.pop("refused", 200)
    return answer


def money(amount: int, currency: str) -> str:
    """Minor units as the house reads them."""
    return amounts.shown(amount, currency, current_app.config["ADMIN_LOCALE"])


def typed() -> ImmutableMultiDict[str, str] | None:
    """What the form was sent with; None where it is only asked for."""
    return request.form if request.method == "POST" else None


def refuse(form: Form, error: DomainError) -> None:
    """Show why: at the fields of the form where it is about them, else above it, with links to the
    shows that it names. Times are by the clocks of `g.timezone`, where a page has set it, else of
    the show that is in the way."""
    timezone = g.get("timezone", "UTC")
    if "timezone" not in g and "show" in error.facts:
        with suppress(NotFound):  # it was deleted just now
            timezone = tables.facts_of_show(error.facts["show"])["timezone"]
    if isinstance(error, Invalid):
        forms.show_errors(form, error.errors.items(), lambda told: by_clocks(told, timezone))
    else:
        flash(with_links(by_clocks(error.detail, timezone)), "error")
    g.refused = CODES[error.code].status


def with_links(text: str) -> Markup:
    """The text, in which each show that is named by its id is a link to its seat map."""
    parts = NAMED_SHOW.split(text)  # by turns the text between, and the name of one
    return Markup("").join(
        Markup('<a href="{}">{}</a>').format(
            url_for("admin_shows.seats", show_id=int(part.split()[1])), part
        )
        if number % 2
        else part
        for number, part in enumerate(parts)
    )


def at_most(names: Sequence[str], number: int, what: str = "") -> list[str]:
    """The first of the names, and how many more there are."""
    more = len(names) - number
    return [*names[:number], *([f"{more} more{what}"] if more > 0 else [])]


def attempt(form: Form, work: Callable[[], Any]) -> Any:
    """What `work` gives; False where it is refused, and the page says why."""
    try:
        return work()
    except forms.Refused:
        g.refused = 422
    except DomainError as error:
        refuse(form, error)
    return False


def queried(schema: ma.Schema) -> dict[str, Any]:
    """What the schema knows of the query; raises `problems.BadRequest`."""
    known = {name: value for name, value in request.args.items() if name in schema.fields}
    try:
        values: dict[str, Any] = schema.load(known)
    except ma.ValidationError as error:
        raise invalid("query", error.messages_dict) from error
    return values


def chosen(form: Form, name: str) -> int:
    """The id that is chosen; 0 where none is, and the form says so."""
    key = form[name].wire()
    if isinstance(key, int):
        return key
    form[name].errors = ["Choose one."]
    return 0


def digest(values: Mapping[str, Any]) -> str:
    """Names these values, so that a form can say what it was made of."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# --- lists and the forms of their rows ------------------------------------------------------


def list_pages(
    table: Table,
    *,
    offers: Collection[str] = tuple(METHODS),
    may_edit: Callable[[Row], bool] = lambda row: True,
    address: Callable[[Row], str | None] = lambda row: None,
    more: Mapping[str, str] | None = None,
    ticked: tuple[str, str] | None = None,
) -> Blueprint:
    """The pages of a list: itself, and itself as CSV. Those of its rows' forms, which it `offers`,
    are added by their own modules; the others lead back to it.

    A row's name leads to its `address`. `more` can be made too, by the endpoints of the pages.
    Rows can be `ticked` for the page of that endpoint, by a button of these words.
    """
    name = table.name.lower()
    pages = Blueprint(f"admin_{name}", __name__, url_prefix=f"/admin/{name}")

    @pages.get("/")
    def index() -> AnyResponse:
        asked = asked_of(table, lambda name, message: flash(f"{name}: {message}", "error"))
        found = asked.fetch()
        return render(
            "admin/list.html",
            title=table.name,
            table=table,
            offers=offers,
            may_edit=may_edit,
            address=address,
            more=more or {},
            ticked=ticked,
            asked=asked,
            found=found,
            last=-(-found.total // PAGE_SIZE),
            here=url_for(".index", **asked.args()),
        )

    pages.add_url_rule("/export/csv/", "export", lambda: export(table))
    for other in METHODS.keys() - offers:
        pages.add_url_rule(
            f"/{other}/", other, lambda: redirect(list_url()), methods=METHODS[other]
        )
    return pages


def list_url() -> str:
    """The list that led to a form; `access` has seen that it is of this site."""
    return request.values.get("url") or url_for(".index")


def id_of(text: str | None, thing: str) -> int:
    """An id that was sent; raises NotFound for what can be none."""
    if not re.fullmatch(IdConverter.regex, str(text)):
        raise NotFound(thing, str(text)[:20])
    return int(str(text))


def edited_id(thing: str) -> int:
    """The id of the row that the form is of; where none is named, the list is the answer."""
    return id_of(request.args.get("id") or abort(redirect(list_url())), thing)


def new_page(thing: str, form: Form, make: Callable[[], Any], **values: Any) -> AnyResponse:
    """The form of a new row; `make` may raise what a service raises, and `forms.Refused`."""
    if request.method == "POST" and attempt(form, make) is not False:
        flash("Record was successfully created.", "success")
        return redirect(list_url())
    return _form_page(f"New {thing}", form, **values)


def edit_page(
    title: str, form: Form, shown: Mapping[str, Any], change: Callable[[], Any], **values: Any
) -> AnyResponse:
    """The form of a row, made of what is `shown`. It says so when it is sent, and where the row was
    changed meanwhile, nothing is."""
    seen = digest(shown)
    if request.method == "POST":
        if request.form.get("seen", seen) != seen:
            flash("Somebody changed this meanwhile. Save again to overwrite that.", "error")
            g.refused = 409
        elif attempt(form, change) is not False:
            flash("Record was successfully saved.", "success")
            return redirect(list_url())
    return _form_page(f"Edit {title}", form, seen=seen, **values)


def _form_page(
    title: str, form: Form, *, template: str = "admin/form.html", **values: Any
) -> Response:
    return render(template, title=title, form=form, back=list_url(), **values)


def delete_row(thing: str, remove: Callable[[int], Any]) -> AnyResponse:
    """Delete the row that is named, or say at the list why not; raises NotFound."""
    key = id_of(request.form.get("id"), thing)
    try:
        remove(key)
        flash("Record was successfully deleted.", "success")
    except NotFound:
        raise
    except DomainError as error:
        refuse(Form(), error)
    return redirect(list_url())
