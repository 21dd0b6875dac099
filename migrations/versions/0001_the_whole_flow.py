"""Accounts, the catalogue and bookings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KeyText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Instant = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "cinema",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("name_key", KeyText, nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cinema"),
        sa.UniqueConstraint("name_key", name="uq_cinema_name_key"),
    )
    op.create_index(
        "uq_cinema_default",
        "cinema",
        ["is_default"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )

    op.create_table(
        "movie",
        sa.Column("id", BigId, nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("title_key", KeyText, nullable=False),
        sa.Column("duration_minutes", sa.Integer(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("language", sa.String(length=50), nullable=True),
        sa.Column("language_key", KeyText, nullable=True),
        sa.Column("genres", Json, nullable=False),
        sa.Column("genres_key", KeyText, nullable=False),
        sa.Column("age_rating", sa.String(length=20), nullable=True),
        sa.Column("director", sa.String(length=200), nullable=True),
        sa.Column("description", sa.String(length=2000), nullable=True),
        sa.Column("on_sale", sa.Boolean(), nullable=False),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.CheckConstraint("duration_minutes BETWEEN 1 AND 1440", name=op.f("ck_movie_duration")),
        sa.PrimaryKeyConstraint("id", name="pk_movie"),
    )
    op.create_table(
        "user_account",
        sa.Column("id", BigId, nullable=False),
        sa.Column("username", sa.String(length=150), nullable=False),
        sa.Column("username_key", KeyText, nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("is_staff", sa.Boolean(), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user_account"),
        sa.UniqueConstraint("username_key", name="uq_user_account_username_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "screen",
        sa.Column("id", BigId, nullable=False),
        sa.Column("cinema_id", BigId, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("name_key", KeyText, nullable=False),
        sa.ForeignKeyConstraint(["cinema_id"], ["cinema.id"], name="fk_screen_cinema_id"),
        sa.PrimaryKeyConstraint("id", name="pk_screen"),
        sa.UniqueConstraint("cinema_id", "name_key", name="uq_screen_cinema_id_name_key"),
    )
    op.create_table(
        "show",
        sa.Column("id", BigId, nullable=False),
        sa.Column("movie_id", BigId, nullable=False),
        sa.Column("screen_id", BigId, nullable=False),
        sa.Column("starts_at", Instant, nullable=False),
        sa.Column("ends_at", Instant, nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("price_cents", sa.Integer(), nullable=False),
        sa.Column("total_seats", sa.Integer(), nullable=False),
        sa.Column("on_sale", sa.Boolean(), nullable=False),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_show_ends_after_start")),
        sa.CheckConstraint("price_cents >= 0", name=op.f("ck_show_price")),
        sa.CheckConstraint("total_seats BETWEEN 1 AND 5000", name=op.f("ck_show_total_seats")),
        sa.ForeignKeyConstraint(["movie_id"], ["movie.id"], name="fk_show_movie_id"),
        sa.ForeignKeyConstraint(["screen_id"], ["screen.id"], name="fk_show_screen_id"),
        sa.PrimaryKeyConstraint("id", name="pk_show"),
        sa.UniqueConstraint("screen_id", "starts_at", name="uq_show_screen_id_starts_at"),
    )
    op.create_index("ix_show_movie_id_starts_at", "show", ["movie_id", "starts_at"])
    op.create_index("ix_show_starts_at", "show", ["starts_at"])

    op.create_table(
        "booking",
        sa.Column("id", BigId, nullable=False),
        sa.Column("reference", sa.String(length=12), nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("show_id", BigId, nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("seats", Json, nullable=False),
        sa.Column("total_cents", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=True),
        sa.CheckConstraint(
            "status IN ('held', 'booked', 'cancelled')", name=op.f("ck_booking_status")
        ),
        sa.CheckConstraint("total_cents >= 0", name=op.f("ck_booking_total")),
        sa.ForeignKeyConstraint(["show_id"], ["show.id"], name="fk_booking_show_id"),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="fk_booking_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_booking"),
        sa.UniqueConstraint("reference", name="uq_booking_reference"),
    )
    op.create_index("ix_booking_show_id", "booking", ["show_id"])
    op.create_index("ix_booking_user_id_id", "booking", ["user_id", "id"])

    op.create_table(
        "show_seat",
        sa.Column("show_id", BigId, nullable=False),
        sa.Column("label", sa.String(length=10), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("booking_id", BigId, nullable=True),
        sa.Column("held_until", Instant, nullable=True),
        sa.CheckConstraint(
            "held_until IS NULL OR booking_id IS NOT NULL", name=op.f("ck_show_seat_hold_has_owner")
        ),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.id"], name="fk_show_seat_booking_id"),
        sa.ForeignKeyConstraint(["show_id"], ["show.id"], name="fk_show_seat_show_id"),
        sa.PrimaryKeyConstraint("show_id", "label", name="pk_show_seat"),
    )


def downgrade() -> None:
    op.drop_table("show_seat")
    op.drop_index("ix_booking_user_id_id", "booking")
    op.drop_index("ix_booking_show_id", "booking")

    op.drop_table("booking")
    op.drop_index("ix_show_starts_at", "show")
    op.drop_index("ix_show_movie_id_starts_at", "show")

    op.drop_table("show")
    op.drop_table("screen")
    op.drop_table("user_account")
    op.drop_table("movie")
    op.drop_index("uq_cinema_default", "cinema")

    op.drop_table("cinema")
