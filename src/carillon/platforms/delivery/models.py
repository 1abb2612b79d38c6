"""Tables of the send ledger, of what comes in, and of the leases."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from carillon.storage.schema import instant, metadata, tenant_table

from .contracts import MessageKind, MessageState

OPEN, WAITING = 0, 1
"""Values of `message.phase`."""

_KINDS = ", ".join(f"'{kind}'" for kind in MessageKind)
_STATES = ", ".join(f"'{state}'" for state in MessageState)

message = tenant_table(
    "platforms",
    "message",
    Column("account_id", Uuid, nullable=False),
    Column("contact_id", Uuid, nullable=False),
    Column("lane", Uuid, nullable=False),
    Column("platform", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("content_id", Uuid),
    Column("variant", Text),
    Column("body", Text),
    Column("reply_to", Text),
    Column("actor_id", Uuid),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("reason_text", Text),
    Column("platform_id", Text),
    Column("epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    instant("due_at", nullable=False),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("sending_at"),
    instant("sent_at"),
    instant("delivered_at"),
    instant("read_at"),
    instant("settled_at"),
    Column(
        "phase",
        SmallInteger,
        Computed(
            "CASE WHEN state IN ('queued', 'sending') THEN 0 WHEN state IN ('held', 'unknown') THEN 1 END",
            persisted=True,
        ),
    ),
    CheckConstraint(f"kind IN ({_KINDS})", name="kind"),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
)
"""The ledger. `lane` is the campaign, or all zeros for direct messages; `reason` the failure or suppression code.

`phase` is what the working indexes go by: 0 open, 1 waiting for somebody. It does not change between `queued` and
`sending`, so that step, taken by every message, leaves all indexes alone (a heap-only update; docs/adr/0018).
"""

Index(
    "ix_message_open",
    message.c.account_id,
    message.c.lane,
    message.c.priority,
    message.c.due_at,
    message.c.id,
    postgresql_where=message.c.phase == OPEN,
)
Index(
    "uq_message_campaign_contact",
    message.c.tenant_id,
    message.c.lane,
    message.c.contact_id,
    unique=True,
    postgresql_where=message.c.kind == "campaign",
)
Index(
    "ix_message_platform_id",
    message.c.account_id,
    message.c.platform_id,
    postgresql_where=message.c.platform_id.isnot(None),
)
Index("ix_message_contact", message.c.tenant_id, message.c.contact_id, message.c.id)
Index(
    "ix_message_waiting",
    message.c.tenant_id,
    message.c.account_id,
    message.c.lane,
    postgresql_where=message.c.phase == WAITING,
)

content = tenant_table(
    "platforms",
    "content",
    Column("lane", Uuid, nullable=False),
    Column("variant", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("variables", ARRAY(Text), nullable=False),
    instant("created_at", nullable=False, server_default=text("now()")),
)
"""What a campaign says, per variant and language; never changed once written."""

lane = tenant_table(
    "platforms",
    "lane",
    Column("state", Text, nullable=False),
    instant("updated_at", nullable=False, server_default=text("now()")),
    CheckConstraint("state IN ('running', 'paused', 'closed')", name="state"),
)
"""A campaign's gate: only the due messages of running lanes are sent. `id` is the campaign's."""

inbound_message = tenant_table(
    "platforms",
    "inbound_message",
    Column("account_id", Uuid, nullable=False),
    Column("contact_id", Uuid, nullable=False),
    Column("chat", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("platform_id", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("reply_to", Text),
    Column("raw", JSONB, nullable=False),
    instant("sent_at", nullable=False),
    instant("received_at", nullable=False, server_default=text("now()")),
)
Index(
    "uq_inbound_message_platform",
    inbound_message.c.tenant_id,
    inbound_message.c.account_id,
    inbound_message.c.chat,
    inbound_message.c.sender,
    inbound_message.c.platform_id,
    unique=True,
)
Index("ix_inbound_message_contact", inbound_message.c.tenant_id, inbound_message.c.contact_id, inbound_message.c.id)

early_status = tenant_table(
    "platforms",
    "early_status",
    Column("account_id", Uuid, nullable=False),
    Column("platform_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("reason_text", Text),
    instant("at", nullable=False),
    instant("received_at", nullable=False, server_default=text("now()")),
)
"""Statuses that came before we knew the platform's id of the message; merged when it is settled."""
Index("ix_early_status_platform_id", early_status.c.account_id, early_status.c.platform_id)

webhook_call = tenant_table(
    "platforms",
    "webhook_call",
    Column("account_id", Uuid, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("error", Text),
    instant("received_at", nullable=False, server_default=text("now()")),
)
"""Verified calls of a platform, kept raw before they are understood."""
Index(
    "ix_webhook_call_error",
    webhook_call.c.tenant_id,
    webhook_call.c.received_at,
    postgresql_where=webhook_call.c.error.isnot(None),
)

contact_route = tenant_table(
    "platforms",
    "contact_route",
    Column("platform", Text, nullable=False),
    Column("account_id", Uuid, nullable=False),
    instant("at", nullable=False),
    keys=("platform",),
)
"""The account a person last wrote to (`id` is the contact's): later messages leave from there."""

worker = Table(
    "worker",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    instant("started_at", nullable=False, server_default=text("now()")),
    instant("renewed_at", nullable=False, server_default=text("now()")),
    instant("expires_at", nullable=False),
    PrimaryKeyConstraint("id"),
    schema="platforms",
)
"""One liveness row per process that owns accounts."""

account_lease = tenant_table(
    "platforms",
    "account_lease",
    Column("worker_id", Uuid),
    Column("epoch", BigInteger, nullable=False),
    instant("acquired_at", nullable=False, server_default=text("now()")),
)
"""Who owns the account `id`; `epoch` grows with every owner and fences all writes of the one before."""
Index("ix_account_lease_worker", account_lease.c.worker_id)
