"""What crosses the boundary of the send ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Select

DIRECT_LANE = UUID(int=0)
"""The lane of messages that belong to no campaign; it is always open."""


UNCONFIRMED_AFTER = timedelta(minutes=15)
"""How long a platform's status is waited for before an unknown outcome is shown as unconfirmed."""


RESENT = "resent"
"""Reason of an unknown message that a person sent again as another one."""


class MessageKind(StrEnum):
    """Why a message exists."""

    REPLY = "reply"
    CONFIRMATION = "confirmation"
    NOTICE = "notice"
    TEST = "test"
    CAMPAIGN = "campaign"


PRIORITY = {
    MessageKind.CONFIRMATION: 0,
    MessageKind.REPLY: 1,
    MessageKind.TEST: 2,
    MessageKind.NOTICE: 3,
    MessageKind.CAMPAIGN: 5,
}
"""Smaller goes first."""


class MessageState(StrEnum):
    """The life of a message; see docs/reference/delivery.md for the arrows."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNKNOWN = "unknown"
    HELD = "held"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class Message:
    """A row of the ledger.

    Attributes:
        campaign_id: None for direct messages.
        reason: Stable code of a failure, suppression or hold.
        reason_text: The same for a person.
        body: The text as sent; None until a campaign message with variables is rendered.
    """

    id: UUID
    account_id: UUID
    contact_id: UUID
    campaign_id: UUID | None
    platform: str
    peer: str
    kind: MessageKind
    variant: str | None
    body: str | None
    state: MessageState
    reason: str | None
    reason_text: str | None
    platform_id: str | None
    attempts: int
    due_at: datetime
    created_at: datetime
    sending_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    actor_id: UUID | None

    @property
    def unconfirmed(self) -> bool:
        """Unknown for so long that a status will hardly come any more: a person may send it again."""
        if self.state is not MessageState.UNKNOWN or self.sending_at is None or self.reason == RESENT:
            return False
        return datetime.now(UTC) - self.sending_at > UNCONFIRMED_AFTER


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message that came in."""

    id: UUID
    account_id: UUID
    contact_id: UUID
    chat: str
    sender: str
    platform_id: str
    body: str
    sent_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """A direct message to accept into the ledger.

    Attributes:
        account_id: The account it leaves from.
        contact_id: Whom to.
        body: The text.
        kind: Anything but `campaign`.
        reply_to: Platform id of the message it answers.
        due_at: Not before; None is now.
        actor_id: The user who wrote it.
        message_id: Chosen by the caller to make a repeated call harmless.
    """

    account_id: UUID
    contact_id: UUID
    body: str
    kind: MessageKind = MessageKind.REPLY
    reply_to: str | None = None
    due_at: datetime | None = None
    actor_id: UUID | None = None
    message_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant of a campaign.

    Attributes:
        name: `A`, `B`, …
        weight: Its share, relative to the others.
        texts: Language (BCP-47) to text; `""` is the text for everyone else and must be there.
    """

    name: str
    weight: int
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PoolAccount:
    """An account that campaign messages may leave from; `weight` is its relative capacity."""

    id: UUID
    platform: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the messages of a plan become due.

    Attributes:
        at: Due then (UTC).
        local: If given, `at` is ignored: due at this wall-clock time (naive) in each recipient's zone.
        default_zone: For people whose zone is not known.
    """

    at: datetime
    local: datetime | None = None
    default_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign as the planner sees it.

    Attributes:
        campaign_id: Also the lane; a contact gets at most one message per campaign.
        members: Selects rows of `audience.contact`.
        platforms: In order of preference; each person is reached on the first that may be used.
        accounts: The pool.
        variants: At least one.
        schedule: When.
        purpose: Of the consent that is needed.
        now: The moment consent is judged at.
    """

    campaign_id: UUID
    members: Select[tuple[object, ...]]
    platforms: Sequence[str]
    accounts: Sequence[PoolAccount]
    variants: Sequence[Variant]
    schedule: Schedule
    now: datetime
    purpose: str = "marketing"


@dataclass(frozen=True, slots=True)
class PlanStep:
    """What one step of planning did; hand `after` to the next until `done`.

    Attributes:
        after: Last contact looked at.
        done: No more contacts.
        planned: Messages written as queued.
        suppressed: Messages written as suppressed, by reason.
    """

    after: UUID | None
    done: bool
    planned: int
    suppressed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Review:
    """What a plan would do.

    Attributes:
        audience: Contacts in the segment.
        excluded: Contacts that would get nothing, by reason.
        by_account: Messages per account.
        by_variant: Messages per variant.
    """

    audience: int
    excluded: Mapping[str, int]
    by_account: Mapping[UUID, int]
    by_variant: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is: messages by state, and failures and suppressions by reason."""

    states: Mapping[MessageState, int]
    reasons: Mapping[str, int]
    by_variant: Mapping[str, Mapping[MessageState, int]]
    next_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run an account.

    Attributes:
        epoch: Fences every write.
    """

    tenant_id: UUID
    account_id: UUID
    epoch: int
