"""What accounts learn from events: a proxy that went down, and what their messages became."""

from collections.abc import Sequence

from carillon.events.catalog.accounts import ProxyStateChanged
from carillon.events.catalog.platforms import CampaignMessagesSent, InboundReceived, MessageChanged
from carillon.events.consumer import Consumer, Recorded
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import api


async def follow_proxies(_resources: Resources, tx: Tx, recorded: Sequence[Recorded]) -> None:
    """Move or park the accounts of proxies that cannot be used any more."""
    for one in recorded:
        match one.event:
            case ProxyStateChanged(proxy_id=proxy_id, state="down"):
                await api.leave_proxy(tx, proxy_id)
            case ProxyStateChanged(proxy_id=proxy_id, state="new"):
                await api.renew_proxy(tx, proxy_id)


async def count_messages(_resources: Resources, tx: Tx, recorded: Sequence[Recorded]) -> None:
    """Keep the days' counts."""
    await api.tally(tx, recorded)


consumers = (
    Consumer("platforms.accounts.proxies", (ProxyStateChanged,), follow_proxies),
    Consumer(
        "platforms.accounts.days", (MessageChanged, CampaignMessagesSent, InboundReceived), count_messages, batch=2_000
    ),
)
