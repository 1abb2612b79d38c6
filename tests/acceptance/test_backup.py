"""A backup brought into another installation: everything is there, and nothing is sent a second time."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from carillon.events import outbox
from carillon.events.adapters.postgres import PostgresBus
from carillon.events.catalog.audience import ContactCreated
from carillon.events.consumer import Consumer, Recorded
from carillon.identity.auth import api as auth
from carillon.kernel.ids import uuid7
from carillon.ops.settings import Settings
from carillon.runtime import backup as backups
from carillon.runtime.compose import Prepared, open_resources, prepare
from carillon.runtime.sandbox import add_sandbox_accounts
from carillon.storage.database import Tx
from carillon.storage.postgres import RunningCluster, find_binaries, start_cluster
from carillon.storage.resources import Resources
from tests.fixtures import campaigns
from tests.fixtures.delivery import add_people

from .installation import Installation

pytestmark = pytest.mark.acceptance

_STATES = "SELECT state, coalesce(reason, '') AS reason, count(*) AS n FROM platforms.message GROUP BY 1, 2"


def probe(seen: list[UUID]) -> Consumer:
    """A consumer with a lasting place in the stream."""

    async def handle(_: Resources, __: Tx, events: Sequence[Recorded]) -> None:
        seen.extend(e.event.contact_id for e in events if isinstance(e.event, ContactCreated))

    return Consumer("test.backup", (ContactCreated,), handle)


async def announce(resources: Resources, tenant: UUID) -> UUID:
    contact_id = uuid7()
    async with resources.database.transaction(tenant) as tx:
        await outbox.append(tx, ContactCreated(contact_id=contact_id, origin="manual"))
    return contact_id


async def fill(settings: Settings, prepared: Prepared) -> UUID:
    """A tenant with accounts, people and a campaign that has not gone out; returns the tenant."""
    assert prepared.owner_url is not None
    async with open_resources(settings, prepared, worker=True, name="test") as resources:
        first = await auth.bootstrap(resources)
        assert first is not None
        await add_sandbox_accounts(resources, first.tenant_id)
        async with resources.database.transaction(first.tenant_id) as tx:
            # The backup's transaction ids must lie ahead of the new cluster's, as they do after a while of work.
            await add_people(tx, 20)
        for _ in range(300):
            async with resources.database.transaction(first.tenant_id) as tx:
                await tx.scalar("SELECT pg_current_xact_id()::text")
        await announce(resources, first.tenant_id)
        seen: list[UUID] = []
        await PostgresBus(resources, [probe(seen)]).drain()
        assert len(seen) == 1
        await campaigns.planned(resources, first.tenant_id)
        await resources.blobs.put(f"{first.tenant_id}/kept/file.bin", _bytes(), "application/octet-stream")
    return first.tenant_id


async def _bytes() -> AsyncIterator[bytes]:
    yield b"kept"


async def look(settings: Settings, prepared: Prepared, tenant: UUID) -> None:
    """Everything is there, held, and the stream of events goes on."""
    async with open_resources(settings, prepared, worker=True, name="test") as resources:
        async with resources.database.transaction(tenant) as tx:
            assert await tx.scalar("SELECT count(*) FROM audience.contact") == 20
            assert await tx.scalar("SELECT count(*) FROM platforms.account") == 2
            (row,) = await tx.all(_STATES)
            assert (row["state"], row["reason"], row["n"]) == ("held", "restored", 20)
            campaign = await tx.first("SELECT state, pause_reason FROM scheduling.campaign")
            assert campaign is not None
            assert (campaign["state"], campaign["pause_reason"]) == ("paused", "restored")
            assert await tx.scalar("SELECT count(*) FROM events.event") > 0
        seen: list[UUID] = []
        new = await announce(resources, tenant)
        await PostgresBus(resources, [probe(seen)]).drain()
        assert seen == [new]


def test_a_backup_is_a_whole_installation(tmp_path: Path) -> None:
    old, new, copy = tmp_path / "old", tmp_path / "new", tmp_path / "copy"
    settings = Settings(data=old)
    prepared = prepare(settings)
    assert prepared.cluster is not None
    try:
        tenant = asyncio.run(fill(settings, prepared))
        done = Installation(old).call("backup", str(copy))
        assert done.returncode == 0, done.stderr
        with pytest.raises(backups.BadTarget):
            backups.write(settings, prepared, copy)
    finally:
        prepared.cluster.stop("immediate")
    assert not list(copy.rglob("vault.key"))

    new.mkdir()
    shutil.copy(old / "vault.key", new / "vault.key")
    settings = Settings(data=new)
    prepared = prepare(settings)
    assert prepared.cluster is not None
    try:
        empty = tmp_path / "empty"
        empty.mkdir()
        with pytest.raises(backups.NotABackup):
            asyncio.run(backups.read(settings, prepared, empty))
        done = Installation(new).call("restore", str(copy))
        assert done.returncode == 0, done.stderr
        assert "20 undelivered messages are held, 1 campaigns are paused" in done.stdout
        asyncio.run(look(settings, prepared, tenant))
        with pytest.raises(backups.NotEmpty):
            asyncio.run(backups.read(settings, prepared, copy))
    finally:
        prepared.cluster.stop("immediate")
    assert [file.read_bytes() for file in (new / "blobs").rglob("file.bin*")][:1] == [b"kept"]


def plain_owner(cluster: RunningCluster, database: str) -> str:
    """A database whose owner is no superuser, as managed servers give it; returns its address."""

    async def make() -> None:
        connection = await asyncpg.connect(cluster.superuser_url)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = 'plain'"):
                await connection.execute("CREATE ROLE plain LOGIN CREATEROLE PASSWORD 'plain'")
            await connection.execute(f"CREATE DATABASE {database} OWNER plain")
        finally:
            await connection.close()

    asyncio.run(make())
    parts = urlsplit(cluster.superuser_url)
    return urlunsplit(parts._replace(netloc=f"plain:plain@{parts.netloc.rpartition('@')[2]}", path=f"/{database}"))


def test_an_owner_whom_row_security_binds(tmp_path: Path) -> None:
    cluster = start_cluster(tmp_path / "postgres", binaries=find_binaries())
    key, copy = base64.b64encode(b"k" * 32).decode(), tmp_path / "copy"

    def settings(name: str) -> Settings:
        url = plain_owner(cluster, name)
        return Settings(data=tmp_path / name, database_url=SecretStr(url), vault_key=SecretStr(key))

    try:
        old = settings("old")
        prepared = prepare(old)
        tenant = asyncio.run(fill(old, prepared))
        backups.write(old, prepared, copy)
        # Seeing nothing of other tenants, it would take this for an empty installation and clear it.
        with pytest.raises(backups.NotEmpty):
            asyncio.run(backups.read(old, prepared, copy))
        new = settings("new")
        prepared = prepare(new)
        restored = asyncio.run(backups.read(new, prepared, copy))
        assert restored == backups.Restored(quarantined=20, paused=1)
        asyncio.run(look(new, prepared, tenant))
        asyncio.run(sign_in_finds_the_owner(new, prepared))
    finally:
        cluster.stop("immediate")


async def sign_in_finds_the_owner(settings: Settings, prepared: Prepared) -> None:
    """The one function that looks across tenants still runs as the role that may."""
    async with (
        open_resources(settings, prepared, worker=False, name="test") as resources,
        resources.database.engine.connect() as connection,
    ):
        found = await connection.execute(text("SELECT tenant_slug FROM identity.sign_in('owner@carillon.local')"))
        assert found.scalars().all() == ["default"]
