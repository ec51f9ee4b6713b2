"""Who spoke in a turn, and whether it was held from pages; NULL in what an older release stores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("turns", sa.Column("speaker", sa.Text))
    op.add_column("turns", sa.Column("held", sa.Boolean))


def downgrade() -> None:
    """Drop the columns."""
    for name in ("held", "speaker"):
        op.drop_column("turns", name)
