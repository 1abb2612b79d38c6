"""Accounts that cannot be opened must not keep the others waiting: they rest between tries, and share the door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from carillon.kernel.clock import Clock

_PAUSES = (1.0, 5.0, 15.0, 60.0)
"""Seconds before an account is tried again by this process, by how often it failed."""
PATIENT_FOR = 5.0
"""Seconds for which one that opens slowly keeps its turn."""


class Resting:
    """Which accounts failed to open lately, in this process."""

    def __init__(self, clock: Clock) -> None:
        """Nobody rests yet."""
        self._clock = clock
        self._failures: dict[UUID, tuple[int, float]] = {}

    def failed(self, account_id: UUID) -> None:
        """It could not be opened: the pause grows with every time in a row."""
        count, _ = self._failures.get(account_id, (0, 0.0))
        until = self._clock.boottime() + _PAUSES[min(count, len(_PAUSES) - 1)]
        self._failures[account_id] = (count + 1, until)

    def opened(self, account_id: UUID) -> None:
        """It runs: what was before is forgotten."""
        self._failures.pop(account_id, None)

    def now(self) -> list[UUID]:
        """Those that should not be tried now."""
        at = self._clock.boottime()
        return [account_id for account_id, (_, until) in self._failures.items() if until > at]


class Turnstile:
    """So many at once, so that a thousand accounts do not connect together; one that hangs gives its turn up."""

    def __init__(self, places: int, *, patient_for: float = PATIENT_FOR) -> None:
        """Create it with so many places."""
        self._places = asyncio.Semaphore(places)
        self._patient_for = patient_for

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place; it is free for the next at the end, or when this takes too long."""
        await self._places.acquire()
        held = [True]

        def leave() -> None:
            if held:
                held.clear()
                self._places.release()

        timer = asyncio.get_running_loop().call_later(self._patient_for, leave)
        try:
            yield
        finally:
            timer.cancel()
            leave()
