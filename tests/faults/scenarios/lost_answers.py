"""The platform takes a message and its answer is lost; then it is gone for a while."""

import asyncio
import time

from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    people, lost = (60, 6) if quick else (400, 60)
    async with ground.field("lost-answers") as place, place.admin() as simulator:
        await place.campaign(people, rate=20.0)
        await simulator.fault(drop_answers=lost)
        place.start_worker()
        left = await place.until_left(at_most=people * 2 * 2 // 3)
        await simulator.fault(outage=True, drop_sessions=True)
        await asyncio.sleep(1.0 if quick else 10.0)
        broken = [] if await place.until_left(at_most=left) else ["it did not notice the outage"]
        await simulator.fault(outage=False)
        mended = time.monotonic()
        await place.until_left(at_most=0)
        note = f"{place.theirs().resends} sent again with the same key and recognised"
        return [
            await place.outcome(f"{lost} answers dropped after accept, then an outage", mended, note, broken=broken)
        ]


SCENARIO = Scenario(
    "lost-answers",
    "The simulated platforms accept messages and break the connection instead of answering; then they are gone for "
    "a while. Telegram's are sent again with the same key, WhatsApp's become unknown.",
    run,
)
