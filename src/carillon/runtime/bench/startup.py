"""How long `carillon up` takes until `/readyz` says yes: on a new folder once, then on the one that is there.

Floor: starting and attaching to the bare PostgreSQL of the same folder, in the same session.
"""

import asyncio
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from carillon.kernel.errors import SetupError
from carillon.storage.postgres import start_cluster

from .measuring import Bench, option, result, scratch

_PATIENCE = 180.0
_LOOK_EVERY = 0.02
_OK = 200


@dataclass(frozen=True, slots=True)
class Options:
    """See `Bench.options`."""

    runs: int = option(3, "warm starts; the median counts")


async def run(options: Options) -> dict[str, Any]:
    """Measure: one cold start, then the warm ones."""
    with scratch() as folder:
        cold, _ = await _start(folder)
        ours: list[float] = []
        bare: list[float] = []
        memory = 0.0
        for _ in range(options.runs):
            bare.append(await asyncio.to_thread(_bare, folder))
            seconds, rss = await _start(folder)
            ours.append(seconds)
            memory = max(memory, rss)
        return result("startup", 1, ours, bare, memory, cold_seconds=round(cold, 3))


def _bare(folder: Path) -> float:
    cluster = start_cluster(folder / "postgres")
    cluster.stop("fast")
    return cluster.start_seconds


async def _start(folder: Path) -> tuple[float, float]:
    """Seconds until ready, and the memory of all our processes then, without PostgreSQL's; ends it again."""
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
    environment |= {"CARILLON_DATA": str(folder), "CARILLON_PORT": str(port)}
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "carillon.runtime",
        "up",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            while not await asyncio.to_thread(_ready, port):
                if process.returncode is not None:
                    message = f"`carillon up` ended with status {process.returncode}; see {folder / 'logs'}"
                    raise SetupError(message)
                await asyncio.sleep(_LOOK_EVERY)
        return time.perf_counter() - began, _memory(process.pid)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == _OK)
    except (urllib.error.URLError, OSError):
        return False


def _memory(pid: int) -> float:
    parent = psutil.Process(pid)
    ours = [one for one in (parent, *parent.children(recursive=True)) if "postgres" not in one.name()]
    return round(sum(one.memory_info().rss for one in ours) / 1e6, 1)


BENCH = Bench(
    "startup",
    "Start the whole product on a folder that is there already; floor: starting the bare PostgreSQL of that folder.",
    Options,
    run,
)
