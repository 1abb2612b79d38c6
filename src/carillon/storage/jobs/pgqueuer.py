"""PgQueuer fitted to our needs: a driver that outlives the database's restarts, and retries that count right."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import asyncpg
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Job as Row
from pgqueuer.domain.models import TracebackRecord
from pgqueuer.domain.types import JobId

from carillon.storage.listening import listen

from .queue import SETTINGS

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 1.0
# InternalClientError: a pooled connection that was cut in the middle of being reset.
_LOST = (
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
)

T = TypeVar("T")

# Counted before the job runs, so that a job which kills the process is counted too.
_BEGIN = "UPDATE queue.pgqueuer SET attempts = attempts + 1 WHERE id = $1 RETURNING attempts"

# Unlike the library's own statement it does not count: `_BEGIN` has.
_AGAIN = """
WITH again AS (
    UPDATE queue.pgqueuer
    SET status = 'queued', execute_after = now() + $2::interval, attempts = attempts - $4::integer,
        updated = now(), queue_manager_id = NULL
    WHERE id = $1 AND queue_manager_id IS NOT DISTINCT FROM $5
    RETURNING id, entrypoint, priority
)
INSERT INTO queue.pgqueuer_log (job_id, status, entrypoint, priority, traceback)
SELECT id, 'queued', entrypoint, priority, $3::jsonb FROM again
"""


class PatientDriver(AsyncpgPoolDriver):
    """Waits for a lost database instead of failing: a failing driver would end the whole queue manager."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", url: str) -> None:
        """Use the pool for statements and a connection of its own for LISTEN."""
        super().__init__(pool)
        self._url = url
        self._listeners: list[asyncio.Task[None]] = []
        self.closing = asyncio.Event()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        """Rows of a statement; tried again while the database is away."""
        return await self._patiently(lambda: super(PatientDriver, self).fetch(query, *args))

    async def execute(self, query: str, *args: object) -> str:
        """Run a statement; tried again while the database is away."""
        return await self._patiently(lambda: super(PatientDriver, self).execute(query, *args))

    async def notify(self, channel: str, payload: str) -> None:
        """Notify; tried again while the database is away."""
        await self._patiently(lambda: super(PatientDriver, self).notify(channel, payload))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except _LOST as error:
                if self.closing.is_set():
                    raise
                _log.warning("jobs wait for the database", error_class=type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)

    async def add_listener(self, channel: str, callback: Callable[[str | bytes | bytearray], None]) -> None:
        """Listen, also after the connection was lost."""

        def heard(text: str) -> None:
            # "" says that the connection is new; the manager looks from time to time anyway.
            if text:
                callback(text)

        self._listeners.append(asyncio.create_task(listen(self._url, channel, heard)))

    async def __aexit__(self, *_: object) -> None:
        for task in self._listeners:
            task.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)
        self._listeners.clear()


@dataclass
class CountingQueries(Queries):
    """The library's statements, with attempts counted when they begin."""

    qbe: QueryBuilderEnvironment = field(default_factory=lambda: QueryBuilderEnvironment(SETTINGS))
    qbq: QueryQueueBuilder = field(default_factory=lambda: QueryQueueBuilder(SETTINGS))
    qbs: QuerySchedulerBuilder = field(default_factory=lambda: QuerySchedulerBuilder(SETTINGS))
    uncounted: set[JobId] = field(default_factory=set)

    async def begin(self, job: Row) -> int | None:
        """Durably count an attempt, this one included; None when the job is gone."""
        rows = await self.driver.fetch(_BEGIN, job.id)
        return int(str(rows[0]["attempts"])) if rows else None

    async def retry_job(self, job: Row, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        """Queue the job again; an interrupted attempt is taken back from the count."""
        back = 1 if job.id in self.uncounted else 0
        self.uncounted.discard(job.id)
        record = traceback_record.model_dump_json() if traceback_record else None
        await self.driver.execute(_AGAIN, job.id, delay, record, back, job.queue_manager_id)
