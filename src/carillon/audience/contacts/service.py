"""Contacts: making, reading, changing and finding them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.events import outbox
from carillon.events.catalog.audience import ContactCreated, ContactUpdated
from carillon.gateway.pages import BadCursor, decode_cursor, encode_cursor
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import repository
from .addresses import best_peers
from .contracts import Address, AddressKind, Contact, ContactFilter, Details
from .errors import AddressTaken, ContactGone, ContactNotFound
from .phones import time_zones_of

_PLAIN = ("name", "first_name", "last_name", "language", "time_zone", "country", "tags")


async def get(tx: Tx, contact_id: UUID) -> Contact:
    """A contact of the tenant, also one that was merged or erased (it says so).

    Raises:
        ContactNotFound: There is none.
    """
    found = await repository.find(tx, contact_id)
    if found is None:
        raise ContactNotFound
    return found


async def get_many(tx: Tx, ids: Sequence[UUID]) -> dict[UUID, Contact]:
    """Those of the contacts that there are, by id, in one query."""
    return {contact.id: contact for contact in await repository.find_many(tx, ids)}


async def list_contacts(tx: Tx, wanted: ContactFilter, page: PageRequest) -> Page[Contact]:
    """A page of contacts: newest first, or with `updated_since` in the order of change."""
    limit = page.limit + 1
    if wanted.updated_since is not None:
        after = _changed_after(page.cursor) if page.cursor else None
        rows = await repository.list_changed(tx, wanted, limit=limit, after=after)
    else:
        before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
        rows = await repository.list_newest(tx, wanted, limit=limit, before=before)
    items = rows[: page.limit]
    if len(rows) <= page.limit:
        return Page(items)
    last = items[-1]
    return Page(
        items,
        encode_cursor(last.updated_at.isoformat(), str(last.id))
        if wanted.updated_since
        else encode_cursor(str(last.id)),
    )


async def create(tx: Tx, details: Details, *, vault: Vault) -> Contact:
    """A new contact; opted out at once when one of the addresses is suppressed.

    Raises:
        AddressTaken: An address belongs to somebody; `data["contact_id"]` is who.
    """
    addresses = details.addresses or ()
    contact_id = uuid7()
    values = {name: getattr(details, name) for name in _PLAIN if name in details.given}
    values["name"] = details.name or _full_name(details)
    values["tags"] = list(details.tags or ())
    values["fields"] = _present(details.fields)
    values["peers"] = best_peers(addresses)
    values["email"] = _first(addresses, AddressKind.EMAIL)
    values["time_zones"] = [] if details.time_zone else candidate_zones(addresses)
    values |= await _suppression(tx, vault, addresses)
    await repository.add(tx, contact_id, values)
    await _claim(tx, contact_id, addresses)
    await outbox.append(tx, ContactCreated(contact_id=contact_id, origin="manual"))
    return await get(tx, contact_id)


async def update(tx: Tx, contact_id: UUID, details: Details, *, vault: Vault) -> Contact:
    """Change what is given; a given list of addresses replaces the old one.

    Raises:
        ContactNotFound, ContactGone: There is no such contact, or not any more.
        AddressTaken: An address belongs to somebody else.
    """
    before = await lock_living(tx, contact_id)
    values: dict[str, Any] = {name: getattr(details, name) for name in _PLAIN if name in details.given}
    if "tags" in values:
        values["tags"] = list(values["tags"] or ())
    if "fields" in details.given:
        values["fields"] = _present({**before.fields, **details.fields})
    addresses = tuple(Address(one.kind, one.value) for one in before.identities)
    if details.addresses is not None:
        await _replace_addresses(tx, before, details.addresses)
        if before.opted_out_at is None:
            values |= await _suppression(tx, vault, set(details.addresses) - set(addresses))
        addresses = details.addresses
    zone = values.get("time_zone", before.time_zone)
    values["time_zones"] = [] if zone else candidate_zones(addresses)
    values["updated_at"] = datetime.now(UTC)
    await repository.change(tx, contact_id, values)
    if details.addresses is not None:
        await repository.refresh(tx, [contact_id])
    await outbox.append(tx, ContactUpdated(contact_id=contact_id, changed=tuple(sorted(details.given))))
    return await get(tx, contact_id)


async def lock_living(tx: Tx, contact_id: UUID) -> Contact:
    """A contact that can be changed, locked until the transaction ends.

    Raises:
        ContactNotFound, ContactGone: There is no such contact, or not any more.
    """
    found = await repository.find_many(tx, [contact_id], lock=True)
    if not found:
        raise ContactNotFound
    contact = found[0]
    if contact.merged_into or contact.erased_at:
        raise ContactGone(merged_into=contact.merged_into and str(contact.merged_into))
    return contact


def _changed_after(cursor: str) -> tuple[datetime, UUID]:
    at, contact_id = decode_cursor(cursor, str, UUID)
    try:
        return datetime.fromisoformat(at), contact_id
    except ValueError as error:
        raise BadCursor(place="query parameter cursor") from error


def candidate_zones(addresses: Sequence[Address]) -> list[str]:
    """Time zones where the phone numbers may be at home."""
    zones: dict[str, None] = {}
    for address in addresses:
        if address.kind is AddressKind.PHONE:
            zones |= dict.fromkeys(time_zones_of(address.value))
    return list(zones)


async def _suppression(tx: Tx, vault: Vault, addresses: Iterable[Address]) -> dict[str, Any]:
    """The columns of somebody who gets these addresses: opted out if one of them is suppressed."""
    pairs = [(address.kind.value, address.value) for address in addresses]
    if not pairs or not await consents.suppressed_among(tx, vault, pairs):
        return {}
    return {"opted_out_at": datetime.now(UTC), "opted_out_source": "suppression"}


async def _claim(tx: Tx, contact_id: UUID, addresses: Sequence[Address]) -> None:
    taken = await repository.claim(tx, contact_id, addresses)
    if taken:
        address, owner = next(iter(taken.items()))
        place = f"addresses[{addresses.index(address)}]"
        raise AddressTaken(place=place, contact_id=str(owner))


async def _replace_addresses(tx: Tx, before: Contact, wanted: Sequence[Address]) -> None:
    old = {Address(one.kind, one.value): one.id for one in before.identities}
    await repository.release(tx, before.id, [key for address, key in old.items() if address not in wanted])
    await _claim(tx, before.id, [address for address in wanted if address not in old])


def _first(addresses: Sequence[Address], kind: AddressKind) -> str | None:
    return next((address.value for address in addresses if address.kind is kind), None)


def _full_name(details: Details) -> str:
    return " ".join(part for part in (details.first_name, details.last_name) if part)


def _present(fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
