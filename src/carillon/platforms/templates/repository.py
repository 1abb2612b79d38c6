"""SQL of message templates."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, RowMapping, cast, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from carillon.storage.database import Tx

from .models import template, template_version

_COLUMNS = (
    template.c.id,
    template.c.name,
    template.c.description,
    template.c.version.label("latest"),
    template.c.archived_at,
    template.c.created_at,
    template.c.updated_at,
    template_version.c.version,
    template_version.c.texts,
    template_version.c.hints,
    template_version.c.vectors,
)
_JOINED = template.join(
    template_version,
    (template_version.c.tenant_id == template.c.tenant_id) & (template_version.c.id == template.c.id),
)


async def find(tx: Tx, template_id: UUID, version: int | None = None) -> RowMapping | None:
    """One template in one version, the latest if none is named."""
    wanted = template.c.version if version is None else cast(version, Integer)
    return await tx.first(
        select(*_COLUMNS)
        .select_from(_JOINED)
        .where(template.c.tenant_id == tx.tenant, template.c.id == template_id, template_version.c.version == wanted)
    )


async def lock(tx: Tx, template_id: UUID) -> int | None:
    """The latest version of a template, locked; None if there is no such template."""
    query = select(template.c.version).where(template.c.tenant_id == tx.tenant, template.c.id == template_id)
    found = await tx.scalar(query.with_for_update())
    return None if found is None else int(found)


async def page_of(tx: Tx, *, before: UUID | None, limit: int, archived: bool, query: str | None) -> list[RowMapping]:
    """Templates in their latest versions, newest first."""
    statement = (
        select(*_COLUMNS)
        .select_from(_JOINED)
        .where(template.c.tenant_id == tx.tenant, template_version.c.version == template.c.version)
        .where(template.c.archived_at.is_not(None) if archived else template.c.archived_at.is_(None))
    )
    if before is not None:
        statement = statement.where(template.c.id < before)
    if query:
        statement = statement.where(func.strpos(func.lower(template.c.name), func.lower(literal(query))) > 0)
    return list(await tx.all(statement.order_by(template.c.id.desc()).limit(limit)))


async def versions(tx: Tx, template_id: UUID, *, before: int | None, limit: int) -> list[RowMapping]:
    """The versions of a template, newest first."""
    version = template_version.c
    query = select(version.version, version.created_by, version.created_at).where(
        version.tenant_id == tx.tenant, version.id == template_id
    )
    if before is not None:
        query = query.where(version.version < before)
    return list(await tx.all(query.order_by(version.version.desc()).limit(limit)))


async def add(tx: Tx, template_id: UUID, name: str, description: str) -> bool:
    """Insert a template; False when its name is taken."""
    values = {"tenant_id": tx.tenant, "id": template_id, "name": name, "description": description, "version": 1}
    statement = insert(template).values(values).on_conflict_do_nothing().returning(template.c.id)
    return await tx.scalar(statement) is not None


async def add_version(
    tx: Tx, template_id: UUID, version: int, content: Mapping[str, Any], created_by: UUID | None
) -> None:
    """Insert a version."""
    await tx.execute(
        insert(template_version).values(
            tenant_id=tx.tenant, id=template_id, version=version, created_by=created_by, **content
        )
    )


async def name_taken(tx: Tx, name: str, *, by_other_than: UUID) -> bool:
    """Whether another template has the name."""
    query = select(template.c.id).where(
        template.c.tenant_id == tx.tenant, template.c.name == name, template.c.id != by_other_than
    )
    return await tx.scalar(query) is not None


async def write(tx: Tx, template_id: UUID, values: Mapping[str, Any]) -> None:
    """Change some columns."""
    await tx.execute(
        update(template)
        .where(template.c.tenant_id == tx.tenant, template.c.id == template_id)
        .values(**values, updated_at=func.now())
    )
