"""The world of one history: the processes, the wire, the platform, and what may befall them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from carillon.kernel.waiting import first_of
from carillon.ops.settings import Settings
from carillon.platforms.connectors.port import Connector
from carillon.platforms.delivery.contracts import Plan
from carillon.storage.blobs import Blobs
from carillon.storage.resources import Resources
from tests.fixtures.database import VAULT

from .clocks import VirtualClock, micros, true_time
from .connector import SimConnector
from .database import SimDatabase
from .links import Link, Op
from .loop import Life, Process, SimLoop, current
from .nemesis import Nemesis
from .oracle import Oracle
from .platform import Pending, Platform, PlatformAccount
from .rules import draw_rules
from .wire import Wire


@dataclass(frozen=True)
class Person:
    """Somebody who can be written to, and may answer."""

    contact: UUID
    platform: str
    peer: str


@dataclass(eq=False)
class Lane:
    """A campaign.

    Attributes:
        closed: It was cancelled.
        steps: One step of its life at a time, as the campaign's row is locked for each.
    """

    plan: Plan
    closed: bool = False
    steps: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def id(self) -> UUID:
        """The campaign's."""
        return self.plan.campaign_id


@dataclass(frozen=True)
class Happening:
    """A line of the history."""

    at: float
    process: str
    text: str
    values: tuple[object, ...]

    def __str__(self) -> str:
        return f"{self.at:10.4f}  {self.process:<10} {self.text.format(*self.values)}"


