"""Two contacts that are one person, and back again.

A merge keeps what it changed: both rows as they were, the winner as it became, and whose the identities were. So an
un-merge puts back every value that nobody has changed since. Consents follow the ledger, which reads the entries
of merged people together; opt-outs only ever spread.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, insert, select

from carillon.audience.consents import api as consents
from carillon.audience.consents.contracts import Action, Actor, ConsentEntry
from carillon.events import outbox
from carillon.events.catalog.audience import ContactsMerged, ContactsUnmerged
from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import repository
from .contracts import Contact, Merge
from .errors import AlreadyUndone, ContactNotFound, MergeImpossible, MergeNotFound
from .models import contact_merge

_SHOWN = [contact_merge.c[name] for name in ("id", "winner_id", "loser_id", "created_at", "undone_at")]

# What a merge decides; `peers` and `email` follow from the identities, `consents` from the ledger.
_FILLED = ("name", "first_name", "last_name", "language", "time_zone", "country")
_PLAIN = (*_FILLED, "time_zones", "tags", "fields", "last_inbound_at")
_OUT = ("opted_out_at", "opted_out_source")


async def merge(tx: Tx, subject: Subject, *, winner_id: UUID, loser_id: UUID) -> Merge:
    """Make the loser part of the winner, who keeps their own values and takes what they lack.

    Raises:
        ContactNotFound: One of them does not exist.
        MergeImpossible: They are the same, or one was erased or merged before.
    """
    winner, loser = await _lock_pair(tx, winner_id, loser_id)
    if winner_id == loser_id or not _is_living(winner) or not _is_living(loser):
        raise MergeImpossible
    merge_id = uuid7()
    after = _combine(winner, loser)
    moved = [identity.id for identity in loser.identities]
    await _move(tx, moved, winner_id)
    now = datetime.now(UTC)
    await repository.change(tx, loser_id, {"merged_into": winner_id, "peers": {}, "updated_at": now})
    await _remember(tx, subject, merge_id, winner_id, loser_id)
    await consents.reproject(tx, winner_id)
    await repository.change(tx, winner_id, {**after, "updated_at": now})
    await repository.refresh(tx, [winner_id])
    snapshot = {
        "winner": _dump(winner),
        "loser": _dump(loser),
        "merged": _dump_values(after),
        "consents": await _consents(tx, winner_id),
        "identities": [str(one) for one in moved],
    }
    await tx.execute(
        contact_merge.update()
        .where(contact_merge.c.tenant_id == tx.tenant, contact_merge.c.id == merge_id)
        .values(snapshot=snapshot)
    )
    await outbox.append(tx, ContactsMerged(merge_id=merge_id, winner_id=winner_id, loser_id=loser_id))
    await audit.record(tx, subject, "contact.merged", winner_id, {"loser_id": str(loser_id)})
    return await get_merge(tx, merge_id)


async def unmerge(tx: Tx, subject: Subject, merge_id: UUID, *, vault: Vault) -> Merge:
    """Take a merge back: everything is as it was before, except what was changed since.

    An opt-out or withdrawal that came after the merge counts for both: nobody knows which of the two said it.

    Raises:
        MergeNotFound, AlreadyUndone: There is no such merge, or not any more.
        MergeImpossible: The winner was merged on or erased, or took in somebody else later (undo that first).
    """
    row = await _lock_merge(tx, merge_id)
    snapshot = row["snapshot"]
    winner, loser = await _lock_pair(tx, row["winner_id"], row["loser_id"])
    await _check_undoable(tx, row, winner, loser)
    await tx.execute(
        "UPDATE audience.contact_merge SET undone_at = now() WHERE tenant_id = :tenant AND id = :id",
        {"tenant": tx.tenant, "id": merge_id},
    )
    await _move(tx, [UUID(one) for one in snapshot["identities"]], loser.id, only_from=winner.id)
    now = datetime.now(UTC)
    out_since = winner.opted_out_at is not None and snapshot["merged"]["opted_out_at"] is None
    withdrawals = _withdrawn_since(winner, loser, snapshot["consents"], Actor.of(subject), now)
    for contact_id in (winner.id, loser.id):
        await consents.reproject(tx, contact_id)
    await repository.change(tx, winner.id, {**_unchanged_since(winner, snapshot), "updated_at": now})
    before = {name: _load(name, snapshot["loser"][name]) for name in (*_PLAIN, *_OUT)}
    await repository.change(tx, loser.id, {**before, "merged_into": None, "updated_at": now})
    await repository.refresh(tx, [winner.id, loser.id])
    await consents.record_many(tx, withdrawals)
    if out_since and winner.opted_out_at is not None:
        await _opt_out_both(tx, vault, winner, loser.id, Actor.of(subject))
    await outbox.append(tx, ContactsUnmerged(merge_id=merge_id, winner_id=winner.id, loser_id=loser.id))
    await audit.record(tx, subject, "contact.unmerged", winner.id, {"loser_id": str(loser.id)})
    return await get_merge(tx, merge_id)


async def get_merge(tx: Tx, merge_id: UUID) -> Merge:
    """A merge of the tenant.

    Raises:
        MergeNotFound: There is none.
    """
    row = await tx.first(select(*_SHOWN).where(contact_merge.c.tenant_id == tx.tenant, contact_merge.c.id == merge_id))
    if row is None:
        raise MergeNotFound
    return Merge(**row)


async def list_merges(tx: Tx, page: PageRequest) -> Page[Merge]:
    """Merges, newest first."""
    query = select(*_SHOWN).where(contact_merge.c.tenant_id == tx.tenant)
    if page.cursor:
        query = query.where(contact_merge.c.id < decode_cursor(page.cursor, UUID)[0])
    rows = await tx.all(query.order_by(contact_merge.c.id.desc()).limit(page.limit + 1))
    items = [Merge(**row) for row in rows[: page.limit]]
    return Page(items, encode_cursor(str(items[-1].id)) if len(rows) > page.limit else None)


def _combine(winner: Contact, loser: Contact) -> dict[str, Any]:
    """The winner's values after the merge."""
    values: dict[str, Any] = {name: getattr(winner, name) or getattr(loser, name) for name in _FILLED}
    values["tags"] = sorted({*winner.tags, *loser.tags})
    values["fields"] = {**loser.fields, **winner.fields}
    zones = dict.fromkeys((*winner.time_zones, *loser.time_zones))
    values["time_zones"] = [] if values["time_zone"] else list(zones)
    inbound = [at for at in (winner.last_inbound_at, loser.last_inbound_at) if at]
    values["last_inbound_at"] = max(inbound, default=None)
    outs = [one for one in (winner, loser) if one.opted_out_at is not None]
    first = min(outs, key=lambda one: (one.opted_out_at is None, one.opted_out_at), default=None)
    values["opted_out_at"] = first and first.opted_out_at
    values["opted_out_source"] = first and first.opted_out_source
    return values


