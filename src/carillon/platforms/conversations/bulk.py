"""Many conversations at once, and taking it back."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import insert, select, update

from carillon.events import outbox
from carillon.identity.audit import api as audit
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import repository
from .changes import events_of, load, store
from .contracts import Act, ActKind, BulkDone, ConversationFilter
from .errors import ActionNotFound, AlreadyUndone, BadAct, TooMany
from .models import action, conversation
from .service import apply, checked

MOST = 10_000
"""Conversations in one act: one transaction must stay short."""

_KEPT = timedelta(days=30)


async def act_on_many(
    tx: Tx,
    subject: Subject,
    what: Act,
    *,
    ids: Sequence[UUID] | None = None,
    matching: ConversationFilter | None = None,
) -> BulkDone:
    """Do something to the named conversations, or to all that match a filter.

    Raises:
        BadAct: A parameter is missing or not valid, or not exactly one of `ids` and `matching` was given.
        TooMany: More than `MOST` match.
    """
    if (ids is None) == (matching is None):
        raise BadAct("Give either ids or a filter.", place="field ids")
    what = await checked(tx, what)
    target = conversation.c.id.in_(list(ids or ())) if matching is None else repository.matches(tx, matching)
    found = await repository.find_many(tx, target, MOST + 1)
    if len(found) > MOST:
        raise TooMany(most=MOST)
    changes = await apply(tx, found, what, subject.id, cause="operator")
    before = [
        {
            "id": str(one.id),
            "before": store({name: getattr(one, name) for name in changes[one.id]}),
            "after": store(changes[one.id]),
        }
        for one in found
        if one.id in changes
    ]
    action_id = uuid7()
    await tx.execute(
        insert(action).values(
            tenant_id=tx.tenant,
            id=action_id,
            kind=what.kind.value,
            before=before,
            count=len(before),
            created_by=subject.id,
        )
    )
    details = {"kind": what.kind.value, "count": len(before)}
    await audit.record(tx, subject, "conversations.changed", action_id, details)
    return BulkDone(action_id, len(found), len(before))


async def undo(tx: Tx, subject: Subject, action_id: UUID) -> BulkDone:
    """Bring conversations back to what they were before a bulk act; those changed again since stay as they are.

    Raises:
        ActionNotFound: There is none, or it is older than 30 days.
        AlreadyUndone: It was undone before.
    """
    chosen = (action.c.tenant_id == tx.tenant) & (action.c.id == action_id)
    row = await tx.first(select(action).where(chosen).with_for_update())
    if row is None:
        raise ActionNotFound
    if row["undone_at"] is not None:
        raise AlreadyUndone
    entries = {UUID(entry["id"]): entry for entry in row["before"]}
    found = await repository.find_many(tx, conversation.c.id.in_(list(entries)))
    back = {}
    told = []
    for one in found:
        before, after = (load(entries[one.id][key]) for key in ("before", "after"))
        if all(getattr(one, name) == value for name, value in after.items()):
            back[one.id] = store(before)
            told += events_of(one, before, subject.id, "operator")
    await repository.write_many(tx, back)
    await outbox.append(tx, *told)
    await tx.execute(update(action).where(chosen).values(undone_at=datetime.now(UTC)))
    await audit.record(tx, subject, "conversations.change_undone", action_id, {"count": len(back)})
    return BulkDone(action_id, len(entries), len(back))


async def wake(resources: Resources) -> None:
    """Open snoozed conversations that are due, of all tenants."""
    due = (conversation.c.status == "snoozed") & (conversation.c.snoozed_until <= datetime.now(UTC))
    while True:
        async with resources.database.across_tenants() as tx:
            query = select(conversation.c.tenant_id).where(due).distinct().limit(100)
            tenants = [row["tenant_id"] for row in await tx.all(query)]
        if not tenants:
            return
        for tenant_id in tenants:
            async with resources.database.transaction(tenant_id) as tx:
                found = await repository.find_many(tx, due, MOST)
                await apply(tx, found, Act(ActKind.REOPEN), None, cause="snooze_over")


async def tidy(resources: Resources) -> None:
    """Forget bulk acts that nobody will take back any more."""
    async with resources.database.across_tenants() as tx:
        await tx.execute(action.delete().where(action.c.created_at < datetime.now(UTC) - _KEPT))
