"""Every call of the machines into the send ledger, in one place: what the ledger's functions are named is said here."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from carillon.audience.consents import standing
from carillon.audience.contacts import senders
from carillon.events import repository as events
from carillon.events.consumer import Recorded
from carillon.kernel.ids import uuid7
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.port import StatusUpdate
from carillon.platforms.delivery import api, arrivals, holding, inbound, leases, ledger, planner, repository, statuses
from carillon.platforms.delivery.contracts import DIRECT_LANE, Lease, MessageState, Plan
from carillon.platforms.delivery.ledger import Ready
from carillon.platforms.delivery.repository import DueRow, Outcome
from carillon.scheduling.campaigns import planning, watching
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

__all__ = ["AUTHORISE", "CLAIM", "Lease", "Ready", "Tx", "api", "leases"]

# Where faults are planted.
CLAIM = leases.claim
HELD = leases.held
AUTHORISE = ledger.authorise
REFUSAL = ledger._refusal
STRAYED = ledger._strayed
RUNNING_LANES = repository.running_lanes
MEMBERS = planner._members
PLACED = planner._placed
HEED = arrivals._stop
SLICE = planning._slice
LOOK = watching._look
RETURNING = senders._row
SWEEP = holding.sweep
SETTLE = ledger.settle
STANDING_TEXT = (standing, "_LOCKED")
SETTLE_SENT_TEXT = (repository, "_SETTLE_SENT")
STATUS_TEXT = (statuses, "_APPLY")


async def enlist(tx: Tx, name: str) -> UUID:
    """A new worker."""
    worker = uuid7()
    await leases.enlist(tx, worker, name)
    return worker


async def due(tx: Tx, account: UUID, most: int = 100) -> list[DueRow]:
    """What the account's owner reads next."""
    return await repository.due(tx, [(tx.tenant, account, most)])


async def authorise(tx: Tx, worker: UUID, rows: Sequence[DueRow], epochs: dict[UUID, int], at: datetime) -> list[Ready]:
    """The rows that may go on the wire now; they are in `sending`."""
    return await ledger.authorise(tx, worker, rows, epochs, at) if rows else []


async def recheck(tx: Tx, worker: UUID, flying: Sequence[Ready], at: datetime) -> list[Ready]:
    """Of messages to be sent again, those that still may be."""
    return await ledger.recheck(tx, worker, flying, at)


async def recover(tx: Tx, lease: Lease) -> list[Ready]:
    """Take over what an earlier owner left in flight, on a platform that de-duplicates."""
    return await ledger.recover(tx, lease, deduplicates=True)


async def settle(tx: Tx, message: UUID, epoch: int, state: MessageState, **values: Any) -> bool:
    """What the dispatcher does with the outcome of one attempt; whether the row was ours to change."""
    outcome = Outcome(message, epoch, state, **values)
    if state is not MessageState.SENT:
        changed = await repository.settle(tx, [outcome])
        await ledger.announce(tx, changed)
        return bool(changed)
    found = await api.get(tx, message)
    lane = found.campaign_id or DIRECT_LANE
    row = DueRow(
        tx.tenant,
        message,
        found.account_id,
        found.contact_id,
        lane,
        found.platform,
        found.peer,
        found.kind,
        None,
        None,
        None,
    )
    sent, early = await ledger.settle(tx, [(Ready(row, "", epoch), outcome)])
    if early and sent and outcome.platform_id:
        await statuses.merge_early(tx, {(found.account_id, outcome.platform_id): message})
    return bool(sent)


async def read_events(tx: Tx, after: tuple[int, int], types: Sequence[str]) -> list[Recorded]:
    """All events of the tenant after a place, in commit order."""
    return [event.read() for event in await events.read_events(tx, after, 2**62, types, 10_000)]


async def report(tx: Tx, account: UUID, updates: Sequence[StatusUpdate]) -> None:
    """Statuses of a platform come in."""
    await statuses.merge(tx, [(account, update) for update in updates])


async def receive(tx: Tx, resources: Resources, account: UUID, update: Any) -> None:
    """Anything else comes in."""
    await inbound.accept(tx, resources, await accounts.get(tx, account), [update])


async def plan(tx: Tx, wanted: Plan) -> None:
    """Plan everybody at once and open the gate."""
    await api.write_contents(tx, wanted)
    await api.plan_slice(tx, wanted, None)
    await api.open_lane(tx, wanted.campaign_id)


def slices_of(size: int) -> Callable[..., Any]:
    """`plan_slice` with small slices."""

    async def plan_slice(tx: Tx, wanted: Plan, after: UUID | None) -> Any:
        return await planner.plan_slice(tx, wanted, after, size)

    return plan_slice
