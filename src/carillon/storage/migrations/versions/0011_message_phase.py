"""The ledger's working indexes by phase, so that a message enters `sending` without touching any of them."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up."""
    op.execute("""
        ALTER TABLE platforms.message ADD COLUMN phase smallint GENERATED ALWAYS AS (
            CASE WHEN state IN ('queued', 'sending') THEN 0 WHEN state IN ('held', 'unknown') THEN 1 END
        ) STORED
    """)
    op.execute("DROP INDEX platforms.ix_message_open")
    op.execute("DROP INDEX platforms.ix_message_waiting")
    op.execute("""
        CREATE INDEX ix_message_open ON platforms.message (account_id, lane, priority, due_at, id) WHERE phase = 0
    """)
    op.execute("CREATE INDEX ix_message_waiting ON platforms.message (tenant_id, account_id) WHERE phase = 1")
    # Room in each page for the version of a row that says `sending`.
    op.execute("ALTER TABLE platforms.message SET (fillfactor = 45)")


def downgrade() -> None:
    """Go down."""
    op.execute("DROP INDEX platforms.ix_message_open")
    op.execute("DROP INDEX platforms.ix_message_waiting")
    op.execute("ALTER TABLE platforms.message DROP COLUMN phase, RESET (fillfactor)")
    op.execute("""
        CREATE INDEX ix_message_open ON platforms.message (account_id, state, lane, priority, due_at, id)
        WHERE state IN ('queued', 'sending')
    """)
    op.execute("""
        CREATE INDEX ix_message_waiting ON platforms.message (tenant_id, account_id) WHERE state IN ('held', 'unknown')
    """)
