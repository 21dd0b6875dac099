"""Finds a pooler in front of PostgreSQL that DATABASE_POOLER does not name.

This file imports nothing of the application: gunicorn's master runs it, and its workers must find
the code as it is when they start.
"""

import psycopg
from sqlalchemy.engine import make_url

CONNECT_TIMEOUT_SECONDS = 2  # for each address; the driver takes no less
# A setting that the application relies on, and a value that nobody else gives it.
NAME, VALUE = "lock_timeout", "5003ms"


def hidden_pooler(database_url: str, pooler: str) -> str | None:
    """One line for the operator where PgBouncer or its like refuses the settings of a session, or
    loses them, and `pooler` is "none". None where all is well or nobody answers."""
    url = make_url(database_url)
    if pooler != "none" or url.get_backend_name() != "postgresql":
        return None
    _, arguments = url.get_dialect()().create_connect_args(url)
    arguments = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **arguments}
    arguments["options"] = f"{arguments.get('options', '')} -c {NAME}={VALUE}"
    try:
        with psycopg.connect(**arguments, autocommit=True) as connection:
            kept = connection.execute(f"SHOW {NAME}").fetchone() == (VALUE,)
    except psycopg.Error as error:
        kept = "unsupported startup parameter" not in str(error)
    if kept:
        return None
    return (
        "DATABASE_URL: PgBouncer or its like stands in front of PostgreSQL; "
        "set DATABASE_POOLER=transaction"
    )
