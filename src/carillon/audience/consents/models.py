"""Tables of consents, and the columns of `audience.contact` that this service reads and keeps."""

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from carillon.storage.schema import instant, metadata, tenant_table

from .contracts import Action

_ACTIONS = ", ".join(f"'{action}'" for action in Action)

consent_entry = Table(
    "consent_entry",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("contact_id", Uuid, nullable=False),
    Column("platform", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("text_version", Text),
    Column("proof", Text),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Uuid),
    instant("at", nullable=False),
    instant("recorded_at", nullable=False),
    instant("expires_at"),
    PrimaryKeyConstraint("tenant_id", "contact_id", "id"),
    CheckConstraint(f"action IN ({_ACTIONS})", name="action"),
    schema="audience",
)
"""The ledger. Its key begins with the person, so that one index serves both order and look-up."""

suppression = tenant_table(
    "audience",
    "suppression",
    Column("kind", Text, nullable=False),
    Column("value_hmac", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    instant("created_at", nullable=False, server_default=text("now()")),
    UniqueConstraint("tenant_id", "kind", "value_hmac"),
)

policy = Table(
    "policy",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("quiet_start", Time, nullable=False),
    Column("quiet_end", Time, nullable=False),
    Column("frequency_max", Integer),
    Column("frequency_days", Integer, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("stop_words", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    Column("confirmations", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("tenant_id"),
    schema="audience",
)
"""One row per tenant that changed the defaults."""
