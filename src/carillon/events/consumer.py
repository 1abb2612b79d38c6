"""How a consumer of events is declared."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .catalog.base import Event


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the store.

    Attributes:
        id: Unique; de-duplicate on it when handing events on to the outside.
        tenant_id: Whose it is.
        event: The typed event.
        xid: Transaction that appended it; with `position` the commit order.
        position: Order within that transaction.
        occurred_at: When it was appended.
    """

    id: UUID
    tenant_id: UUID
    event: Event
    xid: int
    position: int
    occurred_at: datetime


Handle = Callable[[Resources, Tx, Sequence[Recorded]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable subscription.

    Attributes:
        name: `cluster.service.purpose`; names its cursor, never change it.
        events: The event types it wants.
        handle: Given one tenant's events in commit order and a transaction inside that tenant, in which its
            cursor advances too: what it writes through `tx` happens exactly once.
        batch: Most events it is given at once.
        start: Where a new consumer begins: at the oldest stored event, or with what happens from now on.

    Keep `handle` short: its transaction holds back the horizon up to which all consumers may read. Long work
    belongs in a job that it enqueues.
    """

    name: str
    events: tuple[type[Event], ...]
    handle: Handle
    batch: int = 500
    start: Literal["beginning", "now"] = "beginning"
