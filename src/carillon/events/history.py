"""Looking back, for operators: a tenant's events, its dead letters, and their replay.

The API that is mounted over this lives above; these functions decide nothing about permissions. They need a
transaction inside the tenant, whose row-level security keeps other tenants' events out.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping

from carillon.kernel.paging import Page, PageRequest
from carillon.storage.database import Tx
from carillon.storage.errors import DatabaseUnreachable
from carillon.storage.jobs.failures import error_class, redact
from carillon.storage.resources import Resources

from . import repository
from .catalog.base import BrokenEvent, UnknownEvent
from .consumer import Consumer, Recorded
from .errors import AlreadyReplayed, BadEventCursor, ConsumerGone, DeadLetterNotFound, ReplayFailed
from .port import DeadLetter
from .progress import StoredEvent


async def list_events(
    tx: Tx,
    page: PageRequest,
    *,
    kind: str | None = None,
    subject_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[Recorded]:
    """The tenant's events, newest first; types nobody knows any more appear as `UnknownEvent`.

    Args:
        tx: Inside the tenant.
        page: Which page.
        kind: Only this type, e.g. `contact.created`.
        subject_id: Only what happened to this thing.
        since: Not what was before.
        until: Not what was after.

    Raises:
        BadEventCursor: The page's cursor is not ours.
    """
    before = None if page.cursor is None else _number(page.cursor)
    rows = await repository.list_events(
        tx, before=before, limit=page.limit + 1, kind=kind, subject_id=subject_id, since=since, until=until
    )
    more = len(rows) > page.limit
    items = [show(row) for row in rows[: page.limit]]
    return Page(items, str(items[-1].position) if more else None)


def show(stored: StoredEvent) -> Recorded:
    """The event for a listing, which also shows what can no longer be read."""
    try:
        return stored.read()
    except BrokenEvent:
        event = UnknownEvent(stored_type=stored.type, payload=stored.payload)
        return Recorded(stored.id, stored.tenant_id, event, stored.xid, stored.position, stored.occurred_at)


async def list_dead_letters(
    tx: Tx, page: PageRequest, *, consumer: str | None = None, replayed: bool | None = None
) -> Page[DeadLetter]:
    """The tenant's dead letters, newest first.

    Args:
        tx: Inside the tenant.
        page: Which page.
        consumer: Only those of this consumer.
        replayed: Only those that were, or were not, replayed.

    Raises:
        BadEventCursor: The page's cursor is not ours.
    """
    before = None if page.cursor is None else _uuid(page.cursor)
    rows = await repository.list_dead_letters(
        tx, before=before, limit=page.limit + 1, consumer=consumer, replayed=replayed
    )
    items = [_dead_letter(row) for row in rows[: page.limit]]
    return Page(items, str(items[-1].id) if len(rows) > page.limit else None)


async def replay(resources: Resources, tx: Tx, dead_letter_id: UUID, *, consumers: Mapping[str, Consumer]) -> None:
    """Hand the event to its consumer again, in this transaction, and mark it replayed.

    Args:
        resources: For the handler.
        tx: Inside the tenant; roll it back when this raises.
        dead_letter_id: Which one.
        consumers: All consumers of the program, by name.

    Raises:
        DeadLetterNotFound: The tenant has none of this id.
        AlreadyReplayed: It went through before.
        ConsumerGone: There is no such consumer any more.
        ReplayFailed: The handler failed again.
    """
    row = await repository.lock_dead_letter(tx, dead_letter_id)
    if row is None:
        raise DeadLetterNotFound
    if row["replayed_at"] is not None:
        raise AlreadyReplayed
    consumer = consumers.get(row["consumer"])
    if consumer is None:
        raise ConsumerGone(consumer=row["consumer"])
    await run_again(resources, tx, consumer, _stored(row))
    await repository.mark_replayed(tx, dead_letter_id)


async def run_again(resources: Resources, tx: Tx, consumer: Consumer, stored: StoredEvent) -> None:
    """The handler over one event.

    Raises:
        ReplayFailed: It failed.
    """
    try:
        await consumer.handle(resources, tx, [stored.read()])
    except DatabaseUnreachable:
        raise
    except Exception as error:
        raise ReplayFailed(error_class=error_class(error), error=redact(error)) from error


def _stored(row: RowMapping) -> StoredEvent:
    payload = repository.parse_payload(row["payload"])
    return StoredEvent(
        row["event_id"], row["tenant_id"], row["type"], payload, row["xid"], row["position"], row["occurred_at"]
    )


def _dead_letter(row: RowMapping) -> DeadLetter:
    values = {key: row[key] for key in DeadLetter.__slots__}
    return DeadLetter(**{**values, "payload": repository.parse_payload(row["payload"])})


def _number(cursor: str) -> int:
    try:
        return int(cursor)
    except ValueError as error:
        raise BadEventCursor(place="query parameter cursor") from error


def _uuid(cursor: str) -> UUID:
    try:
        return UUID(cursor)
    except ValueError as error:
        raise BadEventCursor(place="query parameter cursor") from error
