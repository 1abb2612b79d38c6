"""What campaigns learn from events: outcomes, replies, opt-outs, accounts they lose. Run exactly once per event."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from carillon.events.catalog.consents import ContactOptedOut
from carillon.events.catalog.platforms import (
    AccountStateChanged,
    CampaignMessagesSent,
    InboundReceived,
    MessageChanged,
)
from carillon.events.consumer import Recorded
from carillon.platforms.connectors.port import AccountState
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.contracts import MessageState
from carillon.storage.database import Tx

from . import repository
from .contracts import CampaignState

_ATTRIBUTION = timedelta(days=7)
"""A reply or opt-out counts for the last campaign of so many days."""
_ELSEWHERE = {"import", "operator"}
"""Opt-outs from these sources say nothing about a campaign: a list of hundreds may come at once."""
_TAKEN = {MessageState.SENT, MessageState.DELIVERED, MessageState.READ}
_ATTEMPTED = _TAKEN | {MessageState.FAILED}
_LOST = {AccountState.RESTRICTED, AccountState.BANNED}


async def count_outcomes(tx: Tx, events: Sequence[Recorded]) -> None:
    """Count what platforms took and refused, so that the guards need not count messages."""
    attempted: Counter[UUID] = Counter()
    failed: Counter[UUID] = Counter()
    for recorded in events:
        event = recorded.event
        assert isinstance(event, MessageChanged | CampaignMessagesSent)
        if isinstance(event, CampaignMessagesSent):
            attempted[event.campaign_id] += sum(map(len, event.messages.values()))
        elif event.campaign_id is not None:
            # Without a state before, we settled it ourselves: it was on its way.
            attempted[event.campaign_id] += (event.state in _ATTEMPTED) - (event.before in _ATTEMPTED)
            failed[event.campaign_id] += (event.state == MessageState.FAILED) - (event.before == MessageState.FAILED)
    await repository.count_up(tx, "attempted", +attempted)
    # Less, when a message that was reported as failed arrives after all.
    await repository.count_up(tx, "failed", {one: count for one, count in failed.items() if count})


async def count_answers(tx: Tx, events: Sequence[Recorded]) -> None:
    """Count replies and opt-outs for the campaigns that brought them."""
    answers = [(event, one.occurred_at) for one in events if (event := _answer(one)) is not None]
    people = [(event.contact_id, at - _ATTRIBUTION) for event, at in answers]
    replies: Counter[UUID] = Counter()
    opt_outs: Counter[UUID] = Counter()
    for (event, _), campaign_id in zip(answers, await delivery.last_campaigns(tx, people), strict=True):
        if campaign_id is not None:
            (replies if isinstance(event, InboundReceived) else opt_outs)[campaign_id] += 1
    await repository.count_up(tx, "replies", replies)
    await repository.count_up(tx, "opt_outs", opt_outs)


def _answer(recorded: Recorded) -> InboundReceived | ContactOptedOut | None:
    event = recorded.event
    assert isinstance(event, InboundReceived | ContactOptedOut)
    return None if isinstance(event, ContactOptedOut) and event.source in _ELSEWHERE else event


async def count_restrictions(tx: Tx, events: Sequence[Recorded]) -> None:
    """Count the accounts that campaigns lose, each once however often its state changes."""
    lost = {
        recorded.event.account_id
        for recorded in events
        if isinstance(recorded.event, AccountStateChanged) and recorded.event.state in _LOST
    }
    if not lost:
        return
    for campaign in await repository.in_states(tx, [CampaignState.PLANNING, CampaignState.RUNNING]):
        every = sorted(lost | set(campaign.lost_accounts))
        restricted = await delivery.count_senders(tx, campaign.id, every)
        await repository.set_lost(tx, campaign.id, every, restricted)
