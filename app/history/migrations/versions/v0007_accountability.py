"""Who decided on a tool call that needed an approval; and an audit log that only grows.

Triggers refuse what would change or remove an audit entry: an UPDATE, a TRUNCATE, and a DELETE of
what retention does not remove. Retention writes the time before which entries go into
`audit_retention` for the length of its own transaction.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

REFUSAL = "the audit log is append-only"
KEPT = "NOT EXISTS (SELECT 1 FROM audit_retention WHERE OLD.at < audit_retention.before)"

POSTGRESQL = (
    f"""
    CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    f"""
    CREATE FUNCTION audit_refuse_early_delete() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF {KEPT} THEN
            RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END $$
    """,
    """
    CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_refuse()
    """,
    """
    CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()
    """,
    """
    CREATE TRIGGER audit_no_early_delete BEFORE DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_early_delete()
    """,
)
SQLITE = (
    f"""
    CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """,
    f"""
    CREATE TRIGGER audit_no_early_delete BEFORE DELETE ON audit WHEN {KEPT}
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """,
)


def upgrade() -> None:
    """Add the columns, null for calls that needed no approval, and the triggers."""
    op.add_column("tool_calls", sa.Column("approval", sa.Text))
    op.add_column("tool_calls", sa.Column("decided_by", sa.Text))
    op.add_column("tool_calls", sa.Column("decided_at", sa.Double))
    op.create_table("audit_retention", sa.Column("before", sa.Double, primary_key=True))
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in POSTGRESQL if is_postgresql else SQLITE:
        op.execute(statement)
