"""A process dies by SIGKILL at each named crash point, one after the other, on one campaign.

That each point was reached is shown by how the process ended: it kills itself there and nowhere else.
"""

import time
from collections.abc import Sequence

from carillon.ops import crash_points
from tests.faults.field import FLAVOURS, SIMULATED, Field
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario

# `recover.committed` follows a death that left messages in flight.
SENDING = (
    "lease.claimed",
    "authorise.uncommitted",
    "authorise.committed",
    "recover.committed",
    "write.accepted",
    "settle.uncommitted",
    "settle.committed",
    "inbound.uncommitted",
    "inbound.committed",
)
ELSEWHERE = {"webhook.uncommitted", "webhook.committed", "plan.uncommitted"}
"""See `webhook_crashes` and `plan_crash`."""

assert {*SENDING, *ELSEWHERE} == crash_points.POINTS, "a crash point that nothing reaches"


def points_of(flavour: str) -> Sequence[str]:
    """Without de-duplication nothing is taken over to be sent again, so that point is not on the way."""
    return [point for point in SENDING if FLAVOURS[flavour].deduplicates or point != "recover.committed"]


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    return [await _die_everywhere(ground, flavour) for flavour in (SIMULATED if quick else FLAVOURS)]


async def _die_everywhere(ground: Ground, flavour: str) -> Outcome:
    points = points_of(flavour)
    async with ground.field(f"crash-{flavour}", "--delivered-rate", "1", "--delivered-seconds", "0.2") as place:
        await place.campaign(60 * len(points), rate=30.0, flavours=[flavour])
        missed = [point for point in points if not await place.crash("delivery", point, count=_count(place, point))]
        since = time.monotonic()
        place.start_worker()
        await place.until_left(at_most=0)
        note = f"died at each of {len(points) - len(missed)} points: {', '.join(p for p in points if p not in missed)}"
        broken = [f"never reached: {', '.join(missed)}"] if missed else []
        return await place.outcome(f"kill -9 at every crash point of sending, {flavour}", since, note, broken=broken)


def _count(place: Field, point: str) -> int:
    """Not at the first message: there is to be something before and after."""
    return 1 if point.startswith(("lease", "recover", "inbound")) else 3


SCENARIO = Scenario(
    "crash-points",
    "`CARILLON_CRASH_AT` makes the delivery process kill itself at each named point in turn while one campaign runs.",
    run,
)
