"""From settings to open parts: the database (embedded or external), the vault, the blobs, the connectors."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from carillon.kernel.clock import SystemClock
from carillon.kernel.errors import SetupError
from carillon.ops.settings import Settings
from carillon.platforms.connectors.custom_http.connector import CustomHttpConnector
from carillon.platforms.connectors.custom_http.net_guard import NetGuard
from carillon.platforms.connectors.port import Connector, Platform
from carillon.platforms.connectors.simulator.connector import SimulatorConnector
from carillon.storage import migrate, rls
from carillon.storage.blobs import Blobs
from carillon.storage.database import Database
from carillon.storage.postgres import RunningCluster, find_binaries, start_cluster
from carillon.storage.resources import Resources
from carillon.storage.vault import Vault

DATABASE = "carillon"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A database that is ready for this program.

    Attributes:
        owner_url: Of the role that owns the schema; None when we were only given plain roles.
        app_url: The API's role.
        worker_url: The background workers' role.
        cluster: The embedded server; None when the database is external.
    """

    owner_url: str | None
    app_url: str
    worker_url: str
    cluster: RunningCluster | None
    vault: Vault


def prepare(settings: Settings) -> Prepared:
    """Start or find the database, and bring roles and schema to this program's version. Blocks.

    Raises:
        SetupError: With what to do about it.
    """
    vault = _open_vault(settings)
    cluster = None
    if settings.app_database_url is not None and settings.worker_database_url is not None:
        app, worker = (url.get_secret_value() for url in (settings.app_database_url, settings.worker_database_url))
        _connecting(migrate.check_version(worker), "CARILLON_WORKER_DATABASE_URL")
        return Prepared(None, app, worker, None, vault)
    if settings.database_url is not None:
        owner = settings.database_url.get_secret_value()
    else:
        cluster = start_cluster(settings.data / "postgres", binaries=find_binaries(settings.postgres_bin))
        owner = urlunsplit(urlsplit(cluster.superuser_url)._replace(path=f"/{DATABASE}"))
    app, worker = _connecting(migrate.ensure_roles(owner, vault), "CARILLON_DATABASE_URL")
    migrate.upgrade(owner)
    return Prepared(owner, app, worker, cluster, vault)


def _open_vault(settings: Settings) -> Vault:
    key = settings.vault_key.get_secret_value() if settings.vault_key else None
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        return Vault.load(key=key, key_file=settings.data / "vault.key")
    except OSError as error:
        message = f"CARILLON_DATA: {settings.data} cannot be used as a data directory: {error.strerror}"
        raise SetupError(message) from error


def _connecting(work: Coroutine[Any, Any, T], variable: str) -> T:
    """Run the first thing that needs the database; what keeps us from it is a matter of setup."""
    try:
        return asyncio.run(work)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # A malformed address is quoted by its error, password included.
        detail = "it is not a database address" if isinstance(error, ValueError) else str(error) or "it does not answer"
        message = f"{variable}: no connection to the database: {detail}"
        raise SetupError(message) from error


@asynccontextmanager
async def open_resources(
    settings: Settings, prepared: Prepared, *, worker: bool, name: str, pool_size: int = 10
) -> AsyncIterator[Resources]:
    """The parts of one process, under the app's or the worker's role.

    Raises:
        UnsafeRole: Row-level security does not bind the role.
    """
    database = Database(prepared.worker_url if worker else prepared.app_url, pool_size=pool_size, name=name)
    try:
        async with database.engine.connect() as connection:
            await rls.check_role(connection)
        yield Resources(settings, database, prepared.vault, Blobs(settings.data / "blobs"), SystemClock())
    finally:
        await database.close()


def connectors(settings: Settings) -> Mapping[str, Connector]:
    """Every connector by the name accounts give: the only place that loads them."""
    guard = NetGuard(settings.allow_networks)
    available: list[Connector] = [CustomHttpConnector(guard), CustomHttpConnector(guard, deduplicates=True)]
    if settings.simulator is not None:
        available += [SimulatorConnector(settings.simulator, name) for name in (Platform.TELEGRAM, Platform.WHATSAPP)]
    return {connector.name: connector for connector in available}
