"""What crosses the boundary of conversations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID


class Status(StrEnum):
    """Where a conversation stands: to be answered, waiting for the person, put off, or done."""

    OPEN = "open"
    PENDING = "pending"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"


class Priority(IntEnum):
    """How urgent it is."""

    LOW = -1
    NORMAL = 0
    HIGH = 1
    URGENT = 2


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is going on between one of our accounts and a person.

    Attributes:
        snoozed_until: When it opens again; only while snoozed.
        assignee_id: The user whose it is; None for nobody's.
        unread: Messages that came in since somebody read it.
        last_at: When the last message went or came.
        last_direction: `in` or `out`; None before the first message.
        last_preview: The beginning of the last message.
        last_state: Of the last message, if it was ours: a state of the ledger.
    """

    id: UUID
    account_id: UUID
    contact_id: UUID
    platform: str
    status: Status
    snoozed_until: datetime | None
    assignee_id: UUID | None
    priority: Priority
    labels: tuple[str, ...]
    unread: int
    last_at: datetime
    last_direction: str | None
    last_preview: str
    last_message_id: UUID | None
    last_state: str | None
    last_inbound_at: datetime | None
    last_outbound_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation with the names that a list shows; None where the person or account is gone."""

    conversation: Conversation
    contact_name: str | None
    opted_out: bool
    account_name: str | None


@dataclass(frozen=True, slots=True)
class ConversationFilter:
    """Which conversations; everything given must hold.

    Attributes:
        assignee_id: Only this user's.
        unassigned: Only nobody's.
        unread: Only with, or without, unread messages.
        query: Part of the person's name, or the beginning of an address.
    """

    status: Status | None = None
    assignee_id: UUID | None = None
    unassigned: bool = False
    account_id: UUID | None = None
    contact_id: UUID | None = None
    label: str | None = None
    priority: Priority | None = None
    unread: bool | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many conversations match.

    Attributes:
        mine: Assigned to the asking user.
        unread: With unread messages.
    """

    total: int
    by_status: Mapping[Status, int]
    mine: int
    unassigned: int
    unread: int


class ActKind(StrEnum):
    """What can be done to conversations."""

    ASSIGN = "assign"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    PEND = "pend"
    SNOOZE = "snooze"
    READ = "read"
    UNREAD = "unread"
    LABEL = "label"
    UNLABEL = "unlabel"
    PRIORITISE = "prioritise"


@dataclass(frozen=True, slots=True)
class Act:
    """What to do.

    Attributes:
        assignee_id: For `assign`; None makes it nobody's.
        until: For `snooze`.
        label: For `label` and `unlabel`.
        priority: For `prioritise`.
    """

    kind: ActKind
    assignee_id: UUID | None = None
    until: datetime | None = None
    label: str | None = None
    priority: Priority | None = None


@dataclass(frozen=True, slots=True)
class BulkDone:
    """What a bulk act did; `action_id` undoes it."""

    action_id: UUID
    matched: int
    changed: int


@dataclass(frozen=True, slots=True)
class Note:
    """A private note among users; `mentions` are the users it calls."""

    id: UUID
    conversation_id: UUID
    author_id: UUID | None
    body: str
    mentions: tuple[UUID, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CannedReply:
    """A ready-made answer, found by its shortcut; its text may hold template variables."""

    id: UUID
    shortcut: str
    title: str
    text: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that happened to a conversation; `details` are the event's fields."""

    id: UUID
    type: str
    at: datetime
    details: Mapping[str, Any]
