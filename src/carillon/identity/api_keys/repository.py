"""SQL of API keys."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import RowMapping

from carillon.storage.database import Tx

from .contracts import ApiKey

_COLUMNS = "id, name, permissions, created_by, created_at, expires_at, last_used_at, revoked_at"
_IDENTIFY = """
SELECT k.token_hash, k.permissions, k.created_by, k.expires_at, k.revoked_at, t.suspended_at,
       m.state, m.builtin AS maker_builtin, m.permissions AS maker_permissions
FROM identity.api_key k
JOIN identity.tenant t ON t.id = k.tenant_id
LEFT JOIN identity.member m ON m.tenant_id = k.tenant_id AND m.user_id = k.created_by
WHERE k.tenant_id = :tenant AND k.id = :id
"""
# Use is noted in the same statement, at most once a minute, and only for the right secret.
_USE = f"""
WITH used AS (
    UPDATE identity.api_key SET last_used_at = :now
    WHERE tenant_id = :tenant AND id = :id AND token_hash = :hash AND revoked_at IS NULL
      AND (last_used_at IS NULL OR last_used_at < :coarse)
)
{_IDENTIFY}
"""  # noqa: S608 - constants


async def identify(tx: Tx, key_id: UUID) -> RowMapping | None:
    """What decides whether a key works."""
    return await tx.first(_IDENTIFY, {"tenant": tx.tenant, "id": key_id})


async def use(tx: Tx, key_id: UUID, digest: bytes, now: datetime, coarse: datetime) -> RowMapping | None:
    """The same, noting the use unless the last one was noted after `coarse`."""
    params = {"tenant": tx.tenant, "id": key_id, "hash": digest, "now": now, "coarse": coarse}
    return await tx.first(_USE, params)


async def insert(tx: Tx, key: ApiKey, digest: bytes) -> None:
    """Add a key."""
    await tx.execute(
        "INSERT INTO identity.api_key "
        "(tenant_id, id, name, token_hash, permissions, created_by, created_at, expires_at) "
        "VALUES (:tenant, :id, :name, :hash, :mask, :created_by, :created_at, :expires_at)",
        {
            "tenant": tx.tenant,
            "id": key.id,
            "name": key.name,
            "hash": digest,
            "mask": Decimal(key.mask),
            "created_by": key.created_by,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
        },
    )


async def find(tx: Tx, key_id: UUID) -> ApiKey | None:
    """One key."""
    row = await tx.first(
        f"SELECT {_COLUMNS} FROM identity.api_key WHERE tenant_id = :tenant AND id = :id",  # noqa: S608
        {"tenant": tx.tenant, "id": key_id},
    )
    return _key(row) if row else None


async def read_page(tx: Tx, before: UUID | None, limit: int) -> list[ApiKey]:
    """Keys, newest first."""
    rows = await tx.all(
        f"SELECT {_COLUMNS} FROM identity.api_key WHERE tenant_id = :tenant "  # noqa: S608
        "AND (CAST(:before AS uuid) IS NULL OR id < CAST(:before AS uuid)) ORDER BY id DESC LIMIT :limit",
        {"tenant": tx.tenant, "before": before, "limit": limit},
    )
    return [_key(row) for row in rows]


async def rename(tx: Tx, key_id: UUID, name: str) -> None:
    """Give a key another name."""
    await tx.execute(
        "UPDATE identity.api_key SET name = :name WHERE tenant_id = :tenant AND id = :id",
        {"tenant": tx.tenant, "id": key_id, "name": name},
    )


async def revoke(tx: Tx, key_id: UUID, now: datetime) -> bool:
    """End a key; False if it had ended."""
    result = await tx.execute(
        "UPDATE identity.api_key SET revoked_at = :now WHERE tenant_id = :tenant AND id = :id AND revoked_at IS NULL",
        {"tenant": tx.tenant, "id": key_id, "now": now},
    )
    return bool(result.rowcount)


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        mask=int(row["permissions"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )
