"""What operators ask: webhooks that could not be understood."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Few rows: only those with an error are in it.
    op.execute(
        "CREATE INDEX ix_webhook_call_error ON platforms.webhook_call (tenant_id, received_at) WHERE error IS NOT NULL"
    )


def downgrade() -> None:
    op.execute("DROP INDEX platforms.ix_webhook_call_error")
