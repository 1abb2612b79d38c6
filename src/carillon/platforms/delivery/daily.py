"""The limit of different people an account may write to first within a moving 24 hours.

The one process that owns the account keeps the window in memory: read from the ledger once, then kept up to date as
messages are authorised. So a batch costs no query, and batches that are authorised at the same time share one count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from carillon.storage.database import Tx

from . import repository

WINDOW = timedelta(hours=24)


@dataclass(slots=True)
class DailyWindow:
    """The people an account began to write to in the last 24 hours.

    Whoever an attempt was made for counts, however it ended: a message that is tried again finds its person here.

    Attributes:
        limit: So many different people.
        loaded: What was sent before this process owned the account is in it.
    """

    limit: int
    loaded: bool = False
    _last: dict[UUID, datetime] = field(default_factory=dict)

    def add(self, contact_id: UUID, at: datetime) -> None:
        """Count an attempt."""
        self._last[contact_id] = max(at, self._last.get(contact_id, at))

    def forget(self, now: datetime) -> None:
        """Drop those whose last message is older than the window."""
        since = now - WINDOW
        self._last = {contact_id: at for contact_id, at in self._last.items() if at > since}

    def has_room(self, contact_id: UUID) -> bool:
        """Whether this person may be written to now: one of those already counted, or one more."""
        return contact_id in self._last or len(self._last) < self.limit

    def leaving(self, now: datetime) -> list[datetime]:
        """When places become free, the first first; never empty."""
        return sorted(at + WINDOW for at in self._last.values()) or [now + WINDOW]


async def load(tx: Tx, windows: Mapping[UUID, DailyWindow], now: datetime) -> None:
    """Read what was sent before into the windows that do not have it; all in one query, once per owner."""
    missing = [account_id for account_id, window in windows.items() if not window.loaded]
    if not missing:
        return
    for account_id, contact_id, at in await repository.written_to_since(tx, missing, now - WINDOW):
        windows[account_id].add(contact_id, at)
    for account_id in missing:
        windows[account_id].loaded = True


@dataclass(slots=True)
class Admission:
    """Who of one batch gets a place: of those who do not, each waits for a place of its own."""

    windows: Mapping[UUID, DailyWindow]
    now: datetime
    _waiting: dict[UUID, dict[UUID, datetime]] = field(default_factory=dict)
    _leaving: dict[UUID, list[datetime]] = field(default_factory=dict)

    def prepare(self, account_ids: Iterable[UUID]) -> None:
        """Drop what has left the windows of these accounts."""
        for account_id in set(account_ids) & self.windows.keys():
            self.windows[account_id].forget(self.now)

    def admit(self, account_id: UUID, contact_id: UUID) -> datetime | None:
        """Take a place for this person, or say when one becomes free."""
        window = self.windows.get(account_id)
        if window is None:
            return None
        if window.has_room(contact_id):
            window.add(contact_id, self.now)
            return None
        waiting = self._waiting.setdefault(account_id, {})
        if contact_id not in waiting:
            leaving = self._leaving.setdefault(account_id, window.leaving(self.now))
            waiting[contact_id] = leaving[min(len(waiting), len(leaving) - 1)]
        return waiting[contact_id]
