"""The client boundary of the database: `Database` and `Tx` as the product knows them, each call by way of a `Link`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Executable

from carillon.storage.database import Database, Params, Tx

from .links import MARK_SENDING, SETTLE, Link
from .loop import Process

if TYPE_CHECKING:
    from .world import World


class SimTx(Tx):
    """See `Tx`."""

    __slots__ = ("link", "real")

    def __init__(self, real: Tx, link: Link) -> None:
        super().__init__(real.connection, real.tenant_id)
        self.real = real
        self.link = link

    async def execute(self, statement: Executable | str, params: Params = None) -> Any:
        if isinstance(statement, str):
            self.link.read(statement, ())
        return await self.link.call("alchemy", _caller(), lambda: self.real.execute(statement, params))

    async def driver(self) -> Any:
        return SimDriver(self)

    async def enter(self, tenant_id: UUID) -> "SimTx":
        real: Tx = await self.link.call("alchemy", "enter", lambda: self.real.enter(tenant_id))
        return SimTx(real, self.link)


class SimDriver:
    """The asyncpg connection under a `SimTx`: only what the product uses."""

    def __init__(self, tx: SimTx) -> None:
        self._tx = tx

    async def _call(self, name: str, statement: str, values: tuple[Any, ...], options: dict[str, Any]) -> Any:
        self._tx.link.read(statement, values)

        async def work() -> Any:
            driver = await self._tx.real.driver()
            return await getattr(driver, name)(statement, *values, **options)

        link, label = self._tx.link, _caller()
        found = await link.call("driver", label, work)
        if label == SETTLE:
            link.settled.extend((row["account_id"], row["id"]) for row in found)
        elif label == MARK_SENDING:
            link.marked.extend(values[1] if found is None else found)
        return found

    async def fetch(self, statement: str, *values: Any, **options: Any) -> Any:
        return await self._call("fetch", statement, values, options)

    async def fetchrow(self, statement: str, *values: Any, **options: Any) -> Any:
        return await self._call("fetchrow", statement, values, options)

    async def fetchval(self, statement: str, *values: Any, **options: Any) -> Any:
        return await self._call("fetchval", statement, values, options)

    async def execute(self, statement: str, *values: Any, **options: Any) -> Any:
        return await self._call("execute", statement, values, options)

    async def executemany(self, statement: str, *values: Any, **options: Any) -> Any:
        return await self._call("executemany", statement, values, options)

    async def copy_records_to_table(self, table: str, **options: Any) -> Any:
        return await self._call("copy_records_to_table", table, (), options)


class SimDatabase(Database):
    """See `Database`; one for each simulated process, over the one real pool."""

    def __init__(self, world: "World", process: Process) -> None:
        self.url = "postgresql://simulated"
        self.engine = world.wire.database.engine
        self._world = world
        self._process = process

    @asynccontextmanager
    async def _begin(self, tenant_id: UUID | None, scope: str) -> AsyncIterator[Tx]:
        real = super()._begin(tenant_id, scope)
        link = Link(self._world, self._process, real)
        self._process.links.append(link)
        try:
            tx = await link.begin()
        except asyncio.CancelledError:
            link.roll_back()
            raise
        try:
            yield SimTx(tx, link)
        except BaseException as error:
            seen = link.abort(error)
            if seen is error:
                raise
            raise seen from error
        await link.commit()


def _caller() -> str:
    """The product's function that makes the call, for the history's readers."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("carillon.") and name != "carillon.storage.database":
            return f"{name.rpartition('.')[2]}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "?"
