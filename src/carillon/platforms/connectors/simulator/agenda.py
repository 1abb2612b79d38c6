"""Things to do at a time: one heap and one timer, however many are pending."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Agenda(Generic[T]):
    """Calls `due` with all the items whose time has come, in order of time."""

    def __init__(self, due: Callable[[list[T]], None]) -> None:
        """Create an empty agenda for the running loop."""
        self._due = due
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, T]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, delay: float, item: T) -> None:
        """Make `item` due in `delay` seconds; a negative delay is none."""
        when = self._loop.time() + max(0.0, delay)
        heapq.heappush(self._heap, (when, next(self._order), item))
        if self._timer is None or when < self._timer.when():
            self._arm()

    def cancel(self) -> None:
        """Forget everything."""
        self._heap.clear()
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._heap[0][0], self._fire) if self._heap else None

    def _fire(self) -> None:
        # The loop may call a timer a clock tick early.
        horizon = self._loop.time() + 0.001
        items: list[T] = []
        while self._heap and self._heap[0][0] <= horizon:
            items.append(heapq.heappop(self._heap)[2])
        self._arm()
        self._due(items)
