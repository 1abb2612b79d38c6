"""Checking proxies and writing down what was found; no transaction is open while the network is asked."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import RowMapping

from carillon.storage.resources import Resources
from carillon.storage.vault import SecretUnreadable

from . import probe, repository, service
from .contracts import Finding, Health, ProxyScheme, Target
from .health import judge

log = structlog.get_logger(__name__)

AT_ONCE = 100
"""Checks that run side by side: a thousand dead proxies take under two minutes."""


async def check_one(resources: Resources, tenant_id: UUID, proxy_id: UUID) -> None:
    """Check one proxy now; one that is gone or switched off is passed over."""
    async with resources.database.transaction(tenant_id) as tx:
        row = await repository.find_sealed(tx, proxy_id)
    if row is not None and row["enabled"]:
        await _check(resources, row)


async def check_all(resources: Resources) -> None:
    """Check every proxy in use, of all tenants."""
    after: tuple[UUID, UUID] | None = None
    gate = asyncio.Semaphore(AT_ONCE)

    async def guarded(row: RowMapping) -> None:
        async with gate:
            await _check(resources, row)

    while True:
        async with resources.database.across_tenants() as tx:
            rows = await repository.to_check(tx, after=after, limit=AT_ONCE * 5)
        if not rows:
            return
        await asyncio.gather(*[guarded(row) for row in rows])
        after = (rows[-1]["tenant_id"], rows[-1]["id"])


async def _check(resources: Resources, row: RowMapping) -> None:
    try:
        target = _target(resources, row)
    except SecretUnreadable as error:
        log.warning("proxy.password_unreadable", proxy=str(row["id"]), error=error.code)
        finding = Finding("secret_unreadable")
    else:
        finding = await probe.check(target, resources.settings.allow_networks)
    await _write(resources, row, finding)


async def _write(resources: Resources, row: RowMapping, finding: Finding) -> None:
    """Settle a finding, unless the proxy was changed while it was checked."""
    async with resources.database.transaction(row["tenant_id"]) as tx:
        proxy = await repository.find(tx, row["id"], lock=True)
        if proxy is None or not proxy.enabled or proxy.updated_at != row["updated_at"]:
            return
        health = judge(Health(proxy.state, proxy.reason, proxy.failures), finding)
        now = datetime.now(UTC)
        values: dict[str, Any] = {"reason": health.reason, "failures": health.failures, "checked_at": now}
        if finding.reason is None:
            latency = None if finding.latency is None else round(finding.latency * 1000)
            values |= {"ok_at": now, "latency_ms": latency, "address": finding.address}
        await service.announce(tx, proxy, health.state, values)
        await repository.write(tx, proxy.id, values)


def _target(resources: Resources, row: RowMapping) -> Target:
    return Target(
        tenant_id=row["tenant_id"],
        id=row["id"],
        scheme=ProxyScheme(row["scheme"]),
        host=row["host"],
        port=row["port"],
        username=row["username"],
        password=service.password_of(resources.vault, row["tenant_id"], row),
        probe=row["probe"],
    )
