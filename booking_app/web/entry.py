"""`GET /api/`: where to go."""

from typing import Any

import marshmallow as ma
from flask import current_app
from marshmallow import fields

from booking_app.web.fields import AnswerSchema
from booking_app.web.headers import A_MINUTE
from booking_app.web.openapi import Blueprint
from booking_app.web.prefix import at

blp = Blueprint("entry", __name__, url_prefix="/api", description="Where to go.")

LINKS = {
    "movies": "/api/movies/",
    "shows": "/api/shows/",
    "cinemas": "/api/cinemas/",
    "screens": "/api/screens/",
    "signup": "/api/signup/",
    "login": "/api/login/",
    "token_refresh": "/api/token/refresh/",
    "logout": "/api/logout/",
    "me": "/api/me/",
    "my_bookings": "/api/my-bookings/",
    "openapi": "/openapi.json",
    "swagger": "/swagger/",
    "admin": "/admin/",
    "ready": "/readyz",
}


class Links(AnswerSchema):
    """Paths of this server."""

    class Meta:
        include = {
            name: fields.String(required=True, metadata={"format": "uri-reference"})
            for name in LINKS
        }


class Entry(AnswerSchema):
    title = fields.String(required=True)
    version = fields.String(required=True, metadata={"description": "Of this server."})
    links: ma.fields.Nested = fields.Nested(Links(), required=True)


@blp.route("/", methods=["GET"])
@blp.public(A_MINUTE)
@blp.without_database
@blp.response(200, Entry)
def list_links() -> Any:
    """List where to go

    The lists, the calls of accounts, the document and the pages, as paths behind the prefix that
    this server has.
    """
    config = current_app.config
    return {
        "title": config["API_TITLE"],
        "version": config["API_VERSION"],
        "links": {name: at(path) for name, path in LINKS.items()},
    }
