"""How a show is presented, and when it is on sale."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT = sa.DateTime().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    for column in (
        sa.Column("format", sa.String(length=20), nullable=True),
        sa.Column("format_key", KEY, nullable=True),
        sa.Column("language", sa.String(length=50), nullable=True),
        sa.Column("language_key", KEY, nullable=True),
        sa.Column("subtitles", sa.String(length=50), nullable=True),
        sa.Column("subtitles_key", KEY, nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("preshow_minutes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "intermission_minutes", sa.Integer(), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("sales_from", INSTANT, nullable=True),
        sa.Column("sales_until", INSTANT, nullable=True),
        sa.Column("external_id", sa.String(length=100), nullable=True),
    ):
        op.add_column("show", column)
    op.create_index("uq_show_external_id", "show", ["external_id"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_show_external_id", "show")
    for name in (
        "external_id",
        "sales_until",
        "sales_from",
        "intermission_minutes",
        "preshow_minutes",
        "note",
        "subtitles_key",
        "subtitles",
        "language_key",
        "language",
        "format_key",
        "format",
    ):
        op.drop_column("show", name)
