"""What delivery does when others change: an account's state holds or releases its messages."""

from collections.abc import Sequence

from carillon.events.catalog.platforms import AccountStateChanged
from carillon.events.consumer import Consumer, Recorded
from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import api


async def follow_accounts(_resources: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
    """Only the last state of each account counts."""
    last = {}
    for recorded in events:
        assert isinstance(recorded.event, AccountStateChanged)
        last[recorded.event.account_id] = recorded.event
    for event in last.values():
        await api.follow_account(tx, event.account_id, AccountState(event.state), event.reason)


consumers = (Consumer("platforms.delivery.accounts", (AccountStateChanged,), follow_accounts),)
