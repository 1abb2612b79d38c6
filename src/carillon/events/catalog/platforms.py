"""Published events of the platforms cluster."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from .base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStateChanged(Event):
    """An account came into another state; `reason` says what a person can do."""

    type: ClassVar[str] = "account.state_changed"
    account_id: UUID
    state: str
    before: str
    reason: str

    @property
    def subject_id(self) -> UUID:
        """The account."""
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageChanged(Event):
    """A message of the ledger came into another state.

    Attributes:
        campaign_id: None for direct messages.
        reason: Code of a failure, suppression or hold.
        before: The state it was in, where a status of the platform changed it; None where we did.
    """

    type: ClassVar[str] = "message.changed"
    message_id: UUID
    account_id: UUID
    contact_id: UUID
    kind: str
    state: str
    campaign_id: UUID | None = None
    reason: str | None = None
    before: str | None = None

    @property
    def subject_id(self) -> UUID:
        """The message."""
        return self.message_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignMessagesSent(Event):
    """Messages of a campaign were accepted by their platforms: one event for all that were noted together.

    Every other change of a campaign's message is a `message.changed` of its own.

    Attributes:
        messages: Their ids by account.
    """

    type: ClassVar[str] = "campaign_messages.sent"
    campaign_id: UUID
    messages: dict[UUID, tuple[UUID, ...]]

    @property
    def subject_id(self) -> UUID:
        """The campaign."""
        return self.campaign_id


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAccepted(Event):
    """A direct message was accepted into the ledger.

    Attributes:
        resends: The message that it sends once more, at a person's wish.
    """

    type: ClassVar[str] = "message.accepted"
    message_id: UUID
    account_id: UUID
    contact_id: UUID
    kind: str
    resends: UUID | None = None

    @property
    def subject_id(self) -> UUID:
        """The message."""
        return self.message_id


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageResent(Event):
    """A person sent a message once more, as a new one.

    Attributes:
        message_id: The old message.
        resent_as: The new message.
        actor_id: Who did it.
    """

    type: ClassVar[str] = "message.resent"
    message_id: UUID
    resent_as: UUID
    actor_id: UUID | None = None

    @property
    def subject_id(self) -> UUID:
        """The old message."""
        return self.message_id


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundReceived(Event):
    """Someone wrote to one of our accounts."""

    type: ClassVar[str] = "message.received"
    inbound_id: UUID
    account_id: UUID
    contact_id: UUID
    opted_out: bool = False

    @property
    def subject_id(self) -> UUID:
        """The person."""
        return self.contact_id


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReceived(Event):
    """A platform called; the raw call is stored and waits to be understood."""

    type: ClassVar[str] = "webhook.received"
    call_id: UUID
    account_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The account."""
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesPlanned(Event):
    """A slice of a campaign's audience was written into the ledger."""

    type: ClassVar[str] = "messages.planned"
    campaign_id: UUID
    planned: int
    suppressed: int

    @property
    def subject_id(self) -> UUID:
        """The campaign."""
        return self.campaign_id


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneChanged(Event):
    """A campaign's gate was opened, paused or closed."""

    type: ClassVar[str] = "lane.changed"
    campaign_id: UUID
    state: str

    @property
    def subject_id(self) -> UUID:
        """The campaign."""
        return self.campaign_id
