"""Leases: whatever workers and accounts do, an account has one owner, and only that owner's writes count.

The database's clock stands still for the model: before each step every worker is put where the model has it, alive,
silent but within the grace, or silent for longer. So no example waits, and none depends on how fast it runs.
"""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.port import AccountState
from carillon.platforms.delivery.contracts import MessageState
from tests.fixtures.delivery import add_account, add_people, make_plan

from . import door
from .running import check, check_notices, planted, planted_text
from .world import World, now

ALIVE, SILENT, GONE = 3600.0, -1.0, -0.1 - door.leases.GRACE
"""Seconds until a worker's row expires."""
PLACES = st.integers(0, 3)


@dataclass
class Worker:
    """A process: where its liveness row stands, and every lease it ever believed in."""

    id: UUID
    name: str
    expires_in: float | None = ALIVE  # None: retired, its row is gone
    beliefs: list[door.Lease] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return self.expires_in == ALIVE

    @property
    def gone(self) -> bool:
        return self.expires_in in (GONE, None)


@dataclass
class Account:
    """An account: who owns it since which epoch, and its messages in flight with the epoch that fences each."""

    id: UUID
    owner: Worker | None = None
    epoch: int = 0
    parked: bool = False
    banned: bool = False
    deleted: bool = False
    flying: dict[UUID, int] = field(default_factory=dict)
    settled: set[UUID] = field(default_factory=set)

    @property
    def runnable(self) -> bool:
        return not (self.parked or self.banned or self.deleted)

    @property
    def free(self) -> bool:
        return self.runnable and (self.owner is None or self.owner.gone)


