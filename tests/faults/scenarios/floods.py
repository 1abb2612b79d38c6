"""FLOOD_WAIT of 60 to 86,400 s on 30 % of the accounts: the others finish, the flooded ones wait and keep theirs."""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

from tests.faults.field import Field
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario

ACCOUNTS = 10


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    people, waits = (150, (4.0, 3_600.0, 86_400.0)) if quick else (600, (60.0, 3_600.0, 86_400.0))
    async with ground.field("floods") as place, place.admin() as simulator:
        made = await place.campaign(people, rate=10.0, flavours=["telegram"], accounts_each=ACCOUNTS)
        flooded, before = made["telegram"][: len(waits)], await place.by_account()
        place.start_worker()
        await place.until_left(at_most=people * 2 // 3)
        for account_id, seconds in zip(flooded, waits, strict=True):
            await simulator.flood("telegram", str(account_id), seconds)
        since = time.monotonic()
        kept = flooded[1:]
        async with asyncio.timeout(waits[0] + 120):
            while await waiting(place, exclude=kept):
                await asyncio.sleep(0.05)
        drained = time.monotonic() - since
        broken = ["a message moved to another account"] if await place.by_account() != before else []
        left = await waiting(place)
        if not left:
            broken.append("nothing waited")
        note = f"{left} messages wait on two accounts for an hour and a day; those of the first {waits[0]:.0f} s later"
        fault = f"FLOOD_WAIT of {waits[0]:.0f}, 3,600 and 86,400 s on 3 of {ACCOUNTS} accounts"
        return [await place.outcome(fault, since, note, broken=broken, waiting=kept, seconds=drained)]


async def waiting(place: Field, exclude: Sequence[UUID] = ()) -> int:
    """Messages that have still to go, on accounts other than these."""
    async with place.database.transaction(place.tenant) as tx:
        count = await tx.scalar(
            "SELECT count(*) FROM platforms.message WHERE state IN ('queued', 'sending') AND account_id <> ALL(:kept)",
            {"kept": list(exclude)},
        )
    return int(count)


SCENARIO = Scenario(
    "floods",
    "Three of ten Telegram accounts are asked to wait in the middle of a campaign. The others finish; the messages of "
    "the flooded accounts stay theirs, wait as long as they were told, and are not counted as lost while they do.",
    run,
)
