"""Lanes: the gate of each campaign. Only the messages of a running lane are read and authorised."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from carillon.events import outbox
from carillon.events.catalog.platforms import LaneChanged
from carillon.kernel.clock import SystemClock
from carillon.storage.database import Tx

from .contracts import MessageState
from .ledger import announce
from .models import lane, message
from .outgoing import wake

_CLOSE_SLICE = 10_000


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
    slice_ = (
        select(message.c.id)
        .where(
            message.c.tenant_id == tx.tenant,
            message.c.lane == campaign_id,
            message.c.kind == "campaign",
            message.c.state.in_([MessageState.QUEUED.value, MessageState.HELD.value]),
        )
        .limit(_CLOSE_SLICE)
        .with_for_update()
        .cte("next_slice")
        # Else PostgreSQL may run it more than once and take more than the slice.
        .prefix_with("MATERIALIZED")
    )
    changed = await tx.execute(
        update(message)
        .where(message.c.tenant_id == tx.tenant, message.c.id.in_(select(slice_.c.id)))
        .values(state=MessageState.CANCELLED.value, reason="campaign_cancelled")
        .returning(message)
    )
    rows = changed.mappings().all()
    await announce(tx, rows)
    return len(rows) == _CLOSE_SLICE


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
