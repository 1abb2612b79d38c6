"""Whom the rows of a batch mean: somebody new, somebody known, or a row that came before. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from .arrays import new_ids
from .person import DUPLICATE, REJECTED, WARNING, Complaint, Person

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """An address that is somebody's already.

    Attributes:
        row: The row of this import that mentioned it, None if none did.
        consents: The owner's, see `contact.consents`.
    """

    contact_id: UUID
    row: int | None
    opted_out_at: datetime | None
    consents: Mapping[str, Any]


@dataclass(slots=True)
class Matched:
    """A batch taken apart.

    Attributes:
        new: Persons with the id of the contact to make.
        known: Persons with the contact they are.
        repeated: Persons of rows that repeat an earlier one, with its contact.
        complaints: (kind, person, complaint) for the fault list.
    """

    new: list[tuple[UUID, Person]] = field(default_factory=list)
    known: list[tuple[Known, Person]] = field(default_factory=list)
    repeated: list[tuple[UUID, Person]] = field(default_factory=list)
    complaints: list[tuple[str, Person, Complaint]] = field(default_factory=list)
    rejected: int = 0


def match(persons: Sequence[Person], known: Mapping[Key, Known]) -> Matched:
    """Take a batch apart.

    An e-mail address is shared by families, so it decides only for rows that have nothing else. An address that is
    somebody else's is left out of `Person.addresses`, with a warning.

    Args:
        persons: In the order of their rows.
        known: Who has the addresses of the batch.
    """
    result = Matched()
    seen: dict[Key, tuple[UUID, int]] = {}
    for fresh_id, person in zip(new_ids(len(persons)), persons, strict=True):
        addresses = person.addresses
        keys = addresses
        if len(addresses) > 1:
            keys = [address for address in addresses if address[0] != "email"] or addresses
        if not seen.keys().isdisjoint(keys):
            contact_id, row = next(seen[key] for key in keys if key in seen)
            result.repeated.append((contact_id, person))
            result.complaints.append((DUPLICATE, person, _repeats(row)))
            continue
        owners = [known[key] for key in keys if key in known] if known else []
        if owners and not _place_known(result, person, owners):
            continue
        owner_id = owners[0].contact_id if owners else fresh_id
        if len(keys) != len(addresses):
            _drop_taken_emails(result, person, owner_id, seen, known)
        for key in person.addresses:
            seen[key] = (owner_id, person.number)
        if not owners:
            result.new.append((owner_id, person))
    return result


def _place_known(result: Matched, person: Person, owners: list[Known]) -> bool:
    """Whether the row is the first of this import about one known contact."""
    first = owners[0]
    if any(owner.contact_id != first.contact_id for owner in owners):
        text = "The addresses of the row belong to different contacts; merge them first."
        result.complaints.append((REJECTED, person, Complaint("address_conflict", "", text)))
        result.rejected += 1
        return False
    rows = [owner.row for owner in owners if owner.row is not None]
    if rows:
        result.repeated.append((first.contact_id, person))
        result.complaints.append((DUPLICATE, person, _repeats(min(rows))))
        return False
    result.known.append((first, person))
    return True


def _drop_taken_emails(
    result: Matched, person: Person, owner_id: UUID, seen: Mapping[Key, Any], known: Mapping[Key, Known]
) -> None:
    kept = []
    for key in person.addresses:
        other = key[0] == "email" and (key in seen or (key in known and known[key].contact_id != owner_id))
        if other:
            complaint = Complaint("email_taken", "email", "Another contact has this e-mail address; it was left out.")
            result.complaints.append((WARNING, person, complaint))
        else:
            kept.append(key)
    person.addresses = kept


def _repeats(row: int) -> Complaint:
    return Complaint("duplicate_row", "", f"The same person as in row {row}.")
