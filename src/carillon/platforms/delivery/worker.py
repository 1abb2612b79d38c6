"""The process that owns accounts: keeps its leases, opens their sessions, and lets the dispatcher send.

It may write only while its liveness row is safely in force, judged by a clock that does not jump and measured from
before each renewal was asked for. When that time runs out it closes every socket and ends: `Fenced`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError

from carillon.kernel.errors import CarillonError
from carillon.kernel.ids import uuid7
from carillon.kernel.waiting import first_of
from carillon.ops import crash_points
from carillon.ops.memory import rare_collections
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.errors import AccountError, LeaseLost
from carillon.platforms.connectors.port import AccountState, Connector, Update
from carillon.storage.errors import Contention
from carillon.storage.listening import listen
from carillon.storage.resources import Resources

from . import distrust, inbound, leases, ledger, metrics
from .contracts import Lease
from .dispatcher import Dispatcher
from .line import Line
from .outgoing import DUE_CHANNEL
from .resting import Resting, Turnstile

log = structlog.get_logger(__name__)

LEASE_CHANNEL = "carillon_lease"
"""NOTIFY channel that tells workers an account became free or must be given up."""

_OPEN_TIMEOUT = 60.0
_CLOSE_TIMEOUT = 5.0
_OPEN_AT_ONCE = 10
_CONFLICTS = 3


class Fenced(CarillonError):
    """This process lost the right to its accounts; it must end and start anew."""

    code = "fenced"


class DeliveryWorker:
    """Runs accounts until stopped."""

    def __init__(
        self, resources: Resources, connectors: Mapping[str, Connector], *, name: str, capacity: int = 500
    ) -> None:
        """Create it.

        Args:
            resources: With a worker's database.
            connectors: By name, as accounts name them.
            name: Shown to operators.
            capacity: Most accounts it takes.
        """
        self.id = uuid7()
        self._resources = resources
        self._connectors = connectors
        self._name = name
        self._capacity = capacity
        self._clock = resources.clock
        self._safe_until = 0.0
        self._leases: dict[UUID, Lease] = {}
        self._lines: dict[UUID, Line] = {}
        self._opening: dict[UUID, asyncio.Task[None]] = {}
        self._leaving: dict[UUID, asyncio.Task[None]] = {}
        self._gate = Turnstile(_OPEN_AT_ONCE)
        self._resting = Resting(resources.clock)
        self._dispatcher = Dispatcher(resources, self.id, self.may_write)
        self._leases_changed = asyncio.Event()

    def may_write(self) -> bool:
        """Whether the leases are certainly in force."""
        return self._clock.boottime() < self._safe_until

    async def run(self, stop: asyncio.Event) -> None:
        """Own accounts and send until stopped; then hand everything over.

        Raises:
            Fenced: The liveness row could not be renewed in time.
        """
        with rare_collections():
            await self._run(stop)

    async def _run(self, stop: asyncio.Event) -> None:
        asked = self._clock.boottime()
        async with self._resources.database.across_tenants() as tx:
            await leases.enlist(tx, self.id, self._name)
        self._safe_until = asked + leases.SAFE
        tasks = [
            asyncio.create_task(self._keep_leases(stop)),
            asyncio.create_task(self._dispatcher.run(stop)),
            asyncio.create_task(self._watch()),
        ]
        url = self._resources.database.url
        listeners = [
            asyncio.create_task(listen(url, DUE_CHANNEL, self._due)),
            asyncio.create_task(listen(url, LEASE_CHANNEL, lambda _: self._leases_changed.set())),
        ]
        try:
            # The first to end is either an error or the answer to `stop`; then what is on the wire comes back.
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await asyncio.gather(*tasks[:2])
        finally:
            # First of all nothing new begins: to close takes a while, in which a claim under way would open accounts.
            for task in (*tasks, *listeners):
                task.cancel()
            await self._close_all()
            await asyncio.gather(*tasks, *listeners, return_exceptions=True)
        async with self._resources.database.across_tenants() as tx:
            await leases.retire(tx, self.id)
            await tx.execute(f"NOTIFY {LEASE_CHANNEL}")

    def _due(self, account_id: str) -> None:
        self._dispatcher.wake(UUID(account_id) if account_id else None)

    async def _watch(self) -> None:
        """Fence the process when its time runs out, whatever else hangs."""
        while True:
            left = self._safe_until - self._clock.boottime()
            if left <= 0:
                raise Fenced
            await self._clock.sleep(min(left, 1.0))

    async def _keep_leases(self, stop: asyncio.Event) -> None:
        renew_at = 0.0
        while not stop.is_set():
            if self._clock.boottime() >= renew_at:
                await self._renew()
                renew_at = self._clock.boottime() + leases.RENEW_EVERY
            try:
                await self._balance()
            except CarillonError as error:
                log.warning("leases.waiting", error=error.code)
            await first_of(self._leases_changed.wait(), stop.wait(), seconds=1.0)
            self._leases_changed.clear()

    async def _renew(self) -> None:
        asked = self._clock.boottime()
        try:
            async with asyncio.timeout(leases.RENEW_EVERY):
                async with self._resources.database.across_tenants() as tx:
                    alive = await leases.renew(tx, self.id)
        except (CarillonError, TimeoutError) as error:
            log.warning("lease.renewal_failed", error=type(error).__name__)
            return
        if not alive:
            raise Fenced
        self._safe_until = asked + leases.SAFE

    async def _balance(self) -> None:
        """Take free accounts up to the fair share; give up those beyond it and those that must not run."""
        async with self._resources.database.across_tenants() as tx:
            await leases.disown(tx, self.id, self._leases.keys())
            unwanted = await leases.unwanted(tx, self.id, self._lines.keys() - self._opening.keys())
            share = min(await leases.fair_share(tx), self._capacity)
        surplus = list(self._leases)[share + 1 :]
        for account_id in (unwanted | set(surplus)) - self._leaving.keys():
            # Beside the renewals: what one of its messages waits for must not cost us the other accounts.
            self._leaving[account_id] = asyncio.create_task(self._leave(account_id))
        room = share - len(self._leases)
        if room <= 0:
            return
        async with self._resources.database.across_tenants() as tx:
            claimed = await leases.claim(tx, self.id, room, self._resting.now())
        if claimed:
            crash_points.reached("lease.claimed")
        for lease in claimed:
            self._leases[lease.account_id] = lease
            self._opening[lease.account_id] = asyncio.create_task(self._open(lease))
        metrics.OWNED.set(len(self._leases))

    async def _open(self, lease: Lease) -> None:
        """Recover what an earlier owner left, connect, and start sending."""
        try:
            async with self._gate.turn():
                await self._start(lease)
        except LeaseLost:
            self._leases.pop(lease.account_id, None)
        except AccountError as error:
            await self._refuse(lease, error.state, error.message)
        except (CarillonError, DBAPIError, TimeoutError, OSError) as error:
            log.warning("account.open_failed", account=str(lease.account_id), error=type(error).__name__)
            self._resting.failed(lease.account_id)
            await self._give_back(lease)
        except Exception as error:  # a connector may raise anything; other accounts go on
            log.exception("account.open_raised", account=str(lease.account_id))
            await self._refuse(lease, AccountState.DEGRADED, f"The connector failed: {type(error).__name__}.")
        finally:
            self._opening.pop(lease.account_id, None)

    async def _start(self, lease: Lease) -> None:
        resources = self._resources
        async with resources.database.transaction(lease.tenant_id) as tx:
            account = await accounts.get(tx, lease.account_id)
            wait = (account.wait_until - await tx.clock()).total_seconds() if account.wait_until else 0.0
            connector = self._connectors.get(account.connector)
            if connector is None:
                reason = f"This installation has no connector named {account.connector}."
                raise AccountError(reason, state=AccountState.SIGNED_OUT)
            config = await accounts.config(tx, resources.vault, lease.account_id)
            flying = await ledger.recover(tx, lease, deduplicates=distrust.deduplicates(connector))
        if flying:
            crash_points.reached("recover.committed")
        if not self.may_write():
            # We stood still since the claim: somebody else may have the account open by now.
            raise LeaseLost
        sink = LeasedSink(resources, self.id, lease)
        session = await distrust.opened(connector, config, sink, _OPEN_TIMEOUT)
        self._resting.opened(lease.account_id)
        line = Line(lease, config, account.portfolio, connector, session, distrust.limits(connector, config))
        self._lines[lease.account_id] = line
        try:
            async with resources.database.transaction(lease.tenant_id) as tx:
                await accounts.change_state(tx, lease.account_id, AccountState.ONLINE, "")
        except BaseException:
            # The account is given back, so its session must be closed first: the next owner connects at once.
            del self._lines[lease.account_id]
            await _close(line)
            raise
        self._dispatcher.add(line, flying, wait=wait)

    async def _refuse(self, lease: Lease, state: AccountState, reason: str) -> None:
        self._resting.failed(lease.account_id)
        try:
            async with self._resources.database.transaction(lease.tenant_id) as tx:
                await accounts.change_state(tx, lease.account_id, state, reason)
        except CarillonError as error:
            log.warning("account.state_unsaved", error=error.code)
        await self._give_back(lease)

    async def _leave(self, account_id: UUID) -> None:
        try:
            await self._hand_over(account_id)
        except Exception:  # it is tried again
            log.exception("account.hand_over_failed", account=str(account_id))
        finally:
            del self._leaving[account_id]

    async def _hand_over(self, account_id: UUID) -> None:
        """Close an account's session in good order and free it for others."""
        opening = self._opening.pop(account_id, None)
        if opening is not None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        await self._dispatcher.remove(account_id)
        line = self._lines.pop(account_id, None)
        if line is not None:
            await _close(line)
        lease = self._leases.get(account_id)
        if lease is not None:
            await self._give_back(lease)

    async def _give_back(self, lease: Lease) -> None:
        self._leases.pop(lease.account_id, None)
        try:
            async with self._resources.database.across_tenants() as tx:
                await leases.release(tx, self.id, [lease])
                await tx.execute(f"NOTIFY {LEASE_CHANNEL}")
        except CarillonError as error:
            log.warning("lease.release_failed", error=error.code)

    async def _close_all(self) -> None:
        """Close every socket, at once when fenced."""
        ending = [*self._opening.values(), *self._leaving.values()]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.gather(*[_close(line) for line in self._lines.values()])
        self._lines.clear()


