"""The send ledger, inbound messages, leases."""

from alembic import op

from carillon.storage.rls import grant, protect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE platforms.message (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        account_id uuid NOT NULL,
        contact_id uuid NOT NULL,
        lane uuid NOT NULL,
        platform text NOT NULL,
        peer text NOT NULL,
        kind text NOT NULL,
        priority smallint NOT NULL,
        content_id uuid,
        variant text,
        body text,
        reply_to text,
        actor_id uuid,
        state text NOT NULL,
        reason text,
        reason_text text,
        platform_id text,
        epoch bigint NOT NULL DEFAULT 0,
        attempts smallint NOT NULL DEFAULT 0,
        due_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        sending_at timestamptz,
        sent_at timestamptz,
        delivered_at timestamptz,
        read_at timestamptz,
        settled_at timestamptz,
        CONSTRAINT pk_message PRIMARY KEY (tenant_id, id),
        CONSTRAINT ck_message_kind CHECK (kind IN ('reply', 'confirmation', 'notice', 'test', 'campaign')),
        CONSTRAINT ck_message_state CHECK (state IN ('queued', 'sending', 'sent', 'delivered', 'read', 'failed',
            'unknown', 'held', 'cancelled', 'suppressed'))
    ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02)
    """,
    """
    CREATE TABLE platforms.content (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        lane uuid NOT NULL,
        variant text NOT NULL,
        language text NOT NULL,
        text text NOT NULL,
        variables text[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_content PRIMARY KEY (tenant_id, id)
    )
    """,
    """
    CREATE TABLE platforms.lane (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        state text NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_lane PRIMARY KEY (tenant_id, id),
        CONSTRAINT ck_lane_state CHECK (state IN ('running', 'paused', 'closed'))
    )
    """,
    """
    CREATE TABLE platforms.inbound_message (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        account_id uuid NOT NULL,
        contact_id uuid NOT NULL,
        chat text NOT NULL,
        sender text NOT NULL,
        platform_id text NOT NULL,
        body text NOT NULL,
        reply_to text,
        raw jsonb NOT NULL,
        sent_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_inbound_message PRIMARY KEY (tenant_id, id)
    )
    """,
    """
    CREATE TABLE platforms.early_status (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        account_id uuid NOT NULL,
        platform_id text NOT NULL,
        status text NOT NULL,
        reason text,
        reason_text text,
        at timestamptz NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_early_status PRIMARY KEY (tenant_id, id)
    )
    """,
    """
    CREATE TABLE platforms.webhook_call (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        account_id uuid NOT NULL,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        error text,
        received_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_webhook_call PRIMARY KEY (tenant_id, id)
    )
    """,
    """
    CREATE TABLE platforms.contact_route (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        platform text NOT NULL,
        account_id uuid NOT NULL,
        at timestamptz NOT NULL,
        CONSTRAINT pk_contact_route PRIMARY KEY (tenant_id, id, platform)
    )
    """,
    """
    CREATE TABLE platforms.account_lease (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        worker_id uuid,
        epoch bigint NOT NULL,
        acquired_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_account_lease PRIMARY KEY (tenant_id, id)
    )
    """,
)
_WORKER = """
    CREATE TABLE platforms.worker (
        id uuid NOT NULL,
        name text NOT NULL,
        started_at timestamptz NOT NULL DEFAULT now(),
        renewed_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        CONSTRAINT pk_worker PRIMARY KEY (id)
    )
"""
_INDEXES = (
    """CREATE INDEX ix_message_open ON platforms.message (account_id, state, lane, priority, due_at, id)
       WHERE state IN ('queued', 'sending')""",
    """CREATE UNIQUE INDEX uq_message_campaign_contact ON platforms.message (tenant_id, lane, contact_id)
       WHERE kind = 'campaign'""",
    """CREATE INDEX ix_message_platform_id ON platforms.message (account_id, platform_id)
       WHERE platform_id IS NOT NULL""",
    "CREATE INDEX ix_message_contact ON platforms.message (tenant_id, contact_id, id)",
    """CREATE INDEX ix_message_waiting ON platforms.message (tenant_id, account_id)
       WHERE state IN ('held', 'unknown')""",
    """CREATE UNIQUE INDEX uq_inbound_message_platform
       ON platforms.inbound_message (tenant_id, account_id, chat, sender, platform_id)""",
    "CREATE INDEX ix_inbound_message_contact ON platforms.inbound_message (tenant_id, contact_id, id)",
    "CREATE INDEX ix_early_status_platform_id ON platforms.early_status (account_id, platform_id)",
    "CREATE INDEX ix_account_lease_worker ON platforms.account_lease (worker_id)",
)
_TENANT_TABLES = (
    "message",
    "content",
    "lane",
    "inbound_message",
    "early_status",
    "webhook_call",
    "contact_route",
    "account_lease",
)


def upgrade() -> None:
    for statement in (*_TABLES, _WORKER, *_INDEXES):
        op.execute(statement)
    for table in _TENANT_TABLES:
        protect(f"platforms.{table}")
    grant("platforms.worker", app=False)
    op.execute("GRANT SELECT ON platforms.worker TO carillon_app")


def downgrade() -> None:
    for table in (*reversed(_TENANT_TABLES), "worker"):
        op.execute(f"DROP TABLE platforms.{table}")
