"""PostgreSQL stops at once (`-m immediate`) in the middle of a campaign, and comes back."""

import asyncio
import time

from tests.faults.field import PATIENCE
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    people, times = (60, 1) if quick else (400, 5)
    async with ground.field("database-restart") as place:
        await place.campaign(people, rate=10.0 if quick else 20.0)
        worker, replaced = place.start_worker(), 0
        for number in range(times):
            left = people * 2 * (2 * times - number) // (2 * times + 1)
            await place.until_left(at_most=left)
            await ground.break_database()
            await ground.mend_database()
            mended = time.monotonic()
            await place.database.engine.dispose()
        async with asyncio.timeout(PATIENCE):
            while await place.until_left(at_most=left):
                if worker.poll() is not None:
                    # Whether it lives through this or ends: its parent knows, and another goes on.
                    await place.bury(worker)
                    worker, replaced = place.start_worker(), replaced + 1
                await asyncio.sleep(0.1)
        note = f"the worker {'ended and was started again' if replaced else 'lived through it'}"
        return [await place.outcome(f"PostgreSQL stopped with -m immediate, {times}×", mended, note)]


SCENARIO = Scenario(
    "database-restart",
    "PostgreSQL is stopped with `-m immediate` in the middle of a campaign and started again.",
    run,
)
