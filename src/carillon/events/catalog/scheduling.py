"""Published events of the scheduling cluster."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from .base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignChanged(Event):
    """A campaign came into another state; `reason` says why it paused itself."""

    type: ClassVar[str] = "campaign.changed"
    campaign_id: UUID
    state: str
    before: str
    reason: str | None = None

    @property
    def subject_id(self) -> UUID:
        """The campaign."""
        return self.campaign_id


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerRan(Event):
    """A timer ran, or passed a missed time over; `code` is that of the error, if it failed."""

    type: ClassVar[str] = "timer.ran"
    timer_id: UUID
    run_id: UUID
    trigger: str
    outcome: str
    code: str | None = None

    @property
    def subject_id(self) -> UUID:
        """The timer."""
        return self.timer_id
