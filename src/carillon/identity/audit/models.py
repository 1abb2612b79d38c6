"""Tables of the audit log."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from carillon.storage.schema import instant, metadata, tenant_table

audit_entry = tenant_table(
    "identity",
    "audit_entry",
    Column("seq", BigInteger, nullable=False),
    instant("at", nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Uuid),
    Column("credential_id", Uuid),
    Column("action", Text, nullable=False),
    Column("target", Text),
    Column("details", JSONB, nullable=False),
    Column("address", Text),
    Column("request_id", Text),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("tenant_id", "seq"),
    Index(None, "tenant_id", "actor_id", "seq"),
    Index(None, "tenant_id", "target", "seq"),
    Index(None, "tenant_id", "action", "seq"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant_id"),
    schema="identity",
)
