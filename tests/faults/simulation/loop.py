"""Virtual time: an event loop that never waits, and processes in it that can be killed and frozen at any callback.

A process is everything that runs in a context which names it. Killed, none of its callbacks runs any more: no
`finally`, no `except`, as with SIGKILL. Frozen, they are kept and run when it is thawed, as with SIGSTOP.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from enum import Enum
from typing import Any
from uuid import UUID

PROCESS: ContextVar["Process | None"] = ContextVar("PROCESS", default=None)
"""The simulated process that the running callback belongs to; None for the world outside."""


class Life(Enum):
    """What a simulated process can do."""

    RUNNING = "running"
    FROZEN = "frozen"
    DEAD = "dead"


class Stuck(Exception):
    """Nothing is left that could ever happen."""


class Process:
    """One simulated operating-system process."""

    def __init__(self, loop: "SimLoop", name: str) -> None:
        self.loop = loop
        self.name = name
        self.life = Life.RUNNING
        self.wall_offset = 0.0
        self.may_freeze = False
        self.freezes = 0
        self.worker_id: UUID | None = None
        self.stop: asyncio.Event | None = None
        self.no_database = False
        self.no_platform = False
        self.links: list[Any] = []
        self._kept: list[_Gate] = []
        self._context = Context()
        self._context.run(PROCESS.set, self)

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Begin a task of this process; what it starts belongs to the process too."""
        return self.loop.create_task(work, context=self._context.copy())

    def call_later(self, seconds: float, act: Callable[..., object], *args: object) -> None:
        """Run a callback of this process later."""
        self.loop.call_later(seconds, act, *args, context=self._context.copy())

    def kill(self) -> None:
        """End it between two callbacks."""
        self.life = Life.DEAD
        self._kept.clear()

    def freeze(self) -> None:
        """Stop it between two callbacks."""
        if self.life is Life.RUNNING:
            self.life = Life.FROZEN
            self.freezes += 1

    def thaw(self) -> None:
        """Let it go on: what fell due meanwhile runs now, in order."""
        if self.life is Life.FROZEN:
            self.life = Life.RUNNING
            kept, self._kept = self._kept, []
            for gate in kept:
                self.loop.again(gate)

    def keep(self, gate: "_Gate") -> None:
        """Remember a callback that fell due while frozen."""
        self._kept.append(gate)


class _Gate:
    """A callback of a process, run only if the process can."""

    __slots__ = ("args", "callback", "context", "handle", "process")

    def __init__(self, process: Process, callback: Callable[..., object], args: tuple[Any, ...], context: Context):
        self.process = process
        self.callback = callback
        self.args = args
        self.context = context
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        life = self.process.life
        if life is Life.RUNNING:
            if self.handle is None or not self.handle.cancelled():
                self.callback(*self.args)
        elif life is Life.FROZEN:
            self.process.keep(self)


class _Nowhere(selectors.SelectSelector):
    """Instead of waiting it moves the clock."""

    def __init__(self, loop: "SimLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck
        self._loop.pass_time(timeout)
        return []


class SimLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._virtual = 0.0
        self.tasks: list[asyncio.Task[Any]] = []
        super().__init__(_Nowhere(self))
        self.set_task_factory(_remembering)

    def time(self) -> float:
        """Seconds since the history began."""
        return self._virtual

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        self._virtual += seconds

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override] # no *Ts in 3.11's stubs
        """Gate the callback by its process."""
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        context = copy_context() if context is None else context
        gate = _Gate(process, callback, args, context)
        gate.handle = super().call_soon(gate, context=context)
        return gate.handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:  # type: ignore[override] # see call_soon
        """Gate the callback by its process."""
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        context = copy_context() if context is None else context
        gate = _Gate(process, callback, args, context)
        handle = super().call_at(when, gate, context=context)
        gate.handle = handle
        return handle

    def again(self, gate: _Gate) -> None:
        """Run a kept callback soon, in the context it belongs to."""
        super().call_soon(gate, context=gate.context)


def _remembering(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
    """Hold every task until the history ends: one of a killed process must not be tidied up by the collector."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    assert isinstance(loop, SimLoop)
    loop.tasks.append(task)
    return task


def current() -> Process:
    """The process whose code runs."""
    process = PROCESS.get()
    assert process is not None
    return process
