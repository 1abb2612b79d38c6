"""The bus in memory, for tests: the same rules as on PostgreSQL, transactions and commit order included.

A `MemoryStore` is the database; several buses may share one. Handlers may do through their `Tx` only what the bus
offers (`append`): there is no SQL.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.events.catalog.base import Event, name_of
from carillon.events.consumer import Consumer, Recorded
from carillon.events.errors import AlreadyReplayed, BadEventCursor, ConsumerGone, DeadLetterNotFound
from carillon.events.history import run_again, show
from carillon.events.port import DeadLetter, Retries
from carillon.events.progress import Batch, Failure, Pending, StoredEvent
from carillon.events.runner import Runner
from carillon.events.serving import Service
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import Page, PageRequest
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

_LAST = 2**63 - 1


@dataclass(slots=True)
class _Cursor:
    at: tuple[int, int]
    attempts: int = 0
    error: str | None = None
    retry_at: float = 0.0
    locked: bool = False


@dataclass(slots=True)
class _Transaction:
    """Stands where a connection does; its rows show up at the end, or never."""

    xid: int | None = None
    rows: list[StoredEvent] = field(default_factory=list)
    replayed: list[UUID] = field(default_factory=list)


class MemoryStore:
    """What a database would hold."""

    def __init__(self) -> None:
        """Start empty."""
        self.rows: list[StoredEvent] = []
        self.cursors: dict[str, _Cursor] = {}
        self.dead_letters: dict[UUID, DeadLetter] = {}
        self.committed = asyncio.Condition()
        self._open: set[int] = set()
        self._next_xid = 1
        self._next_position = 1

    @property
    def horizon(self) -> int:
        """Transactions below it have all ended."""
        return min(self._open, default=self._next_xid)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[_Transaction]:
        """A transaction: kept when it ends well, forgotten otherwise."""
        transaction = _Transaction()
        try:
            yield transaction
        except BaseException:
            self._open.discard(transaction.xid or 0)
            raise
        self._open.discard(transaction.xid or 0)
        self.rows.extend(transaction.rows)
        self.rows.sort(key=lambda row: (row.xid, row.position))
        for dead_letter_id in transaction.replayed:
            letter = self.dead_letters[dead_letter_id]
            self.dead_letters[dead_letter_id] = replace(letter, replayed_at=datetime.now(UTC))
        async with self.committed:
            self.committed.notify_all()

    def number(self, transaction: _Transaction) -> int:
        """The transaction's id, given at its first write."""
        if transaction.xid is None:
            transaction.xid = self._next_xid
            self._open.add(self._next_xid)
            self._next_xid += 1
        return transaction.xid

    def insert(self, transaction: _Transaction, tenant_id: UUID, event: Event) -> None:
        """Append to the transaction."""
        xid = self.number(transaction)
        transaction.rows.append(
            StoredEvent(uuid7(), tenant_id, name_of(event), event.dump(), xid, self._next_position, datetime.now(UTC))
        )
        self._next_position += 1

    def read(self, consumer: Consumer, after: tuple[int, int], limit: int) -> list[StoredEvent]:
        """Like the SQL of commit-order reading."""
        types = {kind.type for kind in consumer.events}
        found = (
            row for row in self.rows if (row.xid, row.position) > after and row.xid < self.horizon and row.type in types
        )
        return [row for row, _ in zip(found, range(limit), strict=False)]


class MemoryProgress:
    """Events and cursors of a store; see `Progress`."""

    def __init__(self, store: MemoryStore) -> None:
        """Work on this store."""
        self._store = store

    async def ensure(self, consumers: Sequence[Consumer]) -> None:
        """See `Progress.ensure`."""
        for consumer in consumers:
            start = (self._store.horizon, 0) if consumer.start == "now" else (0, 0)
            self._store.cursors.setdefault(consumer.name, _Cursor(start))

    async def pending(self, names: Sequence[str]) -> Pending:
        """See `Progress.pending`."""
        now, ready, held = asyncio.get_running_loop().time(), set(), False
        for name in names:
            cursor = self._store.cursors[name]
            if cursor.retry_at > now:
                continue
            news = [row.xid for row in self._store.rows if (row.xid, row.position) > cursor.at]
            if news and min(news) < self._store.horizon:
                ready.add(name)
            elif news:
                held = True
        return Pending(frozenset(ready), held=held)

    @asynccontextmanager
    async def batch(self, consumer: Consumer, limit: int, *, marked: bool) -> AsyncIterator[Batch | None]:
        """See `Progress.batch`."""
        cursor = self._store.cursors[consumer.name]
        waiting = cursor.retry_at > asyncio.get_running_loop().time()
        if cursor.locked or (waiting and not marked):
            yield None
            return
        cursor.locked = True
        try:
            horizon = self._store.horizon
            events = self._store.read(consumer, cursor.at, limit)
            async with self._store.begin() as transaction:
                self._store.number(transaction)
                yield Batch(events, cursor.attempts, lambda tenant: _enter(transaction, tenant))
                if marked or not cursor.attempts:
                    to = (events[-1].xid, events[-1].position) if len(events) == limit else (horizon, 0)
                    _move(cursor, to)
        finally:
            cursor.locked = False

    async def mark(self, name: str, *, count: int, lease: float) -> int | None:
        """See `Progress.mark`."""
        cursor, now = self._store.cursors[name], asyncio.get_running_loop().time()
        if cursor.locked or cursor.retry_at > now:
            return None
        cursor.attempts += count
        cursor.retry_at = now + lease
        return cursor.attempts

    async def note_failure(self, name: str, failure: Failure, *, attempts: int, wait: float) -> None:
        """See `Progress.note_failure`."""
        cursor = self._store.cursors[name]
        cursor.attempts = attempts
        cursor.error = f"{failure.error_class}: {failure.error}"
        cursor.retry_at = asyncio.get_running_loop().time() + wait

    async def bury(self, consumer: Consumer, failure: Failure, *, attempts: int) -> StoredEvent | None:
        """See `Progress.bury`."""
        cursor = self._store.cursors[consumer.name]
        if cursor.locked or cursor.attempts != attempts:
            return None
        for event in self._store.read(consumer, cursor.at, 1):
            letter = DeadLetter(
                id=uuid7(),
                tenant_id=event.tenant_id,
                consumer=consumer.name,
                event_id=event.id,
                type=event.type,
                payload=event.payload,
                error_class=failure.error_class,
                error=failure.error,
                attempts=attempts,
                occurred_at=event.occurred_at,
                failed_at=datetime.now(UTC),
            )
            self._store.dead_letters[letter.id] = letter
            _move(cursor, (event.xid, event.position))
            return event
        return None


