"""kill -9 at random over all roles, while a campaign, replies, imports and webhooks are going on."""

import asyncio
import random
import time

from tests.faults.field import Process
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario
from tests.faults.traffic import Traffic

ROLES = ("delivery", "delivery", "api", "events", "jobs")
BEHAVIOUR = (
    *("--answer-seconds", "0.02", "--delivered-rate", "0.9", "--delivered-seconds", "0.5"),
    *("--reply-rate", "0.2", "--reply-seconds", "1", "--stop-rate", "0.2", "--duplicate-rate", "0.1"),
)


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    kills, draw = (6, random.Random(6)) if quick else (200, random.Random(200))
    async with ground.field("kills", *BEHAVIOUR) as place:
        running: dict[str, Process] = {role: place.start(role) for role in set(ROLES)}
        traffic = await Traffic.on(place)
        async with traffic.going():
            for number in range(kills):
                role = ROLES[number % len(ROLES)] if number < len(ROLES) else draw.choice(ROLES)
                # Anywhere in the life of a process, its start included.
                await asyncio.sleep(draw.uniform(0.2, 2.5))
                await place.bury(running[role])
                running[role] = place.start(role)
        mended = time.monotonic()
        lost = await traffic.until_quiet()
        return [await place.outcome(f"kill -9 ×{kills} over all roles", mended, traffic.told(), lost=lost)]


SCENARIO = Scenario(
    "kills",
    "delivery, api, events and jobs processes are killed with SIGKILL at random moments while campaigns are planned "
    "and sent, people reply and opt out, files are imported, and webhooks come in. Replies, webhooks and imported "
    "people are counted like messages.",
    run,
)
