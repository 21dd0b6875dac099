"""The movie-ticket booking API: `create_app()` puts it together."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from flask import Flask

import config
from booking_app.admin import routes as admin
from booking_app.auth.routes import blp as auth_blp
from booking_app.auth.tokens import jwt
from booking_app.booking.routes import blp as booking_blp
from booking_app.catalog.examples import bookable_example
from booking_app.catalog.routes import blp as catalog_blp
from booking_app.catalog.venue_routes import blp as venues_blp
from booking_app.core import backups, database
from booking_app.reports.routes import blp as reports_blp
from booking_app.web import (
    deadline,
    entry,
    headers,
    health,
    limits,
    openapi,
    pages,
    problems,
    requests,
)
from booking_app.web.json import OrjsonProvider

VERSION = "2.0.0"


class Application(Flask):
    """Flask without a look at each function whether it is a coroutine: none is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(settings: Mapping[str, Any] | None = None, *, has_commands: bool = True) -> Flask:
    """The application, with these settings or those of the environment (`config.load()`). What
    only serves can do without the `flask` commands, which take time and memory for Alembic."""
    settings = config.load() if settings is None else settings
    app = Application(__name__, instance_path=str(config.INSTANCE))
    app.config.update(settings)
    app.config.update(
        JWT_SECRET_KEY=settings["SECRET_KEY"],
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(minutes=settings["ACCESS_TOKEN_MINUTES"]),
        JWT_DECODE_LEEWAY=10,  # seconds that the clocks of two hosts may differ
        JWT_COOKIE_CSRF_PROTECT=False,  # no cookies here: one claim less in each token
        JWT_REFRESH_TOKEN_EXPIRES=timedelta(days=settings["REFRESH_TOKEN_DAYS"]),
        MAX_CONTENT_LENGTH=requests.MAX_BODY_BYTES,
        PROPAGATE_EXCEPTIONS=False,
        API_TITLE="Movie-ticket booking",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {
                "description": "List films and shows, book seats, see and cancel your bookings. "
                "To call what needs a token: sign up and log in. Swagger UI then sends the token "
                "by itself.",
                "license": {"name": "MIT License", "identifier": "MIT"},
                "contact": {"name": "The maintainers of the movie-ticket booking API"},
            },
            "components": {
                "securitySchemes": {
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "*Log in*, tried on this page, does this by itself. Or "
                        "paste `access` of an answer, without quotes and the word Bearer.",
                    }
                }
            },
        },
    )
    database.init_app(app)
    checks_first = True
    if has_commands:
        from booking_app import cli  # noqa: PLC0415 - see above

        cli.init_app(app)
        checks_first = not cli.is_finding_command()
    if checks_first:
        with app.app_context():
            backups.refuse_malformed()
    deadline.init_app(app)
    headers.init_app(app)
    limits.init_app(app)
    app.json = OrjsonProvider(app)
    jwt.init_app(app)
    problems.init_app(app)
    requests.init_app(app)
    openapi.api.live_examples = bookable_example
    openapi.api.init_app(app)
    for blueprint in (entry.blp, auth_blp, catalog_blp, venues_blp, booking_blp, reports_blp):
        openapi.api.register_blueprint(blueprint)
    app.register_blueprint(health.blp)
    app.register_blueprint(pages.blp)
    admin.init_app(app, secret_key=settings["SECRET_KEY"], previous=settings["SECRET_KEY_PREVIOUS"])
    return app
