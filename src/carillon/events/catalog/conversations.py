"""Published events of conversations. None carries what was said: history outlives erasure."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from .base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationEvent(Event):
    """Something happened to a conversation; `actor_id` is None when nobody in particular did it."""

    conversation_id: UUID
    actor_id: UUID | None = None

    @property
    def subject_id(self) -> UUID:
        """The conversation."""
        return self.conversation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationOpened(ConversationEvent):
    """A conversation is open: it began, or was reopened.

    Attributes:
        cause: `inbound`, `operator` or `snooze_over`.
        reopened: It was there before.
    """

    type: ClassVar[str] = "conversation.opened"
    account_id: UUID
    contact_id: UUID
    cause: str
    reopened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationPending(ConversationEvent):
    """A conversation waits for the person."""

    type: ClassVar[str] = "conversation.pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSnoozed(ConversationEvent):
    """A conversation is put off; it opens again then, or when the person writes."""

    type: ClassVar[str] = "conversation.snoozed"
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationResolved(ConversationEvent):
    """A conversation is done."""

    type: ClassVar[str] = "conversation.resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationAssigned(ConversationEvent):
    """A conversation is somebody's now, or nobody's."""

    type: ClassVar[str] = "conversation.assigned"
    before: UUID | None
    assignee_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationUpdated(ConversationEvent):
    """Something else changed; `changed` names what: labels, priority, unread, contact."""

    type: ClassVar[str] = "conversation.updated"
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationNoted(ConversationEvent):
    """Somebody left a private note; `mentions` are the users it calls."""

    type: ClassVar[str] = "conversation.noted"
    note_id: UUID
    mentions: tuple[UUID, ...] = ()
