"""When two people turn out to be one: their conversations become one per account, or go back again."""

from uuid import UUID

from sqlalchemy import and_, update

from carillon.events import outbox
from carillon.events.catalog.conversations import ConversationUpdated
from carillon.storage.database import Tx

from . import repository
from .contracts import Conversation, Status
from .models import conversation, draft, note


async def merge_people(tx: Tx, *, winner_id: UUID, loser_id: UUID) -> None:
    """Give the loser's conversations to the winner; where both have one on an account, they become one."""
    both = await repository.find_many(tx, conversation.c.contact_id.in_([winner_id, loser_id]))
    kept = {one.account_id: one for one in both if one.contact_id == winner_id}
    for one in both:
        if one.contact_id != loser_id:
            continue
        other = kept.get(one.account_id)
        if other is None:
            await repository.write(tx, one.id, {"contact_id": winner_id, "moved_from": loser_id})
            await _announce(tx, one.id)
        else:
            await _fold(tx, one, other)


async def unmerge_people(tx: Tx, *, winner_id: UUID, loser_id: UUID) -> None:
    """Give back the conversations that had only changed hands; two that became one stay one."""
    moved = and_(conversation.c.contact_id == winner_id, conversation.c.moved_from == loser_id)
    for one in await repository.find_many(tx, moved):
        await repository.write(tx, one.id, {"contact_id": loser_id, "moved_from": None})
        await _announce(tx, one.id)


async def _fold(tx: Tx, gone: Conversation, kept: Conversation) -> None:
    """Make two conversations one: the livelier status, the newer last message, all notes."""
    newer = gone if gone.last_at > kept.last_at else kept
    lively = min((gone, kept), key=lambda one: list(Status).index(one.status))
    values = {
        "status": lively.status.value,
        "snoozed_until": lively.snoozed_until,
        "assignee_id": kept.assignee_id or gone.assignee_id,
        "priority": max(kept.priority, gone.priority),
        "labels": list(dict.fromkeys([*kept.labels, *gone.labels])),
        "unread": kept.unread + gone.unread,
        "last_at": newer.last_at,
        "last_direction": newer.last_direction,
        "last_preview": newer.last_preview,
        "last_message_id": newer.last_message_id,
        "last_state": newer.last_state,
        "last_inbound_at": max(filter(None, (kept.last_inbound_at, gone.last_inbound_at)), default=None),
        "last_outbound_at": max(filter(None, (kept.last_outbound_at, gone.last_outbound_at)), default=None),
    }
    await tx.execute(
        update(note)
        .where(note.c.tenant_id == tx.tenant, note.c.conversation_id == gone.id)
        .values(conversation_id=kept.id)
    )
    await tx.execute(draft.delete().where(draft.c.tenant_id == tx.tenant, draft.c.id == gone.id))
    await tx.execute(conversation.delete().where(conversation.c.tenant_id == tx.tenant, conversation.c.id == gone.id))
    await repository.write(tx, kept.id, values)
    await _announce(tx, kept.id)


async def _announce(tx: Tx, conversation_id: UUID) -> None:
    await outbox.append(tx, ConversationUpdated(conversation_id=conversation_id, changed=("contact",)))
