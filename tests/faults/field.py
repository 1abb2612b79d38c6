"""A database, a simulated platform and delivery processes that may be killed: what fault tests happen on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import asyncpg

from carillon.ops.settings import Settings
from carillon.platforms.connectors.simulator.admin import SimulatorAdmin
from carillon.platforms.connectors.simulator.ledger import read_ledger
from carillon.platforms.delivery import api as delivery
from carillon.runtime import embedded
from carillon.runtime.compose import Prepared, open_resources
from carillon.runtime.demo.report import Comparison, compare, ledger
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fixtures.database import make_tenant
from tests.fixtures.delivery import add_account, add_people, make_plan, quiet_off, states

PATIENCE = 100.0
FLAVOURS = ("telegram", "whatsapp")


@dataclass
class Field:
    """One tenant with two accounts of each flavour."""

    settings: Settings
    prepared: Prepared
    resources: Resources
    address: str
    tenant: UUID
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.resources.database

    def start_worker(self) -> "subprocess.Popen[bytes]":
        log = (self.settings.data / "worker.log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "carillon.runtime", "run", "delivery"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **embedded.child_environment(self.settings, self.prepared, self.address)},
            )
        self.workers.append(process)
        return process

    async def bury(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill it and, as its parent, free what it owned."""
        process.kill()
        await asyncio.to_thread(process.wait)
        await embedded.free_accounts_of(self.resources)(process.pid)

    async def campaign(self, people: int, *, rate: float) -> None:
        """Plan a message for so many people of each flavour and open the gate."""
        for flavour in FLAVOURS:
            async with self.database.transaction(self.tenant) as tx:
                for _ in range(2):
                    await add_account(
                        tx, connector=f"simulator_{flavour}", platform=flavour, settings={"rate_per_second": rate}
                    )
                await add_people(tx, people, platform=flavour)
        for flavour in FLAVOURS:
            async with self.database.transaction(self.tenant) as tx:
                rows = await tx.all("SELECT id FROM platforms.account WHERE platform = :p", {"p": flavour})
                plan = make_plan(self.tenant, [row["id"] for row in rows], platform=flavour)
                await delivery.write_contents(tx, plan)
                await delivery.plan_slice(tx, plan, None, 50_000)
                await delivery.open_lane(tx, plan.campaign_id)

    async def found(self) -> dict[str, int]:
        found = await states(self.database, self.tenant)
        return {state: count for state, count in found.items() if state != "suppressed"}

    async def until_left(self, *, at_most: int) -> int:
        """Wait until no more than so many messages are still to go; returns how many are."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.found()
                left = found.get("queued", 0) + found.get("sending", 0)
                if left <= at_most:
                    return left
                await asyncio.sleep(0.02)

    async def compared(self) -> Comparison:
        """Our ledger against the platform's."""
        async with self.database.transaction(self.tenant) as tx:
            ours = await ledger(tx)
        return compare(ours, read_ledger(self.settings.data / "simulator.ledger"))


@asynccontextmanager
async def field_of(prepared: Prepared, data: Path, *behaviour: str) -> AsyncIterator[Field]:
    """A tenant and a platform of its own on a prepared database; every process is gone afterwards."""
    assert prepared.owner_url is not None
    (data / "logs").mkdir(parents=True, exist_ok=True)
    settings = Settings(data=data)
    owner = await asyncpg.connect(prepared.owner_url)
    try:
        tenant = await make_tenant(owner)
        await quiet_off(owner, tenant)
    finally:
        await owner.close()
    platform, address = await embedded.start_simulator(settings, *behaviour)
    try:
        async with open_resources(settings, prepared, worker=True, name="test") as resources:
            place = Field(settings, prepared, resources, address, tenant)
            try:
                yield place
            finally:
                for process in place.workers:
                    if process.poll() is None:
                        process.send_signal(signal.SIGCONT)
                        process.kill()
                        process.wait()
                async with resources.database.across_tenants() as tx:
                    # The next test's worker is to find only its own accounts.
                    await tx.execute("UPDATE platforms.account SET parked = true")
                    await tx.execute("UPDATE platforms.account_lease SET worker_id = NULL")
                    await tx.execute("DELETE FROM platforms.worker")
    finally:
        platform.terminate()
        await platform.wait()


def admin(place: Field) -> SimulatorAdmin:
    return SimulatorAdmin(place.address)
