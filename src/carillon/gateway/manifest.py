"""What a service offers to the composition root."""

from dataclasses import dataclass

from fastapi import APIRouter

from carillon.events.consumer import Consumer
from carillon.storage.jobs import Job, Timed


@dataclass(frozen=True, slots=True)
class Manifest:
    """A service's parts, listed in `runtime.services`.

    Attributes:
        name: `cluster.service`.
        routers: Mounted below `/api/v1`.
        consumers: Of events.
        jobs: Queued work.
        timed: Work on a timetable.
    """

    name: str
    routers: tuple[APIRouter, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    jobs: tuple[Job, ...] = ()
    timed: tuple[Timed, ...] = ()
