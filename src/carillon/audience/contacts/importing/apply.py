"""One batch into the database: who is who, then contacts, addresses, consents and opt-outs, in one transaction."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.audience.consents.contracts import Actor, ConsentEntry
from carillon.audience.contacts import repository
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import writing
from .batches import Prepared, fault_of
from .consent import ConsentReader
from .matching import Matched, match
from .options import Options
from .person import WARNING, Fault, Person

SOURCE = "import"
SUPPRESSED = "suppression"


@dataclass(frozen=True, slots=True)
class Applier:
    """What stays the same for all batches of an import."""

    import_id: UUID
    columns: Sequence[str]
    options: Options
    consent: ConsentReader
    vault: Vault
    actor: Actor
    now: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch came to: `counts` by the column of `contact_import`, and every fault."""

    counts: Counter[str]
    faults: list[Fault]


async def apply(tx: Tx, applier: Applier, prepared: Prepared) -> Outcome:
    """Write a batch.

    Raises:
        Raced: Somebody else wrote one of the addresses meanwhile; try again in a new transaction.
    """
    keys = [key for person in prepared.persons for key in person.addresses]
    known = await writing.look_up(tx, applier.import_id, keys)
    matched = match(prepared.persons, known)
    counts = count(prepared, matched, applier)
    await _add_new(tx, applier, matched, counts)
    await _update_known(tx, applier, matched, counts)
    await _opt_out_refusers(tx, applier, matched)
    return Outcome(counts, all_faults(prepared, matched, applier.columns))


def count(prepared: Prepared, matched: Matched, applier: Applier) -> Counter[str]:
    """The counts of a batch, without what consents decide."""
    changed = "skipped" if applier.options.duplicates == "skip" else "updated"
    counts = Counter(
        rows=prepared.rows,
        created=len(matched.new),
        duplicates=len(matched.repeated),
        rejected=prepared.counts["rejected"] + matched.rejected,
        warnings=prepared.counts["warning"] + sum(kind == WARNING for kind, _, _ in matched.complaints),
    )
    counts[changed] = len(matched.known)
    return counts


def all_faults(prepared: Prepared, matched: Matched, columns: Sequence[str]) -> list[Fault]:
    """The faults of reading and of matching, in the order of the rows."""
    more = [
        fault_of(prepared.batch, columns, person.index, kind, complaint)
        for kind, person, complaint in matched.complaints
    ]
    return sorted([*prepared.faults, *more], key=lambda fault: fault.row)


async def _add_new(tx: Tx, applier: Applier, matched: Matched, counts: Counter[str]) -> None:
    """New people; what goes into the contacts is put together while the database writes their addresses."""
    suppressed = await _suppressed(tx, applier, matched)
    claims = [(contact_id, key, person.number) for contact_id, person in matched.new for key in person.addresses]
    claimed = asyncio.create_task(writing.claim(tx, applier.import_id, claims))
    try:
        # Once around the loop: the statement is on its way.
        await asyncio.sleep(0)
        entries: list[ConsentEntry] = []
        newcomers = [_newcomer(applier, one, suppressed, entries, counts) for one in matched.new]
        columns = writing.contact_columns(newcomers)
    finally:
        await claimed
    if newcomers:
        await writing.insert_contacts(tx, columns)
    await consents.record_many(tx, entries, import_id=applier.import_id, recorded_at=applier.now, projected=True)


def _newcomer(
    applier: Applier,
    one: tuple[UUID, Person],
    suppressed: set[tuple[str, str]],
    entries: list[ConsentEntry],
    counts: Counter[str],
) -> writing.Newcomer:
    """A new contact; what it granted goes to `entries`."""
    contact_id, person = one
    if suppressed and not suppressed.isdisjoint(person.addresses):
        counts["opted_out"] += 1
        return writing.Newcomer(contact_id, person, "{}", applier.now, SUPPRESSED)
    grants = applier.consent.grants(person, contact_id)
    entries += grants
    if person.consent is False:
        counts["opted_out"] += 1
    elif not applier.consent.is_sendable(grants):
        counts["unsendable"] += 1
    return writing.Newcomer(contact_id, person, applier.consent.projection(grants), None, None)


async def _suppressed(tx: Tx, applier: Applier, matched: Matched) -> set[tuple[str, str]]:
    keys = [key for _, person in matched.new for key in person.addresses]
    return await consents.suppressed_among(tx, applier.vault, keys)


async def _update_known(tx: Tx, applier: Applier, matched: Matched, counts: Counter[str]) -> None:
    """Known contacts by the policy; what an import may not lift is left as it is."""
    known = matched.known
    await writing.mark(tx, applier.import_id, [(key, person.number) for _, person in known for key in person.addresses])
    counts["opted_out"] += sum(owner.opted_out_at is not None or person.consent is False for owner, person in known)
    if applier.options.duplicates == "skip":
        return
    people = [(owner.contact_id, person) for owner, person in known]
    await writing.change_contacts(tx, applier.options.duplicates, people)
    await _give_new_addresses(tx, applier, people)
    entries: list[ConsentEntry] = []
    for owner, person in known:
        if owner.opted_out_at is None and not applier.consent.withdrew(owner.consents):
            grants = applier.consent.grants(person, owner.contact_id)
            entries += grants
            if not grants and not owner.consents and person.consent is not False:
                counts["unsendable"] += 1
    await consents.record_many(tx, entries, import_id=applier.import_id, recorded_at=applier.now)


async def _give_new_addresses(tx: Tx, applier: Applier, people: Sequence[tuple[UUID, Person]]) -> None:
    claims = [
        (contact_id, key, person.number)
        for contact_id, person in people
        for key in person.addresses
        if len(person.addresses) > 1
    ]
    if not claims:
        return
    held = await writing.look_up(tx, applier.import_id, [key for _, key, _ in claims])
    fresh = [claim for claim in claims if claim[1] not in held]
    blocked = await consents.suppressed_among(tx, applier.vault, [key for _, key, _ in fresh])
    await writing.claim(tx, applier.import_id, fresh)
    await repository.refresh(tx, sorted({contact_id for contact_id, _, _ in fresh}))
    await writing.opt_out_suppressed(tx, sorted({contact_id for contact_id, key, _ in fresh if key in blocked}))


async def _opt_out_refusers(tx: Tx, applier: Applier, matched: Matched) -> None:
    """Whoever the file says no for is opted out, whatever the policy, also by a repeated row."""
    refusers = [contact_id for contact_id, person in matched.new if person.consent is False]
    refusers += [owner.contact_id for owner, person in matched.known if person.consent is False]
    refusers += [contact_id for contact_id, person in matched.repeated if person.consent is False]
    if refusers:
        await consents.opt_out_many(
            tx, applier.vault, sorted(set(refusers)), source=SOURCE, proof=None, actor=applier.actor, at=applier.now
        )
