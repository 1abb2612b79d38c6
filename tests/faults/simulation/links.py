"""One connection to the database over a wire that fails.

Each call (begin, statement, commit) travels to the server, is run there by the real code on the real PostgreSQL, and
its answer travels back. On the way the connection may break before it arrives (nothing happened), or after it was
run (it happened, and the caller does not know).
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError

from carillon.storage.database import Tx, _translated
from carillon.storage.errors import DatabaseUnreachable

from .loop import Life, Process

if TYPE_CHECKING:
    from .world import World

_NOTIFY = re.compile(r"NOTIFY (\w+)")
_OPT_OUT = "SET opted_out_at"
SETTLE, MARK_SENDING, SETTLE_SENT = "repository.settle", "repository.mark_sending", "repository.settle_sent"
"""The product's functions that this simulation knows by name; a rename makes `test_mutations` fail."""


@dataclass
class Fate:
    """What becomes of one call.

    Attributes:
        there: Virtual seconds until it arrives.
        back: Seconds until its answer does.
        lost: The connection breaks `before` it arrives or `after` it was run; None if it holds.
        strike: What befalls the calling process, `before` or `after`; None if nothing does.
        linger: Seconds until the server notices the break and rolls back.
        race: Somebody opts out at this very moment.
    """

    there: float
    back: float
    lost: str | None = None
    strike: tuple[str, str] | None = None
    linger: float = 0.0
    race: bool = False


@dataclass(eq=False)
class Op:
    """A call under way."""

    kind: str
    label: str
    work: Callable[[], Coroutine[Any, Any, Any]]
    fate: Fate
    answer: "asyncio.Future[Any]"
    task: "asyncio.Task[Any] | None" = None
    withdrawn: bool = False


