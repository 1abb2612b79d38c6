"""Campaigns: writing, starting, stopping and watching them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from carillon.audience.consents.contracts import TemplateData
from carillon.audience.contacts import api as contacts
from carillon.events import outbox
from carillon.events.catalog.scheduling import CampaignChanged as CampaignChangedEvent
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import Draft as MessageDraft
from carillon.platforms.delivery.contracts import Message, MessageKind, MessageState
from carillon.platforms.templates import api as templates
from carillon.storage import jobs
from carillon.storage.database import Tx

from . import audience, drafts, repository
from .contracts import Campaign, CampaignReview, CampaignState, Draft, Funnel, ScheduleKind
from .errors import CampaignChanged, CampaignInvalid, CampaignNotFound, NobodyToSendTo, WrongState

PLAN_JOB = "campaign.plan"
CANCEL_JOB = "campaign.cancel"

_REACHED = {
    "sent": (MessageState.SENT, MessageState.DELIVERED, MessageState.READ),
    "delivered": (MessageState.DELIVERED, MessageState.READ),
    "read": (MessageState.READ,),
}


async def create(tx: Tx, subject: Subject, draft: Draft, *, parent_id: UUID | None = None) -> Campaign:
    """A new draft.

    Raises:
        CampaignInvalid, BadTemplate: With the place.
    """
    drafts.check(draft)
    campaign_id = uuid7()
    await repository.add(
        tx,
        {
            "id": campaign_id,
            "name": draft.name,
            "draft": drafts.dump(draft),
            "state": CampaignState.DRAFT.value,
            "parent_id": parent_id,
            "created_by": subject.id,
        },
    )
    return await get(tx, campaign_id)


async def get(tx: Tx, campaign_id: UUID) -> Campaign:
    """One campaign.

    Raises:
        CampaignNotFound: It is not there, or not this tenant's.
    """
    found = await repository.find(tx, campaign_id)
    if found is None:
        raise CampaignNotFound
    return found


async def list_campaigns(
    tx: Tx, page: PageRequest, *, state: CampaignState | None = None, text: str | None = None
) -> Page[Campaign]:
    """Campaigns, newest first."""
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    found = await repository.search(tx, state=state, text=text, before=before, limit=page.limit + 1)
    items = found[: page.limit]
    return Page(items, encode_cursor(str(items[-1].id)) if len(found) > page.limit else None)


async def update(tx: Tx, campaign_id: UUID, draft: Draft, *, version: int) -> Campaign:
    """Write a draft anew.

    Raises:
        CampaignNotFound, WrongState: Only drafts can be changed.
        CampaignChanged: It has another version by now.
        CampaignInvalid, BadTemplate: With the place.
    """
    campaign = await _locked(tx, campaign_id, CampaignState.DRAFT)
    if campaign.version != version:
        raise CampaignChanged(version=campaign.version)
    drafts.check(draft)
    await repository.write(tx, campaign_id, {"name": draft.name, "draft": drafts.dump(draft)})
    return await get(tx, campaign_id)


async def delete(tx: Tx, subject: Subject, campaign_id: UUID) -> None:
    """Throw a draft away.

    Raises:
        CampaignNotFound, WrongState: Only drafts can be deleted; what was sent stays on record.
    """
    await _locked(tx, campaign_id, CampaignState.DRAFT)
    await repository.remove(tx, campaign_id)
    await audit.record(tx, subject, "campaign.deleted", campaign_id)


async def review(tx: Tx, campaign_id: UUID) -> CampaignReview:
    """What starting it now would do.

    Raises:
        CampaignNotFound: It is not there.
    """
    return await audience.review(tx, await get(tx, campaign_id), datetime.now(UTC))


async def send_test(
    tx: Tx, subject: Subject, campaign_id: UUID, *, contact_id: UUID, variant: str, language: str | None, account_id: UUID
) -> Message:
    """Send one variant to one person who has agreed to be written to.

    Raises:
        CampaignNotFound, CampaignInvalid: The variant.
        MissingVariable, NotSendable, ContactUnreachable, UnknownAccount: The person or account.
    """
    campaign = await get(tx, campaign_id)
    texts = {v.name: v.texts for v in campaign.draft.variants}.get(variant)
    if texts is None:
        raise CampaignInvalid("There is no such variant.", place="variant")
    person = await contacts.get(tx, contact_id)
    text = texts[templates.choose_language(texts, person.language if language is None else language)]
    data = TemplateData(person.name, person.first_name, person.last_name, person.fields)
    body = templates.compile_text(text).render(templates.variables_of(data))
    message = MessageDraft(account_id, contact_id, body, MessageKind.TEST, actor_id=subject.id)
    return await delivery.accept(tx, message)


async def start(tx: Tx, subject: Subject, campaign_id: UUID) -> Campaign:
    """Start a draft, now or at its time.

    Raises:
        CampaignNotFound, WrongState: It was started before.
        NobodyToSendTo: The audience or the pool is empty.
    """
    campaign = await _locked(tx, campaign_id, CampaignState.DRAFT)
    now = datetime.now(UTC)
    schedule = campaign.draft.schedule
    await audit.record(tx, subject, "campaign.started", campaign_id)
    if schedule.kind is ScheduleKind.RECURRING:
        await change(tx, campaign, CampaignState.SCHEDULED, {"next_at": drafts.next_occurrence(schedule, now)})
    elif schedule.kind is ScheduleKind.AT and schedule.at is not None and schedule.at > now:
        await change(tx, campaign, CampaignState.SCHEDULED, {"next_at": schedule.at})
    else:
        if not (await audience.plan_of(tx, campaign_id, campaign.draft, now)).accounts:
            raise NobodyToSendTo("No account can send this campaign.", place="platforms")
        await begin(tx, campaign, now)
    return await get(tx, campaign_id)


async def begin(tx: Tx, campaign: Campaign, now: datetime) -> None:
    """Open the gate and plan: messages go out while the rest is still being planned."""
    await change(tx, campaign, CampaignState.PLANNING, {"started_at": now, "next_at": None})
    await delivery.open_lane(tx, campaign.id)
    await jobs.enqueue(tx, PLAN_JOB, {"campaign_id": str(campaign.id)})


async def pause(tx: Tx, campaign_id: UUID, *, reason: str | None = None, subject: Subject | None = None) -> Campaign:
    """Let nothing of it enter `sending` once this has committed.

    Raises:
        CampaignNotFound, WrongState: It is not under way.
    """
    campaign = await _locked(tx, campaign_id, CampaignState.PLANNING, CampaignState.RUNNING)
    await delivery.pause_lane(tx, campaign_id)
    await change(tx, campaign, CampaignState.PAUSED, {"pause_reason": reason})
    if subject is not None:
        await audit.record(tx, subject, "campaign.paused", campaign_id)
    return await get(tx, campaign_id)


async def resume(tx: Tx, subject: Subject, campaign_id: UUID) -> Campaign:
    """Go on.

    Raises:
        CampaignNotFound, WrongState: It is not paused.
    """
    campaign = await _locked(tx, campaign_id, CampaignState.PAUSED)
    state = CampaignState.RUNNING if campaign.planning_done else CampaignState.PLANNING
    await change(tx, campaign, state, {"pause_reason": None})
    await delivery.open_lane(tx, campaign_id)
    if not campaign.planning_done:
        await jobs.enqueue(tx, PLAN_JOB, {"campaign_id": str(campaign_id)})
    await audit.record(tx, subject, "campaign.resumed", campaign_id)
    return await get(tx, campaign_id)


async def cancel(tx: Tx, subject: Subject, campaign_id: UUID) -> Campaign:
    """Stop for good; what has left stays on record, the rest is cancelled.

    Raises:
        CampaignNotFound, WrongState: It has ended already.
    """
    campaign = await _locked(
        tx,
        campaign_id,
        CampaignState.SCHEDULED,
        CampaignState.PLANNING,
        CampaignState.RUNNING,
        CampaignState.PAUSED,
    )
    if campaign.state is not CampaignState.SCHEDULED:
        # The gate closes with this commit; the rows are marked by a job, since there may be a million of them.
        await delivery.close_lane(tx, campaign_id)
        await jobs.enqueue(tx, CANCEL_JOB, {"campaign_id": str(campaign_id)})
    await change(tx, campaign, CampaignState.CANCELLED, {"finished_at": datetime.now(UTC), "next_at": None})
    await audit.record(tx, subject, "campaign.cancelled", campaign_id)
    return await get(tx, campaign_id)


async def clone(tx: Tx, subject: Subject, campaign_id: UUID, *, name: str | None = None) -> Campaign:
    """A new draft like this campaign.

    Raises:
        CampaignNotFound: It is not there.
    """
    source = await get(tx, campaign_id)
    return await create(
        tx, subject, replace(source.draft, name=name or f"{source.draft.name} (copy)"), parent_id=campaign_id
    )


async def occurrence(tx: Tx, subject: Subject, campaign: Campaign) -> Campaign:
    """This time's copy of a recurring campaign."""
    schedule = replace(campaign.draft.schedule, kind=ScheduleKind.NOW, at=None, cron=None)
    return await create(tx, subject, replace(campaign.draft, schedule=schedule), parent_id=campaign.id)