async def _close(line: Line) -> None:
    await distrust.closed(line.session, _CLOSE_TIMEOUT)


class LeasedSink:
    """The `UpdateSink` of one account: durable under the lease, or not at all."""

    def __init__(self, resources: Resources, worker_id: UUID, lease: Lease) -> None:
        """Create it."""
        self._resources = resources
        self._worker_id = worker_id
        self._lease = lease

    async def accept(self, updates: Sequence[Update], state: Mapping[str, bytes | None] | None = None) -> None:
        """See `UpdateSink.accept`; a great many take several transactions, and the state goes with the last."""
        parts = list(distrust.slices(updates)) or [[]]
        for part in parts[:-1]:
            await self._retried(part, None)
        await self._retried(parts[-1], distrust.state(state))

    async def _retried(self, updates: Sequence[Update], state: Mapping[str, bytes | None] | None) -> None:
        for _ in range(_CONFLICTS - 1):
            try:
                await self._accept(updates, state)
            except Contention:
                continue
            return
        await self._accept(updates, state)

    async def _accept(self, updates: Sequence[Update], state: Mapping[str, bytes | None] | None) -> None:
        async with self._resources.database.transaction(self._lease.tenant_id) as tx:
            if not await leases.held(tx, self._worker_id, [self._lease]):
                raise LeaseLost
            account = await accounts.get(tx, self._lease.account_id)
            await inbound.accept(tx, self._resources, account, updates, state)
            crash_points.reached("inbound.uncommitted")
        crash_points.reached("inbound.committed")
