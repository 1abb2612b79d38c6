"""The table of segments, and the columns of people that rules may ask about."""

from sqlalchemy import ARRAY, Column, DateTime, Integer, Text, UniqueConstraint, Uuid, column, table, text
from sqlalchemy.dialects.postgresql import JSONB

from carillon.storage.schema import instant, tenant_table

segment = tenant_table(
    "audience",
    "segment",
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("rule", JSONB, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    UniqueConstraint("tenant_id", "name"),
)

_INSTANT = DateTime(timezone=True)

# Owned by contacts; a test holds these columns against the real tables.
contact = table(
    "contact",
    column("tenant_id", Uuid),
    column("id", Uuid),
    column("name", Text),
    column("first_name", Text),
    column("last_name", Text),
    column("email", Text),
    column("language", Text),
    column("time_zone", Text),
    column("time_zones", ARRAY(Text)),
    column("country", Text),
    column("tags", ARRAY(Text)),
    column("fields", JSONB),
    column("peers", JSONB),
    column("consents", JSONB),
    column("opted_out_at", _INSTANT),
    column("last_inbound_at", _INSTANT),
    column("merged_into", Uuid),
    column("erased_at", _INSTANT),
    column("created_at", _INSTANT),
    schema="audience",
)

identity = table(
    "identity",
    column("tenant_id", Uuid),
    column("contact_id", Uuid),
    column("kind", Text),
    column("value", Text),
    column("import_id", Uuid),
    schema="audience",
)
