"""HTTP shapes of proxies."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from .contracts import NewProxy, Proxy, ProxyEdit, ProxyScheme, ProxyState

Text = Annotated[str, Field(max_length=400, pattern=r"^[^\x00]*$")]
Labels = Annotated[list[Text], Field(max_length=100)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Most = Annotated[int, Field(ge=1, le=10_000)]
Password = Annotated[SecretStr, Field(max_length=255)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProxyIn(_In):
    """A proxy to add."""

    name: Text
    scheme: ProxyScheme
    host: Text
    port: Port
    username: Text | None = None
    password: Password | None = Field(None, description="Never shown again")
    probe: Text = Field("api.telegram.org:443", description="host:port that checks connect to through the proxy")
    region: Text | None = None
    labels: Labels = []
    max_accounts: Most = 10

    def new(self) -> NewProxy:
        """As the facade takes it."""
        password = self.password.get_secret_value() if self.password else None
        values = self.model_dump(exclude={"password", "labels"})
        return NewProxy(**values, password=password, labels=tuple(self.labels))


class ProxyPatch(_In):
    """What to change; what is left out stays. `password: null` removes it."""

    name: Text = ""
    host: Text = ""
    port: Port = 1
    username: Text | None = None
    password: Password | None = None
    probe: Text = ""
    region: Text | None = None
    labels: Labels = []
    max_accounts: Most = 10
    enabled: bool = True

    def edit(self) -> ProxyEdit:
        """As the facade takes it."""
        password = self.password.get_secret_value() if self.password else None
        values = self.model_dump(exclude={"password", "labels"})
        given = frozenset(self.model_fields_set)
        return ProxyEdit(given=given, **values, password=password, labels=tuple(self.labels))


class ProxyOut(BaseModel):
    """A proxy and its health; see `reason` for what the last check found."""

    id: UUID
    name: str
    scheme: ProxyScheme
    host: str
    port: int
    username: str | None
    has_password: bool
    probe: str
    region: str | None
    labels: tuple[str, ...]
    max_accounts: int
    enabled: bool
    state: ProxyState
    reason: str
    latency_ms: int | None
    failures: int
    checked_at: datetime | None
    ok_at: datetime | None
    created_at: datetime
    updated_at: datetime
    accounts: int

    @classmethod
    def of(cls, proxy: Proxy) -> "ProxyOut":
        """The HTTP shape of a proxy."""
        return cls(
            **{name: getattr(proxy, name) for name in cls.model_fields if name != "labels"}, labels=[*proxy.labels]
        )


class ProxyCountsOut(BaseModel):
    """How many proxies there are."""

    total: int
    states: dict[ProxyState, int]
