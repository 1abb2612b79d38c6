"""What comes in: made durable, with all it entails, in one transaction; only then may it be acknowledged."""

from collections.abc import Mapping, Sequence

import structlog

from carillon.audience.consents import api as consents
from carillon.audience.contacts import api as contacts
from carillon.audience.contacts.errors import AddressInvalid
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.port import (
    AccountUpdate,
    Blocked,
    InboundMessage,
    Platform,
    StatusUpdate,
    Update,
)
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import arrivals, distrust, statuses
from .arrivals import Arrival, address_kind

log = structlog.get_logger(__name__)


async def accept(
    tx: Tx,
    resources: Resources,
    account: accounts.Account,
    updates: Sequence[Update],
    state: Mapping[str, bytes | None] | None = None,
) -> int:
    """Write the updates of one account and the connector's state; returns how many messages were new.

    An update seen before changes nothing. An opt-out takes effect here, in the same transaction as the message
    that says it, so nothing is authorised for the person once this has committed. What cannot be understood is passed
    over: the connector would hand it in for ever, and no other update would come through.
    """
    try:
        new = await accept_many(tx, resources, [(account, updates)])
    except AddressInvalid:
        new = 0
        for update in updates:
            new += await _accept_one(tx, resources, account, update)
    if state:
        await accounts.save_sync(tx, account.id, state)
    return new


async def _accept_one(tx: Tx, resources: Resources, account: accounts.Account, update: Update) -> int:
    try:
        return await accept_many(tx, resources, [(account, [update])])
    except AddressInvalid as error:
        log.warning("update.refused", account=str(account.id), code=error.code, reason=error.data.get("reason"))
        return 0


async def accept_many(tx: Tx, resources: Resources, given: Sequence[tuple[accounts.Account, Sequence[Update]]]) -> int:
    """`accept` for several accounts of the tenant, in the order given; a handful of statements for all messages.

    Raises:
        AddressInvalid: A sender cannot be an address of its platform. A webhook's call is kept and can be replayed.
    """
    new = 0
    waiting: list[Arrival] = []
    reports: list[statuses.Report] = []
    for account, updates in given:
        for update in distrust.updates(updates, resources.clock.now()):
            match update:
                case InboundMessage():
                    waiting.append(Arrival(account, update))
                case StatusUpdate():
                    reports.append((account.id, update))
                case Blocked() | AccountUpdate():
                    # What was said before it must be written before it: the later of a START and a block stands.
                    new += await arrivals.store(tx, resources, waiting)
                    waiting = []
                    await _change(tx, resources, account, update)
    new += await arrivals.store(tx, resources, waiting)
    if reports:
        await statuses.merge(tx, reports)
    return new


async def _change(tx: Tx, resources: Resources, account: accounts.Account, update: Blocked | AccountUpdate) -> None:
    if isinstance(update, Blocked):
        await _blocked(tx, resources, account, update)
        return
    await accounts.change_state(tx, account.id, update.state, update.reason, wait=update.retry_after, at=update.at)


async def _blocked(tx: Tx, resources: Resources, account: accounts.Account, update: Blocked) -> None:
    platform = Platform(account.platform)
    kind = address_kind(platform, update.peer)
    contact = await contacts.resolve(tx, vault=resources.vault, platform=platform.value, kind=kind, value=update.peer)
    await consents.opt_out(
        tx, resources.vault, contact.id, source="platform", proof=f"blocked account {account.id}", at=update.at
    )
