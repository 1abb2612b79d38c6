"""What campaigns learn from events."""

from collections.abc import Sequence

from carillon.events.catalog.consents import ContactOptedOut
from carillon.events.catalog.platforms import AccountStateChanged, InboundReceived
from carillon.events.consumer import Consumer, Recorded
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import api


async def count_answers(_resources: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
    """Replies and opt-outs."""
    await api.count_answers(tx, events)


async def count_restrictions(_resources: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
    """Accounts lost."""
    await api.count_restrictions(tx, events)


consumers = (
    Consumer("scheduling.campaigns.answers", (InboundReceived, ContactOptedOut), count_answers),
    Consumer("scheduling.campaigns.restrictions", (AccountStateChanged,), count_restrictions),
)
