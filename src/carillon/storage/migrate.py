"""Roles and schema: what an owner connection prepares before anything else may connect."""

import base64
import logging
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from .errors import SchemaOutdated
from .rls import APP, WORKER
from .vault import Vault

_MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(owner_url: str) -> Config:
    """Alembic's configuration for our one migration history."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["url"] = owner_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    return config


def upgrade(owner_url: str) -> None:
    """Bring the schema to this program's version; safe to run twice and from two machines at once."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # every start would tell of nothing done
    command.upgrade(alembic_config(owner_url), "head")


def head() -> str:
    """The schema version of this program."""
    return str(ScriptDirectory(str(_MIGRATIONS)).get_current_head())


async def check_version(url: str) -> None:
    """Refuse a database of another version.

    Raises:
        SchemaOutdated: It is older or newer than this program.
    """
    connection = await asyncpg.connect(url, timeout=10)
    try:
        found = await connection.fetchval("SELECT version_num FROM storage.alembic_version")
    except asyncpg.UndefinedTableError:
        found = None
    finally:
        await connection.close()
    if found != head():
        raise SchemaOutdated(found=found, wanted=head())


async def ensure_roles(owner_url: str, vault: Vault) -> tuple[str, str]:
    """Create the group roles and this database's two login roles; returns the app's and the worker's URL.

    Passwords derive from the vault key, so every machine that holds the key can connect and none is stored.
    """
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        database = str(await connection.fetchval("SELECT current_database()"))
        urls = []
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(726354)")
            for group in (APP, WORKER):
                login = f"{database}_{group.removeprefix('carillon_')}_login"
                secret = vault.keyed_hash("database role", login.encode())
                password = base64.urlsafe_b64encode(secret).decode()
                await _ensure_login(connection, group, login, password)
                urls.append(_with_login(owner_url, login, password))
        return urls[0], urls[1]
    finally:
        await connection.close()


async def _ensure_login(
    connection: "asyncpg.Connection[asyncpg.Record]", group: str, login: str, password: str
) -> None:
    for role, options in ((group, "NOLOGIN"), (login, "LOGIN")):
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            await connection.execute(f'CREATE ROLE "{role}" {options} NOSUPERUSER NOBYPASSRLS')
    await connection.execute(f"ALTER ROLE \"{login}\" PASSWORD '{password}'")
    await connection.execute(f'GRANT {group} TO "{login}"')


def _with_login(url: str, login: str, password: str) -> str:
    parts = urlsplit(url)
    _, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{quote(login)}:{quote(password)}@{address}"))
