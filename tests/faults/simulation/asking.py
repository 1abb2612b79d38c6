"""A request to the API, as its callers make it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from carillon.kernel.errors import CarillonError
from carillon.storage.database import Tx
from carillon.storage.errors import Contention, DatabaseUnreachable

from .loop import Life, Process

if TYPE_CHECKING:
    from .world import World

Act = Callable[[Tx], Awaitable[object]]


async def ask(world: "World", act: Act, *, across: bool = False, tries: int = 1_000) -> bool:
    """A request to the API, repeated by its caller until it is answered; False if it was refused."""
    for _ in range(tries):
        api = world.api
        if api is None or api.life is Life.DEAD:
            await asyncio.sleep(0.3)
            continue
        task = api.start(_transact(world, api, act, across=across))
        await asyncio.wait({task}, timeout=40.0)
        if not task.done():
            continue
        try:
            task.result()
        except (DatabaseUnreachable, Contention):
            await asyncio.sleep(world.draw.uniform(0.1, 1.0))
            continue
        except CarillonError as error:
            world.note(api, "refused: {}", error.code)
            return False
        return True
    return False


async def _transact(world: "World", process: Process, act: Act, *, across: bool) -> None:
    database = world.resources(process).database
    async with database.across_tenants() if across else database.transaction(world.tenant) as tx:
        await act(tx)
