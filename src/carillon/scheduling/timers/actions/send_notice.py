"""`send_notice`: write one text to a segment, as a campaign."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from carillon.kernel.subject import Subject
from carillon.scheduling.campaigns import api as campaigns
from carillon.storage.database import Tx

from .base import Settings

Body = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
Language = Annotated[str, Field(max_length=50)]


class SendNotice(Settings):
    """Write a text to everyone in a segment who agreed to it.

    Example:
        {"kind": "send_notice", "segment_id": "0192f0c1-7a3e-7cc1-9f5b-0d6a1f0e7b11", "platforms": ["telegram"],
         "texts": {"": "We are open tomorrow.", "zh": "我们明天营业。"}}
    """

    kind: Literal["send_notice"]
    segment_id: UUID
    platforms: Annotated[list[Literal["telegram", "whatsapp", "custom"]], Field(min_length=1, max_length=3)]
    texts: Annotated[dict[Language, Body], Field(min_length=1, max_length=50)]

    def _draft(self, name: str) -> campaigns.Draft:
        return campaigns.Draft(
            name=name,
            platforms=tuple(self.platforms),
            segment_id=self.segment_id,
            variants=(campaigns.CampaignVariant("A", 1, self.texts),),
        )

    async def check(self, tx: Tx) -> None:
        """See `Action.check`."""
        await campaigns.check(tx, self._draft("notice"))

    async def run(self, tx: Tx, subject: Subject, name: str) -> Mapping[str, Any]:
        """See `Action.run`."""
        made = await campaigns.create(tx, subject, self._draft(name))
        await campaigns.start(tx, subject, made.id)
        return {"campaign_id": str(made.id)}
