"""Is this process alive, and is it ready: named checks that say why not."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from carillon.kernel.errors import CarillonError

Probe = Callable[[], Awaitable[str | None]]
"""Returns a remark for the reader, or nothing; raises when the part is not ready."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        name: The part.
        ready: Whether it works.
        reason: Why not, or a remark; never a secret.
        milliseconds: How long the check took.
    """

    name: str
    ready: bool
    reason: str
    milliseconds: float


@dataclass(slots=True)
class Checks:
    """The parts that must work before this process takes requests.

    Attributes:
        timeout: Seconds one check may take.
        draining: Set while the process is going down: not ready, whatever the checks say.
    """

    timeout: float = 3.0
    draining: bool = False
    _probes: dict[str, Probe] = field(default_factory=dict)

    def register(self, name: str, probe: Probe) -> None:
        """Add a part; a name is taken once."""
        if name in self._probes:
            message = f"health check {name} is registered twice"
            raise ValueError(message)
        self._probes[name] = probe

    async def run(self) -> list[Finding]:
        """All findings, the checks running side by side."""
        findings = list(await asyncio.gather(*(self._run(name, probe) for name, probe in self._probes.items())))
        if self.draining:
            findings.append(Finding("process", ready=False, reason="going down", milliseconds=0.0))
        return findings

    async def _run(self, name: str, probe: Probe) -> Finding:
        started_at = time.perf_counter()
        ready, reason = False, ""
        try:
            async with asyncio.timeout(self.timeout):
                reason = await probe() or ""
            ready = True
        except TimeoutError:
            reason = f"no answer in {self.timeout:g} s"
        except CarillonError as error:
            reason = f"{error.code}: {error.message}"
        except Exception as error:  # noqa: BLE001 - whatever it is, the part is not ready
            # The text may hold addresses and credentials; the kind is enough to look into the log.
            reason = type(error).__name__
        return Finding(name, ready, reason, round((time.perf_counter() - started_at) * 1000, 1))
