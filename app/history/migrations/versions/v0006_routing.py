"""The agent that was asked for, where another one served."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; it is null for the agent that served."""
    op.add_column("conversations", sa.Column("requested_agent", sa.Text))
