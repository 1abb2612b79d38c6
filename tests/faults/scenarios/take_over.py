"""A worker dies and nobody reaps it, so its lease has to run out; and one ends in good order."""

import asyncio
import signal
import time

from tests.faults.field import Field, ended
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario

LIMIT = 60.0
HAND_OVER_LIMIT = 3.0
_PATIENCE = 120.0
PEOPLE = 400


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    done = [await _hand_over(ground)]
    return done if quick else [*done, await _crash(ground)]


async def _hand_over(ground: Ground) -> Outcome:
    async with ground.field("hand-over") as place:
        await place.campaign(PEOPLE, rate=10.0)
        first = place.start_worker()
        await place.until_left(at_most=PEOPLE * 2 - 10)
        second = place.start_worker()
        await _until_enlisted(place, 2)
        since = time.monotonic()
        first.send_signal(signal.SIGTERM)
        seconds = await _until_all_owned(place, since=since)
        status = await ended(first)
        await place.until_left(at_most=0)
        broken = [f"the first ended with {status}"] if status else []
        if second.poll() is not None:
            broken.append("the second ended too")
        unknown = (await place.found()).get("unknown", 0)
        if unknown:
            broken.append(f"{unknown} unknown after an orderly end")
        note = "seconds from SIGTERM until the other worker had every account"
        return await place.outcome(
            "planned hand-over (SIGTERM)", since, note, broken=broken, seconds=seconds, at_most=HAND_OVER_LIMIT
        )


async def _crash(ground: Ground) -> Outcome:
    async with ground.field("take-over") as place:
        await place.campaign(PEOPLE, rate=10.0)
        first = place.start_worker()
        await place.until_left(at_most=PEOPLE * 2 - 20)
        second = place.start_worker()
        # Killed, and its lease is left to run out: as when a machine is gone.
        first.kill()
        since = time.monotonic()
        await ended(first)
        seconds = await until_taken_over(place, since=since)
        await place.until_left(at_most=0)
        broken = ["the second ended too"] if second.poll() is not None else []
        note = "seconds from SIGKILL until every account had sent again"
        fault = "take-over after a crash nobody saw"
        return await place.outcome(fault, since, note, broken=broken, seconds=seconds, at_most=LIMIT)


async def until_taken_over(place: Field, *, since: float) -> float:
    """Wait until every account has sent something that was not there now; seconds after `since`."""
    before = len(place.theirs().accepted)
    async with place.database.transaction(place.tenant) as tx:
        want = {row["address"] for row in await tx.all("SELECT address FROM platforms.account WHERE state <> 'new'")}
    async with asyncio.timeout(_PATIENCE):
        while True:
            entries = [copies[0] for copies in list(place.theirs().accepted.values())[before:]]
            if want <= {entry.account for entry in entries}:
                return time.monotonic() - since
            await asyncio.sleep(0.1)


async def _until_enlisted(place: Field, count: int) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            async with place.database.across_tenants() as tx:
                if await tx.scalar("SELECT count(*) FROM platforms.worker") == count:
                    return
            await asyncio.sleep(0.02)


async def _until_all_owned(place: Field, *, since: float) -> float:
    """Wait until one worker is left and every account is its; seconds after `since`."""
    statement = (
        "SELECT (SELECT count(*) FROM platforms.worker) = 1 AND NOT EXISTS ("
        "SELECT FROM platforms.account a JOIN platforms.account_lease l ON l.id = a.id "
        "WHERE a.tenant_id = :tenant AND l.worker_id IS DISTINCT FROM (SELECT id FROM platforms.worker LIMIT 1))"
    )
    async with asyncio.timeout(_PATIENCE):
        while True:
            async with place.database.across_tenants() as tx:
                if await tx.scalar(statement, {"tenant": place.tenant}):
                    return time.monotonic() - since
            await asyncio.sleep(0.02)


SCENARIO = Scenario(
    "take-over",
    "A delivery process gets SIGTERM while another one waits: the accounts change hands within 3 s. And one is killed "
    "without a supervisor that sees it: its leases run out, and the other one sends within 60 s.",
    run,
)
