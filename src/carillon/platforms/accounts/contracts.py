"""What crosses the boundary of accounts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from carillon.platforms.connectors.port import AccountState


class Failover(StrEnum):
    """What happens to an account whose proxy is down; the machine's own address is never a choice.

    `none` parks it; the others take a free, healthy proxy of the same region, or of the whole pool, and park it if
    there is none.
    """

    NONE = "none"
    SAME_REGION = "same_region"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the pool; its secret is not among these.

    Attributes:
        connector: Which connector runs it.
        platform: The network it is on.
        address: Its public name there.
        portfolio: The business portfolio its limits belong to.
        settings: The connector's options.
        reason: What a person can do about the state.
        wait_until: When a flood ends.
        parked: The tenant wants it still.
        reason_code: The same as a stable code, see `reasons`.
        failover: What to do when its proxy is down.
    """

    id: UUID
    connector: str
    platform: str
    name: str
    address: str
    portfolio: str | None
    labels: tuple[str, ...]
    settings: Mapping[str, Any]
    proxy_id: UUID | None
    state: AccountState
    reason: str
    state_at: datetime
    wait_until: datetime | None
    parked: bool
    created_at: datetime
    updated_at: datetime
    reason_code: str = ""
    failover: Failover = Failover.NONE


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to add; see `Account`.

    Attributes:
        platform: May be left out where the connector reaches one network only.
        secret: Its credentials; sealed at once and never shown again.
        parked: Leave it still at first.
    """

    connector: str
    name: str
    address: str
    platform: str | None = None
    portfolio: str | None = None
    labels: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    secret: bytes | None = field(default=None, repr=False)
    proxy_id: UUID | None = None
    failover: Failover = Failover.NONE
    parked: bool = False


@dataclass(frozen=True, slots=True)
class AccountEdit:
    """What to change; attributes not named in `given` stay as they are."""

    given: frozenset[str]
    name: str = ""
    portfolio: str | None = None
    labels: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    proxy_id: UUID | None = None
    failover: Failover = Failover.NONE


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts; everything given must hold.

    Attributes:
        query: Part of the name or address.
    """

    state: AccountState | None = None
    platform: str | None = None
    connector: str | None = None
    label: str | None = None
    portfolio: str | None = None
    proxy_id: UUID | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that runs an account.

    Attributes:
        alive: It has renewed its leases in time.
    """

    worker_id: UUID
    name: str
    since: datetime
    alive: bool


@dataclass(frozen=True, slots=True)
class Today:
    """Messages of an account since midnight UTC.

    Attributes:
        limit: People the account may write to first in a day, as its settings lower it; None where they do not.
        left: What remains of it at least: every message counts, also a second one to the same person.
    """

    sent: int = 0
    delivered: int = 0
    read: int = 0
    failed: int = 0
    unknown: int = 0
    received: int = 0
    limit: int | None = None
    left: int | None = None


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as operators see it."""

    account: Account
    owner: Owner | None
    today: Today


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened to an account; `details` are the event's fields."""

    id: UUID
    type: str
    at: datetime
    details: Mapping[str, Any]


class BulkKind(StrEnum):
    """What can be done to many accounts at once."""

    PARK = "park"
    UNPARK = "unpark"
    LABEL = "label"
    UNLABEL = "unlabel"


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one account in a bulk action or one row of a bulk creation.

    Attributes:
        id: None when none was created.
        outcome: `done`, `unchanged` or `refused`.
        code: Why it was refused.
    """

    id: UUID | None
    outcome: str
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What a bulk action did.

    Attributes:
        action_id: Undoes it.
        changed: How many accounts it changed.
    """

    action_id: UUID
    changed: int
    items: tuple[ItemResult, ...]
