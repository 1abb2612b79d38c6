"""Accounts are banned, restricted, signed out, or their session is destroyed, in the middle of a campaign."""

import asyncio
import time
from collections import Counter
from contextlib import suppress

from carillon.platforms.delivery import holding
from carillon.storage.errors import Contention
from tests.faults.field import PATIENCE, Field
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario

SANCTIONS = (
    ("banned", "USER_DEACTIVATED_BAN"),
    ("restricted", "PEER_FLOOD"),
    ("signed_out", "SESSION_REVOKED"),
    ("signed_out", "AUTH_KEY_DUPLICATED"),
)


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    people = 90 if quick else 600
    async with ground.field("sanctions", "--answer-seconds", "0.05") as place, place.admin() as simulator:
        made = await place.campaign(people, rate=6.0, accounts_each=len(SANCTIONS) + 1)
        place.start_worker()
        await place.until_left(at_most=people * 2 * 2 // 3)
        for flavour, accounts in made.items():
            for account_id, (state, code) in zip(accounts[1:], SANCTIONS, strict=True):
                await simulator.sanction(flavour, str(account_id), state, code)
        since = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            while await place.left():
                # The clock's work, done at once: what went back into the queue of a dead account is settled.
                with suppress(Contention):  # the worker holds the rows; the clock comes again
                    await holding.sweep(place.resources)
                await asyncio.sleep(0.5)
        found = await place.found()
        wrong = await _wrong_states(place, [str(a) for accounts in made.values() for a in accounts[1:]])
        broken = [f"accounts in a wrong state: {wrong}"] if wrong else []
        if not found.get("held"):
            broken.append("no message was held")
        note = f"{found.get('held', 0)} messages held on {2 * len(SANCTIONS)} accounts until a person decides"
        return [await place.outcome("bans, restrictions, 401, AUTH_KEY_DUPLICATED", since, note, broken=broken)]


async def _wrong_states(place: Field, accounts: list[str]) -> dict[str, int]:
    """States of the sanctioned accounts in which nobody meant them to be."""
    async with place.database.transaction(place.tenant) as tx:
        rows = await tx.all("SELECT address, state FROM platforms.account")
    meant = {state for state, _ in SANCTIONS}
    return Counter(row["state"] for row in rows if row["address"] in accounts and row["state"] not in meant)


SCENARIO = Scenario(
    "sanctions",
    "On both simulated platforms one account each is banned, restricted, signed out (401), and its session destroyed "
    "(AUTH_KEY_DUPLICATED). The last account goes on; messages of the others are held and never move.",
    run,
)
