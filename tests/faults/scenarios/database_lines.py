"""The line to PostgreSQL is slow, or its connections are cut."""

import asyncio
import time

from tests.fakes.fault_proxy import FaultProxy, Trouble, proxying
from tests.faults.field import PATIENCE, Field, Process
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    return [await _cut(ground, quick), await _slow(ground, quick)]


async def _cut(ground: Ground, quick: bool) -> Outcome:
    people, cuts = (60, 3) if quick else (400, 20)
    async with ground.field("database-cut") as place, proxying(f"127.0.0.1:{ground.cluster.port}") as proxy:
        await place.campaign(people, rate=15.0)
        worker = place.start_worker(database=proxy.address)
        for number in range(cuts):
            await place.until_left(at_most=people * 2 * (cuts * 2 - number) // (cuts * 2 + 1))
            # Half of them in the middle of an answer.
            proxy.trouble.cut_reply_after = 20 if number % 2 else None
            proxy.reset_all()
        mended = time.monotonic()
        await _drained(place, proxy, worker)
        return await place.outcome(f"PostgreSQL: all connections cut, {cuts}×", mended)


async def _slow(ground: Ground, quick: bool) -> Outcome:
    people, late, lasts = (30, 0.5, 4.0) if quick else (200, 2.0, 60.0)
    async with ground.field("database-slow") as place, proxying(f"127.0.0.1:{ground.cluster.port}") as proxy:
        await place.campaign(people, rate=10.0)
        worker = place.start_worker(database=proxy.address)
        await place.until_left(at_most=people * 2 - 10)
        proxy.trouble = Trouble(latency=late)
        await asyncio.sleep(lasts)
        proxy.mend()
        mended = time.monotonic()
        replaced = await _drained(place, proxy, worker)
        note = f"for {lasts:.0f} s; the worker {'was fenced and started again' if replaced else 'kept its leases'}"
        return await place.outcome(f"PostgreSQL: every reply {late:.1f} s late", mended, note)


async def _drained(place: Field, proxy: FaultProxy, worker: Process) -> int:
    """Wait until nothing is left, with a new worker whenever one ended; returns how many."""
    replaced = 0
    async with asyncio.timeout(PATIENCE * 2):
        while await place.left():
            if worker.poll() is not None:
                await place.bury(worker)
                worker, replaced = place.start_worker(database=proxy.address), replaced + 1
            await asyncio.sleep(0.1)
    return replaced


SCENARIO = Scenario(
    "database-lines",
    "A proxy between a worker and PostgreSQL cuts all connections, some in the middle of an answer; then it delays "
    "every reply by 2 s for a minute.",
    run,
)
