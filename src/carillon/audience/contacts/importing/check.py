"""The dry run as a job: reads and matches the whole file, writes only the report."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID

from carillon.audience.consents.contracts import Actor
from carillon.audience.contacts.contracts import Import, ImportStatus
from carillon.audience.contacts.readers import UnreadableFile
from carillon.ops.memory import rare_collections
from carillon.storage import scratch
from carillon.storage.blobs import BlobMissing
from carillon.storage.resources import Resources

from . import store
from .apply import Applier, all_faults, count
from .batches import Prepared, read_ahead
from .files import fetch, open_stored
from .matching import Matched, match
from .person import Person
from .run import describe, prepare_run
from .writing import look_up

_SHOWN = 100
# Rows remembered for finding duplicates: 64-bit hashes, about 60 MB; of longer files only the beginning counts.
_REMEMBERED = 1_000_000


class _Tally:
    """What a dry run has seen so far."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.faults: list[dict[str, Any]] = []
        self.seen: set[int] = set()

    def split(self, persons: list[Person]) -> list[Person]:
        """Persons of no earlier batch; the others are counted."""
        fresh = []
        for person in persons:
            keys = [hash(key) for key in person.addresses if key[0] != "email" or len(person.addresses) == 1]
            if self.seen.isdisjoint(keys):
                fresh.append(person)
            else:
                self.counts["duplicates"] += 1
                self.codes["duplicate_row"] += 1
        return fresh

    def add(self, prepared: Prepared, matched: Matched, applier: Applier) -> None:
        """Take in one batch."""
        self.counts += count(prepared, matched, applier)
        for contact_id, person in matched.new:
            if person.consent is False:
                self.counts["opted_out"] += 1
            elif not applier.consent.is_sendable(applier.consent.grants(person, contact_id)):
                self.counts["unsendable"] += 1
        for owner, person in matched.known:
            self.counts["opted_out"] += owner.opted_out_at is not None or person.consent is False
        for fault in all_faults(prepared, matched, applier.columns):
            self.codes[fault.code] += 1
            if len(self.faults) < _SHOWN:
                shown = ("kind", "row", "byte", "code", "field", "text", "raw")
                self.faults.append({name: getattr(fault, name) for name in shown})
        if len(self.seen) < _REMEMBERED:
            people = [person for _, person in (*matched.new, *matched.known)]
            self.seen.update(hash(key) for person in people for key in person.addresses)

    def report(self, *, complete: bool) -> dict[str, Any]:
        """As it is kept with the import."""
        return {
            "complete": complete,
            **{name: self.counts[name] for name in store.COUNTS},
            "codes": dict(self.codes.most_common()),
            "faults": self.faults,
        }


async def check(resources: Resources, tenant_id: UUID, payload: Mapping[str, Any]) -> None:
    """Run a dry run from the beginning."""
    import_id = UUID(payload["import_id"])
    async with resources.database.transaction(tenant_id) as tx:
        found = await store.get(tx, import_id)
        key, _, _ = await store.whereabouts(tx, import_id)
    if found.status is not ImportStatus.CHECKING:
        return
    tally = _Tally()
    report: dict[str, Any]
    try:
        with scratch.folder(resources.settings.data) as folder, rare_collections():
            path = folder / "file"
            await fetch(resources.blobs, key, path)
            if not await _read(resources, tenant_id, found, path, tally):
                return
    except (UnreadableFile, BlobMissing) as error:
        report = {**tally.report(complete=False), "error": describe(error)}
    else:
        report = tally.report(complete=True)
    async with resources.database.transaction(tenant_id) as tx:
        now = await store.get(tx, import_id, lock=True)
        if now.status is ImportStatus.CHECKING:
            await store.change(tx, import_id, {"status": ImportStatus.READY.value, "report": report})


async def _read(resources: Resources, tenant_id: UUID, found: Import, path: Path, tally: _Tally) -> bool:
    """Read all batches; False when the dry run was cancelled."""
    reader = await asyncio.to_thread(open_stored, path, found)
    async with resources.database.transaction(tenant_id) as tx:
        applier, rows = await prepare_run(tx, resources, found, reader, Actor("system"))
    async with aclosing(read_ahead(reader, rows, None)) as batches:
        async for prepared in batches:
            fresh = tally.split(prepared.persons)
            async with resources.database.transaction(tenant_id) as tx:
                if (await store.get(tx, found.id)).status is not ImportStatus.CHECKING:
                    return False
                keys = [key for person in fresh for key in person.addresses]
                known = await look_up(tx, found.id, keys)
            tally.add(prepared, match(fresh, known), applier)
    return True
