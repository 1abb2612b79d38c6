"""The import as a job: batch after batch, each with its position in one transaction, so that it can be killed anywhere.

Whoever runs it again goes on behind the last committed batch. Two at once do no harm: a batch moves the position
by compare-and-set, and the one that comes second stops.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from carillon.audience.consents.contracts import Actor
from carillon.audience.contacts.contracts import Import, ImportStatus
from carillon.audience.contacts.definitions import all_fields
from carillon.audience.contacts.readers import Position, Reader, UnreadableFile
from carillon.events import outbox
from carillon.events.catalog.audience import ContactsImported, ImportFinished, ImportProgressed, ImportStarted
from carillon.kernel.errors import CarillonError
from carillon.ops.memory import rare_collections
from carillon.storage import scratch
from carillon.storage.blobs import BlobMissing
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import store
from .apply import Applier, apply
from .batches import Prepared, read_ahead
from .consent import ConsentReader
from .files import bytes_done, fetch, open_stored
from .options import load_options
from .rows import RowReader
from .writing import Raced, store_faults

MOST_FAULTS = 100_000
"""Faults kept for download; beyond them they are only counted."""

_ATTEMPTS = 10
_RACES = (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class _Stopped(Exception):
    """This run has nothing more to do."""


async def run(resources: Resources, tenant_id: UUID, payload: Mapping[str, Any]) -> None:
    """Run an import to its end, from wherever it stands."""
    import_id = UUID(payload["import_id"])
    this = await _begin(resources, tenant_id, import_id)
    if this is None:
        await _remove_file(resources, tenant_id, import_id)
        return
    try:
        with scratch.folder(resources.settings.data) as folder, rare_collections():
            path = folder / "file"
            await fetch(resources.blobs, this.blob_key, path)
            await _run_file(this, path)
    except _Stopped:
        await _end_if_cancelled(this)
    except (UnreadableFile, BlobMissing) as error:
        await _end(this, ImportStatus.FAILED, describe(error))
    else:
        await _end(this, ImportStatus.DONE, None)


@dataclass(slots=True)
class _Run:
    """An import that is being run.

    Attributes:
        position: Behind the last committed batch.
        faults: How many it has had so far.
    """

    resources: Resources
    tenant_id: UUID
    found: Import
    blob_key: str
    position: Position | None
    actor: Actor
    faults: int

    def transaction(self) -> AbstractAsyncContextManager[Tx]:
        """A transaction inside the import's tenant."""
        return self.resources.database.transaction(self.tenant_id)


async def _begin(resources: Resources, tenant_id: UUID, import_id: UUID) -> _Run | None:
    async with resources.database.transaction(tenant_id) as tx:
        found = await store.get(tx, import_id, lock=True)
        if found.status not in {ImportStatus.QUEUED, ImportStatus.RUNNING}:
            return None
        resumed = found.status is ImportStatus.RUNNING
        if not resumed:
            now = resources.clock.now()
            await store.change(tx, import_id, {"status": ImportStatus.RUNNING.value, "started_at": now})
        await outbox.append(tx, ImportStarted(import_id=import_id, resumed=resumed))
        blob_key, position, created_by = await store.whereabouts(tx, import_id)
    actor = Actor("user", created_by) if created_by else Actor("system")
    faults = found.rejected + found.duplicates + found.warnings
    return _Run(resources, tenant_id, found, blob_key, position, actor, faults)


async def _run_file(this: _Run, path: Path) -> None:
    reader = await asyncio.to_thread(open_stored, path, this.found)
    async with this.transaction() as tx:
        applier, rows = await prepare_run(tx, this.resources, this.found, reader, this.actor)
    async with aclosing(read_ahead(reader, rows, this.position)) as batches:
        async for prepared in batches:
            this.faults += await _commit(this, applier, prepared)
            this.position = prepared.end


async def prepare_run(
    tx: Tx, resources: Resources, found: Import, reader: Reader, actor: Actor
) -> tuple[Applier, RowReader]:
    """What stays the same for all batches."""
    now = resources.clock.now()
    options = load_options(found.options)
    definitions = await all_fields(tx)
    consent = ConsentReader(options.consent, actor, now)
    applier = Applier(found.id, reader.columns, options, consent, resources.vault, actor, now)
    return applier, RowReader(reader.columns, options, definitions, now)


async def _commit(this: _Run, applier: Applier, prepared: Prepared) -> int:
    """Write one batch, again when somebody else wrote one of its addresses at the same moment; returns its faults."""
    # Matching leaves out what is somebody else's; it must be there again for the next attempt.
    addresses = [person.addresses for person in prepared.persons]
    for _ in range(_ATTEMPTS):
        try:
            async with this.transaction() as tx:
                return await _write(tx, this, applier, prepared)
        except (Raced, *_RACES):
            for person, kept in zip(prepared.persons, addresses, strict=True):
                person.addresses = kept
    raise Raced


async def _write(tx: Tx, this: _Run, applier: Applier, prepared: Prepared) -> int:
    outcome = await apply(tx, applier, prepared)
    counts = outcome.counts
    import_id, size = this.found.id, this.found.size
    done = bytes_done(this.found, prepared.end)
    moved = await store.advance(tx, import_id, start=this.position, end=prepared.end, done_bytes=done, counts=counts)
    if not moved:
        raise _Stopped
    await store_faults(tx, import_id, outcome.faults[: max(MOST_FAULTS - this.faults, 0)])
    imported = ContactsImported(import_id=import_id, created=counts["created"], updated=counts["updated"])
    rows = prepared.end.number
    progressed = ImportProgressed(import_id=import_id, rows=rows, done_bytes=done, size=size)
    await outbox.append(tx, imported, progressed)
    return len(outcome.faults)


async def _end_if_cancelled(this: _Run) -> None:
    async with this.transaction() as tx:
        cancelled = (await store.get(tx, this.found.id)).cancel_requested
    if cancelled:
        await _end(this, ImportStatus.CANCELLED, None)


async def _end(this: _Run, status: ImportStatus, error: dict[str, Any] | None) -> None:
    """Close the import, and remove the file: nothing needs it any more, and it is full of people."""
    async with this.transaction() as tx:
        found = await store.get(tx, this.found.id, lock=True)
        if found.status is not ImportStatus.RUNNING:
            return
        await _close(tx, found, status, error, at=this.resources.clock.now())
    await this.resources.blobs.delete(this.blob_key)


async def _remove_file(resources: Resources, tenant_id: UUID, import_id: UUID) -> None:
    """Of an import that has ended: whoever ended it may have died before the file was gone."""
    async with resources.database.transaction(tenant_id) as tx:
        ended = (await store.get(tx, import_id)).status in store.ENDED
        blob_key, _, _ = await store.whereabouts(tx, import_id)
    if ended:
        await resources.blobs.delete(blob_key)


async def _close(tx: Tx, found: Import, status: ImportStatus, error: dict[str, Any] | None, *, at: datetime) -> None:
    """Set the last status."""
    values: dict[str, Any] = {"status": status.value, "error": error, "finished_at": at}
    if status is ImportStatus.DONE:
        values["done_bytes"] = found.size
    await store.change(tx, found.id, values)
    event = ImportFinished(
        import_id=found.id,
        status=status.value,
        created=found.created,
        updated=found.updated,
        rejected=found.rejected,
    )
    await outbox.append(tx, event)


def describe(error: CarillonError) -> dict[str, Any]:
    """An error as it is kept with the import."""
    return {"code": error.code, "text": error.message, "place": error.place}
