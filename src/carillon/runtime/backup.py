"""Backup and restore of an installation: the database as one dump, the files beside it.

A restored outbox would send again what has been sent since the backup. So everything that had not been delivered is
held, every running campaign is paused, and a person decides.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import orjson

from carillon import __version__
from carillon.events.maintenance import rebase_after_restore
from carillon.kernel.errors import Conflict, Invalid, SetupError
from carillon.ops.settings import Settings
from carillon.storage import migrate, rls
from carillon.storage.postgres import dump, find_binaries, restore_dump

from .compose import Prepared

_MANIFEST = "backup.json"
_DUMP = "database.dump"
_BLOBS = "blobs"
_SEES_ALL = """
SELECT rolsuper OR rolbypassrls OR pg_has_role(current_user, $1, 'USAGE') FROM pg_roles WHERE rolname = current_user
"""


class NotABackup(Invalid):
    """This folder holds no backup of Carillon."""

    code = "not_a_backup"


class BadTarget(Invalid):
    """A backup is written into a new folder, and this one cannot be made."""

    code = "backup_target"


class NotEmpty(Conflict):
    """There are tenants here already; restore into a new installation (another CARILLON_DATA)."""

    code = "installation_not_empty"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: messages held, campaigns paused."""

    quarantined: int
    paused: int


def write(settings: Settings, prepared: Prepared, target: Path) -> None:
    """Write a backup into a new folder; a half-written one has no manifest and is refused by `read`. Blocks.

    Raises:
        BadTarget: The folder exists or cannot be made.
        SetupError: We were not given the owner's database URL, or the owner cannot see every row.
        DumpFailed: The dump failed; the folder is removed.
    """
    owner = _owner(prepared)
    asyncio.run(_check_sight(owner))
    try:
        target.mkdir(parents=True)
    except OSError as error:
        raise BadTarget(place=f"{target}: {error.strerror}") from error
    try:
        dump(find_binaries(settings.postgres_bin), owner, target / _DUMP)
        blobs = settings.data / "blobs"
        if blobs.exists():
            shutil.copytree(blobs, target / _BLOBS)
    except BaseException:
        shutil.rmtree(target)
        raise
    manifest = {"carillon": __version__, "schema": migrate.head()}
    (target / _MANIFEST).write_bytes(orjson.dumps(manifest))


async def read(settings: Settings, prepared: Prepared, source: Path) -> Restored:
    """Bring a backup into an empty installation and quarantine what had not been delivered.

    Raises:
        NotABackup: The folder holds none, or of a newer version.
        NotEmpty: There are tenants already.
        RestoreFailed: The dump could not be read.
    """
    owner = _owner(prepared)
    manifest = source / _MANIFEST
    try:
        schema = str(orjson.loads(manifest.read_bytes())["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotABackup(place=str(source)) from error
    if schema > migrate.head():
        raise NotABackup("It was made by a newer version of Carillon.", place=str(source))
    async with _seeing_all(owner) as connection:
        if await connection.fetchval("SELECT count(*) FROM identity.tenant"):
            raise NotEmpty
        await _clear(connection)
    restore_dump(find_binaries(settings.postgres_bin), owner, source / _DUMP)
    if (source / _BLOBS).exists():
        shutil.copytree(source / _BLOBS, settings.data / "blobs", dirs_exist_ok=True)
    async with _seeing_all(owner) as connection:
        return await _quarantine(connection)


@asynccontextmanager
async def _seeing_all(owner: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection that sees every tenant's rows, whether or not the owner is a superuser.

    Forced row-level security binds an owner too. Seeing nothing, a restore would take a full database for an empty
    one, and quarantine nothing.

    Raises:
        SetupError: It cannot be made to.
    """
    connection = await asyncpg.connect(owner, timeout=10)
    try:
        if not await connection.fetchval(_SEES_ALL, rls.WORKER):
            message = f"the role of CARILLON_DATABASE_URL cannot see every row: GRANT {rls.WORKER} TO it"
            raise SetupError(message)
        await connection.execute("SET app.scope = 'all'")
        yield connection
    finally:
        await connection.close()


async def _check_sight(owner: str) -> None:
    async with _seeing_all(owner):
        return


async def _clear(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Drop the empty schemas: pg_restore drops object by object, and cannot with partitions.

    When the restore fails after this, the next start makes them anew.
    """
    found = await connection.fetch(
        "SELECT quote_ident(nspname) AS name FROM pg_namespace "
        r"WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'public')"
    )
    if found:
        await connection.execute(f"DROP SCHEMA {', '.join(row['name'] for row in found)} CASCADE")


async def _quarantine(connection: "asyncpg.Connection[asyncpg.Record]") -> Restored:
    async with connection.transaction():
        await rebase_after_restore(connection)
        # The restore made everything the owner's; this one door runs as the workers' role.
        await connection.execute(rls.hand_over("identity", "sign_in(text)"))
        held = await connection.execute(
            "UPDATE platforms.message SET state = 'held', reason = 'restored', "
            "reason_text = 'Held after a restore: it may have been sent after the backup was made.' "
            "WHERE state IN ('queued', 'sending')"
        )
        await connection.execute("UPDATE platforms.lane SET state = 'paused' WHERE state = 'running'")
        paused = await connection.execute(
            "UPDATE scheduling.campaign SET state = 'paused', pause_reason = 'restored' "
            "WHERE state IN ('planning', 'running')"
        )
        await connection.execute("UPDATE platforms.account_lease SET worker_id = NULL")
        await connection.execute("DELETE FROM platforms.worker")
    return Restored(int(held.split()[-1]), int(paused.split()[-1]))


def _owner(prepared: Prepared) -> str:
    if prepared.owner_url is None:
        message = "backup and restore need the owner's database: set CARILLON_DATABASE_URL"
        raise SetupError(message)
    return prepared.owner_url
