"""Further facts of films; business days of cinemas, turnarounds of screens."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    for column in (
        sa.Column("original_title", sa.String(length=200), nullable=True),
        sa.Column("sort_title", sa.String(length=200), nullable=True),
        sa.Column("release_date", sa.Date(), nullable=True),
        sa.Column("poster_url", sa.String(length=500), nullable=True),
        sa.Column("trailer_url", sa.String(length=500), nullable=True),
        sa.Column("external_id", sa.String(length=100), nullable=True),
        sa.Column("sort_key", KEY, nullable=True),
        sa.Column("search_key", KEY, nullable=True),
    ):
        op.add_column("movie", column)
    op.create_index("uq_movie_external_id", "movie", ["external_id"], unique=True)
    op.add_column(
        "cinema",
        sa.Column("day_starts_at", sa.String(length=5), server_default="00:00", nullable=False),
    )
    op.add_column(
        "screen",
        sa.Column("turnaround_minutes", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("screen", "turnaround_minutes")
    op.drop_column("cinema", "day_starts_at")
    op.drop_index("uq_movie_external_id", "movie")
    for name in (
        "search_key",
        "sort_key",
        "external_id",
        "trailer_url",
        "poster_url",
        "release_date",
        "sort_title",
        "original_title",
    ):
        op.drop_column("movie", name)
