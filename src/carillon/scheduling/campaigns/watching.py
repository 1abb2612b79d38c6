"""What the clock brings: campaigns that are due, that have come to their end, or that must pause themselves."""

from datetime import datetime
from uuid import UUID

from carillon.identity.audit import api as audit
from carillon.kernel.subject import system_subject
from carillon.platforms.delivery import api as delivery
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import drafts, life, progress, repository, service
from .contracts import Campaign, CampaignState, ScheduleKind


async def tick(resources: Resources) -> None:
    """Look at every active campaign of every tenant, each in a transaction of its own.

    Raises:
        ExceptionGroup: What went wrong with some; the others were looked at all the same.
    """
    now = resources.clock.now()
    async with resources.database.across_tenants() as tx:
        waiting = [(row["tenant_id"], row["id"]) for row in await tx.all(repository.TO_LOOK_AT, {"now": now})]
    errors: list[Exception] = []
    for tenant_id, campaign_id in waiting:
        try:
            async with resources.database.transaction(tenant_id) as tx:
                await _look(tx, campaign_id, now)
        except Exception as error:  # noqa: BLE001 - one tenant's fault must not stop the others; raised below
            error.add_note(f"campaign {campaign_id} of tenant {tenant_id}")
            errors.append(error)
    if errors:
        message = "campaigns could not be looked at"
        raise ExceptionGroup(message, errors)


async def _look(tx: Tx, campaign_id: UUID, now: datetime) -> None:
    campaign = await repository.find(tx, campaign_id)
    if campaign is None:
        return
    if campaign.state is CampaignState.SCHEDULED:
        await _due(tx, campaign_id, now)
    elif campaign.state is CampaignState.CANCELLED:
        # What was on its way when it was cancelled may have come back: refused by the platform, or held.
        await delivery.close_lane(tx, campaign_id)
    elif campaign.state in (CampaignState.PLANNING, CampaignState.RUNNING):
        await _judge(tx, campaign, now)


async def _due(tx: Tx, campaign_id: UUID, now: datetime) -> None:
    # Looked at again under the lock: another process may have begun it meanwhile.
    campaign = await repository.find(tx, campaign_id, lock=True)
    if campaign is None or campaign.state is not CampaignState.SCHEDULED:
        return
    if campaign.next_at is None or campaign.next_at > now:
        return
    if campaign.draft.schedule.kind is not ScheduleKind.RECURRING:
        await life.begin(tx, campaign, now)
        return
    # One occurrence however late we are: missed ones are not made up for.
    following = drafts.next_occurrence(campaign.draft.schedule, now)
    copy = await service.occurrence(tx, system_subject(tx.tenant), campaign)
    await life.begin(tx, copy, now)
    await repository.write(tx, campaign.id, {"next_at": following})
    await audit.record(tx, system_subject(tx.tenant), "campaign.started", copy.id)


async def _judge(tx: Tx, seen: Campaign, now: datetime) -> None:
    reason = guard_reason(seen)
    through = seen.planning_done and not await delivery.may_go(tx, seen.id)
    if seen.state is CampaignState.PLANNING:
        # Its job may have been given up, or ended on a pause that was lifted at once.
        await life.request_plan(tx, seen.id)
    if not through and reason is None:
        return
    campaign = await repository.find(tx, seen.id, lock=True)
    if campaign is None or campaign.state is not seen.state:
        return
    if through:
        await life.change(tx, campaign, CampaignState.FINISHED, {"finished_at": now})
    else:
        await life.pause(tx, campaign.id, reason=reason)


def guard_reason(campaign: Campaign) -> str | None:
    """Why the campaign must pause itself; None when all is well."""
    guards = campaign.draft.guards
    total = progress.counts(campaign)
    new = {name: count - campaign.judged_from.get(name, 0) for name, count in total.items()}
    if new["attempted"] >= guards.minimum:
        if guards.failure_rate is not None and new["failed"] / new["attempted"] > guards.failure_rate:
            return "failure_rate"
        if guards.opt_out_rate is not None and new["opt_outs"] / new["attempted"] > guards.opt_out_rate:
            return "opt_out_rate"
    if guards.restricted_accounts is not None and new["restricted"] > guards.restricted_accounts:
        return "restricted_accounts"
    return None
