"""The way of updates from the wire to the sink: in order, and confirmed only once they are durable."""

import asyncio
from collections.abc import Callable

import structlog

from carillon.kernel.clock import Clock
from carillon.platforms.connectors.errors import LeaseLost
from carillon.platforms.connectors.port import AccountUpdate, Update, UpdateSink

from .outcomes import update
from .protocol import Frame

log = structlog.get_logger(__name__)

BATCH = 200
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0


class Inbox:
    """Updates on their way; `accepted` is the last of the platform's log that the sink has made durable."""

    def __init__(
        self,
        sink: UpdateSink,
        *,
        clock: Clock,
        on_accepted: Callable[[int], None],
        on_lease_lost: Callable[[LeaseLost], None],
    ) -> None:
        """Create an empty inbox."""
        self._sink = sink
        self._clock = clock
        self._on_accepted = on_accepted
        self._on_lease_lost = on_lease_lost
        # Bounded by the platform's window of unconfirmed updates.
        self._waiting: asyncio.Queue[tuple[int, Update]] = asyncio.Queue()
        self._seen = 0
        self._stopped = False
        self.accepted = 0

    def put(self, items: list[Frame]) -> None:
        """Take what the platform pushed; what it pushed before, on an earlier connection, is left out.

        Raises:
            FrameError: One of them cannot be understood.
        """
        for item in items:
            if item["seq"] > self._seen:
                self._waiting.put_nowait((item["seq"], update(item)))
                self._seen = item["seq"]

    def put_own(self, change: AccountUpdate) -> None:
        """Take a change that we saw ourselves."""
        self._waiting.put_nowait((0, change))

    def stop(self) -> None:
        """Hand on and confirm nothing more."""
        self._stopped = True

    async def deliver(self) -> None:
        """Hand updates to the sink for as long as the session lives."""
        while not self._stopped:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await self._hand_on([item for _, item in batch])
            except LeaseLost as error:
                self._on_lease_lost(error)
                return
            self._confirm(max(seq for seq, _ in batch))

    async def _hand_on(self, updates: list[Update]) -> None:
        """Try until the sink takes them: they are not lost while it is down, only late.

        Raises:
            LeaseLost: They are another process's now.
        """
        pause = FIRST_PAUSE
        while not self._stopped:
            try:
                await self._sink.accept(updates)
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001 - whatever the sink's trouble is, the updates wait
                log.warning("updates_not_accepted", error=type(error).__name__, retry_in=pause)
                await self._clock.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                return

    def _confirm(self, seq: int) -> None:
        if seq and not self._stopped:
            self.accepted = seq
            self._on_accepted(seq)
