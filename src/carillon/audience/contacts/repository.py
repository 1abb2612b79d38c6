"""SQL of contacts and their identities."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, insert, literal_column, select, tuple_

from carillon.kernel.ids import uuid7, uuid7s
from carillon.storage.database import Tx

from .addresses import PLATFORM_OF, PREFERENCE
from .contracts import Address, AddressKind, Contact, ContactFilter, Identity
from .filters import conditions
from .models import contact

_IDENTITIES = """(
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', i.id, 'platform', i.platform, 'kind', i.kind,
        'value', i.value, 'created_at', i.created_at) ORDER BY i.created_at, i.id), '[]'::jsonb)
    FROM audience.identity i
    WHERE i.tenant_id = contact.tenant_id AND i.contact_id = contact.id
)"""

_COLUMNS = [column for column in contact.c if column.name != "tenant_id"]
_CONTACT = select(*_COLUMNS, literal_column(_IDENTITIES).label("identities"))

_RANKS = ", ".join(
    f"('{network}', '{kind}', {rank})" for network, kinds in PREFERENCE.items() for rank, kind in enumerate(kinds)
)

# Oldest first within a kind: an address does not stop being the best because another one was learned.
_REFRESH = f"""
UPDATE audience.contact c SET
    peers = coalesce((
        SELECT jsonb_object_agg(best.network, best.value) FROM (
            SELECT DISTINCT ON (r.network) r.network, i.value
            FROM audience.identity i JOIN (VALUES {_RANKS}) r (network, kind, rank) ON r.kind = i.kind
            WHERE i.tenant_id = c.tenant_id AND i.contact_id = c.id
            ORDER BY r.network, r.rank, i.created_at, i.id
        ) best), '{{}}'::jsonb),
    email = (
        SELECT i.value FROM audience.identity i
        WHERE i.tenant_id = c.tenant_id AND i.contact_id = c.id AND i.kind = 'email'
        ORDER BY i.created_at, i.id LIMIT 1)
WHERE c.tenant_id = :tenant AND c.id = ANY(:ids)
"""  # noqa: S608 - constants of this program


async def find(tx: Tx, contact_id: UUID) -> Contact | None:
    """One contact, in whatever state."""
    row = await tx.first(_CONTACT.where(contact.c.tenant_id == tx.tenant, contact.c.id == contact_id))
    return None if row is None else to_contact(row)


async def find_many(tx: Tx, ids: Sequence[UUID], *, lock: bool = False) -> list[Contact]:
    """Contacts in order of their ids; locked in that order, so that two writers never wait for each other."""
    wanted = contact.c.id.in_(ids)
    query = _CONTACT.where(contact.c.tenant_id == tx.tenant, wanted).order_by(contact.c.id)
    return [to_contact(row) for row in await tx.all(query.with_for_update(of=contact) if lock else query)]


async def list_newest(tx: Tx, wanted: ContactFilter, *, limit: int, before: UUID | None) -> list[Contact]:
    """A page, newest contact first."""
    query = _CONTACT.where(conditions(tx.tenant, wanted))
    if before is not None:
        query = query.where(contact.c.id < before)
    return [to_contact(row) for row in await tx.all(query.order_by(contact.c.id.desc()).limit(limit))]


async def list_changed(tx: Tx, wanted: ContactFilter, *, limit: int, after: tuple[Any, UUID] | None) -> list[Contact]:
    """A page in the order of change, oldest change first: nothing is missed while contacts go on changing."""
    query = _CONTACT.where(conditions(tx.tenant, wanted))
    if after is not None:
        query = query.where(tuple_(contact.c.updated_at, contact.c.id) > after)
    return [to_contact(row) for row in await tx.all(query.order_by(contact.c.updated_at, contact.c.id).limit(limit))]


async def owner_of(tx: Tx, address: Address) -> UUID | None:
    """Whose address it is."""
    found: UUID | None = await tx.scalar(
        "SELECT contact_id FROM audience.identity WHERE tenant_id = :tenant AND kind = :kind AND value = :value",
        {"tenant": tx.tenant, "kind": address.kind.value, "value": address.value},
    )
    return found


async def claim(tx: Tx, contact_id: UUID, addresses: Iterable[Address]) -> dict[Address, UUID]:
    """Give addresses to a contact; those that are already somebody's, with their owner.

    Waits for another transaction that claims the same address.
    """
    taken = {}
    for address in sorted(addresses, key=lambda one: (one.kind.value, one.value)):
        done = await tx.scalar(
            "INSERT INTO audience.identity (tenant_id, id, contact_id, platform, kind, value) "
            "VALUES (:tenant, :id, :contact, :platform, :kind, :value) "
            "ON CONFLICT (tenant_id, kind, value) DO NOTHING RETURNING id",
            {
                "tenant": tx.tenant,
                "id": uuid7(),
                "contact": contact_id,
                "platform": PLATFORM_OF[address.kind.value],
                "kind": address.kind.value,
                "value": address.value,
            },
        )
        if done is None:
            owner = await owner_of(tx, address)
            if owner is not None and owner != contact_id:
                taken[address] = owner
    return taken


_OWNERS = """
SELECT i.kind, i.value, i.contact_id
FROM unnest($2::text[], $3::text[]) AS n (kind, value)
JOIN audience.identity i ON i.tenant_id = $1 AND i.kind = n.kind AND i.value = n.value
"""

_CLAIM_EACH = """
INSERT INTO audience.identity (tenant_id, id, contact_id, platform, kind, value)
SELECT $1, n.id, n.contact_id, n.platform, n.kind, n.value
FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[]) AS n (id, contact_id, platform, kind, value)
ORDER BY n.kind, n.value
ON CONFLICT (tenant_id, kind, value) DO NOTHING
RETURNING contact_id
"""


async def owners_of(tx: Tx, addresses: Collection[Address]) -> dict[Address, UUID]:
    """Whose addresses these are; those that are nobody's are left out."""
    driver = await tx.driver()
    kinds, values = [one.kind.value for one in addresses], [one.value for one in addresses]
    rows = await driver.fetch(_OWNERS, tx.tenant, kinds, values)
    return {Address(AddressKind(row["kind"]), row["value"]): row["contact_id"] for row in rows}


