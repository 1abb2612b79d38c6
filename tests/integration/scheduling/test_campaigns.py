"""Campaigns from draft to finish against a real database and an in-process platform."""

from uuid import UUID

import asyncpg
import pytest

from carillon.scheduling.campaigns import api
from carillon.scheduling.campaigns.contracts import CampaignState, CampaignVariant
from carillon.storage.resources import Resources
from tests.fakes.ledger_connector import LedgerConnector
from tests.fixtures import campaigns
from tests.fixtures.delivery import add_account, add_people, quiet_off, running_worker, until_settled


@pytest.fixture
async def tenant(tenant: UUID, owner: "asyncpg.Connection[asyncpg.Record]") -> UUID:
    await quiet_off(owner, tenant)
    return tenant


async def test_from_draft_to_finish(worker_resources: Resources, tenant: UUID) -> None:
    database, connector = worker_resources.database, LedgerConnector()
    async with database.transaction(tenant) as tx:
        for _ in range(3):
            await add_account(tx)
        await add_people(tx, 60, language="de-AT")
        await add_people(tx, 40)
        await add_people(tx, 5, consents={})
    variants = (
        CampaignVariant("A", 3, {"": "Hi {{ name }}", "DE": "Hallo {{ name }}"}),
        CampaignVariant("B", 1, {"": "Hey"}),
    )
    campaign_id = await campaigns.planned(worker_resources, tenant, variants=variants)
    found = await campaigns.get(database, tenant, campaign_id)
    assert (found.state, found.planned, found.excluded) == (CampaignState.RUNNING, 100, {"no_consent": 5})
    async with running_worker(worker_resources, {"ledger": connector}):
        assert await until_settled(database, tenant) == {"sent": 100, "suppressed": 5}
    await api.tick(worker_resources)
    found = await campaigns.get(database, tenant, campaign_id)
    assert found.state is CampaignState.FINISHED
    assert found.finished_at is not None
    funnel = await campaigns.funnel(database, tenant, campaign_id)
    assert (funnel.reached["sent"], funnel.remaining, funnel.reasons) == (100, 0, {"no_consent": 5})
    assert {text.split()[0] for text in connector.texts()} == {"Hi", "Hallo", "Hey"}