class World:
    """See the module."""

    def __init__(
        self, seed: int, loop: SimLoop, wire: Wire, settings: Settings, clock: VirtualClock, focus: Sequence[str] = ()
    ) -> None:
        self.seed = seed
        self.loop = loop
        self.wire = wire
        self.clock = clock
        self.draw = Random(f"world {seed}")
        self.nemesis = Nemesis(seed, focus)
        self.history: list[Happening] = []
        self.rules = draw_rules(seed)
        self.oracle = Oracle(self)
        self.platform = Platform(self)
        self.connectors: dict[str, Connector] = {
            "keeping": SimConnector(self, "keeping", deduplicates=True),
            "forgetting": SimConnector(self, "forgetting", deduplicates=False),
        }
        self.processes: list[Process] = []
        self.links: list[Link] = []
        self.waiting: dict[Op, Link] = {}
        self.database_down = False
        self.database_offset = 0.0
        self.offsets: list[tuple[float, float]] = []
        self.listeners: list[tuple[Process, str, Callable[[str], None]]] = []
        self.tenant = UUID(int=0)
        self.people: list[Person] = []
        self.lanes: dict[UUID, Lane] = {}
        self.messages = 0
        self.workers: dict[int, Process] = {}
        self.api: Process | None = None
        self.jobs: Process | None = None
        self.errors: list[BaseException] = []
        self._settings = settings
        self._outside = Context()

    # Time

    def micros(self) -> int:
        """Microseconds since 1970 by the true clock."""
        return micros(self.loop)

    def database_micros(self) -> int:
        """The same by the database's clock."""
        return self.micros() + int(self.database_offset * 1e6)

    def true_time(self) -> datetime:
        """The true time."""
        return true_time(self.loop)

    def later(self, seconds: float, act: Callable[..., object], *args: object) -> None:
        """Something happens outside every process."""
        self.loop.call_later(seconds, act, *args, context=self._outside.copy())

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Begin something outside every process."""
        task = self.loop.create_task(work, context=self._outside.copy())
        task.add_done_callback(self._outside_ended)
        return task

    def _outside_ended(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.errors.append(error)

    def failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback raised: a fault of the simulation, unless it only tells of an answer nobody waits for any more."""
        if "never retrieved" not in str(context.get("message")):
            self.errors.append(context.get("exception") or RuntimeError(str(context)))

    def note(self, process: Process | None, text: str, *values: object) -> None:
        """Write a line of the history."""
        self.history.append(Happening(self.loop.time(), process.name if process else "-", text, values))

    # Processes

    def process(self, name: str, *, may_freeze: bool = False) -> Process:
        """A new process."""
        process = Process(self.loop, name)
        process.may_freeze = may_freeze
        self.processes.append(process)
        return process

    def resources(self, process: Process) -> Resources:
        """What the process holds."""
        database = SimDatabase(self, process)
        return Resources(self._settings, database, VAULT, Blobs(self._settings.data / "blobs"), self.clock)

    def strike(self, process: Process, what: str, where: str) -> None:
        """A fault befalls a process at this very point."""
        if process.life is not Life.RUNNING:
            return
        if what == "crash":
            self.crash(process, where)
        elif what == "jump":
            self.jump(process, where)
        else:
            self.freeze(process, self.nemesis.draw.choice((0.4, 2.0, 10.0, 50.0, 70.0, 120.0)), where)

    def crash(self, process: Process, where: str) -> None:
        """SIGKILL."""
        if process.life is Life.DEAD:
            return
        self.note(process, "KILLED {}", where)
        self.bury(process)

    def bury(self, process: Process) -> None:
        """What becomes of a process that is gone."""
        process.kill()
        for link in list(process.links):
            link.orphan()
        self.platform.gone(process)
        self.listeners = [each for each in self.listeners if each[0] is not process]

    def freeze(self, process: Process, seconds: float, where: str) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        if process.life is not Life.RUNNING:
            return
        self.note(process, "FROZEN for {} s {}", seconds, where)
        process.freeze()
        self.later(seconds, self.thaw, process)

    def thaw(self, process: Process) -> None:
        """SIGCONT."""
        if process.life is Life.FROZEN:
            self.note(process, "goes on")
            process.thaw(self.nemesis.draw.choice((0.0, 0.002, 0.05)))

    def jump(self, process: Process, where: str) -> None:
        """The process's wall clock is wrong from now on."""
        process.wall_offset = self.nemesis.draw.choice((-7200.0, -30.0, 0.0, 30.0, 7200.0))
        self.note(process, "its wall clock is off by {} s {}", process.wall_offset, where)

    def partition(self, process: Process, what: str, seconds: float) -> None:
        """Cut a process off, from the database or the platform."""
        self.note(process, "{} for {} s", what, seconds)
        setattr(process, what, True)
        self.later(seconds, setattr, process, what, False)

    def race(self) -> None:
        """Some people opt out now, or a campaign pauses."""
        from .operators import opt_out, pause

        if self.nemesis.chance(0.3):
            self.start(pause(self, self.nemesis.draw.choice(list(self.lanes.values())), 1.0))
        for person in self.nemesis.draw.sample(self.people, k=2):
            self.start(opt_out(self, person.contact))

    # The database's side

    def restart_database(self, seconds: float) -> None:
        """All connections break; for a while there are no new ones."""
        self.note(None, "the database is down for {} s", seconds)
        self.database_down = True
        for link in list(self.links):
            link.sever(0.0)
        self.later(seconds, setattr, self, "database_down", False)

    def jump_database(self, seconds: float) -> None:
        """The database's clock is off by so much from now on."""
        if seconds != self.database_offset:
            self.note(None, "the database's clock is off by {} s", seconds)
            self.offsets.append((self.loop.time(), self.database_offset))
            self.database_offset = seconds

    def database_times(self, seconds: float) -> list[datetime]:
        """What the database's clock showed in the last seconds: at their ends and around its jumps."""
        since = self.loop.time() - seconds
        offsets = {self.database_offset, *(offset for until, offset in self.offsets if until >= since)}
        true = self.true_time()
        return [true + timedelta(seconds=offset - ago) for offset in sorted(offsets) for ago in (seconds, 0.0)]

    def ended(self, link: Link, *, committed: bool) -> None:
        """A transaction ended: who waited for its locks goes on, who listens hears of it."""
        if committed:
            self.oracle.committed(link)
            for channel in sorted(link.channels):
                self._notify(channel)
        for op, waiter in list(self.waiting.items()):
            assert waiter.backend is not None
            if op in self.waiting and not self.wire.waits(waiter.backend):
                waiter.go_on(op)

    def _notify(self, channel: str) -> None:
        for process, name, heard in self.listeners:
            if name == channel and not process.no_database and not self.nemesis.hits("notification_lost", 0.3):
                process.call_later(self.nemesis.draw.uniform(0.0005, 0.01), heard, "")

    async def listen(self, _url: str, channel: str, heard: Callable[[str], None]) -> None:
        """In place of `carillon.storage.listening.listen`."""
        self.listeners.append((current(), channel, heard))
        heard("")
        await asyncio.Event().wait()

    async def first_of(self, *awaitables: Awaitable[object], seconds: float | None = None) -> None:
        """In place of `carillon.kernel.waiting.first_of`: a slow machine looks less often when nothing wakes it."""
        await first_of(*awaitables, seconds=None if seconds is None else seconds * self.nemesis.idle_factor)

    # The platform's side

    def post(self, account: PlatformAccount, pending: Pending) -> None:
        """The platform calls us."""
        from .actors import post

        self.start(post(self, account, pending))
        if self.nemesis.hits("update_repeated", 0.2):
            self.start(post(self, account, pending, again=True))
