"""Planning and cancelling, slice by slice: each slice is a transaction, so a kill costs at most one of them."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

from carillon.kernel.errors import Conflict, Invalid, NotFound
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Plan
from carillon.storage.database import Database, Tx
from carillon.storage.resources import Resources

from . import audience, life, repository
from .contracts import CampaignState


async def plan(resources: Resources, tenant_id: UUID, campaign_id: UUID) -> None:
    """Write the campaign's messages into the ledger; goes on where an earlier run stopped.

    A campaign that cannot be planned, because its segment or its accounts are gone, pauses with that reason.
    """
    database = resources.database
    try:
        plan_ = await _prepare(database, tenant_id, campaign_id)
    except (Invalid, NotFound, Conflict) as error:
        async with database.transaction(tenant_id) as tx:
            campaign = await repository.find(tx, campaign_id, lock=True)
            if campaign is not None and campaign.state is CampaignState.PLANNING:
                await life.pause(tx, campaign_id, reason=error.code)
        return
    more = plan_ is not None
    while plan_ is not None and more:
        async with database.transaction(tenant_id) as tx:
            more = await _slice(tx, plan_)


async def _prepare(database: Database, tenant_id: UUID, campaign_id: UUID) -> Plan | None:
    async with database.transaction(tenant_id) as tx:
        # Locked, so that of two runs one stores the texts.
        campaign = await repository.find(tx, campaign_id, lock=True)
        if campaign is None or campaign.state is not CampaignState.PLANNING:
            return None
        found = await audience.plan_of(tx, campaign_id, campaign.draft, campaign.started_at or datetime.now(UTC))
        await delivery.write_contents(tx, found)
        return found


async def _slice(tx: Tx, plan_: Plan) -> bool:
    """Plan the next people; False when there are no more, or the campaign is not to go on."""
    campaign = await repository.find(tx, plan_.campaign_id, lock=True)
    if campaign is None or campaign.state is not CampaignState.PLANNING:
        return False
    step = await delivery.plan_slice(tx, plan_, campaign.planned_after)
    excluded = Counter(campaign.excluded)
    excluded.update(step.suppressed)
    values = {
        "planned_after": step.after,
        "planned": campaign.planned + step.planned,
        "excluded": dict(excluded),
        "planning_done": step.done,
    }
    if step.done:
        await life.change(tx, campaign, CampaignState.RUNNING, values)
    else:
        await repository.write(tx, campaign.id, values)
    await delivery.wake(tx)
    return not step.done


async def cancel_messages(resources: Resources, tenant_id: UUID, campaign_id: UUID) -> None:
    """Mark what has not left as cancelled."""
    more = True
    while more:
        async with resources.database.transaction(tenant_id) as tx:
            more = await delivery.close_lane(tx, campaign_id)