async def finish(tx: Tx, campaign_id: UUID, now: datetime) -> None:
    """Everything that could leave has left."""
    campaign = await _locked(tx, campaign_id, CampaignState.RUNNING)
    await change(tx, campaign, CampaignState.FINISHED, {"finished_at": now})


async def funnel(tx: Tx, campaign_id: UUID) -> Funnel:
    """How far it is.

    Raises:
        CampaignNotFound: It is not there.
    """
    campaign = await get(tx, campaign_id)
    progress = await delivery.progress(tx, campaign_id)
    return Funnel(
        states=progress.states,
        reached={name: sum(progress.states.get(state, 0) for state in of) for name, of in _REACHED.items()},
        reasons=progress.reasons,
        by_variant=progress.by_variant,
        remaining=sum(progress.states.get(state, 0) for state in (MessageState.QUEUED, MessageState.SENDING)),
        next_due_at=progress.next_due_at,
        replies=campaign.replies,
        opt_outs=campaign.opt_outs,
    )


async def _locked(tx: Tx, campaign_id: UUID, *states: CampaignState) -> Campaign:
    campaign = await repository.find(tx, campaign_id, lock=True)
    if campaign is None:
        raise CampaignNotFound
    if campaign.state not in states:
        raise WrongState(state=campaign.state.value, allowed=[state.value for state in states])
    return campaign


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
