"""The bus on PostgreSQL: the outbox table is the store, NOTIFY wakes, cursors move with the handlers' work.

Commit order: an event is readable once every transaction that began before its own has ended
(`xid < pg_snapshot_xmin(pg_current_snapshot())`). A sequence alone is not commit order.
The horizon is the whole cluster's: a long writing transaction in any of its databases delays all consumers.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from uuid import UUID

from carillon.events import history, outbox, repository
from carillon.events.catalog.base import Event
from carillon.events.consumer import Consumer, Recorded
from carillon.events.port import DeadLetter, Retries
from carillon.events.progress import Batch, Failure, Pending, StoredEvent
from carillon.events.runner import Runner
from carillon.events.serving import Service
from carillon.kernel.paging import Page, PageRequest
from carillon.storage.database import Database, Tx
from carillon.storage.listening import listen
from carillon.storage.resources import Resources


class PostgresProgress:
    """Events and cursors in the database; needs the workers' role."""

    def __init__(self, database: Database) -> None:
        """Work on this database."""
        self._database = database

    async def ensure(self, consumers: Sequence[Consumer]) -> None:
        """See `Progress.ensure`."""
        async with self._database.across_tenants() as tx:
            await repository.ensure_cursors(tx, consumers)

    async def pending(self, names: Sequence[str]) -> Pending:
        """See `Progress.pending`."""
        async with self._database.across_tenants() as tx:
            found = await repository.list_pending(tx, names)
        ready = frozenset(name for name, readable in found.items() if readable)
        return Pending(ready, held=len(ready) < len(found))

    @asynccontextmanager
    async def batch(self, consumer: Consumer, limit: int, *, marked: bool) -> AsyncIterator[Batch | None]:
        """See `Progress.batch`."""
        async with self._database.across_tenants() as tx:
            cursor = await repository.lock_cursor(tx, consumer.name)
            if cursor is None or (cursor["waiting"] and not marked):
                yield None
                return
            after = (cursor["xid"], cursor["position"])
            events = await self._read(tx, consumer, after, cursor["horizon"], limit)
            yield Batch(events, cursor["attempts"], tx.enter)
            # A short batch means that everything below the horizon was looked at: do not look again.
            full = len(events) == limit
            to = (events[-1].xid, events[-1].position) if full else (cursor["horizon"], 0)
            if marked or not cursor["attempts"]:
                await repository.advance(tx, consumer.name, max(after, to))

    async def _read(
        self, tx: Tx, consumer: Consumer, after: tuple[int, int], horizon: int, limit: int
    ) -> list[StoredEvent]:
        types = [kind.type for kind in consumer.events]
        return await repository.read_events(tx, after, horizon, types, limit)

    async def mark(self, name: str, *, count: int, lease: float) -> int | None:
        """See `Progress.mark`."""
        async with self._database.across_tenants() as tx:
            return await repository.mark_attempt(tx, name, count=count, lease=lease)

    async def note_failure(self, name: str, failure: Failure, *, attempts: int, wait: float) -> None:
        """See `Progress.note_failure`."""
        async with self._database.across_tenants() as tx:
            await repository.note_failure(tx, name, failure, attempts=attempts, wait=wait)

    async def bury(self, consumer: Consumer, failure: Failure, *, attempts: int) -> StoredEvent | None:
        """See `Progress.bury`."""
        async with self._database.across_tenants() as tx:
            cursor = await repository.lock_cursor(tx, consumer.name)
            if cursor is None or cursor["attempts"] != attempts:
                return None
            after = (cursor["xid"], cursor["position"])
            events = await self._read(tx, consumer, after, cursor["horizon"], 1)
            for event in events:
                inside = await tx.enter(event.tenant_id)
                await repository.insert_dead_letter(inside, consumer.name, event, failure, attempts)
                await repository.advance(inside, consumer.name, (event.xid, event.position))
            return events[0] if events else None


class PostgresBus:
    """See `EventBus`; `run` and `drain` need the workers' role, everything else also works under the API's."""

    def __init__(
        self,
        resources: Resources,
        consumers: Sequence[Consumer] = (),
        *,
        retries: Retries | None = None,
        poll: float = 1.0,
    ) -> None:
        """Serve these consumers; `poll` seconds pass at most before events are seen without a notification."""
        self._resources = resources
        self._database = resources.database
        self._progress = PostgresProgress(self._database)
        self._runner = Runner(resources, self._progress, consumers, retries=retries)
        self._poll = poll

    def transaction(self, tenant_id: UUID) -> AbstractAsyncContextManager[Tx]:
        """See `EventBus.transaction`."""
        return self._database.transaction(tenant_id)

    async def append(self, tx: Tx, *events: Event) -> None:
        """See `EventBus.append`."""
        await outbox.append(tx, *events)

    async def run(self, stop: asyncio.Event) -> None:
        """See `EventBus.run`."""
        service = Service(self._runner, self._progress, poll=self._poll)
        listener = asyncio.create_task(listen(self._database.url, outbox.CHANNEL, lambda _: service.wake.set()))
        try:
            await service.run(stop)
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener

    async def drain(self, *, wait: bool = True) -> int:
        """See `EventBus.drain`."""
        return await self._runner.drain(wait=wait)

    async def history(
        self, tx: Tx, page: PageRequest, *, kind: str | None = None, subject_id: UUID | None = None
    ) -> Page[Recorded]:
        """See `EventBus.history`."""
        return await history.list_events(tx, page, kind=kind, subject_id=subject_id)

    async def dead_letters(
        self, tx: Tx, page: PageRequest, *, consumer: str | None = None, replayed: bool | None = None
    ) -> Page[DeadLetter]:
        """See `EventBus.dead_letters`."""
        return await history.list_dead_letters(tx, page, consumer=consumer, replayed=replayed)

    async def replay(self, tx: Tx, dead_letter_id: UUID) -> None:
        """See `EventBus.replay`."""
        await history.replay(self._resources, tx, dead_letter_id, consumers=self._runner.consumers)
