"""HTTP shapes of conversations."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from carillon.platforms.delivery.contracts import Inbound, Message

from .contracts import (
    Act,
    Activity,
    ActKind,
    BulkDone,
    CannedReply,
    ConversationFilter,
    ConversationView,
    Counts,
    Note,
    Priority,
    Status,
)

Line = Annotated[str, Field(max_length=400, pattern=r"^[^\x00]*$")]
Body = Annotated[str, Field(max_length=20_000, pattern=r"^[^\x00]*$")]
PriorityName = Literal["low", "normal", "high", "urgent"]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ConversationIn(_In):
    """Between whom a conversation is to be open."""

    account_id: UUID
    contact_id: UUID


class ActIn(_In):
    """What to do; `assign` with a null assignee makes it nobody's."""

    kind: ActKind
    assignee_id: UUID | None = None
    until: AwareDatetime | None = None
    label: Line | None = None
    priority: PriorityName | None = None

    def act(self) -> Act:
        """As the facade takes it."""
        return Act(self.kind, self.assignee_id, self.until, self.label, priority_of(self.priority))


class MatchingIn(_In):
    """Which conversations; everything given must hold."""

    status: Status | None = None
    assignee_id: UUID | None = None
    unassigned: bool = False
    account_id: UUID | None = None
    contact_id: UUID | None = None
    label: Line | None = None
    priority: PriorityName | None = None
    unread: bool | None = None
    query: Line | None = None

    def filter(self) -> ConversationFilter:
        """As the facade takes it."""
        return ConversationFilter(**{**self.model_dump(), "priority": priority_of(self.priority)})


class BulkActIn(ActIn):
    """What to do, and to which conversations: `ids`, or all that match."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=1_000)] | None = None
    matching: MatchingIn | None = None


class ReplyIn(_In):
    """An answer; with a `message_id` of your choice a repeated call changes nothing."""

    body: Body
    message_id: UUID | None = None
    reply_to: Line | None = Field(None, description="Platform id of the message it answers")


class NoteIn(_In):
    """A private note."""

    body: Body
    mentions: Annotated[list[UUID], Field(max_length=100)] = []


class DraftBody(_In):
    """What the user has begun to write; empty for nothing."""

    body: Body


class CannedReplyIn(_In):
    """A ready-made answer; its text may hold template variables."""

    shortcut: Line
    title: Line
    text: Body


class ConversationOut(BaseModel):
    """A conversation with the names a list shows."""

    id: UUID
    account_id: UUID
    account_name: str | None
    contact_id: UUID
    contact_name: str | None
    opted_out: bool
    platform: str
    status: Status
    snoozed_until: datetime | None
    assignee_id: UUID | None
    priority: PriorityName
    labels: tuple[str, ...]
    unread: int
    last_at: datetime
    last_direction: Literal["in", "out"] | None
    last_preview: str
    last_message_id: UUID | None
    last_state: str | None
    last_inbound_at: datetime | None
    last_outbound_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: ConversationView) -> "ConversationOut":
        """The HTTP shape of a conversation."""
        named = {"account_name": view.account_name, "contact_name": view.contact_name, "opted_out": view.opted_out}
        made: dict[str, Any] = {**named, "priority": view.conversation.priority.name.lower()}
        rest = {name: getattr(view.conversation, name) for name in cls.model_fields if name not in made}
        return cls(**made, **rest)


class ConversationCountsOut(BaseModel):
    """How many conversations there are."""

    total: int
    by_status: dict[Status, int]
    mine: int
    unassigned: int
    unread: int

    @classmethod
    def of(cls, counts: Counts) -> "ConversationCountsOut":
        """The HTTP shape of counts."""
        return cls.model_validate(counts, from_attributes=True)


class BulkDoneOut(BaseModel):
    """What a bulk act did; `id` undoes it."""

    id: UUID
    matched: int
    changed: int

    @classmethod
    def of(cls, done: BulkDone) -> "BulkDoneOut":
        """The HTTP shape of a result."""
        return cls(id=done.action_id, matched=done.matched, changed=done.changed)


class EntryOut(BaseModel):
    """A message of the thread, in either direction; what only one direction has is null in the other."""

    id: UUID
    direction: Literal["in", "out"]
    body: str | None
    at: datetime
    platform_id: str | None
    kind: str | None = None
    state: str | None = None
    reason: str | None = None
    reason_text: str | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    actor_id: UUID | None = None
    campaign_id: UUID | None = None

    @classmethod
    def of(cls, entry: Message | Inbound) -> "EntryOut":
        """The HTTP shape of a message."""
        if isinstance(entry, Inbound):
            return cls(id=entry.id, direction="in", body=entry.body, at=entry.sent_at, platform_id=entry.platform_id)
        same = ("id", "body", "platform_id", "kind", "state", "reason", "reason_text")
        times = ("sent_at", "delivered_at", "read_at", "actor_id", "campaign_id")
        return cls(direction="out", at=entry.created_at, **{name: getattr(entry, name) for name in (*same, *times)})


class NoteOut(BaseModel):
    """A private note."""

    id: UUID
    conversation_id: UUID
    author_id: UUID | None
    body: str
    mentions: tuple[UUID, ...]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, note: Note) -> "NoteOut":
        """The HTTP shape of a note."""
        return cls.model_validate(note, from_attributes=True)


class CannedReplyOut(BaseModel):
    """A canned reply."""

    id: UUID
    shortcut: str
    title: str
    text: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, reply: CannedReply) -> "CannedReplyOut":
        """The HTTP shape of a canned reply."""
        return cls.model_validate(reply, from_attributes=True)


class ActivityOut(BaseModel):
    """Something that happened to a conversation."""

    id: UUID
    type: str
    at: datetime
    details: dict[str, Any]

    @classmethod
    def of(cls, entry: Activity) -> "ActivityOut":
        """The HTTP shape of an entry."""
        return cls(id=entry.id, type=entry.type, at=entry.at, details=dict(entry.details))


def priority_of(name: PriorityName | None) -> Priority | None:
    """The priority of this name."""
    return None if name is None else Priority[name.upper()]
