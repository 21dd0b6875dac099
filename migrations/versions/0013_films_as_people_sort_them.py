"""The keys by which films are sorted and found.

Release 1.2, which may still serve, adds films without them and leaves them as they were where it
renames a film: `flask finish-upgrade` makes such keys anew.
"""

import sqlalchemy as sa

from booking_app.catalog.title_keys import search_key, sort_key
from migrations.steps import in_batches

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TITLES = ("title", "original_title", "sort_title", "director")
MOVIE = sa.table("movie", *map(sa.column, ("id", *TITLES, "sort_key", "search_key")))


def fill_keys(connection: sa.Connection, after: int, upto: int) -> None:
    """Give these films their keys, where they have none."""
    none = sa.or_(MOVIE.c.sort_key.is_(None), MOVIE.c.search_key.is_(None))
    query = sa.select(MOVIE).where(MOVIE.c.id > after, MOVIE.c.id <= upto, none)
    for film in connection.execute(query.order_by(MOVIE.c.id).with_for_update()).all():
        keys = {
            "sort_key": sort_key(film.title, film.sort_title),
            "search_key": search_key(*(getattr(film, name) for name in TITLES)),
        }
        connection.execute(sa.update(MOVIE).where(MOVIE.c.id == film.id).values(**keys))


def upgrade() -> None:
    in_batches("movie", fill_keys, rows=200)


def downgrade() -> None:
    """The schema before has the columns too, and takes them away itself."""
