"""Campaigns as documents: writing, finding, changing, copying and deleting them."""

from dataclasses import replace
from uuid import UUID

from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx

from . import audience, drafts, repository
from .contracts import Campaign, CampaignState, Draft, ScheduleKind
from .errors import CampaignChanged, CampaignNotFound, WrongState

_COPY = " (copy)"


async def create(tx: Tx, subject: Subject, draft: Draft, *, parent_id: UUID | None = None) -> Campaign:
    """A new draft.

    Raises:
        CampaignInvalid, BadTemplate, RuleInvalid: With the place.
    """
    await check(tx, draft)
    return await _add(tx, subject, draft, parent_id)


async def check(tx: Tx, draft: Draft) -> None:
    """Whether `create` would take it.

    Raises:
        CampaignInvalid, BadTemplate, RuleInvalid: With the place.
    """
    drafts.check(draft)
    await audience.check(tx, draft)


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
    """Campaigns, newest first; `text` is part of the name."""
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    found = await repository.search(tx, state=state, text=text, before=before, limit=page.limit + 1)
    items = found[: page.limit]
    return Page(items, encode_cursor(str(items[-1].id)) if len(found) > page.limit else None)


async def update(tx: Tx, campaign_id: UUID, draft: Draft, *, version: int) -> Campaign:
    """Write a draft anew.

    Raises:
        CampaignNotFound, WrongState: Only drafts can be changed.
        CampaignChanged: It has another version by now.
        CampaignInvalid, BadTemplate, RuleInvalid: With the place.
    """
    campaign = await locked(tx, campaign_id, CampaignState.DRAFT)
    if campaign.version != version:
        raise CampaignChanged(place="version", version=campaign.version)
    await check(tx, draft)
    await repository.write(tx, campaign_id, {"name": draft.name, "draft": drafts.dump(draft)})
    return await get(tx, campaign_id)


async def delete(tx: Tx, subject: Subject, campaign_id: UUID) -> None:
    """Throw a draft away.

    Raises:
        CampaignNotFound, WrongState: Only drafts can be deleted; what was sent stays on record.
    """
    await locked(tx, campaign_id, CampaignState.DRAFT)
    await repository.remove(tx, campaign_id)
    await audit.record(tx, subject, "campaign.deleted", campaign_id)


async def clone(tx: Tx, subject: Subject, campaign_id: UUID, *, name: str | None = None) -> Campaign:
    """A new draft like this campaign.

    Raises:
        CampaignNotFound: It is not there.
        CampaignInvalid: The name.
    """
    source = await get(tx, campaign_id)
    if name is None:
        name = source.draft.name[: drafts.LONGEST_NAME - len(_COPY)] + _COPY
    draft = replace(source.draft, name=name)
    drafts.check(draft)
    # Its audience is checked when it starts: what it was made for may be gone, and the author is to see that then.
    return await _add(tx, subject, draft, campaign_id)


async def occurrence(tx: Tx, subject: Subject, campaign: Campaign) -> Campaign:
    """This time's copy of a recurring campaign, to be sent at once."""
    schedule = replace(campaign.draft.schedule, kind=ScheduleKind.NOW, at=None, cron=None)
    return await _add(tx, subject, replace(campaign.draft, schedule=schedule), campaign.id)


async def locked(tx: Tx, campaign_id: UUID, *states: CampaignState) -> Campaign:
    """A campaign, locked until the transaction ends.

    Raises:
        CampaignNotFound, WrongState: It is not there, or in none of these states.
    """
    campaign = await repository.find(tx, campaign_id, lock=True)
    if campaign is None:
        raise CampaignNotFound
    if campaign.state not in states:
        raise WrongState(place="state", state=campaign.state.value, allowed=[state.value for state in states])
    return campaign


async def _add(tx: Tx, subject: Subject, draft: Draft, parent_id: UUID | None) -> Campaign:
    campaign_id = uuid7()
    values = {
        "id": campaign_id,
        "name": draft.name,
        "draft": drafts.dump(draft),
        "state": CampaignState.DRAFT.value,
        "parent_id": parent_id,
        "created_by": subject.id,
    }
    await repository.add(tx, values)
    return await get(tx, campaign_id)
