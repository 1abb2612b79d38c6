"""Everything held about one person: handing it out, and removing it.

Services above hold data about people too (messages, conversations). They cannot be imported from here, so the
runtime registers what they offer.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.events import outbox
from carillon.events.catalog.audience import ContactErased
from carillon.identity.audit import api as audit
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import repository
from .contracts import Contact, PersonData
from .errors import ContactGone, ContactNotFound, NotConfirmed

_providers: dict[str, PersonData] = {}

_EMPTY: Mapping[str, Any] = {
    "name": "",
    "first_name": None,
    "last_name": None,
    "email": None,
    "language": None,
    "time_zone": None,
    "time_zones": [],
    "country": None,
    "tags": [],
    "fields": {},
    "peers": {},
    "consents": {},
    "last_inbound_at": None,
    "opted_out_source": "erasure",
}

# Whoever was merged into the person, and into those.
_PARTS = """
WITH RECURSIVE part (id) AS (
    SELECT CAST(:id AS uuid)
    UNION
    SELECT c.id FROM audience.contact c JOIN part ON c.merged_into = part.id WHERE c.tenant_id = :tenant
)
SELECT id FROM part ORDER BY id
"""


# Numbers are compared by their last digits: the file may have written them in another way.
_SHOWS = """EXISTS (
    SELECT FROM unnest(CAST(:marks AS text[])) AS m
    WHERE strpos(lower({0}), m) > 0 OR strpos(regexp_replace({0}, '[ ()./-]', '', 'g'), m) > 0)
"""
_FORGET_FAULTS = f"""
DELETE FROM audience.import_fault WHERE tenant_id = :tenant AND {_SHOWS.format("raw::text")}
"""  # noqa: S608 - texts of ours
_FORGET_SAMPLES = f"""
UPDATE audience.contact_import SET format = format - 'sample', report = report - 'faults'
WHERE tenant_id = :tenant AND finished_at IS NOT NULL
AND {_SHOWS.format("concat(format -> 'sample', report -> 'faults')")}
"""  # noqa: S608


def register_person_data(provider: PersonData) -> None:
    """Have a service's data about people exported and erased with the contact; the last of a name counts."""
    _providers[provider.name] = provider


def registered_person_data() -> tuple[PersonData, ...]:
    """The providers, in the order of their registration."""
    return tuple(_providers.values())


async def export_person(tx: Tx, subject: Subject, contact_id: UUID) -> dict[str, Any]:
    """Everything held about a person, JSON-ready: their contact, those merged into it, and each provider's part.

    Raises:
        ContactNotFound: There is no such contact.
    """
    contact = await repository.find(tx, contact_id)
    if contact is None:
        raise ContactNotFound
    parts = await repository.find_many(tx, await _parts(tx, contact_id))
    answer: dict[str, Any] = {
        "exported_at": datetime.now(UTC),
        "contact": asdict(contact),
        "merged": [asdict(part) for part in parts if part.id != contact_id],
        "consents": [asdict(line) for line in await consents.export(tx, contact_id)],
    }
    for provider in registered_person_data():
        answer[provider.name] = [await provider.export(tx, part) for part in parts]
    await audit.record(tx, subject, "contact.exported", contact_id, {})
    return answer


async def erase_person(tx: Tx, subject: Subject, contact_id: UUID, *, confirm: UUID, vault: Vault) -> Contact:
    """Remove everything that identifies a person, for good; only keyed hashes of their addresses remain.

    Args:
        tx: The transaction.
        subject: Who does it.
        contact_id: The person; whoever was merged into them goes too.
        confirm: The same id again.
        vault: For the hashes, which keep an import from bringing the person back.

    Raises:
        NotConfirmed: `confirm` is another id.
        ContactNotFound, ContactGone: There is no such contact, or not any more.
    """
    if confirm != contact_id:
        raise NotConfirmed(place="confirm")
    ids = await _parts(tx, contact_id)
    parts = await repository.find_many(tx, ids, lock=True)
    contact = next((part for part in parts if part.id == contact_id), None)
    if contact is None:
        raise ContactNotFound
    if contact.merged_into or contact.erased_at:
        raise ContactGone(merged_into=contact.merged_into and str(contact.merged_into))
    for provider in registered_person_data():
        for part in parts:
            await provider.erase(tx, part)
    for part in parts:
        await consents.erase(tx, vault, part.id, source="erasure")
    await _remove_traces(tx, parts)
    now = datetime.now(UTC)
    for part in parts:
        values = {**_EMPTY, "opted_out_at": part.opted_out_at or now, "erased_at": now, "updated_at": now}
        await repository.change(tx, part.id, values)
    await outbox.append(tx, *(ContactErased(contact_id=part.id) for part in parts))
    await audit.record(tx, subject, "contact.erased", contact_id, {})
    erased = await repository.find(tx, contact_id)
    if erased is None:
        raise ContactNotFound
    return erased


async def _parts(tx: Tx, contact_id: UUID) -> list[UUID]:
    return [row["id"] for row in await tx.all(_PARTS, {"tenant": tx.tenant, "id": contact_id})]


async def _remove_traces(tx: Tx, parts: list[Contact]) -> None:
    """Identities, snapshots of merges, and error and sample rows of imports that show one of the addresses."""
    values = {"tenant": tx.tenant, "ids": [part.id for part in parts]}
    await tx.execute("DELETE FROM audience.identity WHERE tenant_id = :tenant AND contact_id = ANY(:ids)", values)
    await tx.execute(
        "DELETE FROM audience.contact_merge WHERE tenant_id = :tenant "
        "AND (winner_id = ANY(:ids) OR loser_id = ANY(:ids))",
        values,
    )
    marks = [_mark(identity.value) for part in parts for identity in part.identities]
    if marks:
        for statement in (_FORGET_FAULTS, _FORGET_SAMPLES):
            await tx.execute(statement, {"tenant": tx.tenant, "marks": marks})


def _mark(value: str) -> str:
    digits = value.removeprefix("+")
    return digits[-7:] if digits.isdigit() and len(digits) > 7 else value.lower()  # noqa: PLR2004 - of a number
