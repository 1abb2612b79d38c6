"""Which connectors there are, as data: what the account pool may know of them without loading any.

Adding a connector means adding its line here and its class in the composition root.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .port import Platform
from .web_address import check


class ConnectorSettings(BaseModel):
    """Options every connector takes; they lower a platform's limits, and set those of a tenant's own server.

    Attributes:
        rate_per_second: Messages a second.
        daily_unique: Different people written to first within 24 hours.
    """

    model_config = ConfigDict(extra="forbid")

    rate_per_second: Annotated[float, Field(gt=0, le=10_000)] | None = None
    daily_unique: Annotated[int, Field(ge=0, le=100_000_000)] | None = None


class CustomHttpSettings(ConnectorSettings):
    """Options of the HTTP connector.

    Attributes:
        url: Where messages are posted. Only its form is looked at here; where it leads, when it is called.
    """

    url: Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^https?://[^\s\x00]+$"), AfterValidator(check)]


@dataclass(frozen=True, slots=True)
class ConnectorInfo:
    """A connector as operators see it.

    Attributes:
        name: As accounts give it.
        title: For a person.
        platforms: Networks it reaches; an account is on one of them.
        settings: The shape of an account's settings.
        needs_secret: It cannot open an account without one.
        supports_proxy: An account may be bound to a proxy: the connector sends every byte through it. It must say what
            the connector's own `Capabilities` say, or an account would leave by the machine's address unnoticed.
        campaigns: Campaigns may run on its accounts; as its `Capabilities` say.
    """

    name: str
    title: str
    platforms: tuple[Platform, ...]
    settings: type[ConnectorSettings] = ConnectorSettings
    needs_secret: bool = False
    supports_proxy: bool = False
    campaigns: bool = True


_KNOWN = (
    ConnectorInfo("simulator_telegram", "Simulated Telegram", (Platform.TELEGRAM,), supports_proxy=True),
    ConnectorInfo("simulator_whatsapp", "Simulated WhatsApp", (Platform.WHATSAPP,), supports_proxy=True),
    ConnectorInfo(
        "custom_http",
        "Your own HTTP service",
        (Platform.CUSTOM,),
        CustomHttpSettings,
        needs_secret=True,
        supports_proxy=True,
    ),
    ConnectorInfo(
        "custom_http_idempotent",
        "Your own HTTP service, which honours Idempotency-Key",
        (Platform.CUSTOM,),
        CustomHttpSettings,
        needs_secret=True,
        supports_proxy=True,
    ),
)

CONNECTORS: Mapping[str, ConnectorInfo] = MappingProxyType({info.name: info for info in _KNOWN})
