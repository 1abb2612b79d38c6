"""Leases: one account, one owner, whoever dies."""

from uuid import UUID

import asyncpg
import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.delivery import leases
from carillon.platforms.delivery.contracts import Lease
from carillon.storage.database import Database
from tests.fixtures.delivery import add_account


@pytest.fixture
async def accounts(worker_database: Database, tenant: UUID) -> list[UUID]:
    async with worker_database.transaction(tenant) as tx:
        return [await add_account(tx) for _ in range(4)]


async def enlist(database: Database, name: str) -> UUID:
    worker = uuid7()
    async with database.across_tenants() as tx:
        await leases.enlist(tx, worker, name)
    return worker


async def claim(database: Database, worker: UUID, tenant: UUID, count: int = 10_000) -> dict[UUID, Lease]:
    async with database.across_tenants() as tx:
        taken = await leases.claim(tx, worker, count)
    return {lease.account_id: lease for lease in taken if lease.tenant_id == tenant}


async def test_an_account_has_one_owner(worker_database: Database, tenant: UUID, accounts: list[UUID]) -> None:
    first, second = await enlist(worker_database, "first"), await enlist(worker_database, "second")
    taken = await claim(worker_database, first, tenant)
    assert set(taken) == set(accounts)
    assert await claim(worker_database, second, tenant) == {}
    given_back = taken[accounts[0]]
    async with worker_database.across_tenants() as tx:
        await leases.release(tx, first, [given_back])
    again = await claim(worker_database, second, tenant)
    assert set(again) == {accounts[0]}
    assert again[accounts[0]].epoch == given_back.epoch + 1
    async with worker_database.transaction(tenant) as tx:
        assert await leases.held(tx, first, list(taken.values())) == set(accounts[1:])
        assert await leases.held(tx, second, [given_back]) == set(), "an old epoch is no lease"


async def test_a_silent_workers_accounts_wait_for_expiry_and_grace(
    worker_database: Database, tenant: UUID, accounts: list[UUID], owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    silent, heir = await enlist(worker_database, "silent"), await enlist(worker_database, "heir")
    await claim(worker_database, silent, tenant)
    expire = "UPDATE platforms.worker SET expires_at = now() - make_interval(secs => $2) WHERE id = $1"
    await owner.execute(expire, silent, leases.GRACE - 5)
    assert await claim(worker_database, heir, tenant) == {}
    async with worker_database.across_tenants() as tx:
        assert not await leases.renew(tx, silent), "too late to renew: it must stop"
    await owner.execute(expire, silent, leases.GRACE + 1)
    assert set(await claim(worker_database, heir, tenant)) == set(accounts)


async def test_a_reaped_processs_accounts_are_free_at_once(
    worker_database: Database, tenant: UUID, accounts: list[UUID]
) -> None:
    reaped, heir = await enlist(worker_database, "host:4711"), await enlist(worker_database, "heir")
    await claim(worker_database, reaped, tenant)
    async with worker_database.across_tenants() as tx:
        assert await leases.retire_process(tx, "host:4711") >= len(accounts)
    assert set(await claim(worker_database, heir, tenant)) == set(accounts)


async def test_parked_and_banned_accounts_are_nobodys(
    worker_database: Database, tenant: UUID, accounts: list[UUID], owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    worker = await enlist(worker_database, "w")
    await owner.execute("UPDATE platforms.account SET state = 'banned' WHERE id = $1", accounts[0])
    taken = await claim(worker_database, worker, tenant)
    assert set(taken) == set(accounts[1:])
    await owner.execute("UPDATE platforms.account SET parked = true WHERE id = $1", accounts[1])
    async with worker_database.across_tenants() as tx:
        assert accounts[1] in await leases.unwanted(tx, worker)


async def test_an_account_that_was_let_go_again_is_opened_anew(
    worker_database: Database, tenant: UUID, accounts: list[UUID], owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    worker = await enlist(worker_database, "w")
    await claim(worker_database, worker, tenant)
    await owner.execute("UPDATE platforms.account SET state = 'online' WHERE id = $1", accounts[1])
    async with worker_database.across_tenants() as tx:
        # The first is `new` because it is only being opened.
        assert await leases.unwanted(tx, worker, [accounts[1]]) == set()
        assert await leases.unwanted(tx, worker, accounts[:2]) == {accounts[0]}
