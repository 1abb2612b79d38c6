"""`carillon up`: every role in a process of its own, restarted when it dies, ended together.

The supervisor is the parent, so it knows for certain when a child is gone. It frees the accounts of a dead delivery
process at once, and the next one takes over in a second instead of waiting for the lease to run out.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from carillon.kernel.waiting import first_of
from carillon.ops import counting, lifeline

log = structlog.get_logger(__name__)

_STOP_PATIENCE = 20.0
_BACKOFF = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
_HEALTHY_AFTER = 30.0

OnDeath = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Program:
    """A child to keep running.

    Attributes:
        name: Shown in logs and names its log file.
        arguments: After the interpreter.
        on_death: Called with the pid once the process is gone for certain, before it is started again.
    """

    name: str
    arguments: Sequence[str]
    on_death: OnDeath | None = None


@dataclass(slots=True)
class Child:
    """A program and its present process."""

    program: Program
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    pids: list[int] = field(default_factory=list)


class Supervisor:
    """Keeps children running until stopped."""

    def __init__(
        self, programs: Sequence[Program], *, logs: Path, environment: Mapping[str, str], metrics: Path | None = None
    ) -> None:
        """Create it.

        Args:
            programs: What to run.
            logs: Directory for one log file per program.
            environment: Laid over our own.
            metrics: Where the children count together (`counting.prepare`); each counts for itself without it.
        """
        self.children = {program.name: Child(program) for program in programs}
        self._logs = logs
        self._metrics = metrics
        self._environment = {**os.environ, **environment, lifeline.VARIABLE: "1"}

    async def run(self, stop: asyncio.Event) -> None:
        """Run until stopped; then end the children in good order."""
        self._logs.mkdir(parents=True, exist_ok=True)
        await asyncio.gather(*[self._keep(child, stop) for child in self.children.values()])

    async def _keep(self, child: Child, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            started = asyncio.get_running_loop().time()
            process = await self._start(child)
            await first_of(process.wait(), stop.wait())
            if stop.is_set():
                await _end(process)
            await self._reaped(child, process)
            lived = asyncio.get_running_loop().time() - started
            failures = 0 if lived > _HEALTHY_AFTER else failures + 1
            if not stop.is_set():
                pause = _BACKOFF[min(failures, len(_BACKOFF)) - 1] if failures else 0.0
                log.warning("child.ended", program=child.program.name, status=process.returncode, again_in=pause)
                await first_of(asyncio.sleep(pause), stop.wait())

    async def _start(self, child: Child) -> asyncio.subprocess.Process:
        with (self._logs / f"{child.program.name}.log").open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *child.program.arguments,
                # Never written: it closes when we die, and the child ends with us.
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=self._environment_of(child),
                start_new_session=True,
            )
        child.process = process
        child.starts += 1
        child.pids.append(process.pid)
        return process

    def _environment_of(self, child: Child) -> dict[str, str]:
        if self._metrics is None:
            return self._environment
        return {**self._environment, **counting.environment(self._metrics, child.program.name)}

    async def _reaped(self, child: Child, process: asyncio.subprocess.Process) -> None:
        if self._metrics is not None:
            counting.forget(self._metrics, child.program.name)
        if child.program.on_death is None:
            return
        try:
            await child.program.on_death(process.pid)
        except Exception:  # the lease runs out by itself if it cannot be freed
            log.exception("child.cleanup_failed", program=child.program.name)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _STOP_PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
