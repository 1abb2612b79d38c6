"""The store's tables."""

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names

from carillon.storage.schema import Xid8, instant, metadata, tenant_table

# Reflection, for the drift check, does not know the type by itself.
ischema_names.setdefault("xid8", Xid8)

# Not `tenant_table`: the key of a partitioned table must hold what it is partitioned by.
event = Table(
    "event",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("position", BigInteger, nullable=False, server_default=text("nextval('events.event_position')")),
    Column("xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("id", Uuid, nullable=False, server_default=text("storage.uuid7()")),
    Column("type", Text, nullable=False),
    Column("subject_id", Uuid),
    Column("payload", JSONB, nullable=False),
    instant("occurred_at", nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("tenant_id", "position", "occurred_at"),
    Index(None, "xid", "position"),
    Index(None, "tenant_id", "subject_id", "position", postgresql_where=text("subject_id IS NOT NULL")),
    schema="events",
    postgresql_partition_by="RANGE (occurred_at)",
)

cursor = Table(
    "cursor",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("xid", Xid8, nullable=False, server_default=text("'0'")),
    Column("position", BigInteger, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("error", Text),
    instant("retry_at"),
    instant("updated_at", nullable=False, server_default=text("now()")),
    schema="events",
)

dead_letter = tenant_table(
    "events",
    "dead_letter",
    Column("consumer", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("xid", Xid8, nullable=False),
    Column("position", BigInteger, nullable=False),
    instant("occurred_at", nullable=False),
    Column("error_class", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    instant("failed_at", nullable=False, server_default=text("now()")),
    instant("replayed_at"),
)
