"""Campaigns and timers."""

from alembic import op

from carillon.storage.rls import protect

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_CAMPAIGN = """
CREATE TABLE scheduling.campaign (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    draft jsonb NOT NULL,
    state text NOT NULL,
    pause_reason text,
    planned_after uuid,
    planning_done boolean NOT NULL DEFAULT false,
    planned bigint NOT NULL DEFAULT 0,
    excluded jsonb NOT NULL DEFAULT '{}',
    replies bigint NOT NULL DEFAULT 0,
    opt_outs bigint NOT NULL DEFAULT 0,
    restricted bigint NOT NULL DEFAULT 0,
    parent_id uuid,
    next_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT pk_campaign PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_campaign_state CHECK (state IN ('draft', 'scheduled', 'planning', 'running', 'paused',
        'finished', 'cancelled'))
)
"""


def upgrade() -> None:
    op.execute(_CAMPAIGN)
    op.execute("""
        CREATE INDEX ix_campaign_active ON scheduling.campaign (tenant_id, state)
        WHERE state IN ('scheduled', 'planning', 'running', 'paused')
    """)
    protect("scheduling.campaign")


def downgrade() -> None:
    op.execute("DROP TABLE scheduling.campaign")
