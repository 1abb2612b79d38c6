"""Tables of auth. It also reads and keeps the password and second factor in `identity.user`."""

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)

from carillon.storage.schema import instant, metadata, tenant_table

session = tenant_table(
    "identity",
    "session",
    Column("user_id", Uuid, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    # The user's when it was opened: a new password makes all others worthless, in every tenant at once.
    Column("credential_version", Integer, nullable=False),
    Column("address", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    instant("created_at", nullable=False),
    instant("last_seen_at", nullable=False),
    instant("expires_at", nullable=False),
    ForeignKeyConstraint(
        ["tenant_id", "user_id"],
        ["identity.membership.tenant_id", "identity.membership.user_id"],
        name="fk_session_tenant_id_user_id",
        ondelete="CASCADE",
    ),
    Index(None, "tenant_id", "user_id"),
    Index(None, "expires_at"),
)

sign_in_throttle = Table(
    "sign_in_throttle",
    metadata,
    Column("key", LargeBinary, nullable=False),
    instant("full_at", nullable=False),
    PrimaryKeyConstraint("key"),
    Index(None, "full_at"),
    schema="identity",
)
