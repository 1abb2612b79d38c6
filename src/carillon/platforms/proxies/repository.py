"""SQL of the proxy pool."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    Uuid,
    column,
    delete,
    func,
    literal,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from carillon.storage.database import Tx

from .contracts import Proxy, ProxyFilter, ProxyScheme, ProxyState
from .models import proxy

# Accounts stand above proxies; of theirs only the binding is read here.
_account = table(
    "account",
    column("tenant_id", Uuid),
    column("id", Uuid),
    column("proxy_id", Uuid),
    column("deleted_at"),
    schema="platforms",
)
_BOUND = (
    select(func.count())
    .select_from(_account)
    .where(
        _account.c.tenant_id == proxy.c.tenant_id, _account.c.proxy_id == proxy.c.id, _account.c.deleted_at.is_(None)
    )
    .correlate(proxy)
    .scalar_subquery()
)
_COLUMNS = (
    proxy.c.id,
    proxy.c.name,
    proxy.c.scheme,
    proxy.c.host,
    proxy.c.port,
    proxy.c.username,
    proxy.c.password.is_not(None).label("has_password"),
    proxy.c.probe,
    proxy.c.region,
    proxy.c.labels,
    proxy.c.max_accounts,
    proxy.c.enabled,
    proxy.c.state,
    proxy.c.reason,
    proxy.c.latency_ms,
    proxy.c.failures,
    proxy.c.checked_at,
    proxy.c.ok_at,
    proxy.c.created_at,
    proxy.c.updated_at,
    _BOUND.label("accounts"),
)


def _read(row: Any) -> Proxy:
    return Proxy(
        **{
            **row,
            "scheme": ProxyScheme(row["scheme"]),
            "state": ProxyState(row["state"]),
            "labels": tuple(row["labels"]),
        }
    )


async def find(tx: Tx, proxy_id: UUID, *, lock: bool = False) -> Proxy | None:
    """One proxy."""
    query = select(*_COLUMNS).where(proxy.c.tenant_id == tx.tenant, proxy.c.id == proxy_id)
    row = await tx.first(query.with_for_update(of=proxy) if lock else query)
    return _read(row) if row else None


async def find_sealed(tx: Tx, proxy_id: UUID) -> RowMapping | None:
    """All columns of one proxy, with the sealed password."""
    return await tx.first(select(proxy).where(proxy.c.tenant_id == tx.tenant, proxy.c.id == proxy_id))


async def page_of(tx: Tx, wanted: ProxyFilter, *, before: UUID | None, limit: int) -> list[Proxy]:
    """Proxies, newest first."""
    query = _filtered(tx, select(*_COLUMNS), wanted)
    if before is not None:
        query = query.where(proxy.c.id < before)
    return [_read(row) for row in await tx.all(query.order_by(proxy.c.id.desc()).limit(limit))]


async def counts(tx: Tx, wanted: ProxyFilter) -> dict[ProxyState, int]:
    """How many there are in each state."""
    query = _filtered(tx, select(proxy.c.state, func.count().label("count")), wanted).group_by(proxy.c.state)
    return {ProxyState(row["state"]): row["count"] for row in await tx.all(query)}


async def free(tx: Tx, *, not_this: UUID, region: str | None) -> list[UUID]:
    """Healthy proxies with room, the emptiest and quickest first."""
    query = (
        select(proxy.c.id)
        .where(
            proxy.c.tenant_id == tx.tenant,
            proxy.c.id != not_this,
            proxy.c.enabled,
            proxy.c.state == ProxyState.HEALTHY.value,
            proxy.c.max_accounts > _BOUND,
        )
        .order_by(_BOUND, proxy.c.latency_ms, proxy.c.id)
        .limit(20)
    )
    if region is not None:
        query = query.where(proxy.c.region == region)
    return [row["id"] for row in await tx.all(query)]


async def add(tx: Tx, values: Mapping[str, Any]) -> bool:
    """Insert a proxy; False when its name is taken."""
    statement = insert(proxy).values(tenant_id=tx.tenant, **values).on_conflict_do_nothing()
    return await tx.scalar(statement.returning(proxy.c.id)) is not None


async def name_taken(tx: Tx, name: str, *, by_other_than: UUID) -> bool:
    """Whether another proxy has the name."""
    query = select(proxy.c.id).where(proxy.c.tenant_id == tx.tenant, proxy.c.name == name, proxy.c.id != by_other_than)
    return await tx.scalar(query) is not None


async def write(tx: Tx, proxy_id: UUID, values: Mapping[str, Any]) -> None:
    """Change some columns."""
    await tx.execute(update(proxy).where(proxy.c.tenant_id == tx.tenant, proxy.c.id == proxy_id).values(**values))


async def remove(tx: Tx, proxy_id: UUID) -> None:
    """Delete a proxy."""
    await tx.execute(delete(proxy).where(proxy.c.tenant_id == tx.tenant, proxy.c.id == proxy_id))


async def to_check(tx: Tx, *, after: tuple[UUID, UUID] | None, limit: int) -> Sequence[RowMapping]:
    """The next proxies in use of all tenants, by tenant and id."""
    query = select(proxy).where(proxy.c.enabled)
    if after is not None:
        tenant_id, proxy_id = after
        query = query.where(
            or_(proxy.c.tenant_id > tenant_id, (proxy.c.tenant_id == tenant_id) & (proxy.c.id > proxy_id))
        )
    return await tx.all(query.order_by(proxy.c.tenant_id, proxy.c.id).limit(limit))


def _filtered(tx: Tx, query: Select[Any], wanted: ProxyFilter) -> Select[Any]:
    found: list[ColumnElement[bool]] = [proxy.c.tenant_id == tx.tenant]
    if wanted.state is not None:
        found.append(proxy.c.state == wanted.state.value)
    if wanted.region is not None:
        found.append(proxy.c.region == wanted.region)
    if wanted.label is not None:
        found.append(proxy.c.labels.contains([wanted.label]))
    if wanted.query:
        needle = func.lower(literal(wanted.query))
        found.append(or_(*[func.strpos(func.lower(where), needle) > 0 for where in (proxy.c.name, proxy.c.host)]))
    return query.where(*found)
