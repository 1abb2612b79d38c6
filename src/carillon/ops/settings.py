"""Configuration from the environment (`CARILLON_…`); everything has a default that works on one machine."""

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def default_data_dir() -> Path:
    """Where state lives: `$XDG_DATA_HOME/carillon`, else `~/.local/share/carillon` (XDG Base Directory 0.8)."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "carillon"


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _check_networks(names: tuple[str, ...]) -> tuple[str, ...]:
    for place, name in enumerate(names, 1):
        try:
            ip_network(name)
        except ValueError as error:
            message = f"number {place} is not a network; separate them by commas, as in 10.0.0.0/8,192.168.1.5"
            raise ValueError(message) from error
    return names


def _check_mail(url: SecretStr) -> SecretStr:
    if urlsplit(url.get_secret_value()).scheme not in ("smtp", "smtps"):
        message = "it is smtp://user:password@host:port, or smtps://"
        raise ValueError(message)
    return url


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several values, separated by commas in the environment."""
Networks = Annotated[Listed, AfterValidator(_check_networks)]
PortNumber = Annotated[int, Field(ge=1, le=65_535)]
Limit = Annotated[int, Field(ge=0)]


class Settings(BaseSettings):
    """What an operator may set; each field `x` is read from `CARILLON_X`.

    Attributes:
        data: Directory for everything that must survive: database, blobs, keys, logs.
        database_url: An external PostgreSQL (15 or newer) as its owner; embedded when left out.
        app_database_url: The API's role there, when we may not create roles.
        worker_database_url: The background workers' role there, likewise.
        postgres_bin: Directory with `initdb` and `postgres` for the embedded server.
        vault_key: 32 bytes in base64 that encrypt account secrets; a key file under `data` when left out.
        host: Address the HTTP server binds.
        port: Port the HTTP server binds.
        public_url: How clients reach us; used in links and cookies.
        log_level: Least severe line that is logged.
        log_format: `json`, or `console` for a person.
        allow_networks: Networks that tenants' URLs may point to although they are not public, with commas between.
        simulator: `host:port` of the simulated platform; without it the simulator connectors are not there.
        max_body_bytes: Largest request body that is not a file.
        max_upload_bytes: Largest file.
        trusted_proxies: Networks whose `X-Forwarded-For` is believed, with commas between.
        credential_requests_per_minute: Requests one session or key may make; 0 for no limit.
        tenant_requests_per_minute: Requests all of a tenant's credentials may make together; 0 for no limit.
        anonymous_requests_per_minute: Sign-in attempts, and requests with a bad credential, from one address.
        tenant_messages_per_second: Messages one sending process lets a tenant's accounts send together; 0 for no limit.
        metrics_token: Lets others than this machine read `/metrics`, as a bearer token.
        metrics_host: Address of the port below.
        metrics_port: Where `carillon run` without the api role serves `/metrics`; nowhere when left out. Under
            `carillon up` the API serves those of all processes.
        smtp_url: Mail server for notices to operators: `smtp[s]://user:password@host:port`; logged when left out.
        mail_from: Sender of those notices.
        mail_to: Who receives them.
    """

    model_config = SettingsConfigDict(env_prefix="CARILLON_", extra="ignore")

    data: Path = Field(default_factory=default_data_dir)
    database_url: SecretStr | None = None
    app_database_url: SecretStr | None = None
    worker_database_url: SecretStr | None = None
    postgres_bin: Path | None = None
    vault_key: SecretStr | None = None
    host: str = "127.0.0.1"
    port: PortNumber = 8420
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+/?$")] | None = None
    log_level: str = "info"
    log_format: Literal["json", "console"] = "json"
    allow_networks: Networks = ()
    simulator: Annotated[str, Field(pattern=r"^[^\s/:]+:\d{1,5}$")] | None = None
    max_body_bytes: Annotated[int, Field(ge=1_000)] = 1_000_000
    max_upload_bytes: Annotated[int, Field(ge=1_000)] = 2_000_000_000
    trusted_proxies: Networks = ()
    credential_requests_per_minute: Limit = 1_200
    tenant_requests_per_minute: Limit = 6_000
    anonymous_requests_per_minute: Limit = 60
    tenant_messages_per_second: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    metrics_token: SecretStr | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: PortNumber | None = None
    smtp_url: Annotated[SecretStr, AfterValidator(_check_mail)] | None = None
    mail_from: str = "carillon@localhost"
    mail_to: Listed = ()
