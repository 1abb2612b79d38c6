"""What crosses the boundary of timers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Missed(StrEnum):
    """What happens to times that passed while nothing ran: made up for by one run, or not at all."""

    ONCE = "once"
    SKIP = "skip"


class Trigger(StrEnum):
    """What made a timer run."""

    CLOCK = "clock"
    MANUAL = "manual"


class Outcome(StrEnum):
    """How a run ended; `skipped` is a missed time that was not made up for."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class TimerPlan:
    """What a tenant decides.

    Attributes:
        cron: Five fields, about the wall clock of `zone`.
        zone: IANA name.
        action: As JSON: its `kind` (see `actions.catalog`) and what it needs.
    """

    name: str
    cron: str
    action: Mapping[str, Any]
    zone: str = "UTC"
    enabled: bool = True
    missed: Missed = Missed.ONCE


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer.

    Attributes:
        next_at: When it is due next; None while it is switched off.
        last_at: When it ran last.
        version: Grows with every change by a person; an update names the one it saw.
    """

    id: UUID
    plan: TimerPlan
    next_at: datetime | None
    last_at: datetime | None
    last_outcome: Outcome | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class TimerRun:
    """One line of a timer's history.

    Attributes:
        due_at: The time it stands for.
        result: What the action made, e.g. `{"campaign_id": …}`.
        code: Of the error, if it failed.
        message: The same for a person.
    """

    id: UUID
    timer_id: UUID
    trigger: Trigger
    outcome: Outcome
    due_at: datetime
    ran_at: datetime
    result: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None
    message: str | None = None
