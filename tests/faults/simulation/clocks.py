"""Virtual clocks, and everything random made a function of the seed, for as long as a history runs."""

import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

from carillon.kernel import ids
from carillon.kernel.clock import SystemClock

from .loop import PROCESS, SimLoop

EPOCH = datetime(2040, 6, 4, 12, 0, 54, tzinfo=UTC)
"""When histories begin: later than any partition of the event store that the real date made, and a little before a
full minute, at which quiet hours may begin or end."""


class VirtualClock:
    """The port `Clock` of one simulated process: its wall clock may be wrong, the others may not."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        process = PROCESS.get()
        return true_time(self._loop) + timedelta(seconds=process.wall_offset if process else 0.0)

    def boottime(self) -> float:
        return 1_000.0 + self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def true_time(loop: SimLoop) -> datetime:
    """The time of the world and of the database."""
    return EPOCH + timedelta(microseconds=int(loop.time() * 1e6))


def micros(loop: SimLoop) -> int:
    """The same as microseconds since 1970."""
    return int(EPOCH.timestamp()) * 1_000_000 + int(loop.time() * 1e6)


class _Seen(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


def _virtual_datetime(clock: VirtualClock) -> type:
    """`datetime` whose `now` is the running process's; what it makes are plain datetimes."""

    class Virtual(datetime, metaclass=_Seen):
        def __new__(cls, *parts: Any, **named: Any) -> Any:
            return datetime(*parts, **named)  # noqa: DTZ001 - as the caller says

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # a plain datetime
            return clock.now().astimezone(tz)

    return Virtual


def _asking_modules() -> list[ModuleType]:
    """Modules that ask `datetime.now()` directly instead of a clock they were given."""
    names = [name for name in sys.modules if name.startswith(("carillon.", "tests.fixtures.delivery"))]
    modules = [sys.modules[name] for name in names if getattr(sys.modules[name], "datetime", None) is datetime]
    return [module for module in modules if "datetime.now(" in _source(module)]


def _source(module: ModuleType) -> str:
    file = module.__file__
    assert file is not None
    with open(file, encoding="utf-8") as text:  # noqa: PTH123 - shorter
        return text.read()


_asking: list[ModuleType] = []


@contextmanager
def seeded(loop: SimLoop, seed: int) -> Iterator[VirtualClock]:
    """Until the end, the time, the ids and all chance are the history's."""
    clock, chance = VirtualClock(loop), random.Random(f"ids {seed}")
    if not _asking:
        _asking.extend(_asking_modules())
    virtual = _virtual_datetime(clock)

    def refill() -> None:
        variant: int = ids._VARIANT
        ids._tails.extend([chance.getrandbits(62) | variant for _ in range(64)])

    patches: list[Any] = [patch.object(module, "datetime", virtual) for module in _asking]
    patches += [
        patch.object(SystemClock, "now", lambda _: clock.now()),
        patch.object(ids, "_refill", refill),
        patch.object(ids, "time", SimpleNamespace(time_ns=lambda: micros(loop) * 1000)),
        patch.object(ids, "_last", 0),
        patch.object(ids, "_tails", []),
    ]
    state = random.getstate()
    random.seed(seed)
    for each in patches:
        each.start()
    try:
        yield clock
    finally:
        for each in reversed(patches):
            each.stop()
        random.setstate(state)
