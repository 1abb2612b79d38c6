"""An opt-out against the last check before the wire: whichever commits first, nothing follows the opt-out."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from carillon.audience.consents import api as consents
from carillon.kernel.ids import uuid7
from carillon.platforms.delivery import api, leases, ledger, repository
from carillon.platforms.delivery.contracts import Lease
from carillon.platforms.delivery.repository import DueRow
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fixtures.database import VAULT
from tests.fixtures.delivery import add_account, add_people, make_plan, quiet_off

ROUNDS, AT_ONCE = 300, 2


@pytest.fixture
async def tenant(tenant: UUID, owner: "asyncpg.Connection[asyncpg.Record]") -> UUID:
    await quiet_off(owner, tenant)
    return tenant


async def race(database: Database, worker: UUID, lease: Lease, row: DueRow, jitter: random.Random) -> tuple[str, str]:
    """The message's state as it was when the opt-out had committed, and as it is when both are over."""

    async def authorise(pause: float) -> None:
        await asyncio.sleep(pause)
        async with database.transaction(lease.tenant_id) as tx:
            await ledger.authorise(tx, worker, [row], {lease.account_id: lease.epoch}, datetime.now(UTC))

    async def opt_out(pause: float) -> str:
        await asyncio.sleep(pause)
        async with database.transaction(lease.tenant_id) as tx:
            await consents.opt_out(tx, VAULT, row.contact_id, source="message", proof="STOP", at=datetime.now(UTC))
        return await state(database, lease.tenant_id, row.id)

    _, then = await asyncio.gather(authorise(jitter.uniform(0, 0.006)), opt_out(jitter.uniform(0, 0.006)))
    return then, await state(database, lease.tenant_id, row.id)


async def state(database: Database, tenant: UUID, message_id: UUID) -> str:
    async with database.transaction(tenant) as tx:
        return str((await api.get(tx, message_id)).state)


async def test_nothing_is_authorised_once_an_opt_out_has_committed(worker_resources: Resources, tenant: UUID) -> None:
    database, worker, jitter = worker_resources.database, uuid7(), random.Random(11)
    async with database.transaction(tenant) as tx:
        account_id = await add_account(tx)
        await add_people(tx, ROUNDS)
        plan = make_plan(tenant, [account_id])
        await api.write_contents(tx, plan)
        await api.plan_slice(tx, plan, None, ROUNDS)
        await api.open_lane(tx, plan.campaign_id)
    async with database.across_tenants() as tx:
        await leases.enlist(tx, worker, "race")
        (lease,) = [lease for lease in await leases.claim(tx, worker, 10_000) if lease.account_id == account_id]
        rows = await repository.due(tx, [(tenant, account_id, ROUNDS)])
    assert len(rows) == ROUNDS
    ends: Counter[tuple[str, str]] = Counter()
    for first in range(0, ROUNDS, AT_ONCE):
        async with database.across_tenants() as tx:
            assert await leases.renew(tx, worker)
        batch = rows[first : first + AT_ONCE]
        ends.update(await asyncio.gather(*[race(database, worker, lease, row, jitter) for row in batch]))
    async with database.across_tenants() as tx:
        await leases.retire(tx, worker)
    late = {end: count for end, count in ends.items() if end[0] != "sending" and end[1] == "sending"}
    assert not late
    # Both orders happened, so there was a race.
    assert ends[("sending", "sending")] > 0
    assert sum(ends.values()) > ends[("sending", "sending")]
