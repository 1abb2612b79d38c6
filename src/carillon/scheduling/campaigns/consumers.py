"""What campaigns learn from events."""

from collections.abc import Sequence

from carillon.events.catalog.consents import ContactOptedOut
from carillon.events.catalog.platforms import (
    AccountStateChanged,
    CampaignMessagesSent,
    InboundReceived,
    MessageChanged,
)
from carillon.events.consumer import Consumer, Recorded
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import api


async def count_outcomes(_resources: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
    """Messages taken and refused."""
    await api.count_outcomes(tx, events)


async def count_answers(_resources: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
    """Replies and opt-outs."""
    await api.count_answers(tx, events)


async def count_restrictions(_resources: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
    """Accounts lost."""
    await api.count_restrictions(tx, events)


consumers = (
    Consumer(
        "scheduling.campaigns.outcomes",
        (MessageChanged, CampaignMessagesSent),
        count_outcomes,
        batch=2_000,
        # What was before stands in the rows already: the migration that made the columns counted it.
        start="now",
    ),
    Consumer("scheduling.campaigns.answers", (InboundReceived, ContactOptedOut), count_answers),
    Consumer("scheduling.campaigns.restrictions", (AccountStateChanged,), count_restrictions),
)
