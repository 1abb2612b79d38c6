"""A tenant's HTTP server answers 500, talks nonsense, breaks off, or never answers."""

import asyncio
import random
import time

from tests.fakes.fault_proxy import Trouble, proxying
from tests.fakes.http_sink import Mood
from tests.faults.field import PATIENCE
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario

FLAVOURS = ("http", "http-idempotent")


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    return [await _moody(ground, quick), await _silent(ground, quick)]


async def _moody(ground: Ground, quick: bool) -> Outcome:
    people, draw = (80 if quick else 1_000), random.Random(500)
    async with ground.field("http-moods") as place:
        sinks = [place.sinks[flavour] for flavour in FLAVOURS]
        for sink in sinks:
            sink.mood = lambda: draw.choice(list(Mood)) if draw.random() < 0.5 else Mood.WELL
        await place.campaign(people, rate=20.0, flavours=FLAVOURS)
        place.start_worker()
        await place.until_left(at_most=people // 3, seconds=300)
        for sink in sinks:
            sink.mood = lambda: Mood.WELL
        mended = time.monotonic()
        await place.until_left(at_most=0, seconds=300)
        forged = sum(sink.forged for sink in sinks)
        broken = [f"{forged} requests without a good signature"] if forged else []
        fault = "HTTP channel: every other answer a 500, nonsense, or broken off"
        return await place.outcome(fault, mended, "only the server without the promise leaves unknowns", broken=broken)


async def _silent(ground: Ground, quick: bool) -> Outcome:
    """One server takes everything and never answers; the other one's accounts go on."""
    people = 40 if quick else 400
    async with ground.field("http-silence") as place, proxying(place.sinks["http"].address) as proxy:
        place.sinks["http"].address = proxy.address
        made = await place.campaign(people, rate=20.0, flavours=FLAVOURS)
        planned = await place.by_account()
        wanted = sum(planned[account_id] for account_id in made["http-idempotent"])
        proxy.trouble = Trouble(drop_replies=True)
        place.start_worker()
        silent, good = (place.sinks[flavour].taken for flavour in FLAVOURS)
        async with asyncio.timeout(PATIENCE):
            # All of the good server's go out while requests to the other one hang.
            while len(good) < wanted or not silent:
                await asyncio.sleep(0.05)
        proxy.mend()
        proxy.reset_all()
        mended = time.monotonic()
        await place.until_left(at_most=0, seconds=300)
        note = f"all {wanted} of the other channel went out meanwhile"
        return await place.outcome("HTTP channel: a server that never answers", mended, note)


SCENARIO = Scenario(
    "http-troubles",
    "The HTTP channel against real servers with ledgers of their own, one of which honours `Idempotency-Key`: half of "
    "the answers are 500s (taken or not), nonsense or broken connections; then one server never answers at all.",
    run,
)
