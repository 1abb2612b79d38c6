"""HTTP of campaigns."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from starlette.responses import StreamingResponse

from carillon.gateway.context import Context, allow, require
from carillon.gateway.downloads import csv_download
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission

from . import api
from .contracts import CampaignState, MessageState
from .schemas import (
    CampaignChangeIn,
    CampaignCloneIn,
    CampaignIn,
    CampaignOut,
    CampaignTestIn,
    ProgressOut,
    RecipientOut,
    ReviewOut,
    SentTestOut,
)

Reader = Annotated[Context, allow(Permission.CAMPAIGNS_READ)]
Writer = Annotated[Context, allow(Permission.CAMPAIGNS_WRITE)]
Sender = Annotated[Context, allow(Permission.CAMPAIGNS_SEND)]

router = make_router("/campaigns", "campaigns")


@router.get("", summary="Campaigns, newest first")
async def list_campaigns(
    context: Reader,
    page: PageQuery,
    state: CampaignState | None = None,
    query: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
) -> PageOut[CampaignOut]:
    """`query` is part of the name."""
    found = await api.list_campaigns(context.tx, page, state=state, text=query)
    return PageOut(items=[CampaignOut.of(item) for item in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201, summary="Write a campaign")
async def create_campaign(context: Writer, body: CampaignIn) -> CampaignOut:
    """It is a draft until it is started."""
    return CampaignOut.of(await api.create(context.tx, context.subject, body.draft()))


@router.get("/{campaign_id}", summary="One campaign")
async def get_campaign(context: Reader, campaign_id: UUID) -> CampaignOut:
    """With its counts so far."""
    return CampaignOut.of(await api.get(context.tx, campaign_id))


@router.put("/{campaign_id}", summary="Change a draft")
async def update_campaign(context: Writer, campaign_id: UUID, body: CampaignChangeIn) -> CampaignOut:
    """Refused when somebody else changed it since it was read."""
    return CampaignOut.of(await api.update(context.tx, campaign_id, body.draft(), version=body.version))


@router.delete("/{campaign_id}", status_code=204, summary="Throw a draft away")
async def delete_campaign(context: Writer, campaign_id: UUID) -> None:
    """What was started stays on record."""
    await api.delete(context.tx, context.subject, campaign_id)


@router.get("/{campaign_id}/review", summary="What starting a campaign would do")
async def review_campaign(context: Reader, campaign_id: UUID) -> ReviewOut:
    """How many get a message, why others do not, from which accounts, how long it takes and what it costs."""
    return ReviewOut.of(await api.review(context.tx, campaign_id))


@router.post("/{campaign_id}/test", status_code=202, summary="Send one variant to one person")
async def send_campaign_test(context: Sender, campaign_id: UUID, body: CampaignTestIn) -> SentTestOut:
    """The person must have agreed to be written to."""
    message = await api.send_test(
        context.tx,
        context.subject,
        campaign_id,
        contact_id=body.contact_id,
        variant=body.variant,
        language=body.language,
        account_id=body.account_id,
    )
    return SentTestOut(message_id=message.id, state=message.state, body=message.body or "")


@router.post("/{campaign_id}/start", summary="Start a campaign, now or at its time")
async def start_campaign(context: Sender, campaign_id: UUID) -> CampaignOut:
    """A draft only: each campaign is started once; clone it to send it again."""
    return CampaignOut.of(await api.start(context.tx, context.subject, campaign_id))


@router.post("/{campaign_id}/pause", summary="Pause a campaign")
async def pause_campaign(context: Sender, campaign_id: UUID) -> CampaignOut:
    """Once this is answered no further message of it sets out."""
    return CampaignOut.of(await api.pause(context.tx, campaign_id, subject=context.subject))


@router.post("/{campaign_id}/resume", summary="Go on with a paused campaign")
async def resume_campaign(context: Sender, campaign_id: UUID) -> CampaignOut:
    """Its guards count anew from here."""
    return CampaignOut.of(await api.resume(context.tx, context.subject, campaign_id))


@router.post("/{campaign_id}/cancel", summary="Stop a campaign for good")
async def cancel_campaign(context: Sender, campaign_id: UUID) -> CampaignOut:
    """What has left stays on record, the rest is cancelled."""
    return CampaignOut.of(await api.cancel(context.tx, context.subject, campaign_id))


@router.post("/{campaign_id}/clone", status_code=201, summary="A new draft like a campaign")
async def clone_campaign(context: Writer, campaign_id: UUID, body: CampaignCloneIn) -> CampaignOut:
    """Of any campaign, whatever its state."""
    return CampaignOut.of(await api.clone(context.tx, context.subject, campaign_id, name=body.name))


@router.get("/{campaign_id}/progress", summary="How far a campaign is")
async def get_campaign_progress(context: Reader, campaign_id: UUID) -> ProgressOut:
    """Messages by state, reason and variant."""
    return ProgressOut.of(await api.funnel(context.tx, campaign_id))


@router.get("/{campaign_id}/recipients", summary="The people of a campaign")
async def list_campaign_recipients(
    context: Reader, campaign_id: UUID, page: PageQuery, state: MessageState | None = None
) -> PageOut[RecipientOut]:
    """Those who were left out too, with the reason."""
    found = await api.recipients(context.tx, campaign_id, page, state=state)
    return PageOut(items=[RecipientOut.of(item) for item in found.items], next_cursor=found.next_cursor)


@router.get(
    "/{campaign_id}/recipients.csv",
    summary="The people of a campaign as a CSV file",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def export_campaign_recipients(
    context: Reader, campaign_id: UUID, state: MessageState | None = None
) -> StreamingResponse:
    """Needs to be allowed to export contacts too."""
    require(context.subject, Permission.CONTACTS_EXPORT)
    await api.get(context.tx, campaign_id)
    rows = _rows(context, campaign_id, state)
    return csv_download(rows, f"campaign-{campaign_id}.csv", tuple(RecipientOut.model_fields))


async def _rows(context: Context, campaign_id: UUID, state: MessageState | None) -> AsyncIterator[Sequence[Any]]:
    async for item in api.every_recipient(context.resources, context.subject.tenant_id, campaign_id, state=state):
        values = (getattr(item, name) for name in RecipientOut.model_fields)
        yield [value.isoformat() if hasattr(value, "isoformat") else value for value in values]
