"""SQL of roles."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import RowMapping

from carillon.kernel.ids import uuid7
from carillon.storage.database import Tx

from .builtin import effective_mask
from .contracts import Role

_SELECT = """
SELECT r.id, r.name, r.description, r.builtin, r.permissions, r.created_at, r.updated_at,
       (SELECT count(*) FROM identity.membership m WHERE m.tenant_id = r.tenant_id AND m.role_id = r.id) AS members
FROM identity.role r
WHERE r.tenant_id = :tenant
"""
# A new owner or admin first: the built-in ones in the order of the product, then the tenant's own by name.
_ORDER = " ORDER BY r.builtin IS NULL, CASE WHEN r.builtin IS NULL THEN lower(r.name) END, r.id"


async def insert_builtin(tx: Tx, names: Iterable[str]) -> None:
    """Make the rows of built-in roles that are missing; their permissions are not stored."""
    await tx.execute(
        "INSERT INTO identity.role (tenant_id, id, name, builtin) VALUES (:tenant, :id, :name, :name) "
        "ON CONFLICT DO NOTHING",
        [{"tenant": tx.tenant, "id": uuid7(), "name": name} for name in names],
    )


async def insert(tx: Tx, role_id: UUID, name: str, description: str, mask: int) -> None:
    """Add a role of the tenant's own."""
    await tx.execute(
        "INSERT INTO identity.role (tenant_id, id, name, description, permissions) "
        "VALUES (:tenant, :id, :name, :description, :mask)",
        {"tenant": tx.tenant, "id": role_id, "name": name, "description": description, "mask": Decimal(mask)},
    )


async def update(tx: Tx, role_id: UUID, *, name: str, description: str, mask: int, now: datetime) -> None:
    """Change a role of the tenant's own."""
    await tx.execute(
        "UPDATE identity.role SET name = :name, description = :description, permissions = :mask, updated_at = :now "
        "WHERE tenant_id = :tenant AND id = :id",
        {
            "tenant": tx.tenant,
            "id": role_id,
            "name": name,
            "description": description,
            "mask": Decimal(mask),
            "now": now,
        },
    )


async def delete(tx: Tx, role_id: UUID) -> bool:
    """Remove a role unless somebody has it or was invited to it."""
    result = await tx.execute(
        """
        DELETE FROM identity.role r WHERE tenant_id = :tenant AND id = :id
        AND NOT EXISTS (SELECT FROM identity.membership m WHERE m.tenant_id = r.tenant_id AND m.role_id = r.id)
        AND NOT EXISTS (SELECT FROM identity.invitation i WHERE i.tenant_id = r.tenant_id AND i.role_id = r.id)
        """,
        {"tenant": tx.tenant, "id": role_id},
    )
    return bool(result.rowcount)


async def find(tx: Tx, role_id: UUID, *, lock: bool = False) -> Role | None:
    """One role; locked, nobody can be given it or change it meanwhile."""
    statement = f"{_SELECT} AND r.id = :id{' FOR UPDATE OF r' if lock else ''}"
    row = await tx.first(statement, {"tenant": tx.tenant, "id": role_id})
    return _role(row) if row else None


async def find_builtin(tx: Tx, name: str) -> Role | None:
    """One built-in role by its key."""
    row = await tx.first(f"{_SELECT} AND r.builtin = :name", {"tenant": tx.tenant, "name": name})
    return _role(row) if row else None


async def name_taken(tx: Tx, name: str, besides: UUID | None) -> bool:
    """Whether another role has this name in any case."""
    return bool(
        await tx.scalar(
            "SELECT EXISTS (SELECT FROM identity.role WHERE tenant_id = :tenant AND lower(name) = lower(:name) "
            "AND id IS DISTINCT FROM CAST(:besides AS uuid))",
            {"tenant": tx.tenant, "name": name, "besides": besides},
        )
    )


async def read_all(tx: Tx) -> list[Role]:
    """All of them: a tenant has tens of roles, not thousands."""
    return [_role(row) for row in await tx.all(_SELECT + _ORDER, {"tenant": tx.tenant})]


def _role(row: RowMapping) -> Role:
    return Role(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        builtin=row["builtin"],
        mask=effective_mask(row["builtin"], int(row["permissions"])),
        members=row["members"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
