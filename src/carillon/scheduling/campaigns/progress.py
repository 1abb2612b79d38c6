"""How far a campaign is, as a whole and person by person."""

from collections.abc import AsyncIterator
from uuid import UUID

from carillon.audience.contacts import api as contacts
from carillon.kernel.paging import Page, PageRequest
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import MessageState
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .contracts import Campaign, Funnel, Recipient
from .service import get

_REACHED = {
    "sent": (MessageState.SENT, MessageState.DELIVERED, MessageState.READ),
    "delivered": (MessageState.DELIVERED, MessageState.READ),
    "read": (MessageState.READ,),
}
_AT_ONCE = 1_000
_NO_ACCOUNT = UUID(int=0)


async def funnel(tx: Tx, campaign_id: UUID) -> Funnel:
    """How far it is.

    Raises:
        CampaignNotFound: It is not there.
    """
    return await funnel_of(tx, await get(tx, campaign_id))


async def funnel_of(tx: Tx, campaign: Campaign) -> Funnel:
    """The same for a campaign at hand."""
    progress = await delivery.progress(tx, campaign.id)
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


def counts(campaign: Campaign) -> dict[str, int]:
    """What guards look at, since the start: counted from events, so that nobody counts a million rows every 5 s."""
    return {name: getattr(campaign, name) for name in ("attempted", "failed", "opt_outs", "restricted")}


async def every_recipient(
    resources: Resources, tenant_id: UUID, campaign_id: UUID, *, state: MessageState | None = None
) -> AsyncIterator[Recipient]:
    """All of `recipients`, in small transactions."""
    cursor: str | None = None
    while True:
        async with resources.database.transaction(tenant_id) as tx:
            found = await recipients(tx, campaign_id, PageRequest(_AT_ONCE, cursor), state=state)
        for item in found.items:
            yield item
        cursor = found.next_cursor
        if cursor is None:
            return


async def recipients(
    tx: Tx, campaign_id: UUID, page: PageRequest, *, state: MessageState | None = None
) -> Page[Recipient]:
    """The people of a campaign with what became of their messages, newest person first.

    Raises:
        CampaignNotFound: It is not there.
        BadCursor: The cursor is not ours.
    """
    await get(tx, campaign_id)
    found = await delivery.search(tx, page, campaign_id=campaign_id, state=state)
    people = await contacts.get_many(tx, [message.contact_id for message in found.items])
    items = [
        Recipient(
            message_id=message.id,
            contact_id=message.contact_id,
            name=people[message.contact_id].name if message.contact_id in people else "",
            platform=message.platform,
            peer=message.peer,
            account_id=message.account_id if message.account_id != _NO_ACCOUNT else None,
            variant=message.variant,
            state=message.state,
            reason=message.reason,
            reason_text=message.reason_text,
            due_at=message.due_at,
            sent_at=message.sent_at,
            delivered_at=message.delivered_at,
            read_at=message.read_at,
        )
        for message in found.items
    ]
    return Page(items, found.next_cursor)
