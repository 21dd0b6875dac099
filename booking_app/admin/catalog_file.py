"""The page of the catalogue file: what loading one would do, and doing just that; and the
catalogue as a file."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, flash, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse
from wtforms import Form

from booking_app.admin import access, forms
from booking_app.admin.views import GET_AND_POST, attempt, digest, render, typed, with_links
from booking_app.catalog import catalog_export, catalog_file, file_schemas
from booking_app.catalog.file_report import KINDS, Report, in_words
from booking_app.catalog.many_shows import SEATS_AT_ONCE
from booking_app.web.requests import CONTAINERS_MAX
from booking_app.web.validation import ERRORS_SHOWN

LINES_SHOWN = 200

pages = Blueprint("admin_catalog_file", __name__, url_prefix="/admin/catalog-file")


@dataclass(frozen=True)
class _Looked:
    """What the file does. `text` is the file, and `checked` stands for it, for the choices and for
    what they do."""

    report: Report
    text: str
    checked: str


@pages.route("/", methods=GET_AND_POST)
@access.takes_file
def index() -> AnyResponse:
    """First what the file does, then, if it is wanted, that is done."""
    form = forms.CatalogFileForm(typed())
    looked = None
    if request.method == "POST":
        looked = attempt(form, lambda: _look_or_load(form)) or None
        if looked and looked.report.written:
            flash(_done(looked.report), "success")
            return redirect(url_for(".index"), 303)
    return render(
        "admin/catalog_file.html",
        form=form,
        looked=looked,
        kinds=KINDS,
        in_words=in_words,
        most=LINES_SHOWN,
        with_links=with_links,
    )


@pages.get("/export/")
def export() -> Response:
    """The catalogue as a file."""
    return Response(
        catalog_export.written(catalog_export.export_catalog()),
        mimetype="application/json",
        headers={"Content-Disposition": "attachment; filename=catalog.json"},
    )


def _look_or_load(form: Form) -> _Looked:
    """Look, and then load the file, where it does what was listed."""
    text = _sent_text(form)
    catalog = _read(form, text)
    choices = {"update": form.update.data, "skip_conflicts": form.skip_conflicts.data}
    named = digest({"file": catalog, **choices})
    seen, _, reported = request.form.get("checked", "").partition(".")
    loads = "load" in request.form and seen == named
    report = catalog_file.load_catalog(
        **catalog,
        **choices,
        timezone=current_app.config["TIMEZONE"],
        currency=current_app.config["CURRENCY"],
        dry_run=not loads,
        reported=reported if loads else None,
        most_seats=SEATS_AT_ONCE,
        by=access.actor(),
    )
    if "load" in request.form and not report.written:
        flash("Something changed meanwhile, and nothing was loaded. Look again.", "error")
    return _Looked(report, text, f"{named}.{report.digest()}")


def _sent_text(form: Form) -> str:
    """The file that is chosen, else the one that was looked at before; raises `forms.Refused`."""
    chosen = request.files.get("file")
    if chosen is None or not chosen.filename:
        if not form.text.data:
            form.file.errors = ["Choose a file."]
            raise forms.Refused
        return str(form.text.data)
    try:
        return str(chosen.read(), "utf-8-sig")
    except UnicodeDecodeError as error:
        form.file.errors = [f"Is not text in UTF-8: {error}."]
        raise forms.Refused from error


def _read(form: Form, text: str) -> dict[str, Any]:
    """The catalogue that the text is; raises `forms.Refused`."""
    containers = text.count("[") + text.count("{")
    if containers > CONTAINERS_MAX:
        form.file.errors = [
            f"Has {containers:,} lists and objects; at most {CONTAINERS_MAX:,} are read here. Load "
            "it at the server: flask --app wsgi load-catalog FILE."
        ]
        raise forms.Refused
    try:
        return file_schemas.read(text.encode("utf-8", "replace"))
    except file_schemas.Unreadable as error:
        more = len(error.messages) - ERRORS_SHOWN
        form.file.errors = [
            *error.messages[:ERRORS_SHOWN],
            *([f"And {more:,} more."] if more > 0 else []),
        ]
        raise forms.Refused from error


def _done(report: Report) -> str:
    told = f"Added: {in_words(report.counts)}."
    if report.taken:
        told += f" Differences taken over: {len(report.taken):,}."
    if report.obstacles:
        told += f" Left out, with something in the way: {len(report.obstacles):,}."
    return told
