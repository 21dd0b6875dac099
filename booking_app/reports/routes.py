"""Reports for staff, as JSON or, with `Accept: text/csv`, as CSV."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, json, request

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
JSON, CSV = "application/json", csv.MEDIA_TYPE


@blp.route("/sales/", methods=["GET"])
@staff_only
@blp.tagged
@blp.arguments(schemas.SalesQuery, location="query")
@blp.response(200, schemas.Sales(many=True))
@blp.alt_response(200, schema={"type": "string"}, content_type=CSV, description="A table.")
def report_sales(query: dict[str, Any]) -> Response:
    """Report sales

    For staff. Seats, sold ones, occupancy and takings of the shows from `since` to `until`, days in
    their cinemas' time zones, by day, film, screen or category. Held seats and those given back do
    not count. With `Accept: text/csv` it is a table.
    """
    return _answer(SALES.dump(service.sales(**query), many=True), list(SALES.fields))


@blp.route("/shows/", methods=["GET"])
@staff_only
@blp.tagged
@blp.arguments(schemas.ComingQuery, location="query")
@blp.response(200, schemas.ComingShow(many=True), headers=HEADER)
@blp.alt_response(200, schema={"type": "string"}, content_type=CSV, description="A table.")
def report_coming_shows(query: dict[str, Any]) -> Response:
    """Report the shows to come

    For staff. By time, with what is sold, held and taken in so far. With `Accept: text/csv` it is a
    table.
    """
    page = service.coming_shows(**query)
    answer = _answer(COMING.dump(page.items, many=True), list(COMING.fields))
    answer.headers.extend(page_headers(page))
    return answer


def _answer(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Response:
    if request.accept_mimetypes.best_match([JSON, CSV], JSON) == CSV:
        table = csv.lines(names, ([row[name] for name in names] for row in rows))
        response = Response("".join(table), mimetype=CSV)
    else:
        response = Response(json.dumps(rows), mimetype=JSON)
    response.vary.add("Accept")
    return response
