"""Writing: tasks that take authorised messages to their connectors, and what the answers entail."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from uuid import UUID

import structlog

from carillon.audience.consents import api as consents
from carillon.kernel.errors import CarillonError
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.errors import AccountError, Flooded, Rejected, SendError
from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import ledger, metrics, wire
from .ledger import Ready
from .line import WRITERS, Line
from .pacing import Pacer
from .settling import Settler
from .wire import attempt, put_back, unanswered

log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0
_RESEND_AFTER = (0.5, 2.0, 10.0, 30.0)
_LONGEST_SLEEP = 600.0
"""Seconds after which a message that waits for the end of quiet hours is looked at again: who opted out shows soon."""


class Writing:
    """The tasks of one process that write to platforms."""

    def __init__(
        self,
        resources: Resources,
        worker_id: UUID,
        pacer: Pacer,
        settler: Settler,
        *,
        may_write: Callable[[UUID], bool],
        answered: Callable[[], object],
    ) -> None:
        """Create it.

        Args:
            resources: With a worker's database.
            worker_id: Of this process's liveness row.
            pacer: Learns of floods.
            settler: Takes the outcomes.
            may_write: Whether the account is certainly ours now.
            answered: Called when a message is no longer on the wire.
        """
        self._resources = resources
        self._worker_id = worker_id
        self._pacer = pacer
        self._settler = settler
        self._may_write = may_write
        self._answered = answered
        self._clock = resources.clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._since: dict[asyncio.Task[None], float] = {}
        self._late: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Give up on answers that do not come, until cancelled.

        One look at all of them each second: a timer for each would cost more than the message.
        """
        while True:
            await self._clock.sleep(_LOOK_EVERY)
            given_up = self._clock.boottime() - wire.PATIENCE
            for task in [task for task, since in self._since.items() if since < given_up]:
                self._late.add(task)
                task.cancel()

    def start_writer(self, line: Line) -> None:
        """One more task for the account's outbox, if there is work for it and none is about to begin."""
        if line.outbox and not line.writer_starting and line.writers < WRITERS:
            line.writers += 1
            line.writer_starting = True
            self.spawn(self._write_all(line))

    def again(self, line: Line, item: Ready) -> None:
        """Send a message of unknown outcome again with the same key, after a while and a recheck."""
        delay = _RESEND_AFTER[min(item.resends, len(_RESEND_AFTER) - 1)]
        line.known.add(item.row.id)
        again = item._replace(row=item.row._replace(resend=True), resends=item.resends + 1)
        line.busy.add(item.row.peer)
        self.spawn(self._resend(line, again, delay * random.uniform(0.8, 1.2)))  # noqa: S311 - jitter

    def _sleep(self, line: Line, item: Ready, seconds: float) -> None:
        """Look at it again when it may disturb; until then others may write to the person."""
        line.busy.discard(item.row.peer)
        self.spawn(self._resend(line, item, min(seconds, _LONGEST_SLEEP)))

    def empty_outbox(self, line: Line) -> None:
        """Put back what was authorised and not written."""
        while line.outbox:
            item, _ = line.outbox.popleft()
            line.busy.discard(item.row.peer)
            self._settler.add(line, item, put_back(item))

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run a task whose failure is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def finish(self, seconds: float) -> None:
        """Wait for what is on the wire, but not for ever."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("dispatch.raised", exc_info=task.exception())

    async def _write_all(self, line: Line) -> None:
        """Write from the outbox until it is empty.

        Each writer starts the next: as many as the platform's answers take time for, and one where they take none.
        """
        line.writer_starting = False
        account_id, outbox = line.lease.account_id, line.outbox
        try:
            while outbox and self._may_write(account_id):
                item, authorised_at = outbox.popleft()
                if outbox:
                    self.start_writer(line)
                await self._write(line, item, authorised_at)
        finally:
            line.writers -= 1

    async def _write(self, line: Line, item: Ready, authorised_at: float) -> None:
        now = self._clock.boottime()
        line.measure(now - authorised_at)
        outcome, error, again = await self._attempt(line, item, authorised_at, now)
        if error is not None and not await self._react(line, item, error):
            return  # still in `sending`: the next owner comes to the same
        if again:
            self.again(line, item)
            return
        if outcome is not None:
            self._settler.add(line, item, outcome)
        line.busy.discard(item.row.peer)
        self._answered()

    async def _attempt(self, line: Line, item: Ready, authorised_at: float, now: float) -> wire.Result:
        task = asyncio.current_task()
        assert task is not None
        self._since[task] = now
        deduplicates = line.deduplicates
        try:
            return await attempt(
                line.session, item, clock=self._clock, authorised_at=authorised_at, deduplicates=deduplicates
            )
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            return unanswered(item, deduplicates=deduplicates)
        finally:
            del self._since[task]
            self._late.discard(task)

    async def _resend(self, line: Line, item: Ready, delay: float) -> None:
        await self._clock.sleep(delay)
        if not self._may_write(line.lease.account_id):
            line.forget(item.row)
            return
        authorised_at = self._clock.boottime()
        try:
            async with self._resources.database.transaction(line.lease.tenant_id) as tx:
                now = await tx.clock()
                morning = await ledger.quiet_until(tx, item.row, now)
                allowed = [] if morning else await ledger.recheck(tx, self._worker_id, [item], now)
        except CarillonError as error:
            log.warning("recheck.failed", error=error.code)
            self.again(line, item)
            return
        if morning is not None:
            self._sleep(line, item, (morning - now).total_seconds())
        elif allowed and self._may_write(line.lease.account_id):
            await self._write(line, item, authorised_at)
        else:
            line.forget(item.row)

    async def _react(self, line: Line, item: Ready, error: SendError) -> bool:
        """What an error means for the account and the person, beside this message; False if that is not ours any more.

        It is written before the message is settled: whoever blocked us must not be forgotten with a lost connection.
        """
        metrics.count_error(line.connector.name, error)
        if isinstance(error, Flooded):
            peer = item.row.peer if error.only_peer else None
            self._pacer.pause(line.lease.account_id, error.retry_after, self._clock.boottime(), peer)
        if isinstance(error, AccountError) or (isinstance(error, Flooded) and not error.only_peer):
            self.empty_outbox(line)
        while True:
            try:
                async with self._resources.database.transaction(line.lease.tenant_id) as tx:
                    await self._record(tx, item, error)
            except CarillonError as failure:
                log.warning("react.failed", error=failure.code, account=str(line.lease.account_id))
            else:
                return True
            if not self._may_write(line.lease.account_id):
                return False
            await self._clock.sleep(_LOOK_EVERY)

    async def _record(self, tx: Tx, item: Ready, error: SendError) -> None:
        account_id = item.row.account_id
        match error:
            case Flooded(only_peer=False):
                await accounts.change_state(tx, account_id, AccountState.FLOODED, error.message, wait=error.retry_after)
            case AccountError():
                await accounts.change_state(tx, account_id, error.state, error.message)
            case Rejected(opt_out=True):
                await consents.opt_out(
                    tx,
                    self._resources.vault,
                    item.row.contact_id,
                    source="platform",
                    proof=f"message {item.row.id}: {error.platform_code}",
                    at=self._clock.now(),
                )
