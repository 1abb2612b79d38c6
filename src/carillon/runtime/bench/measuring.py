"""What every measurement needs: a database of its own, the machine's description, and one shape of result."""

import asyncio
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import psutil

from carillon.identity.auth import api as auth
from carillon.ops.settings import Settings
from carillon.runtime.compose import Prepared, open_resources, prepare
from carillon.storage.resources import Resources

from .cpu import CpuSplit, cpu_seconds, cpu_split
from .declaring import Bench, option

__all__ = [
    "Bench",
    "CpuSplit",
    "Stage",
    "cpu_seconds",
    "cpu_split",
    "forget_peak",
    "machine",
    "option",
    "peak_rss_mb",
    "result",
    "scratch",
    "stage",
    "timed",
]

_MEGABYTE = 1_000_000
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Stage:
    """A fresh installation to measure on.

    Attributes:
        resources: Under the workers' role, as in the processes that do the work.
        tenant_id: A tenant without anything.
        owner: A superuser's connection, to set the scene and for floors.
        folder: For files; removed at the end.
        prepared: The database's addresses and its server.
    """

    resources: Resources
    tenant_id: UUID
    owner: "asyncpg.Connection[asyncpg.Record]"
    folder: Path
    prepared: Prepared

    @property
    def postmaster(self) -> int:
        """PostgreSQL's first process, for `cpu_split`."""
        assert self.prepared.cluster is not None
        return self.prepared.cluster.pid


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder below `CARILLON_DATA`, so on the disk that is meant; removed at the end."""
    base = Settings().data / "bench"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=base))
    # PostgreSQL may run under another account (docs/adr/0001), which has to pass through.
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """An embedded database of its own with everything migrated, durable as in production.

    Raises:
        SetupError: PostgreSQL cannot be run here.
    """
    with scratch() as folder:
        # Whatever the environment says of a database is not meant: a measurement must not touch it.
        settings = Settings(data=folder, database_url=None, app_database_url=None, worker_database_url=None)
        prepared = await asyncio.to_thread(prepare, settings)
        assert prepared.owner_url is not None
        assert prepared.cluster is not None
        try:
            async with open_resources(settings, prepared, worker=True, name="carillon bench") as resources:
                login = await auth.bootstrap(resources)
                assert login is not None
                owner = await asyncpg.connect(prepared.owner_url)
                try:
                    await owner.execute("CREATE SCHEMA bench")
                    yield Stage(resources, login.tenant_id, owner, folder, prepared)
                finally:
                    await owner.close()
        finally:
            await asyncio.to_thread(prepared.cluster.stop, "immediate")


async def timed(work: Awaitable[Any]) -> float:
    """Seconds that the work took."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def forget_peak() -> None:
    """Let `peak_rss_mb` begin anew, where the system can (Linux): setting the scene is not what is measured."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def peak_rss_mb() -> float:
    """The most memory this process held since `forget_peak`, in megabytes; PostgreSQL's is not in it."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM:"))
        return round(int(line.split()[1]) * 1024 / _MEGABYTE, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / _MEGABYTE, 1)


def result(
    name: str, count: int, seconds: Sequence[float], floor: Sequence[float], rss_mb: float, **more: Any
) -> dict[str, Any]:
    """The common shape of all figures, from medians.

    Args:
        name: The bench's.
        count: Things done in each run.
        seconds: How long each run took.
        floor: How long the same took without us, in the same session.
        rss_mb: Peak memory outside PostgreSQL.
        **more: What else is worth telling.
    """
    ours, bare = statistics.median(seconds), statistics.median(floor)
    return {
        "bench": name,
        "count": count,
        "seconds": round(ours, 3),
        "rate": round(count / ours, 3 if count < ours else 1),
        "floor": round(count / bare, 3 if count < bare else 1),
        "ratio": round(bare / ours, 3),
        "rss_mb": rss_mb,
        "runs": len(seconds),
        "all_seconds": [round(one, 3) for one in seconds],
        "all_floor_seconds": [round(one, 3) for one in floor],
        **more,
        "machine": machine(),
    }


def machine() -> Mapping[str, Any]:
    """What it was measured on."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
