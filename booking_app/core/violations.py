"""Which constraint a refused write violates: the two databases tell it differently."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from booking_app.core.database import db


@contextmanager
def refusing(**refusals: Exception) -> Iterator[None]:
    """Raises, in place of the violation of a constraint, the exception given by its name."""
    try:
        yield
    except IntegrityError as error:
        for constraint, refusal in refusals.items():
            if violates(error, constraint):
                raise refusal from error
        raise


def violates(error: IntegrityError, constraint: str) -> bool:
    """Whether `error` is the violation of the constraint of that name.

    PostgreSQL names it; SQLite names only the columns of a unique one, and nothing of a
    foreign key, so there any violated foreign key is taken for the one asked about.
    """
    diagnosis = getattr(error.orig, "diag", None)
    if diagnosis is not None:
        return bool(diagnosis.constraint_name == constraint)
    message = str(error.orig)
    if constraint.startswith("fk_"):
        return message == "FOREIGN KEY constraint failed"
    return message == f"UNIQUE constraint failed: {_unique_columns()[constraint]}"


def _unique_columns() -> dict[str, str]:
    """How SQLite names the columns of each unique constraint and index."""
    return {
        str(unique.name): ", ".join(f"{table.name}.{column.name}" for column in unique.columns)
        for table in db.metadata.tables.values()
        for unique in (*table.constraints, *table.indexes)
        if isinstance(unique, sa.UniqueConstraint)
        or (isinstance(unique, sa.Index) and unique.unique)
    }
