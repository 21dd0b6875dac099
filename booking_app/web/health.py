"""Whether this server can serve, for load balancers and monitors. Never limited.

`/livez`: the process answers. `/readyz`, and `/health/` by its old name: the database can be
reached and written, and its schema fits this release.
"""

from flask import Blueprint, Response, current_app

from booking_app.core.database import reading, why_read_only
from booking_app.core.outages import is_unavailable, time_limit
from booking_app.core.schema import schema_problem
from booking_app.web import problems

blp = Blueprint("health", __name__)

SECONDS = 0.8  # a monitor does not wait for long


@blp.get("/livez")
def livez() -> dict[str, str]:
    """200 as long as this process answers at all."""
    return {"status": "alive"}


@blp.get("/readyz")
@blp.get("/health/")
def readyz() -> dict[str, str] | Response:
    """200 where every call can be served; otherwise 503 with the reason."""
    try:
        with time_limit(SECONDS):
            reason = _why_not_ready()
    except Exception as error:
        if not is_unavailable(error):
            raise
        reason = "The database can't be reached."
    return {"status": "ready"} if reason is None else problems.problem("not_ready", reason)


def _why_not_ready() -> str | None:
    with reading() as connection:
        problem = schema_problem(connection, release=current_app.config["API_VERSION"])
    return problem or why_read_only()
