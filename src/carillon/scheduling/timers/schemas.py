"""HTTP shapes of timers."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from carillon.kernel.lines import ONE_LINE

from .actions.catalog import AnyAction
from .contracts import Missed, Outcome, Timer, TimerPlan, TimerRun, Trigger

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=ONE_LINE)]


class TimerIn(BaseModel):
    """What a tenant decides."""

    model_config = ConfigDict(extra="forbid")

    name: Line
    cron: Annotated[str, Field(max_length=100, examples=["0 9 * * 1"], description="Five fields")]
    zone: Annotated[str, Field(max_length=64, description="IANA name")] = "UTC"
    action: AnyAction
    enabled: bool = True
    missed: Missed = Field(Missed.ONCE, description="What happens to times that passed while nothing ran")

    def plan(self) -> TimerPlan:
        """As the facade takes it."""
        return TimerPlan(
            name=self.name,
            cron=self.cron,
            zone=self.zone,
            action=self.action.model_dump(mode="json"),
            enabled=self.enabled,
            missed=self.missed,
        )


class TimerChangeIn(TimerIn):
    """A timer as it shall be."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1, description="The version that was read")]


class TimerOut(BaseModel):
    """A timer."""

    id: UUID
    name: str
    cron: str
    zone: str
    action: dict[str, Any]
    enabled: bool
    missed: Missed
    next_at: datetime | None
    last_at: datetime | None
    last_outcome: Outcome | None
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, found: Timer) -> "TimerOut":
        """From the facade's shape."""
        sources = (found.plan, found)
        return cls(**{name: getattr(one, name) for one in sources for name in cls.model_fields if hasattr(one, name)})


class TimerRunOut(BaseModel):
    """One line of a timer's history."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    timer_id: UUID
    trigger: Trigger
    outcome: Outcome
    due_at: datetime
    ran_at: datetime
    result: dict[str, Any]
    code: str | None
    message: str | None

    @classmethod
    def of(cls, found: TimerRun) -> "TimerRunOut":
        """From the facade's shape."""
        return cls.model_validate(found)
