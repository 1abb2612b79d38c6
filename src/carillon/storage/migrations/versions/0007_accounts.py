"""Accounts, proxies, message templates."""

from alembic import op

from carillon.storage.rls import append_only, protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = {
    "proxy": """
        name text NOT NULL,
        scheme text NOT NULL,
        host text NOT NULL,
        port integer NOT NULL,
        username text,
        password bytea,
        password_version integer NOT NULL DEFAULT 0,
        probe text NOT NULL,
        address text,
        region text,
        labels text[] NOT NULL DEFAULT '{}',
        max_accounts integer NOT NULL,
        enabled boolean NOT NULL DEFAULT true,
        state text NOT NULL,
        reason text NOT NULL DEFAULT '',
        latency_ms integer,
        failures integer NOT NULL DEFAULT 0,
        checked_at timestamptz,
        ok_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_proxy PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_proxy_tenant_id_name UNIQUE (tenant_id, name),
        CONSTRAINT ck_proxy_scheme CHECK (scheme IN ('socks5', 'http')),
        CONSTRAINT ck_proxy_state CHECK (state IN ('new', 'healthy', 'degraded', 'down'))
    """,
    "account": """
        connector text NOT NULL,
        platform text NOT NULL,
        name text NOT NULL,
        address text NOT NULL,
        portfolio text,
        labels text[] NOT NULL DEFAULT '{}',
        settings jsonb NOT NULL DEFAULT '{}',
        secret bytea,
        secret_version integer NOT NULL DEFAULT 0,
        proxy_id uuid,
        failover text NOT NULL DEFAULT 'none',
        state text NOT NULL,
        reason text NOT NULL DEFAULT '',
        reason_code text NOT NULL DEFAULT '',
        state_at timestamptz NOT NULL DEFAULT now(),
        wait_until timestamptz,
        parked boolean NOT NULL DEFAULT false,
        deleted_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_account PRIMARY KEY (tenant_id, id),
        CONSTRAINT ck_account_state CHECK (state IN ('new', 'signing_in', 'online', 'degraded', 'flooded',
            'restricted', 'banned', 'signed_out', 'parked')),
        CONSTRAINT ck_account_failover CHECK (failover IN ('none', 'same_region', 'pool'))
    """,
    "account_sync": """
        key text NOT NULL,
        value bytea NOT NULL,
        CONSTRAINT pk_account_sync PRIMARY KEY (tenant_id, id, key)
    """,
    "account_day": """
        day date NOT NULL,
        sent integer NOT NULL DEFAULT 0,
        delivered integer NOT NULL DEFAULT 0,
        read integer NOT NULL DEFAULT 0,
        failed integer NOT NULL DEFAULT 0,
        unknown integer NOT NULL DEFAULT 0,
        received integer NOT NULL DEFAULT 0,
        CONSTRAINT pk_account_day PRIMARY KEY (tenant_id, id, day)
    """,
    "account_action": """
        kind text NOT NULL,
        label text,
        account_ids uuid[] NOT NULL,
        created_by uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        undone_at timestamptz,
        CONSTRAINT pk_account_action PRIMARY KEY (tenant_id, id)
    """,
    "template": """
        name text NOT NULL,
        description text NOT NULL DEFAULT '',
        version integer NOT NULL,
        archived_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_template PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_template_tenant_id_name UNIQUE (tenant_id, name)
    """,
    "template_version": """
        version integer NOT NULL,
        texts jsonb NOT NULL,
        hints jsonb NOT NULL,
        vectors jsonb NOT NULL,
        created_by uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_template_version PRIMARY KEY (tenant_id, id, version),
        CONSTRAINT fk_template_version_tenant_id_id FOREIGN KEY (tenant_id, id)
            REFERENCES platforms.template (tenant_id, id)
    """,
}

_INDEXES = (
    """CREATE UNIQUE INDEX uq_account_live_address ON platforms.account (tenant_id, connector, address)
       WHERE deleted_at IS NULL""",
    "CREATE INDEX ix_account_proxy ON platforms.account (tenant_id, proxy_id) WHERE proxy_id IS NOT NULL",
    # What the timetable looks for in all tenants every few seconds.
    """CREATE INDEX ix_account_waiting ON platforms.account (state)
       WHERE state IN ('flooded', 'parked') AND deleted_at IS NULL""",
)


def upgrade() -> None:
    for name, columns in _TABLES.items():
        op.execute(f"CREATE TABLE platforms.{name} (tenant_id uuid NOT NULL, id uuid NOT NULL, {columns})")
        protect(f"platforms.{name}")
    append_only("platforms.template_version")
    for index in _INDEXES:
        op.execute(index)


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.execute(f"DROP TABLE platforms.{name}")
