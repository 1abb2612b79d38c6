"""What campaigns learn from events: replies, opt-outs, and accounts they lose. Run exactly once per event."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from carillon.events.catalog.consents import ContactOptedOut
from carillon.events.catalog.platforms import AccountStateChanged, InboundReceived
from carillon.events.consumer import Recorded
from carillon.platforms.connectors.port import AccountState
from carillon.platforms.delivery import api as delivery
from carillon.storage.database import Tx

from . import repository
from .contracts import CampaignState

_ATTRIBUTION = timedelta(days=7)
"""A reply or opt-out counts for the last campaign of so many days."""
_ELSEWHERE = {"import", "operator"}
"""Opt-outs from these sources say nothing about a campaign: a list of hundreds may come at once."""
_LOST = {AccountState.RESTRICTED, AccountState.BANNED}


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
