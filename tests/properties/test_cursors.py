"""Event cursors: whoever appends, commits, fails and dies in whatever order, each consumer works through every event.

What a consumer does is an event of its own, appended in the transaction it is given: so its effects can be counted.
The same machine runs over PostgreSQL and over the bus in memory.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from carillon.events import maintenance, repository
from carillon.events.adapters.memory import MemoryBus, MemoryStore
from carillon.events.adapters.postgres import PostgresBus, PostgresProgress
from carillon.events.catalog.base import Event
from carillon.events.consumer import Consumer, Recorded
from carillon.events.errors import AlreadyReplayed, ReplayFailed
from carillon.events.port import DeadLetter, EventBus, Retries
from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .running import check, check_notices, planted, planted_text
from .world import World

RETRIES = Retries(attempts=3, first=0.0)
NAMES = st.sampled_from(["a", "b"])
PLACES = st.integers(0, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered(Event):
    type: ClassVar[str] = "properties.numbered"
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled(Event):
    type: ClassVar[str] = "properties.handled"
    number: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored(Event):
    type: ClassVar[str] = "properties.ignored"


class Undone(Exception):
    """Rolls a transaction back."""


class Died(BaseException):
    """The process ends here: nothing of ours may catch it."""


@dataclass
class Open:
    """A transaction that has not ended; `place` is its place in the order of first writes."""

    place: int
    tenant: UUID
    stack: AsyncExitStack
    tx: Tx
    numbers: list[int] = field(default_factory=list)


class CursorMachine(RuleBasedStateMachine):
    world: ClassVar[World]

    def make_bus(self, consumers: Sequence[Consumer]) -> EventBus:
        return PostgresBus(self.world.resources, consumers, retries=RETRIES)

    @initialize(batch=st.integers(1, 4), ended=st.sampled_from([[0, 2], [2, 0], [0], [1, 2]]), poison=st.booleans())
    def begin(self, batch: int, ended: list[int], poison: bool) -> None:
        """In the middle of things: of three transactions some have ended."""
        self.batch = batch
        self.prefix = uuid7().hex
        self.store = MemoryStore()
        self.begun = self.last = self.deaths = self.passed = 0
        self.old = False
        self.open: list[Open] = []
        self.committed: list[tuple[int, list[int]]] = []
        self.whose: dict[int, UUID] = {}
        self.poison: set[int] = set()
        self.ever_poison: set[int] = set()
        self.dying: str | None = None
        self.tenants = [self.world.run(self.world.new_tenant(alone=False)) for _ in range(2)]
        # A cursor that nobody moves any more would keep every old event.
        self.world.run(self.world.owner.execute("DELETE FROM events.cursor"))
        self.processes = {name: [self.process(name) for _ in range(2)] for name in ("a", "b")}
        # From now on retention waits for both, whether they have begun or not.
        for buses in self.processes.values():
            self.world.run(buses[0].drain(wait=False))
        for tenant in (0, 1, 0):
            self.somebody_begins(tenant, 2, noise=False)
        self.poison |= {self.open[ended[0]].numbers[0]} if poison else set()
        self.ever_poison |= self.poison
        three = list(self.open)
        for place in ended:
            self.somebody_commits(self.open.index(three[place]))
        self.world.run(self._look())

    def process(self, name: str) -> EventBus:
        async def handle(_: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
            if tx.tenant_id not in self.tenants:
                return
            if self.dying == "first":
                raise Died
            for one in events:
                assert isinstance(one.event, Numbered)
                assert one.tenant_id == tx.tenant_id
                if one.event.number in self.poison:
                    raise ValueError("poison")
                await bus.append(tx, Handled(number=one.event.number, by=name))
            if self.dying == "last":
                raise Died

        bus = self.make_bus([Consumer(f"{self.prefix}.{name}", (Numbered,), handle, batch=self.batch)])
        return bus

    # Appenders.

    @precondition(lambda self: len(self.open) < 3)
    @rule(tenant=st.integers(0, 1), count=st.integers(1, 3), noise=st.booleans())
    def somebody_begins(self, tenant: int, count: int, noise: bool) -> None:
        stack = AsyncExitStack()
        bus = self.processes["a"][0]
        tx = self.world.run(stack.enter_async_context(bus.transaction(self.tenants[tenant])))
        self.begun += 1
        self.open.append(Open(self.begun, self.tenants[tenant], stack, tx))
        self.somebody_appends(len(self.open) - 1, count, noise)

    @precondition(lambda self: self.open)
    @rule(place=PLACES, count=st.integers(1, 3), noise=st.booleans())
    def somebody_appends(self, place: int, count: int, noise: bool) -> None:
        appender = self.open[place % len(self.open)]
        new = list(range(self.last + 1, self.last + 1 + count))
        self.last += count
        extra = [Ignored()] if noise else []
        events = (*extra, *(Numbered(number=number) for number in new), *extra)
        self.world.run(self.processes["a"][0].append(appender.tx, *events))
        self._appended(appender, new)

    def _appended(self, appender: Open, numbers: list[int]) -> None:
        appender.numbers += numbers
        self.whose.update(dict.fromkeys(numbers, appender.tenant))

    @precondition(lambda self: self.open)
    @rule(place=PLACES)
    def somebody_commits(self, place: int) -> None:
        appender = self.open.pop(place % len(self.open))
        self.world.run(appender.stack.aclose())
        self.committed.append((appender.place, appender.numbers))

    @precondition(lambda self: self.open)
    @rule(place=PLACES)
    def somebody_rolls_back(self, place: int) -> None:
        appender, error = self.open.pop(place % len(self.open)), Undone()

        async def undo() -> None:
            with suppress(Undone):
                await appender.stack.__aexit__(Undone, error, None)

        self.world.run(undo())

    # Consumers.

    @property
    def pending(self) -> bool:
        """Whether a consumer has not come to the end of what is committed."""
        return self.passed < 2 * sum(len(numbers) for _, numbers in self.committed)

    @precondition(lambda self: self.pending)
    @rule(name=NAMES, which=st.integers(0, 1))
    def one_works(self, name: str, which: int) -> None:
        self.world.run(self.processes[name][which].drain(wait=False))

    @precondition(lambda self: self.pending)
    @rule(name=NAMES)
    def two_work_at_once(self, name: str) -> None:
        async def both() -> None:
            await asyncio.gather(*(bus.drain(wait=False) for bus in self.processes[name]))

        self.world.run(both())

    @precondition(lambda self: self.pending)
    @rule(name=NAMES, which=st.integers(0, 1), when=st.sampled_from(["first", "last"]))
    def one_dies(self, name: str, which: int, when: str) -> None:
        """Before it has done anything, or when all is done but not committed; another process takes its place."""
        self.dying = when
        try:
            self.world.run(self.processes[name][which].drain(wait=False))
        except Died:
            self.deaths += 1
            self.processes[name][which] = self.process(name)
        self.dying = None

    @precondition(lambda self: not self.poison)
    @rule(ahead=st.integers(1, 3))
    def an_event_will_be_poison(self, ahead: int) -> None:
        self.poison.add(self.last + ahead)
        self.ever_poison.add(self.last + ahead)

    @precondition(lambda self: self.poison)
    @rule()
    def the_fault_is_mended(self) -> None:
        self.poison.clear()

    @precondition(lambda self: self.letters["a"] or self.letters["b"])
    @rule(place=PLACES)
    def a_dead_letter_is_replayed(self, place: int) -> None:
        letters = [*self.letters["a"], *self.letters["b"]]
        letter = letters[place % len(letters)]
        expected = self._outcome(letter)

        async def replay() -> None:
            bus = self.processes[letter.consumer.removeprefix(f"{self.prefix}.")][0]
            async with bus.transaction(letter.tenant_id) as tx:
                await bus.replay(tx, letter.id)

        if expected is None:
            self.world.run(replay())
        else:
            with pytest.raises(expected):
                self.world.run(replay())

    def _outcome(self, letter: DeadLetter) -> type[Exception] | None:
        if letter.replayed_at is not None:
            return AlreadyReplayed
        return ReplayFailed if letter.payload["number"] in self.poison else None

    # What holds after every step.

    async def _look(self) -> None:
        """The committed effects of each consumer in their order, and its dead letters."""
        found: dict[str, list[tuple[int, int, int]]] = {"a": [], "b": []}
        self.letters: dict[str, list[DeadLetter]] = {"a": [], "b": []}
        bus = self.processes["a"][0]
        for tenant in self.tenants:
            async with bus.transaction(tenant) as tx:
                page = await bus.history(tx, PageRequest(limit=200), kind=Handled.type)
                letters = await bus.dead_letters(tx, PageRequest(limit=200))
            assert page.next_cursor is None
            for one in page.items:
                assert isinstance(one.event, Handled)
                found[one.event.by].append((one.xid, one.position, one.event.number))
            for letter in letters.items:
                self.letters[letter.consumer.removeprefix(f"{self.prefix}.")].append(letter)
        self.effects = {name: [number for *_, number in sorted(every)] for name, every in found.items()}

    @invariant()
    def every_event_in_order_and_none_twice(self) -> None:
        order = [number for _, numbers in sorted(self.committed) for number in numbers]
        self.passed = 0
        self.world.run(self._look())
        for name, effects in self.effects.items():
            letters = self.letters[name]
            dead = {letter.payload["number"]: letter for letter in letters}
            assert len(dead) == len(letters)
            assert len(effects) == len(set(effects)), "its effects stand once"
            waiting = {number for number, letter in dead.items() if letter.replayed_at is None}
            assert waiting.isdisjoint(effects)
            assert dead.keys() - waiting <= set(effects), "what was replayed went through"
            assert self.deaths >= RETRIES.attempts or dead.keys() <= self.ever_poison, "given up without need"
            passed = set(effects) | waiting
            assert passed == set(order[: len(passed)]), "one was skipped, or read before its time"
            self.passed += len(passed)
            for tenant in self.tenants:  # only within a tenant is there an order
                at_first = [one for one in effects if one not in dead and self.whose[one] == tenant]
                assert at_first == [one for one in order if one in at_first]

    def teardown(self) -> None:
        """When all have ended, both consumers come to the end."""
        for appender in list(getattr(self, "open", ())):
            self.world.run(appender.stack.aclose())
            self.committed.append((appender.place, appender.numbers))
            self.open.remove(appender)
        if sys.exc_info()[0] is not None:
            return
        self.poison.clear()
        for buses in self.processes.values():
            self.world.run(buses[1].drain())
        self.every_event_in_order_and_none_twice()
        assert self.passed == 2 * sum(len(numbers) for _, numbers in self.committed)


class MemoryCursors(CursorMachine):
    def make_bus(self, consumers: Sequence[Consumer]) -> EventBus:
        return MemoryBus(self.world.resources, consumers, store=self.store, retries=RETRIES)


class PostgresCursors(CursorMachine):
    """With retention, which the bus in memory does not have."""

    @precondition(lambda self: self.open)
    @rule(place=PLACES)
    def somebody_appends_what_is_old(self, place: int) -> None:
        appender = self.open[place % len(self.open)]
        self.last += 1
        work = appender.tx.execute(
            "INSERT INTO events.event (tenant_id, type, payload, occurred_at) "
            "VALUES (:tenant, :type, jsonb_build_object('number', CAST(:number AS int)), now() - interval '40 days')",
            {"tenant": appender.tenant, "type": Numbered.type, "number": self.last},
        )
        self.world.run(work)
        self._appended(appender, [self.last])
        self.old = True

    @precondition(lambda self: self.old)
    @rule()
    def old_events_are_dropped(self) -> None:
        self.world.run(maintenance.drop_partitions(self.world.database, days=1))
        self.old = False


@pytest.fixture(autouse=True)
def machine(world: World) -> type[CursorMachine]:
    CursorMachine.world = world
    return CursorMachine


def test_cursors_in_postgres() -> None:
    check(PostgresCursors, examples=12, steps=25)


def test_cursors_in_memory() -> None:
    check(MemoryCursors, examples=100, steps=25)


def test_the_machine_notices_a_sequence_taken_for_commit_order() -> None:
    with planted_text(repository, "_READ", " AND e.xid < $3", " AND $3::xid8 IS NOT NULL"):
        check_notices(PostgresCursors, steps=25)


def test_the_machine_notices_a_cursor_that_moves_past_the_horizon() -> None:
    with planted_text(repository, "_LOCK", "pg_snapshot_xmin(", "pg_snapshot_xmax("):
        check_notices(PostgresCursors, steps=25)


def test_the_machine_notices_a_dead_letter_that_takes_others_along() -> None:
    with planted(PostgresProgress.bury, "(event.xid, event.position)", '(cursor["horizon"], 0)'):
        check_notices(PostgresCursors, steps=25)


def test_the_machine_notices_memory_without_a_horizon() -> None:
    with planted(MemoryStore.read, "row.xid < self.horizon", "row.xid < self._next_xid"):
        check_notices(MemoryCursors, steps=25)
