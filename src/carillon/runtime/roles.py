"""Roles: what a process can be told to do. `carillon up` runs all of them, each in a process of its own."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from typing import Any

import structlog
from fastapi import FastAPI

from carillon.events.adapters.postgres import PostgresBus
from carillon.gateway.app import create_app
from carillon.gateway.server import serve
from carillon.identity.auth.api import IdentityAuthenticator
from carillon.events.consumer import Consumer
from carillon.gateway.manifest import Manifest
from carillon.kernel.errors import CarillonError
from carillon.kernel.permissions import Permission
from carillon.ops.settings import Settings
from carillon.platforms.connectors.port import Connector
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery.worker import DeliveryWorker
from carillon.storage.jobs import JobRunner
from carillon.storage.resources import Resources

from .compose import Prepared, connectors, open_resources
from .operations import operations_router
from .services import MANIFESTS

log = structlog.get_logger(__name__)


LIVE_PERMISSIONS: Mapping[str, Permission] = {
    "account": Permission.ACCOUNTS_READ,
    "campaign": Permission.CAMPAIGNS_READ,
    "contact": Permission.CONTACTS_READ,
    "consent": Permission.CONSENTS_READ,
    "conversation": Permission.CONVERSATIONS_READ,
    "import": Permission.CONTACTS_READ,
    "lane": Permission.CAMPAIGNS_READ,
    "message": Permission.MESSAGES_READ,
    "messages": Permission.CAMPAIGNS_READ,
    "proxy": Permission.PROXIES_READ,
}
"""Who may see which events on the live feed, by prefix of their type."""


class Role(StrEnum):
    """What a process does."""

    API = "api"
    DELIVERY = "delivery"
    EVENTS = "events"
    JOBS = "jobs"


def consumers(available: Mapping[str, Connector]) -> dict[str, Consumer]:
    """Every consumer of the product by name."""
    declared = [consumer for manifest in MANIFESTS for consumer in manifest.consumers]
    return {consumer.name: consumer for consumer in (*declared, delivery.webhook_consumer(available))}


def build_app(settings: Settings, resources: Resources) -> FastAPI:
    """The HTTP application."""
    available = connectors(settings)
    operations = Manifest("operations", routers=(operations_router(consumers(available)),))
    return create_app(
        (*MANIFESTS, operations),
        resources,
        IdentityAuthenticator(resources),
        routers=(delivery.webhook_router(available),),
        live_permissions=LIVE_PERMISSIONS,
        live_coalesced=frozenset({"messages.planned", "import.progressed"}),
    )


Run = Callable[[Settings, Prepared, asyncio.Event], Coroutine[Any, Any, None]]


async def run_api(settings: Settings, prepared: Prepared, stop: asyncio.Event) -> None:
    """Serve HTTP and WebSocket."""
    async with open_resources(settings, prepared, worker=False, name="carillon api") as resources:
        await serve(build_app(settings, resources), settings.host, settings.port, stop)


async def run_delivery(settings: Settings, prepared: Prepared, stop: asyncio.Event) -> None:
    """Own accounts and send."""
    async with open_resources(settings, prepared, worker=True, name="carillon delivery") as resources:
        await DeliveryWorker(resources, connectors(settings), name=process_name()).run(stop)


async def run_events(settings: Settings, prepared: Prepared, stop: asyncio.Event) -> None:
    """Feed the consumers."""
    async with open_resources(settings, prepared, worker=True, name="carillon events") as resources:
        await PostgresBus(resources, list(consumers(connectors(settings)).values())).run(stop)


async def run_jobs(settings: Settings, prepared: Prepared, stop: asyncio.Event) -> None:
    """Run queued and timed work."""
    async with open_resources(settings, prepared, worker=True, name="carillon jobs") as resources:
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


def process_name(pid: int | None = None) -> str:
    """How a process is called in the liveness table: unique among the living of a cluster."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"
