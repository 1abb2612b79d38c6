"""The real database under the simulated wire: statements run one at a time, to their end, while virtual time stands.

It has an event loop of its own, which runs only inside a call from the simulation's. So no answer of PostgreSQL can
come "in between": what happens between two events of a history depends on the seed alone. Only a statement that waits
for another transaction's lock is left open, and looked at again whenever a transaction has ended.
"""

import asyncio
from asyncio import events
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVar

import asyncpg

from carillon.storage.database import Database
from tests.fixtures.database import Urls

T = TypeVar("T")

_GLANCE = 0.008
"""Real seconds after which we ask whether a statement waits for a lock."""

_LINKS = 60

TICK = 10_000
"""Microseconds by which the database's clock may be late: to set it costs a round trip."""


class Wire:
    """Connections to the simulation's database, and the database's clock."""

    def __init__(self, urls: Urls) -> None:
        self._loop = asyncio.new_event_loop()
        self._context = Context()
        self.database = Database(urls.worker, pool_size=_LINKS, name="simulation")
        self.owner: asyncpg.Connection[asyncpg.Record] = self.run(self._side(urls.owner))
        self._clock = -1

    async def _side(self, url: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(url)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something that waits for no lock, to its end."""
        task = self.start(work)
        self._drive(task)
        return task.result()

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Begin something; `settle` drives it."""
        return self._context.run(self._loop.create_task, work, context=self._context.copy())

    def settle(self, task: "asyncio.Task[Any]", backend: int | None) -> bool:
        """Drive it until it is done (True), or its backend waits for a lock that another transaction holds (False)."""
        if backend is None:
            self._drive(task)
            return True
        while not self._drive(task, _GLANCE):
            if self.waits(backend):
                return False
        return True

    def waits(self, backend: int) -> bool:
        """Whether the backend waits for a lock right now."""
        return bool(self.run(self.owner.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", backend)))

    def set_clock(self, micros: int) -> None:
        """Let the database's clock show so many microseconds since 1970, to within `TICK`."""
        if not 0 <= micros - self._clock < TICK:
            self._clock = micros
            self.run(self.owner.fetchval("SELECT setval('sim.clock', $1)", micros))

    def rows(self, statement: str, *values: Any) -> Sequence[asyncpg.Record]:
        """What the database holds, past row-level security."""
        return self.run(self.owner.fetch(statement, *values))

    def close(self) -> None:
        """Close every connection."""
        self.run(self.owner.close())
        self.run(self.database.close())
        self._loop.close()

    def _drive(self, task: "asyncio.Task[Any]", seconds: float | None = None) -> bool:
        # The loop may also stop for a task driven before that ended just as its time was up.
        while not task.done():
            task.add_done_callback(self._stop)
            timer = None if seconds is None else self._loop.call_later(seconds, self._loop.stop)
            with _outside():
                self._loop.run_forever()
            task.remove_done_callback(self._stop)
            if timer is not None:
                timer.cancel()
                break
        return task.done()

    def _stop(self, _: "asyncio.Task[Any]") -> None:
        self._loop.stop()


@contextmanager
def _outside() -> Iterator[None]:
    """One loop may run inside a callback of another if that one is put out of sight."""
    outer = events._get_running_loop()
    events._set_running_loop(None)
    try:
        yield
    finally:
        events._set_running_loop(outer)
