"""Campaign work in the background."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from carillon.storage.jobs import Job, Timed
from carillon.storage.resources import Resources

from . import api


async def run_plan(resources: Resources, tenant_id: UUID, payload: Mapping[str, Any]) -> None:
    """Plan a campaign."""
    await api.plan(resources, tenant_id, UUID(payload["campaign_id"]))


async def run_cancel(resources: Resources, tenant_id: UUID, payload: Mapping[str, Any]) -> None:
    """Cancel what a campaign has not sent."""
    await api.cancel_messages(resources, tenant_id, UUID(payload["campaign_id"]))


jobs = (Job(api.PLAN_JOB, run_plan), Job(api.CANCEL_JOB, run_cancel))
timed = (Timed("campaign.tick", "* * * * * */5", api.tick),)
