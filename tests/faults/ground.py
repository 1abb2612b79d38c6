"""A database server that faults may break, and fields on it."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from carillon.ops.settings import Settings
from carillon.runtime import embedded
from carillon.runtime.compose import Prepared, open_resources, prepare
from carillon.storage.postgres import RunningCluster, start_cluster, stop_cluster
from tests.acceptance.installation import free_port
from tests.conformance.connectors.http_channel import listening
from tests.fakes.http_sink import HttpSink
from tests.fixtures.database import make_tenant
from tests.fixtures.delivery import quiet_off

from .field import FLAVOURS, SECRET, SIMULATED, Field


@dataclass
class Ground:
    """A prepared database and a folder below which every field has its own."""

    prepared: Prepared
    root: Path

    @property
    def cluster(self) -> RunningCluster:
        assert self.prepared.cluster is not None, "faults break an embedded server, never somebody else's"
        return self.prepared.cluster

    async def break_database(self) -> None:
        """Stop it at once, as a power cut would."""
        await asyncio.to_thread(stop_cluster, self.cluster.data_dir, "immediate")

    async def mend_database(self) -> None:
        """Start it again where it was."""
        again = await asyncio.to_thread(start_cluster, self.cluster.data_dir)
        assert again.port == self.cluster.port

    @asynccontextmanager
    async def field(self, name: str, *behaviour: str, at: Path | None = None) -> AsyncIterator[Field]:
        """A tenant and platforms of its own, in a folder of its own; every process is gone afterwards."""
        data = at or self.root / name
        (data / "logs").mkdir(parents=True)
        shutil.copy(self.root / "vault.key", data / "vault.key")
        settings = Settings(data=data, allow_networks=("127.0.0.0/8",), port=free_port())
        assert self.prepared.owner_url is not None
        owner = await asyncpg.connect(self.prepared.owner_url)
        try:
            tenant = await make_tenant(owner)
            await quiet_off(owner, tenant)
        finally:
            await owner.close()
        async with AsyncExitStack() as stack:
            platform, address = await embedded.start_simulator(settings, *behaviour)
            stack.push_async_callback(platform.wait)
            stack.callback(platform.terminate)
            sinks = {
                flavour: HttpSink(SECRET, deduplicates=kind.deduplicates)
                for flavour, kind in FLAVOURS.items()
                if flavour not in SIMULATED
            }
            for sink in sinks.values():
                sink.address = f"127.0.0.1:{await stack.enter_async_context(listening(sink.server))}"
            resources = await stack.enter_async_context(
                open_resources(settings, self.prepared, worker=True, name="faults", pool_size=20)
            )
            place = Field(settings, self.prepared, resources, address, tenant, sinks)
            try:
                yield place
            finally:
                await clear(place)


async def clear(place: Field) -> None:
    """End every process and leave nothing that the next field's workers would find."""
    for process in place.processes:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()
    await place.database.engine.dispose()
    async with place.database.across_tenants() as tx:
        await tx.execute("UPDATE platforms.account SET parked = true")
        await tx.execute("UPDATE platforms.account_lease SET worker_id = NULL")
        await tx.execute("DELETE FROM platforms.worker")


@contextmanager
def ground_at(root: Path) -> Iterator[Ground]:
    """Start the server in an empty folder; stop it at the end."""
    settings = Settings(data=root, database_url=None, app_database_url=None, worker_database_url=None)
    prepared = prepare(settings)
    ground = Ground(prepared, root)
    try:
        yield ground
    finally:
        stop_cluster(ground.cluster.data_dir, "immediate")
        ground.cluster.stop("immediate")
