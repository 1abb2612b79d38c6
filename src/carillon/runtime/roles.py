"""Roles: what a process can be told to do. `carillon up` runs all of them, each in a process of its own.

A role imports what it needs when it runs: a delivery process carries no HTTP server.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from enum import StrEnum
from typing import Any

import structlog

from carillon.kernel.errors import CarillonError
from carillon.kernel.waiting import beside
from carillon.ops import counting, lifeline, metrics, scrape
from carillon.ops.settings import Settings

from .compose import Prepared, connectors, open_resources

log = structlog.get_logger(__name__)


class Role(StrEnum):
    """What a process does."""

    API = "api"
    DELIVERY = "delivery"
    EVENTS = "events"
    JOBS = "jobs"


Run = Callable[[Settings, Prepared, asyncio.Event], Coroutine[Any, Any, None]]


async def run_api(settings: Settings, prepared: Prepared, stop: asyncio.Event) -> None:
    """Serve HTTP and WebSocket."""
    from carillon.gateway.server import serve

    from .application import build_app

    async with open_resources(settings, prepared, worker=False, name="carillon api") as resources:
        await serve(build_app(settings, resources), settings.host, settings.port, stop)


async def run_delivery(settings: Settings, prepared: Prepared, stop: asyncio.Event) -> None:
    """Own accounts and send."""
    from carillon.platforms.delivery.metrics import FENCED
    from carillon.platforms.delivery.worker import DeliveryWorker, Fenced

    async with open_resources(settings, prepared, worker=True, name="carillon delivery") as resources:
        try:
            await DeliveryWorker(resources, connectors(settings), name=process_name()).run(stop)
        except Fenced:
            FENCED.inc()
            raise


async def run_events(settings: Settings, prepared: Prepared, stop: asyncio.Event) -> None:
    """Feed the consumers."""
    from carillon.events.adapters.postgres import PostgresBus

    from .application import consumers

    async with open_resources(settings, prepared, worker=True, name="carillon events") as resources:
        await PostgresBus(resources, list(consumers(connectors(settings)).values())).run(stop)


async def run_jobs(settings: Settings, prepared: Prepared, stop: asyncio.Event) -> None:
    """Run queued and timed work."""
    from carillon.storage import scratch
    from carillon.storage.jobs import JobRunner

    from .figures import keep_publishing
    from .services import MANIFESTS

    async with (
        open_resources(settings, prepared, worker=True, name="carillon jobs") as resources,
        beside(keep_publishing(resources)),
    ):
        scratch.sweep(settings.data)
        jobs = [job for manifest in MANIFESTS for job in manifest.jobs]
        timed = [timed for manifest in MANIFESTS for timed in manifest.timed]
        await JobRunner(resources, jobs, timed, prepared.worker_url).run(stop)


RUNS: Mapping[Role, Run] = {
    Role.API: run_api,
    Role.DELIVERY: run_delivery,
    Role.EVENTS: run_events,
    Role.JOBS: run_jobs,
}


async def run_roles(roles: list[Role], settings: Settings, prepared: Prepared) -> None:
    """Run some roles in this process until SIGTERM or SIGINT; when one fails, all end so that a parent restarts us.

    Raises:
        CarillonError: A role could not go on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lifeline.hold()
    metrics.STARTS.labels(counting.program()).inc()
    async with beside(metrics.watch_process()), _scraped(roles, settings):
        await _run_all(roles, settings, prepared, stop)


async def _run_all(roles: list[Role], settings: Settings, prepared: Prepared, stop: asyncio.Event) -> None:
    tasks = [asyncio.create_task(RUNS[role](settings, prepared, stop), name=role.value) for role in roles]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
    for task, outcome in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        if isinstance(outcome, CarillonError):
            log.error("role.ended", role=task.get_name(), code=outcome.code, detail=str(outcome))
        if isinstance(outcome, BaseException):
            raise outcome


def _scraped(roles: list[Role], settings: Settings) -> AbstractAsyncContextManager[None]:
    """Serve our metrics on a port of our own, where the API does not serve them."""
    if settings.metrics_port is None or Role.API in roles or counting.shared() is not None:
        return nullcontext()
    return scrape.serving(settings.metrics_host, settings.metrics_port, settings.metrics_token)


def process_name(pid: int | None = None) -> str:
    """How a process is called in the liveness table: unique among the living of a cluster."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"
