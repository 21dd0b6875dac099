"""The page of the sales: a table, plots, a file."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.datastructures import MultiDict
from wtforms import Form

from booking_app.admin import forms, tables
from booking_app.admin.lists import table_file
from booking_app.admin.plot import lying_bars, standing_bars
from booking_app.admin.views import attempt, queried, render
from booking_app.catalog.cinema_clocks import today
from booking_app.core.formats import decimal_string
from booking_app.reports import schemas, service
from booking_app.web import csv

SALES, ROW = schemas.SalesQuery(), schemas.Sales()
DAYS_BACK, DAYS_AHEAD = 30, 7
BARS_MAX = 40


pages = Blueprint("admin_sales", __name__, url_prefix="/admin/sales")


@pages.get("/")
def index() -> Response:
    """What was sold of the shows of a period, as plots and a table."""
    day = today(timezone=current_app.config["TIMEZONE"])
    since, until = day - timedelta(DAYS_BACK), day + timedelta(DAYS_AHEAD)
    usual = {"by": "day", "since": str(since), "until": str(until)}
    form = forms.SalesForm(MultiDict({**usual, **request.args}))
    form.cinema.offer(tables.cinemas())
    rows = attempt(form, lambda: _read_rows(form)) or []
    total = {name: sum(row[name] for row in rows) for name in service.SUMS}
    return render(
        "admin/sales.html",
        title="Sales",
        form=form,
        rows=rows,
        total=total,
        occupancy=service.occupancy(total),
        plots=_plots(rows, form) if rows else [],
        bars_max=BARS_MAX,
        money=decimal_string,
        name=_name_of,
        by_names=forms.REPORTS_BY,
        currency=current_app.config["CURRENCY"],
    )


@pages.get("/export/csv/")
def export() -> Response:
    """The same as a table for a spreadsheet."""
    rows = ROW.dump(service.sales(**queried(SALES)), many=True)
    names = list(ROW.fields)
    lines = csv.lines(names, ([row[name] for name in names] for row in rows))
    return table_file(lines, "sales")


def _read_rows(form: Form) -> Any:
    # Of a query an id is text.
    cinema = {"cinema": form.cinema.data} if form.cinema.data else {}
    return service.sales(**forms.read(form, SALES, **cinema))


def _name_of(row: Mapping[str, Any]) -> str:
    """What a row of a report is about."""
    if row["day"] is not None:
        return str(row["day"])
    named = row["name"] or row["category"]
    return f"{row['cinema_name']}: {named}" if row["cinema_name"] else str(named)


def _plots(rows: Sequence[Mapping[str, Any]], form: Form) -> list[tuple[str, str]]:
    """The takings and the occupancy, each as `(title, SVG)`: every day of the period in its turn,
    others with the highest takings first."""
    if form.by.data == "day":
        bars, names = standing_bars, _days(form.since.data, form.until.data)
    else:
        rows = sorted(rows, key=lambda row: row["takings_cents"], reverse=True)[:BARS_MAX]
        bars, names = lying_bars, [_name_of(row) for row in rows]
    by_name = {_name_of(row): row for row in rows}
    takings = [(name, by_name[name]["takings_cents"] if name in by_name else 0) for name in names]
    occupied = [
        (name, round(by_name[name]["occupancy"] * 1000) if name in by_name else 0) for name in names
    ]
    currency = current_app.config["CURRENCY"]
    return [
        (title := f"Takings in {currency}", bars(title, takings, decimal_string)),
        (title := "Occupancy", bars(title, occupied, _percent, top=1000)),
    ]


def _days(since: date, until: date) -> list[str]:
    return [str(since + timedelta(days)) for days in range((until - since).days + 1)]


def _percent(thousandths: int) -> str:
    return f"{thousandths / 10:.1f} %"
