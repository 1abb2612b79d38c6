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
    lost_accounts uuid[] NOT NULL DEFAULT '{}',
    judged_from jsonb NOT NULL DEFAULT '{}',
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

_TIMER = """
CREATE TABLE scheduling.timer (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    cron text NOT NULL,
    zone text NOT NULL,
    action jsonb NOT NULL,
    enabled boolean NOT NULL,
    missed text NOT NULL,
    next_at timestamptz,
    last_at timestamptz,
    last_outcome text,
    version integer NOT NULL DEFAULT 1,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_timer PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_timer_missed CHECK (missed IN ('once', 'skip'))
)
"""

_TIMER_RUN = """
CREATE TABLE scheduling.timer_run (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    timer_id uuid NOT NULL,
    trigger text NOT NULL,
    outcome text NOT NULL,
    due_at timestamptz NOT NULL,
    ran_at timestamptz NOT NULL,
    result jsonb NOT NULL,
    code text,
    message text,
    CONSTRAINT pk_timer_run PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_timer_run_tenant_id_timer_id FOREIGN KEY (tenant_id, timer_id)
        REFERENCES scheduling.timer (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_timer_run_trigger CHECK (trigger IN ('clock', 'manual')),
    CONSTRAINT ck_timer_run_outcome CHECK (outcome IN ('done', 'failed', 'skipped'))
)
"""


def upgrade() -> None:
    op.execute(_CAMPAIGN)
    op.execute("""
        CREATE INDEX ix_campaign_active ON scheduling.campaign (tenant_id, state)
        WHERE state IN ('scheduled', 'planning', 'running', 'paused')
    """)
    protect("scheduling.campaign")
    op.execute(_TIMER)
    op.execute("CREATE INDEX ix_timer_next_at ON scheduling.timer (next_at) WHERE next_at IS NOT NULL")
    protect("scheduling.timer")
    op.execute(_TIMER_RUN)
    op.execute("CREATE INDEX ix_timer_run_timer ON scheduling.timer_run (tenant_id, timer_id, id)")
    protect("scheduling.timer_run")


def downgrade() -> None:
    op.execute("DROP TABLE scheduling.timer_run")
    op.execute("DROP TABLE scheduling.timer")
    op.execute("DROP TABLE scheduling.campaign")
