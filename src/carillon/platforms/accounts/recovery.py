"""What accounts do by themselves: go on after a flood, change to another proxy, go on when theirs is back."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from carillon.events import outbox
from carillon.events.catalog.accounts import AccountProxyChanged
from carillon.platforms.connectors.port import AccountState
from carillon.platforms.proxies import api as proxies
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import repository
from .contracts import Account, Failover
from .life import STOPPED, enter
from .models import account
from .reasons import RESUMABLE
from .service import reopen
from .states import By

_BATCH = 500

# An account that the product parked goes on only when its owner has closed the old session.
_UNOWNED = """
SELECT a.tenant_id, a.id FROM platforms.account a
LEFT JOIN platforms.account_lease l ON l.tenant_id = a.tenant_id AND l.id = a.id
WHERE a.state = 'parked' AND NOT a.parked AND a.deleted_at IS NULL AND a.reason_code = ANY(:codes)
  AND l.worker_id IS NULL
ORDER BY a.tenant_id, a.id LIMIT :limit
"""
_OVER = """
SELECT tenant_id, id FROM platforms.account
WHERE state = 'flooded' AND deleted_at IS NULL AND wait_until <= clock_timestamp()
ORDER BY tenant_id, id LIMIT :limit
"""
_OWNED = "SELECT id FROM platforms.account_lease WHERE tenant_id = :tenant AND id = ANY(:ids) AND worker_id IS NOT NULL"


async def tick(resources: Resources) -> None:
    """Let floods end that are over, and accounts go on that wait for nothing any more; of all tenants."""
    async with resources.database.across_tenants() as tx:
        over = await tx.all(_OVER, {"limit": _BATCH})
        waiting = await tx.all(_UNOWNED, {"codes": list(RESUMABLE), "limit": _BATCH})
    for tenant_id in sorted({row["tenant_id"] for row in [*over, *waiting]}):
        async with resources.database.transaction(tenant_id) as tx:
            await end_floods(tx, [row["id"] for row in over if row["tenant_id"] == tenant_id])
            await resume(tx, [row["id"] for row in waiting if row["tenant_id"] == tenant_id])


async def end_floods(tx: Tx, ids: Sequence[UUID]) -> None:
    """Bring flooded accounts whose wait is over back: online where a session is open, else waiting for one."""
    if not ids:
        return
    now = datetime.now(UTC)
    flooded = [
        one
        for one in await repository.find_many(tx, account.c.id.in_(list(ids)))
        if one.state is AccountState.FLOODED and one.wait_until is not None and one.wait_until <= now
    ]
    owned = {row["id"] for row in await tx.all(_OWNED, {"tenant": tx.tenant, "ids": [one.id for one in flooded]})}
    await enter(tx, [one for one in flooded if one.id in owned], AccountState.ONLINE, by=By.PRODUCT, code="")
    rest = [one for one in flooded if one.id not in owned]
    await enter(tx, rest, AccountState.NEW, by=By.PRODUCT, code="waiting")


async def resume(tx: Tx, ids: Sequence[UUID]) -> None:
    """Let accounts go on that the product parked, if their way out is open again or another one may be taken."""
    for one in await repository.find_many(tx, account.c.id.in_(list(ids))) if ids else ():
        if one.state is not AccountState.PARKED or one.parked or one.reason_code not in RESUMABLE:
            continue
        if one.proxy_id is None or await proxies.usable(tx, one.proxy_id) or await _take_another(tx, one):
            await enter(tx, [one], AccountState.NEW, by=By.PRODUCT, code="waiting")
        else:
            await enter(tx, [one], AccountState.PARKED, by=By.PRODUCT, code="proxy_down")


async def leave_proxy(tx: Tx, proxy_id: UUID) -> None:
    """A proxy does not answer any more: its accounts take another one as far as they may, and are parked otherwise."""
    for one in await _bound(tx, proxy_id):
        if await _take_another(tx, one):
            await reopen(tx, one, "proxy_changed")
        else:
            await enter(tx, [one], AccountState.PARKED, by=By.PRODUCT, code="proxy_down")


async def renew_proxy(tx: Tx, proxy_id: UUID) -> None:
    """A proxy was changed: sessions through it are opened anew once it was checked."""
    for one in await _bound(tx, proxy_id):
        await reopen(tx, one, "proxy_changed")


async def _bound(tx: Tx, proxy_id: UUID) -> list[Account]:
    """The accounts of a proxy that run or shall run."""
    bound = await repository.find_many(tx, account.c.proxy_id == proxy_id)
    return [one for one in bound if not one.parked and one.state not in STOPPED]


async def _take_another(tx: Tx, one: Account) -> bool:
    """Bind the account to another proxy if its policy and the pool allow."""
    if one.failover is Failover.NONE or one.proxy_id is None:
        return False
    other = await proxies.take_alternative(tx, one.proxy_id, same_region=one.failover is Failover.SAME_REGION)
    if other is None:
        return False
    await repository.write(tx, one.id, {"proxy_id": other.id, "updated_at": datetime.now(UTC)})
    await outbox.append(tx, AccountProxyChanged(account_id=one.id, before=one.proxy_id, after=other.id, automatic=True))
    return True
