"""Transactions inside a tenant, and roles that row-level security does not bind."""

from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from carillon.storage import rls
from carillon.storage.database import IDLE_LIMIT, Database
from carillon.storage.errors import Contention, DatabaseUnreachable, UnsafeRole
from tests.fixtures.database import Urls

NAMES = "SELECT name FROM identity.tenant ORDER BY name"


async def test_a_transaction_sees_its_tenant_and_no_other(
    app_database: Database, tenant: UUID, other_tenant: UUID
) -> None:
    async with app_database.transaction(tenant) as tx:
        assert [row["name"] for row in await tx.all(NAMES)] == ["Test"]
        changed = await tx.execute("UPDATE identity.tenant SET name = 'mine now' WHERE id = :id", {"id": other_tenant})
        assert changed.rowcount == 0
    async with app_database.transaction(other_tenant) as tx:
        assert [row["name"] for row in await tx.all(NAMES)] == ["Other"]


async def test_the_scope_ends_with_the_transaction(app_database: Database, tenant: UUID) -> None:
    async with app_database.transaction(tenant) as tx:
        await tx.scalar("SELECT 1")
    async with app_database.engine.connect() as connection:
        assert (await connection.exec_driver_sql(NAMES)).all() == []


async def test_only_workers_may_look_across(
    app_database: Database, worker_database: Database, tenant: UUID, other_tenant: UUID
) -> None:
    count = "SELECT count(*) FROM identity.tenant WHERE id = ANY(:ids)"
    ids = {"ids": [tenant, other_tenant]}
    async with app_database.across_tenants() as tx:
        assert await tx.scalar(count, ids) == 0
    async with worker_database.across_tenants() as tx:
        assert await tx.scalar(count, ids) == 2
        inside = await tx.enter(tenant)
        assert await inside.scalar(count, ids) == 1


async def test_rows_cannot_be_written_into_another_tenant(
    app_database: Database, tenant: UUID, other_tenant: UUID
) -> None:
    with pytest.raises((DBAPIError, asyncpg.InsufficientPrivilegeError), match="row-level security"):
        async with app_database.transaction(tenant) as tx:
            await tx.execute(
                "INSERT INTO platforms.lane (tenant_id, id, state) VALUES (:other, :other, 'paused')",
                {"other": other_tenant},
            )


async def test_boot_refuses_what_row_level_security_does_not_bind(own_urls: Urls) -> None:
    for url, safe in ((own_urls.app, True), (own_urls.worker, True), (own_urls.owner, False)):
        assert await _is_safe(url) is safe
    owner = await asyncpg.connect(own_urls.owner)
    await owner.execute("ALTER TABLE platforms.lane NO FORCE ROW LEVEL SECURITY")
    await owner.close()
    assert not await _is_safe(own_urls.app)


async def _is_safe(url: str) -> bool:
    database = Database(url)
    try:
        async with database.engine.connect() as connection:
            await rls.check_role(connection)
    except UnsafeRole:
        return False
    finally:
        await database.close()
    return True


async def test_faults_speak_our_language(worker_database: Database, tenant: UUID) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnreachable):
        async with nowhere.transaction(tenant):
            pass
    await nowhere.close()
    with pytest.raises(DatabaseUnreachable):
        async with worker_database.transaction(tenant) as tx:
            await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(Contention):
        await _meet(worker_database, tenant)
    with pytest.raises(ValueError, match="mine"):
        async with worker_database.transaction(tenant):
            raise ValueError("mine")


async def _meet(database: Database, tenant: UUID) -> None:
    """Two transactions want the same lock, and the second is not patient."""
    async with database.transaction(tenant) as one, database.transaction(tenant) as two:
        await one.execute("SELECT pg_advisory_xact_lock(4711)")
        await two.execute("SET LOCAL lock_timeout = '10ms'")
        await two.execute("SELECT pg_advisory_xact_lock(4711)")


async def test_a_transaction_whose_process_stands_still_gives_its_locks_back(
    app_database: Database, tenant: UUID
) -> None:
    lock, one = "SELECT FROM identity.tenant WHERE id = :id FOR UPDATE", {"id": tenant}

    async def stand_still() -> None:
        async with app_database.transaction(tenant) as tx:
            assert await tx.scalar("SHOW idle_in_transaction_session_timeout") == f"{IDLE_LIMIT}s"
            await tx.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
            await tx.execute(lock, one)
            async with app_database.transaction(tenant) as other:
                await other.execute(lock, one)
            await tx.execute(lock, one)

    with pytest.raises(DatabaseUnreachable):
        await stand_still()
