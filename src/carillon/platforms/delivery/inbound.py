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


Given = tuple[accounts.Account, Sequence[Update]]


async def accept(
    tx: Tx,
    resources: Resources,
    account: accounts.Account,
    updates: Sequence[Update],
    state: Mapping[str, bytes | None] | None = None,
) -> None:
    """Write the updates of one account and the connector's state.

    An update seen before changes nothing. An opt-out takes effect here, in the same transaction as the message
    that says it, so nothing is authorised for the person once this has committed. What cannot be understood is passed
    over: the connector would hand it in for ever, and no other update would come through.
    """
    await accept_many(tx, resources, [(account, updates)])
    if state:
        await accounts.save_sync(tx, account.id, state)


async def accept_many(tx: Tx, resources: Resources, given: Sequence[Given]) -> dict[int, str]:
    """`accept` for several accounts of the tenant, in the order given; a handful of statements for all messages.

    Returns:
        Why something was passed over, by its place in `given`.
    """
    try:
        await _accept(tx, resources, given)
    except AddressInvalid as error:
        return await _accept_halves(tx, resources, given, error)
    return {}


async def _accept_halves(tx: Tx, resources: Resources, given: Sequence[Given], error: AddressInvalid) -> dict[int, str]:
    """Find the one at fault; a stop word next to it is heeded all the same. What is written twice counts once."""
    if len(given) > 1:
        middle = len(given) // 2
        refused = await accept_many(tx, resources, given[:middle])
        later = await accept_many(tx, resources, given[middle:])
        return refused | {middle + place: why for place, why in later.items()}
    account, updates = given[0]
    if len(updates) > 1:
        middle = len(updates) // 2
        halves = [(account, updates[:middle]), (account, updates[middle:])]
        refused = await accept_many(tx, resources, halves)
        return {0: next(iter(refused.values()))} if refused else {}
    reason = error.data.get("reason")
    log.warning("update.refused", account=str(account.id), code=error.code, reason=reason)
    return {0: f"A sender was passed over: {error.message} ({reason})"}


async def _accept(tx: Tx, resources: Resources, given: Sequence[Given]) -> None:
    """Write all of it.

    Raises:
        AddressInvalid: A sender cannot be an address of its platform; some of what stands before it is written.
    """
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
                    await arrivals.store(tx, resources, waiting)
                    waiting = []
                    await _change(tx, resources, account, update)
    await arrivals.store(tx, resources, waiting)
    if reports:
        await statuses.merge(tx, reports)


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
