"""`carillon doctor`: what is wrong with this installation, and what to do about it."""

import asyncio
import shutil
import socket
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from carillon.kernel.errors import CarillonError
from carillon.ops.settings import Settings
from carillon.storage import migrate
from carillon.storage.postgres import find_binaries

_LOW_DISK = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything; never raises for what it finds."""
    return [_disk(settings), await _database(settings), _port(settings), _vault(settings)]


def _disk(settings: Settings) -> Finding:
    folder = settings.data if settings.data.exists() else settings.data.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free for {settings.data}"
    return Finding("disk", free > _LOW_DISK, detail if free > _LOW_DISK else f"{detail}: make room")


async def _database(settings: Settings) -> Finding:
    if settings.database_url is None and settings.worker_database_url is None:
        try:
            found = await asyncio.to_thread(find_binaries, settings.postgres_bin)
        except CarillonError as error:
            return Finding("database", ok=False, detail=str(error))
        started = (settings.data / "postgres" / "cluster").exists()
        state = "created" if started else "not created yet: the first `carillon up` does it"
        return Finding("database", ok=True, detail=f"embedded PostgreSQL {found.version}, {state}")
    url = settings.worker_database_url or settings.database_url
    assert url is not None
    try:
        await migrate.check_version(url.get_secret_value())
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return Finding("database", ok=False, detail=f"{type(error).__name__}: check CARILLON_DATABASE_URL")
    except CarillonError as error:
        return Finding("database", ok=False, detail=str(error))
    return Finding("database", ok=True, detail="external, of this program's version")


def _port(settings: Settings) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(1)
        busy = probe.connect_ex((settings.host, settings.port)) == 0
    where = f"{settings.host}:{settings.port}"
    return Finding("port", ok=True, detail=f"{where} is {'answering: Carillon or another program' if busy else 'free'}")


def _vault(settings: Settings) -> Finding:
    if settings.vault_key is not None:
        return Finding("vault key", ok=True, detail="from the environment")
    file = settings.data / "vault.key"
    if not file.exists():
        return Finding("vault key", ok=True, detail=f"made at the first start in {file}; keep a copy of it elsewhere")
    private = file.stat().st_mode & 0o077 == 0
    return Finding("vault key", private, str(file) if private else f"others can read {file}: chmod 600 it")
