"""The line to the platform is slow, cut in mid-frame, silent, garbled or half-open; other accounts go on."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.fakes.fault_proxy import Trouble, proxying
from tests.faults.field import PATIENCE
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of trouble; `lasts` in seconds, first in the bounded set and then at length."""

    fault: str
    trouble: Trouble
    lasts: tuple[float, float] = (2.0, 20.0)
    again: bool = False  # cut again and again


def lines() -> Sequence[Line]:
    """New ones for each run: a cut uses itself up."""
    return (
        Line("platform: every answer 30 s late", Trouble(latency=30.0), (3.0, 60.0)),
        Line("platform: reset in the middle of a frame, again and again", Trouble(cut_reply_after=40), again=True),
        Line("platform: answers never arrive", Trouble(drop_replies=True)),
        Line("platform: answers are garbage", Trouble(garble=lambda piece: bytes(byte ^ 0x5A for byte in piece))),
        Line("platform: half-open connections, nothing passes", Trouble(black_hole=True), (3.0, 100.0)),
        Line("platform: 200 bytes a second", Trouble(bytes_per_second=200.0)),
    )


QUICK = ("reset", "garbage")


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    chosen = [line for line in lines() if not quick or any(word in line.fault for word in QUICK)]
    return [await _on(ground, line, number, quick) for number, line in enumerate(chosen)]


async def _on(ground: Ground, line: Line, number: int, quick: bool) -> Outcome:
    people = 40 if quick else 300
    async with ground.field(f"line-{number}") as place, proxying(place.address) as proxy:
        await place.campaign(people, rate=10.0, flavours=("telegram", "whatsapp", "http"))
        place.start_worker(platform=proxy.address)
        await place.until_left(at_most=people * 3 - 6)
        proxy.trouble = line.trouble
        began = time.monotonic()
        while time.monotonic() - began < line.lasts[not quick]:
            if line.again and proxy.trouble.cut_reply_after is None:
                proxy.trouble.cut_reply_after = 40
            await asyncio.sleep(0.05)
        async with asyncio.timeout(PATIENCE):
            while len(place.sinks["http"].taken) < people:
                await asyncio.sleep(0.05)
        proxy.mend()
        # What fell into the hole stays lost: whoever waits finds out by its own patience.
        if line.trouble.black_hole or line.trouble.drop_replies:
            proxy.reset_all()
        mended = time.monotonic()
        await place.until_left(at_most=0, seconds=300)
        return await place.outcome(line.fault, mended, "the HTTP channel was through before it was mended")


SCENARIO = Scenario(
    "platform-lines",
    "A proxy between us and the simulated platforms delays, cuts, swallows, garbles or throttles their answers in the "
    "middle of a campaign that also runs over an HTTP channel of its own.",
    run,
)
