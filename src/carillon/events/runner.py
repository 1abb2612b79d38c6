"""The consumer runner: batches while all is well, event by event when something fails.

A batch is handled in one transaction with its cursor, so what the handler writes there happens exactly once.
Attempts are counted durably *before* they begin, so that an event which kills the process is counted too:
always when going event by event, and for the first batch of a process (a process that was killed in its first
batch finds the count at its next start and goes event by event).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from carillon.storage.errors import DatabaseUnreachable
from carillon.storage.jobs.failures import error_class, redact
from carillon.storage.resources import Resources

from .consumer import Consumer, Recorded
from .metrics import DEAD_LETTERS, FAILED, HANDLED, LAG
from .port import Retries
from .progress import Batch, Failure, Progress

_log = structlog.get_logger(__name__)
_HELD_WAIT = 0.01
_DIED = Failure("ProcessDied", "the process ended while it handled this event")


@dataclass(slots=True)
class _State:
    """What one process remembers of a consumer."""

    fresh: bool = True
    singles: int = 0
    uncounted: bool = False


class Runner:
    """Serves consumers from a store; several runners may serve the same ones."""

    def __init__(
        self,
        resources: Resources,
        progress: Progress,
        consumers: Sequence[Consumer],
        *,
        retries: Retries | None = None,
    ) -> None:
        """Create the runner; nothing runs yet."""
        self.consumers = {consumer.name: consumer for consumer in consumers}
        self._resources = resources
        self._progress = progress
        self._retries = retries or Retries()
        self._states = {name: _State() for name in self.consumers}
        self.handled = 0

    async def step(self, name: str) -> bool:
        """Handle the consumer's next batch or event; whether it is worth going on at once.

        Raises:
            DatabaseUnreachable: Try again later; it counts as nobody's failure.
        """
        consumer, state = self.consumers[name], self._states[name]
        if state.fresh or state.singles:
            return await self._counted(consumer, state)
        try:
            return await self._handle(consumer, state, consumer.batch, marked=False)
        except DatabaseUnreachable:
            raise
        except Exception as error:  # noqa: BLE001 - handlers may fail with anything; the next steps find out who
            self._report(consumer, error, attempt=0)
            state.singles = consumer.batch
            return True

    async def _counted(self, consumer: Consumer, state: _State) -> bool:
        counted = await self._progress.mark(
            consumer.name, count=0 if state.uncounted else 1, lease=self._retries.delay(1)
        )
        if counted is None:
            return False
        state.uncounted, counted = False, max(counted, 1)
        if counted > 1 and not state.singles:
            state.singles = consumer.batch
        if counted > self._retries.attempts:
            return await self._give_up(consumer, _DIED, counted)
        single = state.singles > 0
        try:
            more = await self._handle(consumer, state, 1 if single else consumer.batch, marked=True)
        except DatabaseUnreachable:
            state.uncounted = True
            raise
        except Exception as error:  # noqa: BLE001 - see step
            return await self._failed(consumer, state, error, counted if single else 0)
        state.fresh = False
        state.singles = max(state.singles - 1, 0)
        return more

    async def _handle(self, consumer: Consumer, state: _State, limit: int, *, marked: bool) -> bool:
        async with self._progress.batch(consumer, limit, marked=marked) as batch:
            if batch is None:
                return False
            if batch.attempts and not marked:
                # Left behind by a process that died here: do not risk the whole batch.
                state.singles = consumer.batch
                return True
            newest = await self._hand_over(consumer, batch)
        count = len(batch.events)
        if newest is not None:
            self.handled += count
            HANDLED.labels(consumer.name).inc(count)
            LAG.labels(consumer.name).set((datetime.now(UTC) - newest).total_seconds())
        return count == limit

    async def _hand_over(self, consumer: Consumer, batch: Batch) -> datetime | None:
        runs: dict[object, list[Recorded]] = {}
        for event in batch.events:
            runs.setdefault(event.tenant_id, []).append(event.read())
        for run in runs.values():
            await consumer.handle(self._resources, await batch.enter(run[0].tenant_id), run)
        return batch.events[-1].occurred_at if batch.events else None

    async def _failed(self, consumer: Consumer, state: _State, error: Exception, attempt: int) -> bool:
        self._report(consumer, error, attempt)
        failure = Failure(error_class(error), redact(error))
        if attempt >= self._retries.attempts:
            return await self._give_up(consumer, failure, attempt)
        if not attempt:
            state.fresh, state.singles = False, consumer.batch
        wait = self._retries.delay(attempt) if attempt else 0.0
        await self._progress.note_failure(consumer.name, failure, attempts=attempt, wait=wait)
        return not wait

    async def _give_up(self, consumer: Consumer, failure: Failure, attempts: int) -> bool:
        buried = await self._progress.bury(consumer, failure, attempts=attempts)
        if buried is not None:
            DEAD_LETTERS.labels(consumer.name).inc()
            _log.error(
                "event given up",
                consumer=consumer.name,
                event_id=str(buried.id),
                type=buried.type,
                error_class=failure.error_class,
                error=failure.error,
            )
        return True

    def _report(self, consumer: Consumer, error: Exception, attempt: int) -> None:
        FAILED.labels(consumer.name).inc()
        _log.warning(
            "consumer failed",
            consumer=consumer.name,
            attempt=attempt,
            error_class=error_class(error),
            error=redact(error),
        )

    async def drain(self, *, wait: bool = True) -> int:
        """See `EventBus.drain`."""
        before = self.handled
        await self._progress.ensure(list(self.consumers.values()))
        while True:
            at_start, went_on = self.handled, False
            pending = await self._progress.pending(list(self.consumers))
            for name in sorted(pending.ready):
                while await self.step(name):
                    went_on = True
            if went_on or self.handled > at_start:
                continue
            if not (wait and pending.held):
                return self.handled - before
            await asyncio.sleep(_HELD_WAIT)
