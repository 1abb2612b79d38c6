"""What the clock brings: campaigns that are due, that have come to their end, or that must pause themselves."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from carillon.events.consumer import Recorded
from carillon.events.catalog.consents import ContactOptedOut
from carillon.events.catalog.platforms import AccountStateChanged, InboundReceived
from carillon.kernel.subject import system_subject
from carillon.platforms.connectors.port import AccountState
from carillon.platforms.delivery import api as delivery
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import drafts, repository, service
from .contracts import Campaign, CampaignState, Funnel, ScheduleKind

_ATTRIBUTION = timedelta(days=7)
"""A reply or opt-out counts for the last campaign of so many days."""


async def tick(resources: Resources) -> None:
    """Look at every active campaign of every tenant."""
    async with resources.database.across_tenants() as tx:
        tenants = [row["tenant_id"] for row in await tx.all(repository.ACTIVE_TENANTS)]
    for tenant_id in tenants:
        async with resources.database.transaction(tenant_id) as tx:
            await _look(tx)


async def _look(tx: Tx) -> None:
    now = datetime.now(UTC)
    for campaign in await repository.in_states(tx, [CampaignState.SCHEDULED]):
        if campaign.next_at is not None and campaign.next_at <= now:
            await _due(tx, campaign.id, now)
    for campaign in await repository.in_states(tx, [CampaignState.PLANNING, CampaignState.RUNNING]):
        await _judge(tx, campaign, now)


async def _due(tx: Tx, campaign_id: UUID, now: datetime) -> None:
    campaign = await repository.find(tx, campaign_id, lock=True)
    if campaign is None or campaign.state is not CampaignState.SCHEDULED:
        return
    if campaign.draft.schedule.kind is not ScheduleKind.RECURRING:
        await service.begin(tx, campaign, now)
        return
    # One occurrence however late we are: missed ones are not made up for.
    following = drafts.next_occurrence(campaign.draft.schedule, now)
    copy = await service.occurrence(tx, system_subject(tx.tenant), campaign)
    await service.begin(tx, copy, now)
    await repository.write(tx, campaign.id, {"next_at": following})


async def _judge(tx: Tx, campaign: Campaign, now: datetime) -> None:
    funnel = await service.funnel(tx, campaign.id)
    reason = guard_reason(campaign, funnel)
    if reason is not None:
        await service.pause(tx, campaign.id, reason=reason)
    elif campaign.planning_done and funnel.remaining == 0:
        await service.finish(tx, campaign.id, now)


def guard_reason(campaign: Campaign, funnel: Funnel) -> str | None:
    """Why the campaign must pause itself; None when all is well."""
    guards, states = campaign.draft.guards, funnel.states
    failed = sum(count for state, count in states.items() if state == "failed")
    attempted = failed + funnel.reached["sent"]
    if attempted >= guards.minimum:
        if guards.failure_rate is not None and failed / attempted > guards.failure_rate:
            return "failure_rate"
        if guards.opt_out_rate is not None and campaign.opt_outs / attempted > guards.opt_out_rate:
            return "opt_out_rate"
    if guards.restricted_accounts is not None and campaign.restricted > guards.restricted_accounts:
        return "restricted_accounts"
    return None


async def count_answers(tx: Tx, events: Sequence[Recorded]) -> None:
    """Count replies and opt-outs for the campaigns that brought them."""
    replies: Counter[UUID] = Counter()
    opt_outs: Counter[UUID] = Counter()
    for recorded in events:
        event = recorded.event
        assert isinstance(event, InboundReceived | ContactOptedOut)
        since = recorded.occurred_at - _ATTRIBUTION
        campaign_id = await delivery.last_campaign(tx, event.contact_id, since)
        if campaign_id is not None:
            (replies if isinstance(event, InboundReceived) else opt_outs)[campaign_id] += 1
    await repository.count_up(tx, "replies", replies)
    await repository.count_up(tx, "opt_outs", opt_outs)


async def count_restrictions(tx: Tx, events: Sequence[Recorded]) -> None:
    """Count the accounts that campaigns lose."""
    lost = {
        recorded.event.account_id
        for recorded in events
        if isinstance(recorded.event, AccountStateChanged)
        and recorded.event.state in (AccountState.RESTRICTED, AccountState.BANNED)
    }
    if not lost:
        return
    active = await repository.in_states(tx, [CampaignState.PLANNING, CampaignState.RUNNING])
    counts = {campaign.id: await delivery.count_senders(tx, campaign.id, lost) for campaign in active}
    await repository.count_up(tx, "restricted", {key: count for key, count in counts.items() if count})
