"""Background work of proxies: checks."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from carillon.storage.jobs import Job, Timed
from carillon.storage.resources import Resources

from . import api


async def check_proxy(resources: Resources, tenant_id: UUID, payload: Mapping[str, Any]) -> None:
    """Check one proxy."""
    await api.check_one(resources, tenant_id, UUID(payload["proxy_id"]))


async def check_proxies(resources: Resources) -> None:
    """Check them all."""
    await api.check_all(resources)


jobs = (Job("proxy.check", check_proxy, timeout=60.0, attempts=3),)
timed = (Timed("proxies.check", "* * * * *", check_proxies),)
