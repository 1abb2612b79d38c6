"""The table of API keys."""

from sqlalchemy import Column, ForeignKeyConstraint, LargeBinary, Numeric, Text, Uuid

from carillon.storage.schema import instant, tenant_table

api_key = tenant_table(
    "identity",
    "api_key",
    Column("name", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("permissions", Numeric(78, 0), nullable=False),
    # No foreign key: the key of a person who left is kept, and refused.
    Column("created_by", Uuid),
    instant("created_at", nullable=False),
    instant("expires_at"),
    instant("last_used_at"),
    instant("revoked_at"),
    ForeignKeyConstraint(["tenant_id"], ["identity.tenant.id"]),
)
