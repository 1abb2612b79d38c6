"""SIGSTOP for 45 s and more, then SIGCONT: another process has the accounts, and the frozen one writes nothing."""

import asyncio
import signal
import time

import psutil

from tests.fakes.fault_proxy import FaultProxy, proxying
from tests.faults.field import PATIENCE, Field, Process, ended
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario

from .take_over import LIMIT, until_taken_over

FROZEN = 45.0
_SETTLE = 2.0


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    del quick
    return [
        await _frozen(ground, "zombie", "SIGSTOP, taken over, SIGCONT"),
        await _frozen(
            ground,
            "zombie-authorising",
            "SIGSTOP in the middle of authorising, taken over, SIGCONT",
            CARILLON_FREEZE_AT="authorise.uncommitted:5",
        ),
    ]


async def _frozen(ground: Ground, name: str, fault: str, **how: str) -> Outcome:
    async with ground.field(name, "--answer-seconds", "0.05") as place, proxying(place.address) as own:
        await place.campaign(600, rate=3.0)
        zombie = place.start_worker(platform=own.address, **how)
        if how:
            await _until_frozen(zombie)
        else:
            await place.until_left(at_most=1_150)
            zombie.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        # What it had written before still arrives.
        await asyncio.sleep(_SETTLE)
        heir = place.start_worker()
        taken_over = await until_taken_over(place, since=stopped)
        await asyncio.sleep(max(0.0, FROZEN - (time.monotonic() - stopped)))
        status, heard = await _awake(zombie, own)
        since = time.monotonic()
        await place.until_left(at_most=0, seconds=600)
        broken = await _judge(place, status, heard)
        if heir.poll() is not None:
            broken.append("the heir ended too")
        note = f"taken over {taken_over:.0f} s after it froze; the zombie ended {'fenced' if status else 'well'}"
        return await place.outcome(fault, since, note, broken=broken, seconds=taken_over, at_most=LIMIT)


async def _until_frozen(process: Process) -> None:
    async with asyncio.timeout(PATIENCE):
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0.02)


async def _awake(zombie: Process, own: FaultProxy) -> tuple[int, bytes]:
    """Let it go on; its exit status, and what it said to the platform after that."""
    heard: list[bytes] = []
    own.watch = heard.append
    zombie.send_signal(signal.SIGCONT)
    status = await ended(zombie, PATIENCE)
    await asyncio.sleep(_SETTLE)
    return status, b"".join(heard)


async def _judge(place: Field, status: int, heard: bytes) -> list[str]:
    log = (place.settings.data / "logs" / "delivery.log").read_text("utf-8")
    theirs = place.theirs()
    wrong = {
        "the zombie did not end as fenced": status == 0 or '"code":"fenced"' not in log,
        f"the zombie wrote {heard[:80]!r} after it woke": bool(heard),
        f"{theirs.double_sessions} accounts used from two places": theirs.double_sessions > 2,
    }
    return [text for text, holds in wrong.items() if holds]


SCENARIO = Scenario(
    "zombie",
    "A delivery process is frozen with SIGSTOP until another one has taken its accounts over, at least 45 s, and then "
    "goes on; once anywhere, and once in the middle of a transaction that holds leases and people. It must end as "
    "fenced without a byte to the platform, which it reaches through a proxy that listens.",
    run,
    quick=False,
)
