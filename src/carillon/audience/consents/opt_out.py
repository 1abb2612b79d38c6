"""Stop, and start again: an opt-out blocks a person on every account of the tenant from its commit on.

It locks the contact `FOR UPDATE`; authorisation locks the same row `FOR SHARE`. So whatever is authorised after the
opt-out has committed sees it, and an opt-out waits for a batch that is being authorised at this moment.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from carillon.events import outbox
from carillon.events.catalog.consents import ContactOptedIn, ContactOptedOut
from carillon.identity.audit import api as audit
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import repository, suppression
from .addresses import Address
from .contracts import EVERYWHERE, THE_PERSON, Action, Actor, ConsentEntry, Source, Suppressed
from .errors import ProofMissing
from .repository import LockedContact

_ALL_PURPOSES = "*"


async def opt_out(
    tx: Tx,
    vault: Vault,
    contact_id: UUID,
    *,
    source: str,
    proof: str | None,
    at: datetime,
    actor: Actor = THE_PERSON,
    platform: str | None = None,
) -> bool:
    """Opt a person out of everything, and block all their addresses.

    Idempotent. Of somebody who was merged, the person they were merged into is opted out.

    Args:
        tx: The tenant's transaction.
        vault: For the hashes of the addresses.
        contact_id: The person.
        source: How it was said (`Source`).
        proof: The message or what else shows it.
        at: When it was said, UTC-aware; a clock ahead of ours counts as now.
        actor: Who wrote it down; the person themselves if left out.
        platform: Where it was said; it counts everywhere.

    Returns:
        Whether it is new: then, and only then, exactly one confirmation is sent.

    Raises:
        ContactUnknown: No such person.
    """
    person = await _lock_person(tx, contact_id)
    return bool(
        await opt_out_many(tx, vault, [person.id], source=source, proof=proof, at=at, actor=actor, platform=platform)
    )


async def opt_out_many(
    tx: Tx,
    vault: Vault,
    contact_ids: Sequence[UUID],
    *,
    source: str,
    at: datetime,
    proof: str | None = None,
    actor: Actor = THE_PERSON,
    platform: str | None = None,
) -> list[UUID]:
    """Opt people out as `opt_out` does, in a few statements; returns those for whom it is new."""
    locked = await repository.lock(tx, contact_ids)
    known = [contact.id for contact in locked]
    # Also of those who had opted out before: they may have got new addresses since.
    addresses = await repository.identities(tx, known)
    await suppression.suppress(tx, vault, addresses, reason="opted_out", source=source)
    fresh = [contact.id for contact in locked if contact.opted_out_at is None]
    if not fresh:
        return []
    now = datetime.now(UTC)
    at = min(at, now)
    await repository.set_opted_out(tx, fresh, at, source)
    entries = [_entry(contact_id, Action.OPTED_OUT, source, proof, at, actor, platform) for contact_id in fresh]
    await repository.append(tx, entries, now)
    events = (ContactOptedOut(contact_id=it, source=source, at=at, platform=platform) for it in fresh)
    await outbox.append(tx, *events)
    return fresh


async def opt_in(
    tx: Tx,
    vault: Vault,
    contact_id: UUID,
    *,
    source: str,
    proof: str | None,
    at: datetime,
    actor: Actor = THE_PERSON,
    platform: str | None = None,
) -> bool:
    """Lift an opt-out: the person said START, or an operator has proof that they want to be written to again.

    Their addresses are unblocked. Consents are what they were: one that was withdrawn or expired is not renewed.
    A message of theirs that comes late, from before they said STOP, lifts nothing: the last word counts.

    Returns:
        Whether there was an opt-out to lift.

    Raises:
        ContactUnknown: No such person.
        ProofMissing: Nothing shows that the person wants it.
    """
    if not (proof and proof.strip()):
        raise ProofMissing(place="proof")
    now = datetime.now(UTC)
    at = min(at, now)
    person = await _lock_person(tx, contact_id)
    if person.opted_out_at is None or (source == Source.MESSAGE and at < person.opted_out_at):
        return False
    await repository.set_opted_out(tx, [person.id], None, None)
    await suppression.lift(tx, vault, await repository.identities(tx, [person.id]))
    await repository.append(tx, [_entry(person.id, Action.OPTED_IN, source, proof, at, actor, platform)], now)
    await outbox.append(tx, ContactOptedIn(contact_id=person.id, source=source, at=at, platform=platform))
    return True


async def suppress_addresses(
    tx: Tx, vault: Vault, addresses: Sequence[Address], *, reason: str, source: str, subject: Subject
) -> Suppressed:
    """Block addresses and opt out the people who have them, on record; returns how many of each are new."""
    owners = await repository.owners(tx, addresses)
    # People before addresses, as everywhere: the other way round this could deadlock with their own opt-out.
    await repository.lock(tx, owners)
    added = await suppression.suppress(tx, vault, addresses, reason=reason, source=source)
    opted_out = await opt_out_many(
        tx, vault, owners, source=source, proof=reason, at=datetime.now(UTC), actor=Actor.of(subject)
    )
    done = Suppressed(added, len(opted_out))
    details = {"reason": reason, "added": done.added, "opted_out": done.opted_out}
    await audit.record(tx, subject, "suppression.added", None, details)
    return done


async def erase(tx: Tx, vault: Vault, contact_id: UUID, *, source: str) -> None:
    """Forget a person's consents, leaving only keyed hashes of their addresses.

    To be called before their identities are removed. Afterwards nothing can be sent to the contact or to its
    addresses, and an import does not bring the person back.
    """
    locked = await repository.lock(tx, [contact_id])
    addresses = await repository.identities(tx, [contact_id])
    await suppression.suppress(tx, vault, addresses, reason="erased", source=source)
    await repository.erase(tx, contact_id)
    await repository.store_projections(tx, [(contact.id, {}) for contact in locked])


async def _lock_person(tx: Tx, contact_id: UUID) -> LockedContact:
    """The contact, or whom they were merged into, locked."""
    found = await repository.lock_one(tx, contact_id)
    return found if found.merged_into is None else await _lock_person(tx, found.merged_into)


def _entry(
    contact_id: UUID,
    action: Action,
    source: str,
    proof: str | None,
    at: datetime,
    actor: Actor,
    platform: str | None,
) -> ConsentEntry:
    return ConsentEntry(
        contact_id=contact_id,
        purpose=_ALL_PURPOSES,
        action=action,
        source=source,
        at=at,
        actor=actor,
        platform=platform or EVERYWHERE,
        proof=proof,
    )
