"""The rows of imports: state, counts and position."""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, insert, select

from carillon.audience.contacts.contracts import Import, ImportStatus
from carillon.audience.contacts.errors import ImportNotFound
from carillon.audience.contacts.models import contact_import
from carillon.audience.contacts.readers import Position
from carillon.storage.database import Tx

COUNTS = ("rows", "created", "updated", "skipped", "duplicates", "rejected", "warnings", "opted_out", "unsendable")
ENDED = (ImportStatus.DONE, ImportStatus.FAILED, ImportStatus.CANCELLED)

_HIDDEN = ("tenant_id", "blob_key", "position", "created_by")
_SHOWN = [column for column in contact_import.c if column.name not in _HIDDEN]


async def add(tx: Tx, import_id: UUID, values: Mapping[str, Any]) -> None:
    """A new import."""
    await tx.execute(insert(contact_import).values(tenant_id=tx.tenant, id=import_id, **values))


async def get(tx: Tx, import_id: UUID, *, lock: bool = False) -> Import:
    """An import of the tenant.

    Raises:
        ImportNotFound: There is none.
    """
    query = select(*_SHOWN).where(contact_import.c.tenant_id == tx.tenant, contact_import.c.id == import_id)
    row = await tx.first(query.with_for_update() if lock else query)
    if row is None:
        raise ImportNotFound
    return _to_import(row)


async def list_imports(tx: Tx, *, limit: int, before: UUID | None) -> list[Import]:
    """Imports, newest first."""
    query = select(*_SHOWN).where(contact_import.c.tenant_id == tx.tenant)
    if before is not None:
        query = query.where(contact_import.c.id < before)
    return [_to_import(row) for row in await tx.all(query.order_by(contact_import.c.id.desc()).limit(limit))]


async def change(tx: Tx, import_id: UUID, values: Mapping[str, Any]) -> None:
    """Set columns of an import."""
    await tx.execute(
        contact_import.update()
        .where(contact_import.c.tenant_id == tx.tenant, contact_import.c.id == import_id)
        .values(**values)
    )


async def whereabouts(tx: Tx, import_id: UUID) -> tuple[str, Position | None, UUID | None]:
    """The file's key, the position after the last committed batch, and who started it."""
    row = await tx.first(
        select(contact_import.c.blob_key, contact_import.c.position, contact_import.c.created_by).where(
            contact_import.c.tenant_id == tx.tenant, contact_import.c.id == import_id
        )
    )
    if row is None:
        raise ImportNotFound
    return row["blob_key"], load_position(row["position"]), row["created_by"]


async def advance(
    tx: Tx, import_id: UUID, *, start: Position | None, end: Position, done_bytes: int, counts: Counter[str]
) -> bool:
    """Move on past a batch, in its own transaction: the batch is written exactly once.

    Returns:
        False when the import is not where this batch starts, or was cancelled: the batch must not be written.
    """
    sums = ", ".join(f"{name} = {name} + :{name}" for name in COUNTS)
    result = await tx.execute(
        f"UPDATE audience.contact_import SET position = CAST(:end AS jsonb), done_bytes = :bytes, {sums} "  # noqa: S608 - names of ours
        "WHERE tenant_id = :tenant AND id = :id AND status = 'running' AND NOT cancel_requested "
        "AND position IS NOT DISTINCT FROM CAST(:start AS jsonb)",
        {
            "tenant": tx.tenant,
            "id": import_id,
            "start": dump_position(start),
            "end": dump_position(end),
            "bytes": done_bytes,
            **{name: counts[name] for name in COUNTS},
        },
    )
    return bool(result.rowcount)


def dump_position(position: Position | None) -> str | None:
    """As JSON."""
    if position is None:
        return None
    values = {"offset": position.offset, "number": position.number, "section": position.section}
    return orjson.dumps(values).decode()


def load_position(stored: Mapping[str, Any] | None) -> Position | None:
    """From JSON."""
    return None if stored is None else Position(**stored)


def _to_import(row: RowMapping) -> Import:
    return Import(**{**row, "status": ImportStatus(row["status"])})
