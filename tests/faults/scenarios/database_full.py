"""PostgreSQL's disk runs full in the middle of a campaign, and then there is room again."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carillon.storage.postgres import start_cluster
from tests.faults.field import PATIENCE, Field, Process
from tests.faults.ground import Ground, ground_at
from tests.faults.outcome import Outcome, Scenario

SIZE = 192 * 2**20
_CHUNK = 2**20


def missing() -> str | None:
    """A small disk of our own takes root."""
    return None if os.geteuid() == 0 else "mounting a tmpfs takes root"


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    people, lasts = (60, 3.0) if quick else (400, 30.0)
    disk = ground.root / "small-disk"
    with _mounted(disk):
        own = await asyncio.to_thread(lambda: ground_at(disk / "data"))
        small = await asyncio.to_thread(own.__enter__)
        try:
            return [await _fill(small, disk, ground.root / "small-disk-field", people, lasts)]
        finally:
            await asyncio.to_thread(own.__exit__, None, None, None)


async def _fill(ground: Ground, disk: Path, data: Path, people: int, lasts: float) -> Outcome:
    async with ground.field("database-full", at=data) as place:
        await place.campaign(people, rate=10.0)
        worker = place.start_worker()
        await place.until_left(at_most=people * 2 - 10)
        ballast = disk / "ballast"
        until = time.monotonic() + lasts
        while time.monotonic() < until:
            # Again and again: what PostgreSQL gives back is taken too.
            await asyncio.to_thread(_write_until_full, ballast)
            await asyncio.sleep(0.1)
        ballast.unlink()
        mended = time.monotonic()
        restarted = await _bring_back(ground, place, worker)
        note = f"PostgreSQL {'had to be started again' if restarted else 'lived through it'}; full for {lasts:.0f} s"
        return await place.outcome("PostgreSQL: disk full, then room again", mended, note)


async def _bring_back(ground: Ground, place: Field, worker: Process) -> bool:
    """Whether the server had to be started again; until nothing is left, with a new worker when one ended."""
    again = await asyncio.to_thread(start_cluster, ground.cluster.data_dir)
    restarted = not again.attached
    await place.database.engine.dispose()
    async with asyncio.timeout(PATIENCE * 2):
        while await place.left():
            if worker.poll() is not None:
                await place.bury(worker)
                worker = place.start_worker()
            await asyncio.sleep(0.1)
    return restarted


def _write_until_full(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * _CHUNK)
        except OSError:
            return


@contextmanager
def _mounted(disk: Path) -> Iterator[None]:
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


SCENARIO = Scenario(
    "database-full",
    "The data folder is on a small tmpfs that a file fills to the last byte in the middle of a campaign; then the file "
    "is removed. What was accepted goes on, from where it was.",
    run,
    missing=missing,
)
