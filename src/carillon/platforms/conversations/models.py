"""Tables of conversations."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from carillon.storage.schema import instant, tenant_table

from .contracts import Status

_STATUSES = ", ".join(f"'{status}'" for status in Status)

conversation = tenant_table(
    "platforms",
    "conversation",
    Column("account_id", Uuid, nullable=False),
    Column("contact_id", Uuid, nullable=False),
    Column("moved_from", Uuid),  # the contact it was of before a merge
    Column("platform", Text, nullable=False),
    Column("status", Text, nullable=False),
    instant("snoozed_until"),
    Column("assignee_id", Uuid),
    Column("priority", SmallInteger, nullable=False, server_default=text("0")),
    Column("labels", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("unread", Integer, nullable=False, server_default=text("0")),
    instant("last_at", nullable=False),
    Column("last_direction", Text),
    Column("last_preview", Text, nullable=False, server_default=text("''")),
    Column("last_message_id", Uuid),
    Column("last_state", Text),
    instant("last_inbound_at"),
    instant("last_outbound_at"),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    Unique("tenant_id", "account_id", "contact_id"),
    CheckConstraint(f"status IN ({_STATUSES})", name="status"),
    CheckConstraint("last_direction IN ('in', 'out')", name="direction"),
)
Index("ix_conversation_newest", conversation.c.tenant_id, conversation.c.last_at, conversation.c.id)
Index(
    "ix_conversation_status",
    conversation.c.tenant_id,
    conversation.c.status,
    conversation.c.last_at,
    conversation.c.id,
)
Index(
    "ix_conversation_assignee",
    conversation.c.tenant_id,
    conversation.c.assignee_id,
    conversation.c.status,
    conversation.c.last_at,
    conversation.c.id,
)
Index("ix_conversation_contact", conversation.c.tenant_id, conversation.c.contact_id)
Index("ix_conversation_snoozed", conversation.c.snoozed_until, postgresql_where=conversation.c.status == "snoozed")

tally = tenant_table(
    "platforms",
    "conversation_tally",
    Column("status", Text, nullable=False),
    Column("assignee_id", Uuid),
    Column("is_unread", Boolean, nullable=False),
    Column("change", BigInteger, nullable=False),
)
"""How many conversations of each kind there are: the sum of `change`. Triggers add rows, a job folds them."""

note = tenant_table(
    "platforms",
    "conversation_note",
    Column("conversation_id", Uuid, nullable=False),
    Column("author_id", Uuid),
    Column("body", Text, nullable=False),
    Column("mentions", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    ForeignKeyConstraint(
        ["tenant_id", "conversation_id"], ["platforms.conversation.tenant_id", "platforms.conversation.id"]
    ),
)
Index("ix_conversation_note_conversation", note.c.tenant_id, note.c.conversation_id, note.c.id)

draft = tenant_table(
    "platforms",
    "conversation_draft",
    Column("user_id", Uuid, nullable=False),
    Column("body", Text, nullable=False),
    instant("updated_at", nullable=False, server_default=text("now()")),
    ForeignKeyConstraint(["tenant_id", "id"], ["platforms.conversation.tenant_id", "platforms.conversation.id"]),
    keys=("user_id",),
)
"""What a user has begun to write in the conversation `id`."""

action = tenant_table(
    "platforms",
    "conversation_action",
    Column("kind", Text, nullable=False),
    Column("before", JSONB, nullable=False),  # what it changed, as it was and as it became: what undo reverts
    Column("count", Integer, nullable=False),
    Column("created_by", Uuid),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("undone_at"),
)

canned_reply = tenant_table(
    "platforms",
    "canned_reply",
    Column("shortcut", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    instant("created_at", nullable=False, server_default=text("now()")),
    instant("updated_at", nullable=False, server_default=text("now()")),
    Unique("tenant_id", "shortcut"),
)
