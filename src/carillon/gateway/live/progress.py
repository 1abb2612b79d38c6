"""Progress events come by the hundred; a screen needs two a second."""

from collections.abc import Callable
from typing import Any


class Coalescer:
    """Holds back repeated events of one type and subject, of which only the latest matters."""

    def __init__(self, types: frozenset[str], every: float, now: Callable[[], float]) -> None:
        """Create it: `types` are coalesced to one per subject every so many seconds."""
        self._types = types
        self._every = every
        self._now = now
        self._passed_at: dict[tuple[str, Any], float] = {}
        self._held: dict[tuple[str, Any], dict[str, Any]] = {}

    def offer(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """The event if it may pass now; otherwise it is held, in place of an older one."""
        if row["type"] not in self._types:
            return row
        key = (row["type"], row["subject_id"])
        now = self._now()
        if now - self._passed_at.get(key, float("-inf")) < self._every:
            self._held[key] = row
            return None
        self._held.pop(key, None)
        self._passed_at[key] = now
        return row

    def due(self) -> list[dict[str, Any]]:
        """Held events whose time has come; also forgets subjects that are quiet."""
        now = self._now()
        ready = [key for key in self._held if now - self._passed_at[key] >= self._every]
        for key in ready:
            self._passed_at[key] = now
        self._passed_at = {
            key: at for key, at in self._passed_at.items() if key in self._held or now - at < self._every
        }
        return [self._held.pop(key) for key in ready]

    @property
    def waits(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)
