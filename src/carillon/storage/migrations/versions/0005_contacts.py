"""Contacts, identities, imports, merges, exports, erasures."""

from alembic import op

from carillon.storage.rls import protect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = "tenant_id uuid NOT NULL, id uuid NOT NULL"

_TABLES = {
    "contact": """
        name text NOT NULL DEFAULT '',
        first_name text,
        last_name text,
        email text,
        language text,
        time_zone text,
        time_zones text[] NOT NULL DEFAULT '{}'::text[],
        country text,
        tags text[] NOT NULL DEFAULT '{}'::text[],
        fields jsonb NOT NULL DEFAULT '{}'::jsonb,
        peers jsonb NOT NULL DEFAULT '{}'::jsonb,
        consents jsonb NOT NULL DEFAULT '{}'::jsonb,
        opted_out_at timestamptz,
        opted_out_source text,
        last_inbound_at timestamptz,
        merged_into uuid,
        erased_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    """,
    "identity": """
        contact_id uuid NOT NULL,
        platform text NOT NULL,
        kind text NOT NULL,
        value text COLLATE "C" NOT NULL,
        import_id uuid,
        import_row bigint,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT uq_identity_tenant_id_kind_value UNIQUE (tenant_id, kind, value)
    """,
    "field": """
        key text NOT NULL,
        label text NOT NULL,
        type text NOT NULL,
        choices text[] NOT NULL DEFAULT '{}'::text[],
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT uq_field_tenant_id_key UNIQUE (tenant_id, key)
    """,
    "bulk_action": """
        kind text NOT NULL,
        tag text NOT NULL,
        contact_ids uuid[] NOT NULL,
        count integer NOT NULL,
        created_by uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        undone_at timestamptz
    """,
    "contact_merge": """
        winner_id uuid NOT NULL,
        loser_id uuid NOT NULL,
        snapshot jsonb NOT NULL DEFAULT '{}'::jsonb,
        created_by uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        undone_at timestamptz
    """,
    "contact_import": """
        file_name text NOT NULL,
        blob_key text NOT NULL,
        size bigint NOT NULL,
        status text NOT NULL,
        format jsonb NOT NULL DEFAULT '{}'::jsonb,
        suggestion jsonb NOT NULL DEFAULT '{}'::jsonb,
        options jsonb NOT NULL DEFAULT '{}'::jsonb,
        report jsonb NOT NULL DEFAULT '{}'::jsonb,
        position jsonb,
        done_bytes bigint NOT NULL DEFAULT 0,
        rows bigint NOT NULL DEFAULT 0,
        created bigint NOT NULL DEFAULT 0,
        updated bigint NOT NULL DEFAULT 0,
        skipped bigint NOT NULL DEFAULT 0,
        duplicates bigint NOT NULL DEFAULT 0,
        rejected bigint NOT NULL DEFAULT 0,
        warnings bigint NOT NULL DEFAULT 0,
        opted_out bigint NOT NULL DEFAULT 0,
        unsendable bigint NOT NULL DEFAULT 0,
        cancel_requested boolean NOT NULL DEFAULT false,
        error jsonb,
        created_by uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        started_at timestamptz,
        finished_at timestamptz
    """,
    "import_fault": """
        import_id uuid NOT NULL,
        kind text NOT NULL,
        row bigint NOT NULL,
        byte bigint,
        code text NOT NULL,
        field text,
        text text NOT NULL,
        raw jsonb NOT NULL
    """,
    "contact_export": """
        status text NOT NULL,
        filter jsonb NOT NULL DEFAULT '{}'::jsonb,
        blob_key text,
        size bigint,
        rows bigint NOT NULL DEFAULT 0,
        error jsonb,
        created_by uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz
    """,
}

_INDEXES = (
    "ix_contact_tenant_id_updated_at_id ON audience.contact (tenant_id, updated_at, id)",
    "ix_identity_tenant_id_contact_id ON audience.identity (tenant_id, contact_id)",
    "ix_contact_merge_tenant_id_winner_id ON audience.contact_merge (tenant_id, winner_id)",
    "ix_contact_merge_tenant_id_loser_id ON audience.contact_merge (tenant_id, loser_id)",
    "ix_import_fault_tenant_id_import_id_row_id ON audience.import_fault (tenant_id, import_id, row, id)",
)


def upgrade() -> None:
    for name, columns in _TABLES.items():
        op.execute(
            f"CREATE TABLE audience.{name} ({_KEY}, {columns}, CONSTRAINT pk_{name} PRIMARY KEY (tenant_id, id))"
        )
        protect(f"audience.{name}")
    for index in _INDEXES:
        op.execute(f"CREATE INDEX {index}")


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.execute(f"DROP TABLE audience.{name}")
