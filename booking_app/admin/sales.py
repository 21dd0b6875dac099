"""The page of the sales: a table, plots, a file."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.datastructures import MultiDict
from wtforms import Form

from booking_app.admin import forms, tables
from booking_app.admin.lists import table_file
from booking_app.admin.plot import lying_bars, standing_bars
from booking_app.admin.views import attempt, money, queried, render
from booking_app.catalog.cinema_clocks import today
from booking_app.reports import schemas, service
from booking_app.web import csv

SALES, ROW = schemas.SalesQuery(), schemas.Sales()
DAYS_BACK, DAYS_AHEAD = 30, 7
BARS_MAX = 40
Row = Mapping[str, Any]  # of a report


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
    return render(
        "admin/sales.html",
        title="Sales",
        form=form,
        rows=rows,
        totals=[_total(one) for _, one in _by_currency(rows)],
        plots=[plot for _, one in _by_currency(rows) for plot in _plots(one, form)],
        bars_max=BARS_MAX,
        name=_name_of,
        by_names=forms.REPORTS_BY,
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


def _by_currency(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows of each currency, in the order of its code: amounts of two are never added up."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["currency"]].append(row)
    return sorted(found.items())


def _total(rows: Sequence[Row]) -> dict[str, Any]:
    """The sums of rows of one currency."""
    total = {name: sum(row[name] for row in rows) for name in (*service.SUMS, "shows")}
    return {**total, "currency": rows[0]["currency"], "occupancy": service.occupancy(total)}


def _name_of(row: Row) -> str:
    """What a row of a report is about."""
    if row["day"] is not None:
        return str(row["day"])
    named = row["name"] or row["category"]
    return f"{row['cinema_name']}: {named}" if row["cinema_name"] else str(named)


def _plots(rows: Sequence[Row], form: Form) -> list[tuple[str, str]]:
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
    currency = rows[0]["currency"]
    return [
        (
            title := f"Takings in {currency}",
            bars(title, takings, partial(money, currency=currency)),
        ),
        (title := f"Occupancy, sold in {currency}", bars(title, occupied, _percent, top=1000)),
    ]


def _days(since: date, until: date) -> list[str]:
    return [str(since + timedelta(days)) for days in range((until - since).days + 1)]


def _percent(thousandths: int) -> str:
    return f"{thousandths / 10:.1f} %"
