"""Idempotency keys, uploads under way, tickets of the live feed."""

from alembic import op

from carillon.storage.rls import protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE gateway.idempotency (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_idempotency PRIMARY KEY (tenant_id, key)
);

CREATE INDEX ix_idempotency_created_at ON gateway.idempotency (created_at);

CREATE TABLE gateway.upload (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_upload PRIMARY KEY (tenant_id, id)
);

CREATE INDEX ix_upload_created_at ON gateway.upload (created_at);

CREATE TABLE gateway.live_ticket (
    tenant_id uuid NOT NULL,
    digest bytea NOT NULL,
    subject jsonb NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_live_ticket PRIMARY KEY (tenant_id, digest)
);

CREATE INDEX ix_live_ticket_expires_at ON gateway.live_ticket (expires_at)
"""


def upgrade() -> None:
    for statement in _TABLES.strip().split(";\n\n"):
        op.execute(statement)
    for table in ("idempotency", "upload", "live_ticket"):
        protect(f"gateway.{table}")


def downgrade() -> None:
    for table in ("live_ticket", "upload", "idempotency"):
        op.execute(f"DROP TABLE gateway.{table}")
