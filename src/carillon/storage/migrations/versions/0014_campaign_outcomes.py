"""What a campaign has tried so far stands in its row, and what waits of it is found without counting."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE scheduling.campaign
            ADD COLUMN attempted bigint NOT NULL DEFAULT 0, ADD COLUMN failed bigint NOT NULL DEFAULT 0
    """)
    # Once, for those under way; from here on the events are counted. Finished ones are never judged again. The owner
    # is bound by the policies of both tables too, unless it is a superuser.
    tables = ("scheduling.campaign", "platforms.message")
    for table in tables:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute("""
        UPDATE scheduling.campaign c SET attempted = n.attempted, failed = n.failed
        FROM (
            SELECT tenant_id, lane, count(*) AS attempted, count(*) FILTER (WHERE state = 'failed') AS failed
            FROM platforms.message
            WHERE kind = 'campaign' AND state IN ('sent', 'delivered', 'read', 'failed')
            GROUP BY tenant_id, lane
        ) n
        WHERE n.tenant_id = c.tenant_id AND n.lane = c.id AND c.state IN ('planning', 'running', 'paused')
    """)
    for table in tables:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute("DROP INDEX platforms.ix_message_waiting")
    op.execute("""
        CREATE INDEX ix_message_waiting ON platforms.message (tenant_id, account_id, lane) WHERE phase = 1
    """)


def downgrade() -> None:
    op.execute("DROP INDEX platforms.ix_message_waiting")
    op.execute("CREATE INDEX ix_message_waiting ON platforms.message (tenant_id, account_id) WHERE phase = 1")
    op.execute("ALTER TABLE scheduling.campaign DROP COLUMN attempted, DROP COLUMN failed")
