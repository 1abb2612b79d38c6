"""Addresses that are never written to, kept as keyed hashes: they outlive the erasure of a person.

An entry blocks the address on all accounts of the tenant at once, and whoever imports it again.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from carillon.gateway.pages import decode_cursor, encode_cursor
from carillon.identity.audit import api as audit
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from .addresses import Address
from .contracts import Suppression
from .errors import SuppressionUnknown


def _hashed(tx: Tx, vault: Vault, address: Address) -> bytes:
    # The tenant is part of what is hashed, so that no two tenants' lists can be compared.
    kind, value = address
    return vault.keyed_hash("suppression", tx.tenant.bytes + kind.encode() + b"\0" + value.encode())


_ADD = """
INSERT INTO audience.suppression (tenant_id, id, kind, value_hmac, reason, source)
SELECT $1, a.id, a.kind, a.hmac, $5, $6 FROM unnest($2::uuid[], $3::text[], $4::bytea[]) AS a (id, kind, hmac)
ON CONFLICT (tenant_id, kind, value_hmac) DO NOTHING
"""


async def suppress(tx: Tx, vault: Vault, addresses: Iterable[Address], *, reason: str, source: str) -> int:
    """Block addresses (in normal form, see `addresses.read_address`); returns how many were not blocked before."""
    # Sorted, so that two lists with common addresses cannot deadlock on the unique index.
    rows = sorted({(kind, _hashed(tx, vault, (kind, value))) for kind, value in addresses})
    if not rows:
        return 0
    driver = await tx.driver()
    kinds, hashes = zip(*rows, strict=True)
    status = await driver.execute(_ADD, tx.tenant, [uuid7() for _ in rows], list(kinds), list(hashes), reason, source)
    return int(status.rpartition(" ")[2])


async def lift(tx: Tx, vault: Vault, addresses: Iterable[Address]) -> None:
    """Unblock addresses: the person asked to be written to again."""
    driver = await tx.driver()
    await driver.execute(
        "DELETE FROM audience.suppression WHERE tenant_id = $1 AND value_hmac = ANY($2::bytea[])",
        tx.tenant,
        [_hashed(tx, vault, address) for address in addresses],
    )


async def suppressed_among(tx: Tx, vault: Vault, addresses: Sequence[Address]) -> set[Address]:
    """Those of the addresses (normalised) that are blocked; one look-up for any number."""
    driver = await tx.driver()
    # Most tenants block few or none: then nothing needs to be hashed.
    if not await driver.fetchval("SELECT EXISTS (SELECT FROM audience.suppression WHERE tenant_id = $1)", tx.tenant):
        return set()
    hashed = {_hashed(tx, vault, address): address for address in addresses}
    rows = await driver.fetch(
        "SELECT s.value_hmac FROM audience.suppression s "
        "JOIN unnest($2::text[], $3::bytea[]) AS a (kind, hmac) ON s.kind = a.kind AND s.value_hmac = a.hmac "
        "WHERE s.tenant_id = $1",
        tx.tenant,
        [kind for kind, _ in hashed.values()],
        list(hashed),
    )
    return {hashed[row["value_hmac"]] for row in rows}


async def page_of(tx: Tx, page: PageRequest, *, kind: str | None = None) -> Page[Suppression]:
    """Blocked addresses, newest first; the addresses themselves are not known any more.

    Raises:
        BadCursor: The cursor is not ours.
    """
    before = decode_cursor(page.cursor, UUID)[0] if page.cursor else None
    rows = await tx.all(
        "SELECT id, kind, reason, source, created_at FROM audience.suppression "
        "WHERE (CAST(:before AS uuid) IS NULL OR id < :before) AND (CAST(:kind AS text) IS NULL OR kind = :kind) "
        "ORDER BY id DESC LIMIT :limit",
        {"before": before, "kind": kind, "limit": page.limit + 1},
    )
    found = [Suppression(**row) for row in rows[: page.limit]]
    return Page(found, encode_cursor(str(found[-1].id)) if len(rows) > page.limit else None)


async def remove(tx: Tx, subject: Subject, suppression_id: UUID, *, reason: str) -> None:
    """Unblock an address by its entry, on record. A person who opted out stays opted out.

    Raises:
        SuppressionUnknown: No such entry.
    """
    removed = await tx.first(
        "DELETE FROM audience.suppression WHERE id = :id RETURNING kind, reason", {"id": suppression_id}
    )
    if removed is None:
        raise SuppressionUnknown
    details = {"kind": removed["kind"], "was": removed["reason"], "reason": reason}
    await audit.record(tx, subject, "suppression.removed", suppression_id, details)
