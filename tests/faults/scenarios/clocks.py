"""A worker's wall clock jumps two hours ahead and back in mid-campaign, or passes a change of summer time."""

import os
import time
from pathlib import Path

from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario

LIBRARIES = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"),
)
BERLIN = {"TZ": "Europe/Berlin"}


def library() -> Path | None:
    """libfaketime, where Debian puts it."""
    return next((path for path in LIBRARIES if path.exists()), None)


def missing() -> str | None:
    """Without libfaketime it cannot be done; CI has to have it."""
    if library() is not None:
        return None
    reason = "libfaketime is not installed (apt-get install libfaketime)"
    if os.environ.get("CI"):
        raise RuntimeError(reason)
    return reason


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    people = 60 if quick else 400
    return [
        await _jumping(ground, people),
        await _from(ground, people, "spring", "@2026-03-29 00:59:58", "the hour that is not there"),
        await _from(ground, people, "autumn", "@2026-10-25 00:59:58", "the hour that comes twice"),
    ]


def _faked(clock: Path) -> dict[str, str]:
    """What puts a process on the clock that the file says; its monotonic clocks stay the machine's."""
    return {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


async def _jumping(ground: Ground, people: int) -> Outcome:
    async with ground.field("clock-jumps") as place, place.admin() as simulator:
        await place.campaign(people, rate=10.0)
        clock = place.settings.data / "clock"
        clock.write_text("+0")
        worker = place.start_worker(**_faked(clock))
        for number, jump in enumerate(("+7200", "-7200", "+0"), start=1):
            await place.until_left(at_most=people * 2 * (4 - number) // 4)
            # Answers lost on both sides of the jump, so that waits and back-offs span it.
            await simulator.fault(drop_answers=2)
            clock.write_text(jump)
        since = time.monotonic()
        await place.until_left(at_most=0)
        broken = ["the worker ended"] if worker.poll() is not None else []
        return await place.outcome("wall clock +2 h, -4 h, +2 h", since, "same worker throughout", broken=broken)


async def _from(ground: Ground, people: int, season: str, start: str, what: str) -> Outcome:
    async with ground.field(f"clock-{season}") as place:
        await place.campaign(people, rate=10.0)
        clock = place.settings.data / "clock"
        clock.write_text(start)
        worker = place.start_worker(**_faked(clock), **BERLIN)
        since = time.monotonic()
        await place.until_left(at_most=0)
        broken = ["the worker ended"] if worker.poll() is not None else []
        fault = f"summer time {'begins' if season == 'spring' else 'ends'} (Europe/Berlin)"
        return await place.outcome(fault, since, f"the worker sent through {what}", broken=broken)


SCENARIO = Scenario(
    "clocks",
    "libfaketime moves the wall clock of a worker process two hours ahead and back in the middle of a campaign, and "
    "lets it pass both changes of summer time. Leases are judged by clocks that do not jump.",
    run,
    missing=missing,
)
