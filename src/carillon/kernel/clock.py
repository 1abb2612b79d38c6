"""Time as a port, so that simulations can drive it."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time is it, how long has it been, and wait."""

    def now(self) -> datetime:
        """The wall clock, in UTC; it may jump."""
        ...

    def boottime(self) -> float:
        """Seconds that never jump and go on counting while the machine is suspended: for leases."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC)

    def boottime(self) -> float:
        """See `Clock.boottime`: CLOCK_BOOTTIME where the system has it (Linux), else the monotonic clock."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)
