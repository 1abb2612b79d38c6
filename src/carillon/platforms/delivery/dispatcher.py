"""The dispatcher: reads the due messages of the accounts this process owns and moves them to the wire.

    due rows → queue per account → batch of one tenant → authorise → outbox per account → write → settle
                                                                    (writing.py)          (settling.py)

All of it happens in the one process that owns the account, so order and pacing need no shared state. A batch belongs
to one tenant, so row-level security holds here too; tenants take turns, and so do the accounts of one.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from uuid import UUID

import structlog

from carillon.kernel.errors import CarillonError
from carillon.kernel.waiting import first_of
from carillon.ops import crash_points
from carillon.storage.resources import Resources

from . import ledger, metrics, repository
from .daily import DailyWindow
from .ledger import Ready
from .line import WRITERS, Line
from .pacing import Pacer, per_second
from .repository import DueRow
from .settling import Settler
from .wire import put_back
from .writing import Writing

log = structlog.get_logger(__name__)

BATCH = 500
"""Messages in one authorise transaction: measured best between 250 and 1,000."""
READ_AHEAD = 500
"""Queued messages kept in memory per account."""
_LOW_WATER = 100
_READ_AT_ONCE = 8
"""Accounts in one read: enough to share the trip, few enough not to hold up the loop."""
_AUTHORISERS = 3
_SMALL = BATCH // 4
"""A batch below this waits while others are being authorised: it may grow meanwhile."""
_UNSETTLED = 10 * BATCH
_IDLE = 1.0
_SOON = 0.2
_HAND_OVER = 2.0
"""Seconds for what is on the wire to come back when an account leaves this process."""


class Dispatcher:
    """Moves messages; `worker` tells it which accounts are ours and whether we may still write."""

    def __init__(self, resources: Resources, worker_id: UUID, may_write: Callable[[], bool]) -> None:
        """Create it.

        Args:
            resources: With a worker's database.
            worker_id: Of this process's liveness row.
            may_write: Whether our leases are safe now (by a clock that does not jump).
        """
        self._resources = resources
        self._worker_id = worker_id
        self._may_write = may_write
        self._clock = resources.clock
        self._pacer = Pacer(per_second(resources.settings.tenant_messages_per_second))
        self._lines: dict[UUID, Line] = {}
        self._turn: dict[UUID, deque[Line]] = {}
        self._woken = asyncio.Event()
        self._settler = Settler(resources, settled=self._woken.set)
        self._hungry = asyncio.Event()
        self._writing = Writing(
            resources, worker_id, self._pacer, self._settler, may_write=self.may_write_for, answered=self._woken.set
        )
        self._authorising = 0

    def may_write_for(self, account_id: UUID) -> bool:
        """Whether the account is ours now, for certain."""
        return account_id in self._lines and self._may_write()

    def wake(self, account_id: UUID | None = None) -> None:
        """Something may be due, for one account or for any."""
        lines = self._lines.values() if account_id is None else filter(None, [self._lines.get(account_id)])
        for line in lines:
            line.look_at = 0.0
        self._hungry.set()

    def add(self, line: Line, flying: Sequence[Ready], *, wait: float = 0.0) -> None:
        """Start sending for an account.

        Args:
            line: The account.
            flying: Messages of an earlier owner to send again.
            wait: Seconds that a flood reported to an earlier owner still lasts.
        """
        self._pacer.pause(line.lease.account_id, wait, self._clock.boottime())
        self._lines[line.lease.account_id] = line
        self._turn.setdefault(line.lease.tenant_id, deque()).append(line)
        for ready in flying:
            self._writing.again(line, ready)
        self._hungry.set()

    async def remove(self, account_id: UUID) -> None:
        """Stop sending for an account; waits a moment for what of it is on the wire."""
        line = self._lines.pop(account_id, None)
        if line is None:
            return
        self._turn[line.lease.tenant_id].remove(line)
        if not self._turn[line.lease.tenant_id]:
            del self._turn[line.lease.tenant_id]
        self._writing.empty_outbox(line)
        patient_until = self._clock.boottime() + _HAND_OVER
        while line.busy and self._may_write() and self._clock.boottime() < patient_until:
            await self._clock.sleep(0.02)
        await self._settler.flush()

    async def run(self, stop: asyncio.Event) -> None:
        """Dispatch until stopped; then let what is on the wire come back."""
        running = (self._settler.run(), self._writing.run(), self._read(stop))
        background = [asyncio.create_task(one) for one in running]
        try:
            while not stop.is_set():
                self._woken.clear()
                pause = self._step()
                if pause > 0:
                    await first_of(self._woken.wait(), stop.wait(), seconds=pause)
            for line in self._lines.values():
                self._writing.empty_outbox(line)
            await self._writing.finish(_HAND_OVER)
            await self._settler.flush()
        finally:
            for task in background:
                task.cancel()

    # --- reading -------------------------------------------------------------------------------------------------

    async def _read(self, stop: asyncio.Event) -> None:
        """Keep the accounts' queues filled."""
        while not stop.is_set():
            self._hungry.clear()
            try:
                more = self._may_write() and await self._refill()
            except CarillonError as error:
                log.warning("read.waiting", error=error.code)
                await self._clock.sleep(_IDLE)
                continue
            if not more:
                await first_of(self._hungry.wait(), stop.wait(), seconds=_IDLE)

    async def _refill(self) -> bool:
        """Read ahead for some of the accounts that run low; whether there are more of them."""
        now = self._clock.boottime()
        low = [line for line in self._lines.values() if line.look_at <= now and self._wants(line, now)]
        reading = sorted(low, key=lambda line: len(line.queue))[:_READ_AT_ONCE]
        if not reading:
            return False
        wanted = [(line.lease.tenant_id, line.lease.account_id, READ_AHEAD) for line in reading]
        async with self._resources.database.across_tenants() as tx:
            rows = await repository.due(tx, wanted)
        found = dict.fromkeys((line.lease.account_id for line in reading), 0)
        for row in rows:
            found[row.account_id] += 1
            line = self._lines.get(row.account_id)
            if line is not None:
                line.enqueue(row)
        for line in reading:
            if found[line.lease.account_id] < READ_AHEAD:
                # All that is due is in memory; rows become due by the clock too, so look again after a while.
                line.look_at = now + _IDLE
        if rows:
            self._woken.set()
        return len(low) > len(reading)

    def _wants(self, line: Line, now: float) -> bool:
        if len(line.queue) >= _LOW_WATER:
            return False
        return self._pacer.account_wait(line.lease.account_id, line.limits, now) < _IDLE

    # --- choosing ------------------------------------------------------------------------------------------------

    def _step(self) -> float:
        """Start the next authorisations; returns for how long nothing more can be started."""
        if not self._may_write():
            return _IDLE
        self._pacer.forget_idle(self._clock.boottime())
        pause = _IDLE
        for tenant_id in list(self._turn):
            if self._authorising >= _AUTHORISERS or self._settler.waiting > _UNSETTLED:
                return _IDLE  # whoever ends wakes us
            self._turn[tenant_id] = self._turn.pop(tenant_id)  # behind the others
            rows, wait = self._select(tenant_id)
            pause = min(pause, wait)
            if rows:
                self._authorising += 1
                self._writing.spawn(self._send_batch(tenant_id, rows))
                pause = 0.0
        return pause

    def _select(self, tenant_id: UUID) -> tuple[list[DueRow], float]:
        """A batch of one tenant's messages that may go now; else how long until one may."""
        now = self._clock.boottime()
        lines = self._turn[tenant_id]
        active = [line for line in lines if line.queue]
        if self._authorising and sum(self._room(line) for line in active) < _SMALL:
            return [], _IDLE
        lines.rotate(-1)
        rows: list[DueRow] = []
        pause = _IDLE
        share = max(BATCH // max(len(active), 1), 1)
        for line in active:
            room, _ = self._pacer.tenant_room(tenant_id, now)
            taken, wait = self._take(line, min(share, BATCH - len(rows), self._room(line), room), now)
            rows += taken
            pause = min(pause, wait)
            if len(line.queue) < _LOW_WATER and line.look_at <= now:
                self._hungry.set()
        room, wait = self._pacer.tenant_room(tenant_id, now)
        return rows, pause if room else min(pause, wait)

    def _room(self, line: Line) -> int:
        return min(line.window - len(line.busy), len(line.queue))

    def _take(self, line: Line, most: int, now: float) -> tuple[list[DueRow], float]:
        """Up to so many messages of one account that may go now; else how long until one may."""
        account_id, limits = line.lease.account_id, line.limits
        room, wait = self._pacer.room(account_id, line.portfolio, limits, now)
        most = min(most, room)
        taken: list[DueRow] = []
        aside: list[tuple[int, int, DueRow]] = []
        while line.queue and len(taken) < most and len(aside) < WRITERS:
            entry = heapq.heappop(line.queue)
            row = entry[2]
            peer_wait = self._pacer.peer_wait(account_id, row.peer, limits, now)
            if peer_wait > 0 or row.peer in line.busy:
                aside.append(entry)
                wait = max(wait, min(peer_wait, _IDLE)) or _SOON
                continue
            self._pacer.take_peer(account_id, row.peer, limits, now)
            line.busy.add(row.peer)
            taken.append(row)
        for entry in aside:
            heapq.heappush(line.queue, entry)
        self._pacer.take(line.lease.tenant_id, account_id, line.portfolio, limits, now, len(taken))
        return taken, wait if wait > 0 else _IDLE

    # --- authorising ---------------------------------------------------------------------------------------------

    async def _send_batch(self, tenant_id: UUID, rows: list[DueRow]) -> None:
        authorised_at = self._clock.boottime()
        lines = {row.account_id: self._lines.get(row.account_id) for row in rows}
        try:
            ready = await self._authorise(tenant_id, rows)
        except Exception:  # nothing was written: back into the queue
            log.exception("authorise.failed", tenant=str(tenant_id), rows=len(rows))
            self._take_back(rows, lines)
            return
        finally:
            self._authorising -= 1
            self._woken.set()
        going = {item.row.id for item in ready}
        for row in rows:
            if row.id not in going:
                self._forget(row)
        for item in ready:
            line = self._lines.get(item.row.account_id)
            if line is None:
                # The account left this process between authorise and write; its next owner finds it in `sending`.
                log.info("write.skipped", message=str(item.row.id), account=str(item.row.account_id))
            else:
                line.outbox.append((item, authorised_at))
        for account_id in {item.row.account_id for item in ready}:
            if account_id in self._lines:
                self._writing.start_writer(self._lines[account_id])

    def _take_back(self, rows: Sequence[DueRow], lines: Mapping[UUID, Line | None]) -> None:
        """Queue rows again whose authorisation failed; they stay known until that is settled.

        Perhaps it was committed and only the answer was lost: then they are in `sending`, and nobody else would ever
        look at them while this process lives.
        """
        for row in rows:
            line = lines[row.account_id]
            if line is not None:
                unwritten = Ready(row, "", line.lease.epoch)
                self._settler.add(line, unwritten, put_back(unwritten))
                line.busy.discard(row.peer)

    async def _authorise(self, tenant_id: UUID, rows: list[DueRow]) -> list[Ready]:
        epochs = {
            row.account_id: self._lines[row.account_id].lease.epoch for row in rows if row.account_id in self._lines
        }
        mine = [row for row in rows if row.account_id in epochs]
        if not mine or not self._may_write():
            return []
        with metrics.AUTHORISE_SECONDS.time():
            async with self._resources.database.transaction(tenant_id) as tx:
                now = await tx.clock()
                ready = await ledger.authorise(tx, self._worker_id, mine, epochs, now, self._daily(tenant_id))
                crash_points.reached("authorise.uncommitted")
            crash_points.reached("authorise.committed")
        metrics.AUTHORISED.inc(len(ready))
        metrics.AUTHORISE_BATCH.observe(len(mine))
        return ready

    def _daily(self, tenant_id: UUID) -> dict[UUID, DailyWindow]:
        """The windows of all the tenant's limited accounts here: those that are new are read in one go."""
        lines: Iterable[Line] = self._turn.get(tenant_id, ())
        return {line.lease.account_id: line.daily for line in lines if line.daily is not None}

    def _forget(self, row: DueRow) -> None:
        line = self._lines.get(row.account_id)
        if line is not None:
            line.forget(row)
            line.look_at = self._clock.boottime() + _SOON
