"""Tables of people. `user` also holds the columns that `auth` reads and keeps: password and second factor."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from carillon.storage.schema import instant, metadata, tenant_table

user = Table(
    "user",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("email", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("language", Text),
    Column("time_zone", Text),
    Column("password_hash", Text, nullable=False),
    Column("credential_version", Integer, nullable=False, server_default=text("1")),
    Column("totp_secret", LargeBinary),
    Column("totp_pending", LargeBinary),
    Column("totp_last_step", BigInteger),
    Column("recovery_codes", ARRAY(LargeBinary), nullable=False, server_default=text("'{}'::bytea[]")),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("email"),
    CheckConstraint("email = lower(email)", name="email"),
    schema="identity",
)

membership = Table(
    "membership",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("role_id", Uuid, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'active'")),
    Column("invited_by", Uuid),
    instant("last_signed_in_at"),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("tenant_id", "user_id"),
    CheckConstraint("state IN ('active', 'suspended')", name="state"),
    ForeignKeyConstraint(["tenant_id"], ["identity.tenant.id"]),
    ForeignKeyConstraint(["user_id"], ["identity.user.id"]),
    ForeignKeyConstraint(
        ["tenant_id", "role_id"],
        ["identity.role.tenant_id", "identity.role.id"],
        name="fk_membership_tenant_id_role_id",
    ),
    Index(None, "user_id"),
    schema="identity",
)

invitation = tenant_table(
    "identity",
    "invitation",
    Column("email", Text, nullable=False),
    Column("role_id", Uuid, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("invited_by", Uuid),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("expires_at", nullable=False),
    UniqueConstraint("tenant_id", "email"),
    ForeignKeyConstraint(["tenant_id", "role_id"], ["identity.role.tenant_id", "identity.role.id"]),
)
