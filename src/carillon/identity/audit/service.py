"""Recording, verifying and listing."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.ops.redaction import redact
from carillon.storage.database import Tx

from . import repository
from .chain import Walker, entry_hash, plain
from .contracts import Anchor, AuditEntry, AuditFilter, Verification
from .origin import current_origin

_BATCH = 500


async def record(
    tx: Tx,
    subject: Subject,
    action: str,
    target_id: UUID | str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write down an act in the caller's transaction: it is recorded exactly if it happens.

    It holds the end of the tenant's chain until the transaction ends, so call it after the work and commit soon.
    Values under names of secrets, and phone numbers, are hidden: entries are never erased.

    Args:
        tx: A transaction inside the tenant.
        subject: Who did it.
        action: `noun.verb` in the past tense, e.g. `contact.erased`.
        target_id: What it was done to.
        details: What else matters; ids and old and new values, never a secret.
    """
    origin = current_origin()
    end, at = await repository.lock_head(tx)
    entry = AuditEntry(
        tenant_id=tx.tenant,
        id=uuid7(),
        seq=end.seq + 1,
        at=at,
        actor_kind=subject.kind.value,
        actor_id=subject.id,
        credential_id=subject.credential_id,
        action=action,
        target=None if target_id is None else str(target_id),
        details=plain(redact(dict(details or {}))),
        address=origin.address,
        request_id=origin.request_id,
        previous_hash=end.hash,
        hash=b"",
    )
    await repository.append(tx, replace(entry, hash=entry_hash(entry)))


async def verify(tx: Tx, anchor: Anchor | None = None) -> Verification:
    """Walk the tenant's whole chain, 500 entries in memory at a time.

    It finds any changed field, removed or inserted entry, and a cut tail as long as the head kept apart was not
    forged with it; an `anchor` noted outside the database from an earlier run finds that too.
    """
    walker = Walker(anchor)
    head = await repository.read_head(tx)
    while True:
        while batch := await repository.read_after(tx, walker.last.seq if walker.started else None, _BATCH):
            if not all(walker.step(entry) for entry in batch):
                return walker.finish(head)
        # Everything that stood when `head` was read has been walked. Each statement sees what committed before
        # it, so entries appended meanwhile move the head on: go on to them, unless the tail is cut already.
        latest = await repository.read_head(tx)
        if latest is None or latest.seq <= walker.last.seq or (head and head.seq > walker.last.seq):
            return walker.finish(latest)
        head = latest


async def list_entries(tx: Tx, page: PageRequest, wanted: AuditFilter) -> Page[AuditEntry]:
    """Entries that match, newest first.

    Raises:
        BadCursor: The cursor is not one of ours.
    """
    before = decode_cursor(page.cursor, int)[0] if page.cursor else None
    entries = list(await repository.read_page(tx, wanted, before, page.limit + 1))
    more = len(entries) > page.limit
    return Page(entries[: page.limit], encode_cursor(entries[page.limit - 1].seq) if more else None)
