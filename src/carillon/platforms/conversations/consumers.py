"""What conversations learn from events: messages in both directions, and people who turn out to be one."""

from collections.abc import Sequence

from carillon.events.catalog.audience import ContactsMerged, ContactsUnmerged
from carillon.events.catalog.platforms import InboundReceived, MessageAccepted, MessageChanged
from carillon.events.consumer import Consumer, Recorded
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import api


async def follow_inbound(_resources: Resources, tx: Tx, recorded: Sequence[Recorded]) -> None:
    """In the order of events: a person may be merged between two of their messages."""
    waiting: list[Recorded] = []
    for one in recorded:
        if isinstance(one.event, InboundReceived):
            waiting.append(one)
            continue
        await api.received(tx, waiting)
        waiting = []
        match one.event:
            case ContactsMerged(winner_id=winner_id, loser_id=loser_id):
                await api.merge_people(tx, winner_id=winner_id, loser_id=loser_id)
            case ContactsUnmerged(winner_id=winner_id, loser_id=loser_id):
                await api.unmerge_people(tx, winner_id=winner_id, loser_id=loser_id)
    await api.received(tx, waiting)


async def follow_outbound(_resources: Resources, tx: Tx, recorded: Sequence[Recorded]) -> None:
    """Our own direct messages and their states."""
    await api.sent(tx, recorded)


consumers = (
    Consumer("platforms.conversations.inbound", (InboundReceived, ContactsMerged, ContactsUnmerged), follow_inbound),
    Consumer("platforms.conversations.outbound", (MessageAccepted, MessageChanged), follow_outbound),
)
