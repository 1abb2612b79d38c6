"""The limit of different people a day, checked as the ledger authorises."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from carillon.kernel.ids import uuid7
from carillon.platforms.delivery import api, leases, ledger, repository
from carillon.platforms.delivery.contracts import Draft, MessageKind
from carillon.platforms.delivery.daily import DailyWindow
from carillon.storage.resources import Resources
from tests.fakes.ledger_connector import FAST, LedgerConnector
from tests.fixtures.delivery import add_account, add_people, make_plan, quiet_off, running_worker, states


@pytest.fixture
async def tenant(tenant: UUID, owner: "asyncpg.Connection[asyncpg.Record]") -> UUID:
    await quiet_off(owner, tenant)
    return tenant


async def test_only_so_many_people_a_day_and_the_others_later(worker_resources: Resources, tenant: UUID) -> None:
    database, worker, now = worker_resources.database, uuid7(), datetime.now(UTC)
    async with database.transaction(tenant) as tx:
        account_id, unlimited = await add_account(tx), await add_account(tx)
        old, *people = await add_people(tx, 6)
    for account in (account_id, unlimited):
        for round_ in range(2):
            async with database.transaction(tenant) as tx:
                # The first campaign went to one person 20 hours ago, the second is to all.
                plan = make_plan(tenant, [account])
                await api.write_contents(tx, plan)
                await api.plan_slice(tx, plan, None, 100)
                await api.open_lane(tx, plan.campaign_id)
                if round_ == 0:
                    await tx.execute(
                        "UPDATE platforms.message SET state = 'cancelled' WHERE lane = :lane AND contact_id <> :old",
                        {"lane": plan.campaign_id, "old": old},
                    )
                    await tx.execute(
                        "UPDATE platforms.message SET state = 'sent', sending_at = :at "
                        "WHERE lane = :lane AND contact_id = :old",
                        {"lane": plan.campaign_id, "old": old, "at": now - timedelta(hours=20)},
                    )
    async with database.transaction(tenant) as tx:
        await tx.execute("UPDATE audience.contact SET last_inbound_at = now() WHERE id = :id", {"id": people[4]})
        reply = await api.accept(tx, Draft(account_id, people[4], "a reply is not counted", MessageKind.REPLY))
    async with database.across_tenants() as tx:
        await leases.enlist(tx, worker, "w")
        epochs = {lease.account_id: lease.epoch for lease in await leases.claim(tx, worker, 10_000)}
        rows = await repository.due(tx, [(tenant, account_id, 50), (tenant, unlimited, 50)])
    # Were the old person's message the last of the batch, a place would seem free in four hours.
    rows.sort(key=lambda row: row.contact_id != old)
    daily = {account_id: DailyWindow(3)}
    async with database.transaction(tenant) as tx:
        ready = await ledger.authorise(tx, worker, rows, epochs, now, daily)
    limited = [item.row for item in ready if item.row.account_id == account_id]
    assert {row.contact_id for row in limited if row.kind is MessageKind.CAMPAIGN} >= {old}
    assert len([row for row in limited if row.kind is MessageKind.CAMPAIGN]) == 3
    assert reply.id in {row.id for row in limited}
    assert len([item for item in ready if item.row.account_id == unlimited]) == 6
    async with database.transaction(tenant) as tx:
        waiting = await tx.all(
            "SELECT due_at FROM platforms.message WHERE account_id = :account AND state = 'queued' ORDER BY due_at",
            {"account": account_id},
        )
    # The next place is free a day after this batch: the oldest person was written to again in it.
    assert len(waiting) == 3
    assert all(now + timedelta(hours=23) < row["due_at"] <= now + timedelta(hours=24) for row in waiting)
    # Another owner reads the same from the ledger.
    later = DailyWindow(3)
    async with database.transaction(tenant) as tx:
        await repository.defer(tx, [(row.id, now) for row in rows if row.account_id == account_id])
        rest = [row for row in rows if row.id not in {item.row.id for item in ready}]
        assert await ledger.authorise(tx, worker, rest, epochs, datetime.now(UTC), {account_id: later}) == []
    async with database.across_tenants() as tx:
        await leases.retire(tx, worker)


async def test_a_worker_keeps_to_it_with_everything_due_at_once(worker_resources: Resources, tenant: UUID) -> None:
    database, connector = worker_resources.database, LedgerConnector(limits_of_accounts=replace(FAST, daily_unique=7))
    async with database.transaction(tenant) as tx:
        plan = make_plan(tenant, [await add_account(tx)])
        await add_people(tx, 300)
        await api.write_contents(tx, plan)
        await api.plan_slice(tx, plan, None, 1_000)
        await api.open_lane(tx, plan.campaign_id)
    waiting = "SELECT count(*) FROM platforms.message WHERE state = 'queued' AND due_at > now() + interval '23 hours'"
    async with running_worker(worker_resources, {"ledger": connector}), asyncio.timeout(60):
        while True:
            async with database.transaction(tenant) as tx:
                if await tx.scalar(waiting) == 293:
                    break
            await asyncio.sleep(0.05)
    assert len(connector.accepted) == 7
    assert await states(database, tenant) == {"sent": 7, "queued": 293}
