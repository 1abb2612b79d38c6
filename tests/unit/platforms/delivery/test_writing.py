"""The tasks that write: how many there are, whom they give up on, and what a flood leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from carillon.kernel.clock import SystemClock
from carillon.kernel.ids import uuid7
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.errors import Flooded
from carillon.platforms.connectors.port import Accepted, Capabilities, Limits, Outbound, Rate
from carillon.platforms.delivery import wire, writing
from carillon.platforms.delivery.contracts import DIRECT_LANE, Lease, MessageKind, MessageState
from carillon.platforms.delivery.ledger import Ready
from carillon.platforms.delivery.line import WRITERS, Line
from carillon.platforms.delivery.pacing import Pacer
from carillon.platforms.delivery.repository import DueRow, Outcome
from carillon.platforms.delivery.writing import Writing

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Platform:
    """A session whose answers wait until they are let go, or come at once."""

    def __init__(self, *, prompt: bool) -> None:
        self.name = "platform"
        self.capabilities = Capabilities(deduplicates=False)
        self.open = asyncio.Event()
        if prompt:
            self.open.set()
        self.at_once = self.most_at_once = 0
        self.full = asyncio.Event()
        self.error: Exception | None = None

    async def send(self, message: Outbound) -> Accepted:
        if self.error is not None:
            raise self.error
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.at_once == WRITERS:
            self.full.set()
        if not self.open.is_set():
            await self.open.wait()
        self.at_once -= 1
        return Accepted(str(message.id), NOW)


class Stage:
    """The writing of one account, and what would be settled."""

    def __init__(self, platform: Platform) -> None:
        self.settled: list[Outcome] = []
        lease = Lease(uuid4(), uuid4(), 1)
        fast = Limits(account=Rate(1_000, 1, 1_000))
        self.line = Line(lease, cast("Any", None), None, cast("Any", platform), cast("Any", platform), fast)
        self.news = asyncio.Event()
        settler = SimpleNamespace(add=self.settle)
        resources = SimpleNamespace(clock=SystemClock(), database=SimpleNamespace(transaction=no_database))
        self.pacer = Pacer()
        self.writing = Writing(
            cast("Any", resources),
            uuid4(),
            self.pacer,
            cast("Any", settler),
            may_write=lambda _: True,
            answered=lambda: None,
        )

    def settle(self, _line: Line, _ready: Ready, outcome: Outcome) -> None:
        self.settled.append(outcome)
        self.news.set()

    def fill(self, count: int) -> None:
        lease, now = self.line.lease, SystemClock().boottime()
        for number in range(count):
            row = DueRow(
                lease.tenant_id,
                uuid7(),
                lease.account_id,
                uuid7(),
                DIRECT_LANE,
                "telegram",
                f"{number}",
                MessageKind.REPLY,
                None,
                "x",
                None,
            )
            self.line.busy.add(row.peer)
            self.line.outbox.append((Ready(row, "x", 1), now))

    async def until_settled(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.settled) < count:
                await self.news.wait()
                self.news.clear()


@asynccontextmanager
async def no_database(_tenant: object) -> AsyncIterator[None]:
    yield None


async def test_a_prompt_platform_needs_one_writer() -> None:
    platform = Platform(prompt=True)
    stage = Stage(platform)
    stage.fill(200)
    stage.writing.start_writer(stage.line)
    await stage.until_settled(200)
    assert platform.most_at_once == 1
    await stage.writing.finish(1.0)
    assert stage.line.writers == 0
    assert not stage.line.busy


async def test_a_slow_platform_gets_as_many_as_it_may_and_no_more() -> None:
    platform = Platform(prompt=False)
    stage = Stage(platform)
    stage.fill(WRITERS + 20)
    stage.writing.start_writer(stage.line)
    async with asyncio.timeout(10):
        await platform.full.wait()
    assert len(stage.line.outbox) == 20
    platform.open.set()
    await stage.until_settled(WRITERS + 20)
    assert platform.most_at_once == WRITERS


async def test_an_answer_that_does_not_come_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 0.02)
    monkeypatch.setattr(writing, "_LOOK_EVERY", 0.01)
    stage = Stage(Platform(prompt=False))
    stage.fill(3)
    looking = asyncio.create_task(stage.writing.run())
    stage.writing.start_writer(stage.line)
    await stage.until_settled(3)
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking
    assert {outcome.state for outcome in stage.settled} == {MessageState.UNKNOWN}


async def test_a_flood_puts_back_what_was_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async def change_state(*_: object, wait: float) -> None:
        assert wait == 60.0

    monkeypatch.setattr(accounts, "change_state", change_state)
    platform = Platform(prompt=True)
    platform.error = Flooded(retry_after=60.0)
    stage = Stage(platform)
    stage.fill(10)
    stage.writing.start_writer(stage.line)
    await stage.until_settled(10)
    assert {outcome.state for outcome in stage.settled} == {MessageState.QUEUED}
    assert not stage.line.outbox
    assert not stage.line.busy
    room, wait = stage.pacer.room(stage.line.lease.account_id, None, stage.line.limits, SystemClock().boottime())
    assert room == 0
    assert wait > 50
