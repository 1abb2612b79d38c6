"""Where consumers stand: what the runner needs of a store of events and cursors."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from carillon.storage.database import Tx

from .catalog.base import load
from .consumer import Consumer, Recorded


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of the store, its payload not yet read."""

    id: UUID
    tenant_id: UUID
    type: str
    payload: Mapping[str, Any]
    xid: int
    position: int
    occurred_at: datetime

    def read(self) -> Recorded:
        """The typed event.

        Raises:
            BrokenEvent: The payload does not fit its type.
        """
        event = load(self.type, self.payload)
        return Recorded(self.id, self.tenant_id, event, self.xid, self.position, self.occurred_at)


@dataclass(frozen=True, slots=True)
class Pending:
    """What is to be done.

    Attributes:
        ready: Consumers with events to read.
        held: Whether committed events wait behind the horizon, that is for an older transaction to end.
    """

    ready: frozenset[str]
    held: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """A consumer's next events, its cursor locked; leaving its context without an error moves the cursor.

    Attributes:
        events: In commit order; may be empty when only other types were passed.
        attempts: How often these were begun and not finished, this time included.
        enter: A transaction inside a tenant; the same one that moves the cursor.
    """

    events: Sequence[StoredEvent]
    attempts: int
    enter: Callable[[UUID], Awaitable[Tx]]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event was not handled, fit to be kept."""

    error_class: str
    error: str


class Progress(Protocol):
    """Events and cursors, as the runner sees them."""

    async def ensure(self, consumers: Sequence[Consumer]) -> None:
        """Create the cursors of new consumers."""
        ...

    async def pending(self, names: Sequence[str]) -> Pending:
        """Who of these has something to read; writes nothing."""
        ...

    def batch(self, consumer: Consumer, limit: int, *, marked: bool) -> AbstractAsyncContextManager[Batch | None]:
        """Lock the cursor and read; None when somebody else has it, or a retry waits and is not `marked`."""
        ...

    async def mark(self, name: str, *, count: int, lease: float) -> int | None:
        """Durably note that an attempt begins, and keep others away for `lease` seconds.

        Returns:
            The attempts begun, this one included; None when another runner has the cursor.
        """
        ...

    async def note_failure(self, name: str, failure: Failure, *, attempts: int, wait: float) -> None:
        """Set the attempts counted so far and do not try again for `wait` seconds."""
        ...

    async def bury(self, consumer: Consumer, failure: Failure, *, attempts: int) -> StoredEvent | None:
        """Make the next event a dead letter and pass it; None when the cursor has moved meanwhile."""
        ...
