"""The tenant's rules as the ledger authorises: caps that two accounts count at once, and quiet hours of resends."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.platforms.delivery import api, leases, ledger, repository
from carillon.platforms.delivery.contracts import Draft, MessageKind
from carillon.platforms.delivery.repository import DueRow
from carillon.storage.database import Database, Tx
from carillon.storage.resources import Resources
from tests.fixtures.delivery import add_account, add_people, make_plan, quiet_off

NOON, NIGHT = datetime(2040, 6, 4, 12, tzinfo=UTC), datetime(2040, 6, 4, 23, tzinfo=UTC)


@dataclass
class Owner:
    """A worker that owns the accounts of two campaigns to the same person."""

    database: Database
    tenant: UUID
    id: UUID
    epochs: dict[UUID, int]
    rows: list[DueRow]

    async def authorise(self, tx: Tx, rows: list[DueRow]) -> list[UUID]:
        ready = await ledger.authorise(tx, self.id, rows, self.epochs, datetime.now(UTC))
        return [item.row.id for item in ready]


@pytest.fixture
async def owner_of_two(
    worker_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[asyncpg.Record]"
) -> AsyncIterator[Owner]:
    await quiet_off(owner, tenant)
    await owner.execute("UPDATE audience.policy SET frequency_max = 1 WHERE tenant_id = $1", tenant)
    database, worker = worker_resources.database, uuid7()
    async with database.transaction(tenant) as tx:
        accounts = [await add_account(tx), await add_account(tx)]
        await add_people(tx, 1)
        for account_id in accounts:
            plan = make_plan(tenant, [account_id])
            await api.write_contents(tx, plan)
            await api.plan_slice(tx, plan, None, 10)
            await api.open_lane(tx, plan.campaign_id)
    async with database.across_tenants() as tx:
        await leases.enlist(tx, worker, "w")
        epochs = {lease.account_id: lease.epoch for lease in await leases.claim(tx, worker, 10_000)}
        rows = await repository.due(tx, [(tenant, account_id, 5) for account_id in accounts])
    yield Owner(database, tenant, worker, epochs, rows)
    async with database.across_tenants() as tx:
        await leases.retire(tx, worker)


async def test_two_messages_in_one_batch_count_each_other(owner_of_two: Owner) -> None:
    async with owner_of_two.database.transaction(owner_of_two.tenant) as tx:
        assert len(await owner_of_two.authorise(tx, owner_of_two.rows)) == 1
        reasons = await tx.all("SELECT reason FROM platforms.message WHERE state = 'suppressed'")
    assert [row["reason"] for row in reasons] == ["frequency_cap"]


async def test_two_batches_at_once_count_each_other(owner_of_two: Owner) -> None:
    one, other = owner_of_two.rows

    async def second() -> list[UUID]:
        async with owner_of_two.database.transaction(owner_of_two.tenant) as tx:
            return await owner_of_two.authorise(tx, [other])

    async with owner_of_two.database.transaction(owner_of_two.tenant) as tx:
        assert await owner_of_two.authorise(tx, [one]) == [one.id]
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert await waiting == []


async def test_batches_of_replies_and_campaigns_do_not_wait_for_each_other_for_ever(owner_of_two: Owner) -> None:
    one, other = owner_of_two.rows
    reply = other._replace(kind=MessageKind.REPLY)

    async def authorise(rows: list[DueRow]) -> None:
        async with owner_of_two.database.transaction(owner_of_two.tenant) as tx:
            await owner_of_two.authorise(tx, rows)

    await asyncio.gather(authorise([one, reply]), authorise([reply, one]))


async def test_a_resend_of_a_campaign_waits_for_the_morning_and_an_answer_does_not(
    owner_of_two: Owner, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await owner.execute(
        "UPDATE audience.policy SET quiet_start = '21:00', quiet_end = '08:00' WHERE tenant_id = $1",
        owner_of_two.tenant,
    )
    row = owner_of_two.rows[0]
    async with owner_of_two.database.transaction(owner_of_two.tenant) as tx:
        assert await ledger.quiet_until(tx, row, NIGHT) == NIGHT.replace(day=5, hour=8)
        assert await ledger.quiet_until(tx, row, NOON) is None
        assert await ledger.quiet_until(tx, row._replace(kind=MessageKind.REPLY), NIGHT) is None


async def test_what_is_to_go_at_once_is_due_by_the_clock_that_is_asked(
    worker_resources: Resources, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime.now(UTC) + timedelta(hours=2))
    async with worker_resources.database.transaction(tenant) as tx:
        account_id = await add_account(tx)
        (person,) = await add_people(tx, 1)
        await api.accept(tx, Draft(account_id, person, "hello"))
    async with worker_resources.database.across_tenants() as tx:
        assert len(await repository.due(tx, [(tenant, account_id, 5)])) == 1
