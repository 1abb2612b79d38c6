"""Whatever transactions do, a consumer gets each committed event once, in the same order as every other consumer."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from carillon.events.adapters.memory import MemoryBus, MemoryStore
from carillon.events.catalog.base import Event
from carillon.events.consumer import Consumer, Recorded
from carillon.events.port import EventBus, Retries
from carillon.kernel.ids import uuid7
from carillon.storage.database import Tx
from carillon.storage.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered(Event):
    type: ClassVar[str] = "cursors_test.numbered"
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored(Event):
    type: ClassVar[str] = "cursors_test.ignored"


class Undone(Exception):
    """Rolls a transaction back."""


class Cursors(RuleBasedStateMachine):
    """Interleaved transactions, two consumers, each served by two buses, failing at times."""

    transactions = Bundle("transactions")

    def make_bus(self, consumers: Sequence[Consumer]) -> EventBus:
        return MemoryBus(cast(Resources, None), consumers, store=self.store, retries=Retries(first=0.0))

    def call(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(batch=st.integers(1, 4))
    def start(self, batch: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = MemoryStore()
        self.tenants = [uuid7(), uuid7()]
        self.expected: set[int] = set()
        self.open: dict[int, tuple[AsyncExitStack, Tx, list[int]]] = {}
        self.seen: dict[str, list[int]] = {"a": [], "b": []}
        self.failing = 0
        self.next = 0
        self.prefix = uuid7().hex
        self.buses = {name: [self.make_bus([self.consumer(name, batch)]) for _ in range(2)] for name in ("a", "b")}

    def consumer(self, name: str, batch: int) -> Consumer:
        async def handle(_: Resources, tx: Tx, events: Sequence[Recorded]) -> None:
            if self.failing:
                self.failing -= 1
                raise ValueError("for now")
            numbers = [event.event.number for event in events if isinstance(event.event, Numbered)]
            assert all(event.tenant_id == tx.tenant_id for event in events)
            if tx.tenant_id in self.tenants:
                self.seen[name].extend(numbers)

        return Consumer(f"{self.prefix}.{name}", (Numbered,), handle, batch=batch)

    @rule(target=transactions, tenant=st.integers(0, 1), count=st.integers(1, 3), noise=st.booleans())
    def begin(self, tenant: int, count: int, noise: bool) -> int:
        stack = AsyncExitStack()
        tx = self.call(stack.enter_async_context(self.buses["a"][0].transaction(self.tenants[tenant])))
        self.next += 1
        transaction = self.next
        self.open[transaction] = (stack, tx, [])
        self.append(transaction, count, noise)
        return transaction

    @rule(transaction=transactions, count=st.integers(1, 3), noise=st.booleans())
    def append_more(self, transaction: int, count: int, noise: bool) -> None:
        if transaction in self.open:
            self.append(transaction, count, noise)

    def append(self, transaction: int, count: int, noise: bool) -> None:
        _, tx, numbers = self.open[transaction]
        new = list(range(self.next + 1, self.next + 1 + count))
        self.next += count
        extra = [Ignored()] if noise else []
        self.call(self.buses["a"][0].append(tx, *extra, *(Numbered(number=number) for number in new), *extra))
        numbers.extend(new)

    @rule(transaction=consumes(transactions))
    def commit(self, transaction: int) -> None:
        stack, _, numbers = self.open.pop(transaction)
        self.call(stack.aclose())
        self.expected.update(numbers)

    @rule(transaction=consumes(transactions))
    def roll_back(self, transaction: int) -> None:
        stack, _, _ = self.open.pop(transaction)
        error = Undone()

        async def undo() -> None:
            with suppress(Undone):
                await stack.__aexit__(Undone, error, None)

        self.call(undo())

    @rule(name=st.sampled_from(["a", "b"]), which=st.integers(0, 1), failing=st.sampled_from([0, 0, 0, 1, 2, 3]))
    def drain(self, name: str, which: int, failing: int) -> None:
        self.failing = failing
        self.call(self.buses[name][which].drain(wait=False))
        self.failing = 0

    @invariant()
    def nothing_twice_nothing_invented(self) -> None:
        for numbers in getattr(self, "seen", {}).values():
            assert len(numbers) == len(set(numbers))
            assert set(numbers) <= self.expected

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for transaction in list(self.open):
            self.commit(transaction)
        for buses in self.buses.values():
            self.call(buses[0].drain())
        assert set(self.seen["a"]) == self.expected
        for tenant_numbers in self.by_tenant("a"):
            assert tenant_numbers in self.by_tenant("b")
        self.close()
        self.loop.close()

    def by_tenant(self, name: str) -> list[list[int]]:
        """What one consumer saw of each tenant: only within a tenant is there an order."""
        whose = {row.payload["number"]: row.tenant_id for row in self.rows() if row.type == Numbered.type}
        return [[n for n in self.seen[name] if whose[n] == tenant] for tenant in self.tenants]

    def rows(self) -> Sequence[Any]:
        return self.store.rows

    def close(self) -> None:
        """Nothing is open in memory."""


TestCursors = Cursors.TestCase
TestCursors.settings = hypothesis_settings(max_examples=150, stateful_step_count=30, deadline=None)
