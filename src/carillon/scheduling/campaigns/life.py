"""The life of a campaign: started, paused, resumed, cancelled, finished. Every step locks its row first."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from carillon.events import outbox
from carillon.events.catalog.scheduling import CampaignChanged as CampaignChangedEvent
from carillon.identity.audit import api as audit
from carillon.kernel.subject import Subject
from carillon.platforms.delivery import api as delivery
from carillon.storage import jobs
from carillon.storage.database import Tx

from . import audience, drafts, progress, repository
from .contracts import Campaign, CampaignState, ScheduleKind
from .service import get, locked

PLAN_JOB = "campaign.plan"
CANCEL_JOB = "campaign.cancel"

_UNDER_WAY = (CampaignState.SCHEDULED, CampaignState.PLANNING, CampaignState.RUNNING)


async def start(tx: Tx, subject: Subject, campaign_id: UUID) -> Campaign:
    """Start a draft, now or at its time.

    Raises:
        CampaignNotFound, WrongState: It was started before.
        CampaignInvalid, RuleInvalid: The audience is gone, or the time is past.
        NoAccounts: It starts now and none of its accounts can send.
    """
    campaign = await locked(tx, campaign_id, CampaignState.DRAFT)
    now = datetime.now(UTC)
    drafts.check_start(campaign.draft.schedule, now)
    due = _due(campaign, now)
    if due is None:
        await audience.plan_of(tx, campaign_id, campaign.draft, now)
        await begin(tx, campaign, now)
    else:
        await audience.check(tx, campaign.draft)
        await change(tx, campaign, CampaignState.SCHEDULED, {"next_at": due})
    await audit.record(tx, subject, "campaign.started", campaign_id)
    return await get(tx, campaign_id)


def _due(campaign: Campaign, now: datetime) -> datetime | None:
    """When it has to wait for; None when it goes out now."""
    schedule = campaign.draft.schedule
    if schedule.kind is ScheduleKind.RECURRING:
        return drafts.next_occurrence(schedule, now)
    if schedule.kind is ScheduleKind.AT and schedule.at is not None and schedule.at > now:
        return schedule.at
    return None


async def begin(tx: Tx, campaign: Campaign, now: datetime) -> None:
    """Open the gate and plan: messages go out while the rest is still being planned."""
    await change(tx, campaign, CampaignState.PLANNING, {"started_at": now, "next_at": None})
    await delivery.open_lane(tx, campaign.id)
    await request_plan(tx, campaign.id)


async def request_plan(tx: Tx, campaign_id: UUID) -> None:
    """Have it planned; harmless while it is being planned."""
    await jobs.enqueue(tx, PLAN_JOB, {"campaign_id": str(campaign_id)}, dedupe_key=str(campaign_id))


async def pause(tx: Tx, campaign_id: UUID, *, reason: str | None = None, subject: Subject | None = None) -> Campaign:
    """Let nothing of it enter `sending` once this has committed.

    Raises:
        CampaignNotFound, WrongState: It is not under way.
    """
    campaign = await locked(tx, campaign_id, *_UNDER_WAY)
    if campaign.started_at is not None:
        await delivery.pause_lane(tx, campaign_id)
    await change(tx, campaign, CampaignState.PAUSED, {"pause_reason": reason})
    if subject is not None:
        await audit.record(tx, subject, "campaign.paused", campaign_id)
    return await get(tx, campaign_id)


async def resume(tx: Tx, subject: Subject, campaign_id: UUID) -> Campaign:
    """Go on; one that had not begun waits for its time again.

    Raises:
        CampaignNotFound, WrongState: It is not paused.
    """
    campaign = await locked(tx, campaign_id, CampaignState.PAUSED)
    if campaign.started_at is None:
        due = _due(campaign, datetime.now(UTC)) or campaign.next_at
        await change(tx, campaign, CampaignState.SCHEDULED, {"pause_reason": None, "next_at": due})
    else:
        await _go_on(tx, campaign)
    await audit.record(tx, subject, "campaign.resumed", campaign_id)
    return await get(tx, campaign_id)


async def _go_on(tx: Tx, campaign: Campaign) -> None:
    state = CampaignState.RUNNING if campaign.planning_done else CampaignState.PLANNING
    await change(tx, campaign, state, {"pause_reason": None, "judged_from": progress.counts(campaign)})
    await delivery.open_lane(tx, campaign.id)
    if not campaign.planning_done:
        await request_plan(tx, campaign.id)


async def cancel(tx: Tx, subject: Subject, campaign_id: UUID) -> Campaign:
    """Stop for good; what has left stays on record, the rest is cancelled.

    Raises:
        CampaignNotFound, WrongState: It has not begun or has ended already.
    """
    campaign = await locked(tx, campaign_id, *_UNDER_WAY, CampaignState.PAUSED)
    if campaign.started_at is not None and await delivery.close_lane(tx, campaign_id):
        # The gate closes with this commit; the other rows are marked by a job, since there may be a million of them.
        await jobs.enqueue(tx, CANCEL_JOB, {"campaign_id": str(campaign_id)})
    await change(tx, campaign, CampaignState.CANCELLED, {"finished_at": datetime.now(UTC), "next_at": None})
    await audit.record(tx, subject, "campaign.cancelled", campaign_id)
    return await get(tx, campaign_id)


async def change(tx: Tx, campaign: Campaign, state: CampaignState, values: dict[str, Any]) -> None:
    """Bring a locked campaign into a state, with its event."""
    await repository.write(tx, campaign.id, {"state": state.value, **values})
    await outbox.append(
        tx,
        CampaignChangedEvent(
            campaign_id=campaign.id,
            state=state.value,
            before=campaign.state.value,
            reason=values.get("pause_reason"),
        ),
    )
