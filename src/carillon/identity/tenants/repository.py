"""SQL of tenants."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping

from carillon.storage.database import Tx

from .contracts import Tenant

_COLUMNS = "id, name, slug, time_zone, language, region, suspended_at, created_at, updated_at"


async def insert(tx: Tx, values: dict[str, Any]) -> bool:
    """Add the transaction's own tenant; False if the slug is taken by any other."""
    result = await tx.execute(
        "INSERT INTO identity.tenant (id, name, slug, time_zone, language, region) "
        "VALUES (:id, :name, :slug, :time_zone, :language, :region) ON CONFLICT (slug) DO NOTHING",
        values,
    )
    return bool(result.rowcount)


async def find(tx: Tx) -> Tenant | None:
    """The transaction's tenant."""
    row = await tx.first(f"SELECT {_COLUMNS} FROM identity.tenant WHERE id = :id", {"id": tx.tenant})  # noqa: S608
    return _tenant(row) if row else None


async def update(tx: Tx, *, name: str, time_zone: str, language: str, region: str | None, now: datetime) -> None:
    """Store the settings of the transaction's tenant."""
    await tx.execute(
        "UPDATE identity.tenant SET name = :name, time_zone = :time_zone, language = :language, region = :region, "
        "updated_at = :now WHERE id = :id",
        {"id": tx.tenant, "name": name, "time_zone": time_zone, "language": language, "region": region, "now": now},
    )


async def set_suspended(tx: Tx, since: datetime | None, now: datetime) -> None:
    """Suspend the transaction's tenant, or let it go on."""
    await tx.execute(
        "UPDATE identity.tenant SET suspended_at = :since, updated_at = :now WHERE id = :id",
        {"id": tx.tenant, "since": since, "now": now},
    )


async def read_all(tx: Tx, after: UUID | None, limit: int) -> list[Tenant]:
    """Tenants that the transaction may see, oldest first."""
    rows = await tx.all(
        f"SELECT {_COLUMNS} FROM identity.tenant "  # noqa: S608 - a constant
        "WHERE CAST(:after AS uuid) IS NULL OR id > CAST(:after AS uuid) ORDER BY id LIMIT :limit",
        {"after": after, "limit": limit},
    )
    return [_tenant(row) for row in rows]


async def find_slug(tx: Tx, slug: str) -> Tenant | None:
    """The tenant of this slug, among those the transaction may see."""
    row = await tx.first(f"SELECT {_COLUMNS} FROM identity.tenant WHERE slug = :slug", {"slug": slug})  # noqa: S608
    return _tenant(row) if row else None


def _tenant(row: RowMapping) -> Tenant:
    return Tenant(**row)
