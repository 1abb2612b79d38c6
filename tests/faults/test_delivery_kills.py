"""Deaths and failures in the middle of a campaign, judged by the platform's own ledger."""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.ops.settings import Settings
from carillon.platforms.delivery import leases
from carillon.runtime.compose import Prepared, prepare
from carillon.runtime.demo.report import Comparison
from carillon.storage.postgres import start_cluster, stop_cluster

from .field import PATIENCE, admin, field_of

pytestmark = pytest.mark.acceptance

NOTHING_WRONG = Comparison(lost=0, duplicated=0, to_opted_out=0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """A database server that these tests may restart."""
    ready = prepare(Settings(data=tmp_path_factory.mktemp("faults")))
    assert ready.cluster is not None
    try:
        yield ready
    finally:
        stop_cluster(ready.cluster.data_dir, "immediate")
        ready.cluster.stop("immediate")


async def test_five_kills_lose_nothing_and_send_nothing_twice(prepared: Prepared, tmp_path: Path) -> None:
    draw = random.Random(5)
    async with field_of(prepared, tmp_path, "--answer-seconds", "0.05") as place:
        await place.campaign(120, rate=15.0)
        left = 240
        for _ in range(5):
            worker = place.start_worker()
            # It has sent something, and there is something left for the next one.
            left = await place.until_left(at_most=max(20, left - draw.randint(8, 40)))
            await place.bury(worker)
        place.start_worker()
        await place.until_left(at_most=0)
        assert await place.compared() == NOTHING_WRONG
        found = await place.found()
        assert found.keys() <= {"sent", "unknown"}
        assert sum(found.values()) == 240
        # Only where the platform does not de-duplicate may an outcome stay open.
        async with place.database.transaction(place.tenant) as tx:
            unsure = "SELECT count(*) FROM platforms.message WHERE state = 'unknown' AND platform = 'whatsapp'"
            assert await tx.scalar(unsure) == found.get("unknown", 0)


async def test_lost_answers_and_an_outage(prepared: Prepared, tmp_path: Path) -> None:
    async with field_of(prepared, tmp_path) as place, admin(place) as simulator:
        await place.campaign(60, rate=20.0)
        await simulator.fault(drop_answers=6)
        place.start_worker()
        left = await place.until_left(at_most=80)
        await simulator.fault(outage=True, drop_sessions=True)
        await asyncio.sleep(1.0)
        during = await place.until_left(at_most=left)
        assert during > 0
        await simulator.fault(outage=False)
        await place.until_left(at_most=0)
        assert await place.compared() == NOTHING_WRONG
        found = await place.found()
        assert found.keys() <= {"sent", "unknown"}
        assert sum(found.values()) == 120


async def test_a_restart_of_the_database_in_mid_campaign(prepared: Prepared, tmp_path: Path) -> None:
    assert prepared.cluster is not None
    async with field_of(prepared, tmp_path) as place:
        await place.campaign(60, rate=10.0)
        worker = place.start_worker()
        await place.until_left(at_most=90)
        await asyncio.to_thread(stop_cluster, prepared.cluster.data_dir, "immediate")
        again = await asyncio.to_thread(start_cluster, prepared.cluster.data_dir)
        assert again.port == prepared.cluster.port
        await place.database.engine.dispose()
        async with asyncio.timeout(PATIENCE):
            while await place.until_left(at_most=90):
                if worker.poll() is not None:
                    # Whether it lives through this or ends: its parent knows, and another goes on.
                    await place.bury(worker)
                    worker = place.start_worker()
                await asyncio.sleep(0.1)
        assert await place.compared() == NOTHING_WRONG
        assert sum((await place.found()).values()) == 120


@pytest.mark.skipif(
    "CARILLON_LONG_FAULTS" not in os.environ, reason="waits for a lease to run out; CARILLON_LONG_FAULTS=1"
)
async def test_a_zombie_wakes_up_and_writes_nothing(prepared: Prepared, tmp_path: Path) -> None:
    async with field_of(prepared, tmp_path) as place:
        await place.campaign(60, rate=5.0)
        zombie = place.start_worker()
        await place.until_left(at_most=100)
        zombie.send_signal(signal.SIGSTOP)
        await asyncio.sleep(leases.TTL + leases.GRACE + 2)
        before = await place.found()
        place.start_worker()
        # The zombie's sockets are still open: the platform destroys sessions that are used twice, so accounts of
        # that flavour sign out and their messages wait for a person; the other flavour's go on.
        await place.until_left(at_most=before["queued"] - 10)
        zombie.send_signal(signal.SIGCONT)
        async with asyncio.timeout(60):
            assert await asyncio.to_thread(zombie.wait) != 0
        compared = await place.compared()
        assert (compared.duplicated, compared.to_opted_out) == (0, 0)
