"""Reports for staff, as JSON and as tables for a spreadsheet."""

from collections.abc import Iterable, Iterator
from typing import Any

import marshmallow as ma
from flask import Response

from booking_app.auth.access import staff_only
from booking_app.reports import schemas, service
from booking_app.web import csv
from booking_app.web.openapi import Blueprint
from booking_app.web.paging import HEADER, page_headers

blp = Blueprint(
    "reports",
    __name__,
    url_prefix="/api/reports",
    description="For staff: what was sold, and what is to come.",
)

SALES, COMING = schemas.Sales(), schemas.ComingShow()
TABLE = {"schema": {"type": "string"}, "content_type": csv.MEDIA_TYPE, "description": "A table."}


@blp.route("/sales/", methods=["GET"])
@staff_only
@blp.tagged
@blp.arguments(schemas.SalesQuery, location="query")
@blp.response(200, schemas.Sales(many=True))
def report_sales(query: dict[str, Any]) -> Any:
    """Report sales

    For staff. Seats, sold ones, occupancy and takings of the shows from `since` to `until`, days in
    their cinemas' time zones, by day, film, screen or category. Held seats and those given back do
    not count.
    """
    return service.sales(**query)


@blp.route("/sales.csv", methods=["GET"])
@staff_only
@blp.arguments(schemas.SalesQuery, location="query")
@blp.response(200, **TABLE)
def export_sales(query: dict[str, Any]) -> Response:
    """Report sales as a table

    For staff. The rows of the sales report as CSV, the names of its fields in the first line.
    """
    return Response(_lines(SALES, service.sales(**query)), mimetype=csv.MEDIA_TYPE)


@blp.route("/shows/", methods=["GET"])
@staff_only
@blp.tagged
@blp.arguments(schemas.ComingQuery, location="query")
@blp.response(200, schemas.ComingShow(many=True), headers=HEADER)
def report_coming_shows(query: dict[str, Any]) -> Any:
    """Report the shows to come

    For staff. By time, with what is sold, held and taken in so far.
    """
    page = service.coming_shows(**query)
    return page.items, page_headers(page)


@blp.route("/shows.csv", methods=["GET"])
@staff_only
@blp.arguments(schemas.AllComingQuery, location="query")
@blp.response(200, **TABLE)
def export_coming_shows(query: dict[str, Any]) -> Response:
    """Report the shows to come as a table

    For staff. All of them as CSV, the names of the fields in the first line.
    """
    shows = service.all_coming_shows(**query)
    response = Response(_lines(COMING, csv.begun(shows)), mimetype=csv.MEDIA_TYPE)
    response.call_on_close(shows.close)
    return response


def _lines(schema: ma.Schema, rows: Iterable[Any]) -> Iterator[str]:
    names = list(schema.fields)
    dumped = map(schema.dump, rows)
    return csv.lines(names, ([row[name] for name in names] for row in dumped))
