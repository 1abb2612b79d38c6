"""The dispatcher: reads the due messages of the accounts this process owns and moves them to the wire.

    due rows → queue per account → batch of one tenant → authorise → write → settle

All of it happens in the one process that owns the account, so order and pacing need no shared state. A batch belongs
to one tenant, so row-level security holds here too; tenants take turns.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog

from carillon.audience.consents import api as consents
from carillon.kernel.errors import CarillonError
from carillon.kernel.waiting import first_of
from carillon.ops import crash_points
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.errors import AccountError, Flooded, Rejected
from carillon.platforms.connectors.port import AccountConfig, AccountState, Connector, Limits, Session
from carillon.storage.resources import Resources

from . import ledger, metrics, repository, statuses
from .contracts import PRIORITY, Lease, MessageState
from .daily import DailyWindow
from .ledger import Ready
from .pacing import Pacer, per_second
from .repository import DueRow, Outcome
from .wire import Result, attempt

log = structlog.get_logger(__name__)

BATCH = 500
"""Messages in one authorise or settle transaction: measured best between 250 and 1,000."""
READ_AHEAD = 400
"""Queued messages kept in memory per account."""
LOW_WATER = 150
_IN_FLIGHT = 64
_AUTHORISERS = 3
_SETTLE_EVERY = 0.02
_IDLE = 1.0
_SOON = 0.2
_RESEND_AFTER = (0.5, 2.0, 10.0, 30.0)


@dataclass(slots=True)
class Line:
    """One account this process owns, with its open session."""

    lease: Lease
    config: AccountConfig
    portfolio: str | None
    connector: Connector
    session: Session
    limits: Limits
    queue: list[tuple[int, int, DueRow]] = field(default_factory=list)
    known: set[UUID] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    look_at: float = 0.0
    daily: DailyWindow | None = None

    def __post_init__(self) -> None:
        """Keep count of people where the platform limits them."""
        if self.limits.daily_unique is not None:
            self.daily = DailyWindow(self.limits.daily_unique)

    @property
    def deduplicates(self) -> bool:
        """Whether a message may be resent with the same key."""
        return self.connector.capabilities.deduplicates


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
        self._turn: deque[UUID] = deque()
        self._outcomes: dict[UUID, list[tuple[Line, Outcome]]] = {}
        self._woken = asyncio.Event()
        self._unsettled = asyncio.Event()
        self._writing: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_AUTHORISERS)
        self._flushing = asyncio.Lock()
        self._sequence = 0

    def wake(self) -> None:
        """Something may be due."""
        for line in self._lines.values():
            line.look_at = 0.0
        self._woken.set()

    def add(self, line: Line, flying: Sequence[Ready], *, wait: float = 0.0) -> None:
        """Start sending for an account.

        Args:
            line: The account.
            flying: Messages of an earlier owner to send again.
            wait: Seconds that a flood reported to an earlier owner still lasts.
        """
        self._pacer.pause(line.lease.account_id, wait, self._clock.boottime())
        self._lines[line.lease.account_id] = line
        if line.lease.tenant_id not in self._turn:
            self._turn.append(line.lease.tenant_id)
        for ready in flying:
            self._again(line, ready)
        self._woken.set()

    async def remove(self, account_id: UUID) -> None:
        """Stop sending for an account and wait until nothing of it is on the wire."""
        line = self._lines.pop(account_id, None)
        if line is None:
            return
        while line.busy and self._may_write():
            await self._clock.sleep(0.02)
        await self._flush()

    async def run(self, stop: asyncio.Event) -> None:
        """Dispatch until stopped; then let what is on the wire come back."""
        settling = asyncio.create_task(self._settle_loop())
        try:
            while not stop.is_set():
                try:
                    pause = await self._step()
                except CarillonError as error:
                    log.warning("dispatch.waiting", error=error.code)
                    pause = _IDLE
                if pause > 0:
                    await first_of(self._woken.wait(), stop.wait(), seconds=pause)
                    self._woken.clear()
            if self._writing:
                await asyncio.wait(self._writing, timeout=10.0)
            await self._flush()
        finally:
            settling.cancel()

    async def _step(self) -> float:
        """One round over the tenants; returns how long there is nothing to do."""
        if not self._may_write():
            return _IDLE
        await self._refill()
        self._pacer.forget_idle(self._clock.boottime())
        pause = _IDLE
        for _ in range(len(self._turn)):
            tenant_id = self._turn[0]
            self._turn.rotate(-1)
            rows, wait = self._select(tenant_id)
            pause = min(pause, wait)
            if rows:
                pause = 0.0
                await self._slots.acquire()
                self._spawn(self._send_batch(tenant_id, rows))
        return pause

    async def _refill(self) -> None:
        """Read ahead for the accounts that run low."""
        now = self._clock.boottime()
        wanted = [
            (line.lease.tenant_id, line.lease.account_id, READ_AHEAD)
            for line in self._lines.values()
            if line.look_at <= now
            and len(line.queue) < LOW_WATER
            and self._pacer.account_wait(line.lease.account_id, line.limits, now) < _IDLE
        ]
        if not wanted:
            return
        async with self._resources.database.across_tenants() as tx:
            rows = await repository.due(tx, wanted)
        found: dict[UUID, int] = {}
        for row in rows:
            line = self._lines.get(row.account_id)
            if line is None:
                continue
            found[row.account_id] = found.get(row.account_id, 0) + 1
            if row.id not in line.known:
                self._enqueue(line, row)
        for _, account_id, _ in wanted:
            if account_id in self._lines and found.get(account_id, 0) < READ_AHEAD:
                # All that is due is in memory; rows become due by the clock too, so look again after a while.
                self._lines[account_id].look_at = now + _IDLE

    def _enqueue(self, line: Line, row: DueRow) -> None:
        self._sequence += 1
        line.known.add(row.id)
        heapq.heappush(line.queue, (PRIORITY[row.kind], self._sequence, row))

    def _select(self, tenant_id: UUID) -> tuple[list[DueRow], float]:
        """A batch of one tenant's messages that may go now; else how long until one may."""
        now = self._clock.boottime()
        rows: list[DueRow] = []
        pause = _IDLE
        for line in [line for line in self._lines.values() if line.lease.tenant_id == tenant_id]:
            aside: list[tuple[int, int, DueRow]] = []
            while line.queue and len(rows) < BATCH and len(line.busy) < _IN_FLIGHT and len(aside) < _IN_FLIGHT:
                wait = max(
                    self._pacer.tenant_wait(tenant_id, now),
                    self._pacer.account_wait(line.lease.account_id, line.limits, now),
                )
                if wait > 0:
                    pause = min(pause, wait)
                    break
                entry = heapq.heappop(line.queue)
                row = entry[2]
                peer_wait = self._pacer.wait(row.account_id, line.portfolio, row.peer, line.limits, now)
                if row.peer in line.busy or peer_wait > 0:
                    aside.append(entry)
                    pause = min(pause, max(peer_wait, 0.02))
                    continue
                self._pacer.take(row.account_id, line.portfolio, row.peer, line.limits, now)
                self._pacer.take_of_tenant(tenant_id, now)
                line.busy.add(row.peer)
                rows.append(row)
            for entry in aside:
                heapq.heappush(line.queue, entry)
        return rows, pause

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("dispatch.raised", exc_info=task.exception())

    async def _send_batch(self, tenant_id: UUID, rows: list[DueRow]) -> None:
        authorised_at = self._clock.boottime()
        ready: list[Ready] = []
        lines = {row.account_id: self._lines.get(row.account_id) for row in rows}
        try:
            ready = await self._authorise(tenant_id, rows)
        except Exception:  # nothing was written: back into the queue
            log.exception("authorise.failed", tenant=str(tenant_id), rows=len(rows))
            self._take_back(rows, lines)
            return
        finally:
            self._slots.release()
        going = {item.row.id for item in ready}
        for row in rows:
            if row.id not in going:
                self._forget(row)
        for item in ready:
            line = self._lines.get(item.row.account_id)
            if line is None:
                self._note_unwritten(item)
            else:
                self._spawn(self._write(line, item, authorised_at))

    def _take_back(self, rows: Sequence[DueRow], lines: Mapping[UUID, Line | None]) -> None:
        """Queue rows again whose authorisation failed; they stay known until that is settled.

        Perhaps it was committed and only the answer was lost: then they are in `sending`, and nobody else would ever
        look at them while this process lives.
        """
        for row in rows:
            line = lines[row.account_id]
            if line is not None:
                back = Outcome(row.id, line.lease.epoch, MessageState.QUEUED, due_at=self._clock.now())
                self._outcomes.setdefault(row.tenant_id, []).append((line, back))
                line.busy.discard(row.peer)
        self._unsettled.set()

    async def _authorise(self, tenant_id: UUID, rows: list[DueRow]) -> list[Ready]:
        epochs = {
            row.account_id: self._lines[row.account_id].lease.epoch for row in rows if row.account_id in self._lines
        }
        mine = [row for row in rows if row.account_id in epochs]
        if not mine or not self._may_write():
            return []
        with metrics.AUTHORISE_SECONDS.time():
            async with self._resources.database.transaction(tenant_id) as tx:
                ready = await ledger.authorise(
                    tx, self._worker_id, mine, epochs, self._clock.now(), self._daily(tenant_id)
                )
                crash_points.reached("authorise.uncommitted")
            crash_points.reached("authorise.committed")
        metrics.AUTHORISED.inc(len(ready))
        return ready

    def _daily(self, tenant_id: UUID) -> dict[UUID, DailyWindow]:
        """The windows of all the tenant's limited accounts here: those that are new are read in one go."""
        return {
            line.lease.account_id: line.daily
            for line in self._lines.values()
            if line.daily is not None and line.lease.tenant_id == tenant_id
        }

    def _note_unwritten(self, item: Ready) -> None:
        # The account left this process between authorise and write; its next owner finds the row in `sending`.
        log.info("write.skipped", message=str(item.row.id), account=str(item.row.account_id))

    def _forget(self, row: DueRow) -> None:
        line = self._lines.get(row.account_id)
        if line is not None:
            line.known.discard(row.id)
            line.busy.discard(row.peer)
            line.look_at = self._clock.boottime() + _SOON

    async def _write(self, line: Line, item: Ready, authorised_at: float) -> None:
        if not self._may_write():
            return
        result = await attempt(
            line.session, item, clock=self._clock, authorised_at=authorised_at, deduplicates=line.deduplicates
        )
        if result.error is not None:
            metrics.ERRORS.labels(type(result.error).__name__).inc()
            while not await self._react(line, item, result):
                if not self._may_write():
                    return  # still in `sending`: the next owner comes to the same
                await self._clock.sleep(_IDLE)
        if result.again:
            self._again(line, item)
            return
        if result.outcome is not None:
            self._outcomes.setdefault(item.row.tenant_id, []).append((line, result.outcome))
            self._unsettled.set()
        line.busy.discard(item.row.peer)
        if result.outcome is not None and result.outcome.due_at is None:
            self._woken.set()

    async def _react(self, line: Line, item: Ready, result: Result) -> bool:
        """What an error means for the account and the person, beside this message; whether it is written down."""
        error = result.error
        account_id, now = line.lease.account_id, self._clock.boottime()
        try:
            async with self._resources.database.transaction(line.lease.tenant_id) as tx:
                if isinstance(error, Flooded):
                    self._pacer.pause(account_id, error.retry_after, now, item.row.peer if error.only_peer else None)
                    if not error.only_peer:
                        await accounts.change_state(
                            tx, account_id, AccountState.FLOODED, error.message, wait=error.retry_after
                        )
                elif isinstance(error, AccountError):
                    await accounts.change_state(tx, account_id, error.state, error.message)
                elif isinstance(error, Rejected) and error.opt_out:
                    await consents.opt_out(
                        tx,
                        self._resources.vault,
                        item.row.contact_id,
                        source="platform",
                        proof=f"message {item.row.id}: {error.platform_code}",
                        at=self._clock.now(),
                    )
        except CarillonError as failure:
            log.warning("react.failed", error=failure.code, account=str(account_id))
            return False
        return True

    def _again(self, line: Line, item: Ready) -> None:
        """Send a message of unknown outcome again with the same key, after a while and a recheck."""
        line.busy.add(item.row.peer)
        line.known.add(item.row.id)
        delay = _RESEND_AFTER[min(item.resends, len(_RESEND_AFTER) - 1)]
        again = replace(item, row=replace(item.row, resend=True), resends=item.resends + 1)
        self._spawn(self._resend(line, again, delay * random.uniform(0.8, 1.2)))  # noqa: S311 - jitter

    async def _resend(self, line: Line, item: Ready, delay: float) -> None:
        await self._clock.sleep(delay)
        if line.lease.account_id not in self._lines or not self._may_write():
            line.busy.discard(item.row.peer)
            return
        authorised_at = self._clock.boottime()
        try:
            async with self._resources.database.transaction(line.lease.tenant_id) as tx:
                allowed = await ledger.recheck(tx, self._worker_id, [item], self._clock.now())
        except CarillonError as error:
            log.warning("recheck.failed", error=error.code)
            self._again(line, item)
            return
        if allowed:
            await self._write(line, item, authorised_at)
        else:
            line.busy.discard(item.row.peer)

    async def _settle_loop(self) -> None:
        while True:
            await self._unsettled.wait()
            self._unsettled.clear()
            await self._clock.sleep(_SETTLE_EVERY)
            await self._flush()

    async def _flush(self) -> None:
        """Write back what came of the attempts; kept and tried again while the database is away."""
        async with self._flushing:
            for tenant_id in list(self._outcomes):
                await self._flush_tenant(tenant_id)

    async def _flush_tenant(self, tenant_id: UUID) -> None:
        pending = self._outcomes[tenant_id]
        while pending:
            batch = pending[:BATCH]
            try:
                with metrics.SETTLE_SECONDS.time():
                    await self._settle(tenant_id, [outcome for _, outcome in batch])
            except Exception as error:  # noqa: BLE001 - tried again: an outcome must not be lost
                log.warning("settle.waiting", error=type(error).__name__)
                await self._clock.sleep(_IDLE / 2)
                self._unsettled.set()
                return
            del pending[: len(batch)]
            for line, outcome in batch:
                line.known.discard(outcome.id)
        del self._outcomes[tenant_id]

    async def _settle(self, tenant_id: UUID, outcomes: list[Outcome]) -> None:
        async with self._resources.database.transaction(tenant_id) as tx:
            changed = await repository.settle(tx, outcomes)
            await ledger.announce(tx, changed)
            for account_id in {row["account_id"] for row in changed if row["platform_id"]}:
                await statuses.merge_early(tx, account_id, changed)
            crash_points.reached("settle.uncommitted")
        crash_points.reached("settle.committed")
        metrics.SETTLED.inc(len(changed))