class MemoryBus:
    """See `EventBus`."""

    def __init__(
        self,
        resources: Resources,
        consumers: Sequence[Consumer] = (),
        *,
        store: MemoryStore,
        retries: Retries | None = None,
    ) -> None:
        """Serve these consumers from the store."""
        self._resources = resources
        self._store = store
        self._progress = MemoryProgress(store)
        self._runner = Runner(resources, self._progress, consumers, retries=retries)

    def transaction(self, tenant_id: UUID) -> AbstractAsyncContextManager[Tx]:
        """See `EventBus.transaction`."""
        return self._begin(tenant_id)

    @asynccontextmanager
    async def _begin(self, tenant_id: UUID) -> AsyncIterator[Tx]:
        async with self._store.begin() as transaction:
            yield await _enter(transaction, tenant_id)

    async def append(self, tx: Tx, *events: Event) -> None:
        """See `EventBus.append`."""
        for event in events:
            self._store.insert(_of(tx), tx.tenant, event)

    async def run(self, stop: asyncio.Event) -> None:
        """See `EventBus.run`."""
        service = Service(self._runner, self._progress, poll=0.05)
        await service.run(stop)

    async def drain(self, *, wait: bool = True) -> int:
        """See `EventBus.drain`."""
        return await self._runner.drain(wait=wait)

    async def history(
        self, tx: Tx, page: PageRequest, *, kind: str | None = None, subject_id: UUID | None = None
    ) -> Page[Recorded]:
        """See `EventBus.history`."""
        before = _LAST if page.cursor is None else _number(page.cursor)
        rows = sorted(
            (
                row
                for row in [*self._store.rows, *_of(tx).rows]
                if row.tenant_id == tx.tenant_id and row.position < before and kind in (None, row.type)
            ),
            key=lambda row: -row.position,
        )
        shown = [show(row) for row in rows]
        found = [item for item in shown if subject_id is None or item.event.subject_id == subject_id]
        items = found[: page.limit]
        return Page(items, str(items[-1].position) if len(found) > page.limit else None)

    async def dead_letters(
        self, tx: Tx, page: PageRequest, *, consumer: str | None = None, replayed: bool | None = None
    ) -> Page[DeadLetter]:
        """See `EventBus.dead_letters`."""
        found = sorted(
            (
                letter
                for letter in self._store.dead_letters.values()
                if letter.tenant_id == tx.tenant_id
                and consumer in (None, letter.consumer)
                and replayed in (None, letter.replayed_at is not None)
                and (page.cursor is None or str(letter.id) < page.cursor)
            ),
            key=lambda letter: letter.id,
            reverse=True,
        )
        items = found[: page.limit]
        return Page(items, str(items[-1].id) if len(found) > page.limit else None)

    async def replay(self, tx: Tx, dead_letter_id: UUID) -> None:
        """See `EventBus.replay`."""
        letter = self._store.dead_letters.get(dead_letter_id)
        if letter is None or letter.tenant_id != tx.tenant_id:
            raise DeadLetterNotFound
        if letter.replayed_at is not None:
            raise AlreadyReplayed
        consumer = self._runner.consumers.get(letter.consumer)
        if consumer is None:
            raise ConsumerGone(consumer=letter.consumer)
        stored = next(row for row in self._store.rows if row.id == letter.event_id)
        await run_again(self._resources, tx, consumer, stored)
        _of(tx).replayed.append(dead_letter_id)


async def _enter(transaction: _Transaction, tenant_id: UUID) -> Tx:
    return Tx(cast(AsyncConnection, transaction), tenant_id)


def _of(tx: Tx) -> _Transaction:
    return cast(_Transaction, tx.connection)


def _move(cursor: _Cursor, to: tuple[int, int]) -> None:
    cursor.at = max(cursor.at, to)
    cursor.attempts, cursor.error, cursor.retry_at = 0, None, 0.0


def _number(cursor: str) -> int:
    try:
        return int(cursor)
    except ValueError as error:
        raise BadEventCursor(place="query parameter cursor") from error
