"""Tables of message templates."""

from sqlalchemy import Column, ForeignKeyConstraint, Integer, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from carillon.storage.schema import instant, tenant_table

template = tenant_table(
    "platforms",
    "template",
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("version", Integer, nullable=False),  # the latest
    instant("archived_at"),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    UniqueConstraint("tenant_id", "name"),
)

template_version = tenant_table(
    "platforms",
    "template_version",
    Column("version", Integer, nullable=False),
    Column("texts", JSONB, nullable=False),
    Column("hints", JSONB, nullable=False),
    Column("vectors", JSONB, nullable=False),
    Column("created_by", Uuid),
    instant("created_at", nullable=False, server_default=text("now()")),
    ForeignKeyConstraint(["tenant_id", "id"], ["platforms.template.tenant_id", "platforms.template.id"]),
    keys=("version",),
)
"""Every version ever stored (`id` is the template's); the application's roles cannot change or remove them."""
