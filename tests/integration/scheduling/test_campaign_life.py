"""A campaign is stopped while a worker sends it; every other order of events is in `tests/properties`."""

import asyncio
from uuid import UUID

from carillon.kernel.subject import system_subject
from carillon.scheduling.campaigns import api
from carillon.storage.resources import Resources
from tests.fakes.ledger_connector import LedgerConnector
from tests.fixtures import campaigns
from tests.fixtures.delivery import add_account, add_people, running_worker, until_settled


async def test_cancelled_while_a_worker_sends(worker_resources: Resources, tenant: UUID) -> None:
    """What the platform has is what the ledger says was sent; the rest never goes."""
    began = asyncio.Event()
    database, connector = worker_resources.database, LedgerConnector(after=lambda _message: began.set())
    async with database.transaction(tenant) as tx:
        await add_account(tx)
        await add_people(tx, 400)
    campaign_id = await campaigns.planned(worker_resources, tenant)
    async with running_worker(worker_resources, {"ledger": connector}):
        await began.wait()
        async with database.transaction(tenant) as tx:
            await api.pause(tx, campaign_id)
        async with database.transaction(tenant) as tx:
            await api.resume(tx, system_subject(tenant), campaign_id)
        async with database.transaction(tenant) as tx:
            await api.cancel(tx, system_subject(tenant), campaign_id)
        found = await until_settled(database, tenant)
    assert found.keys() <= {"sent", "cancelled"}
    assert sum(found.values()) == 400
    assert len({message.peer for message in connector.accepted}) == len(connector.accepted) == found.get("sent", 0)
