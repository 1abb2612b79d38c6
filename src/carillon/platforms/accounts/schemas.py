"""HTTP shapes of accounts."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from carillon.platforms.connectors.catalog import ConnectorInfo
from carillon.platforms.connectors.port import AccountState, Platform

from .contracts import (
    AccountEdit,
    AccountFilter,
    AccountView,
    BulkKind,
    BulkResult,
    Failover,
    ItemResult,
    NewAccount,
    TimelineEntry,
)

Text = Annotated[str, Field(max_length=400, pattern=r"^[^\x00]*$")]
Labels = Annotated[list[Text], Field(max_length=100)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=65_536)]
Settings = Annotated[dict[str, Any], Field(max_length=50)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AccountIn(_In):
    """An account to add."""

    connector: Text
    name: Text
    address: Text = Field(description="Its public name on the network: phone number, @name or phone-number id")
    platform: Platform | None = Field(None, description="Needed where the connector reaches several networks")
    portfolio: Text | None = None
    labels: Labels = []
    settings: Settings = {}
    secret: Secret | None = Field(None, description="Credentials; sealed at once and never shown again")
    proxy_id: UUID | None = None
    failover: Failover = Failover.NONE
    parked: bool = False

    def new(self) -> NewAccount:
        """As the facade takes it."""
        return NewAccount(
            connector=self.connector,
            name=self.name,
            address=self.address,
            platform=self.platform.value if self.platform else None,
            portfolio=self.portfolio,
            labels=tuple(self.labels),
            settings=self.settings,
            secret=self.secret.get_secret_value().encode() if self.secret else None,
            proxy_id=self.proxy_id,
            failover=self.failover,
            parked=self.parked,
        )


class AccountsIn(_In):
    """Accounts to add."""

    accounts: Annotated[list[AccountIn], Field(min_length=1, max_length=500)]


class AccountPatch(_In):
    """What to change; what is left out stays."""

    name: Text = ""
    portfolio: Text | None = None
    labels: Labels = []
    settings: Settings = {}
    proxy_id: UUID | None = None
    failover: Failover = Failover.NONE

    def edit(self) -> AccountEdit:
        """As the facade takes it."""
        values = {**{name: getattr(self, name) for name in type(self).model_fields}, "labels": tuple(self.labels)}
        return AccountEdit(given=frozenset(self.model_fields_set), **values)


class SecretIn(_In):
    """New credentials; null removes them."""

    secret: Secret | None


class MatchingIn(_In):
    """Which accounts; everything given must hold."""

    state: AccountState | None = None
    platform: Platform | None = None
    connector: Text | None = None
    label: Text | None = None
    portfolio: Text | None = None
    proxy_id: UUID | None = None
    query: Text | None = None

    def filter(self) -> AccountFilter:
        """As the facade takes it."""
        return AccountFilter(**self.model_dump())


class ActionIn(_In):
    """What to do, and to which accounts: `ids`, or all that match."""

    kind: BulkKind
    ids: Annotated[list[UUID], Field(min_length=1, max_length=1_000)] | None = None
    matching: MatchingIn | None = None
    label: Text | None = None


class OwnerOut(BaseModel):
    """The process that runs an account."""

    worker_id: UUID
    name: str
    since: datetime
    alive: bool


class TodayOut(BaseModel):
    """Messages since midnight UTC; `left` is what at least remains of `limit`."""

    sent: int
    delivered: int
    read: int
    failed: int
    unknown: int
    received: int
    limit: int | None
    left: int | None


class ExplanationOut(BaseModel):
    """What happened, and what to do about it."""

    code: str
    happened: str
    advice: str


class AccountOut(BaseModel):
    """An account; its secret is never among these. `reason` is in the platform's own words."""

    id: UUID
    connector: str
    platform: Platform
    name: str
    address: str
    portfolio: str | None
    labels: tuple[str, ...]
    settings: dict[str, Any]
    proxy_id: UUID | None
    failover: Failover
    state: AccountState
    reason: str
    reason_code: str
    explanation: ExplanationOut | None
    state_at: datetime
    wait_until: datetime | None
    parked: bool
    created_at: datetime
    updated_at: datetime
    owner: OwnerOut | None
    today: TodayOut

    @classmethod
    def of(cls, view: AccountView, explanation: Any) -> "AccountOut":
        """The HTTP shape of an account with the explanation of its state."""
        account, made = view.account, {"owner", "today", "explanation", "settings"}
        return cls(
            **{name: getattr(account, name) for name in cls.model_fields if name not in made},
            settings=dict(account.settings),
            explanation=_plain(ExplanationOut, explanation),
            owner=_plain(OwnerOut, view.owner),
            today=TodayOut.model_validate(view.today, from_attributes=True),
        )


class AccountCountsOut(BaseModel):
    """How many accounts there are."""

    total: int
    states: dict[AccountState, int]


class TimelineOut(BaseModel):
    """Something that happened to an account."""

    id: UUID
    type: str
    at: datetime
    details: dict[str, Any]

    @classmethod
    def of(cls, entry: TimelineEntry) -> "TimelineOut":
        """The HTTP shape of an entry."""
        return cls(id=entry.id, type=entry.type, at=entry.at, details=dict(entry.details))


class ItemOut(BaseModel):
    """What became of one account."""

    id: UUID | None
    outcome: Literal["done", "unchanged", "refused"]
    code: str | None
    message: str | None

    @classmethod
    def of(cls, result: ItemResult) -> "ItemOut":
        """The HTTP shape of a result."""
        return cls.model_validate(result, from_attributes=True)


class ItemsOut(BaseModel):
    """One result per row, in order."""

    items: list[ItemOut]


class ActionOut(BaseModel):
    """What a bulk action did; `id` undoes it."""

    id: UUID
    changed: int
    items: list[ItemOut]

    @classmethod
    def of(cls, result: BulkResult) -> "ActionOut":
        """The HTTP shape of a result."""
        return cls(id=result.action_id, changed=result.changed, items=[ItemOut.of(item) for item in result.items])


class ConnectorOut(BaseModel):
    """A connector; `settings` is the JSON schema of an account's settings."""

    name: str
    title: str
    platforms: tuple[Platform, ...]
    needs_secret: bool
    supports_proxy: bool
    settings: dict[str, Any]

    @classmethod
    def of(cls, info: ConnectorInfo) -> "ConnectorOut":
        """The HTTP shape of a connector."""
        return cls(
            name=info.name,
            title=info.title,
            platforms=info.platforms,
            needs_secret=info.needs_secret,
            supports_proxy=info.supports_proxy,
            settings=info.settings.model_json_schema(),
        )


class ConnectorsOut(BaseModel):
    """Every connector."""

    items: list[ConnectorOut]


def _plain(shape: type[Any], value: object | None) -> Any:
    return None if value is None else shape.model_validate(value, from_attributes=True)
