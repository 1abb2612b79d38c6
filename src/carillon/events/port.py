"""The bus as a port: what the product needs from whatever carries its events.

One conformance suite (`tests/conformance/test_event_bus.py`) holds for every adapter.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from carillon.kernel.paging import Page, PageRequest
from carillon.storage.database import Tx

from .catalog.base import Event
from .consumer import Recorded


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a consumer gave up on.

    Attributes:
        id: Replay it by this.
        tenant_id: Whose event it is.
        consumer: Who gave up.
        event_id: The event.
        type: Its type.
        payload: Its payload as stored.
        error_class: Class of the last error.
        error: Text of the last error, redacted.
        attempts: How often the handler was called for this event alone.
        occurred_at: When the event was appended.
        failed_at: When it was given up.
        replayed_at: When a replay succeeded.
    """

    id: UUID
    tenant_id: UUID
    consumer: str
    event_id: UUID
    type: str
    payload: Mapping[str, Any]
    error_class: str
    error: str
    attempts: int
    occurred_at: datetime
    failed_at: datetime
    replayed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retries:
    """How a failing event is tried again: `attempts` times, waiting `first`, 2 × `first`, … up to `longest` seconds."""

    attempts: int = 5
    first: float = 1.0
    longest: float = 60.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after this attempt (1 is the first)."""
        return float(min(self.first * 2 ** min(attempt - 1, 30), self.longest))


class EventBus(Protocol):
    """Append, consume, look back."""

    def transaction(self, tenant_id: UUID) -> AbstractAsyncContextManager[Tx]:
        """A transaction inside one tenant, for `append` and whatever belongs to it."""
        ...

    async def append(self, tx: Tx, *events: Event) -> None:
        """Append events of the transaction's tenant; they exist when it commits."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Serve this bus's consumers until `stop` is set; a running batch is finished first."""
        ...

    async def drain(self, *, wait: bool = True) -> int:
        """Serve the consumers until nothing is left, for tests and one-off runs.

        Args:
            wait: Also for committed events that an older transaction, which may be anybody's, still holds back.

        Returns:
            How many events were handled.
        """
        ...

    async def history(
        self, tx: Tx, page: PageRequest, *, kind: str | None = None, subject_id: UUID | None = None
    ) -> Page[Recorded]:
        """The tenant's events, newest first, of a type or about a subject."""
        ...

    async def dead_letters(
        self, tx: Tx, page: PageRequest, *, consumer: str | None = None, replayed: bool | None = None
    ) -> Page[DeadLetter]:
        """The tenant's dead letters, newest first."""
        ...

    async def replay(self, tx: Tx, dead_letter_id: UUID) -> None:
        """Hand the event to its consumer again, in this transaction, and mark it replayed.

        Raises:
            DeadLetterNotFound: The tenant has none of this id.
            AlreadyReplayed: It went through before.
            ConsumerGone: This bus has no such consumer.
            ReplayFailed: The handler failed again; the transaction must be rolled back.
        """
        ...
