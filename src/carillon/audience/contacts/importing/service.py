"""Imports as a person drives them: upload, map, try, start, watch, cancel."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_

from carillon.audience.contacts.columns import suggest_mapping
from carillon.audience.contacts.contracts import FieldDefinition, Import, ImportFault, ImportStatus
from carillon.audience.contacts.definitions import all_fields
from carillon.audience.contacts.errors import WrongImportState
from carillon.audience.contacts.models import import_fault
from carillon.audience.contacts.readers import open_reader
from carillon.audience.contacts.text import clean
from carillon.events import outbox
from carillon.events.catalog.audience import ImportFinished
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.storage import jobs, scratch
from carillon.storage.database import Database, Tx
from carillon.storage.resources import Resources

from . import store
from .files import fetch
from .options import FIELD, Options, check_mapping

RUN = "import.run"
CHECK = "import.check"

_SAMPLE_ROWS = 20
# Rows that the proposed mapping is read from: the more, the surer the order of dates.
_STUDIED_ROWS = 1_000
_PAGE = 1_000
_BEFORE_START = (ImportStatus.UPLOADED, ImportStatus.READY)


async def upload(
    tx: Tx,
    resources: Resources,
    subject: Subject,
    *,
    key: str,
    file_name: str,
    has_header: bool | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
) -> Import:
    """Take a file: find out what it is, and propose a mapping.

    Args:
        tx: The transaction.
        resources: For the file store.
        subject: Who brings it.
        key: Where it lies in the file store; from now on it is the import's to delete.
        file_name: What the person calls it; shown, never used as a path.
        has_header: Whether the first row names the columns; None refuses a first row of data.
        encoding: Python's name of the encoding, when detection was wrong.
        sheet: Name of the sheet in a workbook; the first visible one if None.

    Raises:
        UnreadableFile: It is not a file of contacts that can be read.
    """
    chosen = {"has_header": has_header, "forced_encoding": encoding, "sheet": sheet}
    with scratch.folder(resources.settings.data) as folder:
        path = folder / "file"
        await fetch(resources.blobs, key, path)
        size, found, rows = await asyncio.to_thread(_inspect, path, file_name, chosen)
    import_id = uuid7()
    values = {
        "file_name": clean(file_name)[:255] or "file",
        "blob_key": key,
        "size": size,
        "status": ImportStatus.UPLOADED.value,
        "format": found,
        "suggestion": _suggest(found["columns"], rows, await all_fields(tx)),
        "created_by": subject.id,
    }
    await store.add(tx, import_id, values)
    return await store.get(tx, import_id)


def _inspect(path: Path, file_name: str, chosen: Mapping[str, Any]) -> tuple[int, dict[str, Any], list[list[str]]]:
    reader = open_reader(
        path,
        name=file_name,
        has_header=chosen["has_header"],
        encoding=chosen["forced_encoding"],
        sheet=chosen["sheet"],
    )
    batch = next(reader.batches(size=_STUDIED_ROWS), None)
    rows = batch.rows if batch else []
    found = {
        **chosen,
        "kind": reader.kind.value,
        "encoding": reader.encoding,
        "delimiter": reader.dialect and reader.dialect.delimiter,
        "columns": list(reader.columns),
        "sample": rows[:_SAMPLE_ROWS],
        "estimated_rows": reader.estimate_rows(),
    }
    return path.stat().st_size, found, rows


def _suggest(
    columns: Sequence[str], sample: Sequence[Sequence[str]], fields: Mapping[str, FieldDefinition]
) -> dict[str, Any]:
    """The proposed mapping; columns that could only be custom fields which do not exist yet are left to the person."""
    found = suggest_mapping(columns, sample)
    targets = {columns[index]: str(target) for index, target in found.targets.items()}
    known = {
        column: target
        for column, target in targets.items()
        if not target.startswith(FIELD) or target.removeprefix(FIELD) in fields
    }
    return {
        "mapping": known,
        "unmapped": [column for column in columns if column not in known],
        "date_orders": {columns[index]: str(order) for index, order in found.date_orders.items()},
        "assumed_orders": [columns[index] for index in sorted(found.assumed_orders)],
    }


async def configure(tx: Tx, import_id: UUID, options: Options) -> Import:
    """Set mapping and rules; an earlier dry run's report no longer holds.

    Raises:
        ImportNotFound, WrongImportState: There is no such import, or it has begun.
        MappingInvalid: The options do not fit the file or the tenant's fields.
    """
    found = await _in_state(tx, import_id, *_BEFORE_START)
    check_mapping(options.mapping, found.format["columns"], await all_fields(tx))
    if not options.date_orders:
        options = replace(options, date_orders=found.suggestion["date_orders"])
    values = {"options": options.dump(), "status": ImportStatus.READY.value, "report": {}}
    await store.change(tx, import_id, values)
    return await store.get(tx, import_id)


async def check(tx: Tx, import_id: UUID) -> Import:
    """Begin a dry run: the whole file is read and matched, nothing is written but the report.

    Raises:
        ImportNotFound, WrongImportState: There is no such import, or it is not ready.
    """
    await _in_state(tx, import_id, ImportStatus.READY)
    await store.change(tx, import_id, {"status": ImportStatus.CHECKING.value, "cancel_requested": False, "report": {}})
    await jobs.enqueue(tx, CHECK, {"import_id": str(import_id)}, dedupe_key=str(import_id))
    return await store.get(tx, import_id)


async def start(tx: Tx, import_id: UUID) -> Import:
    """Begin the import.

    Raises:
        ImportNotFound, WrongImportState: There is no such import, or it is not ready.
    """
    await _in_state(tx, import_id, ImportStatus.READY)
    await store.change(tx, import_id, {"status": ImportStatus.QUEUED.value})
    await jobs.enqueue(tx, RUN, {"import_id": str(import_id)}, dedupe_key=str(import_id))
    return await store.get(tx, import_id)


async def cancel(tx: Tx, import_id: UUID, resources: Resources) -> Import:
    """Stop an import: at once, or behind the batch that is being written; what was written stays.

    Raises:
        ImportNotFound, WrongImportState: There is no such import, or it has ended.
    """
    found = await store.get(tx, import_id, lock=True)
    if found.status in store.ENDED:
        raise WrongImportState(status=found.status.value)
    if found.status is ImportStatus.RUNNING:
        await store.change(tx, import_id, {"cancel_requested": True})
    elif found.status is ImportStatus.CHECKING:
        await store.change(tx, import_id, {"cancel_requested": True, "status": ImportStatus.READY.value})
    else:
        now = resources.clock.now()
        await store.change(tx, import_id, {"status": ImportStatus.CANCELLED.value, "finished_at": now})
        ended = ImportFinished(import_id=import_id, status="cancelled", created=0, updated=0, rejected=0)
        await outbox.append(tx, ended)
        await resources.blobs.delete((await store.whereabouts(tx, import_id))[0])
    return await store.get(tx, import_id)


async def get_import(tx: Tx, import_id: UUID) -> Import:
    """An import of the tenant.

    Raises:
        ImportNotFound: There is none.
    """
    return await store.get(tx, import_id)


async def list_imports(tx: Tx, page: PageRequest) -> Page[Import]:
    """Imports, newest first."""
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    rows = await store.list_imports(tx, limit=page.limit + 1, before=before)
    items = rows[: page.limit]
    return Page(items, encode_cursor(str(items[-1].id)) if len(rows) > page.limit else None)


async def list_faults(tx: Tx, import_id: UUID, page: PageRequest) -> Page[ImportFault]:
    """Faults of an import in the order of its rows.

    Raises:
        ImportNotFound: There is no such import.
    """
    await store.get(tx, import_id)
    after = decode_cursor(page.cursor, int, UUID) if page.cursor else None
    rows = await _faults(tx, import_id, after=after, limit=page.limit + 1)
    items = rows[: page.limit]
    cursor = encode_cursor(items[-1].row, str(items[-1].id)) if len(rows) > page.limit else None
    return Page(items, cursor)


def fault_columns(found: Import) -> list[str]:
    """The titles of `fault_rows`."""
    return ["row", "byte", "kind", "code", "field", "text", *found.format["columns"]]


async def fault_rows(database: Database, tenant_id: UUID, found: Import) -> AsyncIterator[list[Any]]:
    """The error rows for a file: where, why, and the values as they were read; opens its own transactions."""
    after: tuple[Any, ...] | None = None
    while True:
        async with database.transaction(tenant_id) as tx:
            faults = await _faults(tx, found.id, after=after, limit=_PAGE)
        if not faults:
            return
        for fault in faults:
            where_and_why = [fault.row, fault.byte, fault.kind, fault.code, fault.field, fault.text]
            yield [*where_and_why, *_original(fault, found.format["columns"])]
        after = (faults[-1].row, faults[-1].id)


def _original(fault: ImportFault, columns: Sequence[str]) -> list[Any]:
    """The row's cells; a row that could not be cut into cells stands whole in the first."""
    if any(column in fault.raw for column in columns):
        return [fault.raw.get(column) for column in columns]
    return [fault.raw.get("row"), *([None] * (len(columns) - 1))]


async def _faults(tx: Tx, import_id: UUID, *, after: tuple[Any, ...] | None, limit: int) -> list[ImportFault]:
    shown = [column for column in import_fault.c if column.name not in ("tenant_id", "import_id")]
    query = select(*shown).where(import_fault.c.tenant_id == tx.tenant, import_fault.c.import_id == import_id)
    if after is not None:
        query = query.where(tuple_(import_fault.c.row, import_fault.c.id) > after)
    rows = await tx.all(query.order_by(import_fault.c.row, import_fault.c.id).limit(limit))
    return [ImportFault(**row) for row in rows]


async def _in_state(tx: Tx, import_id: UUID, *wanted: ImportStatus) -> Import:
    found = await store.get(tx, import_id, lock=True)
    if found.status not in wanted:
        raise WrongImportState(status=found.status.value, wanted=[status.value for status in wanted])
    return found
