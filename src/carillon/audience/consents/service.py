"""Consents as they are recorded: the ledger, and the projection that follows it in the same transaction."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from carillon.events import outbox
from carillon.events.catalog.consents import ConsentRecorded, ConsentsImported
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.kernel.paging import Page, PageRequest
from carillon.storage.database import Tx

from . import repository
from .contracts import Action, ConsentEntry, LedgerEntry, Projection
from .errors import ConsentInFuture, ConsentOver, ContactUnknown, ProofMissing
from .projection import counts, fold


async def record(tx: Tx, entry: ConsentEntry, *, recorded_at: datetime | None = None) -> UUID:
    """Record one statement and bring the person's consents up to date; returns the entry's id.

    Unlike an import, a single grant without evidence is refused: whoever records it can still supply it.

    Raises:
        ContactUnknown: No such person.
        ProofMissing: A grant without proof.
        ConsentInFuture: The statement is dated in the future.
        ConsentOver: It ends before it begins.
    """
    now = recorded_at or datetime.now(UTC)
    _check(entry, now)
    locked = await repository.lock_one(tx, entry.contact_id)
    entry_id = await repository.append_one(tx, entry, now)
    await repository.store_projections(tx, [(locked.id, fold(locked.consents, [entry], now))])
    await outbox.append(
        tx,
        ConsentRecorded(
            contact_id=entry.contact_id,
            platform=entry.platform,
            purpose=str(entry.purpose),
            action=str(entry.action),
            source=str(entry.source),
        ),
    )
    return entry_id


def _check(entry: ConsentEntry, now: datetime) -> None:
    if entry.at > now:
        raise ConsentInFuture(place="at")
    if not counts(entry, now):
        raise ProofMissing(place="proof")
    if entry.expires_at and entry.expires_at <= entry.at:
        raise ConsentOver(place="expires_at")


async def record_many(
    tx: Tx,
    entries: Sequence[ConsentEntry],
    *,
    import_id: UUID | None = None,
    recorded_at: datetime | None = None,
    projected: bool = False,
) -> None:
    """Record a batch (about 5,000 entries) in a few statements, with one event.

    Entries without evidence (no proof, dated in the future) are recorded and change nothing.

    Args:
        tx: The tenant's transaction.
        entries: Of any number of people; `opted_out` entries are written down but set nothing (see `opt_out_many`).
        import_id: For the event.
        recorded_at: Now, if left out; an importer passes the time it gave to `project`.
        projected: The people are new and were inserted with `project(entries, recorded_at)` already: only the
            ledger is written.
    """
    if not entries:
        return
    now = recorded_at or datetime.now(UTC)
    if not projected:
        await _project(tx, entries, now)
    await repository.append(tx, entries, now)
    await outbox.append(tx, ConsentsImported(count=len(entries), import_id=import_id))


async def _project(tx: Tx, entries: Sequence[ConsentEntry], now: datetime) -> None:
    by_contact: dict[UUID, list[ConsentEntry]] = defaultdict(list)
    for entry in entries:
        by_contact[entry.contact_id].append(entry)
    changed: list[tuple[UUID, Projection]] = []
    for contact in await repository.lock(tx, list(by_contact)):
        after = fold(contact.consents, by_contact[contact.id], now)
        if after != contact.consents:
            changed.append((contact.id, after))
    await repository.store_projections(tx, changed)


async def reproject(tx: Tx, contact_id: UUID) -> None:
    """Work a person's consents and opt-out out anew from the ledger, with those merged into them.

    For merges and un-merges, once the merge table says who belongs to whom. A person with no opt-out in the ledger
    keeps the one on their row.

    Raises:
        ContactUnknown: No such person.
    """
    await repository.lock_one(tx, contact_id)
    projection: Projection = {}
    last_word: LedgerEntry | None = None
    for line in await repository.whole_history(tx, contact_id):
        projection = fold(projection, [line.entry], line.recorded_at)
        if line.entry.action in (Action.OPTED_OUT, Action.OPTED_IN):
            last_word = line
    await repository.store_projections(tx, [(contact_id, projection)])
    if last_word is not None:
        out = last_word.entry.action == Action.OPTED_OUT
        entry = last_word.entry
        await repository.set_opted_out(tx, [contact_id], entry.at if out else None, entry.source if out else None)


async def history(tx: Tx, contact_id: UUID, page: PageRequest) -> Page[LedgerEntry]:
    """A person's ledger with its evidence, newest first.

    Raises:
        ContactUnknown: No such person.
        BadCursor: The cursor is not ours.
    """
    if not await repository.contact_exists(tx, contact_id):
        raise ContactUnknown(contact_id=str(contact_id))
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    lines = await repository.history(tx, contact_id, before=before, limit=page.limit + 1)
    more = len(lines) > page.limit
    lines = lines[: page.limit]
    return Page(lines, encode_cursor(str(lines[-1].id)) if more else None)


async def export(tx: Tx, contact_id: UUID) -> list[LedgerEntry]:
    """A person's whole ledger, oldest first: for the export of a person."""
    return await repository.whole_history(tx, contact_id)
