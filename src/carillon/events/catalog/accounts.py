"""Published events of the account pool and its proxies, beside `AccountStateChanged`."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from .base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCreated(Event):
    """An account joined the pool."""

    type: ClassVar[str] = "account.created"
    account_id: UUID
    connector: str
    platform: str

    @property
    def subject_id(self) -> UUID:
        """The account."""
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUpdated(Event):
    """Somebody changed an account; `changed` names what, never the values."""

    type: ClassVar[str] = "account.updated"
    account_id: UUID
    changed: tuple[str, ...]

    @property
    def subject_id(self) -> UUID:
        """The account."""
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDeleted(Event):
    """An account left the pool."""

    type: ClassVar[str] = "account.deleted"
    account_id: UUID

    @property
    def subject_id(self) -> UUID:
        """The account."""
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountProxyChanged(Event):
    """An account leaves through another proxy; `automatic` when the one before went down."""

    type: ClassVar[str] = "account.proxy_changed"
    account_id: UUID
    before: UUID | None
    after: UUID | None
    automatic: bool

    @property
    def subject_id(self) -> UUID:
        """The account."""
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyStateChanged(Event):
    """A proxy was found healthy, degraded or down; `reason` is a stable code."""

    type: ClassVar[str] = "proxy.state_changed"
    proxy_id: UUID
    state: str
    before: str
    reason: str

    @property
    def subject_id(self) -> UUID:
        """The proxy."""
        return self.proxy_id
