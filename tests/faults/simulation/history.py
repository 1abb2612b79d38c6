"""One history: a world is made from its seed, lived through, healed, and judged."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from unittest.mock import patch

from carillon.ops.settings import Settings
from carillon.platforms.delivery import dispatcher as dispatcher_module
from carillon.platforms.delivery import worker as worker_module

from . import actors, operators
from .clocks import seeded
from .cluster import SCHEMAS
from .loop import Life, SimLoop
from .setting import settle_in
from .wire import Wire
from .world import Happening, World

PATIENCE = 240.0
"""Virtual seconds after which a healed system must be quiet."""


@dataclass
class Report:
    """What came of one history."""

    seed: int
    violations: list[str]
    faults: Counter[str]
    messages: int
    delivered: int
    virtual_seconds: float
    seconds: float
    history: list[Happening]


def live(seed: int, wire: Wire, settings: Settings, focus: Sequence[str] = ()) -> Report:
    """Live through the history of this seed, with more of the faults in `focus`."""
    began = time.perf_counter()
    _wipe(wire)
    loop = SimLoop()
    try:
        with ExitStack() as stack:
            clock = stack.enter_context(seeded(loop, seed))
            world = World(seed, loop, wire, settings, clock, focus)
            stack.enter_context(patch.object(worker_module, "listen", world.listen))
            for module in (worker_module, dispatcher_module):
                stack.enter_context(patch.object(module, "first_of", world.first_of))
            loop.set_exception_handler(world.failed)
            wire.set_clock(world.micros())
            settle_in(world)
            try:
                loop.run_until_complete(world.start(_live(world)))
            finally:
                _leave(world)
            for error in world.errors:
                raise error
    finally:
        for task in loop.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined] # killed processes leave theirs
        loop.tasks.clear()
        loop.close()
    return Report(
        seed,
        world.oracle.violations,
        world.nemesis.counts,
        world.messages,
        len(world.platform.ledger),
        loop.time(),
        time.perf_counter() - began,
        world.history,
    )


async def _live(world: World) -> None:
    crew = [
        world.start(actors.keep_rest(world, "api", actors.serve_api)),
        world.start(actors.keep_rest(world, "jobs", actors.serve_jobs)),
        *[world.start(actors.keep_worker(world, slot)) for slot in range(world.draw.choice((1, 2, 2, 3)))],
    ]
    await asyncio.sleep(0.001)
    for lane in world.lanes.values():
        world.start(operators.begin(world, lane))
    for act in (actors.person, actors.operator, actors.chaos):
        world.start(act(world))
    await asyncio.sleep(world.nemesis.chaos_seconds)
    await _heal(world)
    await _quieten(world)
    world.oracle.judge()
    for task in crew:
        task.cancel()


async def _heal(world: World) -> None:
    """No more faults: what is cut off is joined, what was refused is let in."""
    world.note(None, "--- all is well again ---")
    world.nemesis.active = False
    for process in world.processes:
        process.wall_offset = 0.0
        process.no_database = process.no_platform = False
    world.database_down = False
    world.jump_database(0.0)
    await operators.reinstate(world)


async def _quieten(world: World) -> None:
    until = world.loop.time() + PATIENCE
    while world.loop.time() < until:
        await asyncio.sleep(2.0)
        if any(process.life is Life.FROZEN for process in world.processes):
            continue
        if not world.oracle.open_ends():
            await asyncio.sleep(2.0)
            if not world.oracle.open_ends():
                return
    for end in world.oracle.open_ends():
        world.oracle.violated(f"after {PATIENCE} s without faults, {end}")


def _leave(world: World) -> None:
    """The end of the world: every transaction is rolled back, nothing runs any more."""
    for process in world.processes:
        process.kill()
    for link in list(world.links):
        link.roll_back()


def _wipe(wire: Wire) -> None:
    """Every history begins with the same empty tables: the order of their rows matters too."""
    wire.rows("ALTER SEQUENCE sim.ids RESTART")
    tables = wire.rows(
        "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE n.nspname IN ({SCHEMAS}) AND c.relkind = 'r' ORDER BY 1"
    )
    probe = ", ".join(f"EXISTS (SELECT FROM {row['name']})" for row in tables)
    (found,) = wire.rows(f"SELECT {probe}")
    used = [row["name"] for row, there in zip(tables, found.values(), strict=True) if there]
    if used:
        wire.rows(f"TRUNCATE {', '.join(used)} CASCADE")
