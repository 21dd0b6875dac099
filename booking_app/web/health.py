"""Whether this server can serve, for load balancers and monitors."""

import sqlalchemy as sa
from flask import Blueprint

from booking_app.core.database import reading

blp = Blueprint("health", __name__)


@blp.get("/health/")
def health() -> dict[str, str]:
    """200 where the database answers; otherwise the common 503."""
    with reading() as connection:
        connection.execute(sa.select(1))
    return {"status": "ok"}