@dataclass(eq=False)
class Link:
    """One transaction's connection.

    Attributes:
        over: Ended on the server: committed or rolled back.
        broken: The client has lost it.
    """

    world: "World"
    process: Process
    scope: AbstractAsyncContextManager[Tx]
    backend: int | None = None
    over: bool = True
    broken: bool = False
    op: Op | None = None
    last: str = "nothing"
    settled: list[tuple[UUID, UUID]] = field(default_factory=list)
    channels: set[str] = field(default_factory=set)
    opted_out: list[tuple[UUID, bool]] = field(default_factory=list)
    marked: list[UUID] = field(default_factory=list)

    async def begin(self) -> Tx:
        """Connect and begin."""

        async def work() -> Tx:
            tx = await self.scope.__aenter__()
            self.over = False
            self.backend = (await tx.driver()).get_server_pid()
            return tx

        try:
            tx: Tx = await self.call("begin", "begin", work)
        except asyncpg.ConnectionDoesNotExistError as error:
            raise DatabaseUnreachable from error
        return tx

    async def call(self, kind: str, label: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """One round trip."""
        if self.broken:
            raise lost(kind)
        world = self.world
        if kind != "commit" and self.last != SETTLE_SENT:  # its events are only what belongs to it
            self.last = label
        fate = world.nemesis.database(self.process, kind, label)
        if fate.race:
            world.race()
        op = self.op = Op(kind, label, work, fate, world.loop.create_future())
        if fate.strike and fate.strike[0] == "before":
            world.strike(self.process, fate.strike[1], f"before {label}")
        world.later(fate.there, self._arrive, op)
        try:
            return await op.answer
        except asyncio.CancelledError:
            self._withdraw(op)
            raise
        finally:
            self.op = None

    async def commit(self) -> None:
        """Commit; that it failed does not say that nothing was committed."""
        try:
            await self.call("commit", f"commit after {self.last}", lambda: self.scope.__aexit__(None, None, None))
        except asyncpg.ConnectionDoesNotExistError as error:
            raise DatabaseUnreachable from error
        except asyncio.CancelledError:
            self.roll_back()
            raise

    def abort(self, error: BaseException) -> BaseException:
        """The body raised: roll back; returns what the caller sees."""
        if self.broken or self.over:
            return (_translated(error) if isinstance(error, Exception) else None) or error
        seen = self.world.wire.run(self._leave(error))
        self._ended(committed=False)
        return seen or error

    async def _leave(self, error: BaseException) -> BaseException | None:
        try:
            await self.scope.__aexit__(type(error), error, error.__traceback__)
        except BaseException as seen:  # noqa: BLE001 - handed to the caller
            return seen
        return None

    def _arrive(self, op: Op) -> None:
        """At the server."""
        fate = op.fate
        if op.withdrawn:
            return
        if self.process.life is Life.DEAD and self.op is not op:
            return
        if self.broken or fate.lost == "before" or self.process.no_database or self.world.database_down:
            self.world.note(self.process, "database lost before {}", op.label)
            self.sever(fate.linger)
            self._refuse(op)
            return
        self.world.wire.set_clock(self.world.database_micros())
        op.task = self.world.wire.start(op.work())
        self.go_on(op)

    def go_on(self, op: Op) -> None:
        """Let the server work on it until it is done or waits for a lock."""
        world = self.world
        assert op.task is not None
        alone = not any(link is not self for link in world.links)
        if not world.wire.settle(op.task, None if alone else self.backend):
            if op not in world.waiting:
                world.waiting[op] = self
                world.note(self.process, "waits for a lock: {}", op.label)
            return
        world.waiting.pop(op, None)
        self._done(op)

    def _done(self, op: Op) -> None:
        world, fate, task = self.world, op.fate, op.task
        assert task is not None
        failed = task.cancelled() or task.exception() is not None
        if op.kind == "begin" and not failed:
            world.links.append(self)
        if op.kind == "commit":
            self._ended(committed=not failed)
        if fate.strike and fate.strike[0] == "after":
            world.strike(self.process, fate.strike[1], f"after {op.label}")
        if self.process.life is Life.DEAD:
            self.roll_back()
        elif fate.lost == "after" or world.database_down:
            world.note(self.process, "database lost after {}", op.label)
            self.sever(fate.linger)
            self._refuse(op)
        else:
            world.later(fate.back, _deliver, op)

    def _refuse(self, op: Op) -> None:
        self.world.later(op.fate.back, _fail, op.answer, lost(op.kind))

    def _withdraw(self, op: Op) -> None:
        """The caller does not wait any longer."""
        op.withdrawn = True
        self.world.waiting.pop(op, None)
        if op.task is not None and not op.task.done():
            op.task.cancel()
            self.world.wire.settle(op.task, None)

    def sever(self, linger: float) -> None:
        """Break it: the client knows, the server notices after a while and rolls back."""
        self.broken = True
        if linger > 0:
            self.world.later(linger, self.roll_back)
        else:
            self.roll_back()

    def roll_back(self) -> None:
        """The server ends the transaction; a statement that waits for a lock is given up first."""
        op = self.op
        if op is not None:
            self._withdraw(op)
            self._refuse(op)
        if self.over:
            return
        self.broken = True
        self.world.wire.run(self._leave(ConnectionResetError("simulated")))
        self._ended(committed=False)

    def orphan(self) -> None:
        """The process is gone: what it sent arrives or does not, then the server rolls back."""
        op = self.op
        arrived = op is not None and op.task is not None
        if op is None or (op.task is not None and op.task.done()) or (not arrived and self.world.nemesis.chance(0.5)):
            self.roll_back()

    def _ended(self, *, committed: bool) -> None:
        self.over = True
        if self in self.world.links:
            self.world.links.remove(self)
        if self in self.process.links:
            self.process.links.remove(self)
        self.world.ended(self, committed=committed)

    def read(self, text: str, values: tuple[Any, ...]) -> None:
        """Note what matters outside: who is to be told, who opted out or in again."""
        found = _NOTIFY.search(text)
        if found:
            self.channels.add(found[1])
        if _OPT_OUT in text:
            self.opted_out.extend((contact, values[2] is not None) for contact in values[1])


def _deliver(op: Op) -> None:
    if op.answer.done():
        return
    assert op.task is not None
    error = op.task.exception()
    if error is not None:
        op.answer.set_exception(error)
    else:
        op.answer.set_result(op.task.result())


def _fail(answer: "asyncio.Future[Any]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def lost(kind: str) -> Exception:
    """A lost connection as the layer would tell it."""
    error = asyncpg.ConnectionDoesNotExistError("simulated: the connection broke")
    return DBAPIError("simulated", None, error, connection_invalidated=True) if kind == "alchemy" else error
