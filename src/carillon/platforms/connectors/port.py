"""The connector port: what a messaging platform must be able to do for us, and what it may offer besides.

A connector knows its platform and nothing of ours: no tenants, no ledger, no SQL. It turns an `Outbound` into one
attempt on the wire and reports what happened, and it hands every `Update` to the `UpdateSink`, which returns
once the update is durable; only then may the connector acknowledge it to the platform.

Mandatory: `Connector.open`, `Session.send`, `Session.close`. Optional: `WebhookReceiver`, declared by a connector
whose platform calls us. Every connector passes `tests/conformance/test_connector.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable
from uuid import UUID


class Platform(StrEnum):
    """The network a person is reached on, whatever connector carries it."""

    TELEGRAM = "telegram"
    WHATSAPP = "whatsapp"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `burst` at once, refilled with `count` every `seconds` (GCRA)."""

    count: float
    seconds: float
    burst: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What the platform allows; data, which an account's settings may lower.

    Attributes:
        account: Sends of one account.
        peer: Sends of one account to one chat.
        portfolio: Sends of all accounts of one business portfolio.
        daily_unique: Different recipients of business-initiated messages in a moving 24 h; None is unlimited.
    """

    account: Rate
    peer: Rate | None = None
    portfolio: Rate | None = None
    daily_unique: int | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connector can do beyond sending text.

    Attributes:
        deduplicates: The platform drops a second send with the same key, so an unknown outcome may be resent.
        reports_delivery: `delivered` statuses can be expected.
        reports_read: `read` statuses can be expected.
        supports_proxy: A proxy bound to the account is used for every byte.
        max_text: Longest text in characters.
        campaigns: Campaigns may run on it.
    """

    deduplicates: bool
    reports_delivery: bool = True
    reports_read: bool = True
    supports_proxy: bool = False
    max_text: int = 4096
    campaigns: bool = True


@dataclass(frozen=True, slots=True)
class ProxyEndpoint:
    """Where an account's bytes leave from."""

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """What a connector is told of the account it opens.

    Attributes:
        id: Our id of it.
        platform: The network it is on.
        address: Its public name there: phone number, @name or phone-number id.
        settings: The connector's own options, as the tenant entered them; not secret.
        secret: Its credentials, decrypted; None for connectors without.
        proxy: The way out, or None for the machine's own address.
        state: What the connector saved through `UpdateSink.accept`, by key.
    """

    id: UUID
    platform: Platform
    address: str
    settings: Mapping[str, object] = field(default_factory=dict)
    secret: bytes | None = field(default=None, repr=False)
    proxy: ProxyEndpoint | None = None
    state: Mapping[str, bytes] = field(default_factory=dict, repr=False)


class Outbound(NamedTuple):
    """One message, ready for the wire. A tuple: one is made for each of tens of thousands a second.

    Attributes:
        id: Its ledger id.
        key: The same id as a signed 64-bit number: the platform's de-duplication key where it has one.
        peer: Whom to, in the platform's own terms.
        text: What to say.
        reply_to: Platform id of the message this answers.
        resend: An earlier attempt may have been accepted; only ever true where `Capabilities.deduplicates`.
    """

    id: UUID
    key: int
    peer: str
    text: str
    reply_to: str | None = None
    resend: bool = False


class Accepted(NamedTuple):
    """The platform took the message."""

    platform_id: str
    at: datetime


class Status(StrEnum):
    """What a platform reports of a message it accepted; it comes twice, late and out of order."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A report on an outbound message, named by our id, the platform's, or both."""

    status: Status
    at: datetime
    message_id: UUID | None = None
    platform_id: str | None = None
    error_class: str | None = None
    error_code: str | None = None
    error_text: str | None = None


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """Someone wrote to the account. (chat, sender, platform_id) is unique within the account."""

    chat: str
    sender: str
    platform_id: str
    text: str
    at: datetime
    sender_name: str | None = None
    reply_to: str | None = None
    raw: Mapping[str, object] = field(default_factory=dict)


class AccountState(StrEnum):
    """The visible life of an account."""

    NEW = "new"
    SIGNING_IN = "signing_in"
    ONLINE = "online"
    DEGRADED = "degraded"
    FLOODED = "flooded"
    RESTRICTED = "restricted"
    BANNED = "banned"
    SIGNED_OUT = "signed_out"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class AccountUpdate:
    """The account itself changed, with a reason a person can act on."""

    state: AccountState
    reason: str
    at: datetime
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """A person blocked the account or told the platform to stop: an opt-out."""

    peer: str
    at: datetime


Update = InboundMessage | StatusUpdate | AccountUpdate | Blocked


class UpdateSink(Protocol):
    """Where updates go."""

    async def accept(self, updates: Sequence[Update], state: Mapping[str, bytes | None] | None = None) -> None:
        """Make the updates and the connector's state durable in one transaction.

        Returns only then. Seeing an update again is harmless.

        Raises:
            LeaseLost: The account has another owner now: close the session and acknowledge nothing.
        """
        ...


class Session(Protocol):
    """An open account."""

    async def send(self, message: Outbound) -> Accepted:
        """Make one attempt.

        Raises:
            SendError: One of its subclasses (see `errors`), which says whether it was certainly not sent.
        """
        ...

    async def close(self) -> None:
        """Stop reading and close every socket; idempotent."""
        ...


class Connector(Protocol):
    """A platform."""

    @property
    def name(self) -> str:
        """As accounts give it."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def limits(self, account: AccountConfig) -> Limits:
        """The platform's limits for this account."""
        ...

    async def open(self, account: AccountConfig, sink: UpdateSink) -> Session:
        """Connect and start delivering updates.

        Raises:
            AccountError: It cannot be opened; says which state it is in now and why.
        """
        ...


@runtime_checkable
class WebhookReceiver(Protocol):
    """Optional: the platform calls us over HTTP."""

    def parse_webhook(self, account: AccountConfig, headers: Mapping[str, str], body: bytes) -> Sequence[Update]:
        """The updates in one verified call.

        Raises:
            BadWebhook: Not all of it can be understood; the raw body is kept all the same.
        """
        ...

    def verify_webhook(self, account: AccountConfig, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the call bears the account's signature over the raw body."""
        ...
