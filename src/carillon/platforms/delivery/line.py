"""One account this process owns: what is queued for it, what is authorised, and how much it takes on at a time."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from uuid import UUID

from carillon.platforms.connectors.port import AccountConfig, Connector, Limits, Session

from . import distrust
from .contracts import PRIORITY, Lease
from .daily import DailyWindow
from .ledger import Ready
from .repository import DueRow
from .wire import FRESH

WRITERS = 64
"""Messages of one account on the wire at a time."""
_NARROWEST, _FIRST, _WIDEST = 16, 64, 500


@dataclass(slots=True)
class Line:
    """An open account.

    Attributes:
        queue: Read ahead, a heap: `(priority, order of reading, row)`.
        known: Ids that are in `queue` or on their way, until they are settled.
        busy: Peers with a message on its way; the next one to the same peer waits for its turn.
        outbox: Authorised messages, and when their authorisation began, that wait for a writer.
        writers: Tasks that write what is in `outbox`.
        window: Most messages on their way. It follows what the platform takes before an authorisation is stale.
        look_at: When to look into the database again (seconds of a clock that does not jump).
        read: Rows read so far, to keep their order.
    """

    lease: Lease
    config: AccountConfig
    portfolio: str | None
    connector: Connector
    session: Session
    limits: Limits
    queue: list[tuple[int, int, DueRow]] = field(default_factory=list)
    known: set[UUID] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    outbox: deque[tuple[Ready, float]] = field(default_factory=deque)
    writers: int = 0
    writer_starting: bool = False
    window: int = _FIRST
    look_at: float = 0.0
    read: int = 0
    daily: DailyWindow | None = None
    deduplicates: bool = False
    """Whether a message may be resent with the same key."""

    def __post_init__(self) -> None:
        """Keep count of people where the platform limits them."""
        self.deduplicates = distrust.deduplicates(self.connector)
        if self.limits.daily_unique is not None:
            self.daily = DailyWindow(self.limits.daily_unique)

    def enqueue(self, row: DueRow) -> None:
        """Take a row that was read; one that is here already is passed over."""
        if row.id in self.known:
            return
        self.known.add(row.id)
        self.read += 1
        heapq.heappush(self.queue, (PRIORITY[row.kind], self.read, row))

    def forget(self, row: DueRow) -> None:
        """The row is not on its way any more: whoever reads it next may have it."""
        self.known.discard(row.id)
        self.busy.discard(row.peer)

    def measure(self, age: float) -> None:
        """Adapt the window to how long an authorised message waited for its turn on the wire (seconds)."""
        if age < FRESH / 4:
            self.window = min(self.window + 1, _WIDEST)
        elif age > FRESH / 2:
            self.window = max(self.window - 1, _NARROWEST)
