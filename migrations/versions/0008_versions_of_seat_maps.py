"""A show's version: a new random number with each change of what its seat map is drawn from."""

import sqlalchemy as sa
from alembic import op

from migrations.steps import is_unused, require_release

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

RELEASE = "1.3.0"


def upgrade() -> None:
    op.add_column(
        "show", sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    if is_unused():  # it has no other release to wait for
        require_release(RELEASE)


def downgrade() -> None:
    requirement = sa.table("schema_requirement", sa.column("least_release"))
    op.execute(sa.delete(requirement).where(requirement.c.least_release == RELEASE))
    op.drop_column("show", "version")
