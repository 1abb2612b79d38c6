"""Where a state machine runs: one event loop, one pool and one superuser's connection for all of its examples."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from carillon.storage.database import Database, Tx
from carillon.storage.resources import Resources
from tests.fixtures.database import leave_nothing_running, make_tenant
from tests.fixtures.delivery import quiet_off

T = TypeVar("T")

_BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1 AND cardinality(pg_blocking_pids(pid)) > 0
"""


class _RolledBack(Exception):
    """Instead of a commit."""


class World:
    """A database with an event loop of its own; hypothesis calls it from plain functions."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resources: Resources,
        owner: "asyncpg.Connection[asyncpg.Record]",
        name: str,
    ) -> None:
        self.loop = loop
        self.resources = resources
        self.owner = owner
        self._name = name

    @property
    def database(self) -> Database:
        return self.resources.database

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it to its end."""
        return self.loop.run_until_complete(work)

    def transaction(self, tenant: UUID) -> AbstractAsyncContextManager[Tx]:
        return self.database.transaction(tenant)

    @asynccontextmanager
    async def ending(self, tenant: UUID, *, commits: bool) -> AsyncIterator[Tx]:
        """A transaction that commits at the end, or does not."""
        with suppress(_RolledBack):
            async with self.transaction(tenant) as tx:
                yield tx
                if not commits:
                    raise _RolledBack

    async def new_tenant(self, *, alone: bool = True) -> UUID:
        """A tenant without quiet hours and caps; the only one with accounts and campaigns if `alone`."""
        if alone:
            await leave_nothing_running(self.owner)
        tenant = await make_tenant(self.owner)
        await quiet_off(self.owner, tenant)
        return tenant

    async def blocked(self, task: "asyncio.Task[Any]") -> bool:
        """Wait until the task waits for somebody's lock (True) or has come to its end (False)."""
        while not task.done():
            if await self.owner.fetchval(_BLOCKED, self._name):
                return True
            await asyncio.sleep(0.001)
        return False

    async def inside(self, tenant: UUID, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Do it in a transaction of the tenant that commits."""
        async with self.transaction(tenant) as tx:
            return await work(tx)


def now() -> datetime:
    return datetime.now(UTC)
