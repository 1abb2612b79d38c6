"""A backup from mid-campaign is restored elsewhere after the campaign went on: nothing is sent by itself or twice."""

import asyncio
import shutil
import time
from typing import Literal

from carillon.kernel.subject import system_subject
from carillon.platforms.delivery import api as delivery
from carillon.runtime import backup as backups
from carillon.runtime.compose import open_resources
from tests.faults.field import Field
from tests.faults.ground import Ground, ground_at
from tests.faults.outcome import Outcome, Scenario

_WATCHED = 5.0
_CANCELLED = "SELECT id FROM platforms.message WHERE state = 'cancelled'"


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    people = 40 if quick else 400
    async with ground.field("backed-up") as place:
        await place.campaign(people, rate=10.0)
        place.start_worker()
        await place.until_left(at_most=people)
        copy = place.settings.data / "backup"
        await asyncio.to_thread(backups.write, place.settings, place.prepared, copy)
        await place.until_left(at_most=0)
        for process in place.processes:
            await place.bury(process)
        root = ground.root / "restored"
        root.mkdir()
        shutil.copy(ground.root / "vault.key", root / "vault.key")
        own = ground_at(root)
        other = await asyncio.to_thread(own.__enter__)
        try:
            return [await _restored(place, other)]
        finally:
            await asyncio.to_thread(own.__exit__, None, None, None)


async def _restored(place: Field, other: Ground) -> Outcome:
    """Restore on the other server, with the platform as it is now, and let a person decide."""
    done = await backups.read(place.settings, other.prepared, place.settings.data / "backup")
    async with open_resources(place.settings, other.prepared, worker=True, name="faults") as resources:
        there = Field(place.settings, other.prepared, resources, place.address, place.tenant, place.sinks)
        before = len(there.theirs().accepted), there.theirs().resends
        there.start_worker()
        # A worker that would send at once has the time to.
        await asyncio.sleep(_WATCHED)
        broken = [] if (len(there.theirs().accepted), there.theirs().resends) == before else ["it sent by itself"]
        await _decide(there)
        since = time.monotonic()
        await there.until_left(at_most=0)
        recognised = there.theirs().resends - before[1]
        note = f"{done.quarantined} messages held; released to Telegram, {recognised} of them recognised as sent before"
        broken += [] if recognised else ["nothing was sent again"]
        # The platform has them from before; here a person said that they are not to be sent again.
        async with there.database.transaction(there.tenant) as tx:
            cancelled = {str(row["id"]) for row in await tx.all(_CANCELLED)}
        fault = "restored backup, released"
        outcome = await there.outcome(fault, since, note, broken=broken, apart=cancelled)
        for process in there.processes:
            await there.bury(process)
        return outcome


async def _decide(there: Field) -> None:
    """Send where the platform knows what it has; cancel where it would be a second copy."""
    subject = system_subject(there.tenant)
    async with there.database.transaction(there.tenant) as tx:
        rows = await tx.all("SELECT id, platform FROM platforms.account")
        for row in rows:
            action: Literal["send", "cancel"] = "send" if row["platform"] == "telegram" else "cancel"
            await delivery.release_restored(tx, subject, action=action, account_id=row["id"])
        for lane in await tx.all("SELECT id FROM platforms.lane"):
            await delivery.open_lane(tx, lane["id"])


SCENARIO = Scenario(
    "restored",
    "A backup is made in the middle of a campaign, which then goes on to its end. The backup is restored on another "
    "server against the same platform: everything undelivered is held. A person releases Telegram's, which come with "
    "their old keys and are recognised, and cancels WhatsApp's, which would be second copies.",
    run,
)
