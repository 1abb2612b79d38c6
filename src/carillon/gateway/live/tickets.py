"""One-use tickets: what a WebSocket shows instead of a cookie or key, which must not stand in an address."""

import hashlib
import secrets
from datetime import timedelta
from typing import Final
from uuid import UUID

import orjson

from carillon.gateway.errors import TicketInvalid
from carillon.kernel.subject import Subject, SubjectKind
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

LIFETIME: Final = timedelta(seconds=30)
_SEPARATOR = "."


async def issue(tx: Tx, subject: Subject, resources: Resources) -> str:
    """A ticket for this subject: its tenant and 32 random bytes, of which the database holds the hash.

    It is a row, not memory, so that another API process may redeem it.
    """
    secret = secrets.token_urlsafe(32)
    bound = {
        "kind": subject.kind.value,
        "id": str(subject.id) if subject.id else None,
        "permissions": subject.permissions,
        "credential_id": str(subject.credential_id) if subject.credential_id else None,
    }
    await tx.execute(
        "INSERT INTO gateway.live_ticket (tenant_id, digest, subject, expires_at) "
        "VALUES (:tenant, :digest, CAST(:subject AS jsonb), :expires_at)",
        {
            "tenant": tx.tenant,
            "digest": _digest(secret),
            "subject": orjson.dumps(bound).decode(),
            "expires_at": resources.clock.now() + LIFETIME,
        },
    )
    return f"{tx.tenant.hex}{_SEPARATOR}{secret}"


async def redeem(ticket: str, resources: Resources) -> Subject:
    """Whose ticket this is; it cannot be used again.

    Raises:
        TicketInvalid: It is unknown, used, or older than 30 seconds.
    """
    tenant, _, secret = ticket.partition(_SEPARATOR)
    try:
        tenant_id = UUID(hex=tenant)
    except ValueError as error:
        raise TicketInvalid from error
    async with resources.database.transaction(tenant_id) as tx:
        row = await tx.first(
            "DELETE FROM gateway.live_ticket WHERE tenant_id = :tenant AND digest = :digest "
            "RETURNING subject, expires_at",
            {"tenant": tenant_id, "digest": _digest(secret)},
        )
    if row is None or row["expires_at"] <= resources.clock.now():
        raise TicketInvalid
    bound = row["subject"]
    return Subject(
        tenant_id=tenant_id,
        kind=SubjectKind(bound["kind"]),
        id=UUID(bound["id"]) if bound["id"] else None,
        permissions=bound["permissions"],
        credential_id=UUID(bound["credential_id"]) if bound["credential_id"] else None,
    )


async def purge(resources: Resources) -> int:
    """Remove expired tickets of all tenants; returns how many."""
    async with resources.database.across_tenants() as tx:
        result = await tx.execute(
            "DELETE FROM gateway.live_ticket WHERE expires_at < :now", {"now": resources.clock.now()}
        )
        return result.rowcount


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
