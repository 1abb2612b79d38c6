"""`start_campaign`: send a campaign again, as a copy that goes out at once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

from carillon.kernel.subject import Subject
from carillon.scheduling.campaigns import api as campaigns
from carillon.storage.database import Tx

from .base import Settings


class StartCampaign(Settings):
    """Make a copy of a campaign and start it.

    Example:
        {"kind": "start_campaign", "campaign_id": "0192f0c1-7a3e-7cc1-9f5b-0d6a1f0e7b11"}
    """

    kind: Literal["start_campaign"]
    campaign_id: UUID

    async def check(self, tx: Tx) -> None:
        """See `Action.check`."""
        await campaigns.get(tx, self.campaign_id)

    async def run(self, tx: Tx, subject: Subject, name: str) -> Mapping[str, Any]:  # noqa: ARG002 - the copy has its own
        """See `Action.run`."""
        copy = await campaigns.clone(tx, subject, self.campaign_id)
        now = replace(copy.draft, schedule=campaigns.CampaignSchedule())
        await campaigns.update(tx, copy.id, now, version=copy.version)
        await campaigns.start(tx, subject, copy.id)
        return {"campaign_id": str(copy.id)}
