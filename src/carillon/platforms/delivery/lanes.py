"""Lanes: the gate of each campaign. Only the messages of a running lane are read and authorised."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from carillon.events import outbox
from carillon.events.catalog.platforms import LaneChanged
from carillon.kernel.clock import SystemClock
from carillon.storage.database import Tx

from .contracts import MessageState
from .ledger import announce
from .models import OPEN, WAITING, lane
from .outgoing import wake

_CLOSE_SLICE = 10_000

# Account by account and by phase, as the working indexes go: else every slice would look at all messages of the
# campaign again. A subquery with a LIMIT and locks may run more than once in a join; a materialized one runs once.
_CANCEL = {
    state: f"""
WITH slice AS MATERIALIZED (
    SELECT m.id FROM platforms.account a JOIN platforms.message m ON m.account_id = a.id
    WHERE a.tenant_id = :tenant AND m.tenant_id = :tenant AND m.lane = :lane AND m.phase = {phase}
      AND m.state = '{state}'
    LIMIT :slice FOR UPDATE OF m
)
UPDATE platforms.message m SET state = 'cancelled', reason = 'campaign_cancelled'
FROM slice WHERE m.tenant_id = :tenant AND m.id = slice.id
RETURNING m.id, m.account_id, m.contact_id, m.lane, m.kind, m.state, m.reason, m.platform_id
"""  # noqa: S608 - constants
    for state, phase in ((MessageState.QUEUED, OPEN), (MessageState.HELD, WAITING))
}


async def open_lane(tx: Tx, campaign_id: UUID) -> None:
    """Let the campaign's due messages go."""
    await _set(tx, campaign_id, "running")
    await wake(tx)


async def pause_lane(tx: Tx, campaign_id: UUID) -> None:
    """Let nothing of the campaign enter `sending` once this has committed."""
    await _set(tx, campaign_id, "paused")


async def close_lane(tx: Tx, campaign_id: UUID) -> bool:
    """Cancel the campaign's next unsent messages; False when there are none left.

    Call it in a transaction of its own until it returns False, so that none of them runs long.
    """
    await _set(tx, campaign_id, "closed")
    cancelled = await _cancel(tx, campaign_id, MessageState.QUEUED, _CLOSE_SLICE)
    if cancelled < _CLOSE_SLICE:
        cancelled += await _cancel(tx, campaign_id, MessageState.HELD, _CLOSE_SLICE - cancelled)
    return cancelled == _CLOSE_SLICE


async def _cancel(tx: Tx, campaign_id: UUID, state: MessageState, slice_: int) -> int:
    values = {"tenant": tx.tenant, "lane": campaign_id, "slice": slice_}
    rows = await tx.all(_CANCEL[state], values)
    await announce(tx, rows)
    return len(rows)


async def _set(tx: Tx, campaign_id: UUID, state: str) -> None:
    now = SystemClock().now()
    statement = insert(lane).values(tenant_id=tx.tenant, id=campaign_id, state=state, updated_at=now)
    changed = await tx.scalar(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "id"],
            set_={"state": state, "updated_at": now},
            where=lane.c.state != state,
        ).returning(lane.c.id)
    )
    if changed is not None:
        await outbox.append(tx, LaneChanged(campaign_id=campaign_id, state=state))
