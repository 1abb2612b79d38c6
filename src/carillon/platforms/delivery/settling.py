"""Writing outcomes back: kept until the database has them, many in one transaction."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import structlog

from carillon.kernel.waiting import first_of
from carillon.ops import crash_points
from carillon.storage.resources import Resources

from . import ledger, metrics, statuses
from .ledger import Ready
from .line import Line
from .repository import Outcome

log = structlog.get_logger(__name__)

BATCH = 500
"""Outcomes in one transaction."""
_AT_ONCE = 2
"""Transactions at a time: while one waits for the disk the other works."""
_GATHER = 0.02
"""Seconds to wait for company."""
_RETRY = 0.5


class Settled(NamedTuple):
    """A message whose attempt ended."""

    line: Line
    ready: Ready
    outcome: Outcome


class Settler:
    """Takes outcomes from the writers and settles them in batches of one tenant."""

    def __init__(self, resources: Resources, *, settled: Callable[[], object]) -> None:
        """Create it; `run` does the work.

        Args:
            resources: With a worker's database.
            settled: Called when a batch is written, so that there is room for more.
        """
        self._resources = resources
        self._settled = settled
        self._clock = resources.clock
        self._pending: dict[UUID, deque[Settled]] = {}
        self._news = asyncio.Event()
        self._full = asyncio.Event()
        self.waiting = 0

    def add(self, line: Line, ready: Ready, outcome: Outcome) -> None:
        """Keep an outcome until it is written."""
        self._pending.setdefault(ready.row.tenant_id, deque()).append(Settled(line, ready, outcome))
        self.waiting += 1
        self._news.set()
        if self.waiting >= BATCH:
            self._full.set()

    async def run(self) -> None:
        """Settle until cancelled."""
        await asyncio.gather(*[self._run() for _ in range(_AT_ONCE)])

    async def flush(self) -> None:
        """Settle all there is; gives up when the database is away: then the next owner of the accounts finds out."""
        while self.waiting:
            if not self._pending:
                await self._clock.sleep(_GATHER)
            elif not await self._settle_next():
                return

    async def _run(self) -> None:
        while True:
            if not self._pending:
                self._news.clear()
                await self._news.wait()
            if self.waiting < BATCH:
                self._full.clear()
                await first_of(self._full.wait(), seconds=_GATHER)
            if self._pending and not await self._settle_next():
                await self._clock.sleep(_RETRY)

    async def _settle_next(self) -> bool:
        """One batch of the tenant whose turn it is; whether it was written."""
        tenant_id, pending = next(iter(self._pending.items()))
        del self._pending[tenant_id]
        batch = [pending.popleft() for _ in range(min(BATCH, len(pending)))]
        if pending:  # behind the other tenants
            self._pending[tenant_id] = pending
        try:
            with metrics.SETTLE_SECONDS.time():
                await self._settle(tenant_id, batch)
        except Exception as error:  # noqa: BLE001 - tried again: an outcome must not be lost
            log.warning("settle.waiting", error=type(error).__name__)
            self._pending.setdefault(tenant_id, deque()).extendleft(reversed(batch))
            return False
        self.waiting -= len(batch)
        for line, ready, _ in batch:
            line.known.discard(ready.row.id)
        self._settled()
        return True

    async def _settle(self, tenant_id: UUID, batch: list[Settled]) -> None:
        async with self._resources.database.transaction(tenant_id) as tx:
            sent, early = await ledger.settle(tx, [(ready, outcome) for _, ready, outcome in batch])
            if early:
                known = {(ready.row.account_id, o.platform_id): ready.row.id for ready, o in sent if o.platform_id}
                await statuses.merge_early(tx, known)
            crash_points.reached("settle.uncommitted")
        crash_points.reached("settle.committed")
        metrics.SETTLED.inc(len(batch))
        metrics.SETTLE_BATCH.observe(len(batch))
