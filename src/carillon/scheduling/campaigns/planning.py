"""Planning and cancelling, slice by slice: each slice is a transaction, so a kill costs at most one of them."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Plan
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import audience, repository
from .contracts import CampaignState
from .service import change


async def plan(resources: Resources, tenant_id: UUID, campaign_id: UUID) -> None:
    """Write the campaign's messages into the ledger; goes on where an earlier run stopped."""
    async with resources.database.transaction(tenant_id) as tx:
        campaign = await repository.find(tx, campaign_id)
        if campaign is None:
            return
        plan_ = await audience.plan_of(tx, campaign_id, campaign.draft, campaign.started_at or datetime.now(UTC))
        await delivery.write_contents(tx, plan_)
    more = True
    while more:
        async with resources.database.transaction(tenant_id) as tx:
            more = await _slice(tx, plan_)


async def _slice(tx: Tx, plan_: Plan) -> bool:
    """Plan the next people; False when there are no more, or the campaign is not to go on."""
    campaign = await repository.find(tx, plan_.campaign_id, lock=True)
    if campaign is None or campaign.state is not CampaignState.PLANNING or campaign.planning_done:
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
        await change(tx, campaign, CampaignState.RUNNING, values)
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
