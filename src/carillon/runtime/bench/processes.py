"""Real processes for measurements: the installation's own, and those that play the world outside."""

import asyncio
import os
import resource
import socket
import statistics
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil

from carillon.kernel.errors import SetupError
from carillon.ops import lifeline
from carillon.runtime import embedded

from .measuring import Stage

PATIENCE = 180.0
_LOOK_EVERY = 0.05
_END_WITHIN = 20.0
_LONGEST_LINE = 64 * 1024 * 1024
_FILES = 65_536


@dataclass(slots=True)
class Installation:
    """Running processes of ours.

    Attributes:
        base: Where the API answers, if it is among them.
        processes: By program name.
    """

    base: str
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def pids(self) -> list[int]:
        """Of the living."""
        return [process.pid for process in self.processes.values() if process.returncode is None]

    def rss_mb(self, name: str | None = None) -> float:
        """Memory of one program or of all, without PostgreSQL, in megabytes."""
        return rss_mb([self.processes[name].pid] if name else self.pids)


@asynccontextmanager
async def installation(
    on: Stage, names: Collection[str], *, workers: int = 1, simulator: str | None = None
) -> AsyncIterator[Installation]:
    """Run some of the programs of `carillon up`, by name; nobody restarts one that dies.

    Raises:
        SetupError: One of them ended before it was ready.
    """
    settings = on.resources.settings.model_copy(update={"port": free_port(), "allow_networks": ("127.0.0.0/8",)})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
    environment |= embedded.child_environment(settings, on.prepared, simulator)
    # One machine plays many clients; what is measured is the work, not the refusal.
    environment |= dict.fromkeys(
        ("CARILLON_CREDENTIAL_REQUESTS_PER_MINUTE", "CARILLON_TENANT_REQUESTS_PER_MINUTE"), "0"
    )
    environment |= {"CARILLON_LOG_LEVEL": "warning"}
    running = Installation(f"http://{settings.host}:{settings.port}")

    async def nothing(_pid: int) -> None:
        return None

    try:
        for program in embedded.programs(nothing, workers=workers):
            if program.name in names:
                log = on.folder / "logs" / f"{program.name}.log"
                running.processes[program.name] = await _start(program.arguments, environment, log)
        if "api" in running.processes:
            await until(lambda: asyncio.to_thread(_ready, running), "the API to be ready")
        yield running
    finally:
        await asyncio.gather(*[end(process) for process in running.processes.values()])


async def _start(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> asyncio.subprocess.Process:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            # Never written: it closes when we die, and the child ends with us.
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**environment, lifeline.VARIABLE: "1"},
            start_new_session=True,
        )


def _ready(running: Installation) -> bool:
    if running.processes["api"].returncode is not None:
        raise SetupError("the API process ended before it was ready")
    try:
        with urllib.request.urlopen(f"{running.base}/readyz", timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process of ours, in good order if it can."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_WITHIN)
    except TimeoutError:
        process.kill()
        await process.wait()


class Outsider:
    """A process that plays the world: it gets a job as one JSON line and says what it saw in others."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Speak with this process."""
        self._process = process
        self.pid = process.pid

    async def tell(self, **job: Any) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(job) + b"\n")
        await self._process.stdin.drain()

    async def hear(self) -> dict[str, Any]:
        """Its next line.

        Raises:
            SetupError: It ended without one.
        """
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            message = f"the load maker ended with status {await self._process.wait()}"
            raise SetupError(message)
        said: dict[str, Any] = orjson.loads(line)
        return said


@asynccontextmanager
async def outsider(module: str) -> AsyncIterator[Outsider]:
    """Start `main` of `carillon.runtime.bench.MODULE` as a process of its own: its work is not counted as ours."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"from carillon.runtime.bench.{module} import main; main()",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        start_new_session=True,
    )
    try:
        yield Outsider(process)
    finally:
        await end(process)


async def until(holds: Callable[[], Any], what: str, *, seconds: float = PATIENCE, every: float = _LOOK_EVERY) -> None:
    """Look until it holds.

    Raises:
        SetupError: It took too long.
    """
    try:
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110 - the other side is another process
                await asyncio.sleep(every)
    except TimeoutError as error:
        message = f"waited {seconds:.0f} s in vain for {what}"
        raise SetupError(message) from error


def rss_mb(pids: Collection[int]) -> float:
    """Memory of processes and their children, in megabytes; those that are gone have none."""
    total = 0
    for pid in pids:
        try:
            root = psutil.Process(pid)
            total += sum(one.memory_info().rss for one in (root, *root.children(recursive=True)))
        except psutil.Error:
            continue
    return round(total / 1e6, 1)


def allow_files() -> None:
    """Let this process and those it starts open as many files as the system permits: each socket is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_port() -> int:
    """A TCP port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile and the most, in milliseconds, of seconds."""
    if len(values) < 2:  # noqa: PLR2004 - no cut points otherwise
        return dict.fromkeys(("median", "p95", "p99", "most"), round(sum(values) * 1000, 1))
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    found = {"median": cuts[49], "p95": cuts[94], "p99": cuts[98], "most": max(values)}
    return {name: round(value * 1000, 1) for name, value in found.items()}