def _unchanged_since(winner: Contact, snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The winner's values before the merge, of those that are still what the merge made them."""
    now, merged, before = _dump(winner), snapshot["merged"], snapshot["winner"]
    names = [name for name in _PLAIN if now[name] == merged[name]]
    # Both or none: an opt-out is one fact.
    names += [name for name in _OUT if all(now[one] == merged[one] for one in _OUT)]
    return {name: _load(name, before[name]) for name in names}


def _withdrawn_since(
    winner: Contact, loser: Contact, merged: Mapping[str, Any], actor: Actor, now: datetime
) -> list[ConsentEntry]:
    """What the winner took back since the merge, as statements of a loser who had granted something there.

    Args:
        winner: As it is now.
        loser: With the consents it had before the merge.
        merged: The winner's consents right after the merge.
        actor: Who undoes it.
        now: When.
    """
    return [
        ConsentEntry(loser.id, purpose, Action.WITHDRAWN, "operator", now, actor, platform)
        for purpose, platforms in winner.consents.items()
        for platform, said in platforms.items()
        if said["status"] == Action.WITHDRAWN
        and merged.get(purpose, {}).get(platform) != said
        and any(other["status"] == Action.GRANTED for other in loser.consents.get(purpose, {}).values())
    ]


async def _opt_out_both(tx: Tx, vault: Vault, winner: Contact, loser_id: UUID, actor: Actor) -> None:
    at = winner.opted_out_at or datetime.now(UTC)
    source = winner.opted_out_source or "operator"
    ids = [winner.id, loser_id]
    await consents.opt_out_many(tx, vault, ids, source=source, proof=None, at=at, actor=actor)


async def _remember(tx: Tx, subject: Subject, merge_id: UUID, winner_id: UUID, loser_id: UUID) -> None:
    """The merge's row: consents read from it whose ledgers belong together."""
    ids = {"id": merge_id, "winner_id": winner_id, "loser_id": loser_id}
    await tx.execute(insert(contact_merge).values(tenant_id=tx.tenant, **ids, created_by=subject.id))


async def _consents(tx: Tx, contact_id: UUID) -> Mapping[str, Any]:
    found = await repository.find(tx, contact_id)
    return found.consents if found else {}


async def _check_undoable(tx: Tx, row: RowMapping, winner: Contact, loser: Contact) -> None:
    if not _is_living(winner) or loser.merged_into != winner.id or loser.erased_at:
        raise MergeImpossible
    later = await tx.scalar(
        "SELECT id FROM audience.contact_merge WHERE tenant_id = :tenant AND winner_id = :winner AND id > :id "
        "AND undone_at IS NULL ORDER BY id DESC LIMIT 1",
        {"tenant": tx.tenant, "winner": winner.id, "id": row["id"]},
    )
    if later is not None:
        raise MergeImpossible("The contact took in another one later; undo that first.", merge_id=str(later))


async def _lock_merge(tx: Tx, merge_id: UUID) -> RowMapping:
    row = await tx.first(
        select(contact_merge)
        .where(contact_merge.c.tenant_id == tx.tenant, contact_merge.c.id == merge_id)
        .with_for_update()
    )
    if row is None:
        raise MergeNotFound
    if row["undone_at"] is not None:
        raise AlreadyUndone
    return row


async def _lock_pair(tx: Tx, winner_id: UUID, loser_id: UUID) -> tuple[Contact, Contact]:
    found = {one.id: one for one in await repository.find_many(tx, [winner_id, loser_id], lock=True)}
    if winner_id not in found or loser_id not in found:
        raise ContactNotFound
    return found[winner_id], found[loser_id]


async def _move(tx: Tx, identity_ids: Sequence[UUID], owner_id: UUID, only_from: UUID | None = None) -> None:
    await tx.execute(
        "UPDATE audience.identity SET contact_id = :owner WHERE tenant_id = :tenant AND id = ANY(:ids) "
        "AND (CAST(:only AS uuid) IS NULL OR contact_id = :only)",
        {"tenant": tx.tenant, "owner": owner_id, "ids": list(identity_ids), "only": only_from},
    )


def _is_living(contact: Contact) -> bool:
    return contact.merged_into is None and contact.erased_at is None


def _dump(contact: Contact) -> dict[str, Any]:
    return _dump_values({name: getattr(contact, name) for name in (*_PLAIN, *_OUT)})


def _dump_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in values.items()}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return list(value) if isinstance(value, tuple) else value


def _load(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if value and name.endswith("_at") else value
