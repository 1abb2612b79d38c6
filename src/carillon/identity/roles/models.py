"""The table of roles."""

from sqlalchemy import Column, ForeignKeyConstraint, Numeric, Text, UniqueConstraint, text

from carillon.storage.schema import instant, tenant_table

role = tenant_table(
    "identity",
    "role",
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("builtin", Text),
    # A bit set; 256 bits, where bigint would end at 63 permissions.
    Column("permissions", Numeric(78, 0), nullable=False, server_default=text("0")),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    UniqueConstraint("tenant_id", "name"),
    UniqueConstraint("tenant_id", "builtin"),
    ForeignKeyConstraint(["tenant_id"], ["identity.tenant.id"]),
)
