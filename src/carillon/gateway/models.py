"""The kit's own tables."""

from sqlalchemy import Column, LargeBinary, PrimaryKeyConstraint, SmallInteger, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from carillon.storage.schema import instant, metadata, tenant_table

# Not `tenant_table`: the key the client chose is the identity.
idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", SmallInteger),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    instant("created_at", nullable=False, server_default=text("now()"), index=True),
    PrimaryKeyConstraint("tenant_id", "key"),
    schema="gateway",
)

upload = tenant_table(
    "gateway",
    "upload",
    Column("key", Text, nullable=False),
    instant("created_at", nullable=False, server_default=text("now()"), index=True),
)

live_ticket = Table(
    "live_ticket",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("subject", JSONB, nullable=False),
    instant("expires_at", nullable=False, index=True),
    PrimaryKeyConstraint("tenant_id", "digest"),
    schema="gateway",
)