class LeaseMachine(RuleBasedStateMachine):
    world: ClassVar[World]

    @initialize(claimed=st.integers(0, 3), flying=st.booleans())
    def begin(self, claimed: int, flying: bool) -> None:
        """Mostly in the middle of things: there are more ways to get stuck than to get here."""
        self.workers: list[Worker] = []
        self.world.run(self._begin())
        self.world.run(self._enlist())
        if claimed:
            self.claims(0, claimed)
        for which in range(claimed if flying else 0):
            self.authorises(0, which)

    async def _begin(self) -> None:
        self.tenant = await self.world.new_tenant()
        self.subject = system_subject(self.tenant)
        async with self.world.transaction(self.tenant) as tx:
            self.accounts = [Account(await add_account(tx)) for _ in range(3)]
            await add_people(tx, 4)
            for account in self.accounts:
                await door.plan(tx, make_plan(self.tenant, [account.id]))
        await self._enlist()

    async def _enlist(self) -> None:
        name = f"worker {len(self.workers)}"
        async with self.world.database.across_tenants() as tx:
            self.workers.append(Worker(await door.enlist(tx, name), name))

    async def _stop_the_clock(self) -> None:
        placed = [(worker.id, worker.expires_in) for worker in self.workers if worker.expires_in is not None]
        await self.world.owner.execute(
            "UPDATE platforms.worker w SET expires_at = clock_timestamp() + make_interval(secs => p.seconds) "
            "FROM unnest($1::uuid[], $2::float8[]) AS p (id, seconds) WHERE w.id = p.id",
            [worker_id for worker_id, _ in placed],
            [seconds for _, seconds in placed],
        )

    def everywhere(self, work: Callable[[door.Tx], Awaitable[Any]]) -> Any:
        """Do it across tenants, as workers do, in a transaction that commits."""

        async def done() -> Any:
            await self._stop_the_clock()
            async with self.world.database.across_tenants() as tx:
                return await work(tx)

        return self.world.run(done())

    def inside(self, work: Callable[[door.Tx], Awaitable[Any]]) -> Any:
        """Do it inside the tenant."""

        async def done() -> Any:
            await self._stop_the_clock()
            return await self.world.inside(self.tenant, work)

        return self.world.run(done())

    def worker(self, place: int) -> Worker:
        """One of the last few: those who are gone for long do nothing new."""
        latest = self.workers[-4:]
        return latest[place % len(latest)]

    def account(self, place: int) -> Account:
        return self.accounts[place % len(self.accounts)]

    # Workers.

    @precondition(lambda self: sum(worker.alive for worker in self.workers) < 3)
    @rule()
    def enlists(self) -> None:
        self.world.run(self._enlist())

    @rule(place=PLACES)
    def renews(self, place: int) -> None:
        worker = self.worker(place)
        assert self.everywhere(lambda tx: door.leases.renew(tx, worker.id)) == worker.alive

    @precondition(lambda self: any(account.owner and account.owner.expires_in for account in self.accounts))
    @rule(place=PLACES, expires_in=st.sampled_from([SILENT, GONE]))
    def falls_silent(self, place: int, expires_in: float) -> None:
        worker = self.worker(place)
        if worker.expires_in is not None and not worker.gone:
            worker.expires_in = expires_in

    @precondition(lambda self: len(self.workers) > 1)
    @rule(place=PLACES, by_name=st.booleans())
    def retires(self, place: int, by_name: bool) -> None:
        worker = self.worker(place)
        owned = [account for account in self.accounts if account.owner is worker]
        if by_name:
            freed = self.everywhere(lambda tx: door.leases.retire_process(tx, worker.name))
            owned = owned if worker.expires_in is not None else []
        else:
            freed = self.everywhere(lambda tx: door.leases.retire(tx, worker.id))
        assert freed == len(owned)
        worker.expires_in = None
        for account in owned:
            account.owner = None

    def _expect_claim(self, worker: Worker, count: int, taken: set[UUID] = frozenset()) -> list[Account]:  # type: ignore[assignment] # an empty one
        if not worker.alive:
            return []
        return [account for account in self.accounts if account.free and account.id not in taken][:count]

    def _claimed(self, worker: Worker, leases: list[door.Lease], expected: list[Account]) -> None:
        assert {lease.account_id for lease in leases} == {account.id for account in expected}
        for lease in leases:
            account = next(one for one in expected if one.id == lease.account_id)
            assert lease.epoch == account.epoch + 1, "epochs grow by one with every owner"
            account.owner, account.epoch = worker, lease.epoch
            worker.beliefs.append(lease)

    @rule(place=PLACES, count=st.integers(1, 4))
    def claims(self, place: int, count: int) -> None:
        worker = self.worker(place)
        expected = self._expect_claim(worker, count)
        self._claimed(worker, self.everywhere(lambda tx: door.leases.claim(tx, worker.id, count)), expected)

    @precondition(lambda self: any(account.owner for account in self.accounts))
    @rule(place=PLACES, expires_in=st.sampled_from([SILENT, 5.0 - door.leases.GRACE, GONE]))
    def is_succeeded(self, place: int, expires_in: float) -> None:
        """A worker falls silent and another one wants its accounts: not before the grace is over."""
        owners = [account.owner for account in self.accounts if account.owner]
        worker = owners[place % len(owners)]
        if worker.expires_in is not None and not worker.gone:
            worker.expires_in = expires_in
        self.world.run(self._enlist())
        self.claims(-1, 4)

    @rule(places=st.tuples(PLACES, PLACES), counts=st.tuples(st.integers(1, 3), st.integers(1, 3)))
    def two_claim_at_once(self, places: tuple[int, int], counts: tuple[int, int]) -> None:
        """The second does not wait for the first and takes none of its accounts."""
        first, second = (self.worker(place) for place in places)
        expected = self._expect_claim(first, counts[0])
        rest = self._expect_claim(second, counts[1], {account.id for account in expected})

        async def race(tx: door.Tx) -> tuple[list[door.Lease], list[door.Lease]]:
            one = await door.leases.claim(tx, first.id, counts[0])
            async with self.world.database.across_tenants() as other:
                return one, await door.leases.claim(other, second.id, counts[1])

        one, two = self.everywhere(race)
        self._claimed(first, one, expected)
        self._claimed(second, two, rest)

    @rule(place=PLACES, which=st.integers(0, 20))
    def gives_back(self, place: int, which: int) -> None:
        worker = self.worker(place)
        leases = worker.beliefs[which % (len(worker.beliefs) or 1) :]
        self.everywhere(lambda tx: door.leases.release(tx, worker.id, leases))
        for account in self.accounts:
            if account.owner is worker and any(self._is_current(lease, account) for lease in leases):
                account.owner = None

    # Accounts.

    @rule(place=PLACES)
    def is_parked_or_unparked(self, place: int) -> None:
        account = self.account(place)
        if account.banned or account.deleted:
            return
        act = accounts.unpark if account.parked else accounts.park
        self.inside(lambda tx: act(tx, self.subject, account.id))
        account.parked = not account.parked

    @rule(place=PLACES)
    def is_banned_or_signed_in_again(self, place: int) -> None:
        account = self.account(place)
        if account.deleted:
            return
        if account.banned:
            self.inside(lambda tx: accounts.sign_in_again(tx, self.subject, account.id))
            account.banned = account.parked = False
        else:
            self.inside(lambda tx: accounts.change_state(tx, account.id, AccountState.BANNED, "spam"))
            account.banned = True

    @rule(place=PLACES)
    def is_deleted(self, place: int) -> None:
        account = self.account(place)
        if not account.deleted and sum(one.deleted for one in self.accounts) < 2:
            self.inside(lambda tx: accounts.remove(tx, self.subject, account.id))
            account.deleted = True

    # Writes of those who own accounts, and of those who only believe so.

    def _holds(self, worker: Worker, lease: door.Lease) -> bool:
        account = next(one for one in self.accounts if one.id == lease.account_id)
        return worker.alive and account.owner is worker and self._is_current(lease, account)

    @staticmethod
    def _is_current(lease: door.Lease, account: Account) -> bool:
        return (lease.account_id, lease.epoch) == (account.id, account.epoch)

    def _believes(self, place: int, which: int) -> tuple[Worker, door.Lease, Account]:
        believers = [worker for worker in self.workers if worker.beliefs][-3:]
        worker = believers[place % len(believers)]
        lease = worker.beliefs[-1 - which % len(worker.beliefs)]
        return worker, lease, next(one for one in self.accounts if one.id == lease.account_id)

    @precondition(lambda self: any(worker.beliefs for worker in self.workers))
    @rule(place=PLACES, which=st.integers(0, 4))
    def authorises(self, place: int, which: int) -> None:
        worker, lease, account = self._believes(place, which)

        async def go(tx: door.Tx) -> list[door.Ready]:
            rows = await door.due(tx, account.id, 1)
            return await door.authorise(tx, worker.id, rows, {account.id: lease.epoch}, now())

        ready = self.inside(go)
        left = 4 - len(account.flying) - len(account.settled)
        assert len(ready) == (1 if self._holds(worker, lease) and left else 0)
        account.flying.update({item.row.id: item.epoch for item in ready})

    @precondition(lambda self: any(worker.beliefs for worker in self.workers))
    @rule(place=PLACES, which=st.integers(0, 4))
    def recovers(self, place: int, which: int) -> None:
        worker, lease, account = self._believes(place, which)
        older = {message for message, epoch in account.flying.items() if epoch < lease.epoch}
        again = self.inside(lambda tx: door.recover(tx, lease))
        assert {item.row.id for item in again} == older
        account.flying.update(dict.fromkeys(older, lease.epoch))
        allowed = self.inside(lambda tx: door.recheck(tx, worker.id, again, now()))
        assert {item.row.id for item in allowed} == (older if self._holds(worker, lease) else set())

    @precondition(lambda self: any(account.flying for account in self.accounts))
    @rule(place=PLACES, back=st.integers(-1, 1))
    def an_attempt_ends(self, place: int, back: int) -> None:
        """Its outcome counts for the epoch that fences the message, and for no other."""
        flying = [account for account in self.accounts if account.flying]
        account = flying[place % len(flying)]
        message, fence = next(iter(account.flying.items()))
        epoch = fence - back
        changed = self.inside(
            lambda tx: door.settle(tx, message, epoch, MessageState.SENT, platform_id=str(message), at=now())
        )
        assert changed == (epoch == fence)
        if changed:
            del account.flying[message]
            account.settled.add(message)

    # What holds after every step.

    @invariant()
    def leases_are_as_modelled(self) -> None:
        rows = self.world.run(
            self.world.owner.fetch(
                "SELECT id, worker_id, epoch FROM platforms.account_lease WHERE tenant_id = $1", self.tenant
            )
        )
        assert {row["id"]: (row["worker_id"], row["epoch"]) for row in rows} == {
            account.id: (account.owner and account.owner.id, account.epoch)
            for account in self.accounts
            if account.epoch
        }

    @invariant()
    def messages_are_as_modelled(self) -> None:
        rows = self.world.run(
            self.world.owner.fetch(
                "SELECT id, state, epoch FROM platforms.message WHERE tenant_id = $1 AND state <> 'queued'", self.tenant
            )
        )
        flying = {row["id"]: row["epoch"] for row in rows if row["state"] == "sending"}
        assert flying == {key: fence for account in self.accounts for key, fence in account.flying.items()}
        sent = {row["id"] for row in rows if row["state"] == "sent"}
        assert sent == {key for account in self.accounts for key in account.settled}

    @invariant()
    def nobody_else_passes_the_fence(self) -> None:
        async def look(tx: door.Tx) -> list[UUID]:
            holders: list[UUID] = []
            for worker in self.workers:
                mine = [lease for lease in worker.beliefs if self._holds(worker, lease)]
                held = await door.leases.held(tx, worker.id, mine)
                assert held == {lease.account_id for lease in mine}
                holders += held
                stale = [lease for lease in worker.beliefs if lease not in mine]
                assert not await door.leases.held(tx, worker.id, stale)
                owned = [account for account in self.accounts if account.owner is worker]
                unwanted = {account.id for account in owned if not account.runnable}
                assert await door.leases.unwanted(tx, worker.id) == unwanted
            return holders

        holders = self.everywhere(look)
        assert len(holders) == len(set(holders)), "an account has one living holder"

    @invariant()
    def shares_are_fair(self) -> None:
        wanted = sum(account.runnable for account in self.accounts)
        living = sum(worker.alive for worker in self.workers)
        assert self.everywhere(door.leases.fair_share) == -(-wanted // max(1, living))

    def teardown(self) -> None:
        """Whatever has happened: once the others are gone, a new worker gets everything that may run."""
        if sys.exc_info()[0] is not None:
            return  # it has failed already
        for worker in self.workers:
            worker.expires_in = None if worker.expires_in is None else GONE
        self.world.run(self._enlist())
        heir = self.workers[-1]
        expected = [account for account in self.accounts if account.runnable]
        self._claimed(heir, self.everywhere(lambda tx: door.leases.claim(tx, heir.id, 100)), expected)


@pytest.fixture(autouse=True)
def machine(world: World) -> type[LeaseMachine]:
    LeaseMachine.world = world
    return LeaseMachine


def test_leases() -> None:
    check(LeaseMachine, examples=20)


def test_the_machine_notices_a_claim_without_grace() -> None:
    with (
        planted(door.CLAIM, "w.expires_at + make_interval(secs => :grace) >=", "w.expires_at >="),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(door.leases, "_DEAD", door.leases._DEAD.replace(" + make_interval(secs => :grace)", ""))
        check_notices(LeaseMachine)


def test_the_machine_notices_an_epoch_that_does_not_grow() -> None:
    with planted(door.CLAIM, "epoch = l.epoch + 1", "epoch = l.epoch"):
        check_notices(LeaseMachine)


def test_the_machine_notices_a_lease_check_without_the_epoch() -> None:
    with planted(door.HELD, " AND mine.epoch = l.epoch", ""):
        check_notices(LeaseMachine)


def test_the_machine_notices_a_settlement_without_the_epoch() -> None:
    with planted_text(*door.SETTLE_SENT_TEXT, " AND m.epoch = o.epoch", ""):
        check_notices(LeaseMachine)
