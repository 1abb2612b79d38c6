"""Webhooks come five times, in any order, a week late, forged, huge, or as something else altogether."""

import asyncio
import random
import time
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

from carillon.kernel.ids import uuid7
from carillon.platforms.delivery.webhooks import LARGEST
from tests.faults import posting
from tests.faults.field import Field
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario

COPIES = 5
_PATIENCE = 60.0
_HEARD = "SELECT platform_id FROM platforms.inbound_message"
_STATES = "SELECT state, count(*) AS n FROM platforms.message GROUP BY 1"


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    people = 40 if quick else 400
    async with ground.field("webhooks") as place:
        made = await place.campaign(people, rate=40.0, flavours=["http"], accounts_each=1)
        (shop,) = made["http"]
        api, worker = place.start("api"), place.start_worker()
        place.start("events")
        await posting.until_served(place, api)
        await place.until_left(at_most=0)
        since = time.monotonic()
        broken = await _bad_calls(place, shop)
        said = await _good_calls(place, shop)
        heard = await _until_heard(place, said)
        broken += await _statuses(place, people)
        broken += [f"a {name} process ended" for name, one in (("api", api), ("delivery", worker)) if one.poll()]
        lost, twice = len(said - heard.keys()), sum(count - 1 for count in heard.values())
        invented = len(heard.keys() - said)
        broken += [f"{invented} messages nobody wrote"] if invented else []
        broken += [f"{twice} heard twice"] if twice else []
        note = f"{len(said)} inbound messages and {people * 2} statuses, ×{COPIES}, shuffled; one call of 3 MB"
        fault = "webhooks: ×5, reordered, 7 days late, forged, 3 MB, garbage"
        return [await place.outcome(fault, since, note, broken=broken, lost=lost)]


async def _bad_calls(place: Field, shop: UUID) -> list[str]:
    """Calls that must be refused or kept aside; what went wrong with them."""
    body = posting.call_of(posting.said("forged", "hello"))
    over = posting.call_of(*(posting.said(f"over-{n}", "x" * 60_000) for n in range(LARGEST // 60_000 + 1)))
    bombs = {
        "a zip bomb": zlib.compress(b"0" * 10_000_000),
        "bytes": random.Random(1).randbytes(50_000),
        "nothing": b"",
    }
    wanted = [
        ("a forged call", 401, await posting.post(place, shop, body, secret=b"guessed")),
        ("a call for a stranger", 404, await posting.post(place, uuid7(), body)),
        ("a call beyond 3.5 MB", 413, await posting.post(place, shop, over)),
        *[(name, 200, await posting.post(place, shop, bomb)) for name, bomb in bombs.items()],
    ]
    packed = await posting.post(place, shop, bombs["a zip bomb"], headers={"Content-Encoding": "gzip"})
    wanted.append(("a packed call", 200, packed))
    return [f"{name} was answered {got} and not {status}" for name, status, (got, _) in wanted if got != status]


async def _good_calls(place: Field, shop: UUID) -> set[str]:
    """Everything five times and in no order; returns the ids of what people wrote."""
    late = datetime.now(UTC) - timedelta(days=7)
    said = {f"m{number}" for number in range(60)} | {f"big-{number}" for number in range(50)}
    calls = [posting.call_of(posting.said(f"m{number}", "hello", at=late)) for number in range(60)]
    calls.append(posting.call_of(*(posting.said(f"big-{number}", "x" * 60_000) for number in range(50))))
    for message_id in place.sinks["http"].taken:
        calls += [posting.call_of(posting.reported(message_id, one, at=late)) for one in ("read", "delivered")]
    calls *= COPIES
    random.Random(5).shuffle(calls)
    at_once = asyncio.Semaphore(8)

    async def call(body: bytes) -> None:
        async with at_once:
            await posting.insist(place, shop, body)

    await asyncio.gather(*[call(body) for body in calls])
    return said


async def _until_heard(place: Field, said: set[str]) -> Counter[str]:
    """How often each message was heard, once they all were or no more come."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        async with place.database.transaction(place.tenant) as tx:
            heard = Counter(row["platform_id"] for row in await tx.all(_HEARD))
        if said <= heard.keys() or time.monotonic() > deadline:
            return heard
        await asyncio.sleep(0.1)


async def _statuses(place: Field, people: int) -> list[str]:
    """Every message was read, whichever status came last."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        async with place.database.transaction(place.tenant) as tx:
            found = {row["state"]: row["n"] for row in await tx.all(_STATES)}
        if found == {"read": people}:
            return []
        if time.monotonic() > deadline:
            return [f"states went wrong: {found}"]
        await asyncio.sleep(0.1)


SCENARIO = Scenario(
    "webhooks",
    "Signed calls to the real API process: every one five times, shuffled, dated a week back, one of 3 MB; beside them "
    "forged ones, some beyond the limit, packed and random bytes. Each message is heard once, statuses only rise.",
    run,
)
