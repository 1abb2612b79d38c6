"""One job's attempt: counted, timed, and put back unharmed when the process stops."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import structlog
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context
from pgqueuer.domain.models import Job as Row

from carillon.storage.errors import DatabaseUnreachable

from .failures import error_class, redact
from .metrics import FAILED, GIVEN_UP, INTERRUPTED, RUN, RUNNING, SECONDS
from .pgqueuer import CountingQueries

_log = structlog.get_logger(__name__)
_LONGEST_WAIT = 600.0


class JobFailed(Exception):
    """A job's last attempt failed; the text is fit to be kept."""


@dataclass(frozen=True, slots=True)
class Work:
    """What an attempt runs, be it a tenant's job or one on the timetable.

    Attributes:
        name: The queue's name for it.
        run: Given the tenant, None for the timetable, and the data.
        timeout: Seconds.
        attempts: How often it may begin.
        keep: Whether it stays visible when it failed for good.
    """

    name: str
    run: Callable[[UUID | None, Mapping[str, Any]], Awaitable[None]]
    timeout: float
    attempts: int
    keep: bool


class Execution(AbstractEntrypointExecutor):
    """Runs the attempts of one kind of work for PgQueuer."""

    def __init__(
        self, work: Work, queries: CountingQueries, closing: asyncio.Event, *, first_wait: float = 5.0
    ) -> None:
        """Create it; when `closing` is set, running attempts are cancelled and put back."""
        super().__init__(EntrypointExecutorParameters(0, _unused, on_failure="hold" if work.keep else "delete"))
        self._work = work
        self._queries = queries
        self._closing = closing
        self._first_wait = first_wait

    async def execute(self, job: Row, context: Context) -> None:  # noqa: ARG002 - the library's signature
        """Run the job; returning means done.

        Raises:
            RetryRequested: Again later.
            JobFailed: Never again.
        """
        attempt = await self._queries.begin(job)
        if attempt is None:
            return
        if attempt > self._work.attempts:
            GIVEN_UP.labels(self._work.name).inc()
            message = f"the process ended during each of its {self._work.attempts} attempts"
            raise JobFailed(message)
        began = time.monotonic()
        with RUNNING.labels(self._work.name).track_inprogress():
            error = await self._attempt(job)
        SECONDS.labels(self._work.name).observe(time.monotonic() - began)
        if error is None:
            RUN.labels(self._work.name).inc()
        elif isinstance(error, asyncio.CancelledError | DatabaseUnreachable):
            self._put_back(job, error)
        else:
            self._fail(job, attempt, error)

    async def _attempt(self, job: Row) -> BaseException | None:
        """What went wrong; CancelledError stands for the process's stop."""
        body = orjson.loads(job.payload or b"{}")
        tenant_id = UUID(body["tenant_id"]) if body.get("tenant_id") else None
        running = asyncio.ensure_future(self._work.run(tenant_id, body.get("data") or {}))
        closing = asyncio.ensure_future(self._closing.wait())
        stopped: BaseException | None = None
        try:
            await asyncio.wait({running, closing}, timeout=self._work.timeout, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as error:
            # Left to itself the library would take the job for cancelled and remove it.
            stopped = error
        closing.cancel()
        if running.done():
            return _outcome(running)
        running.cancel()
        await _settled(running)
        if not running.cancelled() and running.exception() is None:
            return None
        if stopped is not None or self._closing.is_set():
            return asyncio.CancelledError()
        return TimeoutError(f"longer than {self._work.timeout:g} s")

    def _put_back(self, job: Row, error: BaseException) -> None:
        INTERRUPTED.labels(self._work.name).inc()
        self._queries.uncounted.add(job.id)
        wait = 0.0 if isinstance(error, asyncio.CancelledError) else self._first_wait
        raise RetryRequested(timedelta(seconds=wait), "interrupted") from None

    def _fail(self, job: Row, attempt: int, error: BaseException) -> None:
        FAILED.labels(self._work.name).inc()
        text = f"{error_class(error)}: {redact(error)}"
        last = attempt >= self._work.attempts
        _log.warning("job failed", job=self._work.name, id=job.id, attempt=attempt, last=last, error=text)
        if last:
            GIVEN_UP.labels(self._work.name).inc()
            raise JobFailed(text) from None
        wait = min(self._first_wait * 4 ** (attempt - 1), _LONGEST_WAIT)
        raise RetryRequested(timedelta(seconds=wait), text) from None


def _outcome(running: "asyncio.Future[None]") -> BaseException | None:
    if running.cancelled():
        return RuntimeError("the job cancelled itself")
    return running.exception()


async def _settled(running: "asyncio.Future[None]") -> None:
    """Wait for a cancelled task to end, also when we are cancelled ourselves meanwhile."""
    while not running.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({running})


async def _unused(_: Row) -> None:
    """The library wants a function; `Execution.execute` does the work."""
