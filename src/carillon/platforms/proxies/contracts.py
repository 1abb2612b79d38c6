"""What crosses the boundary of proxies."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class ProxyScheme(StrEnum):
    """How the proxy is spoken to."""

    SOCKS5 = "socks5"
    HTTP = "http"


class ProxyState(StrEnum):
    """What the last checks say; only `healthy` and `degraded` proxies are used."""

    NEW = "new"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"


USABLE = frozenset({ProxyState.HEALTHY, ProxyState.DEGRADED})


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of the pool; its password is not among these.

    Attributes:
        probe: `host:port` that checks connect to through it.
        has_password: One is stored.
        max_accounts: Most accounts that may be bound to it.
        enabled: It may be used and is checked.
        reason: Code of what the last check found; empty when all is well.
        latency_ms: How long the last good check took.
        failures: Failed checks in a row.
        accounts: Accounts bound to it.
    """

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


@dataclass(frozen=True, slots=True)
class NewProxy:
    """A proxy to add; see `Proxy`."""

    name: str
    scheme: ProxyScheme
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    probe: str = "api.telegram.org:443"
    region: str | None = None
    labels: tuple[str, ...] = ()
    max_accounts: int = 10


@dataclass(frozen=True, slots=True)
class ProxyEdit:
    """What to change; attributes not named in `given` stay as they are. `password` None removes it."""

    given: frozenset[str]
    name: str = ""
    host: str = ""
    port: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    probe: str = ""
    region: str | None = None
    labels: tuple[str, ...] = ()
    max_accounts: int = 0
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ProxyFilter:
    """Which proxies; everything given must hold. `query` is part of the name or host."""

    state: ProxyState | None = None
    region: str | None = None
    label: str | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A proxy to check, with all that is needed to talk to it."""

    tenant_id: UUID
    id: UUID
    scheme: ProxyScheme
    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    probe: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        reason: None when the probe was reached; else a code: `unreachable`, `timeout`, `refused_credentials`,
            `protocol`, `probe_unreachable`, `unresolvable` or `forbidden_address`.
        latency: Seconds until the probe was reached.
        address: The IP address the host stood for, checked to be permitted.
    """

    reason: str | None
    latency: float | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """State, reason and failures in a row."""

    state: ProxyState
    reason: str
    failures: int
