"""What every adapter of the event bus must do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

import pytest

from carillon.events.adapters.memory import MemoryBus, MemoryStore
from carillon.events.adapters.postgres import PostgresBus
from carillon.events.catalog.base import Event
from carillon.events.consumer import Consumer, Recorded
from carillon.events.errors import AlreadyReplayed, BadEventCursor, DeadLetterNotFound, ReplayFailed
from carillon.events.port import EventBus, Retries
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.storage.database import Tx
from carillon.storage.errors import DatabaseUnreachable
from carillon.storage.resources import Resources

ALL = PageRequest(limit=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung(Event):
    type: ClassVar[str] = "conformance.rung"
    bell: int
    tower: UUID | None = None

    @property
    def subject_id(self) -> UUID | None:
        return self.tower


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard(Event):
    """What the test's consumers write: their effect, in the transaction they are given."""

    type: ClassVar[str] = "conformance.heard"
    bell: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted(Event):
    type: ClassVar[str] = "conformance.muted"


@dataclass
class Kit:
    """Makes buses over one store, and remembers what their handlers saw."""

    make: Callable[[Sequence[Consumer]], EventBus]
    tenant: UUID
    other: UUID
    seen: list[tuple[UUID, int]] = field(default_factory=list)
    poisoned: set[int] = field(default_factory=set)
    deadly: set[int] = field(default_factory=set)
    unreachable: bool = False
    before_commit: Callable[[], "asyncio.Future[None] | None"] = lambda: None

    def listener(self, name: str | None = None, *, batch: int = 100, start: str = "beginning") -> EventBus:
        """A bus with one consumer that answers each `Rung` with a `Heard`."""
        name = name or f"test.{uuid7()}"

        async def handle(_: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
            for recorded in events:
                assert isinstance(recorded.event, Rung)
                assert recorded.tenant_id == tx.tenant_id
                self.seen.append((recorded.tenant_id, recorded.event.bell))
                if recorded.tenant_id == self.tenant and recorded.event.bell in self.poisoned:
                    raise ValueError("cracked bell")
                if recorded.tenant_id == self.tenant and recorded.event.bell in self.deadly:
                    raise Killed
                if recorded.tenant_id == self.tenant and self.unreachable:
                    raise DatabaseUnreachable
                await bus.append(tx, Heard(bell=recorded.event.bell, by=name))
            waiting = self.before_commit() if tx.tenant_id == self.tenant else None
            if waiting is not None:
                await waiting

        bus = self.make([Consumer(name, (Rung,), handle, batch=batch, start=start)])  # type: ignore[arg-type]
        return bus

    async def ring(self, bus: EventBus, *bells: int, tenant: UUID | None = None) -> None:
        async with bus.transaction(tenant or self.tenant) as tx:
            await bus.append(tx, *(Rung(bell=bell) for bell in bells))

    async def heard(self, bus: EventBus, tenant: UUID | None = None) -> list[int]:
        """The committed effects in the order they were written."""
        async with bus.transaction(tenant or self.tenant) as tx:
            page = await bus.history(tx, ALL, kind=Heard.type)
        return [recorded.event.bell for recorded in reversed(page.items)]  # type: ignore[attr-defined]

    def mine(self) -> list[int]:
        return [bell for tenant, bell in self.seen if tenant == self.tenant]


@pytest.fixture(params=["memory", "postgres"])
def kit(request: pytest.FixtureRequest, worker_resources: Resources, tenant: UUID, other_tenant: UUID) -> Kit:
    store = MemoryStore()
    retries = Retries(first=0.0)

    def make(consumers: Sequence[Consumer]) -> EventBus:
        if request.param == "memory":
            return MemoryBus(worker_resources, consumers, store=store, retries=retries)
        return PostgresBus(worker_resources, consumers, retries=retries, poll=0.05)

    return Kit(make, tenant, other_tenant)


async def test_events_arrive_in_order_with_their_values(kit: Kit) -> None:
    bus = kit.listener()
    await kit.ring(bus, 1, 2, 3)
    await kit.ring(bus, 4)
    await bus.drain()
    assert kit.mine() == [1, 2, 3, 4]
    assert await kit.heard(bus) == [1, 2, 3, 4]


async def test_a_rolled_back_transaction_appends_nothing(kit: Kit) -> None:
    bus = kit.listener()
    with pytest.raises(RuntimeError):  # noqa: PT012
        async with bus.transaction(kit.tenant) as tx:
            await bus.append(tx, Rung(bell=1))
            raise RuntimeError
    await bus.drain()
    assert kit.mine() == []
    async with bus.transaction(kit.tenant) as tx:
        assert (await bus.history(tx, ALL)).items == []


async def test_a_transaction_that_began_first_and_commits_last_is_not_skipped(kit: Kit) -> None:
    bus = kit.listener()
    async with bus.transaction(kit.tenant) as slow:
        await bus.append(slow, Rung(bell=1))
        await kit.ring(bus, 2)
        await bus.drain(wait=False)
        # The later one is committed, but may only be read once nothing can come in before it.
        assert kit.mine() == []
        await bus.append(slow, Rung(bell=3))
    await bus.drain()
    assert kit.mine() == [1, 3, 2]


async def test_a_batch_smaller_than_the_news_loses_none(kit: Kit) -> None:
    bus = kit.listener(batch=3)
    for start in range(0, 20, 4):
        await kit.ring(bus, *range(start, start + 4))
    await bus.drain()
    assert kit.mine() == list(range(20))


async def test_other_types_are_passed_over(kit: Kit) -> None:
    bus = kit.listener(batch=2)
    async with bus.transaction(kit.tenant) as tx:
        await bus.append(tx, Muted(), Rung(bell=1), Muted(), Muted(), Rung(bell=2), Muted())
    await bus.drain()
    await kit.ring(bus, 3)
    await bus.drain()
    assert kit.mine() == [1, 2, 3]


async def test_what_was_handled_is_not_handled_again(kit: Kit) -> None:
    name = f"test.{uuid7()}"
    await kit.ring(kit.listener(name), 1, 2)
    await kit.listener(name).drain()
    await kit.listener(name).drain()
    assert kit.mine() == [1, 2]


async def test_a_new_consumer_reads_from_the_beginning(kit: Kit) -> None:
    await kit.ring(kit.listener(), 1, 2)
    late = kit.listener()
    await late.drain()
    assert kit.mine() == [1, 2]


async def test_a_consumer_may_begin_with_what_happens_from_now_on(kit: Kit) -> None:
    bus = kit.listener(start="now")
    await kit.ring(bus, 1)
    await kit.listener().drain()  # now nothing holds back the first any more
    kit.seen.clear()
    await bus.drain()
    await kit.ring(bus, 2)
    await bus.drain()
    assert kit.mine() == [2]


async def test_cancelled_between_handling_and_commit_it_is_handled_again_with_one_effect(kit: Kit) -> None:
    name = f"test.{uuid7()}"
    reached = asyncio.Event()

    def hang() -> "asyncio.Future[None]":
        reached.set()
        return asyncio.get_running_loop().create_future()

    bus = kit.listener(name)
    await kit.ring(bus, 1, 2)
    kit.before_commit = hang
    running = asyncio.create_task(bus.drain())
    await asyncio.wait_for(reached.wait(), 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    kit.before_commit = lambda: None
    again = kit.listener(name)
    await _until(lambda: kit.heard(again), [1, 2], again)
    # Handled twice, for all it knows; what it wrote stands once.
    assert kit.mine()[:2] == [1, 2]
    assert kit.mine().count(1) == 2


async def test_two_runners_of_one_consumer_share_the_work(kit: Kit) -> None:
    name = f"test.{uuid7()}"
    first, second = kit.listener(name, batch=5), kit.listener(name, batch=5)
    for bell in range(60):
        await kit.ring(first, bell)
    stop = asyncio.Event()
    running = [asyncio.create_task(bus.run(stop)) for bus in (first, second)]
    await _until(lambda: kit.heard(first), list(range(60)))
    stop.set()
    await asyncio.gather(*running)
    assert kit.mine() == list(range(60))


async def test_a_poison_event_becomes_a_dead_letter_and_the_others_flow(kit: Kit) -> None:
    kit.poisoned = {2}
    bus = kit.listener()
    await kit.ring(bus, 1, 2, 3)
    await kit.ring(bus, 4, 5)
    await bus.drain()
    assert await kit.heard(bus) == [1, 3, 4, 5]
    async with bus.transaction(kit.tenant) as tx:
        (letter,) = (await bus.dead_letters(tx, ALL)).items
    assert (letter.type, dict(letter.payload)["bell"], letter.attempts) == (Rung.type, 2, 5)
    assert (letter.error_class, letter.error) == ("ValueError", "cracked bell")
    # Once within its batch, then alone, as often as retries allow.
    assert kit.mine().count(2) == 6


class Killed(BaseException):
    """Stands for kill -9: nothing of ours runs after it."""


async def test_an_event_that_kills_the_process_becomes_a_dead_letter_too(kit: Kit) -> None:
    name, deaths = f"test.{uuid7()}", 0
    await kit.ring(kit.listener(name), 1, 2, 3)
    kit.deadly = {2}
    while deaths < 20:
        bus = kit.listener(name)  # every death is followed by a new process
        try:
            await bus.drain()
        except Killed:
            deaths += 1
        else:
            break
    assert await kit.heard(bus) == [1, 3]
    async with bus.transaction(kit.tenant) as tx:
        (letter,) = (await bus.dead_letters(tx, ALL)).items
    assert (letter.error_class, dict(letter.payload)["bell"]) == ("ProcessDied", 2)
    assert 5 <= deaths <= 8


async def test_an_unreachable_database_is_nobody_s_failure(kit: Kit) -> None:
    name, failures = f"test.{uuid7()}", 0
    bus = kit.listener(name)
    await kit.ring(bus, 1)
    kit.unreachable = True
    while failures < 20:
        with pytest.raises(DatabaseUnreachable):
            await bus.drain()
        failures += 1
    kit.unreachable = False
    await bus.drain()
    assert await kit.heard(bus) == [1]
    async with bus.transaction(kit.tenant) as tx:
        assert (await bus.dead_letters(tx, ALL)).items == []


async def test_a_dead_letter_is_replayed_once(kit: Kit) -> None:
    kit.poisoned = {7}
    bus = kit.listener()
    await kit.ring(bus, 7)
    await bus.drain()
    async with bus.transaction(kit.tenant) as tx:
        (letter,) = (await bus.dead_letters(tx, ALL, replayed=False)).items
    with pytest.raises(ReplayFailed):
        async with bus.transaction(kit.tenant) as tx:
            await bus.replay(tx, letter.id)
    kit.poisoned = set()
    async with bus.transaction(kit.tenant) as tx:
        await bus.replay(tx, letter.id)
    assert await kit.heard(bus) == [7]
    with pytest.raises(AlreadyReplayed):
        async with bus.transaction(kit.tenant) as tx:
            await bus.replay(tx, letter.id)
    async with bus.transaction(kit.tenant) as tx:
        assert (await bus.dead_letters(tx, ALL, replayed=False)).items == []
        assert (await bus.dead_letters(tx, ALL)).items[0].replayed_at is not None


async def test_tenants_are_kept_apart(kit: Kit) -> None:
    kit.poisoned = {9}
    bus = kit.listener()
    await kit.ring(bus, 1, 9)
    await kit.ring(bus, 2, tenant=kit.other)
    await kit.ring(bus, 3)
    await bus.drain()
    assert await kit.heard(bus) == [1, 3]
    assert await kit.heard(bus, kit.other) == [2]
    async with bus.transaction(kit.tenant) as tx:
        (letter,) = (await bus.dead_letters(tx, ALL)).items
    async with bus.transaction(kit.other) as tx:
        assert (await bus.dead_letters(tx, ALL)).items == []
        with pytest.raises(DeadLetterNotFound):
            await bus.replay(tx, letter.id)


async def test_history_is_paged_newest_first_and_filtered(kit: Kit) -> None:
    bus, tower = kit.make([]), uuid7()
    async with bus.transaction(kit.tenant) as tx:
        await bus.append(tx, *(Rung(bell=bell, tower=tower) for bell in range(5)), Muted(), Rung(bell=99))
    async with bus.transaction(kit.tenant) as tx:
        first = await bus.history(tx, PageRequest(limit=3), subject_id=tower)
        second = await bus.history(tx, PageRequest(limit=3, cursor=first.next_cursor), subject_id=tower)
        assert [item.event.bell for item in (*first.items, *second.items)] == [4, 3, 2, 1, 0]  # type: ignore[attr-defined]
        assert second.next_cursor is None
        assert len((await bus.history(tx, ALL, kind=Muted.type)).items) == 1
        with pytest.raises(BadEventCursor):
            await bus.history(tx, PageRequest(cursor="?"))


async def test_run_wakes_for_what_is_appended_later_and_stops(kit: Kit) -> None:
    bus, stop = kit.listener(), asyncio.Event()
    running = asyncio.create_task(bus.run(stop))
    await kit.ring(bus, 1)
    await _until(lambda: kit.heard(bus), [1])
    await kit.ring(bus, 2)
    await _until(lambda: kit.heard(bus), [1, 2])
    stop.set()
    await running


async def _until(look: Callable[[], Awaitable[list[int]]], wanted: list[int], bus: EventBus | None = None) -> None:
    """Look again and again; the test's own timeout ends it when the wanted never comes."""
    while await look() != wanted:
        if bus is not None:
            await bus.drain()
        await asyncio.sleep(0.01)
