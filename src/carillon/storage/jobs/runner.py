"""The job runner: takes jobs from the queue and runs them, with a timetable beside it."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from pgqueuer.core.qm import QueueManager

from carillon.storage.resources import Resources

from .declaration import Job, Timed
from .execution import Execution, Work
from .pgqueuer import CountingQueries, PatientDriver
from .queue import SETTINGS
from .retention import PRUNE
from .timetable import Timetable, queue_name

_log = structlog.get_logger(__name__)
_TIMED_SECONDS = 3600.0
_TIMED_ATTEMPTS = 3
_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(frozen=True, slots=True)
class Pace:
    """How the runner goes about it.

    Attributes:
        concurrency: Jobs at once in this process.
        heartbeat: Seconds of silence after which a running job is taken over from a dead process.
        poll: Seconds after which to look without being notified.
        drain: Seconds that running jobs get at a stop.
        first_wait: Seconds before the second attempt; each further wait is four times as long, 10 minutes at most.
    """

    concurrency: int = 20
    heartbeat: float = 20.0
    poll: float = 2.0
    drain: float = 10.0
    first_wait: float = 5.0


class JobRunner:
    """Runs queued jobs and the timetable; any number of processes may do so side by side."""

    def __init__(
        self, resources: Resources, jobs: Sequence[Job], timed: Sequence[Timed], dsn: str, *, pace: Pace | None = None
    ) -> None:
        """Create the runner.

        Args:
            resources: Handed to every job; its database has the workers' role.
            jobs: What it can run; jobs of other names stay queued.
            timed: What it runs on a timetable.
            dsn: The workers' role's URL, for connections of its own.
            pace: How much at once, how patient.
        """
        self._resources = resources
        self._dsn = dsn
        self._pace = pace or Pace()
        self._timed = (*timed, PRUNE)
        self._work = [
            *(self._of_job(job) for job in jobs),
            *(self._of_timed(entry) for entry in self._timed),
        ]

    def _of_job(self, job: Job) -> Work:
        async def run(tenant_id: UUID | None, data: Mapping[str, Any]) -> None:
            if tenant_id is None:
                message = f"job {job.name} was queued without a tenant"
                raise RuntimeError(message)
            await job.run(self._resources, tenant_id, data)

        return Work(job.name, run, job.timeout, job.attempts, keep=True)

    def _of_timed(self, entry: Timed) -> Work:
        async def run(_: UUID | None, __: Mapping[str, Any]) -> None:
            await entry.run(self._resources)

        # The next tick comes anyway: a failed run need not stay.
        return Work(queue_name(entry.name), run, _TIMED_SECONDS, _TIMED_ATTEMPTS, keep=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; running jobs get 10 s to finish, then are cancelled and queued again."""
        while not stop.is_set():
            try:
                await self._serve(stop)
            except _LOST as error:
                _log.warning("job runner starts again", error_class=type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 1.0)

    async def _serve(self, stop: asyncio.Event) -> None:
        async with asyncpg.create_pool(
            self._dsn, min_size=1, max_size=4, timeout=10, server_settings={"application_name": "carillon jobs"}
        ) as pool:
            driver = PatientDriver(pool, self._dsn)
            queries = CountingQueries(driver)
            closing = asyncio.Event()
            manager = QueueManager(queries, channel=SETTINGS.channel)
            for work in self._work:
                execution = Execution(work, queries, closing, first_wait=self._pace.first_wait)
                manager.register_executor(work.name, execution)
            working = asyncio.create_task(self._manage(manager))
            ticking = asyncio.create_task(Timetable(self._resources.database, self._timed).run(stop))
            stopping = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({working, ticking, stopping}, return_when=asyncio.FIRST_COMPLETED)
                manager.shutdown.set()
                await asyncio.wait({working}, timeout=self._pace.drain)
            finally:
                # Also reached when we are cancelled: no time is left then, but no job may be lost.
                manager.shutdown.set()
                closing.set()
                driver.closing.set()
                stopping.cancel()
                ticking.cancel()
                await _finished(working, ticking)
            _raise_failure(working, ticking)

    async def _manage(self, manager: QueueManager) -> None:
        await manager.run(
            dequeue_timeout=timedelta(seconds=self._pace.poll),
            batch_size=max(self._pace.concurrency // 2, 1),
            max_concurrent_tasks=max(self._pace.concurrency, 2),
            heartbeat_timeout=timedelta(seconds=self._pace.heartbeat),
            # Nobody reads the library's statistics.
            log_aggregation_interval=timedelta(0),
        )


async def _finished(*tasks: "asyncio.Task[None]") -> None:
    """Wait until they are done; a cancellation meanwhile is passed on afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _raise_failure(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
