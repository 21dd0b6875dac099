"""What a person sees in a browser: the start page and Swagger UI. Every file is of this host."""

from importlib.resources import files

from flask import Blueprint, Response, current_app, make_response, render_template
from flask import send_from_directory as send

blp = Blueprint("pages", __name__)

SWAGGER_FILES = str(files("flask_swagger_ui") / "dist")
KEPT_SECONDS = 3600
START_PAGE = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# Swagger UI sets styles on elements; every script of the page is a file.
SWAGGER_UI = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


@blp.get("/")
def start() -> Response:
    """What this is, and where to go."""
    return _page("start.html", START_PAGE)


@blp.get("/swagger/")
def swagger_ui() -> Response:
    """The API, to be tried by hand."""
    return _page("swagger_ui.html", SWAGGER_UI)


@blp.get("/swagger/assets/<path:name>")
def swagger_asset(name: str) -> Response:
    """A file of Swagger UI, from the package flask-swagger-ui."""
    return send(SWAGGER_FILES, name, max_age=KEPT_SECONDS)


@blp.get("/favicon.ico")
def favicon() -> Response:
    """What browsers ask for by themselves."""
    return send(SWAGGER_FILES, "favicon-32x32.png", max_age=KEPT_SECONDS)


def _page(template: str, policy: str) -> Response:
    response = make_response(render_template(template, title=current_app.config["API_TITLE"]))
    response.headers["Content-Security-Policy"] = policy
    response.headers["Cache-Control"] = "no-cache"
    return response