async def claim_each(tx: Tx, wanted: Mapping[Address, UUID]) -> set[UUID]:
    """Give each address to a contact of its own; returns the contacts that got theirs.

    Waits for other transactions that claim the same ones, in one order, so that two of us never wait for each other.
    """
    driver = await tx.driver()
    rows = await driver.fetch(
        _CLAIM_EACH,
        tx.tenant,
        uuid7s(len(wanted)),
        list(wanted.values()),
        [PLATFORM_OF[one.kind.value] for one in wanted],
        [one.kind.value for one in wanted],
        [one.value for one in wanted],
    )
    return {row["contact_id"] for row in rows}


async def release(tx: Tx, contact_id: UUID, identity_ids: Sequence[UUID]) -> None:
    """Take addresses from a contact."""
    await tx.execute(
        "DELETE FROM audience.identity WHERE tenant_id = :tenant AND contact_id = :contact AND id = ANY(:ids)",
        {"tenant": tx.tenant, "contact": contact_id, "ids": list(identity_ids)},
    )


async def add(tx: Tx, contact_id: UUID, values: Mapping[str, Any]) -> None:
    """A new contact row."""
    await tx.execute(insert(contact).values(tenant_id=tx.tenant, id=contact_id, **values))


async def add_many(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """New contact rows of the same columns, `id` among them."""
    await tx.execute(insert(contact), [{"tenant_id": tx.tenant, **row} for row in rows])


async def change(tx: Tx, contact_id: UUID, values: Mapping[str, Any]) -> None:
    """Set columns of a contact."""
    await tx.execute(
        contact.update().where(contact.c.tenant_id == tx.tenant, contact.c.id == contact_id).values(**values)
    )


async def refresh(tx: Tx, ids: Sequence[UUID]) -> None:
    """Derive `peers` and `email` from the identities."""
    await tx.execute(_REFRESH, {"tenant": tx.tenant, "ids": list(ids)})


def to_contact(row: RowMapping) -> Contact:
    """A row of `_CONTACT` as a contact."""
    values = dict(row)
    values["time_zones"] = tuple(values["time_zones"])
    values["tags"] = tuple(values["tags"])
    values["identities"] = tuple(_identity(one) for one in values["identities"])
    return Contact(**values)


def _identity(values: Mapping[str, Any]) -> Identity:
    return Identity(
        id=UUID(values["id"]),
        platform=values["platform"],
        kind=AddressKind(values["kind"]),
        value=values["value"],
        created_at=datetime.fromisoformat(values["created_at"]).astimezone(UTC),
    )
