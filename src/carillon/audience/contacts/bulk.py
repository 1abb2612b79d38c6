"""Tags for many contacts in one statement, with undo."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from carillon.events import outbox
from carillon.events.catalog.audience import ContactsTagged
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx

from .contracts import BulkAction
from .details import check_tags
from .errors import AlreadyUndone, BulkActionNotFound
from .models import bulk_action

TAG = "tag"
UNTAG = "untag"

_SHOWN = [column for column in bulk_action.c if column.name not in ("tenant_id", "contact_ids", "created_by")]

_ADD = """
UPDATE audience.contact SET updated_at = now(),
    tags = (SELECT array_agg(DISTINCT t ORDER BY t) FROM unnest(tags || CAST(:tag AS text)) t)
WHERE tenant_id = :tenant AND id = ANY(:ids) AND merged_into IS NULL AND erased_at IS NULL
    AND NOT tags @> ARRAY[CAST(:tag AS text)]
RETURNING id
"""

_REMOVE = """
UPDATE audience.contact SET updated_at = now(), tags = array_remove(tags, CAST(:tag AS text))
WHERE tenant_id = :tenant AND id = ANY(:ids) AND merged_into IS NULL AND erased_at IS NULL
    AND tags @> ARRAY[CAST(:tag AS text)]
RETURNING id
"""


async def tag_contacts(
    tx: Tx, subject: Subject, *, tag: str, chosen: Select[tuple[UUID]] | Sequence[UUID], remove: bool = False
) -> BulkAction:
    """Give a tag to contacts, or take it from them.

    Args:
        tx: The transaction.
        subject: Who does it.
        tag: One tag.
        chosen: Ids, or a query of ids such as a segment's.
        remove: Take it instead.

    Raises:
        DetailInvalid: The tag is not valid.
    """
    (tag,) = check_tags([tag])
    ids = await _ids(tx, chosen)
    changed = await _change(tx, _REMOVE if remove else _ADD, tag, ids)
    action_id = uuid7()
    await tx.execute(
        bulk_action.insert().values(
            tenant_id=tx.tenant,
            id=action_id,
            kind=UNTAG if remove else TAG,
            tag=tag,
            contact_ids=changed,
            count=len(changed),
            created_by=subject.id,
        )
    )
    event = ContactsTagged(action_id=action_id, tag=tag, added=not remove, count=len(changed))
    await outbox.append(tx, event)
    return await _get(tx, action_id)


async def undo_bulk_action(tx: Tx, action_id: UUID) -> BulkAction:
    """Revert an action on the contacts it changed, as far as they have not been changed back since.

    Raises:
        BulkActionNotFound, AlreadyUndone: There is nothing to undo.
    """
    row = await tx.first(
        select(bulk_action).where(bulk_action.c.tenant_id == tx.tenant, bulk_action.c.id == action_id).with_for_update()
    )
    if row is None:
        raise BulkActionNotFound
    if row["undone_at"] is not None:
        raise AlreadyUndone
    added = row["kind"] == UNTAG
    changed = await _change(tx, _ADD if added else _REMOVE, row["tag"], row["contact_ids"])
    await tx.execute(
        "UPDATE audience.bulk_action SET undone_at = now() WHERE tenant_id = :tenant AND id = :id",
        {"tenant": tx.tenant, "id": action_id},
    )
    event = ContactsTagged(action_id=action_id, tag=row["tag"], added=added, count=len(changed))
    await outbox.append(tx, event)
    return await _get(tx, action_id)


async def list_bulk_actions(tx: Tx, page: PageRequest) -> Page[BulkAction]:
    """Bulk actions, newest first."""
    query = select(*_SHOWN).where(bulk_action.c.tenant_id == tx.tenant)
    if page.cursor:
        query = query.where(bulk_action.c.id < decode_cursor(page.cursor, UUID)[0])
    rows = await tx.all(query.order_by(bulk_action.c.id.desc()).limit(page.limit + 1))
    items = [BulkAction(**row) for row in rows[: page.limit]]
    return Page(items, encode_cursor(str(items[-1].id)) if len(rows) > page.limit else None)


async def list_tags(tx: Tx) -> list[tuple[str, int]]:
    """The tenant's tags and how many contacts have each, the most used first."""
    rows = await tx.all(
        "SELECT tag, count(*) AS count FROM audience.contact, unnest(tags) AS tag "
        "WHERE tenant_id = :tenant AND merged_into IS NULL AND erased_at IS NULL "
        "GROUP BY tag ORDER BY count(*) DESC, tag LIMIT 1000",
        {"tenant": tx.tenant},
    )
    return [(row["tag"], row["count"]) for row in rows]


async def _ids(tx: Tx, chosen: Select[tuple[UUID]] | Sequence[UUID]) -> list[UUID]:
    """Locked in the order of ids, so that two bulk actions never wait for each other in a circle."""
    if not isinstance(chosen, Select):
        return sorted(set(chosen))
    return sorted({row[0] for row in (await tx.execute(chosen)).all()})


async def _change(tx: Tx, statement: str, tag: str, ids: Sequence[UUID]) -> list[UUID]:
    lock = "SELECT id FROM audience.contact WHERE tenant_id = :tenant AND id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE"
    values: dict[str, Any] = {"tenant": tx.tenant, "ids": list(ids)}
    await tx.execute(f"SELECT count(*) FROM ({lock}) locked", values)  # noqa: S608 - a constant
    rows = await tx.execute(statement, {**values, "tag": tag})
    return [row[0] for row in rows.all()]


async def _get(tx: Tx, action_id: UUID) -> BulkAction:
    row = await tx.first(select(*_SHOWN).where(bulk_action.c.tenant_id == tx.tenant, bulk_action.c.id == action_id))
    if row is None:
        raise BulkActionNotFound
    return BulkAction(**row)
