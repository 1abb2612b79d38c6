"""How background work is declared."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from carillon.storage.resources import Resources

RunJob = Callable[[Resources, UUID, Mapping[str, Any]], Awaitable[None]]
RunTimed = Callable[[Resources], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of background work.

    Attributes:
        name: `noun.verb`.
        run: Given the tenant and a JSON payload; opens its own transactions; must be idempotent.
        timeout: Seconds after which it is cancelled and tried again.
        attempts: Tries before it is given up and shown as failed.
    """

    name: str
    run: RunJob
    timeout: float = 3600.0
    attempts: int = 5


@dataclass(frozen=True, slots=True)
class Timed:
    """Work of the product itself on a timetable (not a tenant's timer): retention, probes, due campaigns.

    Attributes:
        name: `noun.verb`.
        cron: Five or six fields (the sixth is seconds), UTC.
        run: Opens its own transactions; must be idempotent.
    """

    name: str
    cron: str
    run: RunTimed
