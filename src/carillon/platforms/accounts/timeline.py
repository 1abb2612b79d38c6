"""What happened to an account: its events, newest first."""

from uuid import UUID

from carillon.events import history
from carillon.events.catalog.base import name_of
from carillon.kernel.paging import Page, PageRequest
from carillon.storage.database import Tx

from .contracts import TimelineEntry


async def timeline(tx: Tx, account_id: UUID, page: PageRequest) -> Page[TimelineEntry]:
    """Events of one account, also of one that was deleted.

    Raises:
        carillon.events.errors.BadEventCursor: The cursor is not ours.
    """
    found = await history.list_events(tx, page, subject_id=account_id)
    items = [
        TimelineEntry(entry.id, name_of(entry.event), entry.occurred_at, entry.event.dump()) for entry in found.items
    ]
    return Page(items, found.next_cursor)
