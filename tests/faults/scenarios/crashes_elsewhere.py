"""The api process dies while it takes a webhook, the jobs process while it plans a campaign."""

import asyncio
import time

from tests.faults import posting
from tests.faults.field import PATIENCE, Field, ended
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario
from tests.fixtures import campaigns
from tests.fixtures.delivery import add_people

_HEARD = "SELECT count(*) FROM platforms.inbound_message"


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    del quick
    calls = [await _webhook(ground, point) for point in ("webhook.uncommitted", "webhook.committed")]
    return [*calls, await _plan(ground)]


async def _webhook(ground: Ground, point: str) -> Outcome:
    async with ground.field(point) as place:
        (shop,) = await place.add_accounts("http", 1, rate=10.0)
        dying = place.start("api", CARILLON_CRASH_AT=f"{point}:2")
        await posting.until_served(place, dying)
        bodies = [posting.call_of(posting.said(f"m{number}", "hello")) for number in range(2)]
        first, second = [(await posting.post(place, shop, body))[0] for body in bodies]
        broken = [] if (first, second) == (200, 0) else [f"answered {first} and {second}"]
        if await ended(dying) != -9:
            broken.append("it did not die there")
        since = time.monotonic()
        place.start("events")
        await posting.until_served(place, place.start("api"))
        # Whoever got no answer calls again.
        await posting.insist(place, shop, bodies[1])
        lost = abs(2 - await _until_heard(place, 2))
        return await place.outcome(f"kill -9 of the api at {point}", since, "1 call repeated", broken=broken, lost=lost)


async def _until_heard(place: Field, count: int) -> int:
    async with asyncio.timeout(PATIENCE):
        while True:
            async with place.database.transaction(place.tenant) as tx:
                heard = int(await tx.scalar(_HEARD))
            if heard >= count:
                return heard
            await asyncio.sleep(0.05)


async def _plan(ground: Ground) -> Outcome:
    people = 50
    async with ground.field("plan.uncommitted") as place:
        await place.add_accounts("telegram", 2, rate=30.0)
        async with place.database.transaction(place.tenant) as tx:
            await add_people(tx, people)
        campaign_id = await campaigns.create(place.database, place.tenant)
        await campaigns.start(place.database, place.tenant, campaign_id)
        broken = [] if await place.crash("jobs", "plan.uncommitted") else ["it did not die there"]
        since = time.monotonic()
        place.start("jobs")
        place.start_worker()
        async with asyncio.timeout(PATIENCE):
            while (await place.found()).get("sent", 0) < people:
                await asyncio.sleep(0.1)
        sent = (await place.found())["sent"]
        broken += [f"{sent} messages for {people} people"] if sent != people else []
        return await place.outcome("kill -9 of jobs at plan.uncommitted", since, "planned again", broken=broken)


SCENARIO = Scenario(
    "crashes-elsewhere",
    "The api process kills itself before and after it has stored a webhook, the jobs process while it plans.",
    run,
)
